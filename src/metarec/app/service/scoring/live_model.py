"""The served model: follows the registry's current version and the store's items, and is replaced
without dropping a request.

A request handler reads `live.served` once and keeps that object to its end; a new model or new
items replace the attribute by a new object.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from metarec.app.items import items_frame
from metarec.app.probe import warm
from metarec.app.service.scoring.likeness import ItemLikeness, Likeness
from metarec.data.policies import nearest
from metarec.data.schema import BadInput
from metarec.features.encoders.text.pretrained import PretrainedEncoder
from metarec.feedback.outcomes import ValueScale
from metarec.feedback.registry import Registry
from metarec.feedback.store.event_store import Store
from metarec.models.base import LARGE
from metarec.models.registry import READ_CONTEXT
from metarec.recommendation.filters import filter_mask
from metarec.recommendation.ordering.rules import category_matrix
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender
from metarec.runtime.artifacts import BrokenArtifact, reading_whole

log = logging.getLogger("metarec.service")


@dataclass(frozen=True)
class Served:
    """A recommender and the state of the items that belongs to it; immutable."""

    model: Recommender
    items_version: int
    """Version of the store's items that the model holds."""
    deleted: frozenset[str] = frozenset()
    """Ids of the items that the store has as deleted; they are not shown."""
    only: str = ""
    """Filter applied to every slate; empty for none."""

    def titles_at(self, rows: Sequence[int]) -> list[str]:
        """Return the titles of the items at these rows."""
        if len(self.model.catalog) >= LARGE:
            return self.model.catalog.titles(rows)
        return [self._titles[row] for row in rows]

    def titles_of(self, item_ids: Sequence[str]) -> list[str | None]:
        """Return the titles of items; None for one that is not in the catalog."""
        if len(self.model.catalog) < LARGE:
            return [self._title_by_id.get(item_id) for item_id in item_ids]
        rows = self.model.vocabulary.indexes(item_ids).tolist()
        titles = iter(self.titles_at([row for row in rows if row >= 0]))
        return [next(titles) if row >= 0 else None for row in rows]

    @cached_property
    def _titles(self) -> list[str]:
        return self.model.catalog.titles()

    @cached_property
    def _title_by_id(self) -> dict[str, str]:
        return dict(zip(self.model.vocabulary.ids, self._titles, strict=True))

    @cached_property
    def scale(self) -> ValueScale:
        """Scale of the values in the training data."""
        return ValueScale.of(self.model.training.interactions)

    @cached_property
    def reads_beside(self) -> bool:
        """Whether stored friends, searches or places can change a slate."""
        scorers = self.model.ensemble.scorers
        has_text = bool(self.model.text.shape[1])
        return has_text or any(name in scorers for name in READ_CONTEXT)

    @cached_property
    def _lower_titles(self) -> pl.Series:
        return self.model.catalog.title_column().str.to_lowercase()

    def title_of(self, item_id: str) -> str | None:
        """Return the title of an item; None where it is not in the catalog."""
        return self.titles_of([item_id])[0]

    def absent(self, categories: Sequence[str]) -> list[str]:
        """Return the categories that no item has, by the rule of quotas."""
        has = category_matrix(self.model.catalog.frame, categories)
        return [name for place, name in enumerate(categories) if not has[:, place].any()]

    def attributes_of(self, rows: list[int], fields: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return the content of the items at these rows, without missing cells; only the columns
        `fields` where any are named.

        Raises:
            BadInput: if there is no such column.
        """
        columns = self.model.catalog.frame.drop("item_id")
        for name in fields:
            if name not in columns.columns:
                near = nearest(name, columns.columns, 0.5)
                hint = f"did you mean {near!r}?" if near else f"there are {columns.columns}"
                raise BadInput(f"fields: the catalog has no column {name!r}; {hint}")
        table = (columns.select(fields) if fields else columns)[rows]
        return [
            {name: _plain(value) for name, value in row.items() if value is not None}
            for row in table.iter_rows(named=True)
        ]

    def row_of(self, item_id: str) -> int:
        """Return the row of an item; -1 where it is unknown or deleted."""
        return -1 if item_id in self.deleted else int(self.model.vocabulary.indexes([item_id])[0])

    @cached_property
    def passes(self) -> np.ndarray:
        """[N] whether each item is not deleted and passes the service's own filter."""
        return np.asarray(filter_mask(self.only, self.model.catalog.frame) & self.is_there)

    @cached_property
    def is_there(self) -> np.ndarray:
        """[N] False for items that were deleted."""
        there = np.ones(len(self.model.vocabulary), bool)
        gone = self.model.vocabulary.indexes(self.deleted)
        there[gone[gone >= 0]] = False
        return there

    @cached_property
    def trained_counts(self) -> np.ndarray:
        """[N] number of positive events on each item in the training data."""
        events = self.model.training.interactions
        liked = events.frame.filter(events.acts()["sign"] > 0)
        rows = self.model.vocabulary.indexes(liked["item_id"])
        counts = np.bincount(rows[rows >= 0], minlength=len(self.model.vocabulary))
        return counts.astype(np.float64)

    def search(self, text: str, k: int) -> list[int]:
        """Return the rows of up to `k` items whose titles contain all words, case ignored:
        titles that begin with the words first, else in catalog order. Deleted items are left out.
        """
        lowered = text.lower().split()
        holds = pl.Series(self.is_there)
        for word in lowered:
            holds = holds & self._lower_titles.str.contains(word, literal=True)
        rows = holds.arg_true()
        begins = self._lower_titles[rows].str.starts_with(" ".join(lowered))
        return (
            pl.DataFrame({"row": rows, "begins": begins})
            .sort("begins", descending=True, maintain_order=True)["row"][:k]
            .to_list()
        )

    @cached_property
    def _likeness(self) -> ItemLikeness:
        return ItemLikeness(self.model)

    def similar(
        self, row: int, k: int, request: Request | None = None, by: Likeness = "taste"
    ) -> tuple[list[int], list[float]]:
        """Return the rows of up to `k` items most similar to the one at `row`, and their
        similarities (`ItemLikeness.closeness`). Only items that pass the filter and that the policy
        allows for the user of `request`, where it is None for an unknown user.
        """
        closeness = self._likeness.closeness(row, by)
        closeness[row] = -np.inf
        closeness[~self.passes] = -np.inf
        closeness[~self.model.policy_check.allowed([request or Request()])[0]] = -np.inf
        k = min(k, len(closeness) - 1)
        border = -np.partition(-closeness, k - 1)[k - 1] if k > 0 else np.inf
        best = np.flatnonzero(closeness >= max(border, np.finfo(np.float32).min))
        best = best[np.argsort(-closeness[best], kind="stable")][: max(k, 0)]
        return best.tolist(), closeness[best].astype(float).tolist()


class LiveModel:
    """The served model of one worker process, kept up to date."""

    def __init__(self, registry: Registry, store: Store, only: str = "") -> None:
        """Load the current model and the items added to the store.

        Where the current model cannot be read, the one that served before is loaded, so that a
        worker that starts during a bad promotion still serves.

        Raises:
            BrokenArtifact: if no model can be read.
        """
        self.registry, self._store, self._only = registry, store, only
        self._lock = threading.Lock()
        self._refused = ""
        self.warming: asyncio.Task[None] | None = None
        """Background task that loads what the first slates do not need; None where there is
        none.
        """
        self._version, model = self._first_that_loads()
        self.served = self._with_new_items(Served(model, 0))
        # A filter that cannot be read raises here, before any request.
        log.debug("shown at most", extra={"items": int(self.served.passes.sum())})

    def _first_that_loads(self) -> tuple[str, Recommender]:
        first: Exception | None = None
        for version in self.registry.ways_back():
            place = self.registry.place_of(version)
            try:
                with reading_whole(place):
                    return version, warm(Recommender.load(place))
            except (BrokenArtifact, FileNotFoundError) as error:
                log.error(
                    "a model cannot be read, trying the one before",
                    extra={"version": version, "problem": str(error)},
                )
                self._refused, first = self._refused or version, first or error
        assert first is not None, "there is always the first model to try"
        raise first

    def refresh_items(self) -> int:
        """Add the items that are new or changed in the store; return by how much the items' version
        grew. Safe to call from any thread.
        """
        if self._store.items_version() == self.served.items_version:
            return 0
        with self._lock:
            before = self.served
            self.served = self._with_new_items(before)
            return self.served.items_version - before.items_version

    def refresh_model(self) -> bool | None:
        """Load the registry's current model where it is another one: True if it serves now, False
        if it could not be loaded, None if nothing changed.
        """
        version = self.registry.current()
        if version in (self._version, self._refused):
            return None
        with self._lock:
            try:
                # All items of the store are added again: the new model may have been trained
                # without them.
                served = self.load(version)
            except Exception as error:  # on any error the old model is kept
                self._refused = version
                log.error(
                    "the promoted model could not be loaded, the one before keeps serving",
                    extra={"version": version, "serving": self._version, "problem": str(error)},
                )
                return False
            self._refused = ""
            log.info("another model serves", extra={"version": version, "before": self._version})
            self.served, self._version = served, version
            return True

    def load(self, version: str) -> Served:
        """Load a model version with the items of the store, also to serve beside the current one.

        Raises:
            Exception: any error of loading it or of making a first slate.
        """
        model = warm_text(warm(Recommender.load(self.registry.place_of(version))))
        if model.version != version:  # answers and logs would name one, and the registry the other
            raise BadInput(
                f"the folder of model {version} holds model {model.version}: it was replaced while "
                f"the service ran; restart it"
            )
        return self._with_new_items(Served(model, 0))

    def renewed(self, served: Served) -> Served:
        """Return a model of `load` with the items added or changed since; itself where there are
        none.
        """
        if self._store.items_version() == served.items_version:
            return served
        return self._with_new_items(served)

    @property
    def serving(self) -> str:
        """Version of the served model; not the promoted one where that could not be loaded."""
        return self._version

    @property
    def refused(self) -> str:
        """Promoted version that could not be loaded; empty where there is none."""
        return self._refused

    @property
    def made_at(self) -> float:
        """Time at which the served model was saved, seconds since 1970: that of its oldest array
        file, as forgetting a user rewrites some of them later.
        """
        times = [path.stat().st_mtime for path in self.folder.glob("*.safetensors")]
        return min(times, default=time.time())

    @property
    def folder(self) -> Path:
        """Folder of the model that serves."""
        return self.registry.place_of(self._version)

    async def warmed(self, seconds: float | None = None) -> bool:
        """Wait for `warming`, at most `seconds` (None: without a limit), so that a query in words
        does not load the text encoder in the event loop and block all requests.

        Returns:
            Whether the loading has ended.
        """
        if self.warming is not None and not self.warming.done():
            await asyncio.wait([self.warming], timeout=seconds)
        return self.warming is None or self.warming.done()

    def retry(self) -> None:
        """Clear `refused`, so that the next refresh tries that version again."""
        self._refused = ""

    def _with_new_items(self, served: Served) -> Served:
        rows = self._store.items_since(served.items_version)
        if not rows:
            return served if served.only == self._only else replace(served, only=self._only)
        frame = items_frame(
            [(item_id, attributes) for item_id, attributes, _ in rows],
            served.model.catalog.frame.schema,
        )[0]
        return Served(
            served.model.with_items(frame), rows[-1][2], self._store.deleted_items(), self._only
        )


def warm_text(model: Recommender) -> Recommender:
    """Load the text encoder of a model, make a first slate for a query in words, and return the
    model. A pretrained encoder takes seconds to load, for which the first such query, new item or
    explanation would wait; other slates do not need it. Does nothing for a catalog without texts.
    """
    if not model.text.shape[1]:
        return model
    encoder = model.item_inputs.encoder
    if isinstance(encoder, PretrainedEncoder):
        encoder.load()  # the wish below may be in its cache, which would leave it unloaded
    model.recommend([Request(wish="something")], k=1)
    return model


def _plain(value: Any) -> Any:
    """Convert a cell to a JSON value; None for a float that is not finite."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, str | int | bool | list) else str(value)

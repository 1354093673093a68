"""The model that serves: follows the registry's pointer and the store's items, and swaps without
dropping a request.

Handlers take `live.served` once and use that object to the end; a swap puts a new object in its
place.
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
from metarec.data.relations import SPENT_AFTER
from metarec.data.schema import BadInput
from metarec.features.encoders.text.pretrained import PretrainedEncoder
from metarec.feedback.outcomes import ValueScale
from metarec.feedback.registry import Registry
from metarec.feedback.store.event_store import Store
from metarec.models.base import LARGE
from metarec.models.registry import READ_CONTEXT, SEARCH
from metarec.models.search import Search
from metarec.recommendation.filters import filter_mask
from metarec.recommendation.ordering.rules import category_matrix
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender
from metarec.runtime.artifacts import BrokenArtifact, reading_whole

log = logging.getLogger("metarec.service")


@dataclass(frozen=True)
class Served:
    """A recommender with what answering needs beside it, all of one moment."""

    model: Recommender
    items_version: int
    """Version of the store's items that the model holds."""
    deleted: frozenset[str] = frozenset()
    """Items that the store holds as deleted; the model does not show them."""
    only: str = ""
    """Filter that every slate heeds."""

    def titles_at(self, rows: Sequence[int]) -> list[str]:
        """What to call the items at these rows."""
        if len(self.model.catalog) >= LARGE:
            return self.model.catalog.titles(rows)
        return [self._titles[row] for row in rows]

    def titles_of(self, item_ids: Sequence[str]) -> list[str | None]:
        """What to call items; None for one that is not in the catalog."""
        if len(self.model.catalog) < LARGE:
            return [self._title_by_id.get(item_id) for item_id in item_ids]
        rows = self.model.vocabulary.indexes(item_ids).tolist()
        known = iter(self.titles_at([row for row in rows if row >= 0]))
        return [next(known) if row >= 0 else None for row in rows]

    @cached_property
    def _titles(self) -> list[str]:
        return self.model.catalog.titles()

    @cached_property
    def _title_by_id(self) -> dict[str, str]:
        return dict(zip(self.model.vocabulary.ids, self._titles, strict=True))

    @cached_property
    def scale(self) -> ValueScale:
        """The scale of the values that the model was trained on."""
        return ValueScale.of(self.model.training.interactions)

    @cached_property
    def reads_beside(self) -> bool:
        """Whether stored friends, searches or places can change a slate."""
        scorers = self.model.ensemble.scorers
        has_text = bool(self.model.text.shape[1])
        return has_text or any(name in scorers for name in READ_CONTEXT)

    @cached_property
    def searches_last(self) -> int:
        """Later events after which a stored search is no longer told."""
        search = self.model.ensemble.scorers.get(SEARCH)
        return search.lasts if isinstance(search, Search) else SPENT_AFTER

    @cached_property
    def _lower_titles(self) -> pl.Series:
        return self.model.catalog.title_column().str.to_lowercase()

    def title_of(self, item_id: str) -> str | None:
        """What to call an item, or None if it is not in the catalog."""
        return self.titles_of([item_id])[0]

    def absent(self, categories: Sequence[str]) -> list[str]:
        """Those of these categories that no item is of, as quotas understand them."""
        has = category_matrix(self.model.catalog.frame, categories)
        return [name for place, name in enumerate(categories) if not has[:, place].any()]

    def attributes_of(self, rows: list[int], fields: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Content of the items at these rows, without what is missing; only these columns, if any
        are named.

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
        """Row of an item; -1 where there is none, or it was deleted."""
        return -1 if item_id in self.deleted else int(self.model.vocabulary.indexes([item_id])[0])

    @cached_property
    def passes(self) -> np.ndarray:
        """[N] whether each item is there and passes the service's own filter."""
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
        """[N] acts in favor of each item in training."""
        events = self.model.training.interactions
        liked = events.frame.filter(events.acts()["sign"] > 0)
        rows = self.model.vocabulary.indexes(liked["item_id"])
        counts = np.bincount(rows[rows >= 0], minlength=len(self.model.vocabulary))
        return counts.astype(np.float64)

    def search(self, words: str, most: int) -> list[int]:
        """Rows of items whose title holds all words; those that begin with them first, then in
        catalog order.
        """
        lowered = words.lower().split()
        holds = pl.Series(self.is_there)
        for word in lowered:
            holds = holds & self._lower_titles.str.contains(word, literal=True)
        found = holds.arg_true()
        begins = self._lower_titles[found].str.starts_with(" ".join(lowered))
        return (
            pl.DataFrame({"row": found, "begins": begins})
            .sort("begins", descending=True, maintain_order=True)["row"][:most]
            .to_list()
        )

    @cached_property
    def _likeness(self) -> ItemLikeness:
        return ItemLikeness(self.model)

    def similar(
        self, row: int, most: int, request: Request | None = None, by: Likeness = "taste"
    ) -> tuple[list[int], list[float]]:
        """Rows of the items most like another, and how alike each is: the cosine of embeddings,
        which say who takes to an item, and where this item has a text the mean of it and the cosine
        of texts. Only items that the policy shows to the user of `request`, or to somebody of whom
        nothing is known. Instead by what the same users met: `also_viewed`,
        `bought_together`.
        """
        closeness = self._likeness.closeness(row, by)
        closeness[row] = -np.inf
        closeness[~self.passes] = -np.inf
        closeness[~self.model.policy_check.allowed([request or Request()])[0]] = -np.inf
        most = min(most, len(closeness) - 1)
        border = -np.partition(-closeness, most - 1)[most - 1] if most > 0 else np.inf
        best = np.flatnonzero(closeness >= max(border, np.finfo(np.float32).min))
        best = best[np.argsort(-closeness[best], kind="stable")][: max(most, 0)]
        return best.tolist(), closeness[best].astype(float).tolist()


class LiveModel:
    """The served model of one worker, kept up to date."""

    def __init__(self, registry: Registry, store: Store, only: str = "") -> None:
        """Load the current model and the items added while serving.

        A current model that cannot be read is passed over for the one that served before, so that a
        worker started anew during a bad promotion still serves.

        Raises:
            BrokenArtifact: if no model can be read.
        """
        self.registry, self._store, self._only = registry, store, only
        self._lock = threading.Lock()
        self._refused = ""
        self.warming: asyncio.Task[None] | None = None
        """Loading what the first slates do not need, aside."""
        self._version, model = self._first_that_loads()
        self.served = self._with_new_items(Served(model, 0))
        # A filter that cannot be read is told before anybody asks
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
        """Take up items added or changed since; how many there were. Safe to call from any
        thread.
        """
        if self._store.items_version() == self.served.items_version:
            return 0
        with self._lock:
            before = self.served
            self.served = self._with_new_items(before)
            return self.served.items_version - before.items_version

    def refresh_model(self) -> bool | None:
        """Load the promoted model if another was: True if it serves now, False if it could not be
        loaded, None if nothing changed.
        """
        version = self.registry.current()
        if version in (self._version, self._refused):
            return None
        with self._lock:
            try:
                # All items of the store are added again: the new model may have been trained
                # without them.
                served = self.load(version)
            except (
                Exception
            ) as error:  # whatever is wrong with a new model, the old one keeps serving
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
        """Another model with the items of the store, to serve beside this one.

        Raises:
            Exception: whatever keeps it from serving.
        """
        model = warm_text(warm(Recommender.load(self.registry.place_of(version))))
        if model.version != version:  # answers and logs would name one, and the registry the other
            raise BadInput(
                f"the folder of model {version} holds model {model.version}: it was replaced while "
                f"the service ran; restart it"
            )
        return self._with_new_items(Served(model, 0))

    def renewed(self, served: Served) -> Served:
        """A model loaded here with the items added or changed since; itself where there are
        none.
        """
        if self._store.items_version() == served.items_version:
            return served
        return self._with_new_items(served)

    @property
    def serving(self) -> str:
        """Version of the model that serves, which is not the promoted one where that could not be
        loaded.
        """
        return self._version

    @property
    def refused(self) -> str:
        """Version that was promoted and could not be loaded; empty where there is none."""
        return self._refused

    @property
    def made_at(self) -> float:
        """When the model that serves was saved, seconds since 1970. The oldest of its files says
        so: who is forgotten later is taken out of some of them.
        """
        times = [path.stat().st_mtime for path in self.folder.glob("*.safetensors")]
        return min(times, default=time.time())

    @property
    def folder(self) -> Path:
        """Folder of the model that serves."""
        return self.registry.place_of(self._version)

    async def warmed(self, seconds: float | None = None) -> bool:
        """Wait for what loads aside, at most so long, so that a wish does not load it in the event
        loop, where everyone would wait for it.

        Returns:
            Whether it is there.
        """
        if self.warming is not None and not self.warming.done():
            await asyncio.wait([self.warming], timeout=seconds)
        return self.warming is None or self.warming.done()

    def retry(self) -> None:
        """Forget that a model could not be loaded, so that the next refresh tries again."""
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
    """The model after a first wish: loading a pretrained reader of texts takes seconds, which the
    first wish, new item or explanation would wait for. Other slates do not need it, so a service is
    ready before. A catalog without texts has nothing to match a wish with.
    """
    if not model.text.shape[1]:
        return model
    encoder = model.item_inputs.encoder
    if isinstance(encoder, PretrainedEncoder):
        encoder.load()  # the wish below may be in its cache, which would leave it unloaded
    model.recommend([Request(wish="something")], k=1)
    return model


def _plain(value: Any) -> Any:
    """A cell as JSON holds it."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, str | int | bool | list) else str(value)

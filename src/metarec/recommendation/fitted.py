"""The state of a fitted model, which the stages of a recommendation read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Self

import numpy as np
import polars as pl

from metarec.data.cleaning_config import CleaningConfig
from metarec.data.cold_users import Horizon
from metarec.data.dataset import Dataset
from metarec.data.domains import Policy
from metarec.data.relations import SPENT_AFTER
from metarec.data.schema import Catalog, Vocabulary
from metarec.features.context_columns import ContextColumns
from metarec.features.events import EventReader
from metarec.features.histories import Histories
from metarec.features.items import ItemInputs
from metarec.features.profiles import ProfileInputs
from metarec.features.users import UserBatch
from metarec.features.users_in_words import UsersInWords
from metarec.models.als import Als
from metarec.models.base import LARGE
from metarec.models.cold_items.reorder import NewItemPlaces
from metarec.models.rating.head import RatingHead
from metarec.models.registry import SEARCH
from metarec.models.search import Search
from metarec.recommendation.candidates.retrieval import Retrieval
from metarec.recommendation.conformal import Conformal
from metarec.recommendation.ensemble.blend import Ensemble
from metarec.recommendation.ensemble.prior import Prior
from metarec.recommendation.ensemble.refusals import weight_note
from metarec.recommendation.notes import columns_note
from metarec.recommendation.ordering.exploration import directions_of, posterior_std
from metarec.recommendation.policy.policy import PolicyCheck
from metarec.recommendation.settings import Settings
from metarec.recommendation.slate import Request
from metarec.recommendation.users import RequestReader

COLD_BELOW = CleaningConfig.cold_below
"""Items with fewer training events are cold."""


@dataclass(frozen=True, kw_only=True, repr=False)
class FittedModel:
    """All that a fit learned, and values derived from it."""

    settings: Settings
    catalog: Catalog
    """Items in vocabulary order, the order of the columns of scores."""
    training: Dataset
    """The training data (retraining starts from it)."""
    horizon: Horizon
    """Support sizes that the gate was learned for."""
    policy: Policy
    """Policy that all slates obey."""
    item_inputs: ItemInputs
    """Text encoder and content columns of items."""
    profile_inputs: ProfileInputs
    """Profile columns of users."""
    content: np.ndarray
    """[N, C] float32 content columns of the catalog."""
    text: np.ndarray
    """[N, E] float16 text embeddings of the catalog; queries in words are matched with them."""
    ensemble: Ensemble
    """Scorers and the gates that blend them."""
    new_items: NewItemPlaces | None
    """Reranks cold items among themselves; None where the preset does not include it or too few
    items could teach it.
    """
    ratings: RatingHead | None
    """Predicts ratings; None where values are not ratings."""
    version: str
    """Digest of data and settings."""
    intervals: Conformal | None = None
    """Conformal factors on predicted standard deviations, calibrated on held-out training users;
    None where these were too few.
    """
    prior: Prior | None = None
    """Prior that the fit started from; None without one, or where it did not help."""
    retrieval: Retrieval | None = None
    """Candidate generation of a large catalog; None where the whole catalog is scored."""
    transfer: tuple[str, ...] = ()
    """Sentences on how a given prior was used."""

    @classmethod
    def of(cls, model: FittedModel) -> Self:
        """Return `model` as an instance of this subclass, with its methods."""
        return cls(**{one.name: getattr(model, one.name) for one in fields(model)})

    @property
    def vocabulary(self) -> Vocabulary:
        """Item id <-> column of the scores."""
        return self.catalog.vocabulary

    @property
    def preset(self) -> str:
        """Preset, the size of the model."""
        return self.settings.preset

    @property
    def has_values(self) -> bool:
        """Whether events carry ratings, so that `rate` is possible."""
        return self.training.interactions.has_values

    @property
    def notes(self) -> list[str]:
        """Sentences on the fit, such as users that a scorer left out."""
        parts = [*self.ensemble.scorers.values(), self.ensemble.trend, self.retrieval]
        notes = [
            *(getattr(part, "note", "") for part in parts),
            columns_note(self.ensemble.scorers, self.context_columns),
            weight_note(self.ensemble.refusal),
        ]
        return [*self.transfer, *(str(note) for note in notes if note)]

    @cached_property
    def reads_users(self) -> bool:
        """Whether a scorer reads users as text, so that any profile attribute may matter."""
        return any("text" in scorer.reads for scorer in self.ensemble.scorers.values())

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value trained on."""
        return self.training.interactions.value_range

    @property
    def relevant_from(self) -> float:
        """The value from which an event counts as liked."""
        return self.training.interactions.relevant_from

    @property
    def item_embeddings(self) -> np.ndarray:
        """[N, D] float32 item factors of ALS (predicted from content for cold items); content
        columns where the model has no ALS.
        """
        factors = self.ensemble.scorers.get("als")
        return factors.items if isinstance(factors, Als) else self.content

    @cached_property
    def item_words(self) -> list[str]:
        """[N] all text columns of each item in one casefolded string."""
        columns = [
            self.catalog.frame[name].cast(pl.List(pl.Utf8)).list.join(" ")
            if self.catalog.frame[name].dtype == pl.List(pl.Utf8)
            else self.catalog.frame[name]
            for name, kind in self.catalog.frame.schema.items()
            if name != "item_id" and kind in (pl.Utf8, pl.List(pl.Utf8))
        ]
        rows = zip(*columns, strict=True) if columns else ((),) * len(self.catalog)
        return [" ".join(str(cell) for cell in row if cell).casefold() for row in rows]

    @cached_property
    def item_directions(self) -> np.ndarray:
        """[N, D] float32: the embeddings normalized to length 1."""
        return directions_of(self.item_embeddings)

    def posterior_std(self, support: Histories, items: np.ndarray) -> np.ndarray:
        """[B, K] standard deviation of the scores of `items` [B, K] given each user's events."""
        if len(self.catalog) < LARGE:
            return posterior_std(self.item_directions, support, items)
        distinct = np.unique(np.concatenate([support.items, items.ravel()]))
        some = replace(support, items=np.searchsorted(distinct, support.items))
        directions = directions_of(self.item_embeddings[distinct])
        return posterior_std(directions, some, np.searchsorted(distinct, items))

    @cached_property
    def popularity_uncertainty(self) -> np.ndarray:
        """[N] standard deviation of the log popularity of items without events; 0 for all
        others.
        """
        has_events = np.zeros(len(self.catalog), bool)
        has_events[self.vocabulary.indexes(self.trained_on["item_id"].unique())] = True
        return self.ensemble.popularity_uncertainty(self.content, has_events)

    @cached_property
    def cold_items(self) -> np.ndarray:
        """Indexes of items with fewer than `COLD_BELOW` training events."""
        return np.flatnonzero(self.n_events < COLD_BELOW)

    @cached_property
    def n_events(self) -> np.ndarray:
        """[N] int32 number of training events of each item."""
        rows = self.vocabulary.indexes(self.trained_on["item_id"])
        return np.bincount(rows, minlength=len(self.catalog)).astype(np.int32)

    def reuse_caches(self, before: FittedModel) -> None:
        """Take over caches that do not depend on new items from a model with fewer items."""
        self.ensemble.reuse_caches(before.ensemble)
        cached = vars(before)
        if "request_reader" in cached:
            vars(self)["request_reader"] = before.request_reader.with_catalog(self.catalog)
        if "n_events" in cached:
            more = len(self.catalog) - len(before.catalog)
            vars(self)["n_events"] = np.pad(before.n_events, (0, more))

    @property
    def trained_on(self) -> pl.DataFrame:
        """The training events."""
        return self.training.interactions.filled

    @property
    def trained_until(self) -> float | None:
        """Time of the newest training event, seconds; None for data without times."""
        newest = self.trained_on["timestamp"].max() if self.training.interactions.has_time else None
        # Polars types max() as any literal
        return None if newest is None else float(newest)  # type: ignore[arg-type]

    @property
    def new_from(self) -> float:
        """Time from which stored events are new to the model: just after its newest training event,
        which an import stores, too; 0 for data without times.
        """
        until = self.trained_until
        return 0.0 if until is None else float(np.nextafter(until, np.inf))

    def training_data(self) -> Dataset:
        """Return the training data."""
        return self.training

    @cached_property
    def policy_check(self) -> PolicyCheck:
        """The policy over the catalog; everything that shows items uses it."""
        check = PolicyCheck(
            self.policy,
            self.catalog.frame,
            users=self.training.users.frame,
            kinds=self.training.interactions.kinds,
        )
        vars(check.columns)["vocabulary"] = self.vocabulary
        return check

    def policy_notes(self, request: Request, shown: Sequence[int]) -> list[str]:
        """Return notes on unknown profile attributes, and on what the policy could not check for
        one user and the items (indexes) `shown`.
        """
        odd = self.policy_check.odd_attributes(request.profile, reads_any=self.reads_users)
        notice = [self.policy.notice] if self.policy.notice else []
        return [*odd, *self.policy_check.notes(request, shown), *notice]

    @cached_property
    def request_reader(self) -> RequestReader:
        """Turns requests into a batch of users."""
        return RequestReader(
            training=self.training, catalog=self.catalog, profile_inputs=self.profile_inputs
        )

    @property
    def reader(self) -> EventReader:
        """Reader of event kinds and values, the same for requests as in training."""
        return self.request_reader.events

    @property
    def context_columns(self) -> ContextColumns:
        """Context columns of the training events."""
        return self.request_reader.context_columns

    @property
    def searches_last(self) -> int:
        """Number of later positive events after which a search is left out of requests."""
        search = self.ensemble.scorers.get(SEARCH)
        return search.lasts if isinstance(search, Search) else SPENT_AFTER

    def __repr__(self) -> str:
        users = self.trained_on["user_id"].n_unique()
        return (
            f"{type(self).__name__}({self.settings.preset}: {len(self.catalog):,} items, {users:,} "
            f"users, version {self.version})"
        )

    def users(self, requests: Sequence[Request]) -> tuple[UserBatch, np.ndarray]:
        """Return the users of the requests, and [B] the number of each user's events with unknown
        items.
        """
        return self.request_reader.users(requests)

    def fold_in(self, request: Request) -> dict[str, np.ndarray]:
        """Return the parameters adapted to one user, without training: blending weights, and user
        factors where the model has ALS.
        """
        support = self.users([request])[0].support
        params, als = self.ensemble.gate.at(support.lengths), self.ensemble.scorers.get("als")
        return {**params, "factors": als.fold_in(support)} if isinstance(als, Als) else params


def users_in_words(
    catalog: Catalog, inputs: ItemInputs, liked_from: float, settings: Settings
) -> UsersInWords:
    """Return how this model's users are written as text, and the encoder, that of the items, which
    reads it.
    """
    return UsersInWords(
        encoder=inputs.encoder,
        titles=catalog.titles(),
        liked_from=liked_from,
        template=settings.user_template,
    )

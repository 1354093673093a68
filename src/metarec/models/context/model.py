"""Context-aware popularity: how much more often an item is taken at this hour, in this weather, on
this device.

Naive Bayes over context columns (Campos et al. 2014, "Time-aware recommender systems", compare such
pre-filters): log P(value | item) / P(value), shrunk and summed over the columns that predict events
of held-out users. Other columns are not read, and are named in a note.

The lifts of each column are shrunk towards the prior with the highest likelihood on held-out users.
The priors tried are: no lift; a ridge regression of the lifts on content, so that a park learns
from other parks and a new item has lifts too; the leading axes of all columns and items together
(correspondence analysis: Greenacre 2017, "Correspondence analysis in practice"), so that an item
learns from items chosen under the same circumstances, and 23 o'clock from 22; or content and axes.
Axes are shrunk by how far they rise above noise (Gavish and Donoho 2017, "Optimal shrinkage of
singular values"). Repeated events of a user on an item share a total weight of 1, so that one heavy
user of an app does not set its hours for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from metarec.features.behavior import Behavior
from metarec.features.training_context import Acts
from metarec.features.users import UserBatch
from metarec.models.config import ModelConfig, setting
from metarec.models.context.lifts import (
    Way,
    by_content_of,
    lifts_of,
    popularity_of,
    ratios_by_axes,
    ratios_of,
    shrunk,
    tables_of,
)

MAX_CELLS = 20_000_000
"""Bound: number of codes times items up to which axes and content are tried; several tables of that
size are held in memory.
"""


@dataclass(frozen=True, kw_only=True)
class ContextConfig(ModelConfig):
    """Hyper-parameters of context. From each list one value is chosen on held-out users: of the
    dampings one for each column, of the weights one for all.
    """

    damping: tuple[float, ...] = setting((5.0, 20.0, 80.0, 320.0), above=0)
    """Pseudo-counts of events that are tried, which shrink an item's lifts towards the prior (each
    above 0).
    """
    content_damping: tuple[float, ...] = setting((10.0, 100.0), above=0)
    """Pseudo-counts of events that are tried, which shrink the lifts predicted from content towards
    none (each above 0).
    """
    weights: tuple[float, ...] = setting((0.5, 1.0), least=0)
    """Weights of the sum over columns that are tried (each 0 or more)."""
    min_t: float = setting(3.0)
    """Smallest t statistic of a column's gain in log-likelihood over held-out users with which it
    is read.
    """
    min_ratio: float = setting(0.02, above=0, most=1)
    """Lower bound of P(value | item) / P(value) predicted from content and axes (above 0, 1 at
    most).
    """
    max_acts: int = setting(4000, least=1)
    """Held-out events on which these are chosen, at most (1 or more)."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """Evidence = popularity times the lift of each known circumstance."""

    lifts: np.ndarray
    """[S, N] float32 log lifts, the codes of all columns stacked; 0 for the unknown code."""
    starts: np.ndarray
    """[C] int64 first row of each column in `lifts`."""
    is_read: np.ndarray
    """[C] bool: whether the column predicts events of held-out users."""
    names: tuple[str, ...]
    """[C] names of the columns."""
    popularity: np.ndarray
    """[N] float32 share of each item in all events, smoothed."""
    weight: float
    """Weight of the sum of log lifts."""
    by_content: np.ndarray
    """[C + 1, S] float32 weights from content columns, and an intercept last, to P(value | item) /
    P(value) - 1 of each code; zero where content is not used.
    """
    config: ContextConfig = ContextConfig()
    reads: ClassVar[frozenset[str]] = frozenset({"context"})

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: ContextConfig | None = None
    ) -> Context:
        """Choose columns and shrinkage on a held-out third of the users, then count over all."""
        config, context = config or cls.config, behavior.context
        assert context is not None, "fitted only where acts have circumstances"
        sizes, acts = context.columns.sizes, context.acts
        held = rng.random(len(context.members)) < 1 / 3
        kept, asked = acts.where(~held[acts.owners]), acts.where(held[acts.owners])
        asked = _one_of_each(asked.where(rng.permutation(len(asked.items))))
        asked = asked.where(rng.permutation(len(asked.items))[: config.max_acts])
        content = behavior.content
        ways, weight, is_read = _chosen(kept, asked, sizes, content, config)
        tables = tables_of(acts, sizes, behavior.n_items)
        known, by_content = lifts_of(tables, content, ways, config.min_ratio)
        return cls(
            lifts=known,
            starts=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
            is_read=is_read,
            names=tuple(context.columns.names),
            popularity=popularity_of(acts, behavior.n_items),
            weight=weight,
            by_content=by_content,
            config=config,
        )

    @property
    def read_columns(self) -> list[str]:
        """Names of the columns that are read."""
        return [name for name, told in zip(self.names, self.is_read, strict=True) if told]

    @property
    def note(self) -> str:
        """Note on the columns that are read and those that are not."""
        read = self.read_columns
        unread = [name for name in self.names if name not in read]
        said = f"context read: {', '.join(read) or 'none'}"
        return f"{said}; not used, since it tells nothing: {', '.join(unread)}" if unread else said

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> np.ndarray:
        """[B, N] float32 evidence for every item; zero for users without a known circumstance."""
        codes = users.context.circumstances
        found = np.zeros((len(users), len(self.popularity)), np.float32) if out is None else out
        found[:] = 0.0
        if not codes.shape[1]:
            return found
        told = self._told(users)
        for column in np.flatnonzero(told.any(0)):
            rows = np.where(told[:, column], codes[:, column], 0)
            found += self.lifts[self.starts[column] + rows]
        found *= self.weight
        np.exp(found, out=found)
        found *= self.popularity
        found[~told.any(1)] = 0.0
        return np.asarray(found)

    def knows(self, users: UserBatch) -> np.ndarray:
        """[B] whether a column that is read has a known value for each user."""
        return np.asarray(self._told(users).any(1))

    def _told(self, users: UserBatch) -> np.ndarray:
        """[B, C] whether each column is read and known for each user."""
        codes = users.context.circumstances
        return np.asarray((codes > 0) & self.is_read) if codes.shape[1] else codes > 0

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Context:
        """Return the model for a larger catalog; lifts of new items are predicted from content."""
        new = ratios_of(content[self.lifts.shape[1] :], self.by_content, self.config.min_ratio)
        lifts = np.concatenate([self.lifts, np.log(new).astype(np.float32)], axis=1)
        return replace(self, lifts=lifts, popularity=popularity.astype(np.float32))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned."""
        return {
            "lifts": self.lifts,
            "starts": self.starts,
            "is_read": self.is_read,
            "names": np.frombuffer("\n".join(self.names).encode(), np.uint8),
            "popularity": self.popularity,
            "weight": np.array([self.weight]),
            "by_content": self.by_content,
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: ContextConfig | None = None
    ) -> Context:
        """Restore the model from `arrays()`."""
        names = arrays["names"].tobytes().decode()
        return cls(
            lifts=arrays["lifts"],
            starts=arrays["starts"],
            is_read=arrays["is_read"].astype(bool),
            names=tuple(names.split("\n")) if names else (),
            popularity=arrays["popularity"],
            weight=float(arrays["weight"][0]),
            by_content=arrays.get("by_content", np.zeros((1, len(arrays["lifts"])), np.float32)),
            config=config or cls.config,
        )


def _one_of_each(acts: Acts) -> Acts:
    """The first event of each user on each item."""
    _, first = np.unique(np.stack([acts.owners, acts.items]), axis=1, return_index=True)
    return acts.where(first)


def _chosen(
    kept: Acts, asked: Acts, sizes: np.ndarray, content: np.ndarray, config: ContextConfig
) -> tuple[list[Way], float, np.ndarray]:
    """The shrinkage of each column, the weight of all, and which columns are read: those with the
    highest likelihood of held-out users' events.
    """
    if not len(asked.items) or not len(kept.items):
        way = Way(damping=config.damping[-1])
        return [way] * len(sizes), 1.0, np.zeros(len(sizes), bool)
    popularity = np.log(popularity_of(kept, len(content)))
    tables, best = tables_of(kept, sizes, len(content)), list[_Tried]()
    for by_axes, content_damping in _priors(sizes, content, config):
        told = by_content_of(tables, content, content_damping)
        ratios = [ratios_of(content, one, config.min_ratio) for one in told]
        if by_axes:
            ratios = ratios_by_axes(tables, ratios, config.min_ratio)
        for damping in config.damping:
            way = Way(damping=damping, content_damping=content_damping, by_axes=by_axes)
            tried = [
                _Tried.of(shrunk(table, ratio, damping), codes, asked, popularity, way)
                for table, ratio, codes in zip(tables, ratios, asked.codes.T, strict=True)
            ]
            best = [max(p, key=_Tried.mean) for p in zip(best or tried, tried, strict=True)]
    is_read = np.array([_t_statistic(one.gain, asked.owners) > config.min_t for one in best], bool)
    lifts = [one.lifts for one in best]
    totals = [_total_gain(lifts, is_read, asked, popularity, w) for w in config.weights]
    return [one.way for one in best], config.weights[int(np.argmax(totals))], is_read


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """Lifts of a column under one way of shrinkage."""

    way: Way
    lifts: np.ndarray
    """[S, N] log lifts."""
    gain: np.ndarray
    """[A] gain in log-likelihood of each held-out event."""

    @classmethod
    def of(
        cls, lifts: np.ndarray, codes: np.ndarray, asked: Acts, popularity: np.ndarray, way: Way
    ) -> _Tried:
        return cls(way=way, lifts=lifts, gain=_gain(lifts, codes, asked, popularity))

    def mean(self) -> float:
        """Mean gain over all held-out events."""
        return float(self.gain.mean())


def _priors(
    sizes: np.ndarray, content: np.ndarray, config: ContextConfig
) -> list[tuple[bool, float | None]]:
    """Priors to try: whether by axes, and the damping of content (None: without content)."""
    if sizes.sum() * len(content) > MAX_CELLS:
        return [(False, None)]
    dampings = (None, *config.content_damping) if content.shape[1] else (None,)
    return [(by_axes, damping) for damping in dampings for by_axes in (False, True)]


def _gain(
    table: np.ndarray,
    codes: np.ndarray,
    asked: Acts,
    popularity: np.ndarray,
) -> np.ndarray:
    """[A] gain in log-likelihood of each event by the lifts of one column."""
    norms = np.log(np.exp(popularity[None, :] + table).sum(1))
    gain = table[codes, asked.items] - norms[codes]
    return np.asarray(np.where(codes > 0, gain, 0.0))


def _total_gain(
    tables: list[np.ndarray],
    is_read: np.ndarray,
    asked: Acts,
    popularity: np.ndarray,
    weight: float,
    most: int = 4_000_000,
) -> float:
    """Mean gain of all columns that are read together, over so many events that at most `most`
    scores are computed.
    """
    some = slice(0, min(1000, max(50, most // len(popularity))))
    lifts = np.zeros((len(asked.items[some]), len(popularity)), np.float32)
    for column in np.flatnonzero(is_read):
        lifts += tables[column][asked.codes[some, column]]
    scores = popularity[None, :] + weight * lifts
    norms = np.log(np.exp(scores).sum(1))
    told = scores[np.arange(len(scores)), asked.items[some]]
    return float((told - norms - popularity[asked.items[some]]).mean())


def _t_statistic(gain: np.ndarray, owners: np.ndarray) -> float:
    """Return the t statistic of the users' mean gains; 0 with fewer than three users."""
    users, place = np.unique(owners, return_inverse=True)
    if len(users) < 3:
        return 0.0
    means = np.bincount(place, gain) / np.bincount(place)
    return float(means.mean() / (means.std(ddof=1) / np.sqrt(len(means)) + 1e-12))

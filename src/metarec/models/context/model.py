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
from metarec.features.users import UserBatch
from metarec.models.context.choosing import chosen_for
from metarec.models.context.config import ContextConfig
from metarec.models.context.lifts import lifts_of, popularity_of, ratios_of, tables_of


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
        config, n_items, context = config or cls.config, behavior.n_items, behavior.context
        assert context is not None, "fitted only where acts have circumstances"
        choice = chosen_for(context, behavior.content, rng, config)
        acts, sizes = context.acts, context.columns.sizes
        tables = tables_of(acts, sizes, n_items)
        lifts, by_content = lifts_of(tables, behavior.content, choice.ways, config.min_ratio)
        return cls(
            lifts=lifts,
            starts=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
            is_read=np.array([way is not None for way in choice.ways], bool),
            names=tuple(context.columns.names),
            popularity=popularity_of(acts, n_items),
            weight=choice.weight,
            by_content=by_content,
            config=config,
        )

    @property
    def read_columns(self) -> list[str]:
        """Names of the columns that are read."""
        return [name for name, is_read in zip(self.names, self.is_read, strict=True) if is_read]

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> np.ndarray:
        """[B, N] float32 evidence for every item; zero for users without a known circumstance."""
        codes = users.context.circumstances
        evidence = np.zeros((len(users), len(self.popularity)), np.float32) if out is None else out
        evidence[:] = 0.0
        if not codes.shape[1]:
            return evidence
        is_known = self._is_known(users)
        for column in np.flatnonzero(is_known.any(0)):
            rows = np.where(is_known[:, column], codes[:, column], 0)
            evidence += self.lifts[self.starts[column] + rows]
        evidence *= self.weight
        np.exp(evidence, out=evidence)
        evidence *= self.popularity
        evidence[~is_known.any(1)] = 0.0
        return np.asarray(evidence)

    def knows(self, users: UserBatch) -> np.ndarray:
        """[B] whether a column that is read has a known value for each user."""
        return np.asarray(self._is_known(users).any(1))

    def _is_known(self, users: UserBatch) -> np.ndarray:
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

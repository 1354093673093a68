"""Support ridge: a ridge regression from a support set to everything liked afterwards, one for each
support size.

A closed-form meta-learner: every training user is a task (support: their first k events, target:
what they liked after the support pool), so the weights are learned from exactly the evidence that a
new user offers. Targets are compressed to their leading singular vectors. The solve is in the dual
(users x users), as in R2-D2 (Bertinetto et al. 2019, arXiv:1805.08136), which differs in fitting
one ridge for each task, where this fits one over all tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.base import LARGE
from metarec.models.config import ModelConfig, setting
from metarec.models.support_ridge.dual import dual_ridge, leading
from metarec.runtime.decomposition import truncated_svd
from metarec.runtime.old_names import ARRAYS, with_current_names
from metarec.runtime.scratch import column_pieces, cut_at_zero


@dataclass(frozen=True, kw_only=True)
class SupportRidgeConfig(ModelConfig):
    """Hyper-parameters of the support ridge."""

    regularization: float = setting(100.0, above=0, search_range=(10, 1000))
    """L2 penalty that shrinks predictions towards the average user (above 0)."""
    rank: int = setting(40, at_least=1, search_range=(10, 80))
    """Number of leading singular directions that targets are compressed to (1 or more)."""
    factors: int = setting(16, at_least=1, search_range=(4, 48))
    """Number of leading factors of liked items (1 or more), by which rare items share what is
    learned about common ones.
    """
    profile_scale: float = setting(0.3, at_least=0, search_range=(0.03, 3))
    """Scale of the profile columns, relative to the items of the support (0 or more)."""
    factor_scale: float = setting(0.3**0.5, at_least=0)
    """Scale of the factors, relative to the items of the support (0 or more)."""
    max_tasks: int = setting(6000, at_least=2)
    """Training tasks, at most (2 or more)."""
    max_items: int = setting(20_000, at_least=2)
    """Items that are features, the most popular, at most (2 or more)."""


@dataclass(frozen=True, kw_only=True)
class SupportRidge:
    """Evidence = expected share of similar users who will like each item, cut at zero."""

    points: np.ndarray
    """[K] support sizes, each with its own regression."""
    weights: np.ndarray
    """[K, F, R] float32 regression weights from features to compressed targets."""
    directions: np.ndarray
    """[R, N] float32 leading directions of the targets. A large catalog that has grown has fewer
    columns than items, since new items are no targets.
    """
    mean: np.ndarray
    """[N] float32 share of training users who liked each item after their support pool."""
    tastes: np.ndarray
    """[M, D] float32 factors of the feature items."""
    place: np.ndarray
    """[N] int64 index of each item among the M feature items, -1 for other items."""
    relevant_from: float
    """Value from which an event counts as liked."""
    config: SupportRidgeConfig = SupportRidgeConfig()
    reads: ClassVar[frozenset[str]] = frozenset({"item", "rating", "strength", "profile"})

    @classmethod
    def fit(
        cls,
        behavior: Behavior,
        rng: np.random.Generator,
        config: SupportRidgeConfig | None = None,
    ) -> SupportRidge:
        """Solve one dual ridge regression for each point."""
        config = config or cls.config
        place, tastes = _feature_items(behavior, rng, config)
        histories, profiles, targets, pools, roots = _tasks(behavior, rng, config.max_tasks)
        mean = _mean(targets, roots)
        left, strength, directions = leading(
            targets, mean, roots, config.rank, int(rng.integers(2**31))
        )
        compressed = (left * strength).astype(np.float32)
        points = _points(behavior.horizon.pool)
        blank = cls(
            points=points,
            weights=np.zeros((len(points), 0, 0), np.float32),
            directions=directions.astype(np.float32),
            mean=mean,
            tastes=tastes,
            place=place,
            relevant_from=behavior.relevant_from,
            config=config,
        )
        weights = [
            dual_ridge(
                *blank.features(histories.first(np.minimum(point, pools)), profiles),
                compressed,
                roots,
                config.regularization,
            )
            for point in points
        ]
        return replace(blank, weights=np.stack(weights))

    def features(
        self, support: Histories, profiles: np.ndarray
    ) -> tuple[np.ndarray, sp.csr_matrix]:
        """[B, G] dense features (1, profile, sums of factors of liked and of disliked items) and
        [B, 2 M] sparse ones (liked and disliked items).
        """
        events, places, scale = self._on_feature_items(support)
        events = replace(events, items=places)
        is_liked = events.values >= self.relevant_from
        items = [events.matrix(len(self.tastes), side * scale) for side in (is_liked, ~is_liked)]
        dense = [
            np.ones((len(support), 1)),
            self.config.profile_scale * profiles,
            *(self.config.factor_scale * (side @ self.tastes) for side in items),
        ]
        return np.concatenate(dense, axis=1).astype(np.float32), sp.hstack(
            items, format="csr", dtype=np.float32
        )

    def evidence(
        self, users: UserBatch, out: Float[np.ndarray, "users items"] | None = None
    ) -> Float[np.ndarray, "users items"]:
        """[B, N] evidence for every item."""
        support, profiles = users.support, users.profiles
        out = np.empty((len(support), len(self.mean)), np.float32) if out is None else out
        if 2 * len(self._target_items) < out.shape[1]:
            out[...] = 0.0  # most items have no evidence
            out[:, self._target_items] = self.evidence_of(users, self._target_items)
            return out
        compressed = self._compressed(support, profiles)
        n_known = self.directions.shape[1]
        out[:, n_known:] = 0.0  # added to a large catalog
        for piece in column_pieces(len(out), n_known):
            evidence = out[:, :n_known][:, piece]
            np.matmul(compressed, self.directions[:, piece], out=evidence)
            evidence += self.mean[:n_known][piece]
            cut_at_zero(evidence)
        return out

    def evidence_of(
        self, users: UserBatch, items: Int[np.ndarray, "some"]
    ) -> Float[np.ndarray, "users some"]:
        """[B, I] evidence for the given items."""
        compressed = self._compressed(users.support, users.profiles)
        scores = compressed @ self._rows[self._row_of[items]].T + self.mean[items]
        return np.asarray(np.maximum(scores, 0.0))

    def vectors_of(self, items: Int[np.ndarray, "some"]) -> Float[np.ndarray, "some dim"]:
        """[I, R] directions of the given items."""
        return np.asarray(self._rows[self._row_of[items]])

    @cached_property
    def _target_items(self) -> np.ndarray:
        """[A] items that are a target of any training user; the directions of all others are 0."""
        return np.flatnonzero(self.directions.any(axis=0))

    @cached_property
    def _rows(self) -> np.ndarray:
        """[A + 1, R] directions of the items `_target_items`, and zeros for all others, contiguous
        by item for fast lookup.
        """
        rows = np.zeros((len(self._target_items) + 1, len(self.directions)), np.float32)
        rows[:-1] = self.directions[:, self._target_items].T
        return rows

    @cached_property
    def _row_of(self) -> np.ndarray:
        """[N] int32 index of each item in `_rows`."""
        row_of = np.full(len(self.mean), len(self._target_items), np.int32)
        row_of[self._target_items] = np.arange(len(self._target_items), dtype=np.int32)
        return row_of

    def _compressed(self, support: Histories, profiles: np.ndarray) -> np.ndarray:
        """[B, R] compressed predictions of the regression for each user's support size."""
        events, places, scale = self._on_feature_items(support)
        is_liked = events.values >= self.relevant_from
        items, tastes, width = len(self.tastes), self.tastes.shape[1], 1 + profiles.shape[1]
        point = np.searchsorted(self.points, support.lengths, side="right") - 1
        # Each event adds its own row of weights, and the rows of factors by its factors.
        rows_of_events = self.weights[
            np.repeat(point, events.lengths),
            width + 2 * tastes + np.where(is_liked, 0, items) + places,
        ]
        felt = self.config.factor_scale * self.tastes[places]
        sides = [np.where(side, scale, 0.0)[:, None] * felt for side in (is_liked, ~is_liked)]
        summed = events.sums(np.concatenate([scale[:, None] * rows_of_events, *sides], axis=1))
        compressed, felt = (
            summed[:, : rows_of_events.shape[1]],
            summed[:, rows_of_events.shape[1] :],
        )
        dense = np.concatenate(
            [
                np.ones((len(support), 1), np.float32),
                self.config.profile_scale * profiles,
                felt,
            ],
            axis=1,
        ).astype(np.float32)
        for index in set(point.tolist()):
            rows = point == index
            compressed[rows] += dense[rows] @ self.weights[index, : dense.shape[1]]
        return compressed

    def _on_feature_items(self, support: Histories) -> tuple[Histories, np.ndarray, np.ndarray]:
        """The events on feature items, the indexes of these items, and the weight of each event
        [E].

        A support longer than any in training is scaled down to the size of the longest, so that it
        does not count as more evidence than was ever seen.
        """
        place = self.place[support.items]
        events = support if (place >= 0).all() else support.where(place >= 0)
        lengths = events.lengths
        scale = np.repeat(np.minimum(1.0, self.points[-1] / np.maximum(lengths, 1)), lengths)
        weighted = (scale * events.strengths).astype(np.float32)
        return events, self.place[events.items], weighted

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> SupportRidge:
        """Return the model for a larger catalog; new items are neither features nor targets."""
        more, is_large = len(content) - len(self.mean), len(content) >= LARGE
        grown = replace(
            self,
            directions=self.directions
            if is_large
            else np.pad(self.directions, ((0, 0), (0, more))),
            mean=np.pad(self.mean, (0, more)),
            place=np.pad(self.place, (0, more), constant_values=-1),
        )
        if is_large:  # caches over target items stay valid
            cached = ("_target_items", "_rows")
            vars(grown).update({n: vars(self)[n] for n in cached if n in vars(self)})
        return grown

    def arrays(self) -> Mapping[str, np.ndarray]:
        """All arrays."""
        return {
            "points": self.points,
            "weights": self.weights,
            "directions": self.directions,
            "mean": self.mean,
            "tastes": self.tastes,
            "place": self.place,
            "relevant_from": np.array([self.relevant_from], np.float32),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: SupportRidgeConfig | None = None
    ) -> SupportRidge:
        """Restore the model from `arrays()`."""
        arrays = with_current_names(arrays, ARRAYS)
        parts = {
            name: arrays[name]
            for name in ("points", "weights", "directions", "mean", "tastes", "place")
        }
        return cls(
            **parts,
            relevant_from=float(arrays["relevant_from"][0]),
            config=config or cls.config,
        )


def _points(pool: int) -> np.ndarray:
    """Support sizes with a regression of their own, up to the size of the support pool."""
    return np.array(
        [k for k in (0, 1, 2, 3, 5, 7, 10, 14, 20, 30, 50) if k < pool] + [pool], np.int64
    )


def _feature_items(
    behavior: Behavior, rng: np.random.Generator, config: SupportRidgeConfig
) -> tuple[np.ndarray, np.ndarray]:
    """[N] index of each item among the feature items, -1 for others, and their factors [M, D] from
    a popularity-damped SVD of liked events, scaled to unit mean square.
    """
    liked = behavior.histories.where(behavior.is_liked(behavior.histories)).matrix(behavior.n_items)
    counts = np.asarray(liked.sum(0)).ravel()
    chosen = np.sort(np.argsort(-counts, kind="stable")[: config.max_items])
    place = np.full(behavior.n_items, -1, np.int64)
    place[chosen] = np.arange(len(chosen))
    damped = liked[:, chosen].multiply(1.0 / np.sqrt(counts[chosen] + 20.0)).tocsr()
    dim = max(1, min(config.factors, min(damped.shape) - 1))
    _, _, right = truncated_svd(damped, dim, int(rng.integers(2**31)))
    tastes = right.T / np.sqrt((right.T**2).sum(1).mean())
    return place, tastes.astype(np.float32)


def _tasks(
    behavior: Behavior, rng: np.random.Generator, max_tasks: int
) -> tuple[Histories, np.ndarray, sp.csr_matrix, np.ndarray, np.ndarray | None]:
    """Supports up to the pool, profiles, targets [T, N], support pools, and, where users have
    weights, the square roots of the tasks' weights [T].

    If there are too many users, those with longer histories are more likely to be drawn. Where
    order carries no meaning, up to three shuffled copies of each history are tasks.
    """
    lengths = behavior.histories.lengths
    able = np.flatnonzero(behavior.pools < lengths)
    if len(able) > max_tasks:
        able = np.sort(
            rng.choice(able, max_tasks, replace=False, p=lengths[able] / lengths[able].sum())
        )
    own, pools = behavior.histories.users(able), behavior.pools[able]
    copies = 1 if behavior.is_ordered else max(1, min(3, max_tasks // max(len(able), 1)))
    tasks = [own] + [own.shuffled(rng) for _ in range(copies - 1)]
    targets = []
    for histories in tasks:
        query = histories.after(pools)
        targets.append(query.where(behavior.is_wanted(query)).matrix(behavior.n_items))
    roots = (
        None if behavior.weights is None else np.tile(np.sqrt(behavior.weights_of(able)), copies)
    )
    return (
        Histories.concat([histories.first(pools) for histories in tasks]),
        np.tile(behavior.profiles[able], (copies, 1)),
        sp.vstack(targets, format="csr"),
        np.tile(pools, copies),
        roots,
    )


def _mean(targets: sp.csr_matrix, roots: np.ndarray | None) -> np.ndarray:
    """[N] mean of the targets [T, N], weighted by users."""
    if roots is None:
        return np.asarray(targets.mean(0), np.float32).ravel()
    return np.asarray(targets.T @ roots**2 / (roots**2).sum(), np.float32).ravel()

"""Fitting of EASE: for which support sizes, over which items, and whether nearby items share
weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from metarec.features.behavior import Behavior
from metarec.models.ease.config import EaseConfig
from metarec.models.ease.regression import (
    among_few_users,
    among_head,
    among_places,
    inverse_of,
    inverse_of_few_users,
    place_features,
)
from metarec.models.gram import Choices, gram_blocks, kept_of
from metarec.models.sparse_rows import strongest
from metarec.runtime.gains import ndcg_of_scores


def points_of(pool: int) -> np.ndarray:
    """Support sizes at which weights are fitted: one event, the whole support pool, and the middle
    of the two on a log scale.
    """
    return np.unique([1, round(float(np.sqrt(1.0 + pool))), max(pool, 1)]).astype(np.int64)


def diagonal_of(
    events: sp.csr_matrix, behavior: Behavior, shown: int, config: EaseConfig
) -> np.ndarray:
    """[N] diagonal of the Gram matrix when each user keeps `shown` random events (at most their
    pool), relative to the unchanged off-diagonal entries.
    """
    seen = np.maximum(np.minimum(shown, behavior.pools), config.min_shown)
    chance = np.maximum(1.0, (behavior.histories.lengths - 1) / (seen - 1))
    return np.asarray(events.power(2).T @ chance)


@dataclass(frozen=True, kw_only=True)
class NearbyItems:
    """How nearby items share weights."""

    items: np.ndarray
    """[M] the most popular items, at most `max_items`, ascending."""
    features: np.ndarray
    """[M, R] features from `regression.place_features`."""
    share: float
    """Prior variance of the shared part of the weights, beside 1 of an item's own part."""
    ridge: float
    """L2 penalty of the weights."""

    def among(self, inverse: np.ndarray, diagonal: np.ndarray, head: np.ndarray) -> np.ndarray:
        """[H, H] weights between the items of the head; overwrites `inverse`."""
        near = self.features[np.searchsorted(self.items, head)]
        return among_places(inverse, diagonal, self.ridge, near, self.share)


def nearby_items_of(
    behavior: Behavior,
    choices: Choices,
    ridge: float,
    config: EaseConfig,
    rng: np.random.Generator,
) -> NearbyItems | None:
    """How nearby items share weights; None where items have no places, or where sharing does not
    clearly improve the recommendations to held-out training users.

    It is tried on the most popular items, after as many events as the middle point.
    """
    if behavior.context is None or not behavior.context.has_places:
        return None
    able = rng.permutation(np.flatnonzero(behavior.targets.lengths > 0))
    users = np.sort(able[: min(config.max_choosing, len(able) // 5)])
    if len(users) < config.min_choosing:
        return None
    counts = np.bincount(choices.compared.indices, minlength=behavior.n_items)
    by_count = np.argsort(-counts, kind="stable")[: config.max_items]
    items, places = np.sort(by_count), behavior.context.places
    scales, landmarks = config.place_scales, config.landmarks
    features = place_features(places[items], counts[items], scales, landmarks, rng)
    near = NearbyItems(items=items, features=features, share=0.0, ridge=ridge)
    head = np.sort(by_count[: config.choosing_items])
    trial = _Trial.of(behavior, choices, users, head, ridge, config)
    plain = trial.quality(near)
    gains = {
        share: trial.quality(replace(near, share=share)) - plain for share in config.place_shares
    }
    best = max(gains, key=lambda share: float(gains[share].mean()))
    error = gains[best].std() / np.sqrt(len(plain))
    if gains[best].mean() <= config.choosing_t * error + 1e-6:
        return None
    return replace(near, share=best)


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """Held-out training users, and the regression fitted on the others, by which sharing is
    evaluated.
    """

    support: np.ndarray
    """[B, H] support of each user among the items of the head."""
    wanted: np.ndarray
    """[B, H] bool: what each user took later."""
    head: np.ndarray
    """[H] items that are tried, ascending."""
    diagonal: np.ndarray
    """[H] diagonal of the other users' Gram matrix, ridge included."""
    inverse: np.ndarray
    """[H, H] inverse of that matrix."""
    places: int
    """Length of the list in NDCG."""

    @classmethod
    def of(
        cls,
        behavior: Behavior,
        choices: Choices,
        users: np.ndarray,
        head: np.ndarray,
        ridge: float,
        config: EaseConfig,
    ) -> _Trial:
        """Build the trial of the `users`, over the items of the head."""
        others = np.setdiff1d(np.arange(len(behavior.histories)), users)
        shown = points_of(behavior.horizon.pool)[:2][-1]
        events = choices.events[others]
        diagonal = diagonal_of(events, behavior.users(others), int(shown), config) + ridge
        support = behavior.histories.users(users).first(np.minimum(shown, behavior.pools[users]))
        targets = behavior.targets.users(users).matrix(behavior.n_items)[:, head]
        return cls(
            support=support.matrix(behavior.n_items)[:, head].toarray(),
            wanted=targets.toarray() > 0,
            head=head,
            diagonal=diagonal[head],
            inverse=_inverse(events[:, head], diagonal[head]),
            places=config.choosing_places,
        )

    def quality(self, near: NearbyItems) -> np.ndarray:
        """[B] NDCG of what the users took later, with weights shared as in `near`."""
        scores = self.support @ near.among(self.inverse.copy(), self.diagonal, self.head)
        unseen = np.where(self.support > 0, -np.inf, scores)
        return ndcg_of_scores(unseen, self.wanted, self.places)


def _inverse(events: sp.csr_matrix, diagonal: np.ndarray) -> np.ndarray:
    """[H, H] inverse of the Gram matrix of `events` [B, H] with `diagonal` as its diagonal."""
    if events.shape[0] < events.shape[1] / 2:
        return inverse_of_few_users(events, diagonal)
    return inverse_of((events.T @ events).toarray().astype(np.float32), diagonal)


def weights_of(
    events: sp.csr_matrix,
    diagonals: Sequence[np.ndarray],
    config: EaseConfig,
    near: NearbyItems | None = None,
) -> tuple[sp.csr_matrix, ...]:
    """[N, N] weights for each of the `diagonals` [N] of the Gram matrix of `events` [B, N]."""
    counts = np.bincount(events.indices, minlength=events.shape[1])
    is_able = counts >= config.min_events
    if not config.whole_histories and near is None:  # shared weights help rare items
        is_able &= _coupling(events) >= config.min_coupling * np.min(diagonals, axis=0)
    head = _head(counts, is_able, config.max_items)
    n_kept = kept_of(config.kept, int((counts > 0).sum()))
    few_users = events.shape[0] < len(head) / 2
    gram, tails = _counted(events, diagonals, head, n_kept, needs_gram=not few_users)

    def among(diagonal: np.ndarray) -> np.ndarray:
        if near is None:
            few = among_few_users(events[:, head], diagonal) if few_users else None
            return among_head(gram, diagonal) if few is None else few
        few = inverse_of_few_users(events[:, head], diagonal) if few_users else None
        return near.among(inverse_of(gram, diagonal) if few is None else few, diagonal, head)

    return tuple(
        (_scattered(among(diagonal[head]), head, len(counts), n_kept) + tail)
        .tocsr()
        .astype(np.float32)
        for diagonal, tail in zip(diagonals, tails, strict=True)
    )


def _head(counts: np.ndarray, is_able: np.ndarray, max_items: int) -> np.ndarray:
    """[H] the most popular items in the mask `is_able`, ascending: at least two, at most
    `max_items`.
    """
    by_count = np.argsort(-counts, kind="stable")
    able = by_count[is_able[by_count]]
    return np.sort((able if len(able) > 1 else by_count[:2])[:max_items])


def _counted(
    events: sp.csr_matrix,
    diagonals: Sequence[np.ndarray],
    head: np.ndarray,
    n_kept: int,
    *,
    needs_gram: bool,
) -> tuple[np.ndarray, list[sp.csr_matrix]]:
    """The Gram matrix of the head [H, H], empty unless `needs_gram`; and, for each of the
    `diagonals`, one-on-one regression weights [N, N] of all pairs with an item of the tail, at most
    `n_kept` for each item.
    """
    place = np.full(events.shape[1], -1)
    place[head] = np.arange(len(head))
    gram = np.zeros((len(head), len(head)) if needs_gram else (0, 0), np.float32)
    tails: list[list[sp.csr_matrix]] = [[] for _ in diagonals]
    for start, together in gram_blocks(events):
        row = start + np.repeat(np.arange(together.shape[0]), np.diff(together.indptr))
        column = together.indices
        among = (place[row] >= 0) & (place[column] >= 0)
        if needs_gram:
            gram[place[row[among]], place[column[among]]] = together.data[among]
        tail = ~among & (row != column)
        for diagonal, blocks in zip(diagonals, tails, strict=True):
            alone = together.data[tail] / diagonal[row[tail]]
            block = sp.csr_matrix((alone, (row[tail] - start, column[tail])), together.shape)
            blocks.append(strongest(block, n_kept))
    return gram, [sp.vstack(blocks, format="csr") for blocks in tails]


def _coupling(events: sp.csr_matrix) -> np.ndarray:
    """[N] sum of the off-diagonal entries of each row of the Gram matrix of `events` [B, N]."""
    row_sums = events.T @ np.asarray(events.sum(1)).ravel()
    return np.asarray(row_sums - np.asarray(events.power(2).sum(0)).ravel())


def _scattered(dense: np.ndarray, places: np.ndarray, n_items: int, n_kept: int) -> sp.csr_matrix:
    """[N, N] the `n_kept` entries of largest absolute value in each row of `dense` [H, H],
    scattered to the items `places` [H].
    """
    if dense.shape[1] <= n_kept:
        row, column = np.nonzero(dense)
    else:
        blocks = [
            np.argpartition(-np.abs(block), n_kept, axis=1)[:, :n_kept]
            for block in np.array_split(dense, max(1, len(dense) // 1000))
        ]
        column = np.concatenate(blocks).ravel()
        row = np.repeat(np.arange(len(dense)), n_kept)
    return sp.csr_matrix(
        (dense[row, column], (places[row], places[column])), shape=(n_items, n_items)
    )

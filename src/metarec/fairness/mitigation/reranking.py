"""Rerankers (see `Reranker` in `recommendation`): slates calibrated to a user's taste, or with
bounded exposure of a group of items.

Both are greedy, place by place, for all users at once. `Reranked` wraps a fitted recommender with
either, so that it can be evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput, Vocabulary
from metarec.evaluation.interface import Scores
from metarec.fairness.exposure import SMOOTHING
from metarec.features.events import parts_of
from metarec.recommendation.ordering.rerank import Reranker
from metarec.recommendation.ordering.top_k import rank
from metarec.recommendation.slate import Request
from metarec.runtime.gains import discounts


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """Slates whose mix of categories follows a wanted mix (Steck 2018,
    doi:10.1145/3240323.3240372).

    At each place the item with the largest `(1 - weight) score - weight KL(wanted || slate so far)`
    is taken. Scores are scaled to [0, 1] within each user's candidates first, so that `weight` has
    the same meaning for every model.
    """

    categories: np.ndarray
    """[N, G] category shares of each item."""
    wanted: np.ndarray
    """[B, G] target mix of each user; a row of zeros leaves that user's ranking unchanged."""
    weight: float = 0.5
    """Weight of calibration in [0, 1]; 0 keeps the ranking."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.weight <= 1.0:
            raise BadInput(f"the weight of calibration must lie in [0, 1], got {self.weight}")

    def rerank(
        self, candidates: np.ndarray, scores: np.ndarray, k: int, rng: np.random.Generator
    ) -> np.ndarray:  # noqa: ARG002  # draws nothing
        """See `Reranker.rerank`."""
        mixes = self.categories[np.maximum(candidates, 0)]
        target = self.wanted / np.maximum(self.wanted.sum(axis=1, keepdims=True), 1e-12)
        so_far = np.zeros_like(target)

        def value(place: int) -> np.ndarray:
            slate = (so_far[:, None, :] + mixes) / (place + 1)
            mixed = (1 - SMOOTHING) * slate + SMOOTHING * target[:, None, :]
            # sum p log p is the same for every candidate, so only -sum p log q decides
            fit = np.einsum("bg,brg->br", target, np.log(np.maximum(mixed, 1e-12)))
            return np.asarray((1 - self.weight) * _unit(scores) + self.weight * fit)

        def take(_: int, rows: np.ndarray, best: np.ndarray) -> None:
            so_far[rows] += mixes[rows, best]

        return _greedy(candidates, k, value, take)


@dataclass(frozen=True, kw_only=True)
class ExposureBounded:
    """Slates that give a protected group of items at least a share of attention at every prefix
    (the idea of FA*IR, arXiv:1706.06368).

    The attention of a place is 1/log2(place + 1). If the share so far would fall below `least`, the
    best protected candidate is taken; otherwise the best candidate.
    """

    protected: np.ndarray
    """bool [N]: items whose exposure is bounded from below."""
    min_share: float
    """Minimum share of attention in [0, 1] of protected items, if enough of them are among the
    candidates.
    """

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_share <= 1.0:
            raise BadInput(f"the least share of attention must lie in [0, 1], got {self.min_share}")

    def rerank(
        self, candidates: np.ndarray, scores: np.ndarray, k: int, rng: np.random.Generator
    ) -> np.ndarray:  # noqa: ARG002  # draws nothing
        """See `Reranker.rerank`."""
        is_protected = self.protected[np.maximum(candidates, 0)] & (candidates >= 0)
        attention = discounts(k)
        attention_so_far = np.zeros(len(candidates))

        def value(place: int) -> np.ndarray:
            due = attention_so_far < self.min_share * attention[: place + 1].sum() - 1e-12
            return np.asarray(np.where(due[:, None] & is_protected, 2.0, 0.0) + _unit(scores))

        def take(place: int, rows: np.ndarray, best: np.ndarray) -> None:
            attention_so_far[rows] += attention[place] * is_protected[rows, best]

        return _greedy(candidates, k, value, take)


def _unit(scores: np.ndarray) -> np.ndarray:
    """Return scores [B, R] scaled to [0, 1] within each row; padding (-inf) becomes 0."""
    there = np.isfinite(scores)
    low = np.where(there, scores, np.inf).min(axis=1, keepdims=True)
    high = np.where(there, scores, -np.inf).max(axis=1, keepdims=True)
    width = np.where(high > low, high - low, 1.0)
    return np.asarray(
        np.where(
            there,
            (np.where(there, scores, 0.0) - np.where(np.isfinite(low), low, 0.0)) / width,
            0.0,
        )
    )


def _greedy(
    candidates: np.ndarray,
    k: int,
    value: Callable[[int], np.ndarray],
    take: Callable[[int, np.ndarray, np.ndarray], None],
) -> np.ndarray:
    """Fill [B, k] places one by one with the free candidate of the largest value; -1 if none is
    left.

    Args:
        value: function of a place that returns the values [B, R] of the candidates there.
        take: callback with a place, the rows in which it was filled, and the candidates chosen.
    """
    free, rows = candidates >= 0, np.arange(len(candidates))
    positions = np.full((len(candidates), min(k, candidates.shape[1])), -1, dtype=np.int64)
    for place in range(positions.shape[1]):
        best = np.where(free, value(place), -np.inf).argmax(axis=1)
        has = free[rows, best]
        positions[has, place] = best[has]
        free[rows, best] = False
        take(place, rows[has], best[has])
    return positions


def taste_of(
    requests: Sequence[Request],
    vocabulary: Vocabulary,
    categories: np.ndarray,
    liked_from: float = -np.inf,
) -> np.ndarray:
    """Return [B, G] the mix of categories in each user's liked history, as amounts; zeros if
    nothing was liked.
    """
    pairs = [
        (row, str(event[0]))
        for row, request in enumerate(requests)
        for event in request.history
        if (parts_of(event)[1] or liked_from) >= liked_from
    ]
    columns = vocabulary.indexes(item_id for _, item_id in pairs)
    owner = np.array([row for row, _ in pairs], dtype=np.int64)
    liked = np.zeros((len(requests), categories.shape[1]))
    np.add.at(liked, owner[columns >= 0], categories[columns[columns >= 0]])
    return liked


@dataclass(kw_only=True)
class Reranked:
    """A fitted recommender with its best candidates reranked: `score` puts them first, in the
    reranker's order.
    """

    model: Scores
    reranker: Callable[[Sequence[Request]], Reranker]
    """Function that makes the reranker of a batch of requests."""
    name: str
    depth: int = 100
    """Number of candidates reranked."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the model."""
        return self.model.vocabulary

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Do nothing: the model inside is already fitted."""

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """Return log-scores [B, N]: the model's own, raised for the reranked candidates so that
        they come first in the new order; items of the history get -inf.
        """
        scores = self.model.score(requests).astype(np.float64)
        for row, request in enumerate(requests):
            scores[
                row,
                [c for c in self.vocabulary.indexes(str(e[0]) for e in request.history) if c >= 0],
            ] = -np.inf
        depth = min(self.depth, scores.shape[1])
        candidates, values = rank(scores, depth, np.random.default_rng(0))
        positions = self.reranker(requests).rerank(
            candidates, values, depth, np.random.default_rng(0)
        )
        rows, places = np.nonzero(positions >= 0)
        ceiling = np.max(np.where(np.isfinite(scores), scores, -np.inf), axis=1)
        scores[rows, candidates[rows, positions[rows, places]]] = ceiling[rows] + depth - places
        return scores

"""Quality per newcomer, and its mean with an interval: what ablations, curves and importances are measured with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from metarec.data.newcomers import Newcomer
from metarec.data.schema import Vocabulary
from metarec.evaluation.metrics import find_hits, ndcg, rank
from metarec.explanation.standing import pieces
from metarec.recommendation.slate import Request


class Judged(Protocol):
    """Anything that scores a catalog for requests."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Item id <-> column of `score`."""

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """Log-scores [B, N] of the whole catalog."""


def newcomer_ndcg(model: Judged, requests: Sequence[Request], newcomers: Sequence[Newcomer], *, k: int = 10) -> np.ndarray:
    """NDCG@k of each newcomer, [B]: the catalog without the newcomer's whole pool is ranked, whatever the request shows."""
    found = [ndcg_of(model.score(requests[piece]), model.vocabulary, newcomers[piece], k=k)
             for piece in pieces(requests, len(model.vocabulary))]
    return np.concatenate(found) if found else np.zeros(0)


def ndcg_of(scores: np.ndarray, vocabulary: Vocabulary, newcomers: Sequence[Newcomer], *, k: int = 10) -> np.ndarray:
    """NDCG@k [B] of scores [B, N] against each newcomer's relevant items, their pools left out."""
    candidates, relevant = np.ones(scores.shape, dtype=bool), np.zeros(scores.shape, dtype=bool)
    for row, person in enumerate(newcomers):
        candidates[row, _known(vocabulary, [item_id for item_id, _ in person.pool])] = False
        relevant[row, _known(vocabulary, person.relevant)] = True
    listed = rank(scores, k, np.random.default_rng(0), candidates)
    return ndcg(find_hits(listed, relevant), relevant.sum(axis=1), k)


def _known(vocabulary: Vocabulary, item_ids: Sequence[str]) -> np.ndarray:
    columns = vocabulary.indexes(item_ids)
    return columns[columns >= 0]


def mean_interval(values: np.ndarray, rng: np.random.Generator, *, level: float = 0.95,
                  resamples: int = 2000) -> tuple[float, float, float]:
    """Mean of `values` [B], and its `level` bootstrap interval over people; the mean thrice where there are fewer than 2."""
    mean = float(values.mean()) if len(values) else float("nan")
    if len(values) < 2:
        return mean, mean, mean
    counts = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=resamples)
    low, high = np.quantile(counts @ values / len(values), [(1 - level) / 2, (1 + level) / 2])
    return mean, float(low), float(high)

"""Quality per new user, and its mean with an interval, for ablations, curves and importances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarec.data.schema import Vocabulary
from metarec.evaluation.measure import EvaluationSet
from metarec.evaluation.metrics import find_hits, ndcg, rank
from metarec.evaluation.significance import interval, resample


def ndcg_of(
    scores: np.ndarray,
    vocabulary: Vocabulary,
    evaluation_set: EvaluationSet,
    start: int,
    stop: int,
    *,
    k: int = 10,
) -> np.ndarray:
    """NDCG@k [stop - start] of new users `start .. stop - 1` of `evaluation_set`, from their
    scores
    [stop - start, N].

    Ranked as in `evaluation.measure`: the evaluation set's items without the new user's whole
    support pool, whatever part of it the request contains.
    """
    columns = vocabulary.indexes(evaluation_set.vocabulary.ids)
    of_items = np.where(columns >= 0, scores[:, np.maximum(columns, 0)], -np.inf)
    candidates, liked = evaluation_set.masks(start, stop)
    listed = rank(of_items, k, np.random.default_rng(start), candidates)
    return ndcg(find_hits(listed, liked), liked.sum(axis=1), k)


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over users with its 95% bootstrap interval."""

    mean: float
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""

    @classmethod
    def of(cls, values: np.ndarray, rng: np.random.Generator) -> Mean:
        """Compute them from one number per user, [B]; NaN where a user has none."""
        low, high = interval(values, resample(len(values), rng))
        return cls(mean=float(np.nanmean(values)), low=float(low), high=float(high))

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"

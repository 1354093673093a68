"""The last step of the gate for users of whom more is known: a few of its numbers scaled where that
raises the NDCG@10 of its own tasks.

The ranking loss compares pairs within reach of the slate; with evidence as strong as friends' it
settles where the slate itself is worse (Last.FM, validation users, no events: .367, after this step
.390, popularity times friends .393). A change is kept where the mean gain over tasks is
`MIN_T` standard errors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from metarec.recommendation.gate import Gate, log_scores
from metarec.recommendation.gate_tasks import GateTasks
from metarec.recommendation.gate_training import SLATE
from metarec.runtime.device import one_thread
from metarec.runtime.gains import ndcg_of_hits

MIN_T = 1.5
ROUNDS = 2
FACTORS = {
    "statistics_weight": (0.0, 0.5),
    "weight": (0.5, 0.7, 0.85, 1.2, 1.5),
    "smoothing": (0.1, 0.3, 3.0),
    "others": (0.0, 0.5, 1.5),
    "popularity_weight": (0.5, 0.7, 0.85, 1.2, 1.5),
}
"""What each number is tried times: `weight` and `smoothing` of models that read context, `others`
the weights of all other models.
"""


@dataclass(frozen=True, kw_only=True)
class _Point:
    """The gate's numbers at one support size."""

    popularity_weight: float
    statistics_weight: np.ndarray
    weight: np.ndarray
    smoothing: np.ndarray

    def scaled(self, what: str, factor: float, models: int) -> _Point:
        """With one of them times `factor`; of `models` others come the models that read context."""
        others = np.arange(len(self.weight)) < models
        if what == "popularity_weight":
            return replace(self, popularity_weight=self.popularity_weight * factor)
        if what == "statistics_weight":
            return replace(self, statistics_weight=self.statistics_weight * factor)
        if what == "smoothing":
            return replace(
                self, smoothing=np.where(others, self.smoothing, self.smoothing * factor)
            )
        changed = others if what == "others" else ~others
        return replace(self, weight=np.where(changed, self.weight * factor, self.weight))


def tuned(gate: Gate, tasks: list[GateTasks], models: int) -> Gate:
    """The gate with its numbers scaled, support size by support size.

    Args:
        tasks: of each of the gate's support sizes.
        models: how many of its models read history and profile; the others read context.
    """
    with one_thread():
        points = [_tuned(_at(gate, point), some, models) for point, some in enumerate(tasks)]
    return replace(
        gate,
        popularity_weight=np.array([point.popularity_weight for point in points]),
        statistics_weight=np.stack([point.statistics_weight for point in points]),
        weight=np.stack([point.weight for point in points]),
        smoothing=np.stack([point.smoothing for point in points]),
    )


def ndcg_of(gate: Gate, tasks: list[GateTasks]) -> np.ndarray:
    """[T] NDCG@10 of each user, the mean over support sizes."""
    with one_thread():
        found = [_ndcg(_at(gate, point), some) for point, some in enumerate(tasks)]
    return np.asarray(np.mean(found, axis=0))


def _at(gate: Gate, point: int) -> _Point:
    return _Point(
        popularity_weight=float(gate.popularity_weight[point]),
        statistics_weight=gate.statistics_weight[point],
        weight=gate.weight[point],
        smoothing=gate.smoothing[point],
    )


def _tuned(point: _Point, tasks: GateTasks, models: int) -> _Point:
    best = _ndcg(point, tasks)
    for _ in range(ROUNDS):
        for what, factors in FACTORS.items():
            for factor in factors:
                tried = point.scaled(what, factor, models)
                found = _ndcg(tried, tasks)
                gain = found - best
                if gain.mean() > MIN_T * gain.std() / np.sqrt(len(gain)) + 1e-6:
                    point, best = tried, found
    return point


def _ndcg(point: _Point, tasks: GateTasks) -> np.ndarray:
    """[T] NDCG@10 of each task among its candidates."""
    scores = _scores(point, tasks).masked_fill(~tasks.is_real, -1e9)
    reach = min(SLATE, scores.shape[1])
    hits = tasks.is_relevant.gather(1, scores.topk(reach, 1).indices)
    return ndcg_of_hits(hits.numpy(), tasks.is_relevant.sum(1).numpy())


def _scores(point: _Point, tasks: GateTasks) -> Tensor:
    """[T, C] log-scores."""
    popularity_weight, statistics_weight, weight, smoothing = (
        torch.from_numpy(np.asarray(learned, np.float32))
        for learned in (
            point.popularity_weight,
            point.statistics_weight,
            point.weight,
            point.smoothing,
        )
    )
    used = weight > 0  # what is not weighed is not worked out
    return log_scores(
        popularity_weight,
        statistics_weight,
        weight[used],
        smoothing[used],
        shares=tasks.shares[..., used],
        popularity=tasks.popularity,
        item_statistics=tasks.item_statistics,
    )

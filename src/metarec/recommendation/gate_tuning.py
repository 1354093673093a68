"""The last step of the gate for users of whom more is known: a few of its numbers scaled where that
raises the NDCG@10 of its own tasks.

The ranking loss compares pairs within reach of the slate; with evidence as strong as friends' it
settles where the slate itself is worse (Last.FM, validation users, no events: .367, after this step
.390, popularity times friends .393). A change is kept where the mean gain over tasks is
`LEAST_T` standard errors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from metarec.recommendation.gate import Gate, log_scores
from metarec.recommendation.gate_training import SLATE, GateTasks
from metarec.runtime.device import one_thread
from metarec.runtime.gains import ndcg_of_hits

LEAST_T = 1.5
ROUNDS = 2
FACTORS = {
    "regard": (0.0, 0.5),
    "weight": (0.5, 0.7, 0.85, 1.2, 1.5),
    "ease": (0.1, 0.3, 3.0),
    "others": (0.0, 0.5, 1.5),
    "trust": (0.5, 0.7, 0.85, 1.2, 1.5),
}
"""What each number is tried times: `weight` and `ease` of models that read context, `others` the
weights of all other models.
"""


@dataclass(frozen=True, kw_only=True)
class _Knot:
    """The gate's numbers at one support size."""

    trust: float
    regard: np.ndarray
    weight: np.ndarray
    ease: np.ndarray

    def scaled(self, what: str, factor: float, models: int) -> _Knot:
        """With one of them times `factor`; of `models` others come the models that read context."""
        others = np.arange(len(self.weight)) < models
        if what == "trust":
            return replace(self, trust=self.trust * factor)
        if what == "regard":
            return replace(self, regard=self.regard * factor)
        if what == "ease":
            return replace(self, ease=np.where(others, self.ease, self.ease * factor))
        changed = others if what == "others" else ~others
        return replace(self, weight=np.where(changed, self.weight * factor, self.weight))


def tuned(gate: Gate, tasks: list[GateTasks], models: int) -> Gate:
    """The gate with its numbers scaled, support size by support size.

    Args:
        tasks: of each of the gate's support sizes.
        models: how many of its models read history and profile; the others read context.
    """
    with one_thread():
        knots = [_tuned(_at(gate, knot), some, models) for knot, some in enumerate(tasks)]
    return replace(
        gate,
        trust=np.array([knot.trust for knot in knots]),
        regard=np.stack([knot.regard for knot in knots]),
        weight=np.stack([knot.weight for knot in knots]),
        ease=np.stack([knot.ease for knot in knots]),
    )


def ndcg_of(gate: Gate, tasks: list[GateTasks]) -> np.ndarray:
    """[T] NDCG@10 of each user, the mean over support sizes."""
    with one_thread():
        found = [_ndcg(_at(gate, knot), some) for knot, some in enumerate(tasks)]
    return np.asarray(np.mean(found, axis=0))


def _at(gate: Gate, knot: int) -> _Knot:
    return _Knot(
        trust=float(gate.trust[knot]),
        regard=gate.regard[knot],
        weight=gate.weight[knot],
        ease=gate.ease[knot],
    )


def _tuned(knot: _Knot, tasks: GateTasks, models: int) -> _Knot:
    best = _ndcg(knot, tasks)
    for _ in range(ROUNDS):
        for what, factors in FACTORS.items():
            for factor in factors:
                tried = knot.scaled(what, factor, models)
                found = _ndcg(tried, tasks)
                gain = found - best
                if gain.mean() > LEAST_T * gain.std() / np.sqrt(len(gain)) + 1e-6:
                    knot, best = tried, found
    return knot


def _ndcg(knot: _Knot, tasks: GateTasks) -> np.ndarray:
    """[T] NDCG@10 of each task among its candidates."""
    scores = _scores(knot, tasks).masked_fill(~tasks.is_real, -1e9)
    reach = min(SLATE, scores.shape[1])
    hits = tasks.is_relevant.gather(1, scores.topk(reach, 1).indices)
    return ndcg_of_hits(hits.numpy(), tasks.is_relevant.sum(1).numpy())


def _scores(knot: _Knot, tasks: GateTasks) -> Tensor:
    """[T, C] log-scores."""
    trust, regard, weight, ease = (
        torch.from_numpy(np.asarray(number, np.float32))
        for number in (knot.trust, knot.regard, knot.weight, knot.ease)
    )
    used = weight > 0  # what is not weighed is not worked out
    return log_scores(
        trust,
        regard,
        weight[used],
        ease[used],
        shares=tasks.shares[..., used],
        popularity=tasks.popularity,
        standing=tasks.standing,
    )

"""Tuning of the context gate after training: single parameters are scaled where that improves NDCG
on its own tasks; and the temperature by which a gate's scores become probabilities.

The ranking loss compares pairs within a number of top positions larger than the slate. With
evidence as strong as that of friends, it converges where the slate itself is worse (Last.FM,
validation users, no events: NDCG .367, after tuning .390, popularity times friends .393). A change
is kept where the mean gain over tasks is at least `GateConfig.scaling_min_t` standard errors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from metarec.recommendation.ensemble.gate import Gate, lifts
from metarec.recommendation.ensemble.gate_config import GateConfig
from metarec.recommendation.ensemble.gate_tasks import GateTasks
from metarec.runtime.device import one_thread
from metarec.runtime.gains import ndcg_of_hits

FACTORS = {
    "statistics_weight": (0.0, 0.5),
    "weight": (0.5, 0.7, 0.85, 1.2, 1.5),
    "smoothing": (0.1, 0.3, 3.0),
    "others": (0.0, 0.5, 1.5),
    "popularity_weight": (0.5, 0.7, 0.85, 1.2, 1.5),
}
"""Factors tried for each parameter: `weight` and `smoothing` of models that read context, `others`
for the weights of all other models.
"""

TEMPERATURES = (0.5, 4.0)
"""Bounds of the softmax temperature."""
MIN_SHARE = 1e-3
"""Lower bound on the share of acts that fall on the top candidates."""


@dataclass(frozen=True, kw_only=True)
class _Point:
    """Parameters of the gate at one support size."""

    popularity_weight: float
    statistics_weight: np.ndarray
    weight: np.ndarray
    smoothing: np.ndarray
    models: int
    """Number of models that read history and profile, which come first; the others read context."""

    def scaled(self, what: str, factor: float) -> _Point:
        """Return them with the parameter `what` multiplied by `factor`."""
        others = np.arange(len(self.weight)) < self.models
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


@dataclass(frozen=True, kw_only=True)
class _Sums:
    """Log-scores [T, C] of the candidates of some tasks, split by component, so that scaling one
    parameter recomputes only its own component.
    """

    popularity_weight: Tensor
    statistics_weight: Tensor
    others: Tensor
    """Sum of the lifts of models that read history and profile."""
    weight: Tensor
    """Sum of the lifts of models that read context."""

    @classmethod
    def of(cls, point: _Point, tasks: GateTasks) -> _Sums:
        """Compute the components with the parameters at one support size."""
        places = np.arange(len(point.weight))
        return cls(
            popularity_weight=point.popularity_weight * tasks.popularity.log(),
            statistics_weight=tasks.item_statistics @ _tensor(point.statistics_weight),
            others=_lifts_of(point, tasks, places[: point.models]),
            weight=_lifts_of(point, tasks, places[point.models :]),
        )

    def scaled(self, what: str, factor: float, point: _Point, tasks: GateTasks) -> _Sums:
        """Return the components after `what` was multiplied by `factor`, which gave `point`."""
        if what == "smoothing":
            read_context = np.arange(point.models, len(point.weight))
            return replace(self, weight=_lifts_of(point, tasks, read_context))
        return replace(self, **{what: getattr(self, what) * factor})

    @property
    def total(self) -> Tensor:
        """[T, C] log-scores, the sum of the components."""
        return self.popularity_weight + self.statistics_weight + self.others + self.weight

    def ndcg(self, tasks: GateTasks, config: GateConfig) -> np.ndarray:
        """[T] NDCG of each task among its candidates, at `config.ndcg_places`."""
        scores = self.total.masked_fill_(~tasks.is_real, -1e9)
        reach = min(config.ndcg_places, scores.shape[1])
        hits = tasks.is_relevant.gather(1, scores.topk(reach, 1).indices)
        return ndcg_of_hits(hits.numpy(), tasks.is_relevant.sum(1).numpy())


def tuned(gate: Gate, tasks: list[GateTasks], models: int, config: GateConfig) -> Gate:
    """Return the gate with tuned parameters, support size by support size.

    Args:
        tasks: of each of the gate's support sizes.
        models: number of models that read history and profile; the others read context.
    """
    with one_thread():
        points = [
            _tuned(_at(gate, point, models), some, config) for point, some in enumerate(tasks)
        ]
    return replace(
        gate,
        popularity_weight=np.array([point.popularity_weight for point in points]),
        statistics_weight=np.stack([point.statistics_weight for point in points]),
        weight=np.stack([point.weight for point in points]),
        smoothing=np.stack([point.smoothing for point in points]),
    )


def ndcg_of(gate: Gate, tasks: list[GateTasks], config: GateConfig) -> np.ndarray:
    """[T] NDCG of each user, the mean over support sizes."""
    models = len(gate.names)
    with one_thread():
        ndcg = [
            _Sums.of(_at(gate, point, models), some).ndcg(some, config)
            for point, some in enumerate(tasks)
        ]
    return np.asarray(np.mean(ndcg, axis=0))


def with_mixing(
    gate: Gate, tasks: list[GateTasks], served: list[GateTasks], config: GateConfig
) -> Gate:
    """Return the gate with `mixing`, which turns its scores into probabilities.

    Args:
        served: some of the `tasks`, scored by the final scorers, which are fitted on all users.
            Their normalizers differ from those of scorers fitted on fewer users (docs/experiments).
    """
    models, mixing = len(gate.names), []
    with one_thread():
        for point, (some, more) in enumerate(zip(tasks, served, strict=True)):
            at, task_sets = _at(gate, point, models), (some, more if len(more.shares) else some)
            first, last = (_best(at, of, config.ndcg_places) for of in task_sets)
            mixing.append(_mixing(first, last, some))
    return replace(gate, mixing=np.array(mixing))


def _best(point: _Point, tasks: GateTasks, places: int) -> tuple[Tensor, Tensor]:
    """Return [T, P] scores of the top `places` candidates, and their indexes."""
    scores = _Sums.of(point, tasks).total.double().masked_fill(~tasks.is_real, -torch.inf)
    best, at = scores.topk(min(places, scores.shape[1]), 1)
    return best, at


def _mixing(
    first: tuple[Tensor, Tensor], served: tuple[Tensor, Tensor], tasks: GateTasks
) -> tuple[float, float]:
    """Return the temperature and the log-normalizer of the softmax of scores.

    The temperature maximizes the likelihood of the acts on the top candidates (`first`). The
    normalizer gives the top candidates of `served` together the share of acts that fell on the
    `first`. Far down the list, scores are not probabilities: a temperature fitted on all candidates
    gave the top ones too low a probability (docs/experiments).
    """
    from scipy.optimize import minimize_scalar

    best, at = first
    acts = (tasks.acts * tasks.is_relevant).double()
    top_acts = acts.gather(1, at)
    target = top_acts / top_acts.sum(1, keepdim=True).clamp(min=1e-9)

    def loss(log_temperature: float) -> float:
        log_probability = torch.log_softmax(best / float(np.exp(log_temperature)), 1)
        return -float((target * log_probability.clamp(min=-1e3)).sum(1).mean())

    temperature = float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES)).x))
    share = float((top_acts.sum(1) / acts.sum(1).clamp(min=1e-9)).mean())
    sums = (served[0] / temperature).logsumexp(1)
    return temperature, float(sums.mean()) - float(np.log(max(share, MIN_SHARE)))


def _at(gate: Gate, point: int, models: int) -> _Point:
    """Return the gate's parameters at support size number `point`."""
    return _Point(
        popularity_weight=float(gate.popularity_weight[point]),
        statistics_weight=gate.statistics_weight[point],
        weight=gate.weight[point],
        smoothing=gate.smoothing[point],
        models=models,
    )


def _tuned(point: _Point, tasks: GateTasks, config: GateConfig) -> _Point:
    """Return the parameters at one support size after all scalings that clearly improve NDCG."""
    scores = _Sums.of(point, tasks).total.masked_fill_(~tasks.is_real, -1e9)
    tasks = tasks.best(scores, config.reach)
    sums = _Sums.of(point, tasks)
    best = sums.ndcg(tasks, config)
    for _ in range(config.scaling_rounds):
        before = point
        for what, factors in FACTORS.items():
            for factor in factors:
                changed = point.scaled(what, factor)
                scaled = sums.scaled(what, factor, changed, tasks)
                ndcg = scaled.ndcg(tasks, config)
                gain = ndcg - best
                least = config.scaling_min_t * gain.std() / np.sqrt(len(gain))
                if gain.mean() > least + 1e-6:
                    point, sums, best = changed, scaled, ndcg
        if point is before:  # another round would repeat the same trials
            break
    return point


def _lifts_of(point: _Point, tasks: GateTasks, models: np.ndarray) -> Tensor:
    """[T, C] sum of the weighted lifts of `models`."""
    total = torch.zeros_like(tasks.popularity)
    for model in models[point.weight[models] > 0]:
        smoothing = torch.tensor(point.smoothing[model], dtype=torch.float32)
        total += float(point.weight[model]) * lifts(
            tasks.shares[..., model], tasks.popularity, smoothing
        )
    return total


def _tensor(learned: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(learned, np.float32))

"""Training of the evidence gate on users that the scorers have not seen.

Scorers are fitted on some training users and scored on others (cross-fitting: on users it was
fitted on, a scorer looks better than it is). The gate first maximizes the likelihood of the items
that users liked afterwards, then the mean of NDCG@10 and Recall@20 of the slate by LambdaLoss (Wang
et al. 2018, "The LambdaLoss framework for ranking metric optimization"; here only pairs within the
top positions count). On validation new users, the second step is what made the gate better than the
best single component; likelihood alone did not (docs/experiments).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from metarec.recommendation.ensemble.gate import Gate, log_scores
from metarec.recommendation.ensemble.gate_config import GateConfig
from metarec.recommendation.ensemble.gate_tasks import GateTasks
from metarec.runtime.device import one_thread
from metarec.runtime.gains import ideal_gains

POPULARITY_WEIGHT, WEIGHT, SMOOTHING = 1.0, -0.7, -1.0
"""Initial values: the popularity weight, and a weight of .4 and a smoothing of .37, given before
softplus and exp.
"""
DECAY, SQUARES_DECAY = 0.9, 0.999
"""Decay of Adam's running means of gradients and of their squares."""
Raw: TypeAlias = "dict[str, Tensor]"
"""Unconstrained parameters of the gate by name, one row for each support size."""
Score: TypeAlias = "Callable[[GateTasks], Tensor]"
"""Tasks -> [T, C] log-scores of their candidates."""
Measure: TypeAlias = "Callable[[Score, GateTasks], Tensor]"
"""Loss of tasks, given the function that scores them."""


def train_gate(
    names: tuple[str, ...],
    support_sizes: tuple[int, ...],
    tasks: list[GateTasks],
    rng: np.random.Generator,
    weights: Sequence[np.ndarray] | None = None,
    start: Gate | None = None,
    pull: float = 0.0,
    config: GateConfig | None = None,
) -> Gate:
    """Learn popularity weight, statistics weights, weights and smoothing at each support size.

    Args:
        weights: for each support size [T] sampling weights of the tasks, by user; None: uniform.
        start: a gate between some of `names`, whose parameters are the initial values.
        pull: factor of the squared distance to the initial values in the loss.
        config: number of steps, learning rate and penalties.
    """
    config = config or GateConfig()
    raw = _untrained(names, support_sizes, tasks[0].item_statistics.shape[2])
    if start is not None:
        _go_on_from(raw, start, names, np.array(support_sizes))
    anchor = {name: tensor.clone() for name, tensor in raw.items()}
    for tensor in raw.values():
        tensor.requires_grad_()

    def penalty() -> Tensor:
        return _roughness(raw, config) + pull * _distance(raw, anchor)

    draw = partial(_draw, tasks, rng, weights, config)
    with one_thread():
        loss = partial(_mean_loss, raw, tasks, _likelihood_loss)
        _descend(raw, loss, penalty, draw, config.likelihood_steps, config)
        near = [_high_ranked(raw, point, some, config.near) for point, some in enumerate(tasks)]
        loss = partial(_mean_loss, raw, near, partial(_ranking_loss, config=config))
        _descend(raw, loss, penalty, draw, config.ranking_steps, config)
    return _learned(raw, names, support_sizes)


@torch.no_grad()
def _high_ranked(raw: Raw, point: int, tasks: GateTasks, n_candidates: int) -> GateTasks:
    """Drop candidates that rank low after the likelihood steps: they do not reach the top
    positions, and scoring them at every step costs time.
    """
    return tasks.best(_scores(raw, point, tasks), n_candidates)


def _untrained(names: tuple[str, ...], support_sizes: tuple[int, ...], statistics: int) -> Raw:
    """Return the initial parameters."""
    sizes = (len(support_sizes), len(names))
    return {
        "popularity_weight": torch.full(sizes[:1], POPULARITY_WEIGHT),
        "statistics_weight": torch.zeros(len(support_sizes), statistics),
        "weight": torch.full(sizes, WEIGHT),
        "smoothing": torch.full(sizes, SMOOTHING),
    }


def _learned(raw: Raw, names: tuple[str, ...], support_sizes: tuple[int, ...]) -> Gate:
    """Return the gate with the constrained parameters."""
    learned = {name: tensor.detach().double().numpy() for name, tensor in raw.items()}
    return Gate(
        names=names,
        points=np.array(support_sizes, np.int64),
        popularity_weight=learned["popularity_weight"],
        statistics_weight=learned["statistics_weight"],
        weight=np.logaddexp(0.0, learned["weight"]),
        smoothing=np.exp(learned["smoothing"]),
    )


def _descend(
    raw: Raw,
    loss: Callable[[list[Tensor]], Tensor],
    penalty: Callable[[], Tensor],
    draw: Callable[[], list[Tensor]],
    steps: int,
    config: GateConfig,
) -> None:
    """Minimize one loss with Adam; the learning rate falls linearly, at the end to a tenth.

    `torch.optim` would import all of torch's compiler, which takes longer than these steps.
    """
    tensors = list(raw.values())
    means, squares = ([torch.zeros_like(tensor) for tensor in tensors] for _ in range(2))
    for step in range(steps):
        gradients = torch.autograd.grad(loss(draw()) + penalty(), tensors)
        lr = config.lr * (1 - 0.9 * step / steps)
        with torch.no_grad():
            for tensor, grad, mean, square in zip(tensors, gradients, means, squares, strict=True):
                mean.lerp_(grad, 1 - DECAY)
                square.lerp_(grad**2, 1 - SQUARES_DECAY)
                size = (square / (1 - SQUARES_DECAY ** (step + 1))).sqrt() + 1e-8
                tensor -= lr / (1 - DECAY ** (step + 1)) * mean / size


def _distance(raw: Raw, anchor: Raw) -> Tensor:
    """Squared distance of the parameters to their anchor."""
    return torch.stack([((raw[name] - anchor[name]) ** 2).sum() for name in raw]).sum()


def _go_on_from(raw: Raw, start: Gate, names: Sequence[str], support_sizes: np.ndarray) -> None:
    """Set the initial values to the parameters of `start`, for the models it has."""
    values = start.at(support_sizes)
    here = [column for column, name in enumerate(names) if name in start.names]
    there = [start.names.index(names[column]) for column in here]
    at = {
        "popularity_weight": values["popularity_weight"],
        "statistics_weight": values["statistics_weight"],
        "weight": values["weight"][:, there],
        "smoothing": values["smoothing"][:, there],
    }
    raw["popularity_weight"][:] = torch.from_numpy(at["popularity_weight"])
    raw["statistics_weight"][:] = torch.from_numpy(at["statistics_weight"])
    weight = np.maximum(at["weight"], 1e-4)
    raw["weight"][:, here] = torch.from_numpy(weight + np.log(-np.expm1(-weight)))
    raw["smoothing"][:, here] = torch.from_numpy(np.log(at["smoothing"]))


def _draw(
    tasks: list[GateTasks],
    rng: np.random.Generator,
    weights: Sequence[np.ndarray] | None,
    config: GateConfig,
) -> list[Tensor]:
    """Draw the tasks of one step: a tensor of row indexes for each support size."""
    of_users = weights if weights is not None else [None] * len(tasks)
    drawn = (
        _drawn(len(some.shares), rng, config.batch, of)
        for some, of in zip(tasks, of_users, strict=True)
    )
    return [torch.from_numpy(rows) for rows in drawn]


def _drawn(
    tasks: int, rng: np.random.Generator, batch: int, weights: np.ndarray | None
) -> np.ndarray:
    """Draw the row indexes of one step at one support size."""
    if weights is None:
        return rng.integers(0, tasks, min(batch, tasks))
    return rng.choice(tasks, min(batch, tasks), p=weights / weights.sum())


def _mean_loss(raw: Raw, tasks: list[GateTasks], measure: Measure, rows: list[Tensor]) -> Tensor:
    """Mean over support sizes of the loss on the drawn tasks."""
    drawn = enumerate(zip(tasks, rows, strict=True))
    return torch.stack(
        [
            measure(partial(_scores, raw, point), some.drawn(chosen))
            for point, (some, chosen) in drawn
        ]
    ).mean()


def _scores(raw: Raw, point: int, tasks: GateTasks) -> Tensor:
    """[T, C] log-scores of candidates; -1e9 for padding."""
    scores = log_scores(
        raw["popularity_weight"][point],
        raw["statistics_weight"][point],
        functional.softplus(raw["weight"][point]),
        raw["smoothing"][point].exp(),
        shares=tasks.shares,
        popularity=tasks.popularity,
        item_statistics=tasks.item_statistics,
    )
    return scores.masked_fill(~tasks.is_real, -1e9)


def _likelihood_loss(score: Score, tasks: GateTasks) -> Tensor:
    """Mean negative log-likelihood (softmax over candidates) of all relevant items, so each user
    counts by the number of items they liked.
    """
    relevant = tasks.is_relevant
    return -torch.log_softmax(score(tasks) + tasks.log_weight, 1)[relevant].mean()


def _ranking_loss(score: Score, tasks: GateTasks, config: GateConfig) -> Tensor:
    """LambdaLoss of the mean of NDCG@10 and Recall@20: each wrongly ordered pair costs what
    swapping it would gain.

    A sampled candidate takes as many positions, and forms as many pairs, as the number of items it
    stands for. Without this weight, popular items, all of which are candidates, would rank lower
    than they do in the catalog, and a gate without scorers learned a popularity weight that is too
    low.
    """
    with torch.no_grad():  # candidates below the top positions are not in the loss
        reach = min(config.reach, tasks.popularity.shape[1])
        index = _first(score(tasks), reach)
    near = tasks.at(index)
    top, gain, stands_for = score(near), near.is_relevant, near.log_weight.exp()
    worth = _worth(stands_for.cumsum(1) - stands_for, tasks.is_relevant.sum(1), config)
    others = torch.where(gain, 0.0, stands_for)

    def swapped(task: Tensor, at: Tensor, width: int) -> Tensor:
        """Summed cost of pairs of a relevant candidate and another one before `width`."""
        swap = (worth[task, at, None] - worth[task, :width]).abs()
        wrong = functional.softplus(top[task, :width] - top[task, at, None])
        return (swap * others[task, :width] * wrong).sum()

    # Behind both cutoffs, positions are worth nothing, and so is a swap between two of them.
    cutoff = max(config.ndcg_places, config.recall_places)
    task, at = gain.nonzero(as_tuple=True)
    first = at < cutoff
    cost = swapped(task[first], at[first], reach) + swapped(task[~first], at[~first], cutoff)
    return cost / len(gain)


def _first(scores: Tensor, reach: int) -> Tensor:
    """[T, P] indexes of the top `reach` candidates of each task, best first; takes half the time of
    `topk`.
    """
    behind = -scores.numpy()
    some = behind.argpartition(min(reach, behind.shape[1] - 1), axis=1)[:, :reach]
    order = np.take_along_axis(behind, some, axis=1).argsort(axis=1, kind="stable")
    return torch.from_numpy(np.take_along_axis(some, order, axis=1))


def _worth(place: Tensor, relevant: Tensor, config: GateConfig) -> Tensor:
    """[T, P] what a hit at each position, counted from 0, adds to the mean of NDCG and Recall.

    Args:
        relevant: [T] number of relevant items of each task.
    """
    slate = config.ndcg_places
    discount = torch.where(place < slate, 1.0 / torch.log2(place + 2.0), 0.0)
    best = torch.from_numpy(ideal_gains(relevant.numpy(), slate)).float()
    share = (place < config.recall_places) / relevant.clamp(min=1)[:, None]
    return 0.5 * (discount / best[:, None] + share)


def _roughness(raw: Raw, config: GateConfig) -> Tensor:
    """Penalty on differences between neighboring support sizes, and on the distance of the weights
    and statistics weights from 0 and of the popularity weight from 1.

    The weights of popularity and item statistics get the largest penalty, since at zero events all
    scores rest on them: a few dozen users were enough to learn too low a popularity weight, and
    where the top ten contained few liked items, hundreds were enough to learn misleading statistics
    weights (docs/experiments).
    """
    steps = sum(
        ((raw[name][1:] - raw[name][:-1]) ** 2).sum() * scale
        for name, scale in (
            ("popularity_weight", 10.0),
            ("weight", 1.0),
            ("statistics_weight", 1.0),
            ("smoothing", 0.1),
        )
    )
    sizes = (functional.softplus(raw["weight"]) ** 2).sum() + 10.0 * (
        (raw["statistics_weight"] ** 2).sum() + ((raw["popularity_weight"] - 1.0) ** 2).sum()
    )
    return config.smoothness * steps + config.shrinkage * sizes

"""The inner loop: one `adapt` for training, evaluation and serving, for batches of tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import Tensor

from metarec.data.schema import BadInput
from metarec.models.config import check_ranges, setting
from metarec.models.few_shot.functional import Params, Watched

RATE = "rate."
"""Prefix of learned step sizes in the prior: `rate.NAME` is the step size of `NAME`."""
WEIGHT = ".weight"
META = "meta."
"""Prefix of parameters of the inner loss itself. Only the outer loop learns them: the inner loop
could lower its loss by them without fitting the support.
"""


@dataclass(frozen=True, kw_only=True)
class AdaptConfig:
    """Settings of the inner loop, which adapts the prior to each task."""

    inner_steps: int = setting(3, at_least=0)
    """Gradient steps on the support set; 0 serves the prior unchanged."""
    inner_lr: float = setting(0.1, above=0)
    """Step size of the inner loop; the initial value where step sizes are learned."""
    first_order: bool = False
    """Keep no second derivatives (FOMAML)."""
    adapts: tuple[str, ...] = ("*",)
    """Patterns of the names of the parameters that adapt: `*` all of them, `out.*` the last
    layer.
    """
    rates: Literal["fixed", "per_step", "per_weight"] = "fixed"
    """Step sizes: `fixed` at `inner_lr`; `per_step` learned for each tensor and step
    (arXiv:1810.09502); `per_weight` learned for each weight (Meta-SGD).
    """

    rows_asked: int | None = setting(None, at_least=1)
    """Number of rows that each task will score, where few: weight updates are then kept as low-rank
    factors for more sizes. The result is the same.
    """

    def __post_init__(self) -> None:
        check_ranges(self)

    def moves(self, name: str) -> bool:
        """Return whether this parameter adapts."""
        return not name.startswith((RATE, META)) and any(
            fnmatchcase(name, pattern) for pattern in self.adapts
        )


def new_rates(prior: Params, config: AdaptConfig) -> Params:
    """Return the initial step sizes to learn along with `prior`; empty where they are fixed."""
    moving = {name: value for name, value in prior.items() if config.moves(name)}
    if not moving:
        raise BadInput(
            f"no parameter is named {' or '.join(map(repr, config.adapts))}; there are: "
            f"{', '.join(sorted(prior))}"
        )
    shapes = {
        "fixed": None,
        "per_step": lambda _: (config.inner_steps,),
        "per_weight": lambda value: value.shape,
    }
    shape = shapes[config.rates]
    return (
        {}
        if shape is None
        else {
            RATE + name: value.new_full(shape(value), config.inner_lr)
            for name, value in moving.items()
        }
    )


def adapt(
    support_loss: Callable[[Params], Tensor], prior: Params, config: AdaptConfig, *, tasks: int
) -> Params:
    """Adapt the prior to each task's support set by gradient steps; `prior` itself is not changed.

    Finn et al. 2017, arXiv:1703.03400, algorithm 1, lines 5 to 6, for `tasks` tasks in parallel,
    exactly. Vectors are stacked per task, so that the gradient of the summed losses holds each
    task's own. The weights of linear layers stay shared as long as possible: a step on T rows
    changes a weight by a product of rank T, which is kept as its two factors where these are
    smaller than one weight per task, and is added to such a weight otherwise.

    Gradients flow from the result back to `prior` where it requires them (training); otherwise no
    graph is kept.

    Args:
        support_loss: the loss of each task, [tasks], under the parameters it is given. These may be
            `functional.Watched`, so it must add parameters by `params | more` and use the weights
            of linear layers through `linear` alone.
        prior: shared parameters, and learned step sizes if there are any.
        config: number of steps, step sizes and the parameters that adapt.
        tasks: number of tasks.

    Returns:
        The adapted parameters, each with a leading axis of tasks: under their own names, or as the
        factors `LAYER.left` and `LAYER.right` of the update of a linear layer. `{**prior,
        **adapted}` is the adapted model.
    """
    training = torch.is_grad_enabled() and any(value.requires_grad for value in prior.values())
    keeps_graph = training and not config.first_order
    base = prior if training else {name: value.detach() for name, value in prior.items()}
    resting = {name: value for name, value in base.items() if not config.moves(name)}
    moved = _Moved.start(base, config, tasks)
    with torch.enable_grad():
        for step in range(config.inner_steps):
            if not training:
                moved = moved.afresh()
            watched = Watched({**resting, **moved.params, **moved.factors}, moved.weights, tasks)
            moves = _moves(support_loss(watched), moved.params, watched, config, keeps_graph)
            moved = _after(moved, moves, base, config, step)
    params = moved.by_name()
    return params if training else {name: value.detach() for name, value in params.items()}


@dataclass(frozen=True, kw_only=True)
class _Moved:
    """State of the inner loop: what each task has adapted so far."""

    params: Params
    """Vectors, [tasks, ...]."""
    factors: Params
    """`LAYER.left` and `LAYER.right`, the factors of the updates of linear layers."""
    weights: Params
    """Weights of linear layers by LAYER: shared as long as possible, then [tasks, ...]."""

    @classmethod
    def start(cls, base: Params, config: AdaptConfig, tasks: int) -> _Moved:
        """Return the state at the prior."""
        moving = {name: value for name, value in base.items() if config.moves(name)}
        weights = {name for name, value in moving.items() if _is_weight(name, value)}
        return cls(
            params={
                name: value.expand(tasks, *value.shape)
                for name, value in moving.items()
                if name not in weights
            },
            factors={},
            weights={name.removesuffix(WEIGHT): base[name] for name in base if name in weights},
        )

    def afresh(self) -> _Moved:
        """Return the state detached from the graph of previous steps."""
        params = {name: value.detach().requires_grad_() for name, value in self.params.items()}
        return replace(self, params=params)

    def by_name(self) -> Params:
        """Return all parameters that have a leading axis of tasks, and the factors."""
        apart = {name + WEIGHT: value for name, value in self.weights.items() if value.ndim == 3}
        return self.params | self.factors | apart


@dataclass(frozen=True, kw_only=True)
class _Moves:
    """One negative gradient step, before learned step sizes are applied."""

    params: Params
    left: Params
    """LAYER -> [tasks, rows, in]: input rows of the layer."""
    right: Params
    """LAYER -> [tasks, rows, out]: negative gradients by its output rows."""


def _moves(
    losses: Tensor, params: Params, watched: Watched, config: AdaptConfig, keeps_graph: bool
) -> _Moves:
    ends = [y for pairs in watched.rows.values() for _, y in pairs]
    # Fixed rates scale the loss rather than each gradient, which saves one operation per parameter
    # in both passes.
    scale = losses.new_full((), -config.inner_lr if config.rates == "fixed" else -1.0)
    gradients = iter(
        torch.autograd.grad(
            losses.sum(),
            [*params.values(), *ends],
            scale,
            materialize_grads=True,
            create_graph=keeps_graph,
        )
    )
    return _Moves(
        params={name: next(gradients) for name in params},
        left={
            layer: _concat([x if keeps_graph else x.detach() for x, _ in pairs])
            for layer, pairs in watched.rows.items()
        },
        right={
            layer: _concat([next(gradients) for _ in pairs])
            for layer, pairs in watched.rows.items()
        },
    )


def _after(moved: _Moved, moves: _Moves, base: Params, config: AdaptConfig, step: int) -> _Moved:
    """Return the state after this step."""
    params = {
        name: value + _paced(base, name, config, step, moves.params[name])
        for name, value in moved.params.items()
    }
    factors, weights = dict(moved.factors), dict(moved.weights)
    for layer, left in moves.left.items():
        name, right = layer + WEIGHT, moves.right[layer]
        if _keeps_factors(config, left, right):
            paced = _paced(base, name, config, step, right)
            factors |= _longer(factors, layer, left.transpose(1, 2), paced)
        else:
            update = torch.bmm(left.transpose(1, 2), right)
            weights[layer] = weights[layer] + _paced(base, name, config, step, update)
    return _Moved(params=params, factors=factors, weights=weights)


def _longer(factors: Params, layer: str, left: Tensor, right: Tensor) -> Params:
    """Return the factors with those of one more step of a layer appended."""
    added = {f"{layer}.left": (left, 2), f"{layer}.right": (right, 1)}
    return {
        name: torch.cat([factors[name], new], axis) if name in factors else new
        for name, (new, axis) in added.items()
    }


def stacked(prior: Params, adapted: Params) -> Params:
    """Return the parameters that adapted, [tasks, ...] each, under the prior's own names, with
    factors multiplied out.
    """
    params = {name: value for name, value in adapted.items() if name in prior}
    for name in (name.removesuffix(".left") for name in adapted if name.endswith(".left")):
        params[name + WEIGHT] = (
            prior[name + WEIGHT] + adapted[f"{name}.left"] @ adapted[f"{name}.right"]
        )
    return params


def _concat(rows: list[Tensor]) -> Tensor:
    """Concatenate the rows of each task, without a copy where a layer ran once."""
    return rows[0] if len(rows) == 1 else torch.cat(rows, 1)


def _is_weight(name: str, value: Tensor) -> bool:
    return name.endswith(WEIGHT) and value.ndim == 2


def _keeps_factors(config: AdaptConfig, left: Tensor, right: Tensor) -> bool:
    """Return whether the factors of all steps are smaller than one weight per task or, where
    `rows_asked` is known, cost less on these rows.
    """
    rank = left.shape[1] * config.inner_steps
    apart, full = rank * (left.shape[2] + right.shape[2]), left.shape[2] * right.shape[2]
    if config.rates == "per_weight":
        return False
    if config.rows_asked is None:
        return apart <= full
    rows = config.rows_asked if config.inner_steps == 1 else max(config.rows_asked, left.shape[1])
    return rows * apart <= (rows + rank) * full


def _paced(prior: Params, name: str, config: AdaptConfig, step: int, move: Tensor) -> Tensor:
    """Return the step times its learned step size; a fixed one is already applied."""
    if config.rates == "fixed":
        return move
    return move * (prior[RATE + name][step] if config.rates == "per_step" else prior[RATE + name])

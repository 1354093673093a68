"""The inner loop: one `adapt` for training, evaluation and serving, for a whole batch of tasks at
once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import Tensor

from metarec.data.schema import BadInput
from metarec.models.few_shot.functional import Params, Watched

RATE = "rate."
"""Learned step sizes stand in the prior beside the weights they move: `rate.NAME` for `NAME`."""
WEIGHT = ".weight"
META = "meta."
"""Parameters of the inner loss itself; they are learned by the outer loop only, since adapting them
would be cheating.
"""


@dataclass(frozen=True, kw_only=True)
class AdaptConfig:
    """How the parameters of each task are found from the prior."""

    inner_steps: int = 3
    """Gradient steps on the support set; 0 serves the prior unchanged."""
    inner_lr: float = 0.1
    """Step size of the inner loop; where rates are learned, where they start."""
    first_order: bool = False
    """Keep no second derivatives (FOMAML)."""
    adapts: tuple[str, ...] = ("*",)
    """Which parameters move, as patterns of their names: `*` all of them, `out.*` the last
    layer.
    """
    rates: Literal["fixed", "per_step", "per_weight"] = "fixed"
    """Step sizes: given; learned for each tensor and step (arXiv:1810.09502); learned for each
    weight (Meta-SGD).
    """

    rows_asked: int | None = None
    """How many rows each task will be asked about, where few: what moved then stays in its factors
    for longer. The result is the same.
    """

    def __post_init__(self) -> None:
        if self.inner_steps < 0:
            raise BadInput(f"inner_steps must be 0 or more, got {self.inner_steps}")
        if not self.inner_lr > 0:
            raise BadInput(f"inner_lr must be above 0, got {self.inner_lr}")
        if self.rows_asked is not None and self.rows_asked < 1:
            raise BadInput(f"rows_asked must be 1 or more, got {self.rows_asked}")

    def moves(self, name: str) -> bool:
        """Whether this parameter adapts."""
        return not name.startswith((RATE, META)) and any(
            fnmatchcase(name, pattern) for pattern in self.adapts
        )


def new_rates(prior: Params, config: AdaptConfig) -> Params:
    """Step sizes to be learned along with `prior`; empty where they are fixed."""
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
    """Move the prior towards each task's support set; `prior` itself is left as it was.

    Finn et al. 2017, arXiv:1703.03400, algorithm 1, lines 5 to 6, for `tasks` tasks side by side,
    exactly. Vectors are stacked once per task, so that the gradient of the summed losses holds each
    task's own. The weights of linear layers stay shared as long as they can: a step on T rows moves
    a weight by a product of rank T, which is kept as its two factors where that is smaller than a
    weight for each task, and is added to one otherwise.

    Gradients flow from the result back to `prior` where it asks for them (training); otherwise no
    graph is kept.

    Args:
        support_loss: the loss of each task, [tasks], under the parameters it is given; those may be
            `layers.Watched`, so it adds parameters by `params | more` and reads the weights of
            linear layers through `linear` alone.
        prior: shared parameters, and learned step sizes if there are any.

    Returns:
        What has moved, each with a leading axis of tasks: parameters under their own names, or the
        factors `LAYER.left` and `LAYER.right` of what was added to a linear layer. `{**prior,
        **adapted}` is the adapted model.
    """
    training = torch.is_grad_enabled() and any(value.requires_grad for value in prior.values())
    known = prior if training else {name: value.detach() for name, value in prior.items()}
    weights = {
        name.removesuffix(WEIGHT): value
        for name, value in known.items()
        if _is_weight(name, value) and config.moves(name)
    }
    resting = {name: value for name, value in known.items() if not config.moves(name)}
    params = {
        name: value.expand(tasks, *value.shape)
        for name, value in known.items()
        if config.moves(name) and name.removesuffix(WEIGHT) not in weights
    }
    factors: Params = {}
    with torch.enable_grad():
        for step in range(config.inner_steps):
            if not training:
                params = {name: value.detach().requires_grad_() for name, value in params.items()}
            watched = Watched({**resting, **params, **factors}, weights, tasks)
            losses = support_loss(watched)
            ends = [y for pairs in watched.rows.values() for _, y in pairs]
            # Fixed rates scale the loss rather than each slope, so that neither pass touches the
            # parameters once more.
            scale = losses.new_full((), -config.inner_lr if config.rates == "fixed" else -1.0)
            moves = iter(
                torch.autograd.grad(
                    losses.sum(),
                    [*params.values(), *ends],
                    scale,
                    materialize_grads=True,
                    create_graph=training and not config.first_order,
                )
            )
            params = {
                name: value + _paced(known, name, config, step, next(moves))
                for name, value in params.items()
            }
            for name, pairs in watched.rows.items():
                left = _joined(
                    [x if training and not config.first_order else x.detach() for x, _ in pairs]
                )
                right = _joined([next(moves) for _ in pairs])
                if _keeps_factors(config, left, right):
                    right = _paced(known, name + WEIGHT, config, step, right)
                    both = (
                        (factors.get(f"{name}.left"), left.transpose(1, 2), 2),
                        (factors.get(f"{name}.right"), right, 1),
                    )
                    factors |= {
                        f"{name}.{side}": new if old is None else torch.cat([old, new], axis)
                        for side, (old, new, axis) in zip(("left", "right"), both, strict=True)
                    }
                else:
                    move = _paced(
                        known, name + WEIGHT, config, step, torch.bmm(left.transpose(1, 2), right)
                    )
                    weights = weights | {name: weights[name] + move}
    moved = (
        params
        | factors
        | {name + WEIGHT: value for name, value in weights.items() if value.ndim == 3}
    )
    return moved if training else {name: value.detach() for name, value in moved.items()}


def stacked(prior: Params, adapted: Params) -> Params:
    """Adapted parameters under the prior's own names, factors multiplied out: [tasks, ...] each,
    those that moved.
    """
    whole = {name: value for name, value in adapted.items() if name in prior}
    for name in (name.removesuffix(".left") for name in adapted if name.endswith(".left")):
        whole[name + WEIGHT] = (
            prior[name + WEIGHT] + adapted[f"{name}.left"] @ adapted[f"{name}.right"]
        )
    return whole


def _joined(rows: list[Tensor]) -> Tensor:
    """All rows of each task; a single lot is not copied."""
    return rows[0] if len(rows) == 1 else torch.cat(rows, 1)


def _is_weight(name: str, value: Tensor) -> bool:
    return name.endswith(WEIGHT) and value.ndim == 2


def _keeps_factors(config: AdaptConfig, left: Tensor, right: Tensor) -> bool:
    """Whether the factors of all steps are smaller than a weight for each task, or cost less on the
    rows they will be put to.
    """
    rank = left.shape[1] * config.inner_steps
    apart, whole = rank * (left.shape[2] + right.shape[2]), left.shape[2] * right.shape[2]
    if config.rates == "per_weight":
        return False
    if config.rows_asked is None:
        return apart <= whole
    rows = config.rows_asked if config.inner_steps == 1 else max(config.rows_asked, left.shape[1])
    return rows * apart <= (rows + rank) * whole


def _paced(prior: Params, name: str, config: AdaptConfig, step: int, move: Tensor) -> Tensor:
    """A move at its learned rate; a fixed one is in it already."""
    if config.rates == "fixed":
        return move
    return move * (prior[RATE + name][step] if config.rates == "per_step" else prior[RATE + name])

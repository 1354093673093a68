"""The inner loop: one `adapt` for training, evaluation and serving, for a whole batch of tasks at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import Tensor

from metarec.data.schema import BadInput
from metarec.metalearning.layers import Params

RATE = "rate."
"""Learned step sizes stand in the prior beside the weights they move: `rate.NAME` for `NAME`."""
META = "meta."
"""Parameters of the inner loss itself; they are learned by the outer loop only, since adapting them would be cheating."""


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
    """Which parameters move, as patterns of their names: `*` all of them, `out.*` the last layer, `*.down` LoRA factors."""
    rates: Literal["fixed", "per_step", "per_weight"] = "fixed"
    """Step sizes: given; learned for each tensor and step (arXiv:1810.09502); learned for each weight (Meta-SGD)."""

    def __post_init__(self) -> None:
        if self.inner_steps < 0:
            raise BadInput(f"inner_steps must be 0 or more, got {self.inner_steps}")
        if not self.inner_lr > 0:
            raise BadInput(f"inner_lr must be above 0, got {self.inner_lr}")

    def moves(self, name: str) -> bool:
        """Whether this parameter adapts."""
        return not name.startswith((RATE, META)) and any(fnmatchcase(name, pattern) for pattern in self.adapts)


def new_rates(prior: Params, config: AdaptConfig) -> Params:
    """Step sizes to be learned along with `prior`; empty where they are fixed."""
    moving = {name: value for name, value in prior.items() if config.moves(name)}
    if not moving:
        raise BadInput(f"no parameter is named {' or '.join(map(repr, config.adapts))}; there are: {', '.join(sorted(prior))}")
    shapes = {"fixed": None, "per_step": lambda _: (config.inner_steps,), "per_weight": lambda value: value.shape}
    shape = shapes[config.rates]
    return {} if shape is None else {RATE + name: torch.full(shape(value), config.inner_lr, dtype=value.dtype)
                                     for name, value in moving.items()}


def adapt(support_loss: Callable[[Params], Tensor], prior: Params, config: AdaptConfig, *, tasks: int) -> Params:
    """Move the prior towards each task's support set; `prior` itself is left as it was.

    Finn et al. 2017, arXiv:1703.03400, algorithm 1, lines 5 to 6, for `tasks` tasks side by side: every adapting weight
    is stacked once per task, so the gradient of the summed losses holds each task's own gradient.

    Gradients flow from the result back to `prior` where it asks for them (training); otherwise no graph is kept.

    Args:
        support_loss: the loss of each task, [tasks], under stacked parameters.
        prior: shared parameters, and learned step sizes if there are any.

    Returns:
        The adapting parameters, stacked: [tasks, ...] each.
    """
    training = torch.is_grad_enabled() and any(value.requires_grad for value in prior.values())
    resting = {name: value if training else value.detach() for name, value in prior.items() if not config.moves(name)}
    params = {name: value.expand(tasks, *value.shape) for name, value in prior.items() if config.moves(name)}
    with torch.enable_grad():
        for step in range(config.inner_steps):
            if not training:
                params = {name: value.detach().requires_grad_() for name, value in params.items()}
            losses = support_loss({**resting, **params})
            # Fixed rates scale the loss rather than each slope, so that neither pass touches the weights once more.
            scale = losses.new_full((), -config.inner_lr if config.rates == "fixed" else -1.0)
            moves = torch.autograd.grad(losses.sum(), list(params.values()), scale, materialize_grads=True,
                                        create_graph=training and not config.first_order)
            params = {name: value + (move if config.rates == "fixed" else _rate(prior, name, config, step) * move)
                      for (name, value), move in zip(params.items(), moves, strict=True)}
    return params if training else {name: value.detach() for name, value in params.items()}


def _rate(prior: Params, name: str, config: AdaptConfig, step: int) -> Tensor:
    return prior[RATE + name][step] if config.rates == "per_step" else prior[RATE + name]

"""Layers as plain functions of named weights, where any weight may carry a leading task axis.

A weight is either shared, `[in, out]`, or stacked, one for each task, `[B, in, out]`; the same code
handles both, so a batch of tasks is one batched matrix product, without a loop over tasks.

Shape letters: B tasks, T rows of a task, D width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

Params = dict[str, Tensor]
"""Weights by name; stacked ones have a leading axis of tasks."""


def row(vector: Tensor) -> Tensor:
    """Return `[D]` or `[B, D]` with an axis of rows, so that it broadcasts to `[B, T, D]`."""
    return vector.unsqueeze(-2)


class Watched(dict[str, Tensor]):
    """Parameters under which linear layers record their inputs and outputs, from which the gradient
    of each task is computed afterwards.

    The gradient of a task's loss by a weight is `x' d`, with x the input rows and d the gradient by
    the output rows. Recording both lets all tasks share one weight in one product and still adapt
    separately. Only `linear` may use the weights themselves: any other use would be missing in the
    gradient.
    """

    def __init__(self, params: Params, weights: Params, tasks: int) -> None:
        super().__init__(params)
        self.weights = weights
        self.tasks = tasks
        self.rows: dict[str, list[tuple[Tensor, Tensor]]] = {}

    # Narrower than dict's: values are tensors
    def __or__(self, other: Params) -> Watched:  # type: ignore[override]
        """Return these parameters with more of them, recording to the same lists."""
        joined = Watched({**self, **other}, self.weights, self.tasks)
        joined.rows = self.rows
        return joined

    def note(self, name: str, x_BTD: Tensor, y_BTD: Tensor) -> Tensor:
        """Record input and output of layer `name`; return the output to use from here on."""
        y_BTD = y_BTD.expand(self.tasks, *y_BTD.shape[1:])
        y_BTD = y_BTD if y_BTD.requires_grad else y_BTD.requires_grad_()
        self.rows.setdefault(name, []).append((x_BTD.expand(self.tasks, *x_BTD.shape[1:]), y_BTD))
        return y_BTD


def weight_of(params: Params, name: str) -> Tensor | None:
    """Return the weight of layer `name`, `[in, out]` or stacked; None if there is no such layer."""
    if isinstance(params, Watched) and name in params.weights:
        return params.weights[name]
    return params.get(f"{name}.weight")


def linear(params: Params, name: str, x_BTD: Tensor) -> Tensor:
    """Return `x @ weight + bias`, with the adapted low-rank update of the weight.

    Args:
        params: holds `name.weight`, and perhaps `name.bias`, and `name.left` and `name.right`, the
            factors of the update.
        x_BTD: rows of each task; a leading 1 for rows that all tasks share.
    """
    weight, bias = weight_of(params, name), params.get(f"{name}.bias")
    assert weight is not None, f"there is no layer {name!r} among {', '.join(params)}"
    if bias is not None and weight.ndim == 3 and x_BTD.shape[0] == weight.shape[0]:
        y = torch.baddbmm(row(bias), x_BTD, weight)
    else:
        y = product(x_BTD, weight)
        y = y if bias is None else y + row(bias)
    if f"{name}.left" in params:
        y = y + product(product(x_BTD, params[f"{name}.left"]), params[f"{name}.right"])
    return (
        params.note(name, x_BTD, y) if isinstance(params, Watched) and name in params.weights else y
    )


def product(x_BTD: Tensor, weight: Tensor) -> Tensor:
    """Return the matrix product; rows that all tasks share are multiplied by all weights at once,
    without a copy for each task.
    """
    if weight.ndim == 3 and x_BTD.shape[0] == 1 < weight.shape[0]:
        tasks, width_in, width_out = weight.shape
        side_by_side = weight.permute(1, 0, 2).reshape(width_in, tasks * width_out)
        return (x_BTD[0] @ side_by_side).view(-1, tasks, width_out).transpose(0, 1)
    return x_BTD @ weight


def new_linear(
    name: str,
    width_in: int,
    width_out: int,
    draw: torch.Generator,
    *,
    gain: float = 1.0,
    bias: bool = True,
) -> Params:
    """Return a new layer: weights uniform within `gain / sqrt(width_in)`, bias 0."""
    bound = gain / math.sqrt(max(width_in, 1))
    params = {f"{name}.weight": _uniform((width_in, width_out), bound, draw)}
    if bias:
        params[f"{name}.bias"] = torch.zeros(width_out)
    return params


def _uniform(shape: tuple[int, ...], bound: float, draw: torch.Generator) -> Tensor:
    return torch.empty(shape).uniform_(-bound, bound, generator=draw)

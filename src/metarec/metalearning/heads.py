"""Heads: what turns the rows of a task into scores, as plain functions of parameters that may be
stacked by task.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from metarec.metalearning.layers import (
    Params,
    block,
    layer_norm,
    linear,
    new_block,
    new_linear,
    row,
)


@dataclass(frozen=True, kw_only=True)
class MLPHead:
    """Rows through ReLU layers to one number, as the decision layers of MeLU (arXiv:1908.00413).

    A `context` of the task (its profile, or a vector that adapts) enters the first layer, which is
    the same as joining it to every row.
    """

    width: int
    hidden: tuple[int, ...] = (64, 64)
    context: int = 0

    def init(self, draw: torch.Generator) -> Params:
        """Fresh weights; the last layer starts small, so that an untrained head says little."""
        widths = (self.width, *self.hidden)
        params: Params = {}
        for place in range(len(self.hidden)):
            params |= new_linear(f"mlp.{place}", widths[place], widths[place + 1], draw)
        if self.context:
            params |= new_linear("context_in", self.context, widths[1], draw, bias=False)
        return params | new_linear("out", widths[-1], 1, draw)

    def __call__(self, params: Params, x_BTD: Tensor, context_BC: Tensor | None = None) -> Tensor:
        """[B, T] scores; x may have a leading 1 for rows all tasks share."""
        for place in range(len(self.hidden)):
            x_BTD = linear(params, f"mlp.{place}", x_BTD)
            if place == 0 and context_BC is not None:
                x_BTD = x_BTD + linear(params, "context_in", row(context_BC))
            x_BTD = F.relu(x_BTD)
        return linear(params, "out", x_BTD).squeeze(-1)


@dataclass(frozen=True, kw_only=True)
class TransformerHead:
    """Rows that are short token sequences: pre-norm blocks, the mean over tokens, one number for
    each row.
    """

    width: int
    tokens: int
    heads: int = 2
    hidden: int = 128
    layers: int = 1
    lora: int = 0

    def init(self, draw: torch.Generator) -> Params:
        """Fresh weights."""
        params: Params = {}
        for layer in range(self.layers):
            params |= new_block(f"block.{layer}", self.width, self.hidden, draw, lora=self.lora)
        norm = {"norm.weight": torch.ones(self.width), "norm.bias": torch.zeros(self.width)}
        return params | norm | new_linear("out", self.width, 1, draw)

    def __call__(self, params: Params, x_BTLD: Tensor) -> Tensor:
        """[B, T] scores of T rows with L tokens each."""
        x_BTD = x_BTLD.flatten(1, 2)
        for layer in range(self.layers):
            x_BTD = block(params, f"block.{layer}", x_BTD, tokens=self.tokens, heads=self.heads)
        pooled = (
            layer_norm(params, "norm", x_BTD).view(len(x_BTD), -1, self.tokens, self.width).mean(2)
        )
        return linear(params, "out", pooled).squeeze(-1)

"""Timed cases: small networks and tasks, each as plain torch modules and as the batched functions
of this package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from benchmarks.meta.blocks import block, layer_norm, new_block
from torch import Tensor, nn
from torch.nn import functional as F

from metarec.models.few_shot.functional import Params, linear, new_linear
from metarec.models.few_shot.networks import MLPHead

TASKS, SUPPORT, QUERY, WIDTH, TOKENS, HEADS = 32, 10, 10, 64, 9, 2
INNER_LR = 0.05


class PlainMLP(nn.Module):
    """64-64-64-1 with ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.ModuleList([nn.Linear(WIDTH, 64), nn.Linear(64, 64)])
        self.out = nn.Linear(64, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[T, D] -> [T]."""
        for layer in self.mlp:
            x = F.relu(layer(x))
        return torch.as_tensor(self.out(x).squeeze(-1))


class PlainAttention(nn.Module):
    """Self-attention with the softmax written out, since the fused one has no second derivative on
    the CPU.
    """

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """[T, L, D] -> [T, L, D]."""
        q, k, v = (
            layer(x).view(*x.shape[:2], HEADS, -1).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, dim=-1) @ v
        return torch.as_tensor(self.out(mixed.transpose(1, 2).reshape(x.shape)))


class PlainBlock(nn.Module):
    """One pre-norm Transformer layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_attention, self.norm_feed = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = PlainAttention()
        self.feed_forward = nn.Sequential(
            nn.Linear(WIDTH, 128), nn.GELU(), nn.Identity(), nn.Linear(128, WIDTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[T, L, D] -> [T, L, D]."""
        x = x + self.attention(self.norm_attention(x))
        return torch.as_tensor(x + self.feed_forward(self.norm_feed(x)))


class PlainTransformer(nn.Module):
    """One block over 9 tokens, their mean, one number."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.ModuleList([PlainBlock()])
        self.norm, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[T, L, D] -> [T]."""
        return torch.as_tensor(self.out(self.norm(self.block[0](x)).mean(1)).squeeze(-1))


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

    def init(self, draw: torch.Generator) -> Params:
        """Fresh weights."""
        params: Params = {}
        for layer in range(self.layers):
            params |= new_block(f"block.{layer}", self.width, self.hidden, draw)
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


def params_of(module: nn.Module, prefix: str = "") -> Params:
    """Return the weights of a torch module by name, as `prefix.NAME`, linear ones transposed to
    `[in, out]`.
    """
    turned = {
        f"{name}.weight" for name, part in module.named_modules() if isinstance(part, nn.Linear)
    }
    return {
        (f"{prefix}.{name}" if prefix else name): (
            value.detach().T if name in turned else value.detach()
        ).clone()
        for name, value in module.named_parameters()
    }


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network with a meta-batch."""

    name: str
    module: nn.Module
    """The network as a torch module."""
    head: Callable[[Params, Tensor], Tensor]
    """The same network as a function of parameters that may be stacked."""
    x: Tensor
    """[tasks, support + query, ...]"""
    y: Tensor
    """[tasks, support + query]"""

    def double(self) -> Case:
        """Return the same case in float64, with a copy of its module."""
        module = type(self.module)().double()
        module.load_state_dict(
            {name: value.double() for name, value in self.module.state_dict().items()}
        )
        return Case(
            name=self.name, module=module, head=self.head, x=self.x.double(), y=self.y.double()
        )

    @property
    def prior(self) -> Params:
        """Return the module's weights in the form of the batched function."""
        return params_of(self.module)


def new_case(name: str, seed: int = 0) -> Case:
    """Return the `MLP` or the `Transformer` case, equal for equal seeds."""
    draw = torch.Generator().manual_seed(seed)
    module: nn.Module = PlainMLP() if name == "MLP" else PlainTransformer()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.02)
    shape = (WIDTH,) if name == "MLP" else (TOKENS, WIDTH)
    head = (
        MLPHead(width=WIDTH, hidden=(64, 64))
        if name == "MLP"
        else TransformerHead(width=WIDTH, tokens=TOKENS, heads=HEADS)
    )
    return Case(
        name=name,
        module=module,
        head=head,
        x=torch.randn(TASKS, SUPPORT + QUERY, *shape, generator=draw),
        y=torch.randn(TASKS, SUPPORT + QUERY, generator=draw),
    )


def squared(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error over the last axis."""
    return (scores - labels).square().mean(-1)

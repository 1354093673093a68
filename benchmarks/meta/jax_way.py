"""The same meta-gradient in JAX: `grad` within `vmap` within `grad`, compiled once per case (`pip
install 'metarec[jax]'`).

The networks are written task by task, as is usual in JAX; `vmap` batches them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from benchmarks.meta.cases import HEADS, INNER_LR, SUPPORT, Case

from metarec.models.few_shot.functional import Params
from metarec.runtime.extras import require


def jax_vmap(case: Case, steps: int) -> Params:
    """Return the meta-gradient of a case; weights, tasks and gradients pass through numpy. The
    first call compiles.
    """
    jax = require("jax", "jax")
    with jax.enable_x64(case.x.dtype == torch.float64):
        slopes = _compiled(case.name, steps)(
            {name: value.numpy() for name, value in case.prior.items()},
            case.x.numpy(),
            case.y.numpy(),
        )
        return {name: torch.from_numpy(np.array(slope)) for name, slope in slopes.items()}


@lru_cache
def _compiled(name: str, steps: int) -> Callable[..., dict[str, Any]]:
    jax = require("jax", "jax")
    network = {"MLP": _mlp, "Transformer": _transformer}[name]

    def loss(params: dict[str, Any], x: Any, y: Any) -> Any:
        return ((network(jax, params, x) - y) ** 2).mean()

    def task(params: dict[str, Any], x: Any, y: Any) -> Any:
        fast = params
        for _ in range(steps):
            slopes = jax.grad(loss)(fast, x[:SUPPORT], y[:SUPPORT])
            fast = {key: value - INNER_LR * slopes[key] for key, value in fast.items()}
        return loss(fast, x[SUPPORT:], y[SUPPORT:])

    def all_tasks(params: dict[str, Any], x: Any, y: Any) -> Any:
        return jax.vmap(task, in_axes=(None, 0, 0))(params, x, y).mean()

    # JAX is loaded when asked for, so untyped
    return jax.jit(jax.grad(all_tasks))  # type: ignore[no-any-return]


def _linear(params: dict[str, Any], name: str, x: Any) -> Any:
    return x @ params[f"{name}.weight"] + params[f"{name}.bias"]


def _norm(params: dict[str, Any], name: str, x: Any) -> Any:
    centered = x - x.mean(-1, keepdims=True)
    return (
        centered / ((centered**2).mean(-1, keepdims=True) + 1e-5) ** 0.5 * params[f"{name}.weight"]
        + params[f"{name}.bias"]
    )


def _mlp(jax: Any, params: dict[str, Any], x: Any) -> Any:
    for layer in range(2):
        x = jax.nn.relu(_linear(params, f"mlp.{layer}", x))
    return _linear(params, "out", x)[..., 0]


def _transformer(jax: Any, params: dict[str, Any], x: Any) -> Any:
    """[T, L, D] -> [T]."""
    seen, name = _norm(params, "block.0.norm_attention", x), "block.0.attention"
    parts = (_linear(params, f"{name}.{part}", seen) for part in ("query", "key", "value"))
    q, k, v = (part.reshape(*x.shape[:2], HEADS, -1).swapaxes(1, 2) for part in parts)
    mixed = jax.nn.softmax(q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5, axis=-1) @ v
    x = x + _linear(params, f"{name}.out", mixed.swapaxes(1, 2).reshape(x.shape))
    wide = jax.nn.gelu(
        _linear(params, "block.0.feed_forward.0", _norm(params, "block.0.norm_feed", x)),
        approximate=False,
    )
    x = x + _linear(params, "block.0.feed_forward.3", wide)
    return _linear(params, "out", _norm(params, "norm", x).mean(-2))[..., 0]

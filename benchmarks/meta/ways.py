"""Implementations of one meta-gradient of second-order MAML: ours, the plain loop, and libraries
where they are installed.

Each takes a case and a number of inner steps and returns the gradient of the mean query loss by
weight name.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec

import torch
from benchmarks.meta.cases import INNER_LR, SUPPORT, TASKS, Case, squared
from benchmarks.meta.jax_way import jax_vmap
from torch import Tensor
from torch.func import functional_call

from metarec.models.few_shot.adapt import AdaptConfig, adapt
from metarec.models.few_shot.functional import Params
from metarec.runtime.extras import require

Way = Callable[[Case, int], Params]


def ours(case: Case, steps: int) -> Params:
    """Adapt all tasks at once."""
    prior = {name: value.requires_grad_() for name, value in case.prior.items()}
    config = AdaptConfig(inner_steps=steps, inner_lr=INNER_LR)
    adapted = adapt(
        lambda params: squared(case.head(params, case.x[:, :SUPPORT]), case.y[:, :SUPPORT]),
        prior,
        config,
        tasks=TASKS,
    )
    _backward(
        squared(case.head({**prior, **adapted}, case.x[:, SUPPORT:]), case.y[:, SUPPORT:]).mean()
    )
    return {name: _gradient(value) for name, value in prior.items()}


def plain_loop(case: Case, steps: int) -> Params:
    """Adapt one task after another through the module, with second derivatives by
    `torch.autograd.grad(create_graph=True)`.
    """
    weights: Params = dict(case.module.named_parameters())
    case.module.zero_grad()
    total = torch.zeros((), dtype=case.x.dtype)
    for task in range(TASKS):
        fast = weights
        for _ in range(steps):
            loss = squared(
                functional_call(case.module, fast, (case.x[task, :SUPPORT],)),
                case.y[task, :SUPPORT],
            )
            slopes = torch.autograd.grad(loss, list(fast.values()), create_graph=True)
            fast = {
                name: value - INNER_LR * slope
                for (name, value), slope in zip(fast.items(), slopes, strict=True)
            }
        total = total + squared(
            functional_call(case.module, fast, (case.x[task, SUPPORT:],)), case.y[task, SUPPORT:]
        )
    _backward(total / TASKS)
    return _of_module(case)


def torchopt_loop(case: Case, steps: int) -> Params:
    """TorchOpt's differentiable SGD, task by task, as in its MAML example (Ren et al. 2023,
    arXiv:2211.06934).
    """
    torchopt = require("torchopt", "bench")
    inner = torchopt.MetaSGD(case.module, lr=INNER_LR)
    start, state = (
        torchopt.extract_state_dict(case.module, by="reference"),
        torchopt.extract_state_dict(inner),
    )
    case.module.zero_grad()
    total = torch.zeros((), dtype=case.x.dtype)
    for task in range(TASKS):
        for _ in range(steps):
            inner.step(squared(case.module(case.x[task, :SUPPORT]), case.y[task, :SUPPORT]))
        total = total + squared(case.module(case.x[task, SUPPORT:]), case.y[task, SUPPORT:])
        torchopt.recover_state_dict(case.module, start)
        torchopt.recover_state_dict(inner, state)
    _backward(total / TASKS)
    return _of_module(case)


def higher_loop(case: Case, steps: int) -> Params:
    """`higher`'s patched modules, task by task (Grefenstette et al. 2019, arXiv:1910.01727)."""
    higher = require("higher", "bench")
    case.module.zero_grad()
    for task in range(TASKS):
        sgd = torch.optim.SGD(case.module.parameters(), lr=INNER_LR)
        with higher.innerloop_ctx(case.module, sgd, copy_initial_weights=False) as (fast, inner):
            for _ in range(steps):
                inner.step(squared(fast(case.x[task, :SUPPORT]), case.y[task, :SUPPORT]))
            _backward(squared(fast(case.x[task, SUPPORT:]), case.y[task, SUPPORT:]) / TASKS)
    return _of_module(case)


def ways() -> dict[str, Way]:
    """Return ours, the loop, and each installed library."""
    found: dict[str, Way] = {"metarec": ours, "loop": plain_loop}
    for name, way in (("torchopt", torchopt_loop), ("higher", higher_loop), ("jax", jax_vmap)):
        if find_spec(name) is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                require(name, "jax" if name == "jax" else "bench")
            found[name] = way
    return found


def _backward(loss: Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _gradient(value: Tensor) -> Tensor:
    assert value.grad is not None, "every weight takes part"
    return value.grad


def _of_module(case: Case) -> Params:
    """Return the module's gradients in our layout."""
    turned = {
        f"{name}.weight"
        for name, part in case.module.named_modules()
        if isinstance(part, torch.nn.Linear)
    }
    return {
        name: _gradient(value).T if name in turned else _gradient(value)
        for name, value in case.module.named_parameters()
    }

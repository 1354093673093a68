"""The closed form: the meta-gradient of a network through ridge solutions of all tasks, beside a loop of solves."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from metarec.metalearning.bench.cases import QUERY, SUPPORT, TASKS, WIDTH, Case, squared
from metarec.metalearning.closed_form import solve
from metarec.metalearning.layers import Params, linear

NOISE = 1.0


def _body(module: torch.nn.Module) -> Params:
    return {name: value for name, value in module.named_parameters() if name.startswith("mlp.")}


def ridge_ours(case: Case, steps: int) -> Params:  # noqa: ARG001  # a closed form takes no steps
    """One pass over all rows, one batched Cholesky factor in the support's dimension."""
    prior = {name: value.requires_grad_() for name, value in case.prior.items() if name.startswith("mlp.")}
    features = case.x.flatten(0, 1).unsqueeze(0)
    for layer in range(2):
        features = F.relu(linear(prior, f"mlp.{layer}", features))
    features = features.view(TASKS, SUPPORT + QUERY, WIDTH)
    support, query = features[:, :SUPPORT], features[:, SUPPORT:]
    is_real = torch.ones(TASKS, SUPPORT, dtype=torch.bool)
    noise = torch.full((), NOISE, dtype=case.x.dtype)
    ridge = solve(support @ support.transpose(1, 2), case.y[:, :SUPPORT], noise, is_real)
    predicted = (query @ support.transpose(1, 2) @ ridge.weights.unsqueeze(-1)).squeeze(-1)
    squared(predicted, case.y[:, SUPPORT:]).mean().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return {name: value.grad for name, value in prior.items() if value.grad is not None}


def ridge_loop(case: Case, steps: int) -> Params:  # noqa: ARG001  # a closed form takes no steps
    """One task after the other: features, normal equations, solve."""
    weights = _body(case.module)
    case.module.zero_grad()
    total = torch.zeros((), dtype=case.x.dtype)
    for task in range(TASKS):
        features = functional_call(_Features(case.module), {f"net.{name}": value for name, value in weights.items()}, (case.x[task],))
        support, query = features[:SUPPORT], features[SUPPORT:]
        normal = support.T @ support + NOISE * torch.eye(WIDTH, dtype=case.x.dtype)
        predicted = query @ torch.linalg.solve(normal, support.T @ case.y[task, :SUPPORT])
        total = total + squared(predicted, case.y[task, SUPPORT:])
    (total / TASKS).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return {name: value.grad.T if value.ndim == 2 else value.grad for name, value in weights.items() if value.grad is not None}


class _Features(torch.nn.Module):
    """The hidden layers of the MLP."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """[T, D] -> [T, D]."""
        for layer in self.net.mlp:  # type: ignore[union-attr]  # a module list
            x = F.relu(layer(x))
        return x

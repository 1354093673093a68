"""Closed form: the meta-gradient of a network through the ridge solutions of all tasks, relative to
a loop of solves.
"""

from __future__ import annotations

import torch
from benchmarks.meta.cases import QUERY, SUPPORT, TASKS, WIDTH, Case, squared
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from metarec.models.few_shot.closed_form import solve
from metarec.models.few_shot.functional import Params, linear

NOISE = 1.0


def ridge_ours(case: Case, steps: int) -> Params:  # noqa: ARG001  # a closed form takes no steps
    """Return the meta-gradient by one pass over all rows and one batched Cholesky factorization in
    the dimension of the support sets.
    """
    prior = {
        name: value.requires_grad_()
        for name, value in case.prior.items()
        if name.startswith("mlp.")
    }
    features = case.x.flatten(0, 1).unsqueeze(0)
    for layer in range(2):
        features = F.relu(linear(prior, f"mlp.{layer}", features))
    support, query = torch.split(
        features.view(TASKS, SUPPORT + QUERY, WIDTH), [SUPPORT, QUERY], dim=1
    )
    users = _solved(support, case.y[:, :SUPPORT])
    predicted = (query @ users.unsqueeze(-1)).squeeze(-1)
    # Torch leaves it untyped
    squared(predicted, case.y[:, SUPPORT:]).mean().backward()  # type: ignore[no-untyped-call]
    return {name: value.grad for name, value in prior.items() if value.grad is not None}


def ridge_loop(case: Case, steps: int) -> Params:  # noqa: ARG001  # a closed form takes no steps
    """Return the meta-gradient task by task: features, normal equations, solve."""
    body = _Features(case.module)
    weights: Params = {
        name: value for name, value in body.named_parameters() if name.startswith("net.mlp.")
    }
    case.module.zero_grad()
    total = torch.zeros((), dtype=case.x.dtype)
    for task in range(TASKS):
        support = functional_call(body, weights, (case.x[task, :SUPPORT],))
        normal = support.T @ support + NOISE * torch.eye(WIDTH, dtype=case.x.dtype)
        user = torch.linalg.solve(normal, support.T @ case.y[task, :SUPPORT])
        query = functional_call(body, weights, (case.x[task, SUPPORT:],))
        total = total + squared(query @ user, case.y[task, SUPPORT:])
    (total / TASKS).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return {
        name: value.grad.T if value.ndim == 2 else value.grad
        for name, value in case.module.named_parameters()
        if name.startswith("mlp.") and value.grad is not None
    }


def solve_ours(case: Case, steps: int) -> Params:  # noqa: ARG001  # a closed form takes no steps
    """Adapt on given features only: all tasks in one factorization."""
    return {"user": _solved(case.x[:, :SUPPORT], case.y[:, :SUPPORT])}


def _solved(features: Tensor, targets: Tensor) -> Tensor:
    """Return the ridge solution of each task, F' (F F' + noise I)^-1 y, [B, D]."""
    turned = features.transpose(1, 2)
    noise = torch.full((), NOISE, dtype=features.dtype)
    is_real = torch.ones_like(targets, dtype=torch.bool)
    ridge = solve(features @ turned, targets, noise, is_real)
    return (turned @ ridge.weights.unsqueeze(-1)).squeeze(-1)


def solve_loop(case: Case, steps: int) -> Params:  # noqa: ARG001  # a closed form takes no steps
    """Adapt on given features only: the normal equations of one task after another."""
    users = []
    for task in range(TASKS):
        support = case.x[task, :SUPPORT]
        normal = support.T @ support + NOISE * torch.eye(WIDTH, dtype=case.x.dtype)
        users.append(torch.linalg.solve(normal, support.T @ case.y[task, :SUPPORT]))
    return {"user": torch.stack(users)}


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

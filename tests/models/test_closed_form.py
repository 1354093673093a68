from __future__ import annotations

import pytest
import torch

from metarec.models.few_shot.closed_form import leave_one_out, solve, variance_left


def world(tasks=3, events=5, width=7):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(tasks, events, width, generator=draw, dtype=torch.float64)
    y = torch.randn(tasks, events, generator=draw, dtype=torch.float64)
    is_real = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [False] * 5])
    return x, y, is_real, torch.tensor(0.3, dtype=torch.float64)


def test_dual_solution_is_the_exact_primal_one():
    x, y, is_real, noise = world()
    ridge = solve(x @ x.transpose(1, 2), y, noise, is_real)
    ours = (ridge.weights.unsqueeze(-1) * x).sum(1)
    for task in range(3):
        rows, targets = x[task][is_real[task]], y[task][is_real[task]]
        exact = torch.linalg.solve(
            rows.T @ rows + noise * torch.eye(7, dtype=torch.float64), rows.T @ targets
        )
        torch.testing.assert_close(ours[task], exact, rtol=1e-10, atol=1e-12)


def test_leaving_one_out_is_refitting_without_it():
    x, y, is_real, noise = world()
    ridge = solve(x @ x.transpose(1, 2), y, noise, is_real)
    predicted = leave_one_out(ridge, y)
    for task in range(2):
        for left_out in torch.nonzero(is_real[task]).squeeze(-1).tolist():
            keep = [e for e in torch.nonzero(is_real[task]).squeeze(-1).tolist() if e != left_out]
            rows = x[task, keep]
            weights = torch.linalg.solve(
                rows.T @ rows + noise * torch.eye(7, dtype=torch.float64), rows.T @ y[task, keep]
            )
            torch.testing.assert_close(
                predicted[task, left_out], x[task, left_out] @ weights, rtol=1e-9, atol=1e-11
            )


def test_variance_is_the_gaussian_posteriors():
    x, y, is_real, noise = world()
    ridge = solve(x @ x.transpose(1, 2), y, noise, is_real)
    items = torch.randn(4, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    cross = (items @ x.transpose(1, 2)) * is_real.unsqueeze(1)
    ours = variance_left(items.square().sum(-1), cross, ridge.factor)
    for task in range(3):
        rows = x[task][is_real[task]]
        covariance = torch.linalg.inv(torch.eye(7, dtype=torch.float64) + rows.T @ rows / noise)
        torch.testing.assert_close(
            ours[task], ((items @ covariance) * items).sum(-1), rtol=1e-9, atol=1e-11
        )


def test_meta_gradient_of_the_solution_equals_a_loop_of_primal_solves():
    x, y, is_real, noise = world()
    gradients = []
    for batched in (True, False):
        body = torch.linspace(-1, 1, 49, dtype=torch.float64).reshape(7, 7).requires_grad_()
        features = torch.tanh(x @ body)
        if batched:
            ridge = solve(features @ features.transpose(1, 2), y, noise, is_real)
            weights = (ridge.weights.unsqueeze(-1) * features).sum(1)
        else:
            weights = torch.stack(
                [
                    torch.linalg.solve(
                        features[t][is_real[t]].T @ features[t][is_real[t]]
                        + noise * torch.eye(7, dtype=torch.float64),
                        features[t][is_real[t]].T @ y[t][is_real[t]],
                    )
                    for t in range(3)
                ]
            )
        (weights.square().sum() + (features @ weights.unsqueeze(-1)).square().sum()).backward()
        gradients.append(body.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-11)


def test_a_second_derivative_is_refused():
    x, y, _, noise = world()
    leaf = x.clone().requires_grad_()
    adapted = solve(leaf @ leaf.transpose(1, 2), y, noise, y < 9).weights
    with pytest.raises(RuntimeError, match="the closed form has no second derivative"):
        torch.autograd.grad(adapted.sum(), leaf, create_graph=True)

"""Meta-gradients of the batched inner loop against a plain loop over tasks, in float64.

The loop below knows nothing of `metarec.models.few_shot.functional`: it runs torch modules, one
task after the other, with `torch.autograd.grad(create_graph=True)`. Its weights are copied from the
batched parameters by name.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
import torch
from benchmarks.meta.cases import TransformerHead
from torch import Tensor, nn
from torch.func import functional_call

from metarec.models.attention import Block, LayerNorm
from metarec.models.few_shot.adapt import RATE, AdaptConfig, adapt, new_rates
from metarec.models.few_shot.functional import Params
from metarec.models.few_shot.networks import MLPHead

TASKS, SUPPORT, QUERY, WIDTH, TOKENS = 5, 6, 4, 8, 3


class PlainMLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.ModuleList([nn.Linear(WIDTH, 7), nn.Linear(7, 6)])
        self.out = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.mlp:
            x = torch.relu(layer(x))
        return self.out(x).squeeze(-1)


class PlainTransformer(nn.Module):
    """Made of the backbone's own block."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.ModuleList([Block(WIDTH, 2, 12)])
        self.norm = LayerNorm(WIDTH)
        self.out = nn.Linear(WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(self.block[0](x)).mean(1)).squeeze(-1)


def to_plain(params: Params) -> Params:
    """torch keeps linear weights as [out, in]."""
    return {name: value.T if value.ndim == 2 else value for name, value in params.items()}


CASES = {
    "mlp": (MLPHead(width=WIDTH, hidden=(7, 6)), PlainMLP, (WIDTH,)),
    "transformer": (
        TransformerHead(width=WIDTH, tokens=TOKENS, heads=2, hidden=12),
        PlainTransformer,
        (TOKENS, WIDTH),
    ),
}
ALGORITHMS = {
    "maml, 1 step": AdaptConfig(inner_steps=1),
    "maml, 3 steps": AdaptConfig(inner_steps=3),
    "fomaml": AdaptConfig(inner_steps=3, first_order=True),
    "anil": AdaptConfig(inner_steps=3, adapts=("out.*",)),
    "named blocks": AdaptConfig(
        inner_steps=2, adapts=("mlp.1.*", "block.0.feed_forward.*", "out.*")
    ),
    "meta-sgd": AdaptConfig(inner_steps=2, rates="per_weight"),
    "rates by step": AdaptConfig(inner_steps=3, rates="per_step"),
}


def world(head, shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    prior = {name: value.double() for name, value in head.init(draw).items()}
    x = torch.randn(TASKS, SUPPORT + QUERY, *shape, generator=draw, dtype=torch.float64)
    y = torch.randn(TASKS, SUPPORT + QUERY, generator=draw, dtype=torch.float64)
    return prior, x, y


def squared(scores: Tensor, labels: Tensor) -> Tensor:
    return (scores - labels).square().mean(-1)


def batched_meta_gradient(head, prior: Params, x: Tensor, y: Tensor, config: AdaptConfig) -> Params:
    prior = {
        name: value.clone().requires_grad_()
        for name, value in (prior | new_rates(prior, config)).items()
    }
    adapted = adapt(
        lambda params: squared(head(params, x[:, :SUPPORT]), y[:, :SUPPORT]),
        prior,
        config,
        tasks=TASKS,
    )
    squared(head({**prior, **adapted}, x[:, SUPPORT:]), y[:, SUPPORT:]).mean().backward()
    return {name: value.grad for name, value in prior.items()}


def loop_meta_gradient(
    module: nn.Module, prior: Params, x: Tensor, y: Tensor, config: AdaptConfig
) -> Params:
    """One task at a time; every weight is turned inside the graph, so gradients land on the batched
    names.
    """
    prior = {
        name: value.clone().requires_grad_()
        for name, value in (prior | new_rates(prior, config)).items()
    }
    total = torch.zeros((), dtype=torch.float64)
    for task in range(TASKS):
        weights = {name: value for name, value in prior.items() if not name.startswith(RATE)}
        for step in range(config.inner_steps):
            moving = {
                name: value
                for name, value in weights.items()
                if any(fnmatchcase(name, a) for a in config.adapts)
            }
            loss = squared(
                functional_call(module, to_plain(weights), (x[task, :SUPPORT],)), y[task, :SUPPORT]
            )
            slopes = torch.autograd.grad(loss, list(moving.values()), create_graph=True)
            for (name, value), slope in zip(moving.items(), slopes, strict=True):
                slope = slope.detach() if config.first_order else slope
                rate = prior.get(RATE + name, torch.tensor(config.inner_lr, dtype=torch.float64))
                weights[name] = value - (rate[step] if config.rates == "per_step" else rate) * slope
        total = total + squared(
            functional_call(module, to_plain(weights), (x[task, SUPPORT:],)), y[task, SUPPORT:]
        )
    (total / TASKS).backward()
    return {name: value.grad for name, value in prior.items()}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("case", CASES)
def test_meta_gradient_equals_the_plain_loop(case, algorithm):
    head, module, shape = CASES[case]
    prior, x, y = world(head, shape)
    ours = batched_meta_gradient(head, prior, x, y, ALGORITHMS[algorithm])
    theirs = loop_meta_gradient(module().double(), prior, x, y, ALGORITHMS[algorithm])
    assert ours.keys() == theirs.keys()
    largest = max(float(g.abs().max()) for g in theirs.values())
    assert largest > 1e-3
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).abs().max() <= 1e-10 * largest, name


@pytest.mark.parametrize("case", CASES)
def test_first_order_differs_from_second_order(case):
    head, _, shape = CASES[case]
    prior, x, y = world(head, shape)
    second = batched_meta_gradient(head, prior, x, y, AdaptConfig(inner_steps=2))
    first = batched_meta_gradient(head, prior, x, y, AdaptConfig(inner_steps=2, first_order=True))
    assert max(float((second[name] - first[name]).abs().max()) for name in second) > 1e-4


def test_two_parameter_case_by_hand():
    """Model a*x + b, one event (x, y), one step: a' = a - 2r(ax+b-y)x, b' = b - 2r(ax+b-y).

    With e = ax+b-y and the query (u, v): f = a'u + b' - v = au + b - v - 2re(xu + 1), so
    df/da = u - 2rx(xu + 1) and df/db = 1 - 2r(xu + 1); first order leaves df/da = u, df/db = 1.
    """
    a, b, x, y, u, v, r = 0.7, -0.3, 1.5, 2.0, -0.8, 0.4, 0.1
    e = a * x + b - y
    f = a * u + b - v - 2 * r * e * (x * u + 1)
    by_hand = {
        False: (2 * f * (u - 2 * r * x * (x * u + 1)), 2 * f * (1 - 2 * r * (x * u + 1))),
        True: (2 * f * u, 2 * f),
    }
    for first_order, (slope_a, slope_b) in by_hand.items():
        prior = {
            "a": torch.tensor([a], dtype=torch.float64, requires_grad=True),
            "b": torch.tensor([b], dtype=torch.float64, requires_grad=True),
        }
        adapted = adapt(
            lambda p: (p["a"] * x + p["b"] - y).square().squeeze(-1),
            prior,
            AdaptConfig(inner_steps=1, inner_lr=r, first_order=first_order),
            tasks=1,
        )
        (adapted["a"] * u + adapted["b"] - v).square().sum().backward()
        assert prior["a"].grad.item() == pytest.approx(slope_a, abs=1e-12)
        assert prior["b"].grad.item() == pytest.approx(slope_b, abs=1e-12)


def test_a_context_has_the_loops_gradient():
    """A CAVIA context, against the same head run one task at a time."""
    head = MLPHead(width=WIDTH, hidden=(7, 6), context=3)
    prior, x, y = world(head, (WIDTH,))
    prior["context"] = torch.zeros(3, dtype=torch.float64)
    config = AdaptConfig(inner_steps=2, adapts=("context",))

    def run(params, rows):
        return head(params, rows, params["context"])

    gradients = []
    for batches in (range(1), range(TASKS)):
        leaves = {name: value.clone().requires_grad_() for name, value in prior.items()}
        total = torch.zeros((), dtype=torch.float64)
        for b in batches:
            part = slice(None) if len(batches) == 1 else slice(b, b + 1)

            def support_loss(params, part=part):
                return squared(run(params, x[part, :SUPPORT]), y[part, :SUPPORT])

            adapted = adapt(support_loss, leaves, config, tasks=len(x[part]))
            asked = squared(run({**leaves, **adapted}, x[part, SUPPORT:]), y[part, SUPPORT:])
            total = total + asked.sum()
        total.backward()
        gradients.append({name: value.grad for name, value in leaves.items()})
    assert gradients[0]["context"].abs().max() > 1e-6
    for name, gradient in gradients[1].items():
        torch.testing.assert_close(gradients[0][name], gradient, rtol=1e-10, atol=1e-12)

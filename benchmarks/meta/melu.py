"""MeLU on its own setting: attributes of MovieLens-1M, one local step on the decision layers, 32
users a step.

The loop is the paper's (Lee et al. 2019, arXiv:1908.00413): user by user, every attribute
embedded anew from its multi-hot vector, fast weights by `create_graph=True`. Ours embeds each film
of the meta-batch once, by look-up, and takes all users' local steps at once. Data are drawn at
random, with that data set's sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from benchmarks.meta.cases import TASKS
from torch import Tensor, nn
from torch.nn import functional as F

from metarec.models.few_shot.adapt import AdaptConfig, adapt
from metarec.models.few_shot.functional import Params
from metarec.models.few_shot.learner import task_mean
from metarec.models.few_shot.networks import MLPHead

ITEMS, ASKED, EMBEDDING, LOCAL_LR = 3000, 10, 32, 5e-3
ITEM_FIELDS = {"rated": (6, 1), "genres": (25, 2), "directors": (2186, 1), "actors": (8030, 4)}
"""Number of values, and of values an item has."""
USER_FIELDS = {"gender": 2, "age": 7, "occupation": 21, "area": 3402}
GROUPS = 2
FIELDS = len(ITEM_FIELDS) + len(USER_FIELDS)


class MeLU(nn.Module):
    """Embeddings of attributes and the decision layers."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {**{name: size for name, (size, _) in ITEM_FIELDS.items()}, **USER_FIELDS}
        self.embed = nn.ModuleDict(
            {name: nn.Linear(size, EMBEDDING, bias=False) for name, size in sizes.items()}
        )
        self.mlp = nn.ModuleList([nn.Linear(FIELDS * EMBEDDING, 64), nn.Linear(64, 64)])
        self.out = nn.Linear(64, 1)


@dataclass(frozen=True, kw_only=True)
class MeLUCase:
    """A meta-batch of users."""

    module: MeLU
    attributes: dict[str, Tensor]
    """[ITEMS, values an item has] of each field of films."""
    users: dict[str, Tensor]
    """[TASKS] of each field of users."""
    items: Tensor
    """[TASKS, most events] the last ASKED of each user's events are the query."""
    counts: Tensor
    """[TASKS] support events of each user, 3 to 90."""
    values: Tensor
    """[TASKS, most events]"""
    dtype: torch.dtype = torch.float32

    def double(self) -> MeLUCase:
        """The same in float64."""
        module = MeLU().double()
        module.load_state_dict(
            {name: value.double() for name, value in self.module.state_dict().items()}
        )
        return MeLUCase(
            module=module,
            attributes=self.attributes,
            users=self.users,
            items=self.items,
            counts=self.counts,
            values=self.values.double(),
            dtype=torch.float64,
        )

    @cached_property
    def multi_hot(self) -> dict[str, Tensor]:
        """[ITEMS, values] of each field, as the paper's code keeps films."""
        hot = {
            name: torch.zeros(ITEMS, size, dtype=self.dtype)
            for name, (size, _) in ITEM_FIELDS.items()
        }
        for name, values in self.attributes.items():
            hot[name].scatter_(1, values, 1.0)
        return hot

    @cached_property
    def weights(self) -> Params:
        """The module's weights as ours are kept, [in, out]."""
        known = {name: value.detach() for name, value in self.module.named_parameters()}
        return {
            name: value.T.contiguous() if value.ndim == 2 else value
            for name, value in known.items()
        }


def new_melu_case(seed: int = 0) -> MeLUCase:
    """Random films and users with the sizes of MovieLens-1M; support sizes as in its 13 to 100
    ratings.
    """
    rng = np.random.default_rng(seed)
    attributes = {
        name: torch.from_numpy(np.argsort(rng.random((ITEMS, size)), axis=1)[:, :each].copy())
        for name, (size, each) in ITEM_FIELDS.items()
    }
    users = {
        name: torch.from_numpy(rng.integers(0, size, TASKS)) for name, size in USER_FIELDS.items()
    }
    counts = rng.integers(3, 91, TASKS)
    items = np.argsort(rng.random((TASKS, ITEMS)), axis=1)[:, : 90 + ASKED].copy()
    return MeLUCase(
        module=MeLU(),
        attributes=attributes,
        users=users,
        items=torch.from_numpy(items),
        counts=torch.from_numpy(counts),
        values=torch.from_numpy(rng.integers(1, 6, items.shape).astype(np.float32)),
    )


def melu_loop(case: MeLUCase, steps: int) -> Params:
    """User by user, as in the paper's code (with the second-order path, which that code
    cuts).
    """
    net, total = case.module, torch.zeros((), dtype=case.dtype)
    net.zero_grad()
    adapts: Params = {
        name: value for name, value in net.named_parameters() if not name.startswith("embed.")
    }
    for task in range(TASKS):
        count = int(case.counts[task])

        def predict(fast: Params, items: Tensor, task: int = task) -> Tensor:
            parts = [
                net.embed[name](hot[items]) / hot[items].sum(1, keepdim=True)
                for name, hot in case.multi_hot.items()
            ]
            for name, size in USER_FIELDS.items():
                hot = F.one_hot(case.users[name][task], size).to(case.dtype)
                parts.append(net.embed[name](hot).expand(len(items), -1))
            x = torch.cat(parts, 1)
            for layer in range(2):
                x = F.relu(F.linear(x, fast[f"mlp.{layer}.weight"], fast[f"mlp.{layer}.bias"]))
            return F.linear(x, fast["out.weight"], fast["out.bias"]).squeeze(-1)

        fast = adapts
        for _ in range(steps):
            loss = F.mse_loss(predict(fast, case.items[task, :count]), case.values[task, :count])
            slopes = torch.autograd.grad(loss, list(fast.values()), create_graph=True)
            fast = {
                name: value - LOCAL_LR * slope
                for (name, value), slope in zip(fast.items(), slopes, strict=True)
            }
        total = total + F.mse_loss(
            predict(fast, case.items[task, -ASKED:]), case.values[task, -ASKED:]
        )
    (total / TASKS).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return {name: _grad(value) for name, value in net.named_parameters()}


def melu_ours(case: MeLUCase, steps: int) -> Params:
    """All users at once, in a few groups of like support so that little is padded; each film and
    user is embedded once.
    """
    leaves = {name: value.detach().requires_grad_() for name, value in case.weights.items()}
    tables = {
        name.split(".")[1]: value for name, value in leaves.items() if name.startswith("embed.")
    }
    decision = {name: value for name, value in leaves.items() if not name.startswith("embed.")}
    width = len(ITEM_FIELDS) * EMBEDDING
    column = torch.arange(case.items.shape[1])
    is_used = (column < case.counts[:, None]) | (column >= len(column) - ASKED)
    films, found = torch.unique(case.items[is_used], return_inverse=True)
    place = torch.zeros_like(case.items).masked_scatter_(is_used, found)
    embedded = torch.cat(
        [_embedded(case.attributes[name][films], tables[name]) for name in ITEM_FIELDS], 1
    )
    user = torch.cat([F.embedding(case.users[name], tables[name]) for name in USER_FIELDS], 1)
    head = MLPHead(width=width, hidden=(64, 64), context=FIELDS * EMBEDDING - width)
    first = decision.pop("mlp.0.weight")
    prior = decision | {"mlp.0.weight": first[:width], "context_in.weight": first[width:]}
    total = torch.zeros((), dtype=case.dtype)
    for group in torch.argsort(case.counts).chunk(GROUPS):
        counts, who, values = case.counts[group], user[group], case.values[group]
        longest = int(counts.max())
        shown = F.embedding(place[group, :longest], embedded)
        asked = F.embedding(place[group, -ASKED:], embedded)
        is_real = torch.arange(longest) < counts[:, None]
        config = AdaptConfig(inner_steps=steps, inner_lr=LOCAL_LR, rows_asked=ASKED)
        adapted = adapt(
            _support_loss(head, shown, who, values[:, :longest], is_real),
            prior,
            config,
            tasks=len(group),
        )
        errors = head({**prior, **adapted}, asked, who) - values[:, -ASKED:]
        total = total + errors.square().mean(1).sum()
    (total / TASKS).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    gradients = {f"embed.{name}.weight": _grad(table).T for name, table in tables.items()}
    whole = decision | {"mlp.0.weight": first}
    return gradients | {
        name: _grad(value).T if value.ndim == 2 else _grad(value) for name, value in whole.items()
    }


def _embedded(values: Tensor, table: Tensor) -> Tensor:
    """[films, EMBEDDING] mean over each film's values; the slope of a bag would sort them first."""
    return table.index_select(0, values.flatten()).view(*values.shape, -1).mean(1)


def _support_loss(
    head: MLPHead, rows: Tensor, user: Tensor, values: Tensor, is_real: Tensor
) -> Callable[[Params], Tensor]:
    return lambda params: task_mean((head(params, rows, user) - values).square(), is_real)


def _grad(value: Tensor) -> Tensor:
    assert value.grad is not None, "every weight takes part"
    return value.grad

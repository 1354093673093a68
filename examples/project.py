"""The project of the article on real data, in one file: encode, score, MAML, predict.

    python examples/project.py [DATA] [--steps 150]

DATA is anything `metarec.read` reads (`metarec data get ml-100k` prints such a folder); without it,
the generated table of examples/domains/education. docs/project.md walks through it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

import metarec
from metarec.features.encoders.encode import fit_text_encoder
from metarec.features.text import item_text, profile_text

EXAMPLE = Path(__file__).parent / "domains" / "education"
HALF, INNER_STEPS, INNER_LR, DIM = 8, 3, 2.0, 32
"""Items of the support and of the query; the inner loop; the width of the products."""


class Score(torch.nn.Module):
    """r = sigma(W_r [u* . v*]): adapters take both to DIM numbers, W_r weighs their products."""

    def __init__(self, user_dim: int, item_dim: int) -> None:
        super().__init__()
        self.user = torch.nn.Linear(user_dim, DIM)
        self.item = torch.nn.Linear(item_dim, DIM)
        self.relation = torch.nn.Linear(2 * DIM, 1)  # W_r, over the products and over v* itself

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """[Q] predictions in (0, 1) for one user `u` [U] and items `v` [Q, V]."""
        item = torch.tanh(self.item(v))
        both = torch.cat([torch.tanh(self.user(u)) * item, item], dim=-1)
        return torch.sigmoid(self.relation(both)).squeeze(-1)


def encode(data: metarec.Dataset, user_ids: list[str]) -> tuple[Tensor, Tensor, str]:
    """u* and v*, by BERT (MiniLM) where it is installed, else as counted words: it is said."""
    texts = item_text(data.items)
    users = [profile_text(profile) for profile in data.users.of_users(user_ids)]
    encoder, why = fit_text_encoder([*texts, *users])
    both = torch.from_numpy(encoder.encode([*texts, *users]))
    return both[len(texts) :], both[: len(texts)], f"texts read by {encoder.name} ({why})"


def tasks(data: metarec.Dataset, rng: np.random.Generator) -> tuple[list[str], Tensor, Tensor]:
    """2 x HALF items of each user and their ratings in [0, 1], or 1 where taken and 0 where not."""
    place = {item: row for row, item in enumerate(data.items.frame["item_id"])}
    low, high = data.interactions.value_range
    found = []
    for (user,), events in data.interactions.filled.group_by("user_id", maintain_order=True):
        known = events.unique("item_id", keep="last", maintain_order=True)
        rows = np.array([place[item] for item in known["item_id"]])
        values = (known["value"].to_numpy() - low) / max(high - low, 1e-9)
        if not data.interactions.has_values:
            taken = rng.permutation(rows)[:HALF]
            others = rng.permutation(np.setdiff1d(np.arange(len(place)), rows))
            rows = np.concatenate([taken, others[: 2 * HALF - len(taken)]])
            values = np.arange(len(rows)) < len(taken)
        drawn = rng.permutation(len(rows))[: 2 * HALF]
        found += [(str(user), rows[drawn], values[drawn])] if len(drawn) == 2 * HALF else []
    users, items, truths = zip(*found, strict=True)
    return list(users), torch.tensor(np.array(items)), torch.tensor(np.array(truths)).float()


def main(source: str, steps: int) -> dict[str, list[float]]:
    """Meta-train on four users of five, then adapt to the others; predictions beside truths."""
    rng, _ = np.random.default_rng(0), torch.manual_seed(0)
    user_ids, items, r = tasks(data := metarec.read(source), rng)
    u, v, said = encode(data, user_ids)
    print(f"{data.name}: {len(user_ids)} users, {HALF} items known and {HALF} asked; {said}")
    prior = dict((score := Score(u.shape[1], v.shape[1])).named_parameters())

    def loss(params: dict[str, Tensor], u: Tensor, v: Tensor, r: Tensor) -> Tensor:
        return (functional_call(score, params, (u, v)) - r).square().mean()

    def adapted(params: dict[str, Tensor], u: Tensor, v: Tensor, r: Tensor) -> dict[str, Tensor]:
        for _ in range(INNER_STEPS):  # the inner loop: phi = theta - alpha grad L_support(theta)
            slopes = grad(loss)(params, u, v[:HALF], r[:HALF])
            params = {name: value - INNER_LR * slopes[name] for name, value in params.items()}
        return params

    def query(params: dict[str, Tensor], u: Tensor, v: Tensor, r: Tensor) -> Tensor:
        return loss(adapted(params, u, v, r), u, v[HALF:], r[HALF:])

    each, test = vmap(query, in_dims=(None, 0, 0, 0)), np.arange(len(user_ids)) % 5 == 0
    optimizer, losses = torch.optim.Adam(prior.values(), lr=2e-3), []
    for step in range(1, steps + 1):  # the outer loop: theta learns from the loss after adapting
        batch, order = rng.choice(np.flatnonzero(~test), 32), rng.permutation(2 * HALF)
        outer = each(prior, u[batch], v[items[batch][:, order]], r[batch][:, order]).mean()
        optimizer.zero_grad()
        outer.backward()
        optimizer.step()
        losses.append(outer.item())
        if step % (steps // 5) == 0:
            print(f"step {step:4d}: squared error {np.mean(losses[-steps // 5 :]):.4f}")
    asked, later = (u[test], v[items[test]], r[test]), r[test][:, HALF:]
    plain = vmap(loss, (None, 0, 0, 0))(prior, asked[0], asked[1][:, HALF:], later).mean().item()
    mean = (later - r[~test].mean()).square().mean().item()
    errors = [mean, plain, each(prior, *asked).mean().item()]
    print("new users: the mean {:.4f}, not adapted {:.4f}, adapted {:.4f}".format(*errors))
    for one in zip(*(x[:3] for x in asked), strict=True):
        guess = functional_call(score, adapted(prior, *one), one[:2])[HALF:].tolist()
        pairs = zip(guess, one[2][HALF:].tolist(), strict=True)
        print("  predicted (truth): " + ", ".join(f"{p:.2f} ({t:.2f})" for p, t in pairs))
    return {"losses": losses, "errors": errors}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("source", nargs="?", default=str(EXAMPLE), metavar="DATA")
    parser.add_argument("--steps", type=int, default=300)
    main(**vars(parser.parse_args()))

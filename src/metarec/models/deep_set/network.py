"""The deep-set network for new users: a set encoder with a small causal Transformer beside it,
trained on truncated histories.

Every training user is shown as a new user would be (the first k events of their support pool, with
k drawn anew each time), and everything they liked afterwards is to be predicted. The set encoder
(Zaheer et al. 2017, "Deep Sets", arXiv:1703.06114) carries most of the weight; the Transformer
enters by a learned factor that starts small, because it added nothing on small data (research
notes). An item is its content plus a collaborative residual that is dropped out as a whole
(`ItemVectors`).

Shape letters: B users, L events, N items, D width, P prefixes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories, PaddedHistories
from metarec.models.attention import Block, LayerNorm
from metarec.models.config import ModelConfig, setting
from metarec.models.sampling import stand_ins
from metarec.models.transformer.network import ItemVectors
from metarec.runtime.device import device, on_device, one_thread
from metarec.runtime.training import Watch, one_of, train, weights_of

STEPS, MANY_USERS = 300, 3000
"""Default of `steps`, and the number of training users from which the default is doubled."""
MANY_ITEMS = 8000
"""Bound: number of items from which products with the catalog are large enough for threads."""
MAX_LOGITS = 4096
"""Bound: items scored in a training step; a larger catalog is sampled."""


@dataclass(frozen=True, kw_only=True)
class DeepSetConfig(ModelConfig):
    """Hyper-parameters of the size and training of the deep-set network."""

    dim: int = setting(64, at_least=2)
    """Width of events, items and users (2 or more, even)."""
    layers: int = setting(1, at_least=0)
    """Transformer blocks beside the set encoder (0 or more)."""
    dropout: float = setting(0.4, at_least=0, below=1, search_range=(0.1, 0.7))
    """Dropout of events and inside blocks, in [0, 1)."""
    id_dropout: float = setting(0.5, at_least=0, below=1)
    """Probability that an item's collaborative residual is dropped in a step, in [0, 1)."""
    profile_dropout: float = setting(0.5, at_least=0, below=1)
    """Probability that a profile column is dropped in a step, in [0, 1), so that users without a
    profile are served too.
    """
    steps: int | None = setting(None, at_least=1)
    """Training steps (1 or more); the state with the smallest loss on held-out users is kept. By
    default 300, or 600 from 3,000 training users on.
    """
    users_per_step: int = setting(64, at_least=1)
    """Users in a step (1 or more)."""
    prefixes: int = setting(5, at_least=1)
    """Support sizes of each user in a step (1 or more): 0, and others drawn uniformly."""
    lr: float = setting(2e-3, above=0, search_range=(5e-4, 8e-3))
    """Peak step size of AdamW (above 0)."""
    weight_decay: float = setting(1e-2, at_least=0)
    """Weight decay of matrices, except item tables (0 or more)."""
    value_levels: int = setting(5, at_least=1)
    """Quantile bins into which values are discretized (1 or more)."""
    held_out: int = setting(150, at_least=0)
    """Training users held out to choose that state, at most (0 or more)."""
    evaluate_every: int = setting(50, at_least=1)
    """Steps between evaluations on held-out users (1 or more)."""
    sampled: int = setting(2048, at_least=2)
    """Items of a large catalog that a training step samples beside the liked ones (2 or more)."""

    def steps_for(self, users: int) -> int:
        """Number of training steps for this many training users."""
        return self.steps or (2 if users >= MANY_USERS else 1) * STEPS


class DeepSetNetwork(nn.Module):
    """Logits of every item after each prefix of a support."""

    def __init__(
        self,
        content: Tensor,
        profile_columns: int,
        pool: int,
        log_popularity: Tensor,
        edges: Tensor,
        sizes: DeepSetConfig,
    ) -> None:
        """Initialize at popularity: before training, every support gets the logits `log_popularity`
        [N].
        """
        super().__init__()
        dim = sizes.dim
        self.sizes, self.pool = sizes, pool
        self.items = ItemVectors(content, dim, sizes.id_dropout)
        self.value = nn.Embedding(sizes.value_levels, dim)
        self.place = nn.Embedding(pool + 1, dim)
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Initializing zero-element tensors"
            )  # there may be no profiles
            self.profile = nn.Linear(profile_columns, dim, bias=False)
        self.element = _reader(dim, dim, sizes.dropout)
        self.summary = _reader(2 * dim, dim, sizes.dropout)
        self.blocks = nn.ModuleList(
            [Block(dim, 2, 2 * dim, sizes.dropout) for _ in range(sizes.layers)]
        )
        self.attended = LayerNorm(dim)
        self.attention_share = nn.Parameter(torch.tensor(0.1))
        self.out = nn.Linear(dim, dim, bias=False)
        self.bias = nn.Parameter(log_popularity.clone())
        self.edges: Tensor
        self.register_buffer("edges", edges)
        for table in (self.value.weight, self.place.weight, self.profile.weight, self.out.weight):
            nn.init.normal_(table, std=0.02)

    def users(
        self,
        items_BL: Int[Tensor, "B L"],
        values_BL: Float[Tensor, "B L"],
        strengths_BL: Float[Tensor, "B L"],
        is_real_BL: Bool[Tensor, "B L"],
        profile_BP: Float[Tensor, "B P"],
        items_ND: Float[Tensor, "N D"],
    ) -> Float[Tensor, "B L+1 D"]:
        """[B, L + 1, D] encoding of each user after 0, 1, ... L events; events are scaled by their
        strength, which is 0 for padding.
        """
        place = self.place.weight[: items_BL.shape[1] + 1]
        first = (
            functional.dropout(profile_BP, self.sizes.profile_dropout, self.training)
            @ self.profile.weight.T
        )
        events = items_ND[items_BL] * strengths_BL[..., None]
        events = events + self.value(torch.bucketize(values_BL, self.edges)) + place[1:]
        parts = self.element(events) * strengths_BL[..., None]
        counts = torch.arange(1, items_BL.shape[1] + 2, device=parts.device)[:, None]
        gathered = functional.pad(parts.cumsum(1), (0, 0, 1, 0)) / counts.sqrt()
        start = first[:, None, :] + place
        summary = self.summary(torch.cat([start, gathered], -1))
        tokens = functional.dropout(
            torch.cat([start[:, :1], events], 1), self.sizes.dropout, self.training
        )
        is_real = functional.pad(is_real_BL, (1, 0), value=True)
        for block in self.blocks:
            tokens = block(tokens, is_real_BL=is_real, causal=True)
        encoded: Tensor = summary + self.attention_share * self.attended(tokens)
        return encoded

    def score(
        self,
        users: Float[Tensor, "*B D"],
        items_ND: Float[Tensor, "N D"],
        columns: Int[Tensor, "C"] | None = None,
    ) -> Float[Tensor, "*B items"]:
        """[..., N] logits, or only those of the given `columns`."""
        if columns is not None:
            items_ND = items_ND[columns]
        logits: Tensor = self.out(users) @ items_ND.T + (
            self.bias if columns is None else self.bias[columns]
        )
        return logits


def _reader(width: int, dim: int, dropout: float) -> nn.Sequential:
    """Layer norm, dropout, and two linear layers with a GELU between them."""
    return nn.Sequential(
        LayerNorm(width),
        nn.Dropout(dropout),
        nn.Linear(width, 2 * dim),
        nn.GELU(),
        nn.Linear(2 * dim, dim),
    )


def train_network(
    behavior: Behavior, sizes: DeepSetConfig, rng: np.random.Generator
) -> DeepSetNetwork:
    """Train on every user who liked something after their support pool; the state with the smallest
    loss on held-out users is kept.
    """
    with torch.random.fork_rng(devices=[]), one_thread(wanted=behavior.n_items < MANY_ITEMS):
        torch.manual_seed(int(rng.integers(2**31)))
        network, steps = _new_network(behavior, sizes), sizes.steps_for(len(behavior.histories))
        optimizer = _optimizer(network, behavior.n_items, sizes)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=sizes.lr, total_steps=steps, pct_start=0.1, final_div_factor=20.0
        )
        able = rng.permutation(np.flatnonzero(behavior.targets.lengths > 0))
        watch, learn = np.split(able, [min(sizes.held_out, len(able) // 10)])
        if not len(learn):  # no user to learn from
            return network.eval()
        weights = None if behavior.weights is None else behavior.weights[learn]
        chance = None if weights is None else weights / weights.sum()

        def loss(done: int) -> Tensor:  # noqa: ARG001
            count = min(sizes.users_per_step, len(learn))
            users = rng.choice(learn, count, replace=False, p=chance)
            return _episode_loss(network.train(), behavior, users, rng)

        def quality() -> float:
            with torch.inference_mode():
                seeded = np.random.default_rng(0)
                return -float(_episode_loss(network.eval(), behavior, watch, seeded))

        looks = Watch(
            quality=quality, state=lambda: weights_of(network), every=sizes.evaluate_every
        )
        best = train(
            steps,
            one_of(loss),
            optimizer,
            schedule=schedule,
            clip=list(network.parameters()),
            watch=looks if len(watch) else None,
        )
        network.load_state_dict(best.state or network.state_dict())
    return network.eval()


def _optimizer(
    network: DeepSetNetwork, n_items: int, sizes: DeepSetConfig
) -> torch.optim.Optimizer:
    """AdamW without weight decay for vectors and item tables."""
    tables = [p for p in network.parameters() if p.ndim < 2 or p.shape[0] >= n_items]
    others = [p for p in network.parameters() if not any(p is table for table in tables)]
    return torch.optim.AdamW(
        [
            {"params": others, "weight_decay": sizes.weight_decay},
            {"params": tables, "weight_decay": 0.0},
        ],
        lr=sizes.lr,
    )


def _new_network(behavior: Behavior, sizes: DeepSetConfig) -> DeepSetNetwork:
    """An untrained network for the items, values and profiles of `behavior`."""
    counts = np.bincount(behavior.targets.items, minlength=behavior.n_items) + 0.5
    log_popularity = on_device(np.log(counts / counts.sum()).astype(np.float32))
    shares = np.linspace(0, 1, sizes.value_levels + 1)[1:-1]
    edges = np.unique(np.quantile(behavior.histories.values, shares))
    return DeepSetNetwork(
        on_device(behavior.content),
        behavior.profiles.shape[1],
        behavior.horizon.pool,
        log_popularity,
        on_device(edges.astype(np.float32)),
        sizes,
    ).to(device())


def _episode_loss(
    network: DeepSetNetwork, behavior: Behavior, users: np.ndarray, rng: np.random.Generator
) -> Tensor:
    """Softmax cross-entropy over the catalog without the items of the support pool, averaged over
    all liked items, so that a user counts by the number of likes.
    """
    histories = behavior.histories.users(users)
    histories = histories if behavior.is_ordered else histories.shuffled(rng)
    pools = behavior.pools[users]
    pool, query = histories.first(pools), histories.after(pools)
    liked = query.where(behavior.is_wanted(query))
    items_ND = network.items()
    embedded = network.users(
        *padded_support(pool, network.pool), on_device(behavior.profiles[users]), items_ND
    )
    drawn = rng.integers(
        1, np.maximum(pools, 1)[:, None] + 1, (len(users), network.sizes.prefixes - 1)
    )
    prefixes = np.concatenate(
        [np.zeros((len(users), 1), np.int64), np.minimum(drawn, pools[:, None])], axis=1
    )
    chosen = embedded.gather(1, on_device(prefixes)[..., None].expand(-1, -1, embedded.shape[-1]))
    sampled = network.sizes.sampled
    columns, log_weight = _columns(behavior.n_items, liked.items, sampled, rng)
    scores = network.score(chosen, items_ND, columns) + log_weight
    shape = (len(users), behavior.n_items)
    is_shown, is_liked = np.zeros(shape, bool), np.zeros(shape, np.float32)
    is_shown[pool.owners, pool.items], is_liked[liked.owners, liked.items] = True, 1.0
    banned, targets = on_device(is_shown), on_device(is_liked)
    logs = torch.log_softmax(scores.masked_fill(banned[:, None, columns], -1e9), -1)
    loss: Tensor = -torch.einsum("bpn,bn->", logs, targets[:, columns]) / (
        targets.sum() * prefixes.shape[1] + 1e-9
    )
    return loss


def _columns(
    n_items: int, liked: np.ndarray, sampled: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Items that a step scores, and the log of their importance weights: all of a small catalog,
    else the liked items and a sample.
    """
    if n_items <= MAX_LOGITS:
        return torch.arange(n_items, device=device()), torch.zeros(n_items, device=device())
    shown, log_weight = stand_ins(n_items, np.unique(liked), sampled, rng)
    return on_device(shown), on_device(log_weight)


def padded_support(support: Histories, pool: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Items, values, strengths and is_real, each [B, pool], of the newest `pool` events."""
    padded: PaddedHistories = support.padded(pool)
    return (
        on_device(padded.items),
        on_device(padded.values),
        on_device(padded.strengths),
        on_device(padded.is_real),
    )

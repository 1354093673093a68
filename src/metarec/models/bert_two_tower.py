"""The recommender of the article (docs/project.md) as a model of the gate: u* and v* from the text
encoder, r = sigma(W_r [u* . v*]), squared error, and MAML over W_r and the adapters.

Finn et al. 2017, arXiv:1703.03400. The text encoder is frozen: u* encodes what a user states, v*
what an item's text says. Two adapters project both to `dim` numbers. The inner loop adapts W_r, a
shift of the user vector, and a `dim` x `dim` layer on top of the item adapter, so that the catalog
is projected only once for all users. As in every ranking learner here, popularity is part of the
score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from metarec.data.schema import BadInput
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.features.users_in_words import UsersInWords
from metarec.models.config import ModelConfig, setting
from metarec.models.inner_loop import Params, descend
from metarec.runtime.device import in_memory, on_device, one_thread

MOVES = ("user_shift", "item_mix", "relation", "offset")
"""Names of the parameters that adapt to a user; the two adapters and the weight of popularity are
shared.
"""


@dataclass(frozen=True, kw_only=True)
class BertTwoTowerConfig(ModelConfig):
    """Hyper-parameters of bert_two_tower."""

    inner_steps: int = setting(3, at_least=0)
    """Gradient steps on a user's events; 0 or more."""
    inner_lr: float = setting(1.0, above=0)
    """Step size of the inner loop; above 0."""
    outer_steps: int = setting(120, at_least=0)
    """Updates of the prior (0 or more)."""
    outer_lr: float = setting(5e-3, above=0)
    """Step size of the outer loop; above 0."""
    tasks_per_step: int = setting(32, at_least=1)
    """Users in each update of the prior; 1 or more."""
    dim: int = setting(32, at_least=1)
    """Output width of both adapters; 1 or more."""
    max_support: int = setting(20, at_least=1)
    """Events used for adaptation, the newest; 1 or more."""
    max_query: int = setting(20, at_least=1)
    """Items of the query set in an update, at most; 1 or more."""
    anchors: int = setting(64, at_least=1)
    """Negative items in each loss (1 or more). Those of the inner loop are fixed, drawn in
    proportion to the square root of popularity.
    """


def untrained(user_dim: int, item_dim: int, dim: int, draw: torch.Generator) -> Params:
    """Initial parameters: small random adapters and relation, zeros for the other adapted
    parameters, and weight 1 for popularity.
    """
    return {
        "user": torch.randn(user_dim, dim, generator=draw) / max(user_dim, 1) ** 0.5,
        "item": torch.randn(item_dim, dim, generator=draw) / max(item_dim, 1) ** 0.5,
        "user_shift": torch.zeros(dim),
        "item_mix": torch.zeros(dim, dim),
        "relation": torch.randn(2 * dim, generator=draw) / dim**0.5,
        "offset": torch.zeros(1),
        "popularity": torch.ones(1),
    }


def logits(params: Params, u: Tensor, v: Tensor, log_popularity: Tensor) -> Tensor:
    """[Q] logits of r = sigma(W_r [u* . v*]) for one user `u` [U], item vectors `v` [Q, D] after
    the shared adapter, and their log popularity [Q].
    """
    item = torch.tanh(v + v @ params["item_mix"])
    user = torch.tanh(u @ params["user"] + params["user_shift"])
    both = torch.cat([user * item, item], dim=-1)
    return both @ params["relation"] + params["offset"] + params["popularity"] * log_popularity


@dataclass(frozen=True, kw_only=True)
class BertTwoTower:
    """Evidence = odds r / (1 - r), adapted to the user's events by gradient steps."""

    params: dict[str, np.ndarray]
    """The meta-learned prior, by the names of `untrained`."""
    text: np.ndarray
    """[N, E] float32 text embeddings of the items."""
    log_popularity: np.ndarray
    """[N] float32, mean 0."""
    anchors: np.ndarray
    """[M] int64 items, the negatives of the inner loop."""
    relevant_from: float
    """Value from which an event counts as liked."""
    words: UsersInWords | None = None
    """Writer and encoder of what users state; set by `with_words`."""
    config: BertTwoTowerConfig = BertTwoTowerConfig()
    reads: ClassVar[frozenset[str]] = frozenset({"item", "rating", "profile", "text"})

    @classmethod
    def fit(
        cls,
        behavior: Behavior,
        rng: np.random.Generator,
        config: BertTwoTowerConfig | None = None,
    ) -> BertTwoTower:
        """Meta-train on the training users: the support set is drawn from the support pool, the
        query set is what the user liked later.

        Raises:
            BadInput: if there is no encoder, or it encodes no item.
        """
        words, text = behavior.words, behavior.text
        if words is None or text is None or not text.shape[1] or not text.any():
            raise BadInput(
                "bert_two_tower encodes users and items as text, and here no encoder reads any; "
                "give items a title or a text, and an encoder such as minilm or tfidf"
            )
        liked = behavior.whole.where(behavior.is_wanted(behavior.whole))
        counts = np.bincount(liked.items, minlength=behavior.n_items) + 0.5
        drawn = np.sqrt(counts) / np.sqrt(counts).sum()
        some = min((config or cls.config).anchors, behavior.n_items)
        log_popularity = np.log(counts) - np.log(counts).mean()
        blank = cls(
            params={},
            text=np.asarray(text, np.float32),
            log_popularity=log_popularity.astype(np.float32),
            anchors=rng.choice(behavior.n_items, some, replace=False, p=drawn),
            relevant_from=behavior.relevant_from,
            words=words,
            config=config or cls.config,
        )
        return replace(blank, params=_meta_train(blank, behavior, rng))

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> np.ndarray:
        """[B, N] odds, each row scaled to a maximum of 1."""
        scores = self.scores(users)
        odds: np.ndarray = np.exp(scores - scores.max(axis=1, keepdims=True)).astype(np.float32)
        if out is None:
            return odds
        out[:] = odds
        return out

    def scores(self, users: UserBatch) -> np.ndarray:
        """[B, N] logits of r."""
        prior, u, _, moved = self._moved(users)
        with one_thread():
            catalog = self._catalog(prior)
            popularity = on_device(self.log_popularity)
            rows = [
                logits(
                    prior | {name: value[row] for name, value in moved.items()},
                    u[row],
                    catalog,
                    popularity,
                )
                for row in range(len(u))
            ]
        return in_memory(torch.stack(rows))

    @property
    def inner_steps(self) -> int:
        """Number of gradient steps on a user's events."""
        return self.config.inner_steps

    def after_steps(self, steps: int) -> BertTwoTower:
        """Return the model with `steps` inner steps; 0 serves the meta-learned prior."""
        return replace(self, config=replace(self.config, inner_steps=steps))

    def adapted(self, users: UserBatch) -> dict[str, np.ndarray]:
        """Adapted parameters, each [B, ...]."""
        *_, moved = self._moved(users)
        return {name: in_memory(value) for name, value in moved.items()}

    def support_losses(self, users: UserBatch) -> np.ndarray:
        """[B] squared error of the inner loop after the last step."""
        prior, u, tasks, moved = self._moved(users)

        def loss(adapted: Params, one: Tensor, *task: Tensor) -> Tensor:
            return self._support_loss(prior, one, *task)(adapted)

        with one_thread():
            return in_memory(vmap(loss)(moved, u, *tasks))

    def _moved(self, users: UserBatch) -> tuple[Params, Tensor, tuple[Tensor, ...], Params]:
        """The prior, text embeddings of the users [B, U], their tasks, and their adapted parameters
        [B, ...].
        """
        u, tasks = on_device(self.read(users)), self.tasks(users.support)
        prior = {name: on_device(value) for name, value in self.params.items()}
        with one_thread():
            return prior, u, tasks, vmap(self._adapt, in_dims=(None, 0, 0, 0, 0))(prior, u, *tasks)

    def read(self, users: UserBatch) -> np.ndarray:
        """[B, U] text embeddings of what users state; zeros where nothing is stated."""
        assert self.words is not None, "a model from arrays is given its words before it is asked"
        nothing = Histories.of_indexes([np.zeros(0, np.int64)] * len(users))
        embeddings = self.words.read(nothing, users.attributes or [{}] * len(users))
        return np.asarray(embeddings, np.float32)

    def tasks(self, support: Histories) -> tuple[Tensor, Tensor, Tensor]:
        """Support items [B, S], labels (1 liked, 0 not) [B, S] and a mask of real events [B, S]."""
        latest = support.after(np.maximum(support.lengths - self.config.max_support, 0))
        liked = latest.values >= self.relevant_from
        return _padded(latest, liked, self.config.max_support)

    def _adapt(
        self, prior: Params, u: Tensor, items: Tensor, liked: Tensor, real: Tensor
    ) -> Params:
        """Run the inner loop for one user."""
        return descend(
            self._support_loss(prior, u, items, liked, real),
            {name: prior[name] for name in MOVES},
            steps=self.config.inner_steps,
            rate=lambda _name, _step: self.config.inner_lr,
        )

    def _support_loss(
        self, prior: Params, u: Tensor, items: Tensor, liked: Tensor, real: Tensor
    ) -> Callable[[Params], Tensor]:
        """Squared error on the support and on the anchors as negatives; 0 for an empty support."""
        candidates = torch.cat([items, on_device(self.anchors)])
        v = on_device(self.text)[candidates] @ prior["item"]
        popularity = on_device(self.log_popularity)[candidates]
        count = real.sum()

        def loss(adapted: Params) -> Tensor:
            r = torch.sigmoid(logits({**prior, **adapted}, u, v, popularity))
            errors = (r[: len(items)] - liked).square() * real
            others = r[len(items) :].square().mean()
            return (errors.sum() / count.clamp(min=1) + others) * count / (count + 1)

        return loss

    def query_loss(
        self, prior: Params, u: Tensor, task: tuple[Tensor, Tensor, Tensor], query: Tensor
    ) -> Tensor:
        """Squared error after adaptation, on the query items (the first `max_query` of `query`,
        padded with -1) and on the negatives behind them.
        """
        adapted = self._adapt(prior, u, *task)
        max_query = self.config.max_query
        taken, others = query[:max_query], query[max_query:]
        real = (taken >= 0).float()
        items = torch.cat([taken.clamp(min=0), others])
        v = on_device(self.text)[items] @ prior["item"]
        popularity = on_device(self.log_popularity)[items]
        r = torch.sigmoid(logits({**prior, **adapted}, u, v, popularity))
        errors = (r[: len(taken)] - 1).square() * real
        return errors.sum() / real.sum().clamp(min=1) + r[len(taken) :].square().mean()

    def _catalog(self, prior: Params) -> Tensor:
        """[N, D] items after the shared adapter."""
        return on_device(self.text) @ prior["item"]

    def with_words(self, words: UsersInWords) -> BertTwoTower:
        """Return the model with this writer and encoder of users."""
        return replace(self, words=words)

    def with_content(self, content: np.ndarray, popularity: np.ndarray) -> BertTwoTower:
        """Return the model for a larger catalog; new items have zero embeddings until `with_text`
        sets them.
        """
        log = np.log(popularity).astype(np.float32)
        more = len(content) - len(self.text)
        return replace(
            self, text=np.pad(self.text, ((0, more), (0, 0))), log_popularity=log - log.mean()
        )

    def with_text(self, text: np.ndarray) -> BertTwoTower:
        """Return the model with these text embeddings [N, E] of the items."""
        return replace(self, text=np.asarray(text, np.float32))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned."""
        return {
            "text": self.text,
            "log_popularity": self.log_popularity,
            "anchors": self.anchors,
            "relevant_from": np.array([self.relevant_from], np.float32),
            **{f"params.{name}": value for name, value in self.params.items()},
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: BertTwoTowerConfig | None = None
    ) -> BertTwoTower:
        """Restore the model from `arrays()`; it needs `with_words` before use."""
        return cls(
            params={
                name.removeprefix("params."): value
                for name, value in arrays.items()
                if name.startswith("params.")
            },
            text=arrays["text"],
            log_popularity=arrays["log_popularity"],
            anchors=arrays["anchors"],
            relevant_from=float(arrays["relevant_from"][0]),
            config=config or cls.config,
        )


def _meta_train(
    model: BertTwoTower, behavior: Behavior, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Run the outer loop: minimize the query loss after adaptation over the prior."""
    able = np.flatnonzero(behavior.targets.lengths > 0)
    first = behavior.histories.users(able).first(0)
    stated = on_device(model.read(behavior.batch_of(able, first)))
    with one_thread():
        draw = torch.Generator().manual_seed(int(rng.integers(2**31)))
        start = untrained(stated.shape[1], model.text.shape[1], model.config.dim, draw)
        prior = {name: on_device(value).requires_grad_() for name, value in start.items()}
        optimizer = torch.optim.Adam(prior.values(), lr=model.config.outer_lr)
        each = vmap(model.query_loss, in_dims=(None, 0, 0, 0))
        for _ in range(model.config.outer_steps if len(able) else 0):
            rows = rng.integers(0, len(able), model.config.tasks_per_step)
            task, query = _drawn(model, behavior, able[rows], rng)
            loss = each(prior, stated[on_device(rows)], task, query).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return {name: in_memory(value) for name, value in prior.items()}


def _drawn(
    model: BertTwoTower, behavior: Behavior, users: np.ndarray, rng: np.random.Generator
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Support sets of a size drawn for each user, and the query items and negatives [B, Q + M]."""
    n_support = rng.choice(behavior.horizon.support_sizes, len(users))
    support = behavior.histories.users(users).first(np.minimum(n_support, behavior.pools[users]))
    targets = behavior.targets.users(users)
    items, _, real = _padded(targets, np.ones(len(targets.items), bool), model.config.max_query)
    taken = torch.where(real > 0, items, -1)
    others = on_device(rng.integers(0, behavior.n_items, (len(users), model.config.anchors)))
    return model.tasks(support), torch.cat([taken, others], dim=1)


def _padded(histories: Histories, marks: np.ndarray, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Items, `marks` and a mask of real events of the first `width` events of each user: three [B,
    width].
    """
    keep = histories.positions < width
    at = histories.owners[keep], histories.positions[keep]
    items = np.zeros((len(histories), width), np.int64)
    mark, real = np.zeros((2, len(histories), width), np.float32)
    items[at], mark[at], real[at] = histories.items[keep], marks[keep], 1.0
    return on_device(items), on_device(mark), on_device(real)

"""What users choose next: a regression of each event on what came before it, the newest loudest.

Single-target linear regression as in SLIST (Choi et al. 2021, "Session-aware linear item-item
models") and TALE (arXiv:2412.07382): every event is a target once, its input is the past with
weights that fall with age. The full solution, (G + pull)^-1 C, needs a dense inverse of the Gram
matrix G of pasts. Measured, its first step C / (diag G + pull) ranks as well, and better on sparse
data, where order matters most (docs/experiments). It stays sparse and is what is fitted here: a
directed co-occurrence that shrinks rare items. Its three constants are chosen on held-out training
users. Silent where order carries no meaning, which the gate finds out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.base import EVENTS, event_weights, training_weights
from metarec.models.config import ModelConfig, setting
from metarec.models.item_knn import grown, sparse_arrays, sparse_from, strongest
from metarec.runtime.gains import hits_of_scores, ndcg_of_hits

MAX_CELLS = 20_000_000
"""Scores held while choosing, over users and items; fewer users are asked of a large catalog."""
PLACES = 10


@dataclass(frozen=True, kw_only=True)
class MarkovConfig(ModelConfig):
    """Hyper-parameters of the Markov chain; of lists one value is chosen on held-out users, the
    first where they are too few.
    """

    window: int = setting(20, least=1)
    """An event speaks for this many events that follow it (1 or more)."""
    recencies: tuple[float, ...] = setting((0.8, 0.6, 0.9), above=0, below=1)
    """How much each step back counts beside the next newer one (each in (0, 1))."""
    pulls: tuple[float, ...] = setting((30.0, 100.0, 10.0), above=0)
    """Events' worth of pull of each item's weights towards zero (each above 0)."""
    rarities: tuple[float, ...] = setting((0.25, 0.0, 0.5), least=0)
    """Exponents of a target's count that its weights are divided by (each 0 or more): 0 favors
    popular targets.
    """
    rarity_damping: float = setting(5.0, above=0)
    """Added to that count (above 0)."""
    kept: int = setting(500, least=1)
    """Followers kept for each item (1 or more), the strongest."""
    held_out: int = setting(200, least=1)
    """Users that choose at most (1 or more)."""
    held_out_share: float = setting(0.1, above=0, below=1)
    """Share of the users that choose at most (in (0, 1))."""
    min_held_out: int = setting(50, least=1)
    """With fewer users that choose (1 or more) the first values stay."""

    def chains(self) -> Iterator[Chain]:
        """What is chosen from, the default first."""
        for recency, pull, rarity in product(self.recencies, self.pulls, self.rarities):
            yield Chain(recency=recency, pull=pull, rarity=rarity)


DEFAULT = MarkovConfig()


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The constants of the regression."""

    recency: float = DEFAULT.recencies[0]
    """Each step back counts this much less."""
    pull: float = DEFAULT.pulls[0]
    """Events' worth of pull of each item's weights towards zero."""
    rarity: float = DEFAULT.rarities[0]
    """Exponent of a target's count that its weights are divided by: 0 favors popular targets."""


@dataclass(frozen=True, kw_only=True)
class Markov:
    """Evidence = recency-weighted sum over the support of what tends to follow each event."""

    following: sp.csr_matrix
    """[N, N], row = the item seen, column = what follows it."""
    relevant_from: float
    recency: float = DEFAULT.recencies[0]
    config: MarkovConfig = DEFAULT
    reads: ClassVar[frozenset[str]] = EVENTS | {"order"}

    @classmethod
    def fit(
        cls, behaviour: Behaviour, rng: np.random.Generator, config: MarkovConfig | None = None
    ) -> Markov:
        """Choose the constants on held-out users, then count everyone's pairs with them."""
        config = config or cls.config
        # Others draw as if nothing was chosen
        chain = choose_chain(behaviour, rng.spawn(1)[0], config)
        counts = _Counts.of(behaviour, chain.recency, config)
        return cls(
            following=strongest(counts.weights(chain), config.kept),
            config=config,
            relevant_from=behaviour.relevant_from,
            recency=chain.recency,
        )

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> sp.csr_matrix:
        """[B, N], sparse."""
        support = users.support
        weights = event_weights(support, self.relevant_from) * self.recency ** _ages(support)
        return support.matrix(self.following.shape[0], weights) @ self.following

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Markov:
        """New items follow nothing yet."""
        return replace(self, following=grown(self.following, len(content)))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The weights, the liking threshold and the recency."""
        return {
            **sparse_arrays(self.following),
            "relevant_from": np.array([self.relevant_from], np.float32),
            "recency": np.array([self.recency], np.float64),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: MarkovConfig | None = None
    ) -> Markov:
        """From `arrays()`; models saved before the recency was chosen have the default."""
        config = config or cls.config
        return cls(
            following=sparse_from(arrays),
            config=config,
            relevant_from=float(arrays["relevant_from"][0]),
            recency=float(arrays.get("recency", [config.recencies[0]])[0]),
        )


def choose_chain(
    behaviour: Behaviour, rng: np.random.Generator, config: MarkovConfig = DEFAULT
) -> Chain:
    """The constants with the best NDCG@10 of held-out users, asked at the end of their pool for all
    that they wanted later, and before their last event for that one.
    """
    tasks, default = [*_held_out(behaviour, rng, config)], next(config.chains())
    if not tasks:
        return default
    asked = np.unique(np.concatenate([users for users, _, _ in tasks]))
    rest = behaviour.users(np.setdiff1d(np.arange(len(behaviour.histories)), asked))
    counts = {recency: _Counts.of(rest, recency, config) for recency in config.recencies}
    quality = {
        chain: float(np.mean([_ndcg(chain, counts[chain.recency], *task[1:]) for task in tasks]))
        for chain in config.chains()
    }
    return max(quality, key=lambda chain: quality[chain])  # the first of equals: the default


@dataclass(frozen=True, kw_only=True)
class _Counts:
    """What the weights of every `Chain` of one recency are made of."""

    following: sp.csr_matrix
    """[N, N] C: row = an item of the past, column = the target, summed recency."""
    energy: np.ndarray
    """[N] diagonal of G: summed squares of each item's recency in pasts."""
    total: np.ndarray
    """[N] events."""
    config: MarkovConfig

    @classmethod
    def of(cls, behaviour: Behaviour, recency: float, config: MarkovConfig) -> _Counts:
        histories, n_items = behaviour.whole, behaviour.n_items
        weights = training_weights(behaviour)
        following = sp.csr_matrix((n_items, n_items), dtype=np.float32)
        for step in range(1, config.window + 1):
            same = histories.owners[:-step] == histories.owners[step:]
            pairs = histories.items[:-step][same], histories.items[step:][same]
            data = (recency ** (step - 1) * weights[step:][same]).astype(np.float32)
            following = following + sp.csr_matrix((data, pairs), shape=following.shape)
        users = behaviour.weights_of(histories.owners)
        later = (1.0 - recency ** (2.0 * _ages(histories))) / (1.0 - recency**2)
        return cls(
            following=following,
            energy=np.bincount(histories.items, users * later, n_items).astype(np.float32),
            total=np.bincount(histories.items, users, n_items).astype(np.float32),
            config=config,
        )

    def weights(self, chain: Chain) -> sp.csr_matrix:
        """[N, N] float32."""
        rows = np.repeat(np.arange(len(self.energy)), np.diff(self.following.indptr))
        scaled = self.following.copy()
        scaled.data *= (1.0 / (self.energy + np.float32(chain.pull)))[rows]
        scaled.data *= self.rareness(chain)[scaled.indices]
        return scaled

    def rareness(self, chain: Chain) -> np.ndarray:
        """[N] float32 factor of each target."""
        damped = self.total + self.config.rarity_damping
        return np.asarray(damped**-chain.rarity, np.float32)


def _ages(histories: Histories) -> np.ndarray:
    """[E] how many events of the user came after each."""
    lengths = histories.lengths
    return np.asarray(np.repeat(lengths, lengths) - 1 - histories.positions)


def _held_out(
    behaviour: Behaviour, rng: np.random.Generator, config: MarkovConfig
) -> Iterator[tuple[np.ndarray, Histories, Histories]]:
    """(users, support, wanted), at the end of the pool and before the last event."""
    able = np.flatnonzero((behaviour.histories.lengths >= 3) & (behaviour.targets.lengths > 0))
    share = int(config.held_out_share * len(able))
    most = min(config.held_out, share, MAX_CELLS // behaviour.n_items)
    if most < config.min_held_out:
        return
    users = np.sort(rng.choice(able, most, replace=False))
    histories, pools = behaviour.histories.users(users), behaviour.pools[users]
    yield users, histories.first(pools), behaviour.targets.users(users)
    before = histories.lengths - 1
    yield users, histories.first(before), histories.after(before)


def _ndcg(chain: Chain, counts: _Counts, support: Histories, wanted: Histories) -> float:
    """Mean NDCG@10 of `wanted` among all items outside of `support`."""
    n_items = len(counts.total)
    newest = support.where(_ages(support) < counts.config.window)
    data = chain.recency ** _ages(newest) / (counts.energy[newest.items] + chain.pull)
    scores = (newest.matrix(n_items, data) @ counts.following).toarray() * counts.rareness(chain)
    scores[support.owners, support.items] = -1.0
    is_wanted = np.zeros(scores.shape, bool)
    is_wanted[wanted.owners, wanted.items] = True
    # A list holds only what something is known of
    hits = hits_of_scores(scores, is_wanted & (scores > 0), PLACES)
    return float(ndcg_of_hits(hits, wanted.lengths).mean())

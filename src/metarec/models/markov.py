"""What users choose next: a regression of each event on what came before it, the newest loudest.

Single-target linear regression as in SLIST (Choi et al. 2021, "Session-aware linear item-item
models") and TALE (arXiv:2412.07382): every event is a target once, its input is the past with
weights that fall with age. The full solution, (G + pull)^-1 C, needs a dense inverse of the Gram
matrix G of pasts. Measured, its first step C / (diag G + pull) ranks as well, and better on sparse
data, where order matters most (docs/experiments). It stays sparse and is what is fitted here: a
directed co-occurrence that shrinks rare items. What it shrinks them towards is not only zero: an
item seldom seen is taken to be followed by those that read like it (`models/alike.py`), as
L3AE (arXiv:2508.13500) pulls EASE towards likeness of texts. Its constants are chosen on held-out
training users. Silent where order carries no meaning, which the gate finds out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.alike import Alike
from metarec.models.base import EVENTS, Evidence, event_weights, training_weights
from metarec.models.config import ModelConfig, setting
from metarec.models.sparse_rows import answers, grown, sparse_arrays, sparse_from, strongest
from metarec.runtime.gains import ndcg_of_hits

MAX_PAIRS = 40_000_000
"""Pairs of events counted; with more events each speaks for fewer of those that follow it."""
PAIRS_AT_ONCE = 2_000_000
"""Pairs of events counted at a time: bounds memory."""
MAX_CELLS = 20_000_000
"""Scores held while choosing, over users and items; fewer users are asked of a large catalog."""
PLACES = 10
"""Places of the NDCG that chooses."""


@dataclass(frozen=True, kw_only=True)
class MarkovConfig(ModelConfig):
    """Hyper-parameters of the Markov chain; of lists one value is chosen on held-out users, one
    list after the other, the first where they are too few or no other is clearly better.
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
    alikes: tuple[float, ...] = setting((0.0, 10.0, 30.0, 100.0), least=0)
    """Events' worth of what reads like an item, beside what followed it (each 0 or more)."""
    alike_neighbors: int = setting(100, least=1)
    """Items that read like an item, the nearest (1 or more)."""
    alike_sharpness: float = setting(10.0, least=0)
    """How much likelier a nearer one is chosen instead: exp(sharpness x cosine) (0 or more)."""
    alike_popularity: float = setting(0.5, least=0)
    """Exponent of an item's count in its chance to be chosen instead (0 or more)."""
    rarity_damping: float = setting(5.0, above=0)
    """Added to that count (above 0)."""
    kept: int = setting(500, least=1)
    """Followers kept for each item (1 or more), the strongest."""
    held_out: int = setting(500, least=1)
    """Users that choose at most (1 or more)."""
    held_out_share: float = setting(0.1, above=0, below=1)
    """Share of the users that choose at most (in (0, 1))."""
    min_held_out: int = setting(50, least=1)
    """With fewer users that choose (1 or more) the first values stay."""
    min_t: float = setting(1.0, least=0)
    """Standard errors by which another value than the first must be better (0 or more)."""


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
    alike: float = DEFAULT.alikes[0]
    """Events' worth of what reads like an item."""

    @classmethod
    def of(cls, config: MarkovConfig) -> Chain:
        """The first value of each list."""
        return cls(**{name: values[0] for name, values in _lists(config).items()})


def _lists(config: MarkovConfig) -> dict[str, tuple[float, ...]]:
    """Field of `Chain` -> what is chosen from, in the order of choosing."""
    return {
        "alike": config.alikes,
        "recency": config.recencies,
        "pull": config.pulls,
        "rarity": config.rarities,
    }


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
        near = _alike(behaviour, config)
        chain = choose_chain(behaviour, rng.spawn(1)[0], config, near)
        counts = _Counts.of(behaviour, chain.recency, config, near)
        return cls(
            following=strongest(counts.weights(chain), config.kept),
            config=config,
            relevant_from=behaviour.relevant_from,
            recency=chain.recency,
        )

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> Evidence:
        """[B, N], sparse where few items are named."""
        support = users.support
        weights = event_weights(support, self.relevant_from) * self.recency ** _ages(support)
        return answers(support, weights, self.following, out)

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
    behaviour: Behaviour,
    rng: np.random.Generator,
    config: MarkovConfig = DEFAULT,
    near: Alike | None = None,
) -> Chain:
    """The constants with the best NDCG@10 of held-out users, asked at the end of their pool for all
    that they wanted later, and before their last event for that one.

    They are chosen one after the other; another value than the first must be better by
    `min_t` standard errors.

    Args:
        near: items that read alike, where that is known.
    """
    tasks, best = [*_held_out(behaviour, rng, config)], Chain.of(config)
    if not tasks:
        return best
    asked = np.unique(np.concatenate([users for users, _, _ in tasks]))
    rest = behaviour.users(np.setdiff1d(np.arange(len(behaviour.histories)), asked))
    counts = _Counts.of(rest, best.recency, config, near)

    def quality(chain: Chain, counts: _Counts) -> np.ndarray:
        found = [_ndcg(chain, counts, *task[1:]) for task in tasks]
        return np.asarray(np.mean(found, axis=0))

    reached = quality(best, counts)
    for name, values in _lists(config).items():
        for value in values[1:]:
            tried = replace(best, **{name: value})
            if tried.alike and near is None:
                continue
            told = counts if tried.recency == counts.recency else counts.again(rest, tried.recency)
            found = quality(tried, told)
            gain = found - reached
            if gain.mean() > config.min_t * gain.std() / np.sqrt(len(gain)):
                best, reached, counts = tried, found, told
            del told  # the counts of the next recency need its memory
    return best


@dataclass(frozen=True, kw_only=True)
class _Counts:
    """What the weights of every `Chain` of one recency are made of."""

    recency: float
    following: sp.csr_matrix
    """[N, N] C: row = an item of the past, column = the target, summed recency."""
    energy: np.ndarray
    """[N] diagonal of G: summed squares of each item's recency in pasts."""
    total: np.ndarray
    """[N] events."""
    alike: sp.csr_matrix
    """[N, N] what reads like each item, see `Alike.chances`."""
    config: MarkovConfig

    @classmethod
    def of(
        cls, behaviour: Behaviour, recency: float, config: MarkovConfig, near: Alike | None
    ) -> _Counts:
        histories, n_items = behaviour.whole, behaviour.n_items
        users = behaviour.weights_of(histories.owners)
        total = np.bincount(histories.items, users, n_items).astype(np.float32)
        return cls(
            recency=recency,
            following=_following(behaviour, recency, window_of(len(histories.items), config)),
            energy=_energy(behaviour, recency),
            total=total,
            alike=sp.csr_matrix((n_items, n_items), dtype=np.float32)
            if near is None
            else near.chances(total, config.alike_sharpness, config.alike_popularity),
            config=config,
        )

    def again(self, behaviour: Behaviour, recency: float) -> _Counts:
        """The same users at another recency."""
        window = window_of(len(behaviour.whole.items), self.config)
        following = _following(behaviour, recency, window)
        energy = _energy(behaviour, recency)
        return replace(self, recency=recency, following=following, energy=energy)

    def weights(self, chain: Chain) -> sp.csr_matrix:
        """[N, N] float32; what was counted becomes them, so that it is held once."""
        found = self.following if not chain.alike else self.following.copy()
        pulled = (1.0 / (self.energy + chain.pull)).astype(np.float32)
        found.data *= np.repeat(pulled, np.diff(found.indptr))
        rareness = self.rareness(chain)
        found.data *= rareness[found.indices]
        return (
            found
            if not chain.alike
            else self._with_alike(found, sp.csr_matrix(sp.diags(pulled)), chain)
        )

    def after(self, pasts: sp.csr_matrix, chain: Chain) -> sp.csr_matrix:
        """[B, N] float32 what follows these `pasts` [B, N]."""
        pulled = pasts.copy()
        pulled.data = (pulled.data / (self.energy + chain.pull)[pulled.indices]).astype(np.float32)
        found, rareness = pulled @ self.following, self.rareness(chain)
        found.data *= rareness[found.indices]
        return self._with_alike(found, pulled, chain) if chain.alike else found

    def _with_alike(
        self, found: sp.csr_matrix, pulled: sp.csr_matrix, chain: Chain
    ) -> sp.csr_matrix:
        """What follows these pasts, and what reads like it."""
        rareness = self.rareness(chain)
        # As rare as targets are on average, so that rarity leaves the proportion as it is
        typical = np.average(rareness, weights=np.maximum(self.total, 1e-9))
        return found + (pulled @ self.alike) * np.float32(chain.alike * typical)

    def rareness(self, chain: Chain) -> np.ndarray:
        """[N] float32 factor of each target."""
        damped = self.total + self.config.rarity_damping
        return np.asarray(damped**-chain.rarity, np.float32)


def window_of(events: int, config: MarkovConfig) -> int:
    """How many events that follow it each of so many events speaks for."""
    return max(1, min(config.window, MAX_PAIRS // max(events, 1)))


def choosing(users: int, n_items: int, config: MarkovConfig) -> int:
    """How many of so many users choose the constants; 0 where the first values stay."""
    most = min(config.held_out, int(config.held_out_share * users), MAX_CELLS // n_items)
    return most if most >= config.min_held_out else 0


def _alike(behaviour: Behaviour, config: MarkovConfig) -> Alike | None:
    """What reads alike, where that may be chosen."""
    if behaviour.text is None or not any(config.alikes):
        return None
    counts = np.bincount(behaviour.whole.items, minlength=behaviour.n_items)
    return Alike.of(behaviour.text, counts, config.alike_neighbors)


def _following(behaviour: Behaviour, recency: float, window: int) -> sp.csr_matrix:
    """[N, N] see `_Counts.following`; as many items of the past at a time as `PAIRS_AT_ONCE`
    allow.
    """
    histories, n_items = behaviour.whole, behaviour.n_items
    weights, counts = training_weights(behaviour), np.bincount(histories.items, minlength=n_items)
    left, by_item = _ages(histories), np.argsort(histories.items, kind="stable")
    ends = np.concatenate([[0], np.cumsum(counts)])
    steps, decay = np.arange(1, window + 1), recency ** np.arange(window)
    # Room for all pairs, of which only what differs is ever touched.
    pairs = int(np.minimum(left, window).sum())
    data, items = np.empty(pairs, np.float32), np.empty(pairs, np.int32)
    found, start = [0], 0
    while start < n_items:
        most = ends[start] + max(1, PAIRS_AT_ONCE // window)
        end = max(start + 1, int(np.searchsorted(ends, most, side="right")) - 1)
        event = by_item[ends[start] : ends[end]]
        follows = steps <= left[event, None]
        later = (event[:, None] + steps)[follows]
        told = (np.broadcast_to(decay, follows.shape)[follows] * weights[later]).astype(np.float32)
        followers = sp.csr_matrix(
            (told, histories.items[later], np.append(0, np.cumsum(follows.sum(1)))),
            shape=(len(event), n_items),
        )
        owned = sp.csr_matrix(
            (
                np.ones(len(event), np.float32),
                np.arange(len(event)),
                ends[start : end + 1] - ends[start],
            ),
            shape=(end - start, len(event)),
        )
        block = owned @ followers
        inside = slice(found[-1], found[-1] + block.nnz)
        data[inside], items[inside] = block.data, block.indices
        found.extend(found[-1] + block.indptr[1:])
        start = end
    return sp.csr_matrix((data[: found[-1]], items[: found[-1]], found), shape=(n_items, n_items))


def _energy(behaviour: Behaviour, recency: float) -> np.ndarray:
    """[N] see `_Counts.energy`."""
    histories = behaviour.whole
    users = behaviour.weights_of(histories.owners)
    ages = np.arange(histories.lengths.max(initial=0))
    later = ((1.0 - recency ** (2.0 * ages)) / (1.0 - recency**2))[_ages(histories)]
    return np.bincount(histories.items, users * later, behaviour.n_items).astype(np.float32)


def _ages(histories: Histories) -> np.ndarray:
    """[E] how many events of the user came after each."""
    lengths = histories.lengths
    return np.asarray(np.repeat(lengths, lengths) - 1 - histories.positions)


def _held_out(
    behaviour: Behaviour, rng: np.random.Generator, config: MarkovConfig
) -> Iterator[tuple[np.ndarray, Histories, Histories]]:
    """(users, support, wanted), at the end of the pool and before the last event."""
    able = np.flatnonzero((behaviour.histories.lengths >= 3) & (behaviour.targets.lengths > 0))
    most = choosing(len(able), behaviour.n_items, config)
    if not most:
        return
    users = np.sort(rng.choice(able, most, replace=False))
    histories, pools = behaviour.histories.users(users), behaviour.pools[users]
    yield users, histories.first(pools), behaviour.targets.users(users)
    before = histories.lengths - 1
    yield users, histories.first(before), histories.after(before)


def _ndcg(chain: Chain, counts: _Counts, support: Histories, wanted: Histories) -> np.ndarray:
    """[B] NDCG@10 of `wanted` among all items outside of `support`."""
    n_items = len(counts.total)
    newest = support.where(_ages(support) < counts.config.window)
    pasts = newest.matrix(n_items, chain.recency ** _ages(newest))
    found = counts.after(pasts, chain)
    shown = np.zeros(found.shape, bool)
    shown[support.owners, support.items] = True
    found.data[shown[np.repeat(np.arange(len(support)), np.diff(found.indptr)), found.indices]] = 0
    found.eliminate_zeros()
    top = strongest(found, PLACES).tocoo()
    order = np.lexsort((top.col, -top.data, top.row))
    row, keys = top.row[order], (top.row.astype(np.int64) * n_items + top.col)[order]
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(support)))])
    place = np.arange(len(row)) - starts[row]
    is_hit = (place < PLACES) & np.isin(keys, _keys(wanted, n_items))
    hits = np.zeros((len(support), PLACES), bool)
    hits[row[is_hit], place[is_hit]] = True
    return ndcg_of_hits(hits, wanted.lengths)


def _keys(histories: Histories, n_items: int) -> np.ndarray:
    """[E] a number for each (user, item)."""
    return np.asarray(histories.owners * n_items + histories.items)

"""What follows what, counted: all that the weights of a Markov chain are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.base import EventsConfig, training_weights
from metarec.models.config import setting
from metarec.models.markov.alike import Alike

MAX_PAIRS = 40_000_000
"""Pairs of events counted; with more events each speaks for fewer of those that follow it."""
PAIRS_AT_ONCE = 2_000_000
"""Pairs of events counted at a time: bounds memory."""


@dataclass(frozen=True, kw_only=True)
class MarkovConfig(EventsConfig):
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
    ndcg_places: int = setting(10, least=1)
    """Places of the NDCG by which they are chosen (1 or more)."""


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
        return cls(**{name: values[0] for name, values in constants(config).items()})


def constants(config: MarkovConfig) -> dict[str, tuple[float, ...]]:
    """Field of `Chain` -> what is chosen from, in the order of choosing."""
    return {
        "alike": config.alikes,
        "recency": config.recencies,
        "pull": config.pulls,
        "rarity": config.rarities,
    }


@dataclass(frozen=True, kw_only=True)
class Counts:
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
        cls, behavior: Behavior, recency: float, config: MarkovConfig, near: Alike | None
    ) -> Counts:
        """Of these users, `near` being what reads alike where that is known."""
        histories, n_items = behavior.whole, behavior.n_items
        users = behavior.weights_of(histories.owners)
        total = np.bincount(histories.items, users, n_items).astype(np.float32)
        return cls(
            recency=recency,
            following=_following(behavior, recency, config),
            energy=_energy(behavior, recency),
            total=total,
            alike=sp.csr_matrix((n_items, n_items), dtype=np.float32)
            if near is None
            else near.chances(total, config.alike_sharpness, config.alike_popularity),
            config=config,
        )

    def again(self, behavior: Behavior, recency: float) -> Counts:
        """The same users at another recency."""
        following = _following(behavior, recency, self.config)
        energy = _energy(behavior, recency)
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


def _following(behavior: Behavior, recency: float, config: MarkovConfig) -> sp.csr_matrix:
    """[N, N] see `Counts.following`; as many items of the past at a time as `PAIRS_AT_ONCE`
    allow.
    """
    histories, n_items = behavior.whole, behavior.n_items
    window = window_of(len(histories.items), config)
    weights = training_weights(behavior, config)
    counts = np.bincount(histories.items, minlength=n_items)
    left, by_item = ages_of(histories), np.argsort(histories.items, kind="stable")
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


def _energy(behavior: Behavior, recency: float) -> np.ndarray:
    """[N] see `Counts.energy`."""
    histories = behavior.whole
    users = behavior.weights_of(histories.owners)
    ages = np.arange(histories.lengths.max(initial=0))
    later = ((1.0 - recency ** (2.0 * ages)) / (1.0 - recency**2))[ages_of(histories)]
    return np.bincount(histories.items, users * later, behavior.n_items).astype(np.float32)


def ages_of(histories: Histories) -> np.ndarray:
    """[E] how many events of the user came after each."""
    lengths = histories.lengths
    return np.asarray(np.repeat(lengths, lengths) - 1 - histories.positions)

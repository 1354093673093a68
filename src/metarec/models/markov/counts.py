"""Transition counts between items, from which the weights of a Markov chain are computed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories, offsets_of
from metarec.models.base import EventsConfig, dense, training_weights
from metarec.models.config import setting
from metarec.models.markov.alike import Alike

MAX_PAIRS = 40_000_000
"""Bound: pairs of events counted; with more events, each predicts fewer of those that follow it."""
MAX_PLAIN, PLAIN_FROM = 20_000_000, 0.1
"""Counts in a plain array while constants are chosen: cells at most, and share of them filled at
least.
"""
PAIRS_AT_ONCE = 2_000_000
"""Bound: pairs of events counted at a time, to limit memory."""


@dataclass(frozen=True, kw_only=True)
class MarkovConfig(EventsConfig):
    """Hyper-parameters of the Markov chain. From each list one value is chosen on held-out users,
    one list after the other; the first value stays where users are too few or no other is clearly
    better.
    """

    window: int = setting(20, at_least=1)
    """Number of following events that an event predicts (1 or more)."""
    recencies: tuple[float, ...] = setting((0.8, 0.6, 0.9), above=0, below=1)
    """Decay of the weight of an event with each later event (each in (0, 1))."""
    newest: float = setting(1.0, at_least=0)
    """Extra weight of a user's newest event: with 1, its weight doubles (0 or more)."""
    pulls: tuple[float, ...] = setting((30.0, 100.0, 10.0), above=0)
    """L2 penalties of each item's weights, as numbers of events (each above 0)."""
    rarities: tuple[float, ...] = setting((0.25, 0.0, 0.5), at_least=0)
    """Exponents of the target's event count by which its weights are divided (each 0 or more); 0
    favors popular targets.
    """
    alikes: tuple[float, ...] = setting((0.0, 10.0, 30.0, 100.0), at_least=0)
    """Pseudo-counts of transitions from an item to items of similar text, beside those observed
    (each 0 or more).
    """
    alike_neighbors: int = setting(100, at_least=1)
    """Nearest items by text that are kept for each item (1 or more)."""
    alike_sharpness: float = setting(10.0, at_least=0)
    """The probability of a transition to a similar item grows as exp(sharpness x cosine) (0 or
    more).
    """
    alike_popularity: float = setting(0.5, at_least=0)
    """Exponent of an item's event count in that probability (0 or more)."""
    rarity_damping: float = setting(5.0, above=0)
    """Added to the target's event count before the exponent of `rarities` (above 0)."""
    kept: int = setting(500, at_least=1)
    """Followers kept for each item (1 or more), those of largest weight."""
    held_out: int = setting(500, at_least=1)
    """Held-out users on whom values are chosen, at most (1 or more)."""
    held_out_share: float = setting(0.1, above=0, below=1)
    """Share of the users that are held out, at most (in (0, 1))."""
    min_held_out: int = setting(50, at_least=1)
    """With fewer held-out users (1 or more) the first values stay."""
    min_t: float = setting(1.0, at_least=0)
    """Number of standard errors by which another value than the first must be better (0 or more).
    """
    ndcg_places: int = setting(10, at_least=1)
    """Length of the list in the NDCG by which values are chosen (1 or more)."""


DEFAULT = MarkovConfig()


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The constants of the regression that are chosen."""

    recency: float = DEFAULT.recencies[0]
    """Decay of the weight of an event with each later event."""
    pull: float = DEFAULT.pulls[0]
    """L2 penalty of each item's weights, as a number of events."""
    rarity: float = DEFAULT.rarities[0]
    """Exponent of a target's event count by which its weights are divided; 0 favors popular
    targets.
    """
    alike: float = DEFAULT.alikes[0]
    """Pseudo-count of transitions to items of similar text."""

    @classmethod
    def of(cls, config: MarkovConfig) -> Chain:
        """Return the first value of each list."""
        return cls(**{name: values[0] for name, values in constants(config).items()})


def constants(config: MarkovConfig) -> dict[str, tuple[float, ...]]:
    """Field of `Chain` -> values to choose from, in the order of choosing."""
    return {
        "alike": config.alikes,
        "recency": config.recencies,
        "pull": config.pulls,
        "rarity": config.rarities,
    }


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The counts from which the weights of every `Chain` of one recency are computed."""

    recency: float
    """Decay of the weight of an event with each later event."""
    following: sp.csr_matrix
    """[N, N] C: row = an item of the past, column = the target, summed recency."""
    energy: np.ndarray
    """[N] diagonal of G: summed squares of each item's recency in pasts."""
    total: np.ndarray
    """[N] weighted number of events."""
    alike: sp.csr_matrix
    """[N, N] transition probabilities to items of similar text, see `Alike.chances`."""
    config: MarkovConfig

    @classmethod
    def of(
        cls, behavior: Behavior, recency: float, config: MarkovConfig, near: Alike | None
    ) -> Counts:
        """Count over the users of `behavior`; `near` holds the neighbors by text, None without."""
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
        """Return the counts of the same users for another recency."""
        following = _following(behavior, recency, self.config)
        energy = _energy(behavior, recency)
        return replace(self, recency=recency, following=following, energy=energy)

    def weights(self, chain: Chain) -> sp.csr_matrix:
        """[N, N] float32 weights of a chain. To save memory, they overwrite `following` unless
        `chain.alike` is set.
        """
        weights = self.following if not chain.alike else self.following.copy()
        pulled = (1.0 / (self.energy + chain.pull)).astype(np.float32)
        weights.data *= np.repeat(pulled, np.diff(weights.indptr))
        rareness = self.rareness(chain)
        weights.data *= rareness[weights.indices]
        if not chain.alike:
            return weights
        return weights + (sp.diags(pulled).tocsr() @ self.alike) * self._prior(chain)

    def after(self, pasts: sp.csr_matrix, chain: Chain) -> np.ndarray:
        """[B, N] float32 scores of what follows the given `pasts` [B, N]."""
        pulled = pasts.copy()
        pulled.data = (pulled.data / (self.energy + chain.pull)[pulled.indices]).astype(np.float32)
        scores = dense(pulled @ self._filled)
        scores *= self.rareness(chain)
        if chain.alike:
            scores += (pulled @ self.alike).toarray() * self._prior(chain)
        return scores

    @cached_property
    def _filled(self) -> sp.csr_matrix | np.ndarray:
        """`following`, as a plain array where many of its cells are filled: a product with it takes
        a fifth of the time.
        """
        cells = len(self.total) ** 2
        is_plain = cells <= MAX_PLAIN and self.following.nnz >= PLAIN_FROM * cells
        return self.following.toarray() if is_plain else self.following

    def _prior(self, chain: Chain) -> np.float32:
        """Weight of the prior of transitions to items of similar text: `alike` times the average
        rarity of targets, so that `rarity` does not change it.
        """
        total = np.maximum(self.total, 1e-9)
        return np.float32(chain.alike * np.average(self.rareness(chain), weights=total))

    def rareness(self, chain: Chain) -> np.ndarray:
        """[N] float32 factor of each target by its rarity."""
        damped = self.total + self.config.rarity_damping
        return np.asarray(damped**-chain.rarity, np.float32)


def window_of(events: int, config: MarkovConfig) -> int:
    """Number of following events that each event predicts, for a total of `events`."""
    return max(1, min(config.window, MAX_PAIRS // max(events, 1)))


def _following(behavior: Behavior, recency: float, config: MarkovConfig) -> sp.csr_matrix:
    """[N, N] see `Counts.following`; counted in blocks of items of the past, as large as
    `PAIRS_AT_ONCE` allows.
    """
    histories, n_items = behavior.whole, behavior.n_items
    window = window_of(len(histories.items), config)
    weights, of_events = training_weights(behavior, config), histories.items.astype(np.int32)
    following = np.minimum(ages_of(histories), window).astype(np.int32)
    by_item = np.argsort(of_events, kind="stable").astype(np.int32)
    ends = offsets_of(np.bincount(of_events, minlength=n_items)).astype(np.int32)
    decay = (recency ** np.arange(window)).astype(np.float32)
    # Memory for all pairs; only the part for distinct pairs is ever touched.
    pairs = int(following.sum())
    data, items = np.empty(pairs, np.float32), np.empty(pairs, np.int32)
    offsets, start = [0], 0
    while start < n_items:
        limit = ends[start] + max(1, PAIRS_AT_ONCE // window)
        end = max(start + 1, int(np.searchsorted(ends, limit, side="right")) - 1)
        event = by_item[ends[start] : ends[end]]
        pairs_of = offsets_of(following[event]).astype(np.int32)
        age = np.arange(pairs_of[-1], dtype=np.int32) - np.repeat(pairs_of[:-1], following[event])
        later = np.repeat(event + 1, following[event]) + age
        followers = sp.csr_matrix(
            (decay[age] * weights[later], of_events[later], pairs_of),
            shape=(len(event), n_items),
        )
        ones, every = np.ones(len(event), np.float32), np.arange(len(event), dtype=np.int32)
        starts = ends[start : end + 1] - ends[start]
        block = sp.csr_matrix((ones, every, starts), (end - start, len(event))) @ followers
        inside = slice(offsets[-1], offsets[-1] + block.nnz)
        data[inside], items[inside] = block.data, block.indices
        offsets.extend(offsets[-1] + block.indptr[1:])
        start = end
    kept = slice(offsets[-1])
    return sp.csr_matrix((data[kept], items[kept], offsets), shape=(n_items, n_items))


def _energy(behavior: Behavior, recency: float) -> np.ndarray:
    """[N] see `Counts.energy`."""
    histories = behavior.whole
    users = behavior.weights_of(histories.owners)
    ages = np.arange(histories.lengths.max(initial=0))
    later = ((1.0 - recency ** (2.0 * ages)) / (1.0 - recency**2))[ages_of(histories)]
    return np.bincount(histories.items, users * later, behavior.n_items).astype(np.float32)


def ages_of(histories: Histories) -> np.ndarray:
    """[E] number of later events of the same user."""
    lengths = histories.lengths
    return np.asarray(np.repeat(lengths, lengths) - 1 - histories.positions)

"""What training users took again after their first items, and what is likeliest to foretell it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from metarec.features.events import Events
from metarec.features.histories import Histories

_LEAST = 1e-12
"""Guards logs and divisions against 0."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """S samples: a user, known by their first items."""

    known: Histories
    """Of each sample."""
    again: np.ndarray
    """[E] share of the user's later acts on targets that was on this item."""
    weights: np.ndarray
    """[S] how much the user counts."""
    users: np.ndarray
    """[S] which user each is."""

    @property
    def repeated(self) -> np.ndarray:
        """[S] share of the later acts that was on known items."""
        return np.bincount(self.known.owners, self.again, len(self.known))


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How much oftener than an even share of a user's repeats goes to an item."""

    pairs: np.ndarray
    """[P] a number for each user and item, ascending."""
    items: np.ndarray
    """[P]."""
    shares: np.ndarray
    """[P] of the user's repeats, times how much the user counts."""
    even: np.ndarray
    """[P] what an even share would be."""
    n_items: int
    damping: float

    @classmethod
    def of(cls, events: Events, n_items: int, weights: np.ndarray, damping: float) -> Habits:
        """Of users who repeat anything; a repeat is an act on a target after the first on it."""
        accepted = ~events.is_refusal & ~events.is_undo
        owners, items = events.owners[accepted], events.items[accepted]
        pairs, first, place = np.unique(
            _pairs(owners, items), return_index=True, return_inverse=True
        )
        is_again = events.is_target[accepted]
        is_again[first] = False
        again = np.bincount(place, is_again, len(pairs))
        of = owners[first]
        every = np.bincount(of, again, events.n_users)[of]
        counts = weights[of] * (every > 0)
        return cls(
            pairs=pairs,
            items=items[first],
            shares=counts * again / np.maximum(every, 1.0),
            even=counts / np.bincount(of, minlength=events.n_users)[of],
            n_items=n_items,
            damping=damping,
        )

    @cached_property
    def of_items(self) -> np.ndarray:
        """[N] float32; 1 where nothing is known."""
        return np.asarray(self._counted / self._expected, np.float32)

    def of_others(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """[E] of `items` by all but each of these `users`: nobody must foretell themselves."""
        at = np.searchsorted(self.pairs, _pairs(users, items))
        counted = self._counted[items] - self.shares[at]
        return np.asarray(counted / (self._expected[items] - self.even[at]))

    @cached_property
    def _counted(self) -> np.ndarray:
        return np.bincount(self.items, self.shares, self.n_items) + self.damping

    @cached_property
    def _expected(self) -> np.ndarray:
        return np.bincount(self.items, self.even, self.n_items) + self.damping


def samples_after(
    events: Events, supports: Sequence[int], weights: np.ndarray, *, every_act: bool
) -> Samples:
    """Users after each of the `supports`, numbers of items, of whom later acts are known.

    Args:
        weights: [U] how much each user counts.
        every_act: whether all acts of the first items are known, the newest last; else each item
            as if it had been told once, in the order of the first acts.
    """
    known, again, users = [], [], []
    for size in sorted(set(supports)):
        early = events.cut(np.full(events.n_users, size))
        pool, _ = events.where(early).joined(newest_last=every_act)
        later = events.where(~early & events.is_target & ~events.is_refusal & ~events.is_undo)
        asked = np.bincount(later.owners, minlength=events.n_users)
        rows = np.flatnonzero((pool.lengths == size) & (asked > 0))
        some = pool.users(rows)
        pairs, numbers = np.unique(_pairs(later.owners, later.items), return_counts=True)
        wanted = _pairs(rows[some.owners], some.items)
        at = np.minimum(np.searchsorted(pairs, wanted), max(len(pairs) - 1, 0))
        is_again = pairs[at] == wanted if len(pairs) else np.zeros(len(wanted), bool)
        again.append(np.where(is_again, numbers[at], 0) / asked[rows][some.owners])
        known.append(some if every_act else replace(some, counts=np.ones_like(some.counts)))
        users.append(rows)
    return Samples(
        known=Histories.concat(known),
        again=np.concatenate(again),
        weights=weights[np.concatenate(users)],
        users=np.concatenate(users),
    )


def likeliest_chance(columns: np.ndarray, samples: Samples, shrinkage: float) -> np.ndarray:
    """[W] weights of a logistic regression of whether an act is on a known item. That of the first
    column, which is 1, is free: pulled towards 0, rare repeats were said to be twice as likely.
    """
    weights, share = samples.weights / max(samples.weights.sum(), _LEAST), samples.repeated

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        scores = columns @ found
        costs = np.logaddexp(0.0, scores) - share * scores
        return float(weights @ costs), columns.T @ (
            weights * (chance_of_again(columns, found) - share)
        )

    pulled = np.arange(columns.shape[1]) > 0
    return _least(loss, pulled * shrinkage / max(len(share), 1))


def likeliest_order(columns: np.ndarray, samples: Samples, shrinkage: float) -> np.ndarray:
    """[W] weights of a softmax over the known items of which one an act is on that repeats."""
    owners, users = samples.known.owners, len(samples.known)
    taken = samples.again * samples.weights[owners]
    taken = taken / max(taken.sum(), _LEAST)
    every = np.bincount(owners, taken, users)[owners]

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        shares = softmax(columns @ found, owners, users)
        cost = -float(taken @ np.log(np.maximum(shares, _LEAST)))
        return cost, columns.T @ (every * shares - taken)

    return _least(loss, np.full(columns.shape[1], shrinkage / max(users, 1)))


def _least(loss: Callable[[np.ndarray], tuple[float, np.ndarray]], pull: np.ndarray) -> np.ndarray:
    from scipy.optimize import minimize

    def shrunk(found: np.ndarray) -> tuple[float, np.ndarray]:
        cost, slope = loss(found)
        return cost + 0.5 * float(pull @ found**2), slope + pull * found

    return np.asarray(minimize(shrunk, np.zeros(len(pull)), jac=True, method="L-BFGS-B").x)


def chance_of_again(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[B] chance that the next act is on a known item."""
    return np.asarray(1.0 / (1.0 + np.exp(-columns @ weights)))


def softmax(scores: np.ndarray, owners: np.ndarray, n_users: int) -> np.ndarray:
    """[E] shares among the events of each user."""
    _, raised, sums = _raised(scores, owners, n_users)
    return np.asarray(raised / sums[owners])


def log_means(scores: np.ndarray, owners: np.ndarray, n_users: int) -> np.ndarray:
    """[B] log of the mean of exp(score) over the events of each user; 0 where there are none."""
    best, _, sums = _raised(scores, owners, n_users)
    counts = np.bincount(owners, minlength=n_users)
    known, means = counts > 0, np.zeros(n_users)
    means[known] = best[known] + np.log(sums[known] / counts[known])
    return means


def _raised(
    scores: np.ndarray, owners: np.ndarray, n_users: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[B] the best score of each user, [E] exp(score - best), and [B] what this comes to."""
    best = np.full(n_users, -np.inf)
    np.maximum.at(best, owners, scores)
    raised = np.exp(scores - best[owners])
    return best, raised, np.bincount(owners, raised, n_users)


def _pairs(owners: np.ndarray, items: np.ndarray) -> np.ndarray:
    return np.asarray(owners * 2**32 + items)

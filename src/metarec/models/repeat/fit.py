"""Fitting of repeats: samples of what training users took again after their first items, and the
weights with the highest likelihood of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from metarec.features.events import Events
from metarec.features.histories import Histories

_LEAST = 1e-12
"""Guard: keeps logs and divisions away from 0."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """S samples, each of a user of whom only the first items are known."""

    known: Histories
    """Known history of each sample."""
    again: np.ndarray
    """[E] share of the user's later target events that are on this item."""
    weights: np.ndarray
    """[S] weight of the user."""
    users: np.ndarray
    """[S] index of the user."""
    taken: np.ndarray
    """[R] index among the E of the item on which a later target event is."""
    events: np.ndarray
    """[R] index of this later event."""
    shares: np.ndarray
    """[R] 1 over the number of the user's later target events."""

    @property
    def repeated(self) -> np.ndarray:
        """[S] share of the later target events that are on known items."""
        return np.bincount(self.known.owners, self.again, len(self.known))


@dataclass(frozen=True, kw_only=True)
class Habits:
    """Share of users' repeats that falls on each item, relative to an even share."""

    pairs: np.ndarray
    """[P] key of each pair of user and item, ascending."""
    items: np.ndarray
    """[P] item of each pair."""
    shares: np.ndarray
    """[P] share of the user's repeats, times the weight of the user."""
    even: np.ndarray
    """[P] even share among the user's items, times the weight of the user."""
    n_items: int
    damping: float
    """Pseudo-count of users that shrinks ratios towards 1."""

    @classmethod
    def of(cls, events: Events, n_items: int, weights: np.ndarray, damping: float) -> Habits:
        """Count over users with any repeat; a repeat is a target event on an item after the first
        event on it.
        """
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
        """[N] float32 smoothed ratio of each item; 1 where nothing is known."""
        return np.asarray(self._counted / self._expected, np.float32)

    def of_others(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """[E] ratios of the `items` without the events of the respective `users` (leave one out),
        so that no user's repeats predict themselves.
        """
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
    """Sample users after each of the `supports`, numbers of items, if they have later target
    events.

    Args:
        weights: [U] weight of each user.
        every_act: whether all events on the first items are known, with the most recent item last;
            else each item as if it had been told once, in the order of the first events.
    """
    pools, users, taken, rows_of, shares = [], [], [], [], []
    n_known = 0
    for size in sorted(set(supports)):
        early = events.cut(np.full(events.n_users, size))
        pool, _ = events.where(early).joined(newest_last=every_act)
        is_later = ~early & events.is_target & ~events.is_refusal & ~events.is_undo
        counts = np.bincount(events.owners[is_later], minlength=events.n_users)
        rows = np.flatnonzero((pool.lengths == size) & (counts > 0))
        some = pool.users(rows)
        place = _places(_pairs(rows[some.owners], some.items), events, is_later)
        again = np.flatnonzero(place >= 0)
        taken.append(n_known + place[again])
        rows_of.append(again)
        shares.append(1.0 / counts[events.owners[again]])
        pools.append(some if every_act else replace(some, counts=np.ones_like(some.counts)))
        users.append(rows)
        n_known += len(some.items)
    every, share = np.concatenate(taken), np.concatenate(shares)
    return Samples(
        known=Histories.concat(pools),
        again=np.bincount(every, share, n_known),
        weights=weights[np.concatenate(users)],
        users=np.concatenate(users),
        taken=every,
        events=np.concatenate(rows_of),
        shares=share,
    )


def _places(known_pairs: np.ndarray, events: Events, is_asked: np.ndarray) -> np.ndarray:
    """[E] index among `known_pairs` of the pair of user and item of each event; -1 where it is none
    of them or not `is_asked` [E] about.
    """
    places = np.full(len(events.items), -1)
    order = np.argsort(known_pairs)
    rows = np.flatnonzero(is_asked) if len(known_pairs) else np.zeros(0, np.int64)
    pairs = _pairs(events.owners[rows], events.items[rows])
    at = order[np.minimum(np.searchsorted(known_pairs, pairs, sorter=order), len(known_pairs) - 1)]
    places[rows] = np.where(known_pairs[at] == pairs, at, -1)
    return places


def likeliest_chance(columns: np.ndarray, samples: Samples, shrinkage: float) -> np.ndarray:
    """[W] weights of a logistic regression of whether an event is on a known item. The intercept
    (first column) is not penalized: with a penalty, rare repeats were predicted to be twice as
    likely.
    """
    weights, share = samples.weights / max(samples.weights.sum(), _LEAST), samples.repeated

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scores = columns @ parameters
        costs = np.logaddexp(0.0, scores) - share * scores
        return float(weights @ costs), columns.T @ (
            weights * (chance_of_again(columns, parameters) - share)
        )

    pulled = np.arange(columns.shape[1]) > 0
    return _least(loss, pulled * shrinkage / max(len(share), 1))


def likeliest_order(columns: np.ndarray, samples: Samples, shrinkage: float) -> np.ndarray:
    """[W] weights of a softmax over the known items that predicts the item of an event that
    repeats.
    """
    owners, users = samples.known.owners, len(samples.known)
    taken = samples.again * samples.weights[owners]
    taken = taken / max(taken.sum(), _LEAST)
    every = np.bincount(owners, taken, users)[owners]

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        shares = softmax(columns @ parameters, owners, users)
        cost = -float(taken @ np.log(np.maximum(shares, _LEAST)))
        return cost, columns.T @ (every * shares - taken)

    return _least(loss, np.full(columns.shape[1], shrinkage / max(users, 1)))


def _least(loss: Callable[[np.ndarray], tuple[float, np.ndarray]], pull: np.ndarray) -> np.ndarray:
    """The weights that minimize the loss plus an L2 penalty `pull` [W] of each weight."""
    from scipy.optimize import minimize

    def shrunk(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        cost, slope = loss(parameters)
        return cost + 0.5 * float(pull @ parameters**2), slope + pull * parameters

    return np.asarray(minimize(shrunk, np.zeros(len(pull)), jac=True, method="L-BFGS-B").x)


def chance_of_again(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[B] probability that the next event is on a known item."""
    return np.asarray(1.0 / (1.0 + np.exp(-columns @ weights)))


def softmax(scores: np.ndarray, owners: np.ndarray, n_users: int) -> np.ndarray:
    """[E] softmax of the scores over the events of each user."""
    _, raised, sums = _raised(scores, owners, n_users)
    return np.asarray(raised / sums[owners])


def log_means(scores: np.ndarray, owners: np.ndarray, n_users: int) -> np.ndarray:
    """[B] log of the mean of exp(score) over the events of each user; 0 without events."""
    best, _, sums = _raised(scores, owners, n_users)
    counts = np.bincount(owners, minlength=n_users)
    has_events, means = counts > 0, np.zeros(n_users)
    means[has_events] = best[has_events] + np.log(sums[has_events] / counts[has_events])
    return means


def _raised(
    scores: np.ndarray, owners: np.ndarray, n_users: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[B] largest score of each user, [E] exp(score - largest), and [B] the sum of these."""
    best = np.full(n_users, -np.inf)
    np.maximum.at(best, owners, scores)
    raised = np.exp(scores - best[owners])
    return best, raised, np.bincount(owners, raised, n_users)


def _pairs(owners: np.ndarray, items: np.ndarray) -> np.ndarray:
    """One number for each pair of user and item."""
    return np.asarray(owners * 2**32 + items)

"""Histories: events of users, in order, as arrays. Ragged for data sets, padded for networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True, kw_only=True)
class PaddedHistories:
    """Padded histories: B users, L events, oldest first; padding is at the end."""

    items: np.ndarray
    """[B, L] int64 item indexes, 0 where padded."""
    values: np.ndarray
    """[B, L] float32."""
    strengths: np.ndarray
    """[B, L] float32, 0 where padded."""
    is_real: np.ndarray
    """[B, L] bool, False where padded."""


def offsets_of(lengths: np.ndarray | Sequence[int]) -> np.ndarray:
    """Return offsets [B + 1] int64: the index of each user's first event, and the total number."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


OPTIONAL = {
    "strengths": (np.float32, 1.0),
    "is_rated": (bool, True),
    "is_target": (bool, True),
    "kinds": (np.int16, 0),
    "times": (np.float64, np.nan),
    "counts": (np.float32, 1.0),
}
"""Optional arrays of `Histories`, with their types and defaults."""
PER_EVENT = ("items", "values", *OPTIONAL)
"""Arrays of `Histories` with one entry per event."""
FEW_NUMBERS = 10_000
"""Array entries up to which gathering and summing is faster than a sparse product."""


@dataclass(frozen=True, kw_only=True)
class Histories:
    """Ragged histories of B users: user b owns events `offsets[b]:offsets[b + 1]`, oldest first.

    Each item of a user occurs once; `features.events` joins repeated events.
    """

    offsets: np.ndarray
    """[B + 1] int64."""
    items: np.ndarray
    """[E] int64 item indexes."""
    values: np.ndarray
    """[E] float32: the stated rating or amount; where there is none, an equivalent of the event on
    that scale (see `features.events`), which models use as input and never as a rating.
    """
    strengths: np.ndarray = None  # type: ignore[assignment]  # filled in below, never None
    """[E] float32 in (0, 1]: weight of the event's kind, relative to the strongest kind of
    training.
    """
    is_rated: np.ndarray = None  # type: ignore[assignment]
    """[E] bool: whether `values` is a stated rating."""
    is_target: np.ndarray = None  # type: ignore[assignment]
    """[E] bool: whether the event is of a target kind, which recommendations are for."""
    kinds: np.ndarray = None  # type: ignore[assignment]
    """[E] int16: 0 unknown, else the index of its kind among those of training, plus 1."""
    times: np.ndarray = None  # type: ignore[assignment]
    """[E] float64 seconds of the newest of the joined events; NaN where unknown."""
    counts: np.ndarray = None  # type: ignore[assignment]
    """[E] float32 number of joined events."""

    def __post_init__(self) -> None:
        for name, (dtype, default) in OPTIONAL.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.full(len(self.items), default, dtype))

    @staticmethod
    @lru_cache(maxsize=64)
    def nothing(users: int) -> Histories:
        """Return this many users without events, cached: most requests refuse and name no items."""
        return Histories.of_indexes([np.zeros(0, np.int64)] * users)

    @classmethod
    def of_indexes(cls, items: Sequence[np.ndarray]) -> Histories:
        """Return histories of item indexes alone, every value 1."""
        offsets = offsets_of([len(row) for row in items])
        joined = np.concatenate([*items, np.zeros(0, np.int64)]).astype(np.int64)
        return cls(offsets=offsets, items=joined, values=np.ones(len(joined), np.float32))

    @classmethod
    def concat(cls, parts: Sequence[Histories]) -> Histories:
        """Return the users of all parts, one part after the other."""
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(
            offsets=offsets_of(lengths),
            **{name: np.concatenate([getattr(p, name) for p in parts]) for name in PER_EVENT},
        )

    def then(self, later: Histories) -> Histories:
        """Return each user's events followed by the same user's events of `later`."""
        owners = np.concatenate([self.owners, later.owners])
        order = np.argsort(owners, kind="stable")
        joined = {
            name: np.concatenate([getattr(self, name), getattr(later, name)])[order]
            for name in PER_EVENT
        }
        return Histories(offsets=self.offsets + later.offsets, **joined)

    def taken(self, events: np.ndarray, offsets: np.ndarray) -> Histories:
        """Return the chosen `events` (indexes or a mask), in that order, with these offsets."""
        return Histories(
            offsets=offsets, **{name: getattr(self, name)[events] for name in PER_EVENT}
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """[B] number of events of each user."""
        return np.asarray(self.offsets[1:] - self.offsets[:-1])

    @cached_property
    def owners(self) -> np.ndarray:
        """[E] index of each event's user."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def positions(self) -> np.ndarray:
        """[E] position of each event in its user's history, 0 the oldest."""
        return np.asarray(np.arange(len(self.items)) - np.repeat(self.offsets[:-1], self.lengths))

    def where(self, keep: np.ndarray) -> Histories:
        """Return the events where `keep` [E] is True; users without any stay, with none."""
        if keep.all():
            return self
        counts = np.bincount(self.owners[keep], minlength=len(self))
        return self.taken(keep, offsets_of(counts))

    @cached_property
    def rated(self) -> Histories:
        """The events with a stated rating."""
        return self.where(self.is_rated)

    def first(self, n_support: int | np.ndarray) -> Histories:
        """Return the first `n_support` events of each user (one number, or [B])."""
        limit = np.repeat(np.broadcast_to(np.asarray(n_support), (len(self),)), self.lengths)
        return self.where(self.positions < limit)

    def after(self, n_support: int | np.ndarray) -> Histories:
        """Return the events after the first `n_support` of each user (one number, or [B])."""
        limit = np.repeat(np.broadcast_to(np.asarray(n_support), (len(self),)), self.lengths)
        return self.where(self.positions >= limit)

    def users(self, indexes: np.ndarray) -> Histories:
        """Return the histories of these users, in this order."""
        lengths = self.lengths[indexes]
        offsets = offsets_of(lengths)
        take = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - self.offsets[indexes], lengths)
        return self.taken(take, offsets)

    def shuffled(self, rng: np.random.Generator) -> Histories:
        """Return the same events, each user's in random order."""
        order = np.lexsort((rng.random(len(self.items)), self.owners))
        return self.taken(order, self.offsets)

    def transposed(self, n_items: int) -> tuple[Histories, np.ndarray]:
        """Return the same events by item (owners are items, and `items` user indexes), and the
        permutation [E] of the events.
        """
        order = np.argsort(self.items, kind="stable")
        offsets = np.concatenate(
            [[0], np.cumsum(np.bincount(self.items, minlength=n_items))]
        ).astype(np.int64)
        return replace(self.taken(order, offsets), items=self.owners[order]), order

    def matrix(self, n_items: int, weights: np.ndarray | None = None) -> sp.csr_matrix:
        """Return a sparse float32 matrix [B, n_items] with `weights` [E] (default 1) at each
        event's item; those of repeated items are summed.
        """
        data = (
            np.ones(len(self.items), np.float32) if weights is None else weights.astype(np.float32)
        )
        return sp.csr_matrix((data, self.items, self.offsets), shape=(len(self), n_items))

    def sums(self, rows: np.ndarray) -> np.ndarray:
        """Return [B, W] the sum of `rows` [E, W] over each user's events; 0 for a user without
        events.
        """
        if np.count_nonzero(self.lengths) == len(self):
            return np.asarray(np.add.reduceat(rows, self.offsets[:-1], axis=0))
        total = np.zeros((len(self), rows.shape[1]), rows.dtype)
        has_events = np.flatnonzero(self.lengths)
        if len(has_events):
            total[has_events] = np.add.reduceat(rows, self.offsets[has_events], axis=0)
        return total

    def sums_of(self, table: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Return [B, W] the sum over each user's events of the row of `table` [N, W] of the item,
        times `weights` [E] float32 (default 1).
        """
        if len(self) == 1:  # a tenth of the time of the other ways
            own = np.ones(len(self.items), np.float32) if weights is None else weights
            return np.asarray(own[None] @ table[self.items])
        if len(self.items) * table.shape[1] > FEW_NUMBERS:
            return np.asarray(self.matrix(len(table), weights) @ table)
        rows = table[self.items]
        return self.sums(rows if weights is None else weights[:, None] * rows)

    def padded(self, length: int | None = None) -> PaddedHistories:
        """Return padded histories of `length` columns (default: the longest history); of longer
        ones the newest events are kept.
        """
        longest = int(self.lengths.max(initial=0))
        width = max(1, longest if length is None else length)
        if len(self.items) == len(self) * width and longest == width:  # no padding needed
            shape = (len(self), width)
            return PaddedHistories(
                items=self.items.reshape(shape),
                values=self.values.reshape(shape),
                strengths=self.strengths.reshape(shape),
                is_real=np.ones(shape, bool),
            )
        start = np.maximum(self.lengths - width, 0)
        column = self.positions - np.repeat(start, self.lengths)
        inside = column >= 0
        rows, columns = self.owners[inside], column[inside]

        def rectangle(events: np.ndarray) -> np.ndarray:
            padded = np.zeros((len(self), width), events.dtype)
            padded[rows, columns] = events[inside]
            return padded

        return PaddedHistories(
            items=rectangle(self.items),
            values=rectangle(self.values),
            strengths=rectangle(self.strengths),
            is_real=rectangle(np.ones(len(self.items), bool)),
        )

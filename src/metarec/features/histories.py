"""Histories: who did what, in order, as arrays. Ragged for whole data sets, padded for networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from metarec.data.schema import Interactions, Vocabulary


@dataclass(frozen=True, kw_only=True)
class PaddedHistories:
    """Histories as rectangles: B users, L events, oldest first; padding stands at the end."""

    items: np.ndarray
    """[B, L] int64 item indexes, 0 where padded."""
    values: np.ndarray
    """[B, L] float32."""
    is_real: np.ndarray
    """[B, L] bool, False where padded."""


@dataclass(frozen=True, kw_only=True)
class Histories:
    """Ragged histories of B users: user b owns events `offsets[b]:offsets[b + 1]`, oldest first."""

    offsets: np.ndarray
    """[B + 1] int64."""
    items: np.ndarray
    """[E] int64 item indexes."""
    values: np.ndarray
    """[E] float32."""

    @classmethod
    def of_interactions(
        cls, interactions: Interactions, vocabulary: Vocabulary
    ) -> tuple[Histories, list[str]]:
        """Histories of every user, and the user ids in their order; a repeated item keeps its first
        event.
        """
        frame = interactions.filled.unique(
            ["user_id", "item_id"], keep="first", maintain_order=True
        )
        users = frame.group_by("user_id", maintain_order=True).len()
        ids = pl.DataFrame(
            {"item_id": list(vocabulary.ids), "index": np.arange(len(vocabulary))},
            schema_overrides={"item_id": pl.Utf8},
        )
        items = frame.select("item_id").join(ids, on="item_id", how="left", maintain_order="left")[
            "index"
        ]
        assert not items.null_count(), "the vocabulary holds every item of the events"
        offsets = np.concatenate([[0], np.cumsum(users["len"].to_numpy())]).astype(np.int64)
        return cls(
            offsets=offsets,
            items=items.to_numpy().astype(np.int64),
            values=frame["value"].to_numpy().astype(np.float32),
        ), users["user_id"].to_list()

    @classmethod
    def of_lists(
        cls, histories: Sequence[Sequence[tuple[Any, ...]]], vocabulary: Vocabulary
    ) -> tuple[Histories, np.ndarray]:
        """Histories from `(item_id, value, ...)` lists, and per user how many events named unknown
        items (left out).
        """
        lengths = np.fromiter((len(h) for h in histories), dtype=np.int64, count=len(histories))
        items = vocabulary.indexes(str(event[0]) for history in histories for event in history)
        values = np.fromiter(
            (1.0 if event[1] is None else event[1] for history in histories for event in history),
            dtype=np.float32,
            count=len(items),
        )
        owner = np.repeat(np.arange(len(histories)), lengths)
        known = items >= 0
        kept = np.bincount(owner[known], minlength=len(histories))
        offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
        return cls(offsets=offsets, items=items[known], values=values[known]), lengths - kept

    @classmethod
    def of_indexes(cls, items: Sequence[np.ndarray]) -> Histories:
        """Histories of item indexes alone, every value 1."""
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in items])]).astype(np.int64)
        joined = np.concatenate([*items, np.zeros(0, np.int64)]).astype(np.int64)
        return cls(offsets=offsets, items=joined, values=np.ones(len(joined), np.float32))

    @classmethod
    def joined(cls, parts: Sequence[Histories]) -> Histories:
        """The users of each part, one part after the other."""
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            items=np.concatenate([part.items for part in parts]),
            values=np.concatenate([part.values for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """[B] events of each user."""
        return np.asarray(np.diff(self.offsets))

    @cached_property
    def owners(self) -> np.ndarray:
        """[E] the user of each event."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def positions(self) -> np.ndarray:
        """[E] place of each event in its user's history, 0 the oldest."""
        return np.asarray(np.arange(len(self.items)) - np.repeat(self.offsets[:-1], self.lengths))

    def where(self, keep: np.ndarray) -> Histories:
        """Only the events where `keep` [E] is True; every user stays, perhaps with nothing."""
        counts = np.bincount(self.owners[keep], minlength=len(self))
        return Histories(
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            items=self.items[keep],
            values=self.values[keep],
        )

    def first(self, shots: int | np.ndarray) -> Histories:
        """The first `shots` events of each user (one number, or [B])."""
        limit = np.repeat(np.broadcast_to(np.asarray(shots), (len(self),)), self.lengths)
        return self.where(self.positions < limit)

    def after(self, shots: int | np.ndarray) -> Histories:
        """What follows the first `shots` events of each user."""
        limit = np.repeat(np.broadcast_to(np.asarray(shots), (len(self),)), self.lengths)
        return self.where(self.positions >= limit)

    def users(self, indexes: np.ndarray) -> Histories:
        """The histories of these users, in this order."""
        lengths = self.lengths[indexes]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        take = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - self.offsets[indexes], lengths)
        return Histories(offsets=offsets, items=self.items[take], values=self.values[take])

    def shuffled(self, rng: np.random.Generator) -> Histories:
        """The same events, each user's in a random order."""
        order = np.lexsort((rng.random(len(self.items)), self.owners))
        return Histories(offsets=self.offsets, items=self.items[order], values=self.values[order])

    def transposed(self, n_items: int) -> tuple[Histories, np.ndarray]:
        """The same events by item: "users" are items and `items` are user indexes; with it the
        order [E] that was taken.
        """
        order = np.argsort(self.items, kind="stable")
        offsets = np.concatenate(
            [[0], np.cumsum(np.bincount(self.items, minlength=n_items))]
        ).astype(np.int64)
        return Histories(
            offsets=offsets, items=self.owners[order], values=self.values[order]
        ), order

    def matrix(self, n_items: int, weights: np.ndarray | None = None) -> sp.csr_matrix:
        """[B, n_items] sparse float32: `weights` [E] (default 1) at each event's item; repeated
        items add up.
        """
        data = (
            np.ones(len(self.items), np.float32) if weights is None else weights.astype(np.float32)
        )
        return sp.csr_matrix((data, self.items, self.offsets), shape=(len(self), n_items))

    def sums(self, rows: np.ndarray) -> np.ndarray:
        """[B, W] for each user the sum of the rows [E, W] of their events; 0 for a user without
        events.
        """
        total = np.zeros((len(self), rows.shape[1]), rows.dtype)
        has_events = np.flatnonzero(self.lengths)
        if len(has_events):
            total[has_events] = np.add.reduceat(rows, self.offsets[has_events], axis=0)
        return total

    def padded(self, length: int | None = None) -> PaddedHistories:
        """As rectangles of `length` columns (default: the longest); of longer histories the newest
        events stay.
        """
        longest = int(self.lengths.max(initial=0))
        width = max(1, longest if length is None else length)
        if len(self.items) == len(self) * width and longest == width:  # they are a rectangle
            shape = (len(self), width)
            return PaddedHistories(
                items=self.items.reshape(shape),
                values=self.values.reshape(shape),
                is_real=np.ones(shape, bool),
            )
        start = np.maximum(self.lengths - width, 0)
        column = self.positions - np.repeat(start, self.lengths)
        inside = column >= 0
        rows, columns = self.owners[inside], column[inside]
        items, values = (
            np.zeros((len(self), width), np.int64),
            np.zeros((len(self), width), np.float32),
        )
        is_real = np.zeros((len(self), width), bool)
        items[rows, columns], values[rows, columns], is_real[rows, columns] = (
            self.items[inside],
            self.values[inside],
            True,
        )
        return PaddedHistories(items=items, values=values, is_real=is_real)

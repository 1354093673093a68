"""Times of the latest events of each item, kept in memory and updated: popularity lists ask for any
time window, and reading a large store for each would cost as much as a hundred slates.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from metarec.data.kinds import Kinds
from metarec.data.schema import Vocabulary
from metarec.feedback.store.event_store import Store

MAX_EVENTS = 1_000_000
"""Maximum number of latest events counted, 24 bytes each."""
OVERLAP = 1_000
"""Number of newest rows that are read again at each update: a server may commit a row after a later
one.
"""
RELOAD_SECONDS = 3_600.0
"""Seconds after which all events are read again, to drop those deleted meanwhile."""


@dataclass(frozen=True, kw_only=True)
class _Codes:
    """Integer codes of texts, in order of first appearance."""

    names: list[str] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)

    def of(self, texts: Sequence[str]) -> np.ndarray:
        for text in texts:
            if text not in self.known:
                self.known[text] = len(self.names)
                self.names.append(text)
        return np.array([self.known[text] for text in texts], np.int32)


@dataclass(frozen=True, kw_only=True)
class _Acts:
    """Events on items, in order of arrival; users are not kept."""

    sequence: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """Sequence number of each event in the store."""
    at: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Seconds since 1970."""
    item: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    """Code of each event's item, see `items`."""
    kind: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    """Code of each event's kind, see `kinds`."""
    items: _Codes = field(default_factory=_Codes)
    kinds: _Codes = field(default_factory=_Codes)

    def renewed(self, store: Store) -> _Acts:
        """Return the events including those stored since; the text codes only grow."""
        kept = self.sequence[:-OVERLAP]
        after = int(kept[-1]) if len(kept) else -1
        read = store.acts(after, MAX_EVENTS)
        sequence = read["sequence"].to_numpy()
        if np.array_equal(sequence, self.sequence[len(kept) :]):
            return self
        columns = {
            "sequence": sequence,
            "at": read["timestamp"].to_numpy(),
            "item": self.items.of(read["item_id"].to_list()),
            "kind": self.kinds.of(read["kind"].to_list()),
        }
        joined = {
            name: np.concatenate([getattr(self, name)[: len(kept)], new])[-MAX_EVENTS:]
            for name, new in columns.items()
        }
        return _Acts(**joined, items=self.items, kinds=self.kinds)


class RecentActs:
    """The latest events of a store, cached for one service."""

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, threading.Lock()
        self._acts, self._reload_at = _Acts(), 0.0

    def counts(
        self, vocabulary: Vocabulary, kinds: Kinds, since: float, until: float = np.inf
    ) -> np.ndarray:
        """Return [N] positive events of each item, in vocabulary order, from `since` to before
        `until` (seconds since 1970).

        Raises:
            StoreUnavailable: if the store does not answer.
        """
        with self._lock:
            self._renew()
            acts, names = self._acts, list(self._acts.items.names)
        favors = np.array([kinds.of(kind).sign == "positive" for kind in acts.kinds.names], bool)
        chosen = acts.item[(acts.at >= since) & (acts.at < until) & favors[acts.kind]]
        n_events = np.bincount(chosen, minlength=len(names))
        rows = vocabulary.indexes(names)
        counts = np.zeros(len(vocabulary))
        counts[rows[rows >= 0]] = n_events[rows >= 0]
        return counts

    def _renew(self) -> None:
        now = time.monotonic()
        if now < self._reload_at:
            self._acts = self._acts.renewed(self._store)
            return
        self._acts = _Acts().renewed(self._store)
        self._reload_at = now + RELOAD_SECONDS

"""Counts of acts by item and window of time, kept up to date beside a store."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest

from metarec.data.kinds import Kinds
from metarec.data.schema import Vocabulary
from metarec.feedback import recent_acts
from metarec.feedback.events import Event
from metarec.feedback.forgetting import forget
from metarec.feedback.recent_acts import RecentActs

ITEMS = Vocabulary([f"i{n}" for n in range(6)])


def events(rng: np.random.Generator, size: int, mark: str, user: str = "ann") -> list[Event]:
    return [
        Event(
            event_id=f"{mark}{n}",
            user_id=user,
            item_id=f"i{rng.integers(8)}",
            timestamp=float(rng.integers(100)),
            kind=("like", "dislike", "purchase", "view")[rng.integers(4)],
        )
        for n in range(size)
    ]


def expected(kept: list[Event], since: float, until: float = np.inf) -> list[float]:
    said = [
        one.item_id
        for one in kept
        if since <= one.timestamp < until and Kinds().of(one.kind).sign == "positive"
    ]
    return [float(said.count(item_id)) for item_id in ITEMS.ids]


def test_any_window_is_counted_and_what_came_since(store, monkeypatch):
    monkeypatch.setattr(recent_acts, "OVERLAP", 7)
    rng, acts, kept = np.random.default_rng(0), RecentActs(store), []
    for mark in "abcd":
        kept += events(rng, 40, mark)
        store.append(kept[-40:]).result()
        for since, until in ((0.0, np.inf), (30.0, 61.0), (99.5, np.inf), (40.0, 40.0)):
            found = acts.counts(ITEMS, Kinds(), since, until)
            assert found.tolist() == expected(kept, since, until)


def test_the_latest_are_counted_and_deleted_ones_after_a_while_no_more(store, monkeypatch):
    monkeypatch.setattr(recent_acts, "MAX_EVENTS", 50)
    rng, acts = np.random.default_rng(1), RecentActs(store)
    first, second = events(rng, 40, "a"), events(rng, 40, "b", user="bob")
    store.append(first).result()
    acts.counts(ITEMS, Kinds(), 0.0)
    store.append(second).result()
    both = [*first[-10:], *second]
    assert acts.counts(ITEMS, Kinds(), 0.0).tolist() == expected(both, 0.0)
    forget(store, "ann")
    monkeypatch.setattr(acts, "_reload_at", 0.0)
    assert acts.counts(ITEMS, Kinds(), 0.0).tolist() == expected(second, 0.0)


@pytest.mark.parametrize("window", [(0.0, np.inf), (20.0, 70.0)])
def test_asking_again_reads_next_to_nothing_of_a_large_store(store, window):
    store.append(events(np.random.default_rng(2), 20_000, "a")).result()
    acts, taken = RecentActs(store), []
    for _ in range(4):
        began = time.process_time()
        acts.counts(ITEMS, Kinds(), *window)
        taken.append(time.process_time() - began)
    assert min(taken[1:]) < 0.4 * taken[0]
    assert isinstance(store.acts(0, 3), pl.DataFrame)
    assert store.acts(0, 3)["sequence"].is_sorted()

"""Values of circumstances that the model cannot read, or reads as another, are told."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec.data.dataset import Dataset
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender


def stores(seed: int = 0) -> Dataset:
    """Of forty items, the group of ten is told by the store (of 120 stores, 60 of them large) and
    by the heart rate (60, 90, 120, 150 and a little noise).
    """
    rng, rows = np.random.default_rng(seed), []
    for user in range(300):
        for step, item in enumerate(rng.permutation(40)[:14]):
            group, is_large = item // 10, rng.random() < 0.9
            store = group + 4 * int(rng.integers(15) if is_large else rng.integers(15, 30))
            pulse = 60.0 + 30.0 * group + rng.normal(0, 5)
            rows.append((f"u{user}", f"i{item}", 1.7e9 + 7e4 * user + step, f"s{store}", pulse))
    columns = ["user_id", "item_id", "timestamp", "store", "pulse"]
    return Dataset(interactions=pl.DataFrame(rows, schema=columns, orient="row"), name="stores")


@pytest.fixture(scope="module")
def model() -> Recommender:
    return Recommender.fit(stores(), preset="tiny", encoder="none")


def slate_of(model: Recommender, **context: object) -> tuple[set[int], list[str]]:
    [slate] = model.recommend([Request(context=context)], k=5)
    return {int(item[1:]) // 10 for item in slate.item_ids}, slate.notes


def counts(model: Recommender) -> dict[str, int]:
    frame = model.training.interactions.frame["store"].value_counts()
    return dict(frame.iter_rows())


def test_the_fit_says_how_many_values_it_reads(model: Recommender) -> None:
    n_stores = len(counts(model))
    [note] = [note for note in model.notes if note.startswith("context read")]
    assert n_stores > 100
    assert f"store (50 of {n_stores} values)" in note and "pulse (" not in note


def test_a_value_of_few_events_is_not_said_to_have_none(model: Recommender) -> None:
    """Every store, read or not, and one that is not there."""
    known, found = set(model.context_columns.categories["store"]), counts(model)
    assert len(known) == 50 and 0 < min(found.values()) < 20
    for store in list(found)[::9] + sorted(known)[:3]:
        groups, notes = slate_of(model, store=store)
        if store in known:
            assert (groups, notes) == ({int(store[1:]) % 4}, [])
        else:
            few = f"too few training events have store={store}, so it was ignored"
            assert notes == [few]
    _, notes = slate_of(model, store="s999")
    assert notes == ["no training event has store=s999, so it was ignored"]


def test_a_number_beyond_those_of_training_is_told(model: Recommender) -> None:
    low, high = model.context_columns.ranges["pulse"]
    for pulse, group in ((low, 0), (high, 3), (91, 1), ("121", 2)):
        assert slate_of(model, pulse=pulse) == ({group}, [])
    for pulse, group in ((low - 1, 0), (-5, 0), (high + 1, 3), ("1000", 3), (1e300, 3)):
        groups, notes = slate_of(model, pulse=pulse)
        end = f"pulse={pulse} lies outside the {low:g} to {high:g} that the model learned from"
        assert groups == {group} and notes == [f"{end} and counts as the nearer end"]
    for pulse in ("fast", float("nan"), float("inf")):
        _, notes = slate_of(model, pulse=pulse)
        assert notes == [f"no training event has pulse={pulse}, so it was ignored"]

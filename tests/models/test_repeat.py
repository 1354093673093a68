"""What is wanted again: by what was done with an item, and by the item's own habit."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec import Dataset, Recommender, Request
from metarec.data.cold_users import Horizon
from metarec.models.base import dense
from metarec.models.repeat import Repeat

SHORT = Horizon(shots=(0, 1, 3), pool=4, min_events=6)


def groceries(users: int = 90) -> Dataset:
    """Everybody buys milk again and again, and never a second toaster of one make."""
    rng, rows = np.random.default_rng(0), []
    for user in range(users):
        milk, toaster = f"milk{rng.integers(3)}", f"toaster{rng.integers(3)}"
        bought = [milk, toaster, *(f"thing{n}" for n in rng.permutation(20)[:6])]
        order = [*rng.permutation(bought[:4]), milk, *bought[4:], milk]
        rows += [(f"u{user}", i, 1.7e9 + 9e4 * step, "purchase") for step, i in enumerate(order)]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "kind"], orient="row")
    return Dataset(interactions=frame, name="groceries")


@pytest.fixture(scope="module")
def model() -> Recommender:
    return Recommender.fit(groceries(), preset="tiny", encoder="none", horizon=SHORT)


def test_an_item_is_wanted_again_as_it_always_was(model: Recommender) -> None:
    repeat = model.ensemble.scorers["repeat"]
    assert isinstance(repeat, Repeat)
    milk, toaster = model.vocabulary.indexes(["milk1", "toaster1"])
    assert repeat.habits[milk] > 1.2 and repeat.habits[toaster] < 0.9
    history = [("milk1", None, "purchase"), ("toaster1", None, "purchase")]
    either = [Request(history=history), Request(history=history[::-1])]
    evidence = dense(repeat.evidence(model.users(either)[0])).sum(0)
    assert evidence[milk] > 1.3 * evidence[toaster] > 0
    scores = model.score(either).sum(0)
    assert scores[milk] > scores[toaster]


def test_models_without_habits_still_load(model: Recommender) -> None:
    repeat = model.ensemble.scorers["repeat"]
    old = {"shares": repeat.arrays()["shares"], "n_items": np.array([26])}
    assert Repeat.from_arrays(old).habits.tolist() == [1.0] * 26

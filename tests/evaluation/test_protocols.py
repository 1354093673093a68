from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.evaluation.papers.baselines import Chance, ItemMean
from metarec.evaluation.papers.protocols import (
    PROTOCOLS,
    describe_rows,
    evaluate_by_protocol,
    measure_queries,
)
from metarec.evaluation.papers.splits import melu_split, tanp_split


def rated(users: int = 60, items: int = 90, events: int = 45, seed: int = 0) -> Dataset:
    """Everyone rates `events` of the items by a shared mean and a taste; an item's year is its
    number.
    """
    rng = np.random.default_rng(seed)
    good, taste, user = (
        rng.normal(0, 0.7, items),
        rng.normal(0, 1, (items, 2)),
        rng.normal(0, 0.7, (users, 2)),
    )
    rows = []
    for n in range(users):
        for place, item in enumerate(rng.choice(items, events, replace=False)):
            value = np.clip(
                np.rint(3.3 + good[item] + taste[item] @ user[n] + rng.normal(0, 0.4)), 1, 5
            )
            rows.append((f"u{n}", f"i{item}", float(value), float(place)))
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "value", "timestamp"], orient="row")
    return Dataset(
        interactions=frame,
        items=pl.DataFrame(
            {"item_id": [f"i{i}" for i in range(items)], "year": list(range(items))}
        ),
    )


@pytest.fixture(scope="module")
def data() -> Dataset:
    return rated()


def test_melu_asks_ten_and_never_trains_on_new_users_or_new_items(data):
    split = melu_split(data, seed=1)
    trained = split.train.interactions.frame
    new_items = {f"i{i}" for i in range(72, 90)}
    assert not new_items & set(trained["item_id"])
    assert set(split.scenarios) <= {
        "new items, known users",
        "known items, new users",
        "new items, new users",
    }
    everyone = {n.user_id for n in split.validation}
    for name, users in split.scenarios.items():
        for user in users:
            asked, shown = {i for i, _ in user.query}, {i for i, *_ in user.pool}
            assert len(asked) == 10 and len(shown) >= 3 and not asked & shown
            assert (asked <= new_items) if name.startswith("new items") else not asked & new_items
            assert (user.user_id in set(trained["user_id"])) == name.endswith("known users")
        everyone |= {n.user_id for n in users} if name.endswith("new users") else set()
    assert not everyone & set(trained["user_id"])
    assert not split.train.interactions.has_time


def test_tanp_shows_twenty_and_asks_the_rest(data):
    split = tanp_split(data, seed=1)
    evaluated, validation = (
        {n.user_id for n in split.scenarios["new users"]},
        {n.user_id for n in split.validation},
    )
    trained = set(split.train.interactions.frame["user_id"])
    assert not evaluated & validation and not (evaluated | validation) & trained
    assert (len(trained), len(evaluated)) == (42, 12)
    assert all(len(n.pool) == 20 and len(n.query) == 25 for n in split.scenarios["new users"])


@pytest.mark.parametrize("name", PROTOCOLS)
def test_chance_and_the_item_mean_are_always_there_and_in_their_places(name, data):
    rows = evaluate_by_protocol(PROTOCOLS[name](data, seed=0), [], seed=0)
    by_model = {row.model: row for row in rows if "known items" in row.scenario or name == "tanp"}
    assert list(by_model) == ["chance", "item mean"]
    top = "ndcg@3" if name == "melu" else "ndcg@10"
    assert by_model["item mean"].means[top] > by_model["chance"].means[top] + 0.05
    assert by_model["item mean"].means["mae"] < by_model["chance"].means["mae"] - 0.2
    low, high = by_model["item mean"].intervals[top]
    assert low < by_model["item mean"].means[top] < high
    assert "item mean" in describe_rows(rows)


class Oracle(ItemMean):
    """Knows every value of the data."""

    def rate(self, requests, item_ids):
        return [
            np.array([TRUTH[r.history[0], i] for i in ids])
            for r, ids in zip(requests, item_ids, strict=True)
        ]


TRUTH: dict = {}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_knowing_everything_is_perfect(name, data):
    split = PROTOCOLS[name](data, seed=0)
    users = next(iter(split.scenarios.values()))
    for n in users:
        TRUTH.update({(n.pool[0], i): value for i, value in n.query})
    model = Oracle()
    model.fit(split.train, [], np.random.default_rng(0))
    found = measure_queries(model, users, split, np.random.default_rng(0))
    assert np.nanmax(found["mae"]) == 0.0
    for metric, values in found.items():
        if metric.startswith(("ndcg", "map")):
            np.testing.assert_allclose(values[~np.isnan(values)], 1.0)


def test_what_does_not_fit_is_said(data):
    acts = Dataset(interactions=data.interactions.frame.drop("value"), name="acts")
    with pytest.raises(
        BadInput, match="'melu' is about ratings, and acts holds events without values"
    ):
        melu_split(acts)
    with pytest.raises(BadInput, match="takes users with 30 to 200 events; there are 0"):
        tanp_split(rated(events=12))


def test_melu_splits_few_users_of_whom_none_is_left_aside():
    asides = [len(melu_split(rated(users=11), seed=seed).validation) for seed in range(4)]
    assert 0 in asides  # nobody to validate with is no error


def test_chance_draws_values_of_the_data(data):
    model = Chance()
    model.fit(data, [], np.random.default_rng(0))
    assert set(np.concatenate(model.rate([None], [["i1"] * 200]))) <= {1.0, 2.0, 3.0, 4.0, 5.0}

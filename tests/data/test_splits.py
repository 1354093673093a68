"""No row in two parts, nothing from after the cut in training, new users never seen."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.folders import START, events
from metarec.data.cold_users import ColdUser, ColdUserSplit, Horizon, split_cold_users
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.data.splits import split_by_time, split_folds

SMALL = Horizon(support_sizes=(0, 1), pool=2, min_events=4)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Random events with many ties in time."""
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 8), st.integers(0, 6), st.integers(0, 12), st.integers(1, 5)),
            min_size=12,
            max_size=90,
        )
    )
    frame = pl.DataFrame(
        [(f"u{u}", f"i{i}", START + 100.0 * t, float(v)) for u, i, t, v in rows],
        schema=["user_id", "item_id", "timestamp", "value"],
        orient="row",
    )
    extra = pl.DataFrame(
        {
            "user_id": ["u0", "u1"],
            "item_id": ["i0", "i1"],
            "timestamp": [START, START + 1],
            "value": [1.0, 5.0],
        }
    )
    return Dataset(interactions=pl.concat([frame, extra]))


def no_cold_user_in_training(train: Dataset, cold_users: list[ColdUser], horizon: Horizon) -> None:
    users, items = (set(train.interactions.frame[c]) for c in ("user_id", "item_id"))
    for user in cold_users:
        assert user.user_id not in users
        assert user.n_items == horizon.pool and user.relevant
        assert {i for i, _ in user.query} <= items
        assert not {i for i, *_ in user.pool} & {i for i, _ in user.query}
        assert set(user.relevant) <= {i for i, _ in user.query}


@settings(max_examples=60, deadline=None)
@given(datasets(), st.floats(0.1, 0.9))
def test_a_cut_in_time_lets_nothing_back(data: Dataset, share: float) -> None:
    split = split_by_time(data, share=share, horizon=SMALL)
    before, after = split.train.interactions.frame, split.later.interactions.frame
    last, first = before["timestamp"].max(), after["timestamp"].min()
    assert last < split.cut <= first  # type: ignore[operator]
    assert before.height + after.height == len(data.interactions)
    no_cold_user_in_training(split.train, split.cold_users, SMALL)
    first_seen = data.interactions.frame.group_by("user_id").agg(pl.col("timestamp").min())
    late = set(first_seen.filter(pl.col("timestamp") >= split.cut)["user_id"])
    assert {n.user_id for n in split.cold_users} <= late


def parts_are_apart(split: ColdUserSplit) -> None:
    test, validation = ({n.user_id for n in part} for part in (split.test, split.validation))
    assert not test & validation
    for part in (split.test, split.validation):
        no_cold_user_in_training(split.train, part, split.horizon)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 5))
def test_folds_evaluate_everyone_once(seed: int, folds: int) -> None:
    data = Dataset(interactions=events(users=15, items=12))
    splits = split_folds(
        data, folds=folds, rng=np.random.default_rng(seed), validation=0.2, horizon=SMALL
    )
    assert len(splits) == folds
    for split in splits:
        parts_are_apart(split)
    evaluated = [n.user_id for s in splits for n in s.test]
    assert (
        len(evaluated) == len(set(evaluated)) and len(evaluated) >= 12
    )  # a new user with nothing liked in the query is dropped


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_the_split_by_new_users_leaks_nothing(seed: int) -> None:
    parts_are_apart(
        split_cold_users(
            Dataset(interactions=events(users=30, items=12)),
            rng=np.random.default_rng(seed),
            horizon=SMALL,
        )
    )


def test_folds_follow_their_generator() -> None:
    data = Dataset(interactions=events())
    tests = [
        [
            n.user_id
            for n in split_folds(data, folds=3, rng=np.random.default_rng(seed), horizon=SMALL)[
                0
            ].test
        ]
        for seed in (1, 1, 2)
    ]
    assert tests[0] == tests[1] != tests[2]


def test_a_given_moment_and_its_errors() -> None:
    data = Dataset(interactions=events())
    times = data.interactions.frame["timestamp"].sort()
    assert len(split_by_time(data, at=times[10]).train.interactions) == 10
    with pytest.raises(BadInput, match="leaves 0 events before and 96 after it"):
        split_by_time(data, at=0.0)
    with pytest.raises(BadInput, match=r"share must lie in \(0, 1\), got 1"):
        split_by_time(data, share=1)
    with pytest.raises(
        BadInput,
        match="12 users of data have the 4 events needed to be evaluated, fewer than 13 folds",
    ):
        split_folds(data, folds=13, rng=np.random.default_rng(0), horizon=SMALL)
    with pytest.raises(BadInput, match="no clock common to all users"):
        split_by_time(Dataset(interactions=events().drop("timestamp")))

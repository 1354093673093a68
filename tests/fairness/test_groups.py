"""Users and items land in the group they belong to, and what cannot be grouped is said."""

import numpy as np
import polars as pl
import pytest

from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput, Catalog, Vocabulary
from metarec.fairness.groups import (
    NOT_STATED,
    are_times,
    category_matrix,
    group_items,
    group_items_by_popularity,
    group_profiles,
    group_users,
    grouping_of,
)


def test_numbers_are_cut_into_even_bands_and_equal_ones_stay_together():
    groups = group_profiles([{"age": a} for a in range(40)] + [{}], "age")
    assert groups.sizes == {
        "0 to 9": 10,
        "10 to 19": 10,
        "20 to 29": 10,
        "30 to 39": 10,
        NOT_STATED: 1,
    }
    many = group_profiles([{"age": a} for a in [1] * 50 + list(range(2, 20))], "age")
    assert many.sizes == {"1 to 2": 51, "3 to 19": 17}


def test_a_grouping_once_learned_is_the_same_for_whoever_comes_later():
    grouping = grouping_of([{"age": a} for a in range(40)], "age")
    assert grouping.labels([5, 39, 200, -3, None, "old"]).tolist() == [
        "0 to 9",
        "30 to 39",
        "30 to 39",
        "0 to 9",
        NOT_STATED,
        NOT_STATED,
    ]


def test_few_distinct_values_are_their_own_groups():
    assert group_profiles([{"age": 18}, {"age": 56}, {"age": 18}], "age").sizes == {
        "18": 2,
        "56": 1,
    }
    assert group_profiles([{"home": "x"}, {"home": None}], "home").sizes == {"x": 1, NOT_STATED: 1}


def test_activity_groups_by_number_of_events():
    users = [
        ColdUser(
            user_id=str(n), profile={}, pool=[("a", 1.0)], query=[("b", 1.0)] * n, relevant=["b"]
        )
        for n in range(1, 10)
    ]
    assert list(group_users(users, "activity").sizes) == [
        "2 to 4 events",
        "5 to 7 events",
        "8 to 10 events",
    ]


def test_an_attribute_nobody_states_is_refused_with_the_choices():
    users = [ColdUser(user_id="a", profile={"gender": "F"}, pool=[], query=[], relevant=[])]
    with pytest.raises(
        BadInput,
        match="no user states 'agee', so users cannot be grouped by it; there are: gender, "
        "activity",
    ):
        group_users(users, "agee")


def test_popularity_bands_hold_a_fifth_most_and_a_fifth_of_events():
    times = {"hit": 40, "mid": 30, "mid2": 30, "rare": 10, "rarer": 5}
    events = [(f"u{n}", item) for item, count in times.items() for n in range(count)]
    data = Dataset(interactions=pl.DataFrame(events, schema=["user_id", "item_id"], orient="row"))
    groups = group_items_by_popularity(
        data, Vocabulary(["rare", "mid", "hit", "never", "mid2", "rarer"])
    )
    assert dict(
        zip(["rare", "mid", "hit", "never", "mid2", "rarer"], groups.labels, strict=True)
    ) == {
        "hit": "popular",
        "mid": "middle",
        "mid2": "middle",
        "rare": "rare",
        "rarer": "rare",
        "never": "rare",
    }


def test_labels_that_start_with_a_number_are_sorted_by_it():
    incomes = ["100-124K", "15-24K", "Under 15K", "250K+", "secret", None]
    assert list(group_profiles([{"income": income} for income in incomes], "income").sizes) == [
        "Under 15K",
        "15-24K",
        "100-124K",
        "250K+",
        "secret",
        "not stated",
    ]


def test_times_are_cut_into_bands_of_days_and_large_numbers_are_written_out():
    days = [{"joined": 86_400.0 * (12_000 + n), "income": 1_000_000 + 1000 * n} for n in range(40)]
    assert list(group_profiles(days, "joined").sizes) == [
        "2002-11-09 to 2002-11-18",
        "2002-11-19 to 2002-11-28",
        "2002-11-29 to 2002-12-08",
        "2002-12-09 to 2002-12-18",
    ]
    assert list(group_profiles(days, "income").sizes)[0] == "1000000 to 1009000"
    assert not are_times([12, 86_400.0 * 12_000]) and not are_times([]) and not are_times(["2002"])


def test_items_group_by_a_column_and_small_ones_together(data):
    vocabulary = data.items.vocabulary
    assert group_items(data.items, vocabulary, "maker").sizes == {
        "maker 0": 20,
        "maker 1": 20,
        "maker 2": 20,
    }
    assert group_items(data.items, vocabulary, "title", max_groups=2).sizes["others"] == 58
    with pytest.raises(
        BadInput, match="items have no column 'brand' to group by; there are: item_id, title"
    ):
        group_items(data.items, vocabulary, "brand")


def test_categories_are_shares_in_the_order_asked():
    catalog = Catalog.of(pl.DataFrame({"item_id": ["a", "b", "c"], "genres": ["x|y", "y", None]}))
    shares, names = category_matrix(catalog, Vocabulary(["b", "a", "c"]))
    assert names == ["x", "y"]
    np.testing.assert_array_equal(shares, [[0, 1], [0.5, 0.5], [0, 0]])
    lists, _ = category_matrix(
        Catalog.of(pl.DataFrame({"item_id": ["a"], "tags": [["x", "y"]]})), Vocabulary(["a"])
    )
    np.testing.assert_array_equal(lists, [[0.5, 0.5]])
    with pytest.raises(BadInput, match="no column of categories"):
        category_matrix(Catalog.of(pl.DataFrame({"item_id": ["a"]})), Vocabulary(["a"]))

"""The nouns of stage 1 complete what is missing and refuse what cannot be."""

from __future__ import annotations

from datetime import UTC, datetime, time

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from data.folders import events, item_table
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput, Catalog, Interactions, Profiles, Vocabulary


def test_aliases_and_defaults() -> None:
    given = Interactions.of(
        {
            "user_id": [1, 1],
            "item_id": [10, 9],
            "rating": [3, 5],
            "event": ["rating", "rating"],
            "seq_pos": [1, 0],
        }
    )
    assert given.frame.columns == ["user_id", "item_id", "timestamp", "value", "kind"]
    assert given.frame["item_id"].to_list() == ["9", "10"] and given.has_time and given.has_values
    assert given.value_range == (3.0, 5.0) and given.relevant_from == 4.5


def test_the_order_of_input_rows_decides_nothing() -> None:
    table = pl.concat(
        [
            events(),
            events().with_columns(kind=pl.lit("review")),
            events().with_columns(value=pl.lit(2.0)),
        ]
    )
    table = table.with_columns(timestamp=(pl.col("timestamp") / 1e7).floor())  # many ties
    first = Interactions.of(table).frame
    for seed in range(3):
        assert_frame_equal(
            Interactions.of(table.sample(fraction=1.0, shuffle=True, seed=seed)).frame, first
        )


def test_ids_are_in_the_order_of_numbers_where_they_are_numbers() -> None:
    frame = Interactions.of(
        {"user_id": ["10", "9", "a", "09"], "item_id": ["1"] * 4, "timestamp": [1, 2, 3, 4]}
    ).frame
    assert frame["user_id"].to_list() == ["a", "09", "9", "10"]


def test_kinds_make_ratings_or_strengths() -> None:
    base = {"user_id": ["a", "b"], "item_id": ["x", "y"], "value": [1.0, 2.0], "timestamp": [1, 2]}
    assert Interactions.of(base).has_values
    mixed = Interactions.of({**base, "kind": ["rating", "purchase"]})
    assert not mixed.has_values and mixed.relevant_from == float("-inf")  # one rating is no scale
    assert not Interactions.of({**base, "value": [3.0, 3.0]}).has_values
    assert Interactions.of({**base, "value": [None, 2.0]}).frame["value"].to_list() == [None, 2.0]


def test_without_times_the_order_is_random_but_always_the_same() -> None:
    timeless = events().drop("timestamp")
    one, two = (
        Interactions.of(timeless),
        Interactions.of(timeless.sample(fraction=1.0, shuffle=True, seed=3)),
    )
    assert not one.has_time
    assert_frame_equal(one.frame, two.frame)
    items = one.frame.group_by("user_id", maintain_order=True).agg("item_id")["item_id"].to_list()
    assert any(history != sorted(history) for history in items)


@pytest.mark.parametrize(
    "stamps",
    [
        [datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 2, tzinfo=UTC)],
        ["2024-05-01T00:00:00Z", "2024-05-02"],
        ["1714521600", "1714608000"],
        [1714521600, 1714608000],
    ],
)
def test_times_of_any_type(stamps: list[object]) -> None:
    frame = Interactions.of(
        {"user_id": ["a", "b"], "item_id": ["x", "y"], "timestamp": stamps}
    ).frame
    assert frame["timestamp"].to_list() == [1714521600.0, 1714608000.0]


@pytest.mark.parametrize(
    "columns, message",
    [
        ({"item_id": [1]}, r"interactions have no column 'user_id' \(columns: item_id\)"),
        (
            {"user_id": [1], "item_id": [1], "timestamp": ["noon"]},
            "timestamp 'noon' is neither seconds nor an ISO date",
        ),
        (
            {"user_id": [1], "item_id": [1], "timestamp": [time(12)]},
            "is neither seconds nor an ISO date",
        ),
        (
            {"user_id": [1, 1], "item_id": [1, 2], "value": ["3", "good"]},
            "value 'good' is not a number",
        ),
    ],
)
def test_what_cannot_be_is_refused(columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Interactions.of(columns)


def test_tables_that_are_no_tables() -> None:
    with pytest.raises(BadInput, match="interactions must be a polars or pandas frame, got int"):
        Interactions.of(3)
    with pytest.raises(BadInput, match="items have no column 'item_id'"):
        Catalog.of(pl.DataFrame({"title": ["x"]}))


def test_catalog_profiles_and_vocabulary() -> None:
    catalog = Catalog.of(
        pl.concat([item_table(3), item_table(1).with_columns(title=pl.lit("again"))])
    )
    assert catalog.titles() == ["Item 0", "Item 1", "Item 2"]
    assert list(catalog.vocabulary.indexes(["i02", "zz"])) == [2, -1] and catalog.vocabulary.names(
        [1]
    ) == ["i01"]
    assert "i01" in catalog.vocabulary and "zz" not in catalog.vocabulary
    profiles = Profiles.of({"user_id": ["a", "b"], "age": [3, None]})
    assert profiles.of_users(["b", "q", "a"]) == [{}, {}, {"age": 3}]
    with pytest.raises(AssertionError, match="each id once"):
        Vocabulary(["a", "a"])


def test_items_and_users_may_be_left_out() -> None:
    data = Dataset(interactions=events(users=2, per_user=3))
    assert len(data.users) == 2 and data.items.frame["item_id"].to_list() == sorted(
        set(data.interactions.frame["item_id"])
    )
    assert data.with_interactions(data.interactions.frame.head(1)).interactions.has_values


def test_moments_in_time_are_no_attributes_to_learn_from() -> None:
    """The time of a user's last event tells what the users evaluated did after their first
    events.
    """
    users = Profiles.of(
        {
            "user_id": ["a", "b", "c"],
            "age": [30, 40, None],
            "income": [9e8, 2e4, None],
            "unknown": [None, None, None],
            "last_seen": [1.7e9, None, 1.6e12],
            "signed_up": [datetime(2020, 1, 1), None, None],
        }
    )

    assert users.attributes == ["age", "income", "unknown"]
    assert users.moments == ["last_seen", "signed_up"]
    assert users.of_users(["a", "c"]) == [{"age": 30, "income": 9e8}, {}]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("Empire Strikes Back, The", "The Empire Strikes Back"),
        ("Empire Strikes Back, The (1980)", "The Empire Strikes Back (1980)"),
        ("Good, the Bad and the Ugly, The", "The Good, the Bad and the Ugly"),
        ("Bug's Life, A (1998)", "A Bug's Life (1998)"),
        ("Boot, Das", "Das Boot"),
        ("Lamp, white", "Lamp, white"),
        ("The Wall", "The Wall"),
        ("I, Robot", "I, Robot"),
        ("$1, The", "The $1"),
    ],
)
def test_an_article_at_the_end_of_a_title_is_told_first(written: str, told: str) -> None:
    catalog = Catalog.of(pl.DataFrame({"item_id": ["7"], "title": [written]}))
    assert catalog.titles() == [told]
    assert Catalog.of(pl.DataFrame({"item_id": [written]})).titles() == [written]

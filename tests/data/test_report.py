"""The report says true numbers, in three forms."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from data.folders import DAY, START, events, item_table, user_table
from metarec.data.cleaning import clean
from metarec.data.cleaning.statistics import drift, gini, top_share
from metarec.data.dataset import Dataset


def test_facts_of_a_small_table_worked_by_hand() -> None:
    frame = pl.DataFrame(
        {
            "user_id": ["a", "a", "a", "b", "b", "c"],
            "item_id": ["x", "y", "z", "x", "y", "x"],
            "timestamp": [START, START, START + DAY, START + DAY, START + 2 * DAY, START + 2 * DAY],
        }
    )
    _, report = clean(
        Dataset(
            interactions=frame,
            items=pl.DataFrame({"item_id": list("xyzw"), "title": ["X", None, "Z", "W"]}),
            users=pl.DataFrame({"user_id": ["a", "q"], "age": [3, 4]}),
        )
    )
    facts = report.facts
    assert (facts["events"], facts["users"], facts["items"], facts["items_without_events"]) == (
        6,
        3,
        3,
        1,
    )
    assert facts["density"] == pytest.approx(6 / 9)
    assert facts["events_per_user"] == {"min": 1, "q1": 1.5, "median": 2, "q3": 2.5, "max": 3}
    assert facts["cold_users"] == 1.0 and facts["cold_items"] == 1.0
    assert facts["time"]["collisions"] == pytest.approx(
        1 / 3
    )  # of a's two steps and b's one, a's first; ties between users do not count
    assert facts["content"] == {"title": 0.75} and facts["profiles"] == {
        "age": pytest.approx(1 / 3)
    }


def test_users_of_the_table_without_events_are_cold_and_told() -> None:
    frame = events(users=2, per_user=6)
    listed = [*frame["user_id"].unique(), "idle", "away", "gone"]
    _, report = clean(
        Dataset(interactions=frame, users=pl.DataFrame({"user_id": listed, "age": [3] * 5}))
    )
    assert report.facts["users_without_events"] == 3
    assert report.facts["cold_users"] == pytest.approx(3 / 5)
    assert "(and 3 users without events)" in report.to_text()


def test_density_counts_a_repeated_pair_once() -> None:
    pairs = {"user_id": ["a", "a", "b"], "item_id": ["x", "y", "x"], "timestamp": [START] * 3}
    views = pl.DataFrame(pairs).with_columns(kind=pl.lit("view"))
    bought = views.with_columns(pl.lit("purchase").alias("kind"), pl.col("timestamp") + DAY)
    once, repeated = (
        clean(Dataset(interactions=frame))[1].facts for frame in (views, pl.concat([views, bought]))
    )
    assert (once["events"], repeated["events"]) == (3, 6)
    assert once["density"] == repeated["density"] == pytest.approx(3 / 4)


def test_cold_counts_what_lies_below_the_line() -> None:
    _, report = clean(Dataset(interactions=events(), items=item_table(40)))
    per_item = events()["item_id"].value_counts()["count"].to_numpy()
    assert report.facts["cold_items"] == pytest.approx(
        (np.sum(per_item < 5) + 40 - len(per_item)) / 40
    )


@pytest.mark.parametrize(
    "counts, expected", [([5, 5, 5, 5], 0.0), ([0, 0, 0, 8], 0.75), ([1, 3], 0.25)]
)
def test_gini(counts: list[int], expected: float) -> None:
    assert gini(np.array(counts)) == pytest.approx(expected)


def test_top_share() -> None:
    counts = np.array([50, *[1] * 50])
    assert top_share(counts, 0.01) == pytest.approx(0.5) and top_share(counts, 1.0) == 1.0


def popular(swap: bool) -> Dataset:
    """Three hundred events; with `swap` the second half turns from item 0 to item 9."""
    rng = np.random.default_rng(0)
    items = np.where(rng.random(3000) < 0.5, 0, rng.integers(1, 10, 3000))
    if swap:
        items[1500:] = 9 - items[1500:]
    return Dataset(
        interactions=pl.DataFrame(
            {
                "user_id": [f"u{n % 50}" for n in range(3000)],
                "item_id": [f"i{n}" for n in items],
                "timestamp": START + np.arange(3000) * 1000.0,
            }
        )
    )


def test_drift_tells_a_turn_from_a_steady_world() -> None:
    assert drift(popular(False))["items"] < 0.05
    assert drift(popular(True))["items"] > 0.25
    assert drift(Dataset(interactions=events().drop("timestamp"))) == {}


def test_the_report_in_three_forms() -> None:
    frame = pl.concat([events(), events().head(2)])
    _, report = clean(
        Dataset(interactions=frame, items=item_table(), users=user_table(), name="<b>shop & co</b>")
    )
    plain = json.loads(report.to_json())
    assert (
        plain["events_read"] == 98
        and plain["events_removed"] == 2
        and plain["findings"][0]["rule"] == "duplicates"
    )
    assert plain["facts"]["events"] == 96
    text = report.to_text()
    assert "98 events read, 2 removed, 96 kept" in text and "duplicates: removed 2 rows" in text
    page = report.to_html()
    assert (
        "&lt;b&gt;shop &amp; co&lt;/b&gt;" in page
        and "<b>shop" not in page
        and "<script" not in page
    )
    assert "duplicates" in page and "user u00, item" in page


def test_advice_follows_the_data() -> None:
    poor = clean(Dataset(interactions=events().drop("timestamp")))[1].advice
    assert any("Items have no content" in line for line in poor)
    assert any("Users have no profile" in line for line in poor)
    assert any("Events have no times" in line for line in poor)
    one = clean(Dataset(interactions=events().with_columns(pl.lit("here").alias("item_id"))))
    assert "All events are on one item" in one[1].advice[0]
    rich = clean(
        Dataset(
            interactions=events(users=40, per_user=15), items=item_table(), users=user_table(40)
        )
    )[1].advice
    assert not any(
        "no content" in line or "no profile" in line or "no times" in line for line in rich
    )
    told = clean(
        Dataset(
            interactions=events(), users=user_table().with_columns(last_seen=pl.lit(1_700_000_000))
        )
    )[1]
    assert any("Not read from users: last_seen" in line for line in told.advice)
    assert set(told.facts["profiles"]) == {"age", "zip"}


def test_events_that_state_no_number_have_no_amounts() -> None:
    frame = pl.DataFrame({"user_id": ["a", "b", "b"], "item_id": ["x", "x", "y"]})
    _, report = clean(Dataset(interactions=frame))
    assert "no ratings; each event counts once" in report.to_text()
    _, report = clean(Dataset(interactions=frame.with_columns(kind=pl.lit("buy"), value=3)))
    assert "no ratings; amounts from 3 to 3, mean 3.00" in report.to_text()


def test_a_column_that_no_event_fills_is_no_context() -> None:
    frame = pl.DataFrame(
        {
            "user_id": ["a", "b"],
            "item_id": ["x", "y"],
            "note": [None, None],
            "store": [None, "Rome"],
        },
        schema_overrides={"note": pl.Utf8},
    )
    _, report = clean(Dataset(interactions=frame))
    assert report.facts["context"] == ["store"]

"""Times of steps, votes, brackets in names, and columns that hold others or nothing."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.exports import one_file, titles
from metarec.data.dataset import Dataset
from metarec.data.names.column_matching import key_of

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def table(folder: Path, names: str, *cells: str) -> Dataset:
    rows = [f"u{n % 5},x{n % 7},{cells[(n // 5 + n // 3) % len(cells)]}\n" for n in range(35)]
    return one_file(folder, f"{names}\n{''.join(rows)}")[0]


def signs(data: Dataset) -> set[int]:
    return {*data.interactions.acts()["sign"].to_list()}


def test_a_message_is_what_its_last_step_was(tmp_path: Path) -> None:
    day = "2024-03-0"
    cells = [
        f"{day}1 10:00,{day}1 11:00,",
        f"{day}2 10:00,,",
        f"{day}3 10:00,{day}3 11:00,{day}4 09:00",
    ]
    names = "external_id,campaign_id,sent_at,opened_at,clicked_at"
    data = table(tmp_path, names, *cells)
    assert set(data.interactions.frame["kind"]) == {"impression", "open", "click"}
    first = datetime(2024, 3, 1, 10, tzinfo=UTC).timestamp()
    assert data.interactions.frame["timestamp"].min() == first
    data = table(tmp_path, names.replace("sent_at", "ordered_at"), *cells)  # an order is an act
    assert signs(data) == {1}


def test_votes_of_one_zero_and_minus_one_say_yes_nothing_and_no(tmp_path: Path) -> None:
    data = table(tmp_path, "username,submission_id,vote", "1", "-1", "0")
    assert set(data.interactions.frame["kind"]) == {"like", "dislike", "impression"}
    assert signs(table(tmp_path, "username,submission_id,votes", "1", "3", "0")) == {1}


@pytest.mark.parametrize(
    "name", ["Rating (1-5)", "推荐意愿(0-10)", "评分（满分5分）", "review_score"]
)
def test_a_name_is_known_without_what_stands_in_brackets(tmp_path: Path, name: str) -> None:
    data = table(tmp_path, f"用户,商品,{name}", "1", "4", "5")
    assert set(data.interactions.acts()["rating"]) == {1, 4, 5}
    assert key_of(["Username (Buyer)", "x"], "user_id") == "Username (Buyer)"


def test_hours_of_a_day_as_a_number_are_times(tmp_path: Path) -> None:
    data = table(
        tmp_path, "user,item,Date hour (YYYYMMDDHH)", "2023110222", "2023110223", "2023113001"
    )
    assert (
        data.interactions.frame["timestamp"].min()
        == datetime(2023, 11, 2, 22, tzinfo=UTC).timestamp()
    )


def test_of_a_day_and_a_time_on_it_the_time_is_taken(tmp_path: Path) -> None:
    cells = [f"2024-03-0{n} 1{n}:30:00,2024-03-0{n}" for n in range(1, 6)]
    data = table(tmp_path, "user,item,Event Utc Ts,Region View Date", *cells)
    assert {t % 3600 for t in data.interactions.frame["timestamp"]} == {1800}


def test_a_cancelled_complaint_refuses_nothing(tmp_path: Path) -> None:
    states = ("无售后或售后取消", "退款成功", "售后处理中")
    data = table(tmp_path, "用户,商品,售后状态", *states)
    counts = Counter(data.interactions.acts()["sign"].to_list())
    assert counts[-1] == sum((n // 5 + n // 3) % 3 == 1 for n in range(35))


def test_the_track_goes_before_its_artist(tmp_path: Path) -> None:
    rows = [f"u{n % 5},Band {'AB'[n % 7 % 2]},Song {'ABCDEFG'[n % 7]},{n % 7}\n" for n in range(35)]
    for names in ("account,artistName,trackName,n", "Collector,Artist,Title,release_id"):
        data, _ = one_file(tmp_path, f"{names}\n{''.join(rows)}")
        assert data.interactions.frame["item_id"].n_unique() == 7
        assert set(titles(data).values()) == {f"Song {x}" for x in "ABCDEFG"}
    data, _ = one_file(tmp_path, f"user,artist,genre_name,n\n{''.join(rows)}")
    assert data.interactions.frame["item_id"].n_unique() == 2


def test_a_list_that_holds_nothing_is_no_item(tmp_path: Path) -> None:
    beers = [{"bid": n, "beer_name": f"Pale Ale {'ABCDEFG'[n]}"} for n in range(7)]
    rows = [
        {"user": {"user_name": f"u{n % 5}"}, "venue": list[str](), "beer": beers[n % 7]}
        for n in range(35)
    ]
    data, _ = one_file(tmp_path, "\n".join(map(json.dumps, rows)), "checkins.jsonl")
    assert titles(data) == {str(beer["bid"]): beer["beer_name"] for beer in beers}


@pytest.mark.parametrize(
    "said", [("14102100", "14102117", "14103023"), ("2014102100", "2014102117", "2014103023")]
)
def test_an_hour_of_a_day_is_the_time_and_that_of_any_day_is_not(
    tmp_path: Path, said: tuple[str, ...]
) -> None:
    data = table(tmp_path, "user_id,ad_id,hour", *said)
    first = datetime(2014, 10, 21, tzinfo=UTC).timestamp()
    assert data.interactions.frame["timestamp"].min() == first
    assert not data.interactions.context_columns
    data = table(tmp_path, "user_id,ad_id,hour", "0", "17", "23")
    assert data.interactions.context_columns == ["hour"] and not data.interactions.has_time


@pytest.mark.parametrize(
    "hours", [("23110222", "23110223", "23113001"), ("2311022200", "2311022359")]
)
def test_hours_without_a_century_are_times(tmp_path: Path, hours: tuple[str, ...]) -> None:
    data = table(tmp_path, "user,item,ts", *hours)
    first = datetime(2023, 11, 2, 22, tzinfo=UTC).timestamp()
    assert data.interactions.frame["timestamp"].min() == first
    data = table(tmp_path, "user,item,ts", "2311992200", "2311022359")  # no 99th of November
    assert data.interactions.frame["timestamp"].min() > first

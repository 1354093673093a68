"""Tables that newcomers bring: dates, units, tags, kinds and ids in the forms of shops,
feeds, courses, clinics, banks, fleets and travel; each is read as meant, or what is not is told.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from metarec.data.cleaning import read_clean
from metarec.data.dataset import Dataset
from metarec.data.findings import Finding
from metarec.data.schema import BadInput

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def read(source: Any) -> tuple[Dataset, list[Finding]]:
    data, report = read_clean(source)
    return data, report.findings


def dated(*times: str, **columns: list[str]) -> pl.DataFrame:
    table = pl.DataFrame(
        {"user_id": [f"u{n}" for n in range(len(times))], "item_id": ["x"] * len(times)}
    )
    return table.with_columns(pl.Series("time", times, dtype=pl.Utf8), **columns)


def moments(data: Dataset) -> list[str]:
    times = data.interactions.frame["timestamp"]
    return [datetime.fromtimestamp(t, UTC).isoformat(" ")[:19] for t in times]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2023-09-11 03:51:38 +0800", "2023-09-10 19:51:38"),
        ("2023-09-11T03:51:38+02:00[Europe/Paris]", "2023-09-11 01:51:38"),
        ("2023.09.11", "2023-09-11 00:00:00"),
        ("2023-09", "2023-09-01 00:00:00"),
        ("202309", "2023-09-01 00:00:00"),
        ("2023-W37-2", "2023-09-12 00:00:00"),
        ("2023-W37", "2023-09-11 00:00:00"),
        ("2023-09-11 03", "2023-09-11 03:00:00"),
        ("20230911 03:51", "2023-09-11 03:51:00"),
        ("2023-09-11 3:51 PM", "2023-09-11 15:51:00"),
        ("2023年9月11日 3时51分", "2023-09-11 03:51:00"),
        ("2023年09月11日 03:51:38", "2023-09-11 03:51:38"),
        ("Sep 11, 2023", "2023-09-11 00:00:00"),
        ("September 11, 2023 3:51:02 pm", "2023-09-11 15:51:02"),
        ("11-Sep-2023", "2023-09-11 00:00:00"),
        ("Mon, 11 Sep 2023 03:51:38 GMT", "2023-09-11 03:51:38"),
        ("Mon Sep 11 03:51:38 2023", "2023-09-11 03:51:38"),
    ],
)
def test_dates_that_can_be_read_in_one_way(written: str, meant: str) -> None:
    data, _ = read(dated(written, "2023-01-01" if not written.isdigit() else "202301"))
    assert moments(data)[0] == meant


def test_days_and_months_are_told_apart_where_some_day_is_above_12() -> None:
    data, found = read(dated("11/09/2023", "25/09/2023"))
    assert moments(data) == ["2023-09-11 00:00:00", "2023-09-25 00:00:00"]
    assert "%d/%m/%Y, which alone fits" in found[0].why
    data, _ = read(dated("09/11/2023 03:51 PM", "09/25/2023 03:51 AM"))
    assert moments(data) == ["2023-09-11 15:51:00", "2023-09-25 03:51:00"]
    with pytest.raises(BadInput, match="%d/%m/%Y or %m/%d/%Y"):
        read(dated("11/09/2023", "02/09/2023"))


@pytest.mark.parametrize(
    "names", [("date", "time"), ("order_date", "order_time"), ("日期", "时间")]
)
def test_a_day_and_a_time_of_day_are_one_moment(names: tuple[str, str]) -> None:
    table = dated("x", "y").drop("time")
    table = table.with_columns(
        pl.Series(names[0], ["2023-01-31", "2023-02-01"]), pl.Series(names[1], ["10:00", "23:00"])
    )
    data, found = read(table)
    assert moments(data) == ["2023-01-31 10:00:00", "2023-02-01 23:00:00"]
    assert repr(names[0]) in found[0].why and not data.interactions.context_columns


def test_the_time_of_something_else_stays_with_it() -> None:
    data, _ = read(dated("2023-01-31", "2023-02-01", delivery_time=["10:00", "11:00"]))
    assert moments(data)[0] == "2023-01-31 00:00:00"
    assert data.interactions.context_columns == ["delivery_time"]


def test_several_times_of_which_none_is_taken_are_named() -> None:
    table = dated("2023-01-31", "2023-02-01", shipped_at=["2023-02-02", "2023-02-03"])
    data, found = read(table.rename({"time": "packed_at"}))
    assert not data.interactions.has_time
    assert "'packed_at', 'shipped_at'" in found[0].why and "[columns] timestamp" in found[0].why


def test_clocks_that_hardly_count_seconds_and_times_to_come_are_told() -> None:
    minutes = dated("28007364", "28318119")
    assert "only their order is right" in read(minutes)[1][0].why
    late = dated("2023-01-01", "2150-01-01")
    assert "1 of 2 times lie in the future" in read(late)[1][0].why


def test_words_for_nothing_among_numbers_are_gaps(tmp_path: Path) -> None:
    rows = "".join(f"u{n},x{n},{'无暂—'[n % 3] if n % 3 != 1 else '暂无'}\n" for n in range(3))
    (tmp_path / "interactions.csv").write_text(
        f"用户,商品,评分\n{rows}u3,x3,4\nu4,x4,not rated\nu5,x5,2\n"
    )
    data, found = read(tmp_path)
    assert data.interactions.frame["value"].drop_nulls().to_list() == [4, 2]
    assert data.interactions.frame.height == 6 and not [f for f in found if f.action == "removed"]

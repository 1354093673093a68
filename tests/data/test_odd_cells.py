"""Cells as other programs and countries write them: dates of frameworks and other languages,
numbers and digits, lists of tags, texts shielded from spreadsheets.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from metarec.data.cells.dates import as_seconds
from metarec.data.cells.parsing import as_numbers
from metarec.data.cells.truth import as_truth
from metarec.data.cleaning import read_clean
from metarec.data.dataset import Dataset
from metarec.data.findings import Finding
from metarec.data.schema import DataWarning

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")

USERS = [f"u{n}" for n in range(8)]
ITEMS = [f"i{n % 4}" for n in range(8)]


def read(folder: Path, **columns: list[str]) -> tuple[Dataset, list[Finding]]:
    table = pl.DataFrame({"user_id": USERS, "item_id": ITEMS, **columns})
    table.write_csv(folder / "events.csv", separator=";")
    data, report = read_clean(folder / "events.csv")
    return data, report.findings


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("/Date(1709626530000)/", "2024-03-05 08:15:30"),
        ("/Date(1709626530000+0100)/", "2024-03-05 08:15:30"),
        ("05-MAR-24 08.15.30.000000 AM", "2024-03-05 08:15:30"),
        ("05-MAR-97", "1997-03-05 00:00:00"),
        ("5. März 2024, 08:15 Uhr", "2024-03-05 08:15:00"),
        ("5 de diciembre de 2024 08:15", "2024-12-05 08:15:00"),
        ("5 août 2024", "2024-08-05 00:00:00"),
        ("Tue Mar 05 2024 08:15:30 GMT+0100 (Central European Time)", "2024-03-05 07:15:30"),
        ("March 5th, 2024 at 8:15 PM", "2024-03-05 20:15:00"),
        ("2024:03:05 08:15:30", "2024-03-05 08:15:30"),
        ("٢٠٢٤/٠٣/٠٥", "2024-03-05 00:00:00"),
    ],
)
def test_dates_of_frameworks_and_other_languages(written: str, meant: str) -> None:
    (seconds,) = as_seconds(pl.Series([written]))
    seconds = seconds / 1e3 if seconds > 1e11 else seconds
    assert datetime.fromtimestamp(seconds, UTC).isoformat(" ")[:19] == meant


def test_a_column_of_two_forms_of_dates_is_read_where_one_reading_fits(tmp_path: Path) -> None:
    times = ["2024-03-05 08:15:30", "05/03/2024 08:15:30", "2024-03-14", "14/03/2024 00:00:00"] * 2
    data, findings = read(tmp_path, time=times)
    assert data.interactions.frame["timestamp"].n_unique() == 2
    assert any("'05/03/2024 08:15:30' were read as %d/%m/%Y" in f.why for f in findings)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1,23,456.50", 123456.5),
        ("249,-", 249.0),
        ("1.249,-", 1249.0),
        ("٤٫٥", 4.5),
        ("۴", 4.0),
        ("(3)", -3.0),
    ],
)
def test_numbers_of_other_countries(written: str, meant: float) -> None:
    assert as_numbers(pl.Series([written])).to_list() == [meant]


def test_ratings_in_digits_of_any_script_are_read_or_refused(tmp_path: Path) -> None:
    data, _ = read(tmp_path, rating=list("١٢٣٤٥٥٤٣"))
    assert data.interactions.acts()["rating"].to_list() == [1, 2, 3, 4, 5, 5, 4, 3]
    with pytest.raises(Exception, match="the value is not a number"):
        read(tmp_path, rating=list("௧௨௩௪௫௫௪௩"))


def test_on_and_off_are_truths() -> None:
    truth = as_truth(pl.Series(["on", "off", "ON"]))
    assert truth is not None
    assert truth.to_list() == [True, False, True]


def test_a_dash_beside_a_plus_says_no(tmp_path: Path) -> None:
    data, _ = read(tmp_path, vote=["+", "-"] * 4)
    assert (data.interactions.acts()["sign"] < 0).sum() == 4
    data, _ = read(tmp_path, vote=["up", "down", "-", "up"] * 2)
    assert (data.interactions.acts()["sign"] < 0).sum() == 2


@pytest.mark.parametrize(
    "cells",
    [
        ["{Red,Soft}", '{Blue,"Hard, cold"}', "{Green}", "{}"],
        ["['Red' 'Soft']", "['Blue' 'Hard, cold']", "['Green']", "[]"],
    ],
)
def test_lists_of_postgresql_and_numpy_are_tags(tmp_path: Path, cells: list[str]) -> None:
    read(tmp_path)
    items = pl.DataFrame({"item_id": ITEMS[:4], "title": list("ABCD"), "categories": cells})
    items.write_csv(tmp_path / "items.csv")
    (tmp_path / "events.csv").rename(tmp_path / "interactions.csv")
    data, _ = read_clean(tmp_path)
    tags = data.items.frame.sort("item_id")["categories"].to_list()
    assert [t or "" for t in tags] == ["Red|Soft", "Blue|Hard, cold", "Green", ""]


def test_texts_shielded_from_a_spreadsheet_are_read_bare(tmp_path: Path) -> None:
    rows = "".join(
        f'="{user}","=""00{item}""",4\n' for user, item in zip(USERS, ITEMS, strict=True)
    )
    (tmp_path / "events.csv").write_text("user_id,item_id,rating\n" + rows)
    data, report = read_clean(tmp_path / "events.csv")
    assert sorted(data.interactions.frame["item_id"].unique()) == ["00i0", "00i1", "00i2", "00i3"]
    assert any("without the sign and the quotes" in f.why for f in report.findings)


def test_a_file_called_ratings_is_movielens_by_its_columns_alone(tmp_path: Path) -> None:
    read(tmp_path, rating=list("12345543"))
    (tmp_path / "events.csv").rename(tmp_path / "ratings.csv")
    items = pl.DataFrame({"item_id": ITEMS[:4], "title": list("ABCD")})
    items.write_csv(tmp_path / "items.csv")
    data, _ = read_clean(tmp_path)
    assert data.items.frame.sort("item_id")["title"].to_list() == list("ABCD")


def test_ids_in_wide_digits_are_told(tmp_path: Path) -> None:
    table = pl.DataFrame({"user_id": ["１", "1", "2", "2"], "item_id": ITEMS[:4]})
    table.write_csv(tmp_path / "events.csv")
    _, report = read_clean(tmp_path / "events.csv")
    assert any(f.rule == "alike_ids" and "width" in f.why for f in report.findings)


@pytest.mark.parametrize(
    "form",
    ["{}.0 ★", "{} stars ({word})", "{} - {word}", "{} of 5 bubbles", "{}-star", '"{}"', "{stars}"],
)
def test_ratings_in_any_words_around_their_number(tmp_path: Path, form: str) -> None:
    words = ["Terrible", "Poor", "Average", "Good", "Excellent"]
    marks = [1, 2, 3, 4, 5, 5, 4, 3]
    cells = [form.format(m, word=words[m - 1], stars="*" * m) for m in marks]
    data, _ = read(tmp_path, rating=cells)
    assert data.interactions.acts()["rating"].to_list() == marks


def test_days_of_six_digits_are_days(tmp_path: Path) -> None:
    data, findings = read(tmp_path, date=[f"2403{n + 10}" for n in range(8)])
    earliest = datetime(2024, 3, 10, tzinfo=UTC).timestamp()
    assert data.interactions.frame["timestamp"].min() == earliest
    assert any("such as 240310 were read as dates" in f.why for f in findings)


def test_days_and_parts_of_a_day_of_a_spreadsheet_are_one_moment(tmp_path: Path) -> None:
    days = [str(45356 + n) for n in range(8)]
    data, _ = read(tmp_path, Date=days, Time=["0.25", "0.5"] * 4)
    earliest = datetime(2024, 3, 5, 6, tzinfo=UTC).timestamp()
    assert data.interactions.frame["timestamp"].min() == earliest


def test_what_is_measured_is_no_rating(tmp_path: Path) -> None:
    data, findings = read(tmp_path, value=[f"{n * 31.4}" for n in range(8)], valueuom=["mg/dL"] * 8)
    assert not data.interactions.has_values
    assert any("'valueuom'" in f.why and "no ratings" in f.why for f in findings)
    data, _ = read(tmp_path, value=list("12345543"))
    assert data.interactions.has_values


def test_times_that_a_spreadsheet_rounded_are_told(tmp_path: Path) -> None:
    _, findings = read(tmp_path, timestamp=[f"1.7{n}964E+09" for n in range(8)])
    assert any("rounded by a spreadsheet" in f.why for f in findings)


def test_a_day_before_its_year_is_the_time_under_any_name(tmp_path: Path) -> None:
    data, _ = read(tmp_path, **{"Last Updated": [f"Mar {n + 1}, 2024" for n in range(8)]})
    assert data.interactions.has_time


def of_items(folder: Path, **columns: list[object]) -> tuple[pl.DataFrame, list[str]]:
    """Items as they are read beside events of them, and what is told."""
    pl.DataFrame({"user_id": USERS, "item_id": ITEMS}).write_csv(folder / "interactions.csv")
    names = [f"i{n}" for n in range(len(next(iter(columns.values()))))]
    pl.DataFrame({"item_id": names, **columns}).write_csv(folder / "items.csv")
    data, report = read_clean(folder)
    return data.items.frame, [f.why for f in report.findings]


def test_texts_of_web_pages_are_read_without_their_codes(tmp_path: Path) -> None:
    titles = ["Tom &amp; Jerry&#39;s", "caf&eacute;", "R&amp;amp;B", "a & b; c"]
    items, told = of_items(tmp_path, title=titles)
    assert [*items["title"]] == ["Tom & Jerry's", "café", "R&B", "a & b; c"]
    assert any(why.startswith("title such as 'Tom &amp; Jerry") for why in told)


def test_a_number_that_is_the_least_there_may_be_is_a_number(tmp_path: Path) -> None:
    items, told = of_items(tmp_path, installs=["1,583+", "10+", "50,000+", "5+"])
    assert [*items["installs"]] == [1583, 10, 50_000, 5]
    assert "installs such as '1,583+' was read as 1583" in told


@pytest.mark.parametrize("mark", [" & ", " and ", "_"])
def test_genres_are_tags_whatever_parts_them_where_the_parts_come_again(
    tmp_path: Path, mark: str
) -> None:
    genres = [["Rock", "Jazz"], ["Pop", "Jazz"], ["Rock", "Pop", "Jazz"], ["Rock"], ["Pop"]]
    items, told = of_items(tmp_path, genres=[mark.join(g) for g in genres])
    assert [cell.split("|") for cell in items["categories"]] == genres
    assert any("are tags, parted by" in why for why in told)


def test_categories_whose_parts_stand_nowhere_else_stay_whole(tmp_path: Path) -> None:
    names = ["Home & Garden", "Food and Drink", "Toys & Games", "Arts_Crafts", "Books"]
    items, _ = of_items(tmp_path, categories=names)
    assert [*items["categories"]] == names


@pytest.mark.parametrize("quote", ["'", '"'])
def test_tags_in_quotes_are_read_without_them(tmp_path: Path, quote: str) -> None:
    tags = [["a b", "c"], ["c"], ["d", "a b"], ["d"]]
    cells = ["|".join(f"{quote}{tag}{quote}" for tag in cell) for cell in tags]
    items, _ = of_items(tmp_path, genres=cells)
    assert [cell.split("|") for cell in items["categories"]] == tags


@pytest.mark.parametrize("code", [-1, 999])
def test_one_odd_number_among_others_is_told(tmp_path: Path, code: int) -> None:
    items, told = of_items(tmp_path, pages=[12, 40, 31, code, 25])
    assert [*items["pages"]] == [12, 40, 31, code, 25]
    assert any(why.startswith(f"pages is {code} there, and all others are") for why in told)


def test_midnight_at_the_end_of_a_day_begins_the_next() -> None:
    ends = as_seconds(pl.Series(["2024-03-05 24:00:00", "2024-03-06 00:00:00", "2024-03-05 24:00"]))
    assert ends.n_unique() == 1


@pytest.mark.parametrize("form", ["2024-W{:02d}", "2024W{:02d}", "2024-W{:02d}-1"])
def test_weeks_are_the_time_under_any_name(tmp_path: Path, form: str) -> None:
    data, _ = read(tmp_path, sold_in=[form.format(n + 1) for n in range(8)])
    assert data.interactions.frame["timestamp"].sort().diff().drop_nulls().unique().to_list() == [
        7 * 86_400.0
    ]


def test_seconds_beside_0_for_never_are_the_time_where_nothing_else_is(tmp_path: Path) -> None:
    seconds = [str(1_700_000_000 + 900 * n) if n % 3 else "0" for n in range(8)]
    data, findings = read(tmp_path, rtime_last_played=seconds)
    assert data.interactions.has_time
    assert [f.rows for f in findings if f.rule == "untimed"] == [3]


def test_seconds_that_programs_of_apple_may_have_counted_are_told(tmp_path: Path) -> None:
    _, findings = read(tmp_path, time=[str(731_246_134 + 900 * n) for n in range(8)])
    assert any(
        "if they count from 2001, as programs of Apple do (about 2024-03-04)" in f.why
        for f in findings
    )


def test_the_time_of_a_happening_is_not_when_users_answered(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "user_id": [f"u{n % 8}" for n in range(24)],
            "event_id": [f"e{n % 5}" for n in range(24)],
            "event_name": [f"Talk {n % 5}" for n in range(24)],
            "event_time": [1_800_000_000_000 + 86_400_000 * (n % 5) for n in range(24)],
            "mtime": [1_700_000_000_000 + 1000 * n for n in range(24)],
        }
    )
    table.write_csv(tmp_path / "rsvps.csv")
    data, report = read_clean(tmp_path / "rsvps.csv")
    assert data.interactions.frame["timestamp"].max() < 1_700_001_000
    assert any("'event_time' says when the events" in f.why for f in report.findings)


def test_a_bid_is_no_id(tmp_path: Path) -> None:
    rows = "".join(f"{n % 5},{n % 3 + 7}.50,b{n % 7},watch,7.00\n" for n in range(35))
    (tmp_path / "bids.csv").write_text(f"auctionid,bid,bidder,item,openbid\n{rows}")
    data, _ = read_clean(tmp_path / "bids.csv")
    assert {*data.interactions.frame["item_id"]} == set("01234")


def test_years_alone_are_times(tmp_path: Path) -> None:
    data, findings = read(tmp_path, time=[str(2016 + n) for n in range(8)])
    first = datetime.fromtimestamp(float(str(data.interactions.frame["timestamp"].min())), UTC)
    assert (first.year, first.month, first.day) == (2016, 1, 1)
    assert any(f.why == "times such as 2016 were read as dates" for f in findings)
    seconds = pl.DataFrame(
        {"user_id": USERS, "item_id": ITEMS, "timestamp": [2e3 + n for n in range(8)]}
    )
    assert Dataset(interactions=seconds).interactions.frame["timestamp"].max() == 2007
    data, _ = read(tmp_path, time=[str(1 + 400 * n) for n in range(8)])  # an order
    assert float(str(data.interactions.frame["timestamp"].max())) == 2801


def test_truth_values_in_frames_are_told_to_be_1_and_0() -> None:
    table = pl.DataFrame({"user_id": USERS, "item_id": ITEMS, "value": [True, False] * 4})
    with pytest.warns(DataWarning, match="values of true and false were read as 1 and 0"):
        data = Dataset(interactions=table)
    assert data.interactions.frame["value"].to_list() == [1.0, 0.0] * 4

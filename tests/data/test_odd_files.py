"""Files as people export them, each with what a careful person would read in it: lists of objects,
mixed encodings, quotes after blanks, times and numbers in rare forms, ids that look alike.
"""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

import metarec
from metarec.data.cells.dates import as_seconds
from metarec.data.cells.parsing import as_numbers
from metarec.data.cleaning import read_clean
from metarec.data.dataset import Dataset
from metarec.data.errors import BadInput
from metarec.data.frames import as_polars

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")

USERS = [f"u{n}" for n in range(8)]
ITEMS = [f"i{n % 4}" for n in range(8)]
MIXED = [b"u1", "u1", None, b"\x07\xff"]


def folder_of(folder: Path, **files: str | bytes) -> Path:
    """A folder with events and further files."""
    events = "user_id,item_id\n" + "".join(f"{u},{i}\n" for u, i in zip(USERS, ITEMS, strict=True))
    for name, content in {"interactions_csv": events, **files}.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def told(path: Path) -> tuple[Dataset, str]:
    """What is read, and all that is said of it."""
    data, report = read_clean(path)
    return data, "\n".join(finding.line() for finding in report.findings)


@pytest.mark.parametrize(
    "cells",
    [
        [[{"id": 1, "name": "Action"}, {"id": 2, "name": "Drama"}], [{"id": 2, "name": "Drama"}]],
        [[["Action", "Drama"]], [["Drama"]]],
        [[["Action"], ["Drama"]], [["Drama"]]],
        ["['Action', \"Drama\"]", "['Drama']"],
        ["[['Action', 'Drama']]", "[['Drama']]"],
        ["|Action||Drama|", "|Drama|"],
        ['["Action", "Drama"]', "Drama"],
    ],
)
def test_tags_in_lists_of_any_depth_are_tags(tmp_path: Path, cells: Sequence[object]) -> None:
    rows = [{"item_id": f"i{n}", "categories": cells[n % 2]} for n in range(4)]
    data, _ = told(folder_of(tmp_path, items_jsonl="\n".join(map(json.dumps, rows))))
    found = data.items.frame["categories"].to_list()
    tags = [cell.split("|") if isinstance(cell, str) else list(cell) for cell in found]
    assert tags == [["Action", "Drama"], ["Drama"]] * 2


@pytest.mark.parametrize("ids", [("José", "Jose\u0301"), ("007", "7"), ("Anna", "anna")])
def test_ids_that_look_alike_are_kept_apart_and_told(tmp_path: Path, ids: tuple[str, str]) -> None:
    rows = "".join(f"{ids[n % 2]},i{n}\n" for n in range(6))
    data, said = told(folder_of(tmp_path, interactions_csv="user_id,item_id\n" + rows))
    assert set(data.interactions.frame["user_id"]) == set(ids)
    assert "alike_ids" in said
    assert repr(min(ids)) in said


def test_padded_ids_alone_are_no_look_alikes(tmp_path: Path) -> None:
    rows = "".join(f"00{n % 3},i{n}\n" for n in range(6))
    assert (
        "alike_ids" not in told(folder_of(tmp_path, interactions_csv=f"user_id,item_id\n{rows}"))[1]
    )


def test_lines_of_another_encoding_are_read_by_themselves(tmp_path: Path) -> None:
    lines = [f"{u},{i}\n" for i in ITEMS for u in ("José", "Zoë", "Müller")]
    for mark in (b"", b"\xef\xbb\xbf"):
        parts = ("".join(lines[:5]).encode(), "".join(lines[5:]).encode("cp1252"))
        content = mark + b"user_id,item_id\n" + b"".join(parts)
        data, said = told(folder_of(tmp_path, interactions_csv=content))
        assert set(data.interactions.frame["user_id"]) == {"José", "Zoë", "Müller"}
        assert "19 of its lines, which were read as cp1252 (e.g. line 7)" in said


def test_pairs_of_bytes_that_are_utf8_by_chance_are_no_other_encoding(tmp_path: Path) -> None:
    users = "".join(f"{u},{'男女'[n % 2]}\n" for n, u in enumerate(USERS))
    users_csv = ("user_id,性别\n" + users).encode("gb18030")
    data, said = told(folder_of(tmp_path, users_csv=users_csv))
    assert set(data.users.frame.to_series(1)) == {"男", "女"}
    assert "users.csv was read as gb18030" in said


def test_a_file_that_is_not_in_the_encoding_named_is_refused(tmp_path: Path) -> None:
    content = "user_id,item_id\nJosé,1\nZoë,2\n".encode("cp1252")
    folder_of(tmp_path, ev_csv=content)
    for name in ("utf-8", "UTF8"):
        toml = f'[[sources]]\ninteractions = "ev.csv"\nencoding = "{name}"\n'
        (tmp_path / "metarec.toml").write_text(toml)
        with pytest.raises(BadInput, match=r"ev.csv is not written in utf-8 \(byte 19\)"):
            told(tmp_path)


DAY = datetime(2024, 10, 5, 8, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("unit", "zero", "words"),
    [
        (86_400.0, 2_440_587.5, "Julian days"),
        (86_400.0, 0.0, "days since 1970"),
        (3_600.0, 0.0, "hours since 1970"),
        (60.0, 0.0, "minutes since 1970"),
        (1e-7, 621_355_968e9, "ticks of .NET"),
        (1e-7, 116_444_736e9, "ticks of Windows"),
        (1e-6, 11_644_473_600e6, "microseconds since 1601"),
    ],
)
def test_other_clocks_are_converted_and_told(
    tmp_path: Path, unit: float, zero: float, words: str
) -> None:
    clock = [DAY.timestamp() + 3_600.0 * n for n in range(8)]
    stamps = [f"{zero + t / unit:.6f}".rstrip("0").rstrip(".") for t in clock]
    data, said = told(folder_of(tmp_path, interactions_csv=timed(stamps)))
    found = sorted(data.interactions.frame["timestamp"])
    assert found == pytest.approx(clock, abs=1.0)
    assert words in said


def timed(stamps: Sequence[str]) -> str:
    rows = zip(USERS, ITEMS, stamps, strict=True)
    return "user_id,item_id,timestamp\n" + "".join(f"{u},{i},{t}\n" for u, i, t in rows)


@pytest.mark.parametrize(
    ("form", "midnight"),
    [
        ("%m/%d/%Y %I:%M:%S %p", "10/13/2024"),
        ("%d/%m/%Y %H:%M", "13/10/2024"),
        ("%d-%m-%y %H:%M:%S", "13-10-24"),
    ],
)
def test_days_alone_beside_times_are_midnights(tmp_path: Path, form: str, midnight: str) -> None:
    stamps = [(DAY + timedelta(days=n)).strftime(form) for n in range(7)]
    data, _ = told(folder_of(tmp_path, interactions_csv=timed([*stamps, midnight])))
    found = data.interactions.frame.sort("timestamp")["timestamp"]
    assert found[-1] == datetime(2024, 10, 13, tzinfo=UTC).timestamp()
    assert found[0] == pytest.approx(DAY.timestamp(), abs=31)


def test_the_months_of_a_short_name_are_no_offsets_from_utc(tmp_path: Path) -> None:
    stamps = [f"0{n}-{month}-20" for n in range(1, 5) for month in ("OCT", "NOV")]
    data, said = told(folder_of(tmp_path, interactions_csv=timed(stamps)))
    assert len(data.interactions) == 8
    assert "unreadable_rows" not in said


@pytest.mark.parametrize(
    ("form", "written"),
    [("%Y-%m-%d %H:%M:%S.%f", "2024-10-05 08:15:30.5"), ("%H%M%S%f %d%m%Y", "081530500 05102024")],
)
def test_parts_of_a_second_in_a_time_format_are_as_python_has_them(form: str, written: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert as_seconds(pl.Series([written]), form).to_list() == [DAY.timestamp() + 0.5]


@pytest.mark.parametrize(
    ("word", "is_gap"), [(".", True), ("prefer not to say", True), ("3 or 4", False)]
)
def test_words_among_numbers_are_gaps_and_told(tmp_path: Path, word: str, is_gap: bool) -> None:
    ages = [21, 22, 23, 24, 25, 26, 27, word]
    users_csv = "user_id,age\n" + "".join(f"{u},{a}\n" for u, a in zip(USERS, ages, strict=True))
    data, said = told(folder_of(tmp_path, users_csv=users_csv))
    assert data.users.frame["age"].dtype == (pl.Int64 if is_gap else pl.Utf8)
    assert ("mixed_columns" in said) == (word != ".")


def test_columns_of_which_half_are_numbers_are_told_to_be_text(tmp_path: Path) -> None:
    for cells in (["$1.5", "$2", "$3", "$4", "$5", "Free"], [1, 2, 3, 4, 5, *["secret"] * 3]):
        rows = "".join(f"{u},{c}\n" for u, c in zip(USERS, cells, strict=False))
        said = told(folder_of(tmp_path, users_csv="user_id,spent\n" + rows))[1]
        assert "spent is read as text" in said
    sizes = "".join(f"{u},{n % 3 or '5+'}\n" for n, u in enumerate(USERS))
    assert "read as text" not in told(folder_of(tmp_path, users_csv="user_id,spent\n" + sizes))[1]


def test_ticked_boxes_are_yes_and_blank_ones_no(tmp_path: Path) -> None:
    users_csv = "user_id,member\n" + "".join(f"{u},{'x' * (n % 2)}\n" for n, u in enumerate(USERS))
    data, said = told(folder_of(tmp_path, users_csv=users_csv))
    assert data.users.frame["member"].to_list() == [False, True] * 4
    assert "member says 'x' or nothing: read as yes and no" in said


def test_dots_between_thousands_of_whole_numbers_are_no_decimals(tmp_path: Path) -> None:
    assert as_numbers(pl.Series(["21.270", "900", "5.123"])).to_list() == [21270, 900, 5123]
    for cells in (["21.27", "900"], ["0.270", "900"], ["21.270", "9000"], ["21.271", "900"]):
        assert as_numbers(pl.Series(cells)).to_list() == [float(cell) for cell in cells]
    rows = "".join(
        f"{u},{i},listen,{n}\n" for u, i, n in zip(USERS, ITEMS, ["1.230", "7"] * 4, strict=True)
    )
    data, said = told(folder_of(tmp_path, interactions_csv="user_id,item_id,kind,value\n" + rows))
    assert set(data.interactions.frame["value"]) == {1230, 7}
    assert "values such as '1.230' were read as 1230" in said


def test_quoted_cells_behind_blanks_are_quoted(tmp_path: Path) -> None:
    items_csv = "item_id, title, tags\n" + "".join(f'"i{n}", "T {n}", "a"\n' for n in range(4))
    data, _ = told(folder_of(tmp_path, items_csv=items_csv))
    assert sorted(data.items.frame["title"]) == [f"T {n}" for n in range(4)]


def test_events_on_items_whose_row_could_not_be_read_are_kept(tmp_path: Path) -> None:
    titles = ["T"] * 39 + ["Crouching Tiger, Hidden Dragon"]
    items_csv = "item_id,title\n" + "".join(f"i{n},{t}\n" for n, t in enumerate(titles))
    rows = "".join(f"u{n % 7},i{n % 40}\n" for n in range(280))
    folder_of(tmp_path, items_csv=items_csv, interactions_csv="user_id,item_id\n" + rows)
    data, said = told(tmp_path)
    assert len(data.interactions) == 280
    assert "unknown_items: changed 1 row" in said and "item 'i39'" in said


def test_a_few_zeros_among_ratings_of_1_to_5_are_told(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 7},i{n},{n % 5 + 1 if n % 20 else 0}\n" for n in range(100))
    ratings = "user_id,item_id,rating\n" + rows
    assert "implicit_values = [0]" in told(folder_of(tmp_path, interactions_csv=ratings))[1]
    toml = "[cleaning]\nvalue_scale = [0, 5]\n[[sources]]\ninteractions = 'interactions.csv'\n"
    (tmp_path / "metarec.toml").write_text(toml)
    assert "zero_ratings" not in told(tmp_path)[1]


@pytest.mark.parametrize(
    "frame", [pd.DataFrame({"a": MIXED}), pl.DataFrame({"a": pl.Series(MIXED, dtype=pl.Object)})]
)
def test_keys_of_bytes_beside_text_are_one(frame: Any) -> None:
    assert as_polars(frame, "items")["a"].to_list() == ["u1", "u1", None, "07ff"]


def test_keys_of_bytes_beside_text_of_a_database_are_one(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "s.db")) as base, base:
        base.execute("create table interactions(user_id, item_id)")
        rows = [(u.encode() if n % 2 else u, "i") for n, u in enumerate(["a", "a", "b", "b"])]
        base.executemany("insert into interactions values (?, ?)", rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert set(metarec.read(tmp_path / "s.db").interactions.frame["user_id"]) == {"a", "b"}


def test_codes_of_surveys_off_the_scale_are_told(tmp_path: Path) -> None:
    def strays(ratings: Sequence[int]) -> str:
        rows = "".join(f"u{n % 9},i{n},{r}\n" for n, r in enumerate(ratings))
        ratings_csv = "user_id,item_id,rating\n" + rows
        return told(folder_of(tmp_path, interactions_csv=ratings_csv))[1]

    whole = [1, 2, 3, 4, 5] * 5
    said = strays([*whole, 77, 77, 88, 88, 99])
    assert all(f"not_rated = [{code}]" in said for code in (77, 88, 99))
    assert "not_rated = [9]" in strays([*whole, 9, 9, 9])
    for honest in ([*whole, 6, 6, 7, 7, 8, 8], [5, 9, 9, 1], [30, 41, 55, 77, 77, 88, 88, 90]):
        assert "not_rated" not in strays(honest)


def test_one_odd_row_of_a_very_small_table_is_left_out_and_told(tmp_path: Path) -> None:
    small = "user_id,item_id,rating\nu1,a,5\nDoe, J,a,4\nu2,a,1\nu2,b,3\n"
    data, said = told(folder_of(tmp_path, interactions_csv=small))
    assert len(data.interactions) == 3
    assert "line 3" in said
    with pytest.raises(BadInput, match="2 of 4 rows cannot be read"):
        told(folder_of(tmp_path, interactions_csv=small.replace("u2,a", "x, u2,a")))


def test_zero_dates_are_no_times(tmp_path: Path) -> None:
    for zero, form in (("0000-00-00 00:00:00", "%Y-%m-%d %H:%M:%S"), ("00/00/0000", "%d/%m/%Y")):
        stamps = [(DAY + timedelta(days=3 * n)).strftime(form) for n in range(7)]
        data, said = told(folder_of(tmp_path, interactions_csv=timed([*stamps, zero])))
        assert len(data.interactions) == 7
        assert "impossible_times: removed 1 row" in said


@pytest.mark.parametrize("none", ["0", "-1"])
def test_no_day_among_days_as_numbers_leaves_them_days(tmp_path: Path, none: str) -> None:
    stamps = [f"2024013{n}" if n < 2 else f"2024020{n}" for n in range(7)]
    data, _ = told(folder_of(tmp_path, interactions_csv=timed([*stamps, none])))
    found = data.interactions.frame["timestamp"]
    assert found.max() == datetime(2024, 2, 6, tzinfo=UTC).timestamp()
    assert (found >= datetime(2024, 1, 29, tzinfo=UTC).timestamp()).all()


def test_days_as_numbers_some_of_which_are_none_are_no_minutes(tmp_path: Path) -> None:
    stamps = ["20240131", "20240230", "20240231", "20240201", "20240202", "20240203", "20240204"]
    said = told(folder_of(tmp_path, interactions_csv=timed([*stamps, "20240205"])))[1]
    assert "minutes since 1970" not in said


def test_ids_of_another_form_that_a_table_lacks_are_told(tmp_path: Path) -> None:
    users_csv = "user_id,age\nu0,20\n" + "".join(f"{u.upper()},30\n" for u in USERS[1:])
    said = told(folder_of(tmp_path, users_csv=users_csv))[1]
    assert (
        "7 of 8 ids of the events are in the user table only in another form ('u1', 'U1')" in said
    )
    assert "in lower case" in said
    assert "joins" not in told(folder_of(tmp_path, users_csv="user_id,age\nu0,20\nX1,30\n"))[1]


@pytest.mark.parametrize("mark", ["^", "~", " · ", " • ", ":", "::", "\n", "\\", " - "])
def test_tags_are_parted_by_any_mark_whose_parts_recur(tmp_path: Path, mark: str) -> None:
    pairs = [("Action", "Drama"), ("Action", "War"), ("Drama", "War"), ("War", "Action")]
    cells = "".join(f'i{n},"{mark.join(pair)}"\n' for n, pair in enumerate(pairs))
    data, said = told(folder_of(tmp_path, items_csv="item_id,categories\n" + cells))
    assert data.items.frame["categories"].to_list() == ["|".join(pair) for pair in pairs]
    assert "are tags, parted by" in said


@pytest.mark.parametrize("cell", ["{'Drama', 'Action'}", "('Action', 'Drama')"])
def test_tuples_and_sets_of_python_are_tags(tmp_path: Path, cell: str) -> None:
    cells = "".join(f'i{n},"{cell}"\n' for n in range(4))
    data, _ = told(folder_of(tmp_path, items_csv="item_id,categories\n" + cells))
    assert set(data.items.frame["categories"]) == {"Action|Drama"}


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("time_format = 3", "time_format must be a text, got 3"),
        ("encoding = ['utf-8']", "encoding must be a text"),
        ("kind = ['view']", "kind must be a text"),
        ("context = 'store'", r'context must be a list such as \["store"\], got \'store\''),
        ("names = [1]", "names must be a list"),
    ],
)
def test_settings_of_a_source_of_another_type_are_refused(
    tmp_path: Path, setting: str, why: str
) -> None:
    toml = f"[[sources]]\ninteractions = 'interactions.csv'\n{setting}\n"
    folder_of(tmp_path, metarec_toml=b"\xef\xbb\xbf" + toml.encode())  # as Notepad writes it
    with pytest.raises(BadInput, match=why):
        told(tmp_path)


@pytest.mark.parametrize("mark", ["\t", "; ", " | "])
def test_marks_within_a_text_part_no_cells(tmp_path: Path, mark: str) -> None:
    titles = ["Heat", "Ran", f"One{mark}two{mark}three", "Jaws"]
    rows = "".join(f"i{n},{t}\n" for n, t in enumerate(titles))
    data, _ = told(folder_of(tmp_path, items_csv="item_id,title\n" + rows))
    assert data.items.frame["title"].to_list() == titles


def test_sources_of_other_scales_are_told(tmp_path: Path) -> None:
    toml = "[[sources]]\ninteractions = 'a.csv'\n[[sources]]\ninteractions = 'b.csv'\n"
    ratings = "user_id,item_id,rating\n" + "".join(f"u{n},i{n % 3},{n % 5 + 1}\n" for n in range(9))
    hundred = ratings.replace("1\n", "20\n").replace("5\n", "100\n")
    folder_of(tmp_path, metarec_toml=toml, a_csv=ratings, b_csv=hundred)
    assert "source 1 reach from 1 to 5, those of source 2 from 2 to 100" in told(tmp_path)[1]
    assert "scales" not in told(folder_of(tmp_path, b_csv=ratings))[1]


@pytest.mark.parametrize("stamp", ["2024-10-05 08:15:30,500", "[05/Oct/2024:08:15:30 +0000]"])
def test_times_as_programs_log_them(stamp: str) -> None:
    (seconds,) = as_seconds(pl.Series([stamp]))
    assert seconds == pytest.approx(DAY.timestamp(), abs=0.5)


def test_columns_of_types_that_only_pandas_has(tmp_path: Path) -> None:
    dense = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 0.0]})
    sparse = dense.assign(b=pd.arrays.SparseArray(dense["b"]))
    assert as_polars(sparse, "items").rows() == [(1.0, 1.0), (2.0, 0.0)]
    with pytest.raises(BadInput, match="column 'b' is of type complex128"):
        as_polars(dense.astype({"b": complex}), "items")
    with pytest.raises(
        BadInput, match=r"items must be a frame, got '.*'; metarec.read reads files"
    ):
        as_polars(str(tmp_path), "items")

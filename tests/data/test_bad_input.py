"""Bad input ends in one clear line or is counted; never in a traceback, and no input file is ever
changed.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from data.folders import digest, events, item_table, write
from metarec.data.cleaning import check, read_clean
from metarec.data.cleaning_config import CleaningConfig
from metarec.data.read import read
from metarec.data.schema import BadInput, DataWarning
from metarec.data.sources.text.header_lines import headings_of

GOOD = "".join(f"u{n},i{n % 7},{1_600_000_000 + 97_123 * n},{1 + n % 5}\n" for n in range(40))
HEADER = "user_id,item_id,timestamp,value\n"

REFUSED = {
    "empty file": (b"", r"interactions\.csv is empty"),
    "header only": (HEADER.encode(), r"interactions\.csv has no rows"),
    "no user column": (
        b"who,item_id\n1,2\n",
        r"interactions\.csv: no column 'user_id' among 'who', 'item_id'",
    ),
    "no item column": (b"user_id,what\n1,2\n", r"interactions\.csv: no column 'item_id'"),
    "ratings are words": (
        HEADER.encode() + b"u,i,1600000000,good\n" * 5,
        r"5 of 5 rows .*first: line 2 of interactions\.csv: value 'good'",
    ),
    "times are words": (
        HEADER.encode() + b"u,i,yesterday,3\n" * 5,
        r"first: line 2 of interactions\.csv: timestamp 'yesterday'",
    ),
    "no ids at all": (
        HEADER.encode() + b",,1600000000,3\n" * 5,
        r"5 of 5 rows cannot be read as events",
    ),
    "binary": (bytes(range(256)) * 20, r"interactions\.csv"),
}


@pytest.mark.parametrize("content, message", REFUSED.values(), ids=REFUSED.keys())
def test_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "interactions.csv").write_bytes(content)
    before = digest(tmp_path)
    with pytest.raises(BadInput, match=message) as caught:
        check(tmp_path)
    assert "\n" not in str(caught.value)
    assert digest(tmp_path) == before


@pytest.mark.parametrize(
    "name, content, message",
    [
        (
            "interactions.parquet",
            b"not parquet",
            r"interactions\.parquet cannot be read as \.parquet",
        ),
        (
            "interactions.jsonl",
            b"hello\nworld\n",
            r"interactions\.jsonl: 2 of 2 lines are no JSON objects \(first: line 1\)",
        ),
        ("interactions.jsonl", b"[1, 2]\n", r"lines are no JSON objects"),
        ("interactions.csv.gz", b"not gzip", r"interactions\.csv\.gz"),
    ],
)
def test_files_that_are_not_what_they_say(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=message) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_places(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere does not exist; give a data folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(
        BadInput, match=r"holds no interactions\.parquet, \.csv or \.jsonl \(it holds nothing\)"
    ):
        read(tmp_path)
    (tmp_path / "notes.pdf").write_text("x")
    with pytest.raises(BadInput, match=r"no reader for \.pdf"):
        read(tmp_path / "notes.pdf")
    write(tmp_path, "csv", interactions=events())
    write(tmp_path, "parquet", interactions=events())
    with pytest.raises(
        BadInput, match=r"holds interactions\.csv and interactions\.parquet; keep one"
    ):
        read(tmp_path)


@pytest.mark.parametrize(
    "garbage",
    [
        "\x00\x01\x02",
        "complete nonsense",
        ",,,",
        "u,i,then,3",
        "u,i,1600000000,inf",
        "u,,1600000000,3",
    ],
)
def test_a_tenth_of_garbage_rows_is_counted(tmp_path: Path, garbage: str) -> None:
    (tmp_path / "interactions.csv").write_text(HEADER + GOOD + f"{garbage}\n" * 4)
    before = digest(tmp_path)
    data, report = read_clean(tmp_path)
    assert (report.events_read, report.removed, len(data.interactions)) == (44, 4, 40)
    assert "line 42 of interactions.csv" in report.to_text()
    assert digest(tmp_path) == before


def test_nan_ids_and_values_in_parquet(tmp_path: Path) -> None:
    bad = pl.DataFrame(
        {
            "user_id": [None, "nan", "u01", "u02"],
            "item_id": ["i01", "i02", None, "i03"],
            "timestamp": [1.6e9] * 4,
            "value": [1.0, 2.0, 3.0, float("nan")],
            "kind": ["rating"] * 4,
        }
    )
    write(tmp_path, "parquet", interactions=pl.concat([events(), bad]))
    _, report = read_clean(tmp_path)
    assert {(f.rule, f.rows) for f in report.findings} == {
        ("missing_ids", 2),
        ("missing_ids", 1),
        ("impossible_values", 1),
    }


def test_broken_json_lines_are_counted(tmp_path: Path) -> None:
    lines = [f'{{"user_id": "u{n}", "item_id": {n % 3}}}' for n in range(20)]
    lines[7] = "{broken"
    (tmp_path / "interactions.jsonl").write_text("\n".join(lines))
    with pytest.warns(DataWarning, match=r"line 8 of interactions\.jsonl"):
        assert len(read(tmp_path).interactions) == 19


def test_too_many_broken_json_lines_are_refused(tmp_path: Path) -> None:
    good = '{"user_id": "u", "item_id": "i"}\n'
    (tmp_path / "interactions.jsonl").write_text((good * 3 + "{broken\n") * 5)
    with pytest.raises(BadInput, match=r"5 of 20 lines are no JSON objects \(first: line 4\)"):
        read(tmp_path)


def test_json_lines_of_mixed_types_become_text(tmp_path: Path) -> None:
    (tmp_path / "interactions.jsonl").write_text(
        '{"user_id": 1, "item_id": "a"}\n{"user_id": "x", "item_id": 2}\n'
    )
    assert sorted(read(tmp_path).interactions.frame.select("user_id", "item_id").rows()) == [
        ("1", "a"),
        ("x", "2"),
    ]


def test_an_unclosed_quote_costs_no_more_than_its_row(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text(
        HEADER + GOOD + '"u1,i1,1600000000,3\n' + GOOD.replace("u", "v")
    )
    with pytest.warns(DataWarning, match="do not pair up"):
        assert len(read(tmp_path).interactions) == 81


def test_milliseconds_become_seconds_and_are_reported(tmp_path: Path) -> None:
    write(
        tmp_path,
        "csv",
        interactions=events().with_columns((pl.col("timestamp") * 1000).cast(pl.Int64)),
    )
    data, report = read_clean(tmp_path)
    assert data.interactions.frame["timestamp"].max() == events()["timestamp"].max()
    assert [(f.rule, f.action, f.rows) for f in report.findings] == [("time_units", "changed", 96)]
    assert "times in milliseconds were converted" in report.to_text()


def test_units_are_told_row_by_row(tmp_path: Path) -> None:
    factor = pl.Series([1.0, 1e3, 1e6, 1e9] * 24)
    write(tmp_path, "parquet", interactions=events().with_columns(pl.col("timestamp") * factor))
    with pytest.warns(DataWarning, match="time_units: changed 72 rows"):
        data = read(tmp_path)
    assert data.interactions.frame["timestamp"].sort().to_list() == pytest.approx(
        events()["timestamp"].sort().to_list(), abs=1e-3
    )


def test_zero_missing_and_future_times_go_where_they_are_rare(tmp_path: Path) -> None:
    slips = pl.DataFrame(
        {
            "user_id": ["u00"] * 3,
            "item_id": ["i90", "i91", "i92"],
            "timestamp": [0.0, None, 9e9],
            "value": [3.0] * 3,
            "kind": ["rating"] * 3,
        }
    )
    write(tmp_path, "parquet", interactions=pl.concat([events(), slips]))
    data, report = read_clean(tmp_path, CleaningConfig(now=1.9e9))
    assert len(data.interactions) == 96 and data.interactions.has_time
    assert [f.why for f in report.findings] == [
        "no time, while most events have one",
        "the time is at or before 1970",
        "the time lies in the future",
    ]


def test_a_clock_that_runs_ahead_as_a_whole_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, "parquet", interactions=events().with_columns(pl.col("timestamp") + 2e9))
    _, report = read_clean(tmp_path, CleaningConfig(now=1.9e9))
    assert [(f.rule, f.action) for f in report.findings] == [("odd_times", "noted")]


def test_half_of_the_times_missing(tmp_path: Path) -> None:
    half = events().with_columns(
        pl.when(pl.int_range(pl.len()) % 2 == 0).then("timestamp").alias("timestamp")
    )
    write(tmp_path, "parquet", interactions=half)
    data, report = read_clean(tmp_path)
    assert len(data.interactions) == 96 and data.interactions.has_time
    assert [(f.rule, f.rows, f.action) for f in report.findings] == [("untimed", 48, "changed")]


def test_duplicated_ids_of_items_and_users(tmp_path: Path) -> None:
    items = pl.concat([item_table(), item_table().head(2).with_columns(title=pl.lit("again"))])
    write(tmp_path, "csv", interactions=events(), items=items)
    data, report = read_clean(tmp_path)
    assert data.items.titles()[:2] == ["Item 0", "Item 1"] and len(data.items) == 20
    assert report.removed == 0
    assert (
        "duplicated_ids: removed 2 rows: 2 ids stand more than once in items.csv"
        in report.to_text()
    )


def test_one_user(tmp_path: Path) -> None:
    write(tmp_path, "csv", interactions=events(users=1))
    report = check(tmp_path)
    assert any("1 users are too few" in line for line in report.advice)


def test_items_without_events_stay_and_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "csv", interactions=events(users=2, per_user=3), items=item_table(50))
    data, report = read_clean(tmp_path)
    assert len(data.items) == 50
    assert report.facts["items_without_events"] == 50 - report.facts["items"]


def test_few_events_on_unknown_items_go(tmp_path: Path) -> None:
    strange = (
        events().head(2).with_columns(item_id=pl.lit("gone"), timestamp=pl.col("timestamp") + 77)
    )
    write(tmp_path, "csv", interactions=pl.concat([events(), strange]), items=item_table())
    data, report = read_clean(tmp_path)
    assert "gone" not in data.interactions.frame["item_id"] and report.removed == 2
    assert "item 'gone', 2 events" in report.to_text()


def test_a_catalog_with_gaps_is_filled_rather_than_events_lost(tmp_path: Path) -> None:
    write(tmp_path, "csv", interactions=events(), items=item_table(10))
    data, report = read_clean(tmp_path)
    assert len(data.interactions) == 96 and len(data.items) == 20
    assert [(f.rule, f.action) for f in report.findings] == [("unknown_items", "changed")]


def test_a_catalog_of_other_ids_is_refused_when_told_to_drop(tmp_path: Path) -> None:
    write(
        tmp_path,
        "csv",
        interactions=events(),
        items=item_table().with_columns(item_id="x" + pl.col("item_id")),
    )
    with pytest.raises(BadInput, match="do both use the same ids"):
        check(tmp_path, CleaningConfig(unknown_items="drop"))


@pytest.mark.parametrize("name", ["events.csv", "events.tsv", "events.txt"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\xef\xbb\xbf", b"\n\n \n"])
def test_a_file_without_a_word_is_told_by_its_name(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=rf"{name}.*(is empty|no column 'user_id'|has no rows)"):
        read(tmp_path / name)


def test_text_without_a_line_has_no_headings() -> None:
    assert headings_of("", [",", "\t"], "events.csv") is None

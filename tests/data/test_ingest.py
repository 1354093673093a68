"""Cleaning part by part gives what cleaning at once gives."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from data.folders import START, events, item_table, user_table, write
from metarec.app.cli import app
from metarec.data.cleaning import read_clean
from metarec.data.cleaning_config import CleaningConfig
from metarec.data.ingest import HASH_SEED, ingest
from metarec.data.read import read
from metarec.data.schema import BadInput


def messy(folder: Path, form: str) -> Path:
    """Users, doubled rows, a bot, rows that are no events, an unknown item."""
    users = events(users=40)
    bot = pl.DataFrame(
        {
            "user_id": ["bot"] * 150,
            "item_id": [f"i{n % 20:02d}" for n in range(150)],
            "timestamp": [START + 600.0 * n for n in range(150)],
            "value": [3.0] * 150,
        }
    ).with_columns(kind=pl.lit("rating"))
    odd = users.head(3).with_columns(
        user_id=pl.Series([None, "nan", "u01"]), item_id=pl.Series(["i01", "i02", "gone"])
    )
    table = pl.concat([users, users.head(4), bot, odd]).sample(fraction=1.0, shuffle=True, seed=0)
    return write(folder, form, interactions=table, items=item_table(), users=user_table(40))


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("rows_at_once", [50, 100_000])
def test_in_parts_as_at_once(tmp_path: Path, form: str, rows_at_once: int) -> None:
    source = messy(tmp_path / "raw", form)
    said: list[str] = []
    report = ingest(source, tmp_path / "clean", rows_at_once=rows_at_once, progress=said.append)
    data, expected = read_clean(source)
    got = read(tmp_path / "clean")
    assert_frame_equal(got.interactions.frame, data.interactions.frame)
    assert_frame_equal(got.items.frame, data.items.frame)
    assert_frame_equal(got.users.frame, data.users.frame)
    assert report.events_read == expected.events_read and report.removed == expected.removed > 150
    assert {(f.rule, f.rows) for f in report.findings} == {
        (f.rule, f.rows) for f in expected.findings
    }
    same = set(expected.facts) - {
        "drift",
        "values",
    }  # drift is measured on a share, and sums differ in their last digit
    assert {k: report.facts[k] for k in same} == {k: expected.facts[k] for k in same}
    assert report.facts["values"] == pytest.approx(expected.facts["values"])
    assert (len(said) > 5) == (rows_at_once == 50)
    assert sorted(p.name for p in (tmp_path / "clean").iterdir()) == [
        "interactions.parquet",
        "items.parquet",
        "users.parquet",
    ]


@pytest.mark.parametrize("rows_at_once", [20, 50, 100_000])
def test_offsets_that_times_state_are_kept(tmp_path: Path, rows_at_once: int) -> None:
    zones = ["+09:00", "Z"]
    rows = [f"u{n % 40},i{n % 7},2024-05-02T{n % 24:02d}:30:00{zones[n % 2]}" for n in range(200)]
    source = tmp_path / "acts.csv"
    source.write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    ingest(source, tmp_path / "clean", rows_at_once=rows_at_once)
    got, expected = (read(s).interactions.frame for s in (tmp_path / "clean", source))
    assert "hours_from_utc" in expected.columns
    by = ["user_id", "timestamp", "item_id"]
    told = [frame.sort(by).select(*by, "hours_from_utc") for frame in (got, expected)]
    assert_frame_equal(*told)


@pytest.mark.parametrize("user", ["u04", "u12"])
def test_what_the_first_share_decides_holds_for_the_rest(tmp_path: Path, user: str) -> None:
    """A user of a later share rates far off the scale, often enough to stretch it if that share
    were asked alone; the share of the second user holds nobody else.
    """
    users = events(users=40)
    share = users.select("user_id", (pl.col("user_id").hash(HASH_SEED) % 11).alias("share")).unique(
        "user_id"
    )
    of_user = share.filter(pl.col("user_id") == user)["share"].item()
    assert of_user > 0
    assert (len(share.filter(pl.col("share") == of_user)) == 1) == (user == "u12")
    wild = users.with_columns(
        value=pl.when(pl.col("user_id") == user).then(99.0).otherwise("value")
    )
    source = write(tmp_path / "raw", "parquet", interactions=wild)
    report = ingest(source, tmp_path / "clean", rows_at_once=30)
    assert [(f.rule, f.rows) for f in report.findings] == [("stray_values", 8)]
    assert read(tmp_path / "clean").interactions.frame.height == wild.height - 8


def test_if_nothing_is_left_of_any_share_that_is_said(tmp_path: Path) -> None:
    source = write(tmp_path / "raw", "parquet", interactions=events(users=40))
    with pytest.raises(BadInput, match="no events are left after the rules stray_values"):
        ingest(source, tmp_path / "clean", CleaningConfig(value_scale=(80, 99)), rows_at_once=30)


def test_items_that_the_catalog_lacks_are_added_in_every_part(tmp_path: Path) -> None:
    source = write(tmp_path / "raw", "parquet", interactions=events(users=40), items=item_table(4))
    report = ingest(source, tmp_path / "clean", rows_at_once=30)
    assert (
        sorted(read(tmp_path / "clean").items.frame["item_id"]) == item_table()["item_id"].to_list()
    )
    assert report.facts["catalog_items"] == 20 and report.removed == 0


def test_rows_are_named_by_their_place_in_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "raw", "csv", interactions=events(users=40)) / "interactions.csv"
    path.write_text(path.read_text() + "u00,i01,never,3,rating\n")
    report = ingest(path, tmp_path / "clean", rows_at_once=30)
    assert [f.examples for f in report.findings] == [
        ["line 322 of interactions.csv: timestamp 'never'"]
    ]


def test_what_cannot_be_ingested_leaves_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "raw", "csv", interactions=events())
    with pytest.raises(BadInput, match="k_core looks at all users at once"):
        ingest(source, tmp_path / "clean", CleaningConfig(k_core=2))
    with pytest.raises(BadInput, match="exists; give a folder that does not"):
        ingest(source, tmp_path / "raw")
    (tmp_path / "empty.csv").write_text("user_id,item_id\n")
    with pytest.raises(BadInput, match=r"empty\.csv has no rows"):
        ingest(tmp_path / "empty.csv", tmp_path / "clean")
    with pytest.raises(BadInput, match="is no data folder"):
        ingest(tmp_path / "nowhere", tmp_path / "clean")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty.csv", "raw"]


def test_the_command_keeps_friends_and_searches(tmp_path: Path) -> None:
    source = write(
        tmp_path / "raw",
        "csv",
        interactions=events(users=10),
        items=item_table(),
        friends=pl.DataFrame({"user_id": ["u01"], "friend_id": ["u02"]}),
        searches=pl.DataFrame({"user_id": ["u03"], "query": ["tents"]}),
    )
    out = tmp_path / "clean"
    found = CliRunner().invoke(
        app, ["data", "clean", str(source), "--out", str(out), "--rows-at-once", "30"]
    )
    assert found.exit_code == 0, found.output
    data, expected = read(out), read(source)
    assert_frame_equal(data.relations.friends, expected.relations.friends)
    assert_frame_equal(data.relations.searches, expected.relations.searches)
    assert len(data.interactions) == len(expected.interactions)


@pytest.mark.parametrize("rows_at_once", [50, 100_000])
def test_codes_of_acts_are_read_by_their_legend(tmp_path: Path, rows_at_once: int) -> None:
    table = events(users=40).drop("value", "kind")
    codes = [str(n % 3 + 1) for n in range(table.height)]
    source = write(
        tmp_path / "raw", "csv", events=table.with_columns(event_type_id=pl.Series(codes))
    )
    (source / "event_types.csv").write_text("id,name\n1,view\n2,purchase\n3,hide\n")
    report = ingest(source, tmp_path / "clean", rows_at_once=rows_at_once)
    data, _ = read_clean(source)
    got = read(tmp_path / "clean").interactions.frame
    kinds = dict(got["kind"].value_counts().iter_rows())
    assert kinds == dict(data.interactions.frame["kind"].value_counts().iter_rows())
    assert {*kinds} == {"view", "purchase", "hide"}
    assert any("were read by event_types.csv" in f.why for f in report.findings)

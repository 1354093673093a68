"""Friends, searches and coordinates as they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import metarec
from metarec.data.cleaning import read_clean
from metarec.data.opening import open_tables
from metarec.data.places import checked_degrees, degrees_of, location_of
from metarec.data.relations import Relations
from metarec.data.schema import BadInput, DataWarning

EVENTS = "user_id,item_id,timestamp\n1,a,10\n1,b,20\n2,a,30\n2,c,40\n"


def test_edges_go_both_ways_once_with_the_largest_weight() -> None:
    friends = pl.DataFrame(
        {"user_id": ["1", "2", "3"], "friend_id": ["2", "1", "3"], "weight": [1.0, 4.0, 1.0]}
    )

    edges = Relations.of(friends).friends

    assert edges.rows() == [("1", "2", 4.0), ("2", "1", 4.0)]


def test_a_negative_weight_is_refused() -> None:
    friends = pl.DataFrame({"user_id": ["1"], "friend_id": ["2"], "weight": [-1.0]})

    with pytest.raises(BadInput, match="weight of an edge must be a number from 0, got -1"):
        Relations.of(friends)


def test_a_folder_has_friends_and_searches_under_names_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text(EVENTS)
    (tmp_path / "friends.csv").write_text("User ID,friend\n1,2\n")
    (tmp_path / "searches.csv").write_text("customer,search_term,at_time\n1,帐篷,5\n2, ,6\n")

    with pytest.warns(DataWarning, match="removed 1 row: no user_id or no query in searches.csv"):
        data = metarec.read(tmp_path)

    assert data.relations.friends.select("user_id", "friend_id").rows() == [("1", "2"), ("2", "1")]
    assert data.relations.searches.rows() == [("1", "帐篷", 5.0)]


def test_a_source_of_searches_in_a_toml_file_is_no_source_of_events(tmp_path: Path) -> None:
    (tmp_path / "acts.csv").write_text(EVENTS)
    (tmp_path / "s.csv").write_text("user,query,at\n1,tent,5\n")
    (tmp_path / "metarec.toml").write_text(
        '[[sources]]\ninteractions = "acts.csv"\n[[sources]]\ninteractions = "s.csv"\n'
        'kind = "search"\ncolumns = { timestamp = "at" }\n'
    )

    data = metarec.read(tmp_path)

    assert len(data.interactions) == 4
    assert data.relations.searches.rows() == [("1", "tent", 5.0)]


def test_rows_left_out_of_friends_and_searches_are_counted_there(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text(EVENTS)
    (tmp_path / "friends.csv").write_bytes(
        b"user_id,friend_id,status\n1,2,accepted\n1,3,pending\n2,3,pending\n,1,accepted\n"
        b"3,4,accept\xe9d\n2,1,accepted,extra,more\n"
    )
    (tmp_path / "searches.csv").write_text(
        "user_id,query,timestamp\n1,tent,2024-03-01\n2, ,2024-03-02\n2,mug,soon\n1,cup,5,6,7\n"
    )

    tables = open_tables(tmp_path)
    data, report = read_clean(tmp_path)

    assert (report.events_read, report.removed, len(data.interactions)) == (4, 0, 4)
    found = {(f.table, f.rule, f.action): f.rows for f in tables.findings}
    assert found == {
        ("friends", "friends", "removed"): 2,
        ("friends", "missing_ids", "removed"): 1,
        ("friends", "unreadable_rows", "removed"): 1,
        ("friends", "encoding", "noted"): 0,
        ("searches", "missing_ids", "removed"): 1,
        ("searches", "unreadable_rows", "removed"): 1,
        ("searches", "dates", "noted"): 1,
    }
    assert data.relations.friends.height == 4 and data.relations.searches.height == 2


def test_the_only_column_named_like_a_moment_is_the_clock(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text(EVENTS.replace("timestamp", "played_at"))

    assert metarec.read(tmp_path).interactions.has_time


@pytest.mark.parametrize("names", [("lat", "lng"), ("Latitude", "Long"), ("geo_lat", "geo_lon")])
def test_coordinates_have_many_names(tmp_path: Path, names: tuple[str, str]) -> None:
    (tmp_path / "interactions.csv").write_text(EVENTS)
    (tmp_path / "items.csv").write_text(f"item_id,{names[0]},{names[1]}\na,52.5,13.4\nb,48,11\n")

    places = degrees_of(metarec.read(tmp_path).items.frame)

    np.testing.assert_allclose(places, [[52.5, 13.4], [48.0, 11.0]])


def test_swapped_columns_are_put_right_and_told() -> None:
    frame = pl.DataFrame({"latitude": [113.4, 121.0, 116.0], "longitude": [23.1, 31.2, 39.9]})

    fixed, findings = checked_degrees(frame, "items", "items.csv")

    assert fixed["latitude"].to_list() == [23.1, 31.2, 39.9]
    assert [f.why for f in findings] == [
        "latitude and longitude in items.csv are swapped (latitudes beyond 90); put right"
    ]


def test_impossible_and_missing_degrees_are_told_in_a_line_each() -> None:
    frame = pl.DataFrame(
        {"latitude": [52.5, 95.0, None, 48.0], "longitude": [13.4, 200.0, 1.0, 11.0]}
    )

    fixed, findings = checked_degrees(frame, "items", "items.csv")

    assert fixed["latitude"].to_list() == [52.5, None, None, 48.0]
    assert [f.rows for f in findings] == [1, 1]
    assert "out of range, such as 95,200" in findings[0].why


@pytest.mark.parametrize("place", [(1.0,), "here", (1.0, 2.0, 3.0), (float("nan"), 1.0)])
def test_a_location_must_be_two_degrees(place: object) -> None:
    with pytest.raises(BadInput, match="location"):
        location_of(place)

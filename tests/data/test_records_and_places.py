"""Events within records of services and clinics, places in the forms of maps, and friends where
tables of users have them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from metarec.data.cleaning import read_clean
from metarec.data.dataset import Dataset

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")

ROWS = [
    {"user_id": f"u{n % 6}", "item_id": f"i{n % 5}", "rating": n % 5 + 1, "timestamp": 1.7e9 + n}
    for n in range(30)
]


def read(path: Path, content: Any) -> Dataset:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_clean(path)[0]


def typed(row: dict[str, Any]) -> dict[str, Any]:
    kinds = {n: {"S" if isinstance(v, str) else "N": str(v)} for n, v in row.items()}
    return {"Item": kinds}


@pytest.mark.parametrize(
    "content",
    [
        {str(n): row for n, row in enumerate(ROWS)},
        [list(ROWS[0]), *(list(row.values()) for row in ROWS)],
        {"hits": {"hits": [{"_index": "r", "_score": 1.0, "_source": row} for row in ROWS]}},
        "\n".join(json.dumps(typed(row)) for row in ROWS),
    ],
    ids=["by number", "arrays", "hits", "types"],
)
def test_events_of_services_are_read_with_their_ratings(tmp_path: Path, content: Any) -> None:
    data = read(tmp_path / "events.json", content)
    acts = data.interactions.acts()
    assert (len(data.interactions), acts["rating"].sum()) == (30, 90)
    assert data.interactions.frame["item_id"].n_unique() == 5


LINES = [json.dumps(row) for row in ROWS]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("e.json", f"[{','.join(LINES)},]"),
        ("e.json", f"[{','.join(LINES[:9])}]\n[{','.join(LINES[9:])}]"),
        ("e.json", f"window.YTD.like.part0 = [{','.join(LINES)}];"),
        ("e.jsonl", "\n".join(map(json.dumps, LINES))),
        ("e.csv", f"[{','.join(LINES)}]"),
        ("e.txt", "\n".join(LINES)),
        (
            "e.json",
            "\n".join(",".join(map(str, row)) for row in [ROWS[0], *map(dict.values, ROWS)]),
        ),
    ],
    ids=["comma", "pages", "script", "texts", "json as csv", "json as txt", "csv as json"],
)
def test_a_file_is_read_for_what_it_is(tmp_path: Path, name: str, content: str) -> None:
    data = read(tmp_path / name, content)
    assert (len(data.interactions), data.interactions.acts()["rating"].sum()) == (30, 90)


def order(n: int, state: str) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": f"m{n}",
        "status": state,
        "subject": {"reference": f"Patient/{n % 7}"},
        "medicationCodeableConcept": {
            "coding": [{"system": "rxnorm", "code": f"c{n % 5}", "display": f"Drug {n % 5}"}]
        },
        "authoredOn": f"2024-03-{n % 28 + 1:02d}T08:15:00Z",
    }


@pytest.mark.parametrize("is_bundle", [True, False])
def test_orders_of_drugs_of_a_clinic_are_events(tmp_path: Path, is_bundle: bool) -> None:
    states = ("active", "completed", "stopped", "entered-in-error")
    orders = [order(n, states[n % 4]) for n in range(28)]
    entries = [{"fullUrl": "x", "resource": one} for one in orders]
    bundle = {"resourceType": "Bundle", "entry": entries}
    lines = "\n".join(json.dumps(one) for one in orders)
    data = read(tmp_path / "orders.json", bundle if is_bundle else lines)
    frame = data.interactions.frame
    assert {*frame["user_id"]} == {str(n) for n in range(7)}
    assert {*data.items.frame.select("item_id", "title").rows()} == {
        (f"c{n}", f"Drug {n}") for n in range(5)
    }
    assert sorted(data.interactions.acts()["sign"]) == [-1] * 7 + [0] * 7 + [1] * 14


@pytest.mark.parametrize(
    ("columns", "meant"),
    [
        ({"location": "52.51,13.41"}, (52.51, 13.41)),
        ({"coordinates": "(52.51; 13.41)"}, (52.51, 13.41)),
        ({"lnglat": "13.41,52.51"}, (52.51, 13.41)),
        ({"position": "139.70, 35.60"}, (35.6, 139.7)),
        ({"lat": "52°30'36\"N", "lon": "13°24'36\"W"}, (52.51, -13.41)),
        ({"lat": "S 33.87", "lon": "E 151.2"}, (-33.87, 151.2)),
        ({"location": "52°30'36\"N 13°24'36\"E"}, (52.51, 13.41)),
        ({"latitudeE7": "525100000", "longitudeE7": "134100000"}, (52.51, 13.41)),
        ({"geohash": "ezs42"}, (42.60498046875, -5.60302734375)),
    ],
)
def test_places_are_read_however_degrees_are_written(
    tmp_path: Path, columns: dict[str, str], meant: tuple[float, float]
) -> None:
    pl.DataFrame(ROWS).write_csv(tmp_path / "interactions.csv")
    items = pl.DataFrame({"item_id": [f"i{n}" for n in range(5)]})
    items.with_columns(**{n: pl.lit(c) for n, c in columns.items()}).write_csv(
        tmp_path / "items.csv"
    )
    places = read_clean(tmp_path)[0].items.frame.select("latitude", "longitude").unique()
    assert places.rows() == [pytest.approx(meant)]


def test_two_numbers_of_something_else_are_no_place(tmp_path: Path) -> None:
    pl.DataFrame(ROWS).write_csv(tmp_path / "interactions.csv")
    items = pl.DataFrame({"item_id": [f"i{n}" for n in range(5)], "size": "52.51,13.41"})
    items.write_csv(tmp_path / "items.csv")
    assert "latitude" not in read_clean(tmp_path)[0].items.frame.columns


def test_points_of_geojson_are_places(tmp_path: Path) -> None:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [13.4 + n % 5, 52.5 + n % 5]},
            "properties": row,
        }
        for n, row in enumerate(ROWS)
    ]
    data = read(tmp_path / "e.geojson", {"type": "FeatureCollection", "features": features})
    places = data.items.frame.sort("item_id").select("item_id", "latitude", "longitude")
    assert places.row(1) == ("i1", pytest.approx(53.5), pytest.approx(14.4))


@pytest.mark.parametrize("is_text", [True, False])
def test_friends_stand_in_the_table_of_users(tmp_path: Path, is_text: bool) -> None:
    pl.DataFrame(ROWS).write_csv(tmp_path / "interactions.csv")
    circles = [["u1", "u2"], ["u2"], [], [], [], []]
    users = [
        {"user_id": f"u{n}", "friends": ", ".join(ids) or "None" if is_text else ids}
        for n, ids in enumerate(circles)
    ]
    (tmp_path / "users.json").write_text(json.dumps(users))
    data, report = read_clean(tmp_path)
    pairs = {
        frozenset(pair) for pair in data.relations.friends.select("user_id", "friend_id").rows()
    }
    assert pairs == {frozenset(p) for p in (("u0", "u1"), ("u0", "u2"), ("u1", "u2"))}
    assert "friends" not in data.users.frame.columns
    assert any("was read as their friends" in f.why for f in report.findings)


def test_friends_asked_and_not_answered_are_none(tmp_path: Path) -> None:
    pl.DataFrame(ROWS).write_csv(tmp_path / "ratings.csv")
    ties = ["from_user,to_user,status", "u0,u1,accepted", "u0,u2,pending", "u3,u4,Accepted"]
    (tmp_path / "friendships.csv").write_text("\n".join(ties))
    data, report = read_clean(tmp_path)
    assert data.relations.friends.height == 4
    assert any("'pending'" in f.why and f.rows == 1 for f in report.findings)


def test_a_day_and_the_time_of_its_start_are_one_moment(tmp_path: Path) -> None:
    table = pl.DataFrame(ROWS).select("user_id", "item_id")
    days = pl.Series("ClassDate", [f"2024-03-{n + 1:02d}" for n in range(30)])
    table.with_columns(days, StartTime=pl.lit("08:15")).write_csv(tmp_path / "e.csv")
    times = read_clean(tmp_path / "e.csv")[0].interactions.frame["timestamp"]
    assert times.min() == 1709280900.0


def test_degrees_of_nowhere_are_none(tmp_path: Path) -> None:
    pl.DataFrame(ROWS).write_csv(tmp_path / "interactions.csv")
    places = pl.DataFrame(
        {"item_id": [f"i{n}" for n in range(5)], "lat": [0.0, 52.5, 48.0, 50.0, 51.0]}
    )
    places.with_columns(lon=pl.Series([0.0, 13.4, 2.0, 8.0, 9.0])).write_csv(tmp_path / "items.csv")
    data, report = read_clean(tmp_path)
    assert data.items.frame["latitude"].null_count() == 1
    assert any("0,0 stand for none" in f.why and f.rows == 1 for f in report.findings)

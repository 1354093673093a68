"""Columns of ids that no name tells are known by their cells: the ids of another table."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarec.data.cleaning import read_clean
from metarec.data.ingest import ingest
from metarec.data.opening import open_tables
from metarec.data.schema import BadInput

GONDOLAS = "item_id,title G1,Red G2,Blue G3,Green"
PEOPLE = "user_id,city A,Rome B,Oslo C,Bern"


def put(folder: Path, **tables: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text.replace(" ", "\n") + "\n")
    return folder


SHAPES = {
    "items by their ids": {
        "rentals": "customer,gondola,at A,G1,2026-01-01 A,G2,2026-01-02 B,G1,2026-01-03",
        "gondolas": GONDOLAS,
    },
    "a column called unlike the file": {
        "rentals": "customer,took,at A,G1,2026-01-01 A,G2,2026-01-02 B,G1,2026-01-03",
        "fleet": GONDOLAS,
    },
    "users by their ids": {
        "rentals": "skipper,item_id,at A,G1,2026-01-01 A,G2,2026-01-02 B,G1,2026-01-03",
        "users": PEOPLE,
    },
    "both": {
        "rentals": "skipper,took,at A,G1,2026-01-01 A,G2,2026-01-02 B,G1,2026-01-03",
        "gondolas": GONDOLAS,
        "people": PEOPLE,
    },
    "beside a table of users": {
        "rentals": "customer,gondola,at A,G1,2026-01-01 A,G2,2026-01-02 B,G1,2026-01-03",
        "gondolas": GONDOLAS,
        "customers": "customer,city A,Rome B,Oslo",
    },
    "events called interactions": {
        "interactions": "customer,gondola,at A,G1,2026-01-01 A,G2,2026-01-02 B,G1,2026-01-03",
        "items": GONDOLAS,
    },
    "numbers in a column called like the file": {
        "rentals": "customer,age,gondola,at A,1,1,2026-01-01 A,1,2,2026-01-02 B,2,1,2026-01-03",
        "gondolas": "item_id,title 1,Red 2,Blue 3,Green",
    },
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("door", ["read", "ingest"])
def test_ids_are_known_by_their_cells(shape: str, door: str, tmp_path: Path) -> None:
    folder = put(tmp_path / "rentals", **SHAPES[shape])
    if door == "read":
        tables = open_tables(folder)
        events, findings = tables.interactions, tables.findings
    else:
        report = ingest(folder, tmp_path / "out")
        findings = report.findings
        events = read_clean(tmp_path / "out")[0].interactions.frame
    pairs = [tuple(row) for row in events.sort("timestamp").select("user_id", "item_id").rows()]
    numbers = "numbers" in shape
    one, two = ("1", "2") if numbers else ("G1", "G2")
    assert pairs == [("A", one), ("A", two), ("B", one)]
    assert any("holds the ids of" in finding.why for finding in findings)


REFUSED = {
    "two columns hold ids of items": {
        "rentals": "customer,took,brought A,G1,G2 A,G2,G1 B,G1,G3",
        "fleet": GONDOLAS,
    },
    "numbers that may be anything": {
        "rentals": "customer,took,at A,1,2026-01-01 A,2,2026-01-02 B,1,2026-01-03",
        "fleet": "item_id,title 1,Red 2,Blue 3,Green",
    },
    "a fifth of the cells are no ids": {
        "rentals": "customer,took A,G1 A,G2 B,G1 B,X1 C,G2",
        "fleet": GONDOLAS,
    },
    "ids that stand twice": {
        "rentals": "customer,took A,G1 A,G2 B,G1 B,G3 C,G2",
        "fleet": f"{GONDOLAS} G3,Gold",
    },
}


@pytest.mark.parametrize("shape", REFUSED)
def test_what_cells_leave_open_is_refused_with_the_way_out(shape: str, tmp_path: Path) -> None:
    folder = put(tmp_path / "rentals", **REFUSED[shape])
    with pytest.raises(BadInput, match="a column of rentals.csv says .* call it item_id"):
        open_tables(folder)


NO_EVENTS = {
    "items that name their seller": {
        "products": "item_id,title,seller P1,Red,A P2,Blue,A P3,Green,B",
        "users": PEOPLE,
    },
    "users that name their favorite": {
        "customers": "user_id,city,favorite A,Rome,G1 B,Oslo,G1 C,Bern,G2",
        "gondolas": GONDOLAS,
    },
}


@pytest.mark.parametrize("shape", NO_EVENTS)
def test_tables_of_users_or_items_are_not_taken_for_events(shape: str, tmp_path: Path) -> None:
    folder = put(tmp_path / "shop", **NO_EVENTS[shape])
    with pytest.raises(BadInput, match="holds no interactions"):
        open_tables(folder)

"""One table of everything: which of its columns are the items', though some events of an item say
another thing; and what stands in for users.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import metarec
from metarec.data.cleaning import read_clean
from metarec.data.errors import DataWarning
from metarec.data.findings import Finding
from metarec.data.opening import open_tables
from metarec.data.tables import Tables

EVENTS, ITEMS, USERS = 900, 30, 60


def log(**columns: list[str]) -> pl.DataFrame:
    """Events in the order of their times, with the columns beside them."""
    rng = np.random.default_rng(3)
    table = pl.DataFrame(
        {
            "customer": [f"c{n}" for n in rng.integers(0, USERS, EVENTS)],
            "sku": [f"s{n % ITEMS}" for n in range(EVENTS)],
            "occurred_at": [1_600_000_000 + 60 * n for n in range(EVENTS)],
        }
    )
    return table.with_columns(pl.Series(name, cells) for name, cells in columns.items())


def titles(**odd: str) -> list[str]:
    """`Mug N` at every event but those at `_PLACE`."""
    cells = [f"Mug {n % ITEMS}" for n in range(EVENTS)]
    for place, cell in odd.items():
        cells[int(place[1:])] = cell
    return cells


def read(folder: Path, table: pl.DataFrame) -> tuple[Tables, list[Finding]]:
    table.write_csv(folder / "log.csv")
    tables = open_tables(folder / "log.csv")
    return tables, tables.findings


def title(tables: Tables, item: str) -> str:
    assert tables.items is not None
    return str(tables.items.filter(pl.col("item_id") == item)["title"][0])


@pytest.mark.parametrize("odd", ["mug 7", "MUG  7", "Mgu 7", "Mug 7\u3000", "Ｍug 7", "Mug 8"])
@pytest.mark.parametrize("name", ["title", "product_name", "商品名称"])
def test_one_event_that_names_another_title_costs_nothing(
    tmp_path: Path, odd: str, name: str
) -> None:
    tables, found = read(tmp_path, log(**{name: titles(_427=odd)}))
    assert title(tables, "s7") == "Mug 7" and "title" not in tables.interactions.columns
    told = [f for f in found if f"1 of {EVENTS} events of log.csv name another {name!r}" in f.why]
    if odd.strip() != "Mug 7":
        assert [(f.rows, f.table) for f in told] == [(1, "items")]
        assert list(told[0].examples) == [f"s7: {odd!r} -> 'Mug 7'"]


def test_a_new_title_is_taken_and_a_typing_error_at_the_end_is_not(tmp_path: Path) -> None:
    changed = {f"_{n}": "Cup" for n in range(820, EVENTS) if n % ITEMS == 7}
    tables, found = read(tmp_path, log(title=titles(**changed, _898="Mgu 28")))
    assert title(tables, "s7") == "Cup" and title(tables, "s28") == "Mug 28"
    assert len(changed) > 1
    assert any(f.rows == EVENTS // ITEMS - len(changed) + 1 for f in found)


def test_one_title_in_two_spellings_is_as_most_write_it(tmp_path: Path) -> None:
    cells = [cell if n % 7 else cell.upper() for n, cell in enumerate(titles())]
    tables, _ = read(tmp_path, log(title=cells))
    assert tables.items is not None
    assert set(tables.items["title"].str.slice(0, 3)) == {"Mug"}


RNG = np.random.default_rng(11)
CIRCUMSTANCES = {
    "hour": [str(n) for n in RNG.integers(0, 24, EVENTS)],
    "device": list(RNG.choice(["mobile", "desktop", "tablet"], EVENTS, p=[0.97, 0.02, 0.01])),
    "channel": ["web"] * (EVENTS - 1) + ["shop"],
    "weather": list(RNG.choice(["sun", "rain"], EVENTS)),
    "paid": [f"{5 + n % ITEMS * (0.9 if n % 40 == 0 else 1.0):.2f}" for n in range(EVENTS)],
    "meal": [
        ["breakfast", "lunch", "dinner"][n % ITEMS % 3 if n % 7 else n // 21 % 3]
        for n in range(EVENTS)
    ],
    "delivered": [f"2026-01-{1 + n % ITEMS % 28 if n % 60 else 28:02}" for n in range(EVENTS)],
}


@pytest.mark.parametrize("name", CIRCUMSTANCES)
def test_circumstances_stay_with_the_events(tmp_path: Path, name: str) -> None:
    tables, _ = read(tmp_path, log(**{name: CIRCUMSTANCES[name]}))
    assert name in tables.interactions.columns and tables.items is None


def test_a_number_that_nearly_always_agrees_stays_and_is_told(tmp_path: Path) -> None:
    _, found = read(tmp_path, log(paid=CIRCUMSTANCES["paid"]))
    assert [f.why.split(" and is")[0] for f in found if "'paid'" in f.why] == [
        "column 'paid' of log.csv says the same at 98% of the events of an item"
    ]


def test_a_text_that_often_differs_stays_and_is_told(tmp_path: Path) -> None:
    odd = {f"_{n}": f"Lot {n % 4}" for n in range(0, EVENTS, 11)}
    tables, found = read(tmp_path, log(label=titles(**odd)))
    assert "label" in tables.interactions.columns
    assert any("'label' of log.csv says the same at 91%" in f.why for f in found)


def test_the_device_of_each_user_stays_with_the_events(tmp_path: Path) -> None:
    table = log()
    own = [f"d{int(user[1:]) % 3}" for user in table["customer"]]
    own[5] = "d9"
    tables, _ = read(tmp_path, table.with_columns(device=pl.Series(own)))
    assert "device" in tables.interactions.columns and tables.users is None


@pytest.mark.parametrize(
    ("column", "noun"),
    [
        ("session_id", "session"),
        ("Device ID", "device"),
        ("cookieId", "cookie"),
        ("会话ID", "session"),
    ],
)
def test_what_stands_in_for_users_is_told(tmp_path: Path, column: str, noun: str) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text(f"{column},item_id\n" + "".join(f"s{n},i{n % 3}\n" for n in range(9)))
    _, report = read_clean(path)
    told = [f.why for f in report.findings if f"each {noun} is read as a user" in f.why]
    assert len(told) == 1 and repr(column) in told[0] and "columns = { user_id" in told[0]


@pytest.mark.parametrize("user", ["reader", "user", "Customer No", "会员号"])
def test_users_go_before_what_stands_in_for_them(tmp_path: Path, user: str) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text(
        f"session_id,{user},item_id\n" + "".join(f"s{n},u{n % 2},i\n" for n in range(9))
    )
    tables = open_tables(path)
    assert set(tables.interactions["user_id"]) == {"u0", "u1"}
    assert not [f for f in tables.findings if "is read as a user" in f.why]


def test_frames_are_read_as_files_are(tmp_path: Path) -> None:
    table = log(title=titles(_427="Mgu 7"))
    tables, _ = read(tmp_path, table)
    with pytest.warns(DataWarning, match="name another 'title'"):
        data = metarec.Dataset(interactions=table.to_pandas())
    assert tables.items is not None and data.items.frame.equals(tables.items)
    alone = metarec.Dataset(interactions=table, items=pl.DataFrame({"item_id": ["s7"]}))
    assert "title" in alone.interactions.frame.columns

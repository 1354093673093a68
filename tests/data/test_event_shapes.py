"""Events of other shapes than a row each: lists within orders, rows below the first of an order, a
matrix, a table in several files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.exports import one_file, titles, told
from metarec.data.cleaning import read_clean
from metarec.data.errors import BadInput
from metarec.data.ingest import ingest
from metarec.data.opening import open_tables

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


LINES = [{"product_id": f"x{n}", "title": f"Title {n}", "quantity": n % 3 + 1} for n in range(7)]


@pytest.mark.parametrize(
    "orders",
    [
        [
            {"id": n, "customer": {"id": f"u{n % 5}"}, "line_items": LINES[n % 4 :]}
            for n in range(9)
        ],
        [
            {
                "event_timestamp": 1_710_000_000_000_000 + n,
                "user_pseudo_id": f"u{n % 5}",
                "event_params": [{"key": "page", "value": {"string_value": "x"}}],
                "items": [
                    {"item_id": i["product_id"], "item_name": i["title"]} for i in LINES[n % 4 :]
                ],
            }
            for n in range(9)
        ],
        {
            "orders": [
                {
                    "user": f"u{n % 5}",
                    "items": [{"id": i["product_id"], "title": i["title"]} for i in LINES[n % 4 :]],
                }
                for n in range(9)
            ]
        },
        [
            {
                "user": f"u{n}",
                "orders": [{"no": k, "lines": LINES[k:]} for k in range(3 + (n == 0))],
            }
            for n in range(3)
        ],
    ],
)
def test_items_within_orders_are_rows(tmp_path: Path, orders: Any) -> None:
    data, found = one_file(tmp_path, json.dumps(orders), "orders.json")
    assert set(data.interactions.frame["item_id"]) == {f"x{n}" for n in range(7)}
    assert titles(data)["x3"] == "Title 3"
    assert any("each of them is a row of its own" in f.why for f in found)


def test_lists_of_ids_by_the_name_of_several(tmp_path: Path) -> None:
    rows = [json.dumps({"user_id": f"u{n}", "tracks": [f"x{n}", f"x{n + 1}"]}) for n in range(5)]
    data, _ = one_file(tmp_path, "\n".join(rows), "plays.jsonl")
    assert len(data.interactions) == 10


def test_rows_below_the_first_of_an_order_are_of_its_user(tmp_path: Path) -> None:
    rows = "".join(f"{n},u{n % 5},2024-01-0{n + 1},x1,2\n,,,x{n},1\n,,,x9,1\n" for n in range(6))
    data, found = one_file(tmp_path, f"Order,Customer,Date,Product,Qty\n{rows}")
    frame = data.interactions.frame
    assert len(frame) >= 17 and told(found, "blocks") == [12] and frame["timestamp"].min() > 1e9
    assert set(frame.filter(pl.col("item_id") == "x9")["user_id"]) == {f"u{n}" for n in range(5)}
    rows = "".join(
        f"#{n},u{n % 5}@x.org,2024-01-0{n + 1},x1,T1\n#{n},,2024-01-0{n + 1},y{n % 3},T2\n"
        for n in range(6)
    )
    names = "Name,Email,Created at,Lineitem sku,Lineitem name"
    data, found = one_file(tmp_path, f"{names}\n{rows}", "orders_export.csv")
    assert len(data.interactions) == 12 and told(found, "blocks") == [6]
    rows = "".join(f"#{n},{'' if n == 7 else 'u'},2024-01-01,x{n % 3}\n" for n in range(20))
    data, found = one_file(tmp_path, f"order,user,date,item\n{rows}", "guests.csv")
    assert len(data.interactions) == 19 and not told(found, "blocks")  # who that is nobody knows
    who = ["," * 2 if n % 7 == 3 else f"u{n % 5},Ann,2020-01-01" for n in range(20)]
    rows = "".join(f"{who[n]},2024-01-{n + 1:02d},x{n % 3}\n" for n in range(20))
    data, found = one_file(tmp_path, f"user,name,registered_at,date,item\n{rows}", "guests.csv")
    assert not told(found, "blocks") and len(data.interactions) == 17


def test_what_is_sold_is_known_by_its_number_before_its_name(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},Tea {n % 7 // 2}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,product_sku,product_name\n{rows}")
    assert set(data.interactions.frame["item_id"]) == {f"x{n}" for n in range(7)}
    assert "Tea 0" in data.items.frame["title"].to_list()


def test_a_matrix_of_users_and_items_is_read_and_told(tmp_path: Path) -> None:
    names = ["Alien", "Brazil", "Casablanca", "Diva", "Fargo", "Gattaca", "Heat", "Ida"]
    for first in ("user_id", ""):
        rows = "".join(
            f"u{u}," + ",".join("" if (u + n) % 3 else str(n % 5 + 1) for n in range(8)) + "\n"
            for u in range(9)
        )
        name = "films.csv" if first else "ratings.csv"  # as MovieLens calls its file
        data, found = one_file(tmp_path, ",".join([first, *names]) + f"\n{rows}", name)
        assert data.interactions.has_values and told(found, "matrix") == [24]
        assert set(data.interactions.frame["item_id"]) == set(names)
    rows = "".join(
        f"u{u}," + ",".join(str(int((u + n) % 3 == 0)) for n in range(8)) + "\n" for u in range(9)
    )
    data, found = one_file(tmp_path, ",".join(["customer", *names]) + f"\n{rows}", "bought.csv")
    assert len(data.interactions) == 24 and data.interactions.acts()["sign"].sum() == 24
    rows = "".join(
        f"u{u}," + ",".join("0" if (u + n) % 3 else str(n % 5 + 1) for n in range(8)) + "\n"
        for u in range(9)
    )
    data, found = one_file(tmp_path, ",".join(["user", *names]) + f"\n{rows}", "stars.csv")
    assert data.interactions.value_range == (1, 5) and len(data.interactions) == 24
    assert any(f.rule == "matrix" and "each number but 0" in f.why for f in found)
    rows = "".join(
        f"u{u}," + ",".join(str(20 + 7 * u + n) for n in range(8)) + "\n" for u in range(9)
    )
    with pytest.raises(BadInput, match="no column 'item_id'"):  # what users are like
        one_file(tmp_path, ",".join(["customer", *names]) + f"\n{rows}", "people.csv")


def test_a_table_in_several_files_is_one(tmp_path: Path) -> None:
    for month in (1, 2, 3):
        rows = "".join(f"u{n % 5},x{n % 7},{n % 4}\n" for n in range(month, 35, 3))
        for folder, name in (
            ("parts", f"part-{month:05d}.csv"),
            ("months", f"orders_2024_{month:02d}.csv"),
            (f"hive/date=2024-0{month}-01", "part.csv"),
        ):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_text(f"user,item,rating\n{rows}")
    (tmp_path / "parts" / "_SUCCESS").touch()
    (tmp_path / "months" / "products.csv").write_text("product_id,title\nx1,One\n")
    for folder in ("parts", "months", "hive"):
        data, report = read_clean(tmp_path / folder)
        assert len(data.interactions) == 34 and data.interactions.has_values
        assert any("3 files" in f.why for f in report.findings)
        ingest(tmp_path / folder, tmp_path / f"{folder}-out")
    assert read_clean(tmp_path / "hive")[0].interactions.has_time
    assert titles(read_clean(tmp_path / "months")[0])["x1"] == "One"


@pytest.mark.parametrize("name", ["clicked", "clicked_item", "clicked_items"])
def test_what_was_shown_and_not_clicked_is_an_impression(tmp_path: Path, name: str) -> None:
    shown = [[f"x{(3 * n + k) % 9}" for k in range(4)] for n in range(20)]
    taken = [
        [items[n % 4]] if name.endswith("s") else items[n % 4] for n, items in enumerate(shown)
    ]
    for form in (lambda i: i, lambda i: {"id": i, "price": 3}):
        rows = [
            {"user_id": f"u{n % 5}", name: taken[n], "items": [form(i) for i in shown[n]]}
            for n in range(20)
        ]
        data, found = one_file(tmp_path, "\n".join(map(json.dumps, rows)), "shown.jsonl")
        frame = data.interactions.frame
        assert frame.filter(kind="click").height > 10 and told(found, "kinds")[-1] == 60
        assert set(frame.filter(kind="click")["item_id"]) <= {i for row in shown for i in row}
        assert data.interactions.acts()["sign"].sum() == frame.filter(kind="click").height


def test_a_click_that_does_not_say_on_which_item_is_none(tmp_path: Path) -> None:
    rows = [
        {"user_id": f"u{n % 5}", "clicked": n % 3 == 0, "items": [f"x{n % 7}", f"x{n % 5 + 7}"]}
        for n in range(20)
    ]
    (tmp_path / "shown.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tables = open_tables(tmp_path / "shown.jsonl")
    assert set(tables.interactions["kind"]) == {"impression"}
    assert any("does not say which item" in f.why for f in tables.findings)
    for row in rows:
        row["purchased"] = row.pop("clicked")
    data, _ = one_file(tmp_path, "\n".join(map(json.dumps, rows)), "orders.jsonl")
    assert data.interactions.acts()["sign"].sum() == 14


def test_what_users_are_is_no_matrix_of_items(tmp_path: Path) -> None:
    names = "smoker married has_car has_kids owns_home vegan student retired".split()
    rows = "".join(
        f"u{u}," + ",".join(str(int((u + n) % 3 == 0)) for n in range(8)) + "\n" for u in range(9)
    )
    with pytest.raises(BadInput, match="no column 'item_id'"):
        one_file(tmp_path, ",".join(["user_id", *names]) + f"\n{rows}", "people.csv")

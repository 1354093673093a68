"""Events that lie in two files are joined by the key that these share, or refused with how."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from metarec.data.cleaning import read_clean
from metarec.data.ingest import ingest
from metarec.data.opening import open_tables
from metarec.data.schema import BadInput


def put(folder: Path, **tables: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text.replace(" ", "\n") + "\n")
    return folder


ORDERS = "order_id,customer_id,created_at 1,A,2026-01-01 2,B,2026-01-02 3,A,2026-01-03"
SHAPES = {
    "a key of one name": {
        "orders": ORDERS,
        "order_lines": "order_id,product_id,qty,price 1,X,1,5 1,Y,2,7 2,X,1,5 3,Z,1,9",
    },
    "a table's own id": {
        "orders": ORDERS.replace("order_id", "id"),
        "line_items": "id,order_id,product_id,qty 1,1,X,1 2,1,Y,2 3,2,X,1 4,3,Z,1",
    },
    "another word for number": {
        "invoices": ORDERS.replace("order_id", "Invoice"),
        "positions": "InvoiceNo,StockCode,qty 1.0,X,1 1.0,Y,2 2.0,X,1 3.0,Z,1",
    },
    "sessions and clicks": {
        "sessions": ORDERS.replace("order_id", "session_id"),
        "clicks": "session_id,product_id 1,X 1,Y 2,X 3,Z",
    },
    "tickets": {
        "tickets": ORDERS.replace("order_id", "ticket_nr"),
        "ticket_positions": "ticket_nr,article 1,X 1,Y 2,X 3,Z",
    },
    "Chinese names": {
        "订单": "订单编号,客户编号,下单时间 1,A,2026-01-01 2,B,2026-01-02 3,A,2026-01-03",
        "订单明细": "订单编号,商品编号,数量 1,X,1 1,Y,2 2,X,1 3,Z,1",
    },
    "what each row is of is in the smaller table": {
        "bookings": "booking_id,customer_id,variant_id,created_at "
        "1,A,o1,2026-01-01 2,A,o2,2026-01-01 3,B,o1,2026-01-02 4,A,o3,2026-01-03",
        "variants": "variant_id,product_id o1,X o2,Y o3,Z",
    },
    "with tables of users and items beside them": {
        "orders": ORDERS,
        "order_lines": "order_id,product_id,qty,price 1,X,1,5 1,Y,2,7 2,X,1,5 3,Z,1,9",
        "customers": "customer_id,city A,Rome B,Oslo",
        "products": "product_id,name X,Mug Y,Jug Z,Cup",
    },
    "lines that are called the events": {
        "orders": ORDERS,
        "interactions": "order_id,product_id 1,X 1,Y 2,X 3,Z",
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_two_files_are_joined_by_the_key_they_share(tmp_path: Path, shape: str) -> None:
    folder = put(tmp_path / "shop", **SHAPES[shape])
    tables = open_tables(folder)
    events = tables.interactions.sort("timestamp", "item_id")
    assert events.select("user_id", "item_id").rows() == [
        ("A", "X"),
        ("A", "Y"),
        ("B", "X"),
        ("A", "Z"),
    ]
    told = [f.why for f in tables.findings if f.rule == "joins"]
    assert len(told) == 1 and "were joined by" in told[0]
    assert not [f for f in tables.findings if "is read as a user" in f.why]
    if "customers" in SHAPES[shape]:
        assert tables.users is not None and tables.users["city"].to_list() == ["Rome", "Oslo"]
        assert tables.items is not None and tables.items["title"].to_list() == ["Mug", "Jug", "Cup"]


def test_rows_that_find_nothing_are_counted_and_ingest_finds_the_same(tmp_path: Path) -> None:
    lines = "order_id,product_id,qty 1,X,1 1,Y,2 2,X,1 9,Z,1 ,Z,1"
    folder = put(tmp_path / "shop", orders=ORDERS, order_lines=lines)
    data, report = read_clean(folder)
    found = {(f.action, f.rows) for f in report.findings if f.rule == "joins"}
    assert found == {("noted", 0), ("removed", 2), ("noted", 1)}
    assert (report.events_read, report.removed) == (5, 2)
    again = ingest(folder, tmp_path / "out")
    assert (again.events_read, again.removed) == (5, 2)
    cleaned = read_clean(tmp_path / "out")[0].interactions.frame
    assert cleaned["user_id"].equals(data.interactions.frame["user_id"])


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"orders": "nr,customer 1,A 2,A", "lines": "pos,product 1,X 1,Y"},
            "orders.csv says who acted and lines.csv on what, and no column that both have",
        ),
        (
            {"orders": "order_id,customer 1,A 1,A", "lines": "order_id,product 1,X 1,Y"},
            "no column that both have names one row of either; join them first",
        ),
        (
            {
                "orders": "order_id,basket_id,customer 1,1,A 2,2,A",
                "lines": "order_id,basket_id,product 1,2,X 2,1,Y",
            },
            "by several keys",
        ),
        ({"customers": "customer,age A,3 B,4", "products": "product,price X,1"}, "holds no inter"),
    ],
)
def test_tables_that_cannot_be_joined_are_refused_with_how(
    tmp_path: Path, tables: dict[str, str], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        open_tables(put(tmp_path / "shop", **tables))


@pytest.mark.parametrize("name", ["order_id", "Invoice No", "basket", "订单编号", "transactionId"])
def test_lines_alone_are_refused_with_where_to_put_them(tmp_path: Path, name: str) -> None:
    (tmp_path / "lines.csv").write_text(f"{name},product_id\n1,X\n")
    with pytest.raises(BadInput, match="put both into one folder"):
        open_tables(tmp_path / "lines.csv")


def test_files_of_all_that_is_said_stay_apart(tmp_path: Path) -> None:
    """A table of events that names users is not joined with anything."""
    folder = put(
        tmp_path / "shop",
        events="user_id,item_id,order_id A,X,1 B,Y,2",
        orders="order_id,customer_id 1,A 2,B",
    )
    tables = open_tables(folder)
    assert not [f for f in tables.findings if f.rule == "joins"]
    assert pl.Series(tables.interactions["user_id"]).to_list() == ["A", "B"]


def test_events_of_three_tables_are_joined_over_the_one_between(tmp_path: Path) -> None:
    visits = (f"v{n},c{n % 5},2024-01-{n + 1:02d}" for n in range(20))
    bookings = (f"b{n},v{n},x{n % 7}" for n in range(20))
    tables = {
        "members.csv": ["member_id,card_id,plan", *(f"u{n},c{n},basic" for n in range(5))],
        "cards.csv": ["card_id,member_id", *(f"c{n},u{n}" for n in range(5))],
        "visits.csv": ["visit_id,card_id,time", *visits],
        "bookings.csv": ["booking_id,visit_id,class_id", *bookings],
    }
    for name, lines in tables.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    data, report = read_clean(tmp_path)
    events = data.interactions
    assert (len(events), events.has_time) == (20, True)
    assert set(events.frame["user_id"]) == {f"u{n}" for n in range(5)}
    assert sum(f.rule == "joins" for f in report.findings) == 2
    assert not any("visits.csv" in f.why for f in report.findings if "not read" in f.why)


def test_a_key_is_known_by_its_tables_name_before_it(tmp_path: Path) -> None:
    loans = "".join(f"{n},u{n % 5},B{n % 7},2024-01-{n + 1:02d}\n" for n in range(20))
    (tmp_path / "loans.csv").write_text(f"loan_id,borrower,copy_barcode,date\n{loans}")
    copies = "".join(f"B{n},978{n // 2}\n" for n in range(7))
    (tmp_path / "copies.csv").write_text(f"barcode,isbn\n{copies}")
    (tmp_path / "books.csv").write_text("isbn,title\n9780,One\n9781,Two\n9782,Six\n9783,Ten\n")
    data, _ = read_clean(tmp_path)
    assert data.items.titles() == ["One", "Two", "Six", "Ten"] and len(data.interactions) == 20


def test_items_by_how_a_name_ends_and_tables_behind_the_name_of_their_program(
    tmp_path: Path,
) -> None:
    rows = "".join(f"c{n % 7},Course {n % 7},u{n % 5},2024-01-{n + 1:02d}\n" for n in range(20))
    names = "canvas_course_id,course_name,canvas_user_id,created_at"
    (tmp_path / "enrollments.csv").write_text(f"{names}\n{rows}")
    data, report = read_clean(tmp_path / "enrollments.csv")
    assert data.items.titles()[3] == "Course 3" and "c3" in data.items.vocabulary.ids
    assert any("'canvas_course_id' of enrollments.csv was" in f.why for f in report.findings)
    watched = "".join(f"{n},u{n % 5},m{n % 7},{n % 4}\n" for n in range(35))
    app = put(tmp_path / "app", app_movie="id,title m1,One m2,Two", app_user="id,login u1,Kim")
    (app / "app_watch.csv").write_text(f"id,user_id,movie_id,rating\n{watched}")
    data, _ = read_clean(app)
    assert "Two" in data.items.titles() and "login" in data.users.frame.columns


@pytest.mark.parametrize("names", ["Client,Product code,Product", "Patron No,Book ID,Book"])
def test_a_noun_beside_its_code_is_a_title(tmp_path: Path, names: str) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},The {n % 7},2024-01-{n + 1:02d}\n" for n in range(20))
    (tmp_path / "r.csv").write_text(f"{names},Date\n{rows}")
    data, _ = read_clean(tmp_path / "r.csv")
    assert set(data.interactions.frame["item_id"]) == {f"x{n}" for n in range(7)}
    assert data.items.titles() == [f"The {n}" for n in range(7)]
    item = names.split(",", 1)[1]
    (tmp_path / "items.csv").write_text(f"{item}\n" + "".join(f"x{n},The {n}\n" for n in range(7)))
    (tmp_path / "interactions.csv").write_text("user,item\nu1,x1\nu1,x2\nu2,x1\n")
    assert read_clean(tmp_path)[0].items.titles()[3] == "The 3"


REFUNDS = {
    "refunds": "refund_id,order_id,sku,qty,refunded_at 1,1,X,2,2026-02-01 2,3,Z,1,2026-02-02",
    "purchases": "order_id,customer_id,sku,qty,date "
    "1,A,X,2,2026-01-01 1,A,Y,1,2026-01-01 2,B,X,1,2026-01-02 3,A,Z,2,2026-01-03",
}


@pytest.mark.parametrize("name", ["purchases", "interactions"])
def test_refunds_are_joined_to_what_was_bought_and_those_of_a_part_say_nothing(
    tmp_path: Path, name: str
) -> None:
    tables = {"refunds": REFUNDS["refunds"], name: REFUNDS["purchases"]}
    data, report = read_clean(put(tmp_path / "shop", **tables))
    acts = data.interactions.frame.hstack(data.interactions.acts())
    refused = acts.filter(pl.col("sign") < 0)
    assert refused.select("user_id", "item_id", "kind").rows() == [("A", "X", "refund")]
    assert len(data.interactions) == 5 and len(data.items) == 3
    assert any(f"joined to those of {name}.csv" in f.why for f in report.findings)


def test_refunds_of_orders_in_two_files(tmp_path: Path) -> None:
    tables = dict(SHAPES["a key of one name"], returns="return_id,order_id,product_id 1,1,X 2,3,Z")
    acts = read_clean(put(tmp_path / "shop", **tables))[0].interactions
    refused = acts.frame.filter(acts.acts()["sign"] < 0)
    assert sorted(refused.select("user_id", "item_id").rows()) == [("A", "X"), ("A", "Z")]


def test_refunds_without_a_key_are_told_and_are_no_items(tmp_path: Path) -> None:
    tables = dict(REFUNDS, refunds="refund_id,sku,reason 1,X,late 2,Z,broken")
    data, report = read_clean(put(tmp_path / "shop", **tables))
    assert data.items.frame.columns == ["item_id"] and len(data.interactions) == 4
    assert any("no key of theirs names events: refunds.csv" in f.why for f in report.findings)
    whys = [f.why for f in ingest(tmp_path / "shop", tmp_path / "kept").findings]
    assert any("a share of the users at a time: refunds.csv" in why for why in whys)


EVENTS = [(f"u{n % 5}", f"x{n % 7}", n % 4 + 1) for n in range(35)]


@pytest.mark.parametrize(
    ("column", "legend", "names"),
    [
        ("event_type_id", "event_types", "event_type_id,name"),
        ("action_code", "actions", "code,label"),
    ],
)
def test_codes_of_acts_are_read_by_their_legend(
    tmp_path: Path, column: str, legend: str, names: str
) -> None:
    rows = " ".join(f"{u},{i},{code}" for u, i, code in EVENTS)
    meant = {1: "view", 2: "favorite", 3: "purchase", 4: "return"}
    told = " ".join(f"{code},{name}" for code, name in meant.items())
    tables = {"events": f"user_id,item_id,{column} {rows}", legend: f"{names} {told}"}
    data, report = read_clean(put(tmp_path / "shop", **tables))
    kinds = data.interactions.frame["kind"].to_list()
    assert {k: kinds.count(k) for k in meant.values()} == {
        name: sum(c == code for *_, c in EVENTS) for code, name in meant.items()
    }
    assert any(f"were read by {legend}.csv" in f.why for f in report.findings)
    tables[legend] = f"{names} 1,Berlin 2,Bonn 3,Ulm 4,Jena"
    data, report = read_clean(put(tmp_path / "shop", **tables))
    assert {*data.interactions.frame["kind"]} == {"event"}
    assert any(f"{column!r} of events.csv holds numbers" in f.why for f in report.findings)


def test_names_of_categories_are_no_acts(tmp_path: Path) -> None:
    rows = " ".join(f"{u},{i},{n % 3 + 1}" for n, (u, i, _) in enumerate(EVENTS))
    tables = {"events": f"user_id,item_id,category_id {rows}"}
    tables["categories"] = "category_id,name 1,Books 2,Watches 3,Returns"
    data, _ = read_clean(put(tmp_path / "shop", **tables))
    assert {*data.interactions.frame["kind"]} == {"event"}


def test_tables_called_like_acts_in_the_plural(tmp_path: Path) -> None:
    row = "learner_id,course_id {},{}"
    names = ["enrollments", "cart_additions", "waitlist", "drops", "wishlist_removals"]
    tables = {name: row.format(f"u{n}", f"x{n}") for n, name in enumerate(names)}
    data, _ = read_clean(put(tmp_path / "school", **tables))
    acts = data.interactions.frame.hstack(data.interactions.acts())
    signs = dict(acts.select("user_id", "sign").rows())
    assert signs == {"u0": 1, "u1": 1, "u2": 1, "u3": -1, "u4": -1}


def test_orders_and_their_lines_are_events_beside_reviews(tmp_path: Path) -> None:
    tables = {
        **SHAPES["with tables of users and items beside them"],
        "reviews": "review_id,customer_id,product_id,rating,written_at "
        "1,A,X,5,2026-02-01 2,B,X,2,2026-02-02 3,B,Z,4,2026-02-02",
    }
    data, report = read_clean(put(tmp_path, **tables))
    frame, acts = data.interactions.frame, data.interactions.acts()
    assert acts["rating"].drop_nulls().sort().to_list() == [2, 4, 5]
    unrated = frame.filter(acts["rating"].is_null())
    assert sorted(unrated.select("user_id", "item_id").rows()) == [
        ("A", "X"),
        ("A", "Y"),
        ("A", "Z"),
        ("B", "X"),
    ]
    assert {*unrated["kind"]} == {"order"}
    assert not any("not read" in f.why for f in report.findings)
    told = ingest(tmp_path, tmp_path / "clean").findings
    assert any("order_lines.csv, orders.csv; join them" in f.why for f in told)

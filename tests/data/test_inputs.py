"""Tables in shapes that users really have: each is read as meant, or what is lost is told."""

from __future__ import annotations

import gzip
import json
import sqlite3
import uuid
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

import metarec
from metarec.data.cleaning import check, read_clean
from metarec.data.dataset import Dataset
from metarec.data.findings import Finding
from metarec.data.ingest import ingest
from metarec.data.opening import open_tables
from metarec.data.schema import BadInput, DataWarning, Interactions
from metarec.data.sources.text.delimited import written_as_parquet

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def table(folder: Path, text: str | bytes, name: str = "interactions.csv") -> Path:
    """A data folder with one more file."""
    folder.mkdir(parents=True, exist_ok=True)
    content = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(content)
    return folder


def events(source: Any) -> pl.DataFrame:
    return metarec.read(source).interactions.frame


def of_rule(source: Any, rule: str) -> list[Finding]:
    return [f for f in read_clean(source)[1].findings if f.rule == rule]


def test_negative_amounts_say_no_and_are_counted(tmp_path: Path) -> None:
    table(tmp_path, "user_id,item_id,kind,units\na,x,order,2\nb,x,order,-1\nc,y,order,0\n")
    table(
        tmp_path, "[[sources]]\ninteractions='interactions.csv'\ncolumns={value='units'}", "c.toml"
    )
    report = check(tmp_path / "c.toml")
    assert [(k["rows"], k["refused"]) for k in report.facts["kind_use"]] == [(3, 2)]
    assert "2 rows say no" in report.to_text()


def test_quantities_below_zero_say_no_without_a_word_of_the_user(tmp_path: Path) -> None:
    table(tmp_path, "StockCode,Quantity,CustomerID\nx,2,1\nx,-1,2\ny,3,2\n")
    data, report = read_clean(tmp_path)
    assert not data.interactions.has_values and data.interactions.acts()["sign"].sum() == 1
    assert ("amounts", 1) in [(f.rule, f.rows) for f in report.findings]
    table(
        tmp_path,
        "[[sources]]\ninteractions='interactions.csv'\ncolumns={value='Quantity'}",
        "c.toml",
    )
    assert not metarec.read(tmp_path / "c.toml").interactions.has_values


def test_zeros_among_times_are_no_times(tmp_path: Path) -> None:
    table(tmp_path, "user_id,item_id,timestamp\na,x,0\nb,y,1600000000\nc,x,1600000001\n")
    data, report = read_clean(tmp_path)
    assert [(f.rule, f.rows) for f in report.findings] == [("untimed", 1)]
    assert data.interactions.frame["timestamp"].min() > 1.5e9


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    table(
        tmp_path,
        "user_id,item_id,rating\r\n\r\na,x,1\r\n\r\nb,y,odd\r\nc,z,3\r\n" + "d,x,2\r\n" * 3,
    )
    found = of_rule(tmp_path, "unreadable_rows")
    assert [list(f.examples) for f in found] == [["line 5 of interactions.csv: value 'odd'"]]


def test_chinese_names_of_columns(tmp_path: Path) -> None:
    rows = "甲,x,浏览,2024-01-01\n乙,y,购买,2024-01-02\n"
    table(tmp_path, f"用户,商品,行为,时间\n{rows}")
    assert set(events(tmp_path)["kind"]) == {"浏览", "购买"}


def test_rows_with_surplus_cells_are_counted_with_their_place_and_nothing_is_shifted(
    tmp_path: Path,
) -> None:
    rows = "".join(f"u{n},i{n % 3},160000000{n},view\n" for n in range(8))
    table(tmp_path, f"user_id,item_id,timestamp,kind\n{rows}Roe, Ann,i1,1600000009,view\n")
    table(tmp_path, "item_id,title,genres\ni0,Heat,Crime\ni1,Oh, Brother,Comedy\n", "items.csv")
    tables = open_tables(tmp_path)
    lost = [(f.table, f.rows, list(f.examples)) for f in tables.findings]
    assert ("interactions", 1, ["line 10 of interactions.csv: 5 cells"]) in lost
    assert ("items", 1, ["line 3 of items.csv: 4 cells"]) in lost
    assert tables.interactions.height == 8
    assert tables.items is not None and tables.items["title"].to_list() == ["Heat"]


def test_empty_cells_after_the_last_name_are_no_surplus(tmp_path: Path) -> None:
    table(tmp_path, "user_id,item_id,rating\na,x,1,\nb,y,2,\n")
    assert events(tmp_path).height == 2 and not of_rule(tmp_path, "unreadable_rows")


def test_mostly_surplus_cells_are_refused(tmp_path: Path) -> None:
    table(tmp_path, "user_id,item_id\na,b,c\nd,e,f\ng,h\n")
    with pytest.raises(BadInput, match=r"2 of 3 rows.*line 2 of interactions.csv: 3 cells"):
        metarec.read(tmp_path)


@pytest.mark.parametrize("separator", ["\t", ",", ";"])
def test_lone_quotes_hold_no_rows_together(tmp_path: Path, separator: str) -> None:
    names = ["a", '"Open', "b", 'Pipe 3"', "c", '7" and 12" discs', "d", '"whole" wheat']
    lines = [["user_id", "item_id", "timestamp"]]
    lines += [[f"u{n % 3}", name, str(1_600_000_000 + n)] for n, name in enumerate(names)]
    table(tmp_path, "\n".join(separator.join(line) for line in lines))
    assert sorted(events(tmp_path)["item_id"]) == sorted(names)


def test_quoted_cells_may_hold_separators_quotes_and_lines(tmp_path: Path) -> None:
    table(tmp_path, 'user_id,item_id,note\nu,"a, b","says ""hi""\nand goes"\nv,c,\n')
    frame = events(tmp_path)
    assert frame["item_id"].to_list() == ["a, b", "c"]
    assert frame["note"].to_list() == ['says "hi"\nand goes', None]
    table(tmp_path, 'user_id,item_id,note\nu,"a, b","two\nlines",x\nv,"c ""d""",e\nw,f,g\nw,h,i\n')
    rules = metarec.data.cleaning_config.CleaningConfig(most_unreadable=0.5)
    frame = metarec.read(tmp_path, rules=rules).interactions.frame
    assert frame["item_id"].to_list() == ['c "d"', "f", "h"]


@pytest.mark.parametrize(
    "never", ["9999-12-31", "0001-01-01", "1900-01-01", "253402300799", "253402300799000"]
)
def test_sentinels_are_times_out_of_range(tmp_path: Path, never: str) -> None:
    times = [str(1_600_000_000 + n) for n in range(3)] if never.isdigit() else []
    times = times or ["2023-01-01", "2023-01-02", "2023-01-03"]
    rows = "".join(f"u{n % 2},i{n},{t}\n" for n, t in enumerate([*times, never]))
    table(tmp_path, f"user_id,item_id,timestamp\n{rows}")
    data, report = read_clean(tmp_path)
    assert [(f.rule, f.rows, f.action) for f in report.findings] == [
        ("impossible_times", 1, "removed")
    ]
    assert len(data.interactions) == 3 and data.interactions.frame["timestamp"].min() > 1.5e9


@pytest.mark.parametrize(
    "moment",
    ["20240229", "20240229000000", "202402290000", "29.02.2024", "2024-02-29 00:00:00 UTC"],
)
def test_dates_that_can_be_read_in_one_way(tmp_path: Path, moment: str) -> None:
    table(tmp_path, f"user_id,item_id,timestamp\na,x,{moment}\nb,y,{moment[:-1]}{moment[-1]}\n")
    frame = Interactions.of({"user_id": ["a"], "item_id": ["x"], "timestamp": [moment]}).frame
    assert frame.height == 1
    later = moment.replace("2402", "2403").replace("02.2024", "03.2024").replace("-02-", "-03-")
    table(tmp_path, f"user_id,item_id,timestamp\na,x,{moment}\nb,y,{later}\n")
    assert events(tmp_path)["timestamp"].min() == 1_709_164_800.0


def test_a_format_of_dates(tmp_path: Path) -> None:
    table(tmp_path, "user_id,item_id,at\na,x,03/04/24 17:30\nb,y,08/04/24 08:00\n")
    source = "[[sources]]\ninteractions='interactions.csv'\ncolumns={timestamp='at'}\n"
    table(tmp_path, source, "c.toml")
    with pytest.raises(BadInput, match="time_format"):
        metarec.read(tmp_path / "c.toml")
    table(tmp_path, source + "time_format='%d/%m/%y %H:%M'\n", "c.toml")
    assert events(tmp_path / "c.toml")["timestamp"].min() == 1_712_165_400.0


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1,234", "900", "12,000"], [1234, 900, 12000]),
        (["1.234,5", "3", "2.000,25"], [1234.5, 3, 2000.25]),
        (["1,234.5", "3", "7"], [1234.5, 3, 7]),
        (["4,5", "3", "2,25"], [4.5, 3, 2.25]),
        (["1.234", "3.5", "2"], [1.234, 3.5, 2]),
        (["1 234", "3", "2"], [1234, 3, 2]),
    ],
)
def test_numbers_as_users_write_them(
    tmp_path: Path, cells: list[str], numbers: list[float]
) -> None:
    rows = "".join(f"u{n};i{n};listen;{c}\n" for n, c in enumerate(cells))
    table(tmp_path, f"user_id;item_id;kind;value\n{rows}")
    frame = events(tmp_path).sort("user_id")
    assert frame["value"].to_list() == pytest.approx(numbers)
    table(tmp_path / "price", "user_id;item_id\nu;i0\nv;i1\nw;i2\n")
    rows = "".join(f"i{n};{c}\n" for n, c in enumerate(cells))
    table(tmp_path / "price", f"item_id;price\n{rows}", "items.csv")
    assert metarec.read(tmp_path / "price").items.frame["price"].to_list() == pytest.approx(numbers)


def test_a_few_empty_times_leave_the_clock_to_the_others(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 2},i{n},2023-02-{n + 1:02}\n" for n in range(7))
    table(tmp_path, f"user_id,item_id,timestamp\n{rows}u1,i9,\nu0,i8,NULL\n")
    data, report = read_clean(tmp_path)
    assert data.interactions.has_time and len(data.interactions) == 9
    timed = data.interactions.frame.filter(~pl.col("item_id").is_in(["i8", "i9"]))
    assert timed["timestamp"].min() == 1_675_209_600.0
    untimed = data.interactions.frame.filter(pl.col("item_id").is_in(["i8", "i9"]))
    assert untimed["timestamp"].max() < 1_675_209_600.0
    found = [f for f in report.findings if f.rule == "untimed"]
    assert found[0].rows == 2 and "line 9 of interactions.csv" in found[0].examples[0]


@pytest.mark.parametrize("ids", [["101.0", "102.0"], ["101", "102.0"]])
def test_whole_ids_with_a_point_join_those_without(tmp_path: Path, ids: list[str]) -> None:
    table(tmp_path, f"user_id,item_id\n{ids[0]},5.0\n{ids[1]},6.0\n")
    table(tmp_path, "user_id,age\n101,30\n102,40\n", "users.csv")
    table(tmp_path, "item_id,title\n5,A\n6,B\n", "items.csv")
    data, report = read_clean(tmp_path)
    assert data.users.of_users(["101", "102"]) == [{"age": 30}, {"age": 40}]
    assert set(data.interactions.frame["item_id"]) == {"5", "6"}
    assert all(f.rule == "float_ids" for f in report.findings)


def test_ids_are_never_numbers(tmp_path: Path) -> None:
    key = str(uuid.uuid4())
    table(tmp_path, f"user_id,item_id\n007,1.10\n7,1.1\n{key},00\n")
    frame = events(tmp_path)
    assert set(frame["user_id"]) == {"007", "7", key} and set(frame["item_id"]) == {
        "1.10",
        "1.1",
        "00",
    }


def test_a_dataset_of_frames_is_read_as_by_read() -> None:
    frame = pd.DataFrame(
        {
            "Customer ID": [7, 7, None, 8],
            "sku": ["x", "y", "x", "y"],
            "rating": [5.0, None, 3.0, 1.0],
            "timestamp": pd.to_datetime(["2023-01-01", None, "2023-01-03", "2023-01-04"]),
        }
    )
    users = pd.DataFrame({"user_id": [7.0, 8.0], "member": ["yes", "no"], "age": ["31", "NULL"]})
    frame["Customer ID"] = frame["Customer ID"].fillna(9)
    given = Dataset(interactions=frame, users=users)
    read = metarec.read({"interactions": frame, "users": users})
    assert given.interactions.frame.equals(read.interactions.frame)
    assert given.users.frame.equals(read.users.frame)
    assert given.interactions.has_time and given.interactions.frame["value"].null_count() == 1
    assert given.users.of_users(["7", "8"]) == [{"member": True, "age": 31}, {"member": False}]


def test_keys_that_are_objects() -> None:
    keys = [uuid.uuid4(), uuid.uuid4()]
    frame = pd.DataFrame({"user_id": keys, "item_id": [1, 2]})
    assert set(Dataset(interactions=frame).interactions.frame["user_id"]) == {str(k) for k in keys}


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("latin-1", ["Zoë", "Zoé"]),
        ("cp1252", ["Ana “Ani”", "Ana €"]),
        ("utf-16", ["Zoë", "Zoé"]),
        ("utf-16-le", ["Zoë", "Zoé"]),
        ("gb18030", ["用户甲", "用户乙"]),
        ("gb18030", ["公平", "代价"]),
        ("big5", ["紅樓夢", "電影"]),
        ("cp932", ["となりのトトロ", "会員番号"]),
        ("cp932", ["購入日時", "2024年5月1日 8時5分"]),
        ("euc_jp", ["となりのトトロ", "会員"]),
        ("euc_kr", ["기생충", "영화 좋아요"]),
        ("cp1251", ["Война и мир", "Сергей"]),
        ("cp1253", ["Ο κύριος", "Αλέξης"]),
        ("cp1254", ["Müşteri", "Ağaçlı"]),
        ("cp1250", ["Żółta łódź", "źdźbło"]),
        ("mac_roman", ["Amélie", "über"]),
        ("cp850", ["Amélie", "über"]),
        ("cp1252", ["It’s", "5 °C"]),
        ("cp1252", ["Größe", "Straße"]),
        ("utf-8-sig", ["Zoë", "Zoé"]),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_letters_are_right_and_users_apart(
    tmp_path: Path, encoding: str, names: list[str], packed: bool
) -> None:
    content = f"user_id,item_id\n{names[0]},1\n{names[1]},1\n{names[1]},2\n".encode(encoding)
    name = "interactions.csv.gz" if packed else "interactions.csv"
    table(tmp_path, gzip.compress(content) if packed else content, name)
    assert set(events(tmp_path)["user_id"]) == set(names)
    assert bool(of_rule(tmp_path, "encoding")) == (encoding != "utf-8-sig")


def test_an_encoding_can_be_said(tmp_path: Path) -> None:
    table(tmp_path, "user_id,item_id\nžluťák,1\nb,2\n".encode("cp1250"))
    source = "[[sources]]\ninteractions='interactions.csv'\nencoding='{}'"
    table(tmp_path, source.format("cp1250"), "c.toml")
    assert set(events(tmp_path / "c.toml")["user_id"]) == {"žluťák", "b"}
    table(tmp_path, source.format("klingon"), "c.toml")
    with pytest.raises(BadInput, match="no encoding 'klingon'"):
        metarec.read(tmp_path / "c.toml")


@pytest.mark.parametrize("gap", ["NULL", "NA", "None", "\\N", "NaN", "", "n/a", "-"])
def test_a_number_with_gaps_is_a_number(tmp_path: Path, gap: str) -> None:
    table(tmp_path, f"user_id,item_id,rating\na,1,5\nb,2,{gap}\nc,1,3\n")
    table(tmp_path, f"user_id,age\na,21\nb,{gap}\nc,35\n", "users.csv")
    data = metarec.read(tmp_path)
    assert data.users.frame["age"].to_list() == [21, None, 35]
    assert data.interactions.frame.sort("user_id")["value"].to_list() == [5.0, None, 3.0]


@pytest.mark.parametrize("words", [("True", "False"), ("yes", "no"), ("Y", "N"), ("t", "f")])
def test_truth_in_words_is_truth(tmp_path: Path, words: tuple[str, str]) -> None:
    table(tmp_path, "user_id,item_id\na,1\nb,2\n")
    table(tmp_path, f"user_id,member\na,{words[0]}\nb,{words[1]}\nc,\n", "users.csv")
    assert metarec.read(tmp_path).users.frame["member"].to_list() == [True, False, None]


def test_letters_are_no_truth_alone(tmp_path: Path) -> None:
    table(tmp_path, "user_id,item_id\na,1\nb,2\n")
    table(tmp_path, "user_id,gender,language\na,F,no\nb,F,no\n", "users.csv")
    assert metarec.read(tmp_path).users.frame["gender"].to_list() == ["F", "F"]


@pytest.mark.parametrize(
    "cells",
    [
        ["Rock|Pop", "Rock|Jazz", "Pop"],
        ["Rock, Pop", "Rock, Jazz", "Pop"],
        ["Rock,Pop", "Rock,Jazz", "Pop"],
        ["Rock; Pop", "Rock;Jazz", "Pop"],
        ['["Rock", "Pop"]', '["Rock", "Jazz"]', '["Pop"]'],
        ["['Rock', 'Pop']", "['Rock', 'Jazz']", "['Pop']"],
        ['[{"id": 1, "name": "Rock"}, {"id": 2, "name": "Pop"}]', '["Rock", "Jazz"]', '["Pop"]'],
    ],
)
@pytest.mark.parametrize("column", ["genres", "tags", "category"])
def test_tags_are_parted_whatever_parts_them(tmp_path: Path, cells: list[str], column: str) -> None:
    table(tmp_path, "user_id,item_id\na,0\nb,1\nc,2\n")
    frame = pl.DataFrame({"item_id": ["0", "1", "2"], column: cells})
    frame.write_csv(tmp_path / "items.csv")
    items = metarec.read(tmp_path).items.frame
    name = "categories" if "categories" in items.columns else column
    assert items[name].to_list() == ["Rock|Pop", "Rock|Jazz", "Pop"]


def test_one_name_with_a_comma_stays_one_tag(tmp_path: Path) -> None:
    table(tmp_path, "user_id,item_id\na,0\nb,1\n")
    table(tmp_path, 'item_id,category\n0,"Home, Garden"\n1,"Home, Garden"\n', "items.csv")
    assert metarec.read(tmp_path).items.frame["categories"].to_list() == ["Home, Garden"] * 2


def test_names_of_columns_that_end_as_expected(tmp_path: Path) -> None:
    table(tmp_path, '"User-ID";"ISBN";"Film-Rating"\n"1";"a";"3"\n"2";"b";"9"\n')
    table(tmp_path, '"ISBN";"Film-Title";"Film-Author"\n"a";"A";"X"\n"b";"B";"Y"\n', "items.csv")
    data, report = read_clean(tmp_path)
    assert data.interactions.has_values and data.items.titles() == ["A", "B"]
    assert "author" in data.items.frame.columns
    assert {f.rule for f in report.findings} == {"columns"}


def test_a_mean_rating_is_nobodys_rating(tmp_path: Path) -> None:
    table(tmp_path, "user_id,item_id,avg_rating\na,x,3.5\nb,y,4\n")
    assert not metarec.read(tmp_path).interactions.has_values


def test_events_without_a_rating_are_implicit(tmp_path: Path) -> None:
    table(tmp_path, "user_id,item_id,rating\na,x,5\na,y,\nb,x,2\nb,z,\n")
    found = metarec.read(tmp_path).interactions
    rated = found.frame.hstack(found.acts()).filter(pl.col("rating").is_null())
    assert set(rated["item_id"]) == {"y", "z"} and rated["value"].null_count() == 2
    assert found.value_range == (2.0, 5.0)


def test_clicks_beside_ratings_stay_clicks_with_their_times(tmp_path: Path) -> None:
    table(tmp_path, "user_id,item_id,stars\na,x,5\na,y,1\nb,x,4\n", "ratings.csv")
    table(tmp_path, "user_id,item_id,ts\na,z,1600000001\nb,z,1600000003\n", "clicks.csv")
    table(
        tmp_path,
        "[[sources]]\ninteractions='ratings.csv'\n[[sources]]\ninteractions='clicks.csv'",
        "c.toml",
    )
    data, report = read_clean(tmp_path / "c.toml")
    found = data.interactions
    clicks = found.frame.hstack(found.acts()).filter(pl.col("kind") == "click")
    assert clicks["timestamp"].to_list() == [1600000001.0, 1600000003.0]
    assert clicks["rating"].null_count() == 2 and found.value_range == (1.0, 5.0)
    assert ("untimed", 3) in [(f.rule, f.rows) for f in report.findings]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A database of orders and their lines."""
    with sqlite3.connect(tmp_path / "shop.db") as db:
        db.executescript(
            "create table orders(order_id, user_id, day); create table lines(order_id, sku);"
            "insert into orders values (1,'a','2023-01-01'),(2,'b','2023-01-02');"
            "insert into lines values (1,'x'),(1,'y'),(2,'x');"
            "create view events as select user_id, sku as item_id from orders "
            "join lines using (order_id);"
        )
    return tmp_path


@pytest.mark.parametrize(
    "query",
    [
        "select * from orders o join lines l on o.order_id = l.order_id",
        "-- every line\nselect user_id, sku from orders join lines using (order_id);",
        "/* a\ncomment */ SELECT user_id, sku FROM main.orders JOIN lines USING (order_id)",
        "WITH o AS (SELECT * FROM orders) SELECT user_id, sku FROM o JOIN lines USING (order_id)",
        "main.events",
        "events",
        "-- with\n-- two\nWITH\to AS (SELECT 1)\nselect user_id, sku, '12:30' as x from orders "
        "join lines using (order_id)",
    ],
)
def test_queries_in_any_form(shop: Path, query: str) -> None:
    text = f"[[sources]]\ndatabase='sqlite:///shop.db'\ninteractions='''{query}'''"
    table(shop, text, "c.toml")
    assert sorted(events(shop / "c.toml").select("user_id", "item_id").rows()) == [
        ("a", "x"),
        ("a", "y"),
        ("b", "x"),
    ]
    assert bool(of_rule(shop / "c.toml", "columns")) == query.startswith("select *")


def test_a_view_is_found_as_a_table_is(shop: Path) -> None:
    assert len(events(f"sqlite:///{shop}/shop.db")) == 3


def test_events_join_on_the_id_that_fits(tmp_path: Path) -> None:
    rows = [
        {"user_id": "a", "asin": "P1-s", "parent_asin": "P1", "rating": 4},
        {"user_id": "b", "asin": "P2-m", "parent_asin": "P2", "rating": 2},
    ]
    table(tmp_path, "\n".join(map(json.dumps, rows)), "interactions.jsonl")
    table(
        tmp_path,
        '{"parent_asin":"P1","title":"A"}\n{"parent_asin":"P2","title":"B"}',
        "items.jsonl",
    )
    data, report = read_clean(tmp_path)
    assert set(data.interactions.frame["item_id"]) == {"P1", "P2"} and len(data.items) == 2
    assert any("joined on parent_asin" in f.why for f in report.findings)


def test_tables_that_meet_nowhere_are_named_with_the_way_out(tmp_path: Path) -> None:
    table(tmp_path, "user_id,item_id\nAB-1,1\nAB-2,2\n")
    table(tmp_path, "user_id,age\nab-1,20\nab-2,30\n", "users.csv")
    found = of_rule(tmp_path, "joins")
    assert [f.rows for f in found] == [2] and "in lower case" in found[0].why


@pytest.mark.parametrize("code", [99, -1])
def test_codes_for_not_rated_are_named_with_the_setting(tmp_path: Path, code: int) -> None:
    ratings = [5, code, 3, 4, code, 2, 1, code]
    rows = "".join(f"u{n % 4},i{n},{r}\n" for n, r in enumerate(ratings))
    table(tmp_path, f"user_id,item_id,rating\n{rows}")
    found = of_rule(tmp_path, "stray_values")
    assert [f.rows for f in found] == [3] and f"not_rated = [{code}]" in found[0].why
    source = f"[cleaning]\nnot_rated=[{code}]\n[[sources]]\ninteractions='interactions.csv'"
    table(tmp_path, source, "c.toml")
    assert [f.rows for f in of_rule(tmp_path / "c.toml", "not_rated")] == [3]
    table(tmp_path, source.replace("not_rated", "implicit_values"), "c.toml")
    data = read_clean(tmp_path / "c.toml")[0]
    assert len(data.interactions) == 8 and data.interactions.acts()["rating"].null_count() == 3


def test_zeros_that_may_be_no_ratings_are_named(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 4},i{n},{r}\n" for n, r in enumerate([0, 8, 0, 5, 0, 10]))
    table(tmp_path, f"user_id,item_id,rating\n{rows}")
    assert "implicit_values = [0]" in of_rule(tmp_path, "zero_ratings")[0].why


@pytest.mark.parametrize("zeros", [1, 6])
def test_a_few_zeros_are_told_where_they_are_more_than_the_next_ratings(
    tmp_path: Path, zeros: int
) -> None:
    ratings = [0] * zeros + [1] * 3 + [4] * 21 + [5] * 30
    rows = "".join(f"u{n % 7},x{n % 11},{ratings[n]}\n" for n in range(len(ratings)))
    (tmp_path / "interactions.csv").write_text(f"user,item,rating\n{rows}")
    assert len(of_rule(tmp_path, "zero_ratings")) == int(zeros > 3)


def test_spaces_around_cells_are_no_part_of_them(tmp_path: Path) -> None:
    table(tmp_path, 'user_id , item_id, kind, place\n u, i, view, "a, b"\n u , j ,purchase , c\n')
    frame = events(tmp_path)
    assert sorted(frame.select("user_id", "item_id", "kind", "place").rows()) == [
        ("u", "i", "view", "a, b"),
        ("u", "j", "purchase", "c"),
    ]
    spaced = {"user_id": ["u"], "item_id": [" i "], "kind": [" view "], "place": [" c "]}
    frame = events({"interactions": pl.DataFrame(spaced)})
    assert frame.select("item_id", "kind", "place").row(0) == ("i", "view", "c")


@pytest.mark.parametrize("name", ["interactions.jsonl", "interactions.json", "interactions.csv"])
def test_a_byte_order_mark_costs_no_event(tmp_path: Path, name: str) -> None:
    rows = [{"user_id": "a", "item_id": "1"}, {"user_id": "b", "item_id": "2"}]
    text = "\n".join(map(json.dumps, rows)) if "csv" not in name else "user_id,item_id\na,1\nb,2\n"
    table(tmp_path, b"\xef\xbb\xbf" + text.encode(), name)
    assert events(tmp_path).height == 2


@pytest.mark.parametrize(
    "shape", ["[{0}, {1}]", '{{"events": [{0}, {1}]}}', "{0}\n{1}", "[\n {0},\n {1}\n]\n"]
)
def test_json_of_any_shape(tmp_path: Path, shape: str) -> None:
    one, two = '{"user_id": 1, "item_id": "x"}', '{"user_id": 2, "item_id": "y", "place": "c"}'
    table(tmp_path, shape.format(one, two), "interactions.json")
    assert sorted(events(tmp_path).select("user_id", "item_id").rows()) == [("1", "x"), ("2", "y")]


def test_a_table_without_names_is_asked_about(tmp_path: Path) -> None:
    table(tmp_path, "196,242,3\n186,302,5\n22,377,1\n")
    with pytest.raises(BadInput, match=r"first line looks like a row.*names = \["):
        metarec.read(tmp_path)
    text = "[[sources]]\ninteractions='interactions.csv'\nnames=['user_id','item_id','rating']"
    table(tmp_path, text, "c.toml")
    assert sorted(events(tmp_path / "c.toml")["user_id"]) == ["186", "196", "22"]


def test_unknown_kinds_are_named_once_with_the_nearest(tmp_path: Path) -> None:
    table(tmp_path, "user_id,item_id,kind\na,1,puchase\nb,2,puchase\nb,1,view\n")
    found = of_rule(tmp_path, "kinds")
    assert [f.rows for f in found] == [2] and "is 'purchase' meant?" in found[0].why
    table(tmp_path, "[kinds]\npurchas=1\n[[sources]]\ninteractions='interactions.csv'", "c.toml")
    assert any("no event is of that kind" in f.why for f in of_rule(tmp_path / "c.toml", "kinds"))


def test_returns_stay_as_a_no_and_unlikes_go(tmp_path: Path) -> None:
    rows = "a,x,1600000000,purchase\na,x,1600009000,return\nb,y,1600000000,like\n"
    rows += "b,y,1600009000,unlike\n"
    table(tmp_path, f"user_id,item_id,timestamp,kind\n{rows}c,z,1600000500,purchase\n")
    found = read_clean(tmp_path)[0].interactions.frame
    assert set(found["kind"]) == {"return", "purchase"} and found.height == 2


@pytest.mark.parametrize("written", ["(2)", "2-", "−2", "－２"])
def test_amounts_below_zero_in_any_form_say_no(tmp_path: Path, written: str) -> None:
    rows = "".join(f"x,1,c{n}\n" for n in range(9))
    table(tmp_path, f"StockCode,Quantity,CustomerID\n{rows}x,{written},c9\n")
    assert metarec.read(tmp_path).interactions.acts()["sign"].sum() == 8
    assert [f.rows for f in of_rule(tmp_path, "amounts")] == [1]


def test_days_of_a_spreadsheet_are_times_and_told(tmp_path: Path) -> None:
    table(tmp_path, "user,item,date\na,x,45123.5\na,y,45124\nb,x,45200.25\n")
    assert events(tmp_path)["timestamp"].sort().to_list() == [1689508800, 1689552000, 1696140000]
    assert "spreadsheet" in of_rule(tmp_path, "time_units")[0].why
    table(tmp_path, "user,item,ts\na,x,43200\na,y,86399\nb,x,1\n")  # seconds of a day
    assert events(tmp_path)["timestamp"].max() == 86399


def test_what_nobody_sees_is_no_part_of_an_id(tmp_path: Path) -> None:
    table(tmp_path, "user,item\nu\u200b,x\nu\u00a0,y\n\ufeffu,z\nv\u200e,x\n")
    assert sorted(set(events(tmp_path)["user_id"])) == ["u", "v"]


def test_ids_that_a_spreadsheet_rounded_are_told_once(tmp_path: Path) -> None:
    table(tmp_path, "user,item\na,1.23E+12\nb,1.23E+12\nc,77\n")
    assert [f.rows for f in of_rule(tmp_path, "rounded_ids")] == [2]


def test_ids_that_no_request_can_name_are_told(tmp_path: Path) -> None:
    """A service refuses them: such users got no slate, and events on such items were refused."""
    long = "L" * 257
    table(tmp_path, f'user,item\n"a\nb",x\nb,{long}\nb,{long[1:]}\nc,"t\tu"\nc,x\n')
    found = of_rule(tmp_path, "unsendable_ids")
    assert [(one.rows, one.action) for one in found] == [(1, "noted"), (2, "noted")]
    assert "item_id has more than 256 letters, or line ends" in found[1].why
    assert len(set(events(tmp_path)["item_id"])) == 4  # they stay


def test_an_id_with_a_point_is_told_as_shortened_only_where_it_is(tmp_path: Path) -> None:
    table(tmp_path, "user,item\na,1.0\nb,2.0\nb,..\n")
    assert set(events(tmp_path)["item_id"]) == {"1.0", "2.0", ".."}
    assert of_rule(tmp_path, "float_ids") == []
    table(tmp_path, "user,item\na,1.0\nb,2.0\n")
    assert len(of_rule(tmp_path, "float_ids")) == 1


def test_two_columns_of_one_name_are_told(tmp_path: Path) -> None:
    table(tmp_path, "user,item,rating,rating\na,x,5,1\nb,x,4,2\nc,y,3,3\n")
    assert "two columns 'rating'" in of_rule(tmp_path, "columns")[0].why


@pytest.mark.parametrize(
    "column", ["status,completed,returned", "verb,liked,hid", "做了,购买,退货", "x,view,impression"]
)
def test_a_column_of_kinds_is_found_by_what_it_says(tmp_path: Path, column: str) -> None:
    name, yes, no = column.split(",")
    table(tmp_path, f"user,item,{name}\na,x,{yes}\na,y,{no}\nb,x,{yes}\n")
    data, report = read_clean(tmp_path)
    assert sorted(data.interactions.frame["kind"]) == sorted([yes, no, yes])
    assert data.interactions.acts()["sign"].sum() == 2 - (no not in ("impression",))
    assert any(f.rule == "kinds" and name in f.why for f in report.findings)


def test_a_column_that_may_say_where_from_stays_and_is_asked_about(tmp_path: Path) -> None:
    table(tmp_path, "user,item,source\na,x,search\na,y,share\nb,x,search\n")
    assert "source" in events(tmp_path).columns
    assert "columns = { kind = 'source' }" in of_rule(tmp_path, "kinds")[0].why
    table(tmp_path, "user,item,how\na,x,hide\na,y,zapped\nb,x,view\n")  # one is no known kind
    assert "columns = { kind = 'how' }" in of_rule(tmp_path, "kinds")[0].why


def test_columns_of_yes_and_no_say_what_was_done(tmp_path: Path) -> None:
    rows = "a,x,1,0,0\na,y,1,1,0\nb,x,0,0,0\nb,y,0,0,1\n"
    table(tmp_path, f"user,item,is_click,purchased,hide\n{rows}")
    frame = events(tmp_path).sort("user_id", "item_id")
    assert frame["kind"].to_list() == ["click", "purchase", "impression", "hide"]
    assert "hide" not in frame.columns and "is_click" not in frame.columns
    assert "impression" in of_rule(tmp_path, "kinds")[0].why
    table(tmp_path, "user,item,liked\na,x,True\na,y,False\nb,x,True\n")
    assert sorted(metarec.read(tmp_path).interactions.acts()["sign"]) == [0, 1, 1]


def test_what_users_hid_or_declined_says_no(tmp_path: Path) -> None:
    for name in ("hidden", "is_hidden", "dislike"):
        table(tmp_path, f"user,item,{name}\na,x,no\na,y,yes\nb,x,no\n")
        assert sorted(metarec.read(tmp_path).interactions.acts()["sign"]) == [-1, 1, 1]
    table(tmp_path, "user,item,accepted\na,x,yes\na,y,no\nb,x,yes\n")
    assert sorted(events(tmp_path)["kind"]) == ["accept", "accept", "decline"]
    assert "'accepted'" in of_rule(tmp_path, "kinds")[1].why
    table(tmp_path, "user,item,accepted\na,x,X\na,y,\nb,x,X\n")  # not answered yet
    assert sorted(events(tmp_path)["kind"]) == ["accept", "accept", "impression"]
    table(tmp_path, "user,item,rating,hidden\na,x,5,0\na,y,4,1\nb,x,3,0\n")  # of the review
    assert set(events(tmp_path)["kind"]) == {"event"}


def test_a_line_of_names_within_a_table_is_no_event(tmp_path: Path) -> None:
    rows = "".join(f"c,i{n},view\n" for n in range(9))
    table(tmp_path, f"user,item,kind\na,x,view\nuser,item,kind\nb,x,view\nb,,view\n{rows}")
    assert events(tmp_path).height == 11
    assert of_rule(tmp_path, "names_again")[0].rows == 1
    (no_item,) = [
        f for f in read_clean(tmp_path)[1].findings if any("line 5" in e for e in f.examples)
    ]
    assert no_item.rows == 1  # where it stands in the file


@pytest.mark.parametrize("last", ["Total,60,3.2", "合计:,,180", "Average,all,3"])
def test_sums_below_a_table_are_no_events(tmp_path: Path, last: str) -> None:
    rows = "".join(f"u{n % 9},i{n % 7},{n % 5 + 1}\n" for n in range(40))
    table(tmp_path, f"user,item,rating\n{rows}{last}\n")
    assert set(events(tmp_path)["user_id"]) == {f"u{n}" for n in range(9)}
    assert of_rule(tmp_path, "sums")[0].rows == 1


def test_reading_in_bounded_memory_leaves_such_rows_to_the_careful_reader(tmp_path: Path) -> None:
    rows, target = "a,x,view\n" * 9, tmp_path / "sunk.parquet"
    for last, is_sunk in (("", True), ("user,item,kind\na,y,view\n", False), ("Sum,9,\n", False)):
        table(tmp_path, f"user,item,kind\n{rows}{last}")
        sunk = written_as_parquet(tmp_path / "interactions.csv", target)
        assert (sunk is not None) == is_sunk


def test_a_user_called_total_is_one(tmp_path: Path) -> None:
    table(tmp_path, "user,item\ntotal,x\na,x\na,y\nb,x\nb,z\ntotal,y\n")
    assert "total" in set(events(tmp_path)["user_id"])


def test_rows_shorter_than_the_names_are_told(tmp_path: Path) -> None:
    table(tmp_path, 'user,item,kind,rating\na,x,view,4\na,y\nb,"x,y",view,\nb,z,view\n')
    assert events(tmp_path).height == 4
    assert [f.rows for f in of_rule(tmp_path, "short_rows")] == [2]
    table(tmp_path, "User,,Item,\nNo,City,No,Rating\n1,Rome,8\n1,Rome,7,3\n2,Bonn,7,4\n")
    assert [f.rows for f in of_rule(tmp_path, "short_rows")] == [1]


def test_columns_of_yes_and_no_about_other_things_say_nothing_of_the_act(tmp_path: Path) -> None:
    table(tmp_path, "user,item,sale,mobile\na,x,1,0\na,y,0,1\nb,x,1,1\n")
    assert set(events(tmp_path)["kind"]) == {"event"}


def test_thumbs_are_a_yes_and_a_no(tmp_path: Path) -> None:
    table(tmp_path, "user,item,rating\na,x,1\na,y,-1\nb,x,1\nb,y,-1\n")
    data = metarec.read(tmp_path)
    assert not data.interactions.has_values
    assert sorted(data.interactions.acts()["sign"]) == [-1, -1, 1, 1]


def test_truth_as_a_rating_is_one_and_zero_and_told(tmp_path: Path) -> None:
    table(tmp_path, "user,item,rating\na,x,True\na,y,False\nb,x,true\n")
    assert sorted(events(tmp_path)["value"]) == [0, 1, 1]
    assert "1 and 0" in of_rule(tmp_path, "number_form")[0].why


def test_objects_in_cells_are_columns(tmp_path: Path) -> None:
    row = {"user": {"id": "u"}, "item": {"id": "x", "shop": {"name": "s"}}, "kind": "view"}
    table(tmp_path, json.dumps(row) + "\n" + json.dumps(row) + "\n", "interactions.jsonl")
    frame = metarec.read(tmp_path).interactions.frame
    assert frame["user_id"][0] == "u" and frame["item_id"][0] == "x"
    assert frame["item_shop_name"][0] == "s"


@pytest.mark.parametrize(
    "names",
    [
        "用户编号,商品编号,行为时间,操作",
        "会员号,产品代码,下单时间,事件类型",
        "学号,课程编号,报名时间,动作",
    ],
)
def test_further_chinese_names_of_columns(tmp_path: Path, names: str) -> None:
    table(tmp_path, f"{names}\na,x,2026-03-01,浏览\nb,x,2026-03-02,退货\n")
    frame = events(tmp_path)
    assert frame["kind"].to_list() == ["浏览", "退货"] and frame["timestamp"][0] > 1e9


def test_ingest_reads_as_read_does(tmp_path: Path) -> None:
    rows = "".join(f"Zoë {n},i{n % 3},20230{n % 9 + 1}11,view\n" for n in range(30))
    text = f"user_id,item_id,timestamp,kind\n{rows}Roe, Ann,i1,20230101,view\n"
    table(tmp_path / "in", text.encode("latin-1"))
    report = ingest(tmp_path / "in", tmp_path / "out", rows_at_once=10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        assert events(tmp_path / "out").height == events(tmp_path / "in").height == 30
    assert report.removed == 1 and "Zoë 4" in set(events(tmp_path / "out")["user_id"])


def test_bare_ids_are_a_history() -> None:
    asked = metarec.Request(history=["20", 7])  # type: ignore[list-item]
    assert list(asked.history) == [("20", None), ("7", None)]
    with pytest.raises(BadInput, match="list of events"):
        metarec.Request(history="20")  # type: ignore[arg-type]

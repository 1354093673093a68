"""Tables that newcomers bring: dates, units, tags, kinds and ids in the forms of shops,
feeds, courses, clinics, banks, fleets and travel; each is read as meant, or what is not is told.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from metarec.data.cleaning import CleaningConfig, read_clean
from metarec.data.dataset import Dataset
from metarec.data.findings import Finding
from metarec.data.ingest import ingest
from metarec.data.kinds import Kinds
from metarec.data.opening import open_tables
from metarec.data.schema import BadInput
from metarec.features.usage import column_use

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def read(source: Any) -> tuple[Dataset, list[Finding]]:
    data, report = read_clean(source)
    return data, report.findings


def dated(*times: str, **columns: list[str]) -> pl.DataFrame:
    table = pl.DataFrame(
        {"user_id": [f"u{n}" for n in range(len(times))], "item_id": ["x"] * len(times)}
    )
    further = [pl.Series(name, cells) for name, cells in columns.items()]
    return table.with_columns(pl.Series("time", times, dtype=pl.Utf8), *further)


def moments(data: Dataset) -> list[str]:
    times = data.interactions.frame["timestamp"]
    return [datetime.fromtimestamp(t, UTC).isoformat(" ")[:19] for t in times]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2023-09-11 03:51:38 +0800", "2023-09-10 19:51:38"),
        ("2023-09-11T03:51:38+02:00[Europe/Paris]", "2023-09-11 01:51:38"),
        ("2023.09.11", "2023-09-11 00:00:00"),
        ("2023-09", "2023-09-01 00:00:00"),
        ("202309", "2023-09-01 00:00:00"),
        ("2023-W37-2", "2023-09-12 00:00:00"),
        ("2023-W37", "2023-09-11 00:00:00"),
        ("2023-09-11 03", "2023-09-11 03:00:00"),
        ("20230911 03:51", "2023-09-11 03:51:00"),
        ("2023-09-11 3:51 PM", "2023-09-11 15:51:00"),
        ("2023年9月11日 3时51分", "2023-09-11 03:51:00"),
        ("2023年09月11日 03:51:38", "2023-09-11 03:51:38"),
        ("Sep 11, 2023", "2023-09-11 00:00:00"),
        ("September 11, 2023 3:51:02 pm", "2023-09-11 15:51:02"),
        ("11-Sep-2023", "2023-09-11 00:00:00"),
        ("Mon, 11 Sep 2023 03:51:38 GMT", "2023-09-11 03:51:38"),
        ("Mon Sep 11 03:51:38 2023", "2023-09-11 03:51:38"),
    ],
)
def test_dates_that_can_be_read_in_one_way(written: str, meant: str) -> None:
    data, _ = read(dated(written, "2023-01-01" if not written.isdigit() else "202301"))
    assert moments(data)[0] == meant


def test_days_and_months_are_told_apart_where_some_day_is_above_12() -> None:
    data, found = read(dated("11/09/2023", "25/09/2023"))
    assert moments(data) == ["2023-09-11 00:00:00", "2023-09-25 00:00:00"]
    assert "%d/%m/%Y, which alone fits" in found[0].why
    data, _ = read(dated("09/11/2023 03:51 PM", "09/25/2023 03:51 AM"))
    assert moments(data) == ["2023-09-11 15:51:00", "2023-09-25 03:51:00"]
    with pytest.raises(BadInput, match="%d/%m/%Y or %m/%d/%Y"):
        read(dated("11/09/2023", "02/09/2023"))


@pytest.mark.parametrize(
    "names", [("date", "time"), ("order_date", "order_time"), ("日期", "时间")]
)
def test_a_day_and_a_time_of_day_are_one_moment(names: tuple[str, str]) -> None:
    table = dated("x", "y").drop("time")
    table = table.with_columns(
        pl.Series(names[0], ["2023-01-31", "2023-02-01"]), pl.Series(names[1], ["10:00", "23:00"])
    )
    data, found = read(table)
    assert moments(data) == ["2023-01-31 10:00:00", "2023-02-01 23:00:00"]
    assert repr(names[0]) in found[0].why and not data.interactions.context_columns


def test_the_time_of_something_else_stays_with_it() -> None:
    data, _ = read(dated("2023-01-31", "2023-02-01", delivery_time=["10:00", "11:00"]))
    assert moments(data)[0] == "2023-01-31 00:00:00"
    assert data.interactions.context_columns == ["delivery_time"]


def test_several_times_of_which_none_is_taken_are_named() -> None:
    table = dated("2023-01-31", "2023-02-01", weighed_at=["2023-02-02", "2023-01-30"])
    data, found = read(table.rename({"time": "packed_at"}))
    assert not data.interactions.has_time
    assert "'packed_at', 'weighed_at'" in found[0].why and "columns = { timestamp" in found[0].why


def test_clocks_that_hardly_count_seconds_and_times_to_come_are_told() -> None:
    tens = dated("168044184", "169908714")  # of seconds
    assert "only their order is right" in read(tens)[1][0].why
    late = dated("2023-01-01", "2150-01-01")
    assert "1 of 2 times lie in the future" in read(late)[1][0].why


def test_words_for_nothing_among_numbers_are_gaps(tmp_path: Path) -> None:
    gaps = ("无", "暂无", "—")
    rows = "".join(f"u{n},x{n},{gap}\n" for n, gap in enumerate(gaps))
    (tmp_path / "interactions.csv").write_text(
        f"用户,商品,评分\n{rows}u3,x3,4\nu4,x4,not rated\nu5,x5,2\n"
    )
    data, found = read(tmp_path)
    assert data.interactions.frame["value"].drop_nulls().to_list() == [4, 2]
    assert data.interactions.frame.height == 6 and not [f for f in found if f.action == "removed"]


def shop(cells: dict[str, list[str]]) -> dict[str, pl.DataFrame]:
    """Events on as many items as the columns have cells."""
    count = len(next(iter(cells.values())))
    ids = [f"i{n}" for n in range(count)]
    events = pl.DataFrame({"user_id": [f"u{n % 3}" for n in range(count)], "item_id": ids})
    return {"interactions": events, "items": pl.DataFrame({"item_id": ids, **cells})}


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["$1,299.00", "$5.50", "-$2"], [1299, 5.5, -2]),
        (["1.299,00 €", "5,50 €", "2.000,10 €"], [1299, 5.5, 2000.1]),
        (["¥1,299", "¥ 30", "￥7"], None),
        (["12 kg", "3.5kg", "—"], [12, 3.5, None]),
        (["1.2k", "950", "3M"], [1200, 950, 3e6]),
        (["1.2万", "3万", "9千"], [12000, 30000, 9000]),
        (["30分钟", "5分钟", "120 分钟"], [30, 5, 120]),
        (["12,5 %", "3 %", "n/a"], [12.5, 3, None]),
    ],
)
def test_numbers_with_one_unit_are_numbers(cells: list[str], numbers: list[float] | None) -> None:
    data, found = read(shop({"how_much": cells}))
    if numbers is None:
        return
    assert data.items.frame["how_much"].to_list() == numbers
    told = [f.why for f in found if f.rule == "number_form"]
    is_plain = cells[0] in ("12 kg", "30分钟")  # which can be read in one way only
    assert [repr(cells[0]) in why for why in told] == ([] if is_plain else [True])


@pytest.mark.parametrize(
    "cells",
    [
        ["2026-01-03", "2026-01-01", "2026-01-02"],
        ["25.01.2026 08:10", "1.2.2026 9:00", "3.1.2026 23:59"],
    ],
)
def test_the_one_column_of_dates_is_the_time_whatever_it_is_called(cells: list[str]) -> None:
    events = {"user_id": ["a", "a", "b"], "item_id": ["x", "y", "z"], "when": cells}
    data, found = read({"interactions": pl.DataFrame(events)})
    assert data.interactions.frame["timestamp"].n_unique() == 3
    assert "'when'" in next(f.why for f in found if "read as timestamp" in f.why)
    one, _ = read({"interactions": pl.DataFrame({**events, "until": cells})})  # a copy of it
    assert one.interactions.frame["timestamp"].n_unique() == 3
    two, told = read({"interactions": pl.DataFrame({**events, "until": cells[::-1]})})
    assert not two.interactions.has_time
    assert "'when', 'until'" in next(f.why for f in told if "may say when" in f.why)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("when", ["1990-01-02", "1990-01-02", "1985-03-04"]),  # the same in all events of a user
        ("birthday", ["1990-01-02", "1991-01-02", "1985-03-04"]),
        ("expires", ["2026-01-02", "2026-02-02", "2026-03-04"]),
        ("有效期至", ["2026-01-02", "2026-02-02", "2026-03-04"]),
    ],
)
def test_dates_of_something_else_are_no_times_and_that_is_told(name: str, cells: list[str]) -> None:
    events = {"user_id": ["a", "a", "b"], "item_id": ["x", "y", "z"], name: cells}
    data, found = read({"interactions": pl.DataFrame(events)})
    assert not data.interactions.has_time
    assert repr(name) in next(f.why for f in found if "not when events were" in f.why)


@pytest.mark.parametrize("article", ["article", "movie", "Book"])
def test_a_thing_is_the_item_where_no_better_name_is_there(article: str) -> None:
    events = pl.DataFrame({"customer": ["a", "b"], article: ["x", "y"]})
    assert read({"interactions": events})[0].interactions.frame["item_id"].to_list() == ["x", "y"]


@pytest.mark.parametrize("cells", [["500 g", "1 kg", "2 kg"], ["$5", "5 €", "$7"]])
def test_numbers_of_several_units_stay_text_and_are_told(cells: list[str]) -> None:
    data, found = read(shop({"how_much": cells}))
    assert data.items.frame["how_much"].to_list() == cells
    assert "several units" in next(f.why for f in found if f.rule == "mixed_columns")


@pytest.mark.parametrize(
    ("name", "cells", "read_as"),
    [
        ("sodium_mg", ["1.2 g", "0.5 g", "0 g"], [1200, 500, 0]),
        ("weight (kg)", ["500 g", "1 kg", "2"], [0.5, 1.0, 2.0]),
        ("run_time_min", ["1 h", "90 min", "2 h"], [60, 90, 120]),
    ],
)
def test_numbers_are_in_the_unit_that_their_column_names(
    name: str, cells: list[str], read_as: list[float]
) -> None:
    data, found = read(shop({name: cells}))
    assert data.items.frame[name].to_list() == pytest.approx(read_as)
    why = next(f.why for f in found if f.rule == "number_form")
    assert why == f"{name} such as {cells[0]!r} was read as {read_as[0]:g}"


@pytest.mark.parametrize(
    "cells", [["A1", "A2", "A3"], ["18-25", "26-35", "36+"], ["3a", "4b", "5"]]
)
def test_codes_with_digits_are_no_numbers(cells: list[str]) -> None:
    assert read(shop({"code": cells}))[0].items.frame["code"].to_list() == cells


@pytest.mark.parametrize(
    "cells",
    [
        "4/5 2/5 5/5",
        "★★★★☆ ★★☆☆☆ ★★★★★",
        "4分 2分 5分",
        "四星 二星 五星",
        "⭐⭐⭐⭐ ⭐⭐ ⭐⭐⭐⭐⭐",
    ],
)
def test_ratings_in_any_writing(cells: str) -> None:
    table = dated("1", "2", "3").rename({"time": "rank"})
    data, found = read(table.with_columns(pl.Series("rating", cells.split())))
    assert data.interactions.has_values and data.interactions.frame["value"].to_list() == [4, 2, 5]
    assert repr(cells.split()[0]) in next(f.why for f in found if f.rule == "number_form")


def test_ratings_on_several_scales_are_refused() -> None:
    table = dated("1", "2", "3").rename({"time": "rank"})
    with pytest.raises(BadInput, match="not a number"):
        read(table.with_columns(rating=pl.Series(["4/5", "8/10", "3/5"])))


TAGS = ["red big", "blue big", "red small", "blue small", "green big", "green small", "red old"]


@pytest.mark.parametrize("mark", ["/", " // ", " > ", "+", " ", " & ", "#"])
def test_tags_are_parted_where_the_parts_come_again(mark: str) -> None:
    cells = [mark.join(cell.split()) for cell in TAGS]
    data, found = read(shop({"tags": ["#" + c if mark == "#" else c for c in cells]}))
    assert data.items.frame["tags"].to_list() == [cell.replace(" ", "|") for cell in TAGS]
    assert "tags" in {f.rule for f in found}


def test_names_that_hold_such_marks_stay_whole() -> None:
    cells = ["Science Fiction", "Film Noir", "Sci-Fi", "AC/DC", "Rhythm & Blues", "New Age", "C++"]
    assert read(shop({"genres": cells}))[0].items.frame["categories"].to_list() == cells
    assert read(shop({"genres": TAGS}))[0].items.frame["categories"].to_list() == TAGS


def test_columns_of_any_name_hold_tags_where_these_come_again() -> None:
    cells = [cell.replace(" ", "、") for cell in TAGS]
    data, _ = read(shop({"主题": cells, "city": [f"Town{n}, TX" for n in range(len(TAGS))]}))
    assert data.items.frame["主题"].to_list() == [cell.replace(" ", "|") for cell in TAGS]
    assert data.items.frame["city"][0] == "Town0, TX"


def test_ranges_of_large_numbers_are_no_tags() -> None:
    bounds = ["1,000", "5,000", "10,000", "50,000", "100,000", "500,000"]
    ranges = [f"{low} - {high}" for low in bounds for high in bounds if low != high]
    items = pl.DataFrame({"item_id": [str(i) for i in range(30)], "downloads": ranges})
    events = pl.DataFrame({"user_id": ["a"] * 30, "item_id": items["item_id"]})
    data, _ = read({"interactions": events, "items": items})
    assert set(data.items.frame["downloads"]) == set(ranges)


def test_codes_for_no_number_are_gaps_and_told() -> None:
    cells = {
        "depth": ["-999", "3", "4", "-999", "7"],
        "year": ["0", "1999", "2003", "0", "2010"],
        "score": ["-1", "0", "1", "-1", "1"],
        "stock": ["-1", "3", "4", "-1", "7"],
        "width": ["9999", "3", "4", "9999", "7"],
    }
    data, found = read(shop(cells))
    assert [data.items.frame[n].null_count() for n in cells] == [2, 2, 0, 0, 0]
    told = {f.why.split()[0]: (f.action, f.rows) for f in found if f.rule == "codes"}
    assert told == {"depth": ("changed", 2), "year": ("changed", 2), "width": ("noted", 2)}


def test_lists_of_ids_become_rows(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"user_id": ["a", "b"], "item_id": [["x", "y"], ["z"]], "time": [[5, 6], [7]]}
    )
    data, found = read(table)
    rows = data.interactions.frame.select("user_id", "item_id", "timestamp").rows()
    assert rows == [("a", "x", 5.0), ("a", "y", 6.0), ("b", "z", 7.0)]
    assert [(f.rule, f.rows) for f in found] == [("lists", 2)]
    whole = tmp_path / "interactions.json"
    whole.write_text('{"user_id": ["a", "a", "b"], "item_id": ["x", "y", "z"]}')
    assert read(tmp_path)[0].interactions.frame.height == 3


def test_objects_and_texts_in_place_of_ids(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="item_id holds List"):
        read(pl.DataFrame({"user_id": ["a"], "item_id": [[["x"]]]}))
    baskets = pl.DataFrame({"user_id": ["a", "b", "c"], "item_id": ["x|y", "y|x|z", "z|x"]})
    assert "looks like a list of ids" in read(baskets)[1][0].why
    composed = pl.DataFrame({"user_id": ["a", "b", "c"], "item_id": ["de|1", "de|2", "fr|1"]})
    assert not read(composed)[1]


@pytest.mark.parametrize("name", ["is_returned", "returned", "was_cancelled", "是否退货"])
def test_acts_that_a_column_says_were_refused_say_no(name: str) -> None:
    table = dated("1", "2", "3").with_columns(pl.Series(name, ["Y", "N", "N"]))
    data, found = read(table.rename({"time": "rank"}))
    assert sorted(data.interactions.acts()["sign"]) == [-1, 1, 1]
    assert [(f.rule, f.rows) for f in found] == [("kinds", 1)] and repr(name) in found[0].why
    data, _ = read(table.with_columns(kind=pl.lit("purchase")).rename({"time": "rank"}))
    assert sorted(data.interactions.acts()["sign"]) == [-1, 1, 1]


def test_words_of_liking_in_place_of_ratings_are_kinds() -> None:
    table = dated("1", "2", "3").rename({"time": "rank"})
    data, found = read(table.with_columns(rating=pl.Series(["like", "dislike", "like"])))
    assert sorted(data.interactions.acts()["sign"]) == [-1, 1, 1] and "'dislike'" in found[0].why
    with pytest.raises(BadInput, match="say what each means in \\[kinds\\]"):
        read(table.with_columns(rating=pl.Series(["fine", "meh", "odd"])))


def test_sums_below_zero_are_told() -> None:
    table = dated("2023-01-31", "2023-02-01", amount=["-19.90", "5"])
    _, found = read(table)
    assert [(f.rule, f.rows) for f in found] == [("amounts", 1)]
    assert "value = 'amount'" in found[0].why


def test_refusals_among_unknown_words_of_a_status_say_no_which_is_told() -> None:
    words = ["dropped", "completed", "audit", "waitlisted", "graded"]
    table = dated(*[str(n) for n in range(5)]).rename({"time": "rank"})
    data, found = read(table.with_columns(status=pl.Series(words)))
    assert sorted(data.interactions.acts()["sign"]) == [-1, 1, 1, 1, 1]
    assert "context = ['status']" in found[0].why
    _, found = read(table.with_columns(step=pl.Series(words)))
    assert "columns = { kind = 'step' }" in found[0].why


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("UNDO_LIKE", "undo"),
        ("report_abuse", "negative"),
        ("discontinued", "negative"),
        ("cancelled_by_patient", "negative"),
        ("不想看", "negative"),
        ("弃购", "neutral"),
        ("立即购买", "positive"),
    ],
)
def test_further_kinds(name: str, sign: str) -> None:
    assert Kinds.default().known(name) and Kinds.default().of(name).sign == sign


@pytest.mark.parametrize(
    "names",
    ["student_id,video_id", "patient_id,treatment_id", "driver_id,load_id", "account,isin"],
)
def test_names_of_many_fields(names: str) -> None:
    user, item = names.split(",")
    events = pl.DataFrame({user: ["a"], item: ["x"]})
    items = pl.DataFrame({"id": ["x"], "name": ["A"], "hotel_id": ["h"]})
    data, _ = read({"interactions": events, "items": items})
    assert data.items.frame.height == 1 and data.items.frame["title"].to_list() == ["A"]


def test_what_a_spreadsheet_writes(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text("sep=;\nuser;item;rating\na;x;4,5\nb;x;3\n")
    assert read(tmp_path)[0].interactions.frame["value"].to_list() == [4.5, 3]
    (tmp_path / "interactions.csv").write_bytes(b"user,item,rating\ra,x,4\rb,x,3\r")
    assert read(tmp_path)[0].interactions.frame["value"].to_list() == [4, 3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user," + ",".join(f"p{n}" for n in range(9)) + "\na" + ",5" * 9, "a row of each cell"),
        ("user^item\na^x\n", "parted by commas"),
        ("PAR1\x15\x04,\n", "no text table"),
    ],
)
def test_tables_of_another_shape_are_refused_with_what_to_do(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "interactions.csv").write_text(text)
    with pytest.raises(BadInput, match=said):
        read(tmp_path)


def test_a_refusal_says_what_was_assumed_of_the_letters(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_bytes("用戶,東西\na,x\n".encode("big5"))
    with pytest.raises(BadInput, match="was read as .*encoding = "):
        read(tmp_path)


def test_cleaned_data_say_no_more_than_what_they_were_made_of(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 3},{-1 if n == 7 else 1 + n}\n" for n in range(15))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "interactions.csv").write_text("user_id,item_id,Quantity\n" + rows)
    ingest(tmp_path / "in", tmp_path / "out", rows_at_once=6)
    data, _ = read(tmp_path / "out")
    assert not data.interactions.has_time
    assert sorted(data.interactions.acts()["sign"])[:2] == [-1, 1]


def test_the_tables_of_a_folder_are_known_by_their_columns(tmp_path: Path) -> None:
    """An offer names both a driver and a load, and is called like an item."""
    folder = tmp_path / "fleet"
    folder.mkdir()
    (folder / "loads.csv").write_text("load_id,title,pickup_lat,pickup_lon\nL1,Steel,52.5,13.4\n")
    (folder / "drivers.csv").write_text("driver,truck\nD1,box\nD2,flat\n")
    (folder / "offers.csv").write_text(
        "driver,load_id,decision,offered_at\nD1,L1,accepted,2026-01-01\nD2,L1,declined,2026-01-02\n"
    )
    (folder / "notes.txt").write_text("call Anna\n")
    tables = open_tables(folder)
    assert tables.interactions["kind"].to_list() == ["accepted", "declined"]
    assert tables.items.row(0, named=True) == {
        "item_id": "L1",
        "title": "Steel",
        "latitude": 52.5,
        "longitude": 13.4,
    }
    assert tables.users["truck"].to_list() == ["box", "flat"]
    said = " ".join(f.why for f in tables.findings)
    assert "drivers.csv as users, loads.csv as items, offers.csv as interactions" in said


def test_a_folder_in_chinese_is_known_by_its_columns(tmp_path: Path) -> None:
    folder = tmp_path / "点评"
    folder.mkdir()
    for name, text in {
        "商户": "商户编号,店名,菜系,店铺介绍,纬度,经度\nS1,老王面馆,面食,手工拉面,39.9,116.4\n",
        "会员": "会员号,城市\nU1,北京\nU2,上海\n",
        "行为": "会员号,商户编号,行为类型,时间\nU1,S1,浏览,2025/03/01 08:30\n",
        "好友": "会员号,好友编号,亲密度\nU1,U2,0.5\n",
        "搜索": "会员号,搜索词,时间\nU2,拉面,2025/03/02 09:00\n",
    }.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8-sig")
    data, _ = read(folder)
    assert data.interactions.frame.select("user_id", "item_id", "kind").row(0) == (
        "U1",
        "S1",
        "浏览",
    )
    item = data.items.frame.row(0, named=True)
    told = item["title"], item["categories"], item["text"]
    assert told == ("老王面馆", "面食", "手工拉面")
    assert (item["latitude"], item["longitude"]) == (39.9, 116.4)
    assert data.relations.searches["query"].to_list() == ["拉面"]
    assert data.relations.friends.row(0) == ("U1", "U2", 0.5)
    used = {(row.table, row.column): row.use for row in column_use(data)}
    assert used["friends", "friend_id"] == "friends"
    assert used["searches", "query"] == "search"
    assert used["items", "latitude"] == "place"


@pytest.mark.parametrize(
    "names",
    [
        "患者编号 药品编码 评分",
        "司机编号 货源编号 操作",
        "学号 课程代码 成绩",
        "客户号 理财产品代码 金额",
        "玩家id 游戏id 时长",
        "顾客 菜品名称 数量",
        "读者编号 图书号 借阅时间",
        "求职者id 职位编号 动作",
    ],
)
def test_chinese_names_of_ids_are_read(tmp_path: Path, names: str) -> None:
    path = tmp_path / "表.csv"
    path.write_text(names.replace(" ", ",") + "\na,x,1\nb,y,2\n", encoding="gb18030")
    data, _ = read(path)
    assert data.interactions.frame["user_id"].to_list() == ["a", "b"]
    assert data.interactions.frame["item_id"].to_list() == ["x", "y"]


def test_an_id_without_a_noun_is_the_tables_own(tmp_path: Path) -> None:
    (tmp_path / "行为.csv").write_text("用户编号,商品编号\na,x\nb,y\n")
    (tmp_path / "商品.csv").write_text("编号,商品名称,店铺编号\nx,茶,s1\ny,咖啡,s2\n")
    data, _ = read(tmp_path)
    assert dict(data.items.frame.select("item_id", "title").iter_rows()) == {"x": "茶", "y": "咖啡"}


def test_objects_of_a_program_are_read_as_text() -> None:
    keys = [uuid.UUID(int=n) for n in range(3)]
    frame = pl.DataFrame(
        {
            "user_id": pl.Series(keys, dtype=pl.Object),
            "item_id": ["x", "y", "x"],
            "mood": pl.Series(["calm", None, 3], dtype=pl.Object),
        }
    )
    data = Dataset(interactions=frame)
    assert data.interactions.frame["user_id"].to_list() == [str(key) for key in keys]
    assert data.interactions.frame["mood"].to_list() == ["calm", None, "3"]


def test_a_table_of_users_that_has_a_query_stays_one(tmp_path: Path) -> None:
    (tmp_path / "views.csv").write_text("user_id,item_id\nA,X\n")
    (tmp_path / "users.csv").write_text("user_id,keywords\nA,tea\n")
    (tmp_path / "words.csv").write_text("user_id,keywords\nA,coffee\n")
    data, _ = read(tmp_path)
    assert data.users.frame["keywords"].to_list() == ["tea"]
    assert data.relations.searches["query"].to_list() == ["coffee"]


def test_two_tables_that_may_be_the_events_are_refused(tmp_path: Path) -> None:
    for name in ("north", "south"):
        (tmp_path / f"{name}.csv").write_text("customer,product\nA,X\n")
    with pytest.raises(BadInput, match=r"north\.csv and south\.csv may each be the table"):
        open_tables(tmp_path)


def test_columns_of_one_table_go_to_the_items_and_users_they_belong_to(tmp_path: Path) -> None:
    rows = [
        f"g{guest},h{hotel},Hotel {hotel},{hotel % 2},{['DE', 'CN'][guest % 2]},g{guest}@x.org,{at}"
        for at, (guest, hotel) in enumerate((g, h) for g in range(6) for h in range(4))
    ]
    names = "guest,hotel_id,hotel_name,stars_of_hotel,country,email,nights"
    (tmp_path / "stays.csv").write_text("\n".join([names, *rows]) + "\n")
    tables = open_tables(tmp_path / "stays.csv")
    assert tables.items.sort("item_id").row(1, named=True) == {
        "item_id": "h1",
        "title": "Hotel 1",
        "stars_of_hotel": 1,
    }
    assert dict(tables.users.iter_rows()) == {f"g{n}": ["DE", "CN"][n % 2] for n in range(6)}
    assert {"email", "nights"} <= set(tables.interactions.columns)
    assert "hotel_name" not in tables.interactions.columns


def test_a_column_that_may_belong_to_both_or_neither_stays(tmp_path: Path) -> None:
    """One shop of one country, and an hour that varies."""
    rows = [f"u{u},i{i},DE,{(u * i) % 24}" for u in range(6) for i in range(4)]
    (tmp_path / "buys.csv").write_text("\n".join(["user,item,country,hour", *rows]) + "\n")
    tables = open_tables(tmp_path / "buys.csv")
    assert tables.items is None and tables.users is None
    assert {"country", "hour"} <= set(tables.interactions.columns)


def test_the_one_column_of_seconds_is_the_time(tmp_path: Path) -> None:
    text = "client,symbol,executed,order_no\nA,X,1700000000,1700000009\nB,Y,1700000060,1700000010\n"
    (tmp_path / "trades.csv").write_text(text)
    tables = open_tables(tmp_path / "trades.csv")
    assert tables.interactions["timestamp"].to_list() == [1700000000.0, 1700000060.0]


@pytest.mark.parametrize(
    ("user", "item"),
    [("Patient No", "treatment"), ("student", "course_code"), ("player_uuid", "Game Key")],
)
def test_keys_are_known_by_the_noun_and_a_word_for_number(
    tmp_path: Path, user: str, item: str
) -> None:
    (tmp_path / "acts.csv").write_text(f"{user},{item}\nA,X\n")
    assert open_tables(tmp_path / "acts.csv").interactions.select("user_id", "item_id").rows() == [
        ("A", "X")
    ]


def test_items_known_by_their_title_alone(tmp_path: Path) -> None:
    rows = [f"{user},Game {game},play" for user in range(4) for game in range(3)]
    (tmp_path / "plays.csv").write_text("\n".join(["user-id,game-title,behavior-name", *rows]))
    tables = open_tables(tmp_path / "plays.csv")
    assert tables.interactions["item_id"].unique().sort().to_list() == [
        "Game 0",
        "Game 1",
        "Game 2",
    ]
    assert tables.items.sort("item_id")["title"].to_list() == ["Game 0", "Game 1", "Game 2"]
    assert any("'game-title' of plays.csv was read as item_id" in f.why for f in tables.findings)


def test_a_name_beside_an_id_is_no_id(tmp_path: Path) -> None:
    (tmp_path / "acts.csv").write_text("client,Flight No,Destination,hotel_name\nA,LH1,Rome,Roma\n")
    tables = open_tables(tmp_path / "acts.csv")
    assert tables.interactions.select("user_id", "item_id").rows() == [("A", "LH1")]


def test_a_list_that_is_always_the_same_is_said_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "acts.jsonl").write_text(
        "\n".join(f'{{"user": "{n}", "item": "x", "helpful": [0, 1]}}' for n in range(3))
    )
    told = {row.column: row.why for row in column_use(read_clean(tmp_path / "acts.jsonl")[0])}
    assert told["helpful"] == "it is always [0, 1]"


def test_a_first_line_with_a_moment_is_no_line_of_names(tmp_path: Path) -> None:
    row = "user_000000\t2025-12-04T23:09:00Z\tmb-10\tArtist\n"
    (tmp_path / "listens.tsv").write_text(row + row.replace("10", "11"))
    with pytest.raises(BadInput, match="the first line looks like a row"):
        open_tables(tmp_path / "listens.tsv")


@pytest.mark.parametrize("name", ["behavior", "behaviour"])
@pytest.mark.parametrize("end", ["", "-name", "_type"])
def test_the_name_of_a_behavior_is_a_kind(tmp_path: Path, name: str, end: str) -> None:
    (tmp_path / "acts.csv").write_text(f"user,item,{name}{end}\nA,X,purchase\nA,Y,play\n")
    assert open_tables(tmp_path / "acts.csv").interactions["kind"].to_list() == ["purchase", "play"]


def test_short_descriptions_are_titles_where_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text("user,item\nA,X\nB,Y\n")
    (tmp_path / "items.csv").write_text("StockCode,Description\nX,RED MUG\nY,LUNCH BAG\n")
    tables = open_tables(tmp_path)
    assert tables.items["title"].to_list() == ["RED MUG", "LUNCH BAG"]
    assert any("'Description' of items.csv was read as title" in f.why for f in tables.findings)
    (tmp_path / "items.csv").write_text(f"StockCode,Description\nX,{'long ' * 30}\nY,{'x ' * 50}\n")
    assert open_tables(tmp_path).items.columns == ["item_id", "text"]


@pytest.mark.parametrize(
    "name", ["birth_date", "releaseDate", "Expiry Date", "valid_until_date", "member_since_date"]
)
def test_dates_that_are_called_otherwise_are_no_times_of_events(name: str) -> None:
    events = {"user_id": ["a", "a", "b"], "item_id": ["x", "y", "z"]}
    days = ["1990-01-02", "1991-01-02", "1985-03-04"]
    data, found = read({"interactions": pl.DataFrame({**events, name: days})})
    assert not data.interactions.has_time
    assert repr(name) in next(f.why for f in found if "not when events were" in f.why)
    both = pl.DataFrame({**events, name: days, "bought_at": ["2026-01-01"] * 2 + ["2026-02-01"]})
    assert moments(read({"interactions": both})[0])[-1] == "2026-02-01 00:00:00"


def test_several_dates_are_named_whatever_their_names_and_types() -> None:
    days = pl.Series("day", [datetime(2026, 1, n, tzinfo=UTC).date() for n in (1, 2, 3)])
    events = {"user_id": ["a", "a", "b"], "item_id": ["x", "y", "z"]}
    _, found = read(pl.DataFrame({**events, "when": days.reverse().cast(pl.Datetime), "day": days}))
    assert "'when', 'day'" in next(f.why for f in found if "may say when" in f.why)
    data, found = read(pl.DataFrame({**events, "day": days}))
    assert data.interactions.has_time and "'day'" in found[0].why
    texts = days.cast(pl.Utf8)
    stamps = {"order_purchase_timestamp": texts, "delivered_date": texts.reverse()}
    data, _ = read(pl.DataFrame({**events, **stamps}))  # what came later is not when it was
    assert moments(data) == [f"2026-01-0{n} 00:00:00" for n in (1, 2, 3)]
    assert data.interactions.frame["item_id"].to_list() == ["x", "y", "z"]
    weekdays = pl.DataFrame({**events, "day": [1, 2, 3]})
    assert not read(weekdays)[0].interactions.has_time and not read(weekdays)[1]


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("like", "Ja", "Nein"),
        ("gefällt", "ja", "nein"),
        ("J'aime", "oui", "non"),
        ("liked", "vrai", "faux"),
        ("like", "WAHR", "FALSCH"),
        ("喜欢", "是", "否"),
        ("是否点赞", "1", "0"),
        ("like", "sí", "no"),
        ("liked", "X", ""),
        ("点赞", "√", ""),
        ("like", "да", "нет"),
    ],
)
def test_likes_of_yes_and_no_in_any_language(tmp_path: Path, name: str, yes: str, no: str) -> None:
    rows = "".join(f"u{n % 5},i{n},{yes if n % 4 else no}\n" for n in range(20))
    (tmp_path / "likes.csv").write_text(f"user,item,{name}\n{rows}")
    data, found = read(tmp_path / "likes.csv")
    assert sorted(data.interactions.acts()["sign"]) == [0] * 5 + [1] * 15
    assert any("say what was done" in f.why and f.rows == 5 for f in found)


ROWS = "".join(f"K{n % 9},Rome,A{n % 6},{n % 5},{n % 28 + 1:02}.01.2026\n" for n in range(30))


@pytest.mark.parametrize(
    "above",
    [
        "Sales of January\nCustomer No,City,Article No,Rating,Date\n",
        "Sales of January,,,,\n,,,,\nCustomer No,City,Article No,Rating,Date\n",
        "\nSales of January\n\nas of today\nCustomer No,City,Article No,Rating,Date\r\n",
        '"Sales, of January",,,,\nCustomer No,City,Article No,Rating,Date\n',
        "Customer,,Article,,\nNo,City,No,Rating,Date\n",
    ],
)
def test_what_stands_above_a_table_is_none_of_its_rows(tmp_path: Path, above: str) -> None:
    (tmp_path / "sales.csv").write_text(above + ROWS.replace("A5,4", "A5,odd"))
    data, report = read_clean(tmp_path / "sales.csv")
    assert report.events_read == 30 and data.interactions.has_values and data.interactions.has_time
    assert set(data.interactions.frame["user_id"]) == {f"K{n}" for n in range(9)}
    why = "were put together" if "Customer,," in above else "before the names of sales.csv"
    assert any(why in f.why for f in report.findings)
    lost = next(f for f in report.findings if f.rule == "unreadable_rows")
    assert f"line {above.count(chr(10)) + 30} of sales.csv" in lost.examples[-1]


@pytest.mark.parametrize(
    "text",
    [
        "user,item,\na,x,1\nb,y,2\n",
        "user,item,note\na,x,\nb,,\n",
        ",user,item\n0,a,x\n1,b,y\n",
        "user,,item\na,1,x\nb,2,y\n",
    ],
)
def test_gaps_in_names_alone_are_no_headings(tmp_path: Path, text: str) -> None:
    (tmp_path / "acts.csv").write_text(text)
    tables = open_tables(tmp_path / "acts.csv", rules=CleaningConfig(most_unreadable=0.6))
    assert tables.interactions["user_id"][0] == "a"
    assert not [f for f in tables.findings if "names of acts.csv" in f.why]


def test_ids_that_differ_in_case_alone_are_told(tmp_path: Path) -> None:
    rows = "Anna@x.org,p1\nanna@x.org,p2\nbob@y.de,p1\nBob@y.de,p2\nc@c.c,p1\n"
    (tmp_path / "acts.csv").write_text(f"email,product\n{rows}")
    data, found = read(tmp_path / "acts.csv")
    assert data.interactions.frame["user_id"].n_unique() == 5
    (told,) = [f.why for f in found if f.rule == "alike_ids"]
    assert told.startswith("2 of 5 ids in user_id") and "'Anna@x.org', 'anna@x.org'" in told


def test_files_of_a_folder_that_are_not_read_are_told(tmp_path: Path) -> None:
    for name, text in {
        "buys": "customer,product\nA,X\nB,Y\n",
        "products": "product,name\nX,Mug\nY,Jug\n",
        "aisles": "aisle,label\n1,Tea\n",
    }.items():
        (tmp_path / f"{name}.csv").write_text(text)
    whys = [f.why for f in open_tables(tmp_path).findings]
    assert any("not read, since" in why and why.endswith(": aisles.csv") for why in whys)


def test_an_object_of_rows_by_user_is_read_and_others_are_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "acts.json"
    path.write_text(
        '{"u1": [{"item_id": "x", "rating": 3}, {"item_id": "y"}], "u2": [{"item_id": "x"}]}'
    )
    data, found = read(path)
    assert any("were read as user_id" in f.why for f in found)
    rows = data.interactions.frame.select("user_id", "item_id").rows()
    assert sorted(rows) == [("u1", "x"), ("u1", "y"), ("u2", "x")]
    path.write_text('{"x": [{"user": "a"}], "y": [{"user": "a"}, {"user": "b"}]}')
    assert read(path)[0].interactions.frame["item_id"].sort().to_list() == ["x", "y", "y"]
    for text in ('{"u1": ["x", "y"], "u2": ["x"]}', '{"u1": {"x": 4, "y": 2}, "u2": {"x": 1}}'):
        path.write_text(text)
        with pytest.raises(BadInput, match="'u1', ...\\), and does not say whether the keys"):
            read(path)


def test_a_small_matrix_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "acts.csv").write_text("user_id,i1,i2,i3,i4\nu,1,2,,3\n")
    with pytest.raises(BadInput, match="make a row of each cell"):
        read(tmp_path / "acts.csv")


def one_file(folder: Path, name: str, text: str) -> tuple[Dataset, list[Finding]]:
    (folder / name).write_text(text)
    return read(folder / name)


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("thumb", "up", "down"),
        ("Vote", "+1", "-1"),
        ("评价", "好评", "差评"),
        ("feedback", "Good", "Bad"),
    ],
)
def test_what_users_thought_says_yes_and_no(tmp_path: Path, name: str, yes: str, no: str) -> None:
    rows = "".join(f"u{n % 5},i{n},{yes if n % 4 else no}\n" for n in range(20))
    data, found = one_file(tmp_path, "votes.csv", f"user,item,{name}\n{rows}")
    assert sorted(data.interactions.acts()["sign"]) == [-1] * 5 + [1] * 15
    assert any(f.rows == 5 and repr(name) in f.why for f in found)


def test_points_are_places_and_told(tmp_path: Path) -> None:
    rows = "".join(f'u{n % 5},p{n % 4},"POINT (13.{n % 4} 52.{n % 4})"\n' for n in range(20))
    data, found = one_file(tmp_path, "visits.csv", f"user,place_id,geom\n{rows}")
    assert data.items.frame.sort("item_id").select("latitude", "longitude").row(1) == (52.1, 13.1)
    assert any("'geom'" in f.why and f.rows == 20 for f in found)
    far = rows.replace("13.", "1489213.")
    assert "geom" in one_file(tmp_path, "visits.csv", f"user,place_id,geom\n{far}")[0].items.frame


def test_lists_that_are_the_items_are_their_tags(tmp_path: Path) -> None:
    rows = [
        f'{{"user": "u{n % 5}", "item": {{"id": "i{n % 4}", "tags": ["a", "b{n % 4}"]}}}}'
        for n in range(20)
    ]
    data, _ = one_file(tmp_path, "acts.jsonl", "\n".join(rows))
    assert data.items.frame.sort("item_id")["item_tags"].to_list()[1] == ["a", "b1"]
    assert not data.interactions.context_columns


def test_what_programs_add_at_ends_and_sides_is_nothing(tmp_path: Path) -> None:
    rows = "".join(f"{n},u{n % 5},i{n % 4},\n" for n in range(20))
    data, found = one_file(tmp_path, "acts.csv", f",user,item,\n{rows.rstrip()}\x1a")
    assert not data.interactions.context_columns and not found
    assert set(data.interactions.frame["item_id"]) == {f"i{n}" for n in range(4)}


@pytest.mark.parametrize(
    "text",
    [
        '{"user": {"0": "a", "1": "b"}, "item": {"0": "x", "1": "y"}}',
        '{"columns": ["user", "item"], "index": [0, 1], "data": [["a", "x"], ["b", "y"]]}',
        '{"ok": 1, "data": {"rows": [{"user": "a", "item": "x"}, {"user": "b", "item": "y"}]}}',
    ],
)
def test_json_as_programs_write_it(tmp_path: Path, text: str) -> None:
    data, _ = one_file(tmp_path, "acts.json", text)
    rows = data.interactions.frame.select("user_id", "item_id").rows()
    assert sorted(rows) == [("a", "x"), ("b", "y")]

"""Tables that look like something else: each is read as meant, or refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.exports import one_file, titles
from metarec.data.cleaning import read_clean
from metarec.data.dataset import Dataset
from metarec.data.errors import BadInput

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def read(folder: Path, text: str | bytes, name: str = "interactions.csv") -> Dataset:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return read_clean(folder / name)[0]


@pytest.mark.parametrize(
    "names",
    ["order_status,x,customer,sku", "name,x,customer,sku", "x,order_id,customer,sku"],
)
def test_guests_are_no_rows_of_the_order_above(tmp_path: Path, names: str) -> None:
    """What they have in common with it is no number of an order, or their own is another."""
    lines = [("paid", 1000 + n, "" if n % 10 == 9 else f"u{n % 7}", f"x{n % 8}") for n in range(60)]
    rows = "".join(",".join(map(str, line)) + "\n" for line in lines)
    assert len(read(tmp_path, f"{names}\n{rows}").interactions) == 54
    dated = "".join(f"{line[1]},{line[2]},{line[3]},{line[2] and '2024-01-01'}\n" for line in lines)
    assert len(read(tmp_path, f"invoice,customer,sku,date\n{dated}").interactions) == 54


@pytest.mark.parametrize("beside", ["age", "total", "months"])
def test_a_table_of_users_is_no_matrix(tmp_path: Path, beside: str) -> None:
    months = "jan feb mar apr may jun jul aug sep oct".split()
    names = months if beside == "months" else [f"film {n}" for n in range(10)]
    rows = ""
    for u in range(20):
        cells = [int((u * n + u) % 5 == 0) * (1 + n % 3) for n in range(10)]
        more = {"age": [20 + u % 9], "total": [sum(cells)], "months": []}[beside]
        rows += ",".join(map(str, [f"u{u}", *cells, *more])) + "\n"
    names = names if beside == "months" else [*names, beside]
    with pytest.raises(BadInput, match="no column 'item_id'"):
        read(tmp_path, ",".join(["user", *names]) + f"\n{rows}")


def one_each(names: str, *columns: list[object]) -> str:
    """A table of 56 events of 8 users and 7 items with further columns, whose cells repeat."""
    lines = [
        [f"u{n % 8}", f"x{n * 3 % 7}", *(column[n % len(column)] for column in columns)]
        for n in range(56)
    ]
    return "\n".join([names, *(",".join(map(str, line)) for line in lines)]) + "\n"


def test_grades_of_what_is_bought_and_numbers_of_orders_are_no_ratings(tmp_path: Path) -> None:
    told = one_each("customer,product,quantity,grade", [1, 2, 1], ["A", "B", "C", "B", "A"])
    assert not read(tmp_path, told).interactions.has_values
    told = one_each("cliente,producto,fecha,nota", ["2024-01-05"], [700 + n for n in range(19)])
    assert not read(tmp_path, told).interactions.has_values
    told = one_each("cliente,producto,fecha,nota", ["2024-01-05"], [7, 8, 10, 9, 6])
    assert read(tmp_path, told).interactions.has_values


def test_the_class_of_a_pupil_stays_one_in_the_next_year(tmp_path: Path) -> None:
    classes = [3 + n % 8 + n // 32 for n in range(56)]
    told = one_each("pupil,book,grade", list(classes))
    assert not read(tmp_path, told).interactions.has_values


@pytest.mark.parametrize("name", ["registered", "reserved", "opened"])
def test_a_no_beside_what_was_bought_makes_it_no_impression(tmp_path: Path, name: str) -> None:
    data = read(tmp_path, one_each(f"customer,product,qty,{name}", [1, 2, 1], [1, 0, 0, 1, 0]))
    assert data.interactions.context_columns == ["qty", name]
    assert (data.interactions.acts()["sign"] > 0).all()


def test_names_that_mean_something_else_in_another_language(tmp_path: Path) -> None:
    names = "cliente,producto,nombre,nombre_producto,cantidad"
    data = read(tmp_path, one_each(names, ["Ana", "Eva", "Leo"], ["T"], [1, 2, -1, 1, 1]))
    assert (data.interactions.acts()["sign"] < 0).any()  # `nombre` is no number here
    names = "Kunde,Wertpapier,Datum,Kurs"
    data = read(tmp_path, one_each(names, ["2024-01-05"], [10, 11, 12]))
    assert "x1" in set(data.interactions.frame["item_id"])


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".csv").write_text(text)
    return folder


def test_versions_of_a_table_and_tables_of_other_names_are_not_put_together(
    tmp_path: Path,
) -> None:
    table = one_each("user,item,rating", list(range(1, 6)))
    versions = written(tmp_path / "versions", data_v1=table, data_v2=table + "u9,x1,3\n")
    with pytest.raises(BadInput, match="data_v1.csv stand in files beside it"):
        read_clean(versions)
    other = "\n".join(f"u{n % 8},y{n},4" for n in range(9))
    renamed = written(tmp_path / "renamed", r1=table, r2=f"user_id,item_id,stars\n{other}\n")
    with pytest.raises(BadInput, match="may each be the table"):
        read_clean(renamed)
    beside = {"fold1": table, "fold2": f"user,item,rating\n{other}\n"}
    with pytest.raises(BadInput, match="may each be the table"):
        read_clean(written(tmp_path / "beside", all=table, **beside))


def test_folders_by_values_are_those_within_and_say_nothing_where_they_name_none(
    tmp_path: Path,
) -> None:
    table, none = one_each("user,item"), "__HIVE_DEFAULT_PARTITION__"
    folder = tmp_path / "run=3" / "export"
    for value in (none, "S%C3%A3o Paulo"):
        (folder / f"city={value}").mkdir(parents=True)
        (folder / f"city={value}" / "part-0.csv").write_text(table)
    data, _ = read_clean(folder)
    assert set(data.interactions.frame["city"]) == {None, "São Paulo"}
    assert data.interactions.context_columns == ["city"]


def orders(*lists: str, **more: object) -> str:
    events = [
        {"user_id": f"u{n % 8}", "timestamp": f"2024-01-{n % 28 + 1:02d}", **more}
        | {name: [{"item_id": f"x{n % 7}", "id": n}] for name in lists}
        for n in range(40)
    ]
    return json.dumps(events)


@pytest.mark.parametrize(
    ("name", "kind", "sign"),
    [("returned_items", "returned", -1), ("impressions", "impressions", 0), ("items", "event", 1)],
)
def test_lists_of_items_are_what_they_are_called(
    tmp_path: Path, name: str, kind: str, sign: int
) -> None:
    data = read(tmp_path, orders(name), "log.json")
    assert set(data.interactions.frame["kind"]) == {kind}
    assert set(data.interactions.acts()["sign"]) == {sign}


def test_of_several_lists_the_lines_of_an_order_are_its_items(tmp_path: Path) -> None:
    data = read(tmp_path, orders("line_items", "refund_line_items"), "orders.json")
    assert len(data.interactions) == 40
    with pytest.raises(BadInput, match="no column 'item_id'"):
        read(tmp_path, orders("bought", "seen"), "log.json")
    told = json.dumps(
        [
            {"user_id": f"u{n % 8}", "movie_title": f"Film {n % 7}", "songs": ["x", "y"]}
            for n in range(40)
        ]
    )
    assert "Film 3" in set(read(tmp_path, told, "films.json").interactions.frame["item_id"])


def test_two_letters_within_a_word_are_no_chinese_one(tmp_path: Path) -> None:
    table = one_each("user,item,Größe,rating", ["S", "M", "L"], [1, 2, 3, 4, 5])
    data = read(tmp_path, table.encode("cp1252"))
    assert data.interactions.context_columns == ["Größe"]
    table = one_each("user,item,颜色,rating", ["红", "蓝", "绿"], [1, 2, 3, 4, 5])
    assert read(tmp_path, table.encode("gb18030")).interactions.context_columns == ["颜色"]


def test_users_that_may_be_counted_are_told(tmp_path: Path) -> None:
    rows = "".join(f"s{n},x{n % 7},{n % 9 + 2},2024-01-{n % 27 + 1:02d}\n" for n in range(40))
    (tmp_path / "r.csv").write_text(f"session_id,course_id,participant,date\n{rows}")
    _, report = read_clean(tmp_path / "r.csv")
    assert any("if it counts users" in f.why for f in report.findings)
    said = "[[sources]]\ninteractions = 'r.csv'\ncolumns = { user_id = 'participant' }\n"
    (tmp_path / "c.toml").write_text(said)
    _, report = read_clean(tmp_path / "c.toml")
    assert not any("if it counts users" in f.why for f in report.findings)
    for names, row in (("participant", "{n}"), ("user_id", "u{n}")):  # all others, and no numbers
        rows = "".join(f"s{n},x{n % 7},{row.format(n=n)}\n" for n in range(40))
        (tmp_path / "r.csv").write_text(f"session_id,course_id,{names}\n{rows}")
        _, report = read_clean(tmp_path / "r.csv")
        assert not any("if it counts users" in f.why for f in report.findings)


def test_of_several_dates_that_of_the_event_is_stated_in_all_rows(tmp_path: Path) -> None:
    rows = [
        f"u{n % 5},x{n % 7},{n},2024-0{n % 7 + 1}-01,{f'2024-03-{n % 9 + 10}' if n % 2 else ''},"
        f"2024-02-{n % 9 + 10}"
        for n in range(35)
    ]
    names = "user,item,lead_time,Release Date,Date Read,Date Added\n"
    data, found = one_file(tmp_path, names + "\n".join(rows) + "\n")
    first = data.interactions.frame["timestamp"].min()
    assert first == datetime(2024, 2, 10, tzinfo=UTC).timestamp()
    assert any("it alone is stated in all rows" in f.why for f in found)
    data, found = one_file(tmp_path, names.replace("Read", "Paid") + "\n".join(
        row.replace(",,", ",2024-02-12,") for row in rows) + "\n")  # fmt: skip
    assert not data.interactions.has_time
    assert any("none of them is taken" in f.why and "lead_time" not in f.why for f in found)


@pytest.mark.parametrize(
    ("user", "item"),
    [
        ("Profile Name", "Title"),
        ("customer_email", "sku"),
        ("id_customer", "id_product"),
        ("athlete_id", "segment_id"),
        ("distinct_id", "item_id"),
        ("用户昵称", "作品ID"),
        ("PATIENT", "CODE"),
        ("username", "spotify_track_uri"),
        ("respondent", "lane"),
        ("Bidder ID", "Item Barcode"),
        ("买家会员名", "宝贝标题"),
    ],
)
def test_further_names_of_users_and_items(tmp_path: Path, user: str, item: str) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},Word {n % 7}\n" for n in range(35))
    data, found = one_file(tmp_path, f"{user},{item},Description\n{rows}")
    assert set(data.interactions.frame["user_id"]) == {f"u{n}" for n in range(5)}
    assert set(data.interactions.frame["item_id"]) == {f"x{n}" for n in range(7)}
    is_name = user in ("Profile Name", "用户昵称", "买家会员名")
    assert any("users of the same name are one" in f.why for f in found) == is_name


def test_how_long_something_took_is_no_time_and_a_name_beside_an_id_a_title(tmp_path: Path) -> None:
    rows = "".join(
        f"u{n % 5},x{n % 7},Hill {n % 7},2024-03-{n % 9 + 10},{300 + n}\n" for n in range(35)
    )
    names = "athlete_id,segment_id,segment_name,start_date_local,elapsed_time"
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    first = datetime(2024, 3, 10, tzinfo=UTC).timestamp()
    assert data.interactions.frame["timestamp"].min() == first and titles(data)["x3"] == "Hill 3"
    assert data.interactions.context_columns == ["elapsed_time"]


def test_items_known_by_words_have_them_as_titles(tmp_path: Path) -> None:
    for name, item in (("hotel", "Hotel 3"), ("店铺名称", "店3"), ("Product", "Blue mug 3")):
        rows = "".join(f"u{n % 5},{item[:-1]}{n % 7}\n" for n in range(35))
        data, _ = one_file(tmp_path, f"user,{name}\n{rows}")
        assert titles(data)[item] == item
    rows = "".join(f"u{n % 5},x{n % 7}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,product\n{rows}")
    assert "title" not in data.items.frame.columns


def test_lines_of_orders_called_by_a_path_and_pages_of_visits(tmp_path: Path) -> None:
    names = "Customer,Order Lines/Product,Order Lines/Quantity"
    rows = "".join(f"u{n % 5},x{n % 7},{n % 3 + 1}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    assert set(data.interactions.frame["item_id"]) == {f"x{n}" for n in range(7)}
    visits = [
        {
            "visitorId": f"v{n}",
            "actionDetails": [{"url": f"/p/{k}", "timestamp": 1.7e9 + k} for k in range(n, n + 3)],
        }
        for n in range(9)
    ]
    data, _ = one_file(tmp_path, json.dumps(visits), "visits.json")
    assert len(data.interactions) == 27 and "/p/3" in set(data.interactions.frame["item_id"])


def test_a_quantity_that_came_back_says_no(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},2,{2 if n % 6 == 0 else 0}\n" for n in range(35))
    for name in ("qty_refunded", "Returned Quantity", "退货数量"):
        data, found = one_file(tmp_path, f"user,item,qty_ordered,{name}\n{rows}")
        assert data.interactions.acts()["sign"].to_list().count(-1) == 6
        assert any("came back and say no" in f.why for f in found)


def test_the_last_part_of_a_name_with_points_says_what_was_done(tmp_path: Path) -> None:
    said = ["edx.course.enrollment.activated", "edx.course.enrollment.deactivated", "Product Added"]
    rows = "".join(f"u{n % 5},x{n % 7},{said[n % 3]}\n" for n in range(35))
    data, found = one_file(tmp_path, f"user,item,event\n{rows}")
    assert data.interactions.acts()["sign"].to_list().count(-1) == 12
    assert not any("is not known" in f.why for f in found)


def test_an_address_with_and_without_its_last_slash_is_one_item(tmp_path: Path) -> None:
    for start in ("https://x.org/p", "/p"):
        rows = "".join(f"u{n % 5},{start}/{n % 7}{'/' if n % 3 else ''}\n" for n in range(35))
        data, found = one_file(tmp_path, f"user,url\n{rows}")
        items = set(data.interactions.frame["item_id"])
        assert items == {f"{start}/{n}/" for n in range(7)}
        assert [f.rows for f in found if f.rule == "alike_ids"] == [12]
    data, _ = one_file(tmp_path, "user,url\nu1,/a/\nu2,/b\nu1,/\n")
    assert set(data.interactions.frame["item_id"]) == {"/a/", "/b", "/"}


def test_parts_of_a_date_are_the_time(tmp_path: Path) -> None:
    for names, last in (("day,month,year,hour,minute,second", "8,15,30"), ("日,月,年,时", "8")):
        rows = "".join(f"u{n % 5},x{n % 7},{n % 9 + 10},3,2024,{last}\n" for n in range(35))
        data, found = one_file(tmp_path, f"userID,bookmarkID,{names}\n{rows}")
        minute, second = (15, 30) if last != "8" else (0, 0)
        first = datetime(2024, 3, 10, 8, minute, second, tzinfo=UTC).timestamp()
        assert data.interactions.frame["timestamp"].min() == first
        assert not data.interactions.context_columns and any("put together" in f.why for f in found)
    rows = "".join(f"u{n % 5},x{n % 7},{n % 40},{n % 14},2024\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,day,month,year\n{rows}")
    assert not data.interactions.has_time


def test_one_star_and_five_stars_are_of_one_unit(tmp_path: Path) -> None:
    rows = "".join(
        f"u{n % 5},x{n % 7},{n % 5 + 1} star{'s' if n % 5 else ''}\n" for n in range(0, 70, 2)
    )
    data, _ = one_file(tmp_path, f"user,item,rating\n{rows}")
    assert set(data.interactions.frame["value"]) == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_what_one_user_has_exported_is_refused_with_a_way_out(tmp_path: Path) -> None:
    for names in ("Title,Date", "track,played_at", "Name,Year"):
        with pytest.raises(BadInput, match="if all rows are of one user, add a column"):
            one_file(tmp_path, f"{names}\n" + "Dark,2024-01-01\n" * 5)
    with pytest.raises(BadInput) as refused:
        one_file(tmp_path, "color,size\n" + "red,1\n" * 5)
    assert "of one user" not in str(refused.value)


def test_of_a_purchase_of_which_some_came_back_the_others_were_kept(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},2,{n % 3}\n" for n in range(35))
    data, found = one_file(tmp_path, f"user,sku,qty_ordered,qty_refunded\n{rows}")
    assert data.interactions.acts()["sign"].to_list().count(-1) == 11
    assert any("in 12 rows it is less than qty_ordered" in f.why for f in found)


def test_of_a_quantity_of_none_nothing_was_bought(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n % 3}\n" for n in range(35))
    data, found = one_file(tmp_path, f"user,sku,quantity\n{rows}")
    assert data.interactions.acts()["sign"].to_list().count(-1) == 12
    assert any(f.rows == 12 and "nothing was bought" in f.why for f in found)
    rows = "".join(f"u{n % 5},x{n % 7},{n % 2},{('view', 'buy')[n % 2]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,sku,quantity,event\n{rows}")
    assert {*data.interactions.acts()["sign"]} == {1}


def test_a_comma_is_a_point_where_other_columns_show_it(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5};x{n % 7};{n},50;1,{600 + n}\n" for n in range(35))
    data, found = one_file(tmp_path, f"user;item;liters;per_liter\n{rows}")
    assert data.interactions.frame["per_liter"].min() == 1.6
    assert any("per_liter such as '1,600' was read as 1.6, since" in f.why for f in found)
    data, _ = one_file(tmp_path, f"user;item;liters;per_liter\n{rows.replace(',50', '')}")
    assert data.interactions.frame["per_liter"].min() == 1600
    german = rows.replace(",50", "")
    data, found = one_file(tmp_path, f"Kunde;Artikel;Liter;Literpreis\n{german}")
    assert data.interactions.frame["Literpreis"].min() == 1.6
    assert any("in the language of the table" in f.why for f in found)

"""Tables that look like something else: each is read as meant, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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

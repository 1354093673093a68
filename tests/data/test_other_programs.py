"""Tables as other programs export them: databases, spreadsheets, shops, tills of other countries;
each is read as meant, or what is not is told.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from metarec.data.cleaning import read_clean
from metarec.data.dataset import Dataset
from metarec.data.errors import BadInput
from metarec.data.findings import Finding
from metarec.data.ingest import ingest

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def one_file(
    folder: Path, text: str | bytes, name: str = "interactions.csv"
) -> tuple[Dataset, list[Finding]]:
    """What is read of a folder's one file, and what is told."""
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    data, report = read_clean(folder / name)
    return data, report.findings


def titles(data: Dataset) -> dict[str, str | None]:
    frame = data.items.frame
    return dict(zip(frame["item_id"], frame["title"], strict=True))


def told(findings: list[Finding], rule: str) -> list[int]:
    """Rows of each finding of a rule."""
    return [f.rows for f in findings if f.rule == rule]


def rows_of(names: str, *cells: str, users: int = 4) -> str:
    """A table in which each user has a row for each item's cells."""
    rows = [f"u{user}{cell[0]}x{n}{cell}" for user in range(users) for n, cell in enumerate(cells)]
    return "\n".join([names, *rows]) + "\n"


@pytest.mark.parametrize(
    ("names", "cells", "meant"),
    [
        (  # MySQL's INTO OUTFILE, Spark
            "user,item,title",
            [r',"The \"One\", part 1"', r',"Its \"end\""', r',"C:\\tmp"', r",\N"],
            ['The "One", part 1', 'Its "end"', r"C:\tmp", None],
        ),
        (  # without quotes around cells
            "user\titem\ttitle",
            ['\tTV 42\\" black', "\tparted\\\tin two", "\tplain", "\t\\N"],
            ['TV 42" black', "parted\tin two", "plain", None],
        ),
        (  # addslashes of PHP
            "user;item;title",
            [r";It\'s", r";O\'Neill", ";plain", ";none"],
            ["It's", "O'Neill", "plain", "none"],
        ),
        (  # a line within a cell
            "user,item,title",
            [',"one\\\nline"', r',"a \"b\""', ",c", ",d"],
            ["one\nline", 'a "b"', "c", "d"],
        ),
    ],
)
def test_backslashes_that_escape_are_none_of_a_cell(
    tmp_path: Path, names: str, cells: list[str], meant: list[str | None]
) -> None:
    data, found = one_file(tmp_path, rows_of(names, *cells))
    assert len(data.interactions) == 16
    assert list(titles(data).values()) == meant
    assert told(found, "escapes") == [0] or meant[-1] is None


@pytest.mark.parametrize(
    "cells",
    [
        [r',"C:\films\"', r',"D:\"', ",b", ",c"],  # a folder's name ends so
        [r',"a \""b\"" c"', ",b", ",c", ",d"],  # quotes are doubled, so it escapes none
        [r",¯\_(ツ)_/¯", r",$\alpha$", r",C:\new", ",d"],
        ['\t{"a": "b \\"c\\""}', "\tb", "\tc", "\td"],  # JSON in a cell without quotes
    ],
)
def test_backslashes_that_escape_nothing_stay(tmp_path: Path, cells: list[str]) -> None:
    names = cells[0][0].join(("user", "item", "title"))
    data, found = one_file(tmp_path, rows_of(names, *cells))
    assert not told(found, "escapes")
    meant = cells[0][1:].replace('""', "\x00").strip('"') if cells[0][0] == "," else cells[0][1:]
    assert titles(data)["x0"] == meant.replace("\x00", '"')


@pytest.mark.parametrize("names", ["user,item,rating,", "Unnamed: 0,user,item,rating"])
def test_a_column_without_a_name_that_is_always_the_same_says_nothing(
    tmp_path: Path, names: str
) -> None:
    rows = "".join(
        f"0,u{n % 5},x{n},{n % 5}\n" if names[0] == "U" else f"u{n % 5},x{n},{n % 5},0\n"
        for n in range(20)
    )
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    assert data.interactions.context_columns == []
    ingest(tmp_path, tmp_path / "out")
    assert pl.read_parquet(tmp_path / "out" / "interactions.parquet").width < 5


def test_rows_too_short_are_told_in_bounded_memory_too(tmp_path: Path) -> None:
    rows = "".join(f'u{n % 5},"x{n}",{n % 5},2024-01-{n + 1:02d}\n' for n in range(20))
    (tmp_path / "interactions.csv").write_text(f"user,item,rating,time\n{rows}u1,x1\nu2,x3,4\n")
    report = ingest(tmp_path / "interactions.csv", tmp_path / "out")
    assert told(report.findings, "short_rows") == [2]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("booked", "book"),
        ("attended", "attend"),
        ("purchased", "purchase"),
        ("has_enrolled", "enrol"),
        ("Enrolled?", "enrol"),
        ("completed", "complete"),
        ("applied", "apply"),
        ("watched", "watch"),
        ("did_visit", "visit"),
        ("read", "read"),
        ("是否报名", "报名"),
        ("已预订", "预订"),
    ],
)
def test_a_no_to_whether_an_act_was_done_is_no_act(tmp_path: Path, name: str, kind: str) -> None:
    for yes, no in (("1", "0"), ("yes", "no")):
        rows = "".join(f"u{n % 5},x{n % 7},{no if n % 3 else yes}\n" for n in range(35))
        data, found = one_file(tmp_path, f"user,item,{name}\n{rows}")
        kinds = data.interactions.frame["kind"].value_counts()
        assert dict(kinds.iter_rows()) == {kind: 12, "impression": 23}
        assert data.interactions.acts()["sign"].sum() == 12 and told(found, "kinds") == [23]


def test_an_act_withdrawn_or_dropped_says_no(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{int(n % 3 == 0)},yes\n" for n in range(35))
    for name in ("dropped", "is_withdrawn"):
        data, _ = one_file(tmp_path, f"student,course,{name},enrolled\n{rows}")
        assert sorted(data.interactions.acts()["sign"].value_counts().rows()) == [(-1, 12), (1, 23)]


def test_what_a_user_or_an_item_is_and_what_stands_beside_ratings_is_no_act(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n % 5 % 2},{n % 7 % 2}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,subscribed,visited\n{rows}")
    assert set(data.interactions.frame["kind"]) == {"event"}
    assert "subscribed" in data.users.frame.columns and "visited" in data.items.frame.columns
    rows = "".join(f"u{n % 5},x{n % 7},{n % 4},{int(n % 3 == 0)}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,rating,booked\n{rows}")
    assert data.interactions.context_columns == ["booked"]
    rows = "".join(f"u{n % 5},x{n % 7},{int(n % 3 == 0)},{n % 2}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,featured,book\n{rows}")
    assert data.interactions.context_columns == ["featured", "book"]


@pytest.mark.parametrize(
    ("names", "cells", "numbers"),
    [
        ("student_id,course_code,grade", "A+ A B- D F W", [4.3, 4.0, 2.7, 1.0, 0.0, None]),
        ("student_id,course_code,Final Grade", "91 85.5 40 77 60 12", [91, 85.5, 40, 77, 60, 12]),
        ("学号,课程编号,成绩", "91 85.5 40 77 60 缺考", [91, 85.5, 40, 77, 60, None]),
        ("学号,课程编号,总评", "优秀 良 中等 及格 不及格 缓考", [4, 3, 2, 1, 0, None]),
        ("user,item,rating", "A B C D E P", [4, 3, 2, 1, 0.7, None]),
    ],
)
def test_grades_are_ratings(
    tmp_path: Path, names: str, cells: str, numbers: list[float | None]
) -> None:
    said = cells.split()
    rows = "".join(f"u{n % 5},x{n % 7},{said[n % 6]}\n" for n in range(35))
    data, found = one_file(tmp_path, f"{names}\n{rows}")
    assert len(data.interactions) == 35 and data.interactions.has_values
    got = {None if v is None else round(v, 1) for v in data.interactions.frame["value"]}
    assert got == set(numbers)
    assert any("grade" in f.why or "read as value" in f.why for f in found)


def test_the_grade_of_a_user_or_an_item_is_no_rating(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n % 5 // 2 + 3},{'ABC'[n % 7 % 3]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"pupil,book,grade,mark\n{rows}")
    assert not data.interactions.has_values
    assert "grade" in data.users.frame.columns and "mark" in data.items.frame.columns
    rows = "".join(f"u{n % 5},x{n % 7},{int(n % 3 == 0)}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,mark\n{rows}")
    assert data.interactions.context_columns == ["mark"]
    rows = "".join(f"u{n % 5},x{n % 7},{'red blue A'.split()[n % 3]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,grade\n{rows}")
    assert data.interactions.context_columns == ["grade"]


@pytest.mark.parametrize(
    "names",
    [
        "Kunde;Artikel;Bewertung;Datum;Artikelname;Aktion",
        "Kundennummer;Produkt-ID;Sterne;Bestelldatum;Bezeichnung;Ereignis",
        "client;produit;note;date;nom du produit;événement",
        "Code client;Référence article;Évaluation;Date de commande;Désignation;type d'action",
        "Cliente;Producto;Valoración;Fecha;Nombre;Acción",
        "id_usuario;código de producto;calificacion;fecha_pedido;nombre_producto;tipo de evento",
        "Cliente;Produto;Nota;Data;Nome do produto;Ação",
        "Codice cliente;Articolo;Voto;Data ordine;Nome articolo;Azione",
        "Müşteri No;Ürün Kodu;Puan;Tarih;Ürün Adı;İşlem",
        "ユーザー;商品;評価;日時;商品名;行動",
        "会員番号;商品コード;評点;購入日時;タイトル;イベント種別",
        "顧客コード;商品番号;評価;注文日;商品名;行動",
        "회원번호;상품코드;평점;구매일;상품명;행동",
        "Клиент;Артикул;Оценка;Дата заказа;Наименование товара;Действие",
        "ID пользователя;Код товара;рейтинг;дата;название;тип события",
    ],
)
def test_names_of_columns_in_further_languages(tmp_path: Path, names: str) -> None:
    rows = "".join(
        f"u{n % 5};x{n % 7};{n % 4 + 1};2024-01-{n % 27 + 1:02d};Title {n % 7};rating\n"
        for n in range(35)
    )
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    events = data.interactions
    assert (events.has_values, events.has_time, events.context_columns) == (True, True, [])
    assert set(events.frame["user_id"]) == {f"u{n}" for n in range(5)}
    assert set(events.frame["item_id"]) == {f"x{n}" for n in range(7)}
    assert titles(data)["x3"] == "Title 3" and set(events.frame["kind"]) == {"rating"}


@pytest.mark.parametrize(
    ("purchase", "refund"),
    [
        ("Kauf", "Retoure"),
        ("achat", "retourné"),
        ("compra", "devolución"),
        ("compra", "devolução"),
        ("acquisto", "reso"),
        ("satın alma", "iade"),
        ("購入", "返品"),
        ("구매", "반품"),
        ("покупка", "возврат"),
    ],
)
def test_acts_in_further_languages(tmp_path: Path, purchase: str, refund: str) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{refund if n % 7 else purchase}\n" for n in range(35))
    data, found = one_file(tmp_path, f"user,item,kind\n{rows}")
    acts = data.interactions.acts()
    assert acts["sign"].sum() == 5 - 30 and acts["is_target"].sum() == 5
    assert not [f for f in found if "unknown" in f.rule]


def test_words_of_several_languages_are_read_by_their_cells_and_by_their_neighbors(
    tmp_path: Path,
) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n % 4 + 1},word {n}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"client,produit,quantité,note\n{rows}")  # a comment
    assert not data.interactions.has_values and "note" in data.interactions.context_columns
    data, found = one_file(tmp_path, f"Schüler,Kurs,Note,Bemerkung\n{rows}")  # 1 is best
    assert not data.interactions.has_values and any("Note" in f.why for f in found)
    for names in ("user,item,data,nota", "participant,item,note,cant"):  # no other is Italian
        data, _ = one_file(tmp_path, f"{names}\n{rows}")
        assert not data.interactions.has_time and not data.interactions.has_values
    rows = "".join(f"u{n % 5},x{n % 7},{1 - 3 * (n % 9 == 0)}\n" for n in range(35))
    data, found = one_file(tmp_path, f"Kunde,Artikel,Menge\n{rows}")
    assert (data.interactions.acts()["sign"] < 0).sum() == 4 and told(found, "amounts") == [4]


def test_files_of_a_folder_are_known_by_their_columns_in_further_languages(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5};x{n % 7};2024-01-{n % 27 + 1:02d}\n" for n in range(35))
    (tmp_path / "Bestellungen.csv").write_text(f"Kunde;Artikel;Datum\n{rows}")
    items = "".join(f"x{n};Titel {n};9,90\n" for n in range(7))
    (tmp_path / "Artikel.csv").write_text(f"Artikelnummer;Bezeichnung;Preis\n{items}")
    data, _ = read_clean(tmp_path)
    assert titles(data)["x3"] == "Titel 3" and data.interactions.has_time


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2024/03/12 上午 01:08:31|2024/03/12 下午 03:08:31", 14 * 3600),
        ("2024年3月12日 上午12:30|2024年3月12日 下午12:30", 12 * 3600),
        ("2024-03-12 下午 15:00:00|2024-03-12 下午 4:00:00", 3600),
        ("2024年3月12日 午前1時8分31秒|2024年3月13日 午前1時8分31秒", 86_400),
        ("2024년 3월 12일 오후 3:05|2024년 3월 13일 오후 3:05", 86_400),
        ("3/12/24 01:08|3/28/24 01:08", 16 * 86_400),
        ("12/3/24|28/3/24", 16 * 86_400),
        ("12.03.24|28.03.24", 16 * 86_400),
        ("24/03/12|24/03/28", 16 * 86_400),
        ("3/12/24 1:08 PM|3/28/24 1:08 PM", 16 * 86_400),
        ("12/Mar/2024:01:08:31 +0000|12/Mar/2024:01:08:31 -0100", 3600),
        ("2024-03-12 01:08:31 CET|2024-07-12 01:08:31 CEST", 122 * 86_400 - 3600),
    ],
)
def test_further_ways_to_write_times(tmp_path: Path, written: str, seconds: int) -> None:
    early, late = written.split("|")
    rows = "".join(f"u{n % 5}\tx{n % 7}\t{late if n % 2 else early}\n" for n in range(10))
    data, _ = one_file(tmp_path, f"user\titem\ttime\n{rows}", "r.tsv")
    times = data.interactions.frame["timestamp"]
    assert round(times[-1] - times[0]) == seconds and 1_710_000_000 < times[0] < 1_712_000_000


def test_years_of_two_digits_are_asked_about_where_days_may_be_months(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n % 5 + 1}/{n % 7 + 1}/24\n" for n in range(35))
    with pytest.raises(BadInput, match="%d/%m/%y or %m/%d/%y"):
        one_file(tmp_path, f"user,item,time\n{rows}")


def test_types_of_mongodb_are_the_values_they_hold(tmp_path: Path) -> None:
    def row(n: int) -> str:
        date = {"$date": f"2024-03-{n % 27 + 1:02d}T08:00:00Z"}
        number = {"$numberDouble": f"{n % 5}.0"}
        ids = {"user": {"$oid": f"{n % 5:024x}"}, "item": {"$numberInt": str(n % 7)}}
        return json.dumps(
            {"_id": {"$oid": f"{n:024x}"}, **ids, "rating": number, "createdAt": date}
        )

    data, _ = one_file(tmp_path, "\n".join(map(row, range(35))), "dump.json")
    assert set(data.interactions.frame["item_id"]) == set("0123456")
    assert data.interactions.has_time and data.interactions.has_values


@pytest.mark.parametrize(
    "cells",
    ["★★★½ ★★ ★★★★★", "3,5 von 5 Sternen|2,0 von 5 Sternen|5,0 von 5 Sternen", "3½ 2 5"],
)
def test_half_stars(tmp_path: Path, cells: str) -> None:
    said = cells.split("|") if "|" in cells else cells.split()
    rows = "".join(f"u{n % 5}\tx{n % 7}\t{said[n % 3]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user\titem\trating\n{rows}", "r.tsv")
    assert set(data.interactions.frame["value"]) == {3.5, 2, 5}


def test_comments_are_no_rows_and_are_told(tmp_path: Path) -> None:
    rows = [f"u{n % 5},x{n % 7},{n % 4}" for n in range(20)]
    rows.insert(9, "# second batch")
    text = "# export of May\n# host: a,b\nuser,item,rating\n" + "\n".join(rows) + "\n,x9,4\n# end\n"
    data, found = one_file(tmp_path, text)
    assert len(data.interactions) == 20 and told(found, "comments") == [4]
    assert any("line 25" in example for f in found for example in f.examples)  # of the empty id
    ingest(tmp_path / "interactions.csv", tmp_path / "out")
    assert pl.read_parquet(tmp_path / "out" / "interactions.parquet").height == 20


def test_a_mark_that_begins_ids_or_lines_of_a_cell_makes_no_comment(tmp_path: Path) -> None:
    rows = "".join(f"#{n % 5},#x{n % 7},{n % 4}\n" for n in range(20))
    data, found = one_file(tmp_path, f"#user,item,rating\n{rows}#7,#x1\n")
    assert len(data.interactions) == 21 and not told(found, "comments")
    rows = "".join(f'u{n % 5},x{n % 7},"one\n# two\nthree"\n' for n in range(20))
    data, found = one_file(tmp_path, f"user,item,text\n{rows}")
    assert len(data.interactions) == 20 and not told(found, "comments")


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


def test_a_workbook_is_refused_with_how_to_export_it(tmp_path: Path) -> None:
    for name in ("orders.xlsx", "orders.csv"):
        with pytest.raises(BadInput, match="save it as CSV UTF-8"):
            one_file(tmp_path, b"PK\x03\x04" + b"\x00" * 99, name)


def test_ids_that_a_spreadsheet_with_a_comma_has_rounded_are_told(tmp_path: Path) -> None:
    rows = "".join(f"9,78{n % 5}E+12;x{n % 7};{n % 4}\n" for n in range(20))
    _, found = one_file(tmp_path, f"user_id;item_id;rating\n{rows}")
    assert told(found, "rounded_ids") == [20]


def test_a_status_of_applications_says_what_was_done(tmp_path: Path) -> None:
    said = ["Applied", "Rejected", "Hired", "Interview", "Withdrawn"]
    rows = "".join(f"u{n % 5},x{n % 7},{said[n % 5]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"applicant_id,job_id,status\n{rows}")
    assert (data.interactions.acts()["sign"] < 0).sum() == 14


@pytest.mark.parametrize(
    ("names", "marks"), [("client,produit,note", "1234"), ("student_id,course_code,grade", "ABCD")]
)
def test_ratings_by_their_cells_are_read_in_bounded_memory_too(
    tmp_path: Path, names: str, marks: str
) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{marks[n % 4]}\n" for n in range(35))
    at_once, _ = one_file(tmp_path, f"{names}\n{rows}")
    ingest(tmp_path / "interactions.csv", tmp_path / "out", rows_at_once=10)
    in_parts = read_clean(tmp_path / "out")[0].interactions
    assert in_parts.has_values
    assert in_parts.frame["value"].sum() == at_once.interactions.frame["value"].sum()


def test_a_grade_that_the_user_calls_context_is_none(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{'ABC'[n % 3]}\n" for n in range(35))
    (tmp_path / "r.csv").write_text(f"user,item,grade\n{rows}")
    source = "[[sources]]\ninteractions = 'r.csv'\ncontext = ['grade']\n"
    data, _ = one_file(tmp_path, source, "c.toml")
    assert data.interactions.context_columns == ["grade"]

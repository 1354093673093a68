"""Exports of further systems and languages: what their names, cells and rows say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

import metarec
from data.exports import one_file, told
from metarec.data.dataset import Dataset
from metarec.data.errors import BadInput
from metarec.data.schema import DataWarning

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def table(names: str, *cells: str, rows: int = 30) -> str:
    """A table of users and items with these cells in turn."""
    lines = [f"u{n % 6},i{n % 5},{cells[(n % 6 + n // 6) % len(cells)]}" for n in range(rows)]
    return "\n".join([names, *lines]) + "\n"


def test_a_table_in_traditional_chinese_is_read_as_one_in_simplified(tmp_path: Path) -> None:
    head = "顧客編號,商品編號,評分,日期"
    rows = table(head, "5,2023-01-05", "2,2023-01-06", "4,2023-02-01")
    data, _ = one_file(tmp_path, rows)
    events = data.interactions
    assert events.frame["value"].value_counts().sort("value").rows() == [
        (2.0, 10),
        (4.0, 10),
        (5.0, 10),
    ]
    assert events.has_time and set(events.frame["user_id"]) == {f"u{n}" for n in range(6)}
    acts = table("用戶,商品,行為", "瀏覽", "購買", "退貨")
    signs = one_file(tmp_path, acts)[0].interactions.acts()["sign"].to_list()
    assert (signs.count(1), signs.count(-1)) == (20, 10)
    states = table("用戶,商品,訂單狀態", "已完成", "已取消", "配送中")
    signs = one_file(tmp_path, states)[0].interactions.acts()["sign"].to_list()
    assert (signs.count(1), signs.count(-1)) == (20, 10)


@pytest.mark.parametrize(
    ("names", "states"),
    [
        ("Kunde,Produkt,Status", ("wahrgenommen", "abgesagt", "wahrgenommen")),
        ("Müşteri,Ürün,Durum", ("Onaylandı", "İptal edildi", "Tamamlandı")),
        ("user,item,Status", ("zrealizowany", "anulowany", "w trakcie")),
        ("user,item,Status", ("Selesai", "Dibatalkan", "Diproses")),
        ("user,item,Trạng thái", ("Đã giao", "Đã hủy", "Đang giao")),
        ("Aluno,Produto,Situação", ("Concluído", "Desistente", "Em andamento")),
    ],
)
def test_states_of_further_languages_refuse(
    tmp_path: Path, names: str, states: tuple[str, ...]
) -> None:
    data, findings = one_file(tmp_path, table(names, *states))
    signs = data.interactions.acts()["sign"].to_list()
    assert (signs.count(1), signs.count(-1)) == (20, 10)
    assert 10 in told(findings, "kinds")


def first(data: Dataset) -> datetime:
    times = data.interactions.frame["timestamp"]
    return datetime.fromtimestamp(float(times.min()), UTC)  # type: ignore[arg-type]  # a number


@pytest.mark.parametrize(
    ("cells", "year", "month", "day", "hour", "minute"),
    [
        (("5 janvier 2023 à 14h05", "1 août 2023 à 9h30"), 2023, 1, 5, 14, 5),
        (("5 gennaio 2023 alle ore 14:05", "1 agosto 2023 alle ore 9:30"), 2023, 1, 5, 14, 5),
        (("2023. 1. 5. 오후 2:05", "2023. 11. 12. 오전 9:30"), 2023, 1, 5, 14, 5),
        (("2023. 1. 5", "2023. 11. 12"), 2023, 1, 5, 0, 0),
        (("2566-01-05 14:05", "2566-11-12 09:30"), 2023, 1, 5, 14, 5),
        (("5/01/2566", "29/02/2567"), 2023, 1, 5, 0, 0),
        (("05.01.2566", "29.02.2567"), 2023, 1, 5, 0, 0),
    ],
)
def test_dates_of_further_programs_are_read(
    tmp_path: Path,
    cells: tuple[str, ...],
    year: int,
    month: int,
    day: int,
    hour: int,
    minute: int,
) -> None:
    data, _ = one_file(tmp_path, table("user,item,date", *cells))
    assert data.interactions.has_time and first(data) == datetime(
        year, month, day, hour, minute, tzinfo=UTC
    )


def test_times_of_net_are_found_under_any_name(tmp_path: Path) -> None:
    cells = "/Date(1600000000000)/", "/Date(1600086400000+0200)/"
    data, findings = one_file(tmp_path, table("user,item,CreatedOn", *cells))
    assert first(data).timestamp() == 1.6e9
    assert any("CreatedOn" in f.why for f in findings)


def test_a_time_that_is_none_is_told_with_the_way_out(tmp_path: Path) -> None:
    data, findings = one_file(tmp_path, table("user,item,date", "1402/01/05", "1402/02/07"))
    assert not data.interactions.has_time
    assert any("Persian" in f.why and f.rows == 30 for f in findings)
    data, findings = one_file(tmp_path, table("user,item,time", "14:05:00", "09:30:12"))
    assert not data.interactions.has_time
    assert set(data.interactions.frame["time"]) == {"14:05:00", "09:30:12"}
    assert any("without a date" in f.why for f in findings)


def test_words_beside_ratings_are_no_ratings(tmp_path: Path) -> None:
    data, _ = one_file(tmp_path, table("user,item,rating", "4.5/5", "NEW", "--"))
    values = data.interactions.frame["value"]
    assert (values.null_count(), values.drop_nulls().unique().to_list()) == (20, [4.5])
    data, findings = one_file(tmp_path, table("user,item,rating", "5", "N/R", "3"))
    assert data.interactions.frame["value"].null_count() == 10 and data.interactions.has_values
    assert not told(findings, "unreadable_rows")
    with pytest.raises(BadInput, match="'bloo'"):
        one_file(tmp_path, table("user,item,rating", "4.5/5", "bloo", "3/5"))


def test_amounts_in_brackets_and_in_further_currencies_are_numbers(tmp_path: Path) -> None:
    for cells, numbers in (
        (("$5.00", "($7.50)", "$ 3.25"), {5.0, -7.5, 3.25}),
        (('"1.250,00 TL"', '"12,50 TL"', '"7,00 TL"'), {1250.0, 12.5, 7.0}),
        (("120 Kč", "99 Kč", "7 Kč"), {120, 99, 7}),
        (('"12,50 zł"', '"3,00 zł"', '"7,25 zł"'), {12.5, 3.0, 7.25}),
    ):
        data, _ = one_file(tmp_path, table("user,item,price", *cells))
        assert set(data.interactions.frame["price"]) == numbers


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("понравилось", "да", "нет"),
        ("leuk", "Ja", "Nee"),
        ("liked", "Ja", "Nej"),
        ("beğenildi", "Evet", "Hayır"),
        ("좋아요", "네", "아니오"),
        ("liked", "○", "×"),
    ],
)
def test_a_no_in_further_languages_is_no_like(tmp_path: Path, name: str, yes: str, no: str) -> None:
    data, _ = one_file(tmp_path, table(f"user,item,{name}", yes, no, yes))
    kinds = dict(data.interactions.frame["kind"].value_counts().iter_rows())
    assert kinds == {"like": 20, "impression": 10}


def test_two_words_that_are_no_known_yes_and_no_are_told(tmp_path: Path) -> None:
    _, findings = one_file(tmp_path, table("user,item,liked", "O", "X", "O"))
    assert any("'liked'" in f.why and "'X' = -1" in f.why for f in findings)
    _, findings = one_file(tmp_path, table("user,item,color", "O", "X", "O"))
    assert not any("'color'" in f.why for f in findings)


def test_lists_that_are_printed_in_cells_are_lists(tmp_path: Path) -> None:
    for name, cells in {
        "item_ids": ("\"['a', 'b']\"", "\"['b', 'c', 'd']\""),
        "products": ('"[""a"", ""b""]"', '"[""b"", ""c"", ""d""]"'),
        "item_id": ('"{a,b}"', '"{b,c,d}"'),
    }.items():
        rows = f'user_id,{name},rating\nu,{cells[0]},"[5, 1]"\nv,{cells[1]},"[4, 2, 3]"\n'
        frame = one_file(tmp_path, rows)[0].interactions.frame
        assert sorted(frame.select("user_id", "item_id", "value").rows()) == [
            ("u", "a", 5.0),
            ("u", "b", 1.0),
            ("v", "b", 4.0),
            ("v", "c", 2.0),
            ("v", "d", 3.0),
        ]


def test_braces_around_one_id_are_no_list(tmp_path: Path) -> None:
    rows = table("user,item,note", "x").replace(",i", ",{i").replace(",x", "},x")
    frame = one_file(tmp_path, rows)[0].interactions.frame
    assert len(frame) == 30 and set(frame["item_id"]) == {f"{{i{n}}}" for n in range(5)}


def test_each_item_of_a_list_has_its_own_click(tmp_path: Path) -> None:
    lists = [
        [{"item_id": f"i{(n + m) % 5}", "clicked": m == n % 3} for m in range(3)] for n in range(12)
    ]
    rows = [json.dumps({"user": f"u{n % 4}", "items": shown}) for n, shown in enumerate(lists)]
    data, findings = one_file(tmp_path, "\n".join(rows), "interactions.jsonl")
    kinds = dict(data.interactions.frame["kind"].value_counts().iter_rows())
    assert kinds == {"click": 12, "impression": 24}
    assert not any("does not say which" in f.why for f in findings)


def test_sums_within_a_table_are_left_out_and_told(tmp_path: Path) -> None:
    lines = ["customer,product,quantity"]
    for user in ("Anna", "Ben", "Total Ltd"):
        lines += [f"{user},{item},2" for item in ("tea", "cup", "pot")] + [f"{user} Total,,6"]
    data, findings = one_file(tmp_path, "\n".join([*lines, "Grand Total,,18"]) + "\n")
    assert sorted(set(data.interactions.frame["user_id"])) == ["Anna", "Ben", "Total Ltd"]
    assert len(data.interactions) == 9 and sum(told(findings, "sums")) == 4
    rows = table("customer,product,note", "x").replace("u0", "Big Total")
    assert len(one_file(tmp_path, rows)[0].interactions) == 30


def test_statements_of_a_dump_that_are_not_carried_out_are_told(tmp_path: Path) -> None:
    rows = ",".join(f"({n % 4}, {n % 3})" for n in range(12))
    dump = (
        "CREATE TABLE likes (user_id INT, post_id INT);\nDELETE FROM likes;\n"
        f"INSERT INTO likes VALUES {rows};\n"
    )
    _, findings = one_file(tmp_path, dump, "shop.sql")
    assert not any("not carried out" in f.why for f in findings)
    later = "DELETE FROM likes WHERE user_id = 1;\nUPDATE likes SET post_id = 7;\n"
    _, findings = one_file(tmp_path, dump + later, "shop.sql")
    assert [f.rows for f in findings if "not carried out" in f.why] == [2]


def test_a_user_who_stands_for_many_is_told(tmp_path: Path) -> None:
    rows = table("user,item,date", "2023-01-05", "2023-01-06").replace("u3", "Guest")
    _, findings = one_file(tmp_path, rows)
    assert told(findings, "shared_users") == [5]
    _, findings = one_file(tmp_path, table("user,item,date", "2023-01-05", "2023-01-06"))
    assert not told(findings, "shared_users")


@pytest.mark.parametrize(
    ("ours", "theirs", "hint"),
    [
        ("Cafe\u0301 {}", "Caf\u00e9 {}", "NFKC"),
        ("１０{}", "10{}", "NFKC"),
        ('"1,10{}"', "110{}", "without commas"),
    ],
)
def test_ids_that_would_meet_in_one_form_of_letters_are_told(
    tmp_path: Path, ours: str, theirs: str, hint: str
) -> None:
    rows = [f"u{n % 4},{ours.format(n % 3)}" for n in range(12)]
    (tmp_path / "interactions.csv").write_text("\n".join(["user_id,item_id", *rows]) + "\n")
    items = [f"{theirs.format(n)},T{n}" for n in range(3)]
    (tmp_path / "items.csv").write_text("\n".join(["item_id,title", *items]) + "\n")
    with pytest.warns(DataWarning, match=f"they would meet.*{hint}"):
        metarec.read(tmp_path)


def test_merged_cells_are_refused_with_the_way_out(tmp_path: Path) -> None:
    rows = [f"{'u' + str(n) if n % 3 == 0 else ''},i{n % 5}" for n in range(18)]
    with pytest.raises(BadInput, match="fill down what merged cells left empty"):
        one_file(tmp_path, "\n".join(["customer,product", *rows]) + "\n")


def test_sums_are_found_beside_a_sum_at_the_end(tmp_path: Path) -> None:
    lines = ["Kunde;Artikel;Menge"]
    for user in ("Anna", "Ben", "Cara"):
        lines += [f"{user};{item};2" for item in ("Tee", "Kanne")] + ["Zwischensumme;;4"]
    data, findings = one_file(tmp_path, "\n".join([*lines, "Gesamtsumme;;12"]) + "\n")
    assert len(data.interactions) == 6 and sum(told(findings, "sums")) == 4


def test_times_of_oracle_are_found_under_any_name(tmp_path: Path) -> None:
    cells = "05-JAN-23 02.05.00.000000000 PM", "06-NOV-23 09.30.00.000000000 AM"
    data, findings = one_file(tmp_path, table("user,item,created", *cells))
    assert first(data) == datetime(2023, 1, 5, 14, 5, tzinfo=UTC)
    assert any("'created'" in f.why for f in findings)


@pytest.mark.parametrize("name", ["refund_requested", "is_return_approved", "Return Requested"])
def test_a_yes_to_a_step_of_a_return_refuses(tmp_path: Path, name: str) -> None:
    data, findings = one_file(tmp_path, table(f"user,item,{name}", "no", "yes", "no"))
    signs = data.interactions.acts()["sign"].to_list()
    assert (signs.count(1), signs.count(-1)) == (20, 10)
    assert told(findings, "kinds") == [10]


def test_an_address_of_guests_is_told(tmp_path: Path) -> None:
    rows = table("user,item,date", "2023-01-05", "2023-01-06").replace("u3", "guest@shop.com")
    assert told(one_file(tmp_path, rows)[1], "shared_users") == [5]

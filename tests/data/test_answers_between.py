"""Answers between yes and no, answers that are none, and columns of yes and no of further names."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.exports import one_file

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def kinds_of(folder: Path, names: str, *said: str) -> dict[str, int]:
    rows = "".join(f"u{n % 5},x{n % 7},{said[n % len(said)]}\n" for n in range(35))
    data, _ = one_file(folder, f"{names}\n{rows}")
    return dict(data.interactions.frame["kind"].value_counts().iter_rows())


def test_maybe_is_neither_a_yes_nor_a_no(tmp_path: Path) -> None:
    assert kinds_of(tmp_path, "user,item,interested", "Yes", "No", "Maybe") == {
        "like": 12,
        "dislike": 12,
        "impression": 11,
    }
    assert kinds_of(tmp_path, "user,item,liked", "ja", "nein", "weiß nicht")["dislike"] == 12
    assert kinds_of(tmp_path, "user,item,interested", "1", "0") == {"like": 18, "impression": 17}


def test_further_columns_of_yes_and_no_are_read(tmp_path: Path) -> None:
    assert kinds_of(tmp_path, "patient,drug,taken", "Yes", "No") == {
        "complete": 18,
        "impression": 17,
    }
    assert kinds_of(tmp_path, "用户,药品,是否服用", "是", "否") == {
        "complete": 18,
        "impression": 17,
    }
    assert kinds_of(tmp_path, "user,item,paid", "yes", "no") == {"pay": 18, "begin_checkout": 17}
    rows = "".join(f"u{n % 5},x{n % 7},{n % 2},{int(n % 3 == 0)}\n" for n in range(36))
    data, _ = one_file(tmp_path, f"uid,vid,finish,like\n{rows}")
    kinds = dict(data.interactions.frame["kind"].value_counts().iter_rows())
    assert kinds == {"finish": 18, "like": 6, "impression": 12}


def test_an_answer_that_is_none_leaves_the_others(tmp_path: Path) -> None:
    words = ["Strongly agree", "Agree", "Neutral", "Disagree", "Prefer not to say"]
    rows = "".join(f"r{n % 7},q{n // 7},{words[n % 5]}\n" for n in range(70))
    data, found = one_file(tmp_path, f"respondent,item,answer\n{rows}")
    values = data.interactions.frame["value"]
    assert values.null_count() == 14 and values.max() == 5 and values.min() == 2
    assert any("('Prefer not to say') are read as no rating" in f.why for f in found)


@pytest.mark.parametrize(
    ("names", "done", "refused"),
    [
        ("pembeli,produk_id,Status Pesanan", "Selesai", "Batal"),
        ("pembeli,produk_id,Status Pesanan", "Sedang Dikirim", "Pengembalian"),
        ("user,item,Status zamówienia", "w realizacji", "Anulowane"),
        ("клиент,товар,статус", "Доставлен", "Возвращен"),
    ],
)
def test_states_are_read_where_their_word_stands_first(
    tmp_path: Path, names: str, done: str, refused: str
) -> None:
    names = names.replace("pembeli", "user").replace("produk_id", "item")
    rows = "".join(f"u{n % 5},x{n % 7},{refused if n % 3 else done}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    assert (data.interactions.acts()["sign"] < 0).sum() == 23


def test_a_table_below_a_title_and_the_owner_of_the_account_is_read(tmp_path: Path) -> None:
    head = "Transactions\nUser,ACME,1234\n\n"
    names = "Timestamp,Transaction Type,Asset,Quantity Transacted,User ID\n"
    rows = "".join(
        f"2024-03-{n % 28 + 1:02} 10:00:00 UTC,{'Buy' if n % 3 else 'Sell'},A{n % 7},0.5,u{n % 5}\n"
        for n in range(35)
    )
    data, found = one_file(tmp_path, head + names + rows)
    assert len(data.interactions) == 35 and (data.interactions.acts()["sign"] < 0).sum() == 12
    assert any("3 lines before the names" in f.why and "'Transactions'" in f.why for f in found)


def test_spelled_dates_of_a_column_of_another_name_are_read(tmp_path: Path) -> None:
    spelled = "1 de marzo de 2024 08:00 hs.", "1. März 2024", "1 mars 2024"
    for day in (*spelled, "1 марта 2024 г."):
        other = day.replace("1", "2", 1)
        rows = "".join(f"u{n % 5},x{n % 7},{(day, other)[n % 2]}\n" for n in range(35))
        data, _ = one_file(tmp_path, f"user,item,Cuando\n{rows}")
        assert data.interactions.has_time, day
        assert data.interactions.frame["timestamp"].max() // 86400 == 19784, day

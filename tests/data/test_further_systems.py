"""Exports of further systems: warehouses, web analytics, learning records, shops, apps and surveys
of further languages.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from pathlib import Path

import pytest

from data.exports import one_file, told
from metarec.data.dataset import Dataset
from metarec.data.errors import BadInput

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def kinds(data: Dataset) -> Counter[str]:
    return Counter(data.interactions.frame["kind"].to_list())


def signs(data: Dataset) -> Counter[str]:
    table = data.interactions.kinds
    return Counter(table.of(kind).sign for kind in data.interactions.frame["kind"])


def rows(names: str, *cells: str, n: int = 60) -> str:
    """A table of users and items, with further cells that take turns, out of step with both."""
    lines = [f"u{i * 5 % 7},x{i * 3 % 11},{cells[i % len(cells)]}" for i in range(n)]
    return "\n".join([f"user_id,item_id,{names}", *lines]) + "\n"


@pytest.mark.parametrize("name", ["_fivetran_deleted", "_sdc_deleted_at", "is_soft_deleted"])
def test_rows_that_a_copying_program_calls_deleted_are_taken_back(
    tmp_path: Path, name: str
) -> None:
    yes, no = ("2024-03-05T08:00:00", "") if name.endswith("_at") else ("true", "false")
    data, _ = one_file(tmp_path, rows(name, no, yes, no))
    assert kinds(data) == {"event": 40, "delete": 20}


@pytest.mark.parametrize("name", ["Unfollowed", "unenrollment_ts", "Unsubscribed", "Cancelled"])
def test_a_date_of_an_end_without_a_word_for_dates_ends_the_event(
    tmp_path: Path, name: str
) -> None:
    data, _ = one_file(tmp_path, rows(f"created_at,{name}", "2024-03-01,", "2024-03-02,2024-03-09"))
    assert signs(data)["negative"] == 30 and kinds(data)["event"] == 30


def test_a_state_of_woocommerce_says_what_its_second_word_says(tmp_path: Path) -> None:
    states = "wc-completed wc-cancelled wc-refunded wc-processing".split()
    data, _ = one_file(tmp_path, rows("status", *states))
    assert signs(data) == {"positive": 30, "negative": 30}


def test_users_are_no_word_that_every_row_says(tmp_path: Path) -> None:
    lines = [
        {
            "profile": "AssessmentProfile",
            "actor": {"id": f"urn:u{i % 7}"},
            "action": "Completed",
            "object": {"id": f"urn:x{i * 3 % 11}"},
            "eventTime": f"2024-03-{i % 28 + 1:02d}T08:00:00Z",
        }
        for i in range(60)
    ]
    text = "\n".join(map(json.dumps, lines))
    data, found = one_file(tmp_path, text, "caliper.jsonl")
    assert data.interactions.frame["user_id"].n_unique() == 7
    assert any("'profile'" in f.why and "user_id" in f.why for f in found)


def test_one_item_in_every_row_is_told(tmp_path: Path) -> None:
    lines = [f"shop,u{i % 7},like,x{i * 3 % 11}" for i in range(60)]
    table = "\n".join(["app_id,user_id,se_action,se_label", *lines])
    _, found = one_file(tmp_path, table)
    assert any("'app_id'" in f.why and "of one item" in f.why for f in found)


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("aimé", "oui", "non"),
        ("le gusta", "sí", "no"),
        ("piaciuto", "sì", "no"),
        ("beğendi", "evet", "hayır"),
        ("líbí se", "ano", "ne"),
        ("сподобалось", "так", "ні"),
        ("אהבתי", "כן", "לא"),
        ("पसंद", "हाँ", "नहीं"),
        ("ชอบ", "ใช่", "ไม่ใช่"),
        ("thích", "có", "không"),
    ],
)
def test_a_no_to_whether_it_was_liked_is_no_like(
    tmp_path: Path, name: str, yes: str, no: str
) -> None:
    data, _ = one_file(tmp_path, rows(name, yes, no, yes))
    assert kinds(data) == {"like": 40, "impression": 20}


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("vráceno", "ano", "ne"),
        ("повернення", "так", "ні"),
        ("คืนสินค้า", "ใช่", "ไม่ใช่"),
    ],
)
def test_a_yes_to_whether_it_was_returned_refuses(
    tmp_path: Path, name: str, yes: str, no: str
) -> None:
    data, _ = one_file(tmp_path, rows(name, no, yes, no))
    assert signs(data) == {"positive": 40, "negative": 20}


@pytest.mark.parametrize(("yes", "no"), [("ja", "nein"), ("ano", "ne"), ("是", "否")])
def test_an_answer_to_an_unknown_question_is_told(tmp_path: Path, yes: str, no: str) -> None:
    _, found = one_file(tmp_path, rows("qwert", yes, no, yes))
    notes = [f for f in found if "'qwert'" in f.why and repr(no) in f.why]
    assert [f.rows for f in notes] == [20]


def test_states_of_refusal_in_polish_and_korean(tmp_path: Path) -> None:
    data, _ = one_file(
        tmp_path, rows("status", "zrealizowane", "zwrócone", "odrzucone", "anulowane")
    )
    assert signs(data) == {"positive": 15, "negative": 45}
    states = "배송완료 배송중 수취거부 취소완료"
    data, _ = one_file(tmp_path, rows("주문상태", *states.split()))
    assert signs(data) == {"positive": 30, "negative": 30}


@pytest.mark.parametrize(
    ("name", "cells", "read"),
    [
        ("Note", '"4,0 sur 5" "1,0 sur 5" "3,5 sur 5"', [1.0, 3.5, 4.0]),
        ("評価", "5つ星のうち4.0 5つ星のうち1.0 5つ星のうち3.5", [1.0, 3.5, 4.0]),
        ("rating", '"3 1/2" 4 "2 1/2"', [2.5, 3.5, 4.0]),
        ("rating", "❤️❤️❤️ ❤️ ❤️❤️", [1.0, 2.0, 3.0]),
        ("rating", "star-rating-4 star-rating-1 star-rating-3", [1.0, 3.0, 4.0]),
    ],
)
def test_ratings_as_sites_write_them(
    tmp_path: Path, name: str, cells: str, read: list[float]
) -> None:
    said = [f'"{cell}"' for cell in shlex.split(cells)]
    data, _ = one_file(tmp_path, rows(name, *said))
    assert sorted(set(data.interactions.frame["value"].to_list())) == read


def test_columns_of_periods_are_told(tmp_path: Path) -> None:
    _, found = one_file(tmp_path, rows("Jan 2024,Feb 2024,Mar 2024", "1,,2", "0,3,", ",,1"))
    assert any("'Jan 2024' to 'Mar 2024'" in f.why for f in found)


def test_programs_that_call_themselves_bots_are_left_out(tmp_path: Path) -> None:
    agents = ("Mozilla/5.0 (X11)", "Googlebot/2.1", "Mozilla/5.0 (Cubot X18)")
    data, found = one_file(tmp_path, rows("user_agent", *agents))
    assert told(found, "no_acts") == [20] and len(data.interactions) == 40


def test_users_for_tests_are_told(tmp_path: Path) -> None:
    table = rows("ts", "1709280000") + "test_user,x1,1709280001\n"
    _, found = one_file(tmp_path, table)
    assert told(found, "test_users") == [1]
    many = rows("ts", "1709280000").replace("\nu", "\ntest")
    assert not told(one_file(tmp_path, many)[1], "test_users")


def test_a_refund_in_a_type_that_is_not_read_is_told(tmp_path: Path) -> None:
    _, found = one_file(tmp_path, rows("Type", "Express Checkout Payment", "Payment Refund"))
    assert any("'Type'" in f.why and "'Payment Refund'" in f.why for f in found)


def test_what_was_agreed_on_and_cancelled_says_no(tmp_path: Path) -> None:
    data, _ = one_file(tmp_path, rows("event", "viewed", "viewing_cancelled", "saved"))
    assert data.interactions.kinds.of("viewing_cancelled").sign == "negative"
    assert signs(data)["negative"] == 20


def test_dates_of_sap_are_times(tmp_path: Path) -> None:
    lines = [f"u{i % 7},x{i * 3 % 11},202403{i % 28 + 1:02d}" for i in range(60)]
    data, _ = one_file(tmp_path, "\n".join(["KUNNR,MATNR,ERDAT", *lines]))
    assert data.interactions.has_time
    assert data.interactions.frame["timestamp"].min() == 1709251200


def test_who_got_a_gift_is_not_who_bought_it(tmp_path: Path) -> None:
    lines = [f"u{i % 7}@a.b,v{i % 5}@a.b,x{i * 3 % 11}" for i in range(60)]
    table = "\n".join(["purchaser_email,recipient_email,sku", *lines])
    with pytest.raises(BadInput, match="user_id"):
        one_file(tmp_path, table)

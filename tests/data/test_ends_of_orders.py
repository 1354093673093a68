"""What columns beside an order say of its end: a reason, whoever ended it, a refunded sum, a letter
for yes; and years in brackets, which are no losses.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from data.exports import one_file, told
from metarec.data.dataset import Dataset

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def rows(names: str, *cells: str, n: int = 48) -> str:
    lines = [f"u{i * 5 % 7},x{i * 3 % 11},{cells[i % len(cells)]}" for i in range(n)]
    return "\n".join([f"user_id,item_id,{names}", *lines]) + "\n"


def noes(data: Dataset) -> int:
    return data.interactions.acts()["sign"].to_list().count(-1)


@pytest.mark.parametrize(
    ("name", "cell", "blank"),
    [
        ("cancellation_reason", "changed my mind", ""),
        ("Return reason", "too small", "N/A"),
        ("cancelled_by", "guest", ""),
        ("rejection reason", "price", "none"),
        ("Stornogrund", "Irrtum", ""),
        ("Motif d'annulation", "erreur", "-"),
        ("motivo_cancelacion", "error", "NULL"),
        ("причина отмены", "передумал", ""),
        ("退货原因", "尺码", "无"),
        ("キャンセル理由", "不要", ""),
        ("취소사유", "변심", "-"),
    ],
)
def test_a_stated_reason_of_an_end_says_no(
    tmp_path: Path, name: str, cell: str, blank: str
) -> None:
    data, found = one_file(tmp_path, rows(name, blank, cell, blank))
    assert noes(data) > 0 and 16 in told(found, "kinds")
    assert any(repr(name) in f.why for f in found)


@pytest.mark.parametrize(
    "name",
    [
        *("sold_by", "reviewed_by", "return_by", "reason", "reason_for_visit", "return_code"),
        *("report_comment", "background", "return_policy", "hidden_by_default", "note"),
    ],
)
def test_other_texts_in_some_rows_say_nothing(tmp_path: Path, name: str) -> None:
    data, found = one_file(tmp_path, rows(name, "", "as ordered", ""))
    assert noes(data) == 0 and not told(found, "kinds")


def test_the_reason_of_the_return_of_a_loan_says_nothing(tmp_path: Path) -> None:
    data, _ = one_file(tmp_path, rows("loaned_at,return_reason", "2024-01-02,", "2024-01-03,due"))
    assert noes(data) == 0


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("cancelado", "S", "N"),
        ("storniert", "J", "N"),
        ("annulé", "O", "N"),
        ("iptal", "E", "H"),
        ("取消フラグ", "1", "0"),
        ("返品フラグ", "有", "無"),
        ("취소여부", "Y", "N"),
        ("did_not_attend", "1", "0"),
        ("opt_out", "1", "0"),
        ("blacklisted", "true", "false"),
    ],
)
def test_flags_and_letters_for_yes_in_further_languages(
    tmp_path: Path, name: str, yes: str, no: str
) -> None:
    data, found = one_file(tmp_path, rows(name, no, yes, no))
    assert noes(data) > 0 and 16 in told(found, "kinds")


def test_letters_of_other_columns_stay_as_they_are(tmp_path: Path) -> None:
    data, _ = one_file(tmp_path, rows("hemisphere", "S", "N", "N"))
    assert set(data.interactions.frame["hemisphere"]) == {"S", "N"} and noes(data) == 0


@pytest.mark.parametrize(
    ("price", "refund"),
    [
        ("price", "refund_amount"),
        ("line_total", "amount_refunded"),
        ("支付金额", "退款金额"),
    ],
)
def test_a_whole_refund_says_no_and_a_part_is_told(tmp_path: Path, price: str, refund: str) -> None:
    cells = ("19.90,0", "19.90,19.90", "19.90,5.00", "0,0")
    data, found = one_file(tmp_path, rows(f"{price},{refund}", *cells))
    assert told(found, "amounts") == [12, 12]
    assert set(data.interactions.frame["kind"]) == {"purchase", "refund"} and noes(data) > 0


def test_a_refund_without_a_price_is_told(tmp_path: Path) -> None:
    data, found = one_file(tmp_path, rows("refund_amount", "0", "19.90", ""))
    assert told(found, "amounts") == [16] and noes(data) == 0


@pytest.mark.parametrize(("cells", "least"), [(("(1980)", "(2019)"), 1980), (("(40)", "50"), -40)])
def test_years_in_brackets_are_no_losses(
    tmp_path: Path, cells: tuple[str, str], least: int
) -> None:
    data, _ = one_file(tmp_path, rows("worth", *cells))
    assert data.interactions.frame["worth"].min() == least

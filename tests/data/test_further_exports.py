"""Exports of further systems and languages: what their names, cells and rows say."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.exports import one_file, told

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def table(names: str, *cells: str, rows: int = 30) -> str:
    """A table of users and items with these cells in turn."""
    lines = [f"u{n % 6},i{n % 5},{cells[(n % 6 + n // 6) % len(cells)]}" for n in range(rows)]
    return "\n".join([names, *lines]) + "\n"


def test_a_table_in_traditional_chinese_is_read_as_one_in_simplified(tmp_path: Path) -> None:
    rows = table("顧客編號,商品編號,評分,日期", "5,2023-01-05", "2,2023-01-06", "4,2023-02-01")
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

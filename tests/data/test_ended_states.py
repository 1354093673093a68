"""What states and kinds say in other languages, and beside others."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from data.exports import one_file
from metarec.data.findings import Finding

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def acts_of(folder: Path, names: str, *said: str) -> tuple[dict[int, int], list[Finding]]:
    """How many acts say no, nothing and yes."""
    cells = [said[(n // 5 + n // 3) % len(said)] for n in range(35)]
    rows = "".join(f"u{n % 5},x{n % 7},{cell}\n" for n, cell in enumerate(cells))
    data, found = one_file(folder, f"{names}\n{rows}")
    return dict(Counter(data.interactions.acts()["sign"].to_list())), found


@pytest.mark.parametrize(
    ("names", "done", "refused"),
    [
        (
            "用户,商品,订单状态",
            "交易成功|卖家已发货，等待买家确认",
            "交易关闭|退款成功",
        ),
        (
            "会員,商品,注文ステータス",
            "発送済み|注文確認待ち",
            "キャンセル確定|返品",
        ),
        ("회원,상품,상태", "배송완료|결제완료", "취소완료|반품"),
        ("Kunde,Artikel,Bestellstatus", "Versandt|Offen", "Vom Kunden storniert|Retourniert"),
        ("client,produit,statut", "expédiée|en préparation", "annulée par le client|remboursée"),
        ("cliente,producto,estado", "entregado|en camino", "cancelado|devuelta"),
        ("cliente,produto,situação", "Compareceu|Agendado", "Faltou|Cancelado pela clínica"),
        ("会員,商品,ステータス", "来店済み|予約変更", "キャンセル|無断キャンセル"),
    ],
)
def test_states_in_several_languages(tmp_path: Path, names: str, done: str, refused: str) -> None:
    said = (*done.split("|"), *refused.split("|"))
    signs, _ = acts_of(tmp_path, names, *said)
    cells = [said[(n // 5 + n // 3) % len(said)] for n in range(35)]
    assert signs[-1] == sum(cell in refused.split("|") for cell in cells)
    assert signs[1] == 35 - signs[-1]


@pytest.mark.parametrize(
    ("names", "done", "exchanged", "refunded_in_part"),
    [
        ("user,item,status", "delivered", "exchanged", "partially refunded"),
        ("user,item,status", "delivered", "Exchanged for another size", "partial refund"),
        ("Kunde,Artikel,Status", "Geliefert", "Umgetauscht", "Teilweise erstattet"),
        ("client,produit,statut", "Livrée", "Échangée", "Partiellement remboursée"),
        ("cliente,producto,estado", "Entregado", "Cambiado", "Reembolso parcial"),
        ("用户,商品,订单状态", "已完成", "已换货", "部分退款"),
        ("会員,商品,注文状況", "配達済み", "交換", "一部返金"),
    ],
)
def test_what_was_exchanged_says_nothing_and_what_came_back_in_part_was_kept(
    tmp_path: Path, names: str, done: str, exchanged: str, refunded_in_part: str
) -> None:
    said = (done, exchanged, refunded_in_part)
    signs, _ = acts_of(tmp_path, names, *said)
    cells = [said[(n // 5 + n // 3) % len(said)] for n in range(35)]
    assert signs == {0: cells.count(exchanged), 1: 35 - cells.count(exchanged)}


def test_a_refusal_that_is_asked_for_or_not_given_is_none(tmp_path: Path) -> None:
    states = "未取消|キャンセル待ち|취소 요청|nicht storniert"
    for asked in states.split("|"):
        signs, _ = acts_of(tmp_path, "用户,商品,订单状态", "已完成", asked)
        assert signs == {1: 35}


def test_states_of_which_none_is_known_are_told(tmp_path: Path) -> None:
    signs, found = acts_of(tmp_path, "user,item,status", "archived", "lukewarm")
    assert signs == {1: 35}
    assert any("'status' of interactions.csv holds states of which none" in f.why for f in found)
    _, found = acts_of(tmp_path, "user,item,status", "shipped", "delivered")
    assert not any("holds states" in f.why for f in found)


def test_what_is_delivered_beside_what_is_opened_was_shown(tmp_path: Path) -> None:
    signs, found = acts_of(tmp_path, "email,post_id,event", "delivered", "opened", "clicked")
    assert set(signs) == {0, 1} and any("were shown, beside" in f.why for f in found)
    signs, _ = acts_of(tmp_path, "email,parcel_id,event", "delivered", "opened", "paid")
    assert signs == {1: 35}


def test_to_pass_is_to_refuse_beside_what_is_liked(tmp_path: Path) -> None:
    signs, _ = acts_of(tmp_path, "user_id,profile_id,event", "pass", "like_sent", "match")
    assert set(signs) == {-1, 1}
    signs, _ = acts_of(tmp_path, "student_id,course_id,event", "pass", "enrolled", "completed")
    assert signs == {1: 35}


def test_a_swipe_to_the_left_says_no(tmp_path: Path) -> None:
    for name in ("direction", "swipe"):
        signs, _ = acts_of(tmp_path, f"swiper_id,swipee_id,{name}", "left", "right", "super_like")
        assert set(signs) == {-1, 1}


def test_numbers_that_may_stand_for_acts_are_told(tmp_path: Path) -> None:
    signs, found = acts_of(tmp_path, "user_id,sku_id,type", "1", "2", "3", "4")
    assert signs == {1: 35} and any(
        "'type' of interactions.csv holds numbers" in f.why for f in found
    )
    _, found = acts_of(tmp_path, "user_id,article_id,feedback", "1", "2", "3")
    assert any("'feedback' of interactions.csv holds numbers" in f.why for f in found)
    _, found = acts_of(tmp_path, "user_id,sku_id,cate", "1", "2", "3", "4")
    assert not any("holds numbers" in f.why for f in found)


def test_months_and_days_without_a_year_are_told(tmp_path: Path) -> None:
    _, found = acts_of(tmp_path, "user_id,item_id,time_stamp", "511", "1111", "618", "829", "1031")
    assert any("without a year" in f.why for f in found)
    _, found = acts_of(tmp_path, "user_id,item_id,time_stamp", "511", "1141", "618", "829", "1031")
    assert not any("without a year" in f.why for f in found)


@pytest.mark.parametrize(
    "names",
    [
        "Kunde,Artikel,Datum,Uhrzeit",
        "client,produit,Date de commande,Heure de commande",
        "cliente,producto,fecha,hora",
        "会員,商品,日付,時刻",
    ],
)
def test_a_day_and_a_time_of_day_in_any_language(tmp_path: Path, names: str) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},2024-03-{n % 9 + 10},1{n % 3}:30\n" for n in range(35))
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    assert {t % 3600 for t in data.interactions.frame["timestamp"]} == {1800.0}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("dislikes", "dislike"), ("returns", "return"), ("views", "event"), ("my_list", "event")],
)
def test_a_lone_file_called_like_acts_that_say_no_is_of_these(
    tmp_path: Path, name: str, kind: str
) -> None:
    rows = "user_id,item_id\n" + "".join(f"u{n % 4},i{n % 5}\n" for n in range(20))
    data, findings = one_file(tmp_path, rows, f"{name}.csv")
    assert set(data.interactions.frame["kind"]) == {kind}
    assert any("by its name" in found.why for found in findings) == (kind != "event")

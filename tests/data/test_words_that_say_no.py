"""Kinds of several words that no table has: a plain refusal among them counts, and is told; what
turns or opens it does not. Words of further languages, with and without accents.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from data.exports import one_file
from metarec.data.kinds import Kinds
from metarec.data.names.languages import language_of

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")

KINDS = Kinds.default()
NOES = """
주문취소 반품신청 관심없음 注文キャンセル 订单取消 屏蔽商家
减少此类推荐 no_me_interesa kein_Interesse Не_интересно Скрыть
غير_مهتم حظر إلغاء_الطلب Product_Rated_Down ADD_TO_BLOCKLIST pas_interesse
""".split()
YESES = """
장바구니담기 カートに入れる 상품조회 عرض_المنتج
Просмотр_карточки in_den_Warenkorb_gelegt Song_liked
""".split()


@pytest.mark.parametrize(
    "name",
    [
        *("card-declined-by-user", "rec_dismissed", "trip_cancelled_by_rider", "swipe rejected"),
        *("do not recommend", "Never recommended", "Don't like", "song_was_disliked_by_me"),
        *("Bestellung wurde storniert", "annulé par le client"),
        "заказ отменён клиентом",
        *("compra cancelada por el cliente", "order refunded to card"),
    ],
)
def test_a_refusal_among_other_words_says_no(name: str) -> None:
    assert KINDS.of(name).sign == "negative"
    assert KINDS.by_a_word(name) is not None


@pytest.mark.parametrize(
    "name",
    [
        *("not disliked", "order_not_cancelled", "nicht storniert", "non annulé"),
        "не отменён",
        *("cancel_dialog_shown", "refund policy", "skip_intro", "hide_controls", "report_made"),
        *("liked then disliked", "Cancelled Subscription Reactivated", "dislikes_count"),
        *("recommended", "would recommend", "interested", "page_close"),
    ],
)
def test_a_refusal_that_is_turned_or_open_does_not(name: str) -> None:
    assert KINDS.of(name).sign != "negative"
    assert KINDS.by_a_word(name) is None


@pytest.mark.parametrize("name", ["card declined", "Credit card rejected"])
def test_a_refused_card_says_nothing_of_the_item(name: str) -> None:
    assert KINDS.of(name).sign == "neutral"


@pytest.mark.parametrize("name", ["itemDisliked", "downvote removed", "dismiss", "Order Cancelled"])
def test_names_of_the_table_are_not_told_as_words(name: str) -> None:
    assert KINDS.by_a_word(name) is None and KINDS.known(name)


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        *((name, "negative") for name in NOES),
        *((name, "positive") for name in YESES),
        ("결제실패", "neutral"),
    ],
)
def test_kinds_of_further_languages(name: str, sign: str) -> None:
    assert KINDS.known(name) and KINDS.of(name).sign == sign


def test_a_refusal_by_a_word_is_told(tmp_path: Path) -> None:
    acts = ("viewed", "rec_dismissed", "clicked")
    text = "user_id,item_id,event\n" + "".join(
        f"u{i % 7},x{i * 5 % 11},{acts[i % 3]}\n" for i in range(48)
    )
    _, found = one_file(tmp_path, text)
    notes = [f for f in found if "by one of its words" in f.why]
    assert [f.rows for f in notes] == [16] and "'rec_dismissed'" in notes[0].why


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        ("id_cliente,id_produto,situacao", "Devolvido"),
        ("id_cliente,id_produto,situação", "Cancelado"),
        ("musteri_id,urun_id,siparis_durumu", "iptal"),
        ("Kaeufer,Artikel,Status", "zurueckgeschickt"),
    ],
)
def test_names_and_states_without_accents(tmp_path: Path, names: str, refused: str) -> None:
    other = {"Devolvido": "Entregue", "Cancelado": "Entregue"}.get(refused, "offen")
    rows = "".join(
        f"u{i % 7},x{i * 5 % 11},{refused if i % 3 == 0 else other}\n" for i in range(48)
    )
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    assert data.interactions.acts()["sign"].to_list().count(-1) == 16


def test_english_names_are_no_evidence_for_french() -> None:
    assert language_of(["reservation", "evaluation", "operation", "reference"]) is None


def test_a_column_of_finished_videos_in_chinese(tmp_path: Path) -> None:
    text = "用户id,视频id,是否点赞,是否完播\n" + "".join(
        f"u{i % 7},v{i * 5 % 11},{int(i % 4 == 0)},{int(i % 3 == 0)}\n" for i in range(48)
    )
    data, _ = one_file(tmp_path, text)
    assert data.interactions.acts()["sign"].to_list().count(1) == 24


def test_grades_in_spanish_words(tmp_path: Path) -> None:
    words = ("Muy bueno", "Bueno", "Regular", "Malo", "Muy malo")
    text = "Cliente;Producto;Valoración\n" + "".join(
        f"c{i % 7};p{i * 3 % 11};{words[i % 5]}\n" for i in range(48)
    )
    data, _ = one_file(tmp_path, text)
    assert set(data.interactions.frame["value"]) == {1.0, 2.0, 3.0, 4.0, 5.0}

"""Orders that nobody has paid are no purchases."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from data.exports import one_file, told
from metarec.data.kinds import Kinds

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def kinds_of(folder: Path, names: str, said: tuple[str, ...]) -> dict[str, int]:
    """How many events of each kind are targets, where others are begun or refused."""
    rows = "".join(
        f'u{n % 5},x{n % 7},"{said[(n // 5 + n // 3) % len(said)]}"\n' for n in range(35)
    )
    data, _ = one_file(folder, f"{names}\n{rows}")
    frame = data.interactions.frame.hstack(data.interactions.acts().select("sign", "is_target"))
    words = {
        (1, True): "bought",
        (1, False): "begun",
        (0, False): "nothing",
        (-1, False): "refused",
    }
    return dict(Counter(words[row] for row in frame.select("sign", "is_target").iter_rows()))


@pytest.mark.parametrize(
    ("names", "paid", "unpaid", "refused"),
    [
        ("user,item,Financial Status", "paid|partially_refunded", "pending", "refunded"),
        ("user,item,status", "wc-completed|wc-on-hold", "wc-pending", "wc-cancelled"),
        ("user,item,order_status", "Processing", "Pending payment|Awaiting Payment", "Cancelled"),
        (
            "用户,商品,订单状态",
            "已完成|等待确认收货|买家已付款",
            "(删除)等待付款|等待买家付款",
            "已取消",
        ),
        ("会員,商品,注文ステータス", "発送済み", "入金待ち", "キャンセル"),
        ("회원,상품,상태", "배송완료|결제완료", "결제대기", "취소완료"),
        (
            "Kunde,Artikel,Bestellstatus",
            "Versandt",
            "Zahlung ausstehend|nicht bezahlt",
            "Storniert",
        ),
        ("client,produit,statut", "Expédiée", "En attente de paiement", "annulée"),
        ("cliente,producto,estado", "entregado", "Pendiente de pago", "cancelado"),
        ("cliente,produto,situação", "Entregue", "Aguardando pagamento", "Cancelado"),
        (
            "клиент,товар,статус",
            "Доставлен",
            "Ожидает оплаты",
            "Отменен",
        ),
    ],
)
def test_an_unpaid_order_is_begun_and_no_purchase(
    tmp_path: Path, names: str, paid: str, unpaid: str, refused: str
) -> None:
    groups = {"bought": paid.split("|"), "begun": unpaid.split("|"), "refused": refused.split("|")}
    said = tuple(state for states in groups.values() for state in states)
    cells = [said[(n // 5 + n // 3) % len(said)] for n in range(35)]
    expected = {group: sum(cells.count(s) for s in states) for group, states in groups.items()}
    assert kinds_of(tmp_path, names, said) == expected


def test_a_column_of_paid_and_unpaid_orders_is_read_and_told(tmp_path: Path) -> None:
    states = ["待付款", "已付款", "已付款"]
    rows = "".join(f"u{n % 5},x{n % 7},{states[n % 3]}\n" for n in range(35))
    data, found = one_file(tmp_path, f"用户,商品,支付状态\n{rows}")
    assert dict(data.interactions.frame["kind"].value_counts().iter_rows()) == {
        "begin_checkout": 12,
        "付款": 23,
    }
    assert told(found, "kinds") == [12]
    assert "nobody has paid ('待付款')" in next(f.why for f in found if f.rule == "kinds")


def test_a_refund_that_waits_for_its_payment_says_no(tmp_path: Path) -> None:
    said = ("completed", "refund pending payment")
    assert "begun" not in kinds_of(tmp_path, "user,item,status", said)


@pytest.mark.parametrize(
    ("names", "failed"),
    [
        ("cliente,produto,situação", "Pagamento recusado"),
        ("client,produit,statut", "Paiement refusé"),
        ("Kunde,Artikel,Bestellstatus", "Zahlung abgelehnt"),
        ("cliente,producto,estado", "Pago rechazado"),
        ("user,item,status", "payment rejected by bank"),
    ],
)
def test_a_payment_that_was_refused_says_nothing_of_the_item(
    tmp_path: Path, names: str, failed: str
) -> None:
    counts = kinds_of(tmp_path, names, ("zzz", "yyy", failed))
    assert set(counts) == {"bought", "nothing"}


def test_such_names_of_kinds_are_known() -> None:
    kinds = Kinds.default()
    for name in ("order_awaiting_payment", "PaymentPending", "待支付", "unpaid"):
        assert kinds.of(name) == kinds.of("begin_checkout"), name
    for name in ("paid", "payment", "待发货", "支付成功", "pending"):
        assert kinds.of(name) != kinds.of("begin_checkout"), name

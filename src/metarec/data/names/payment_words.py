"""Names that state how a payment went: not made yet (`awaiting payment`, `等待付款`), or to no
end (`payment refused`, `支付失败`), in several languages.
"""

from __future__ import annotations

import re

from metarec.data.names.column_names import plain

_UNPAID = re.compile(
    r"(await(ing|s)?|pending|requires?|waiting(for)?)(the|for|a)?payment|unpaid|notpaid|^wcpending$"
    r"|payments?(method)?(is)?(pending|due|outstanding|required|awaited|overdue|incomplete)"
    r"|(nicht|un|noch)(nicht)?bezahlt|wartet?(n)?auf(zahlung|überweisung)"
    r"|zahlung(steht)?(aus|offen|erwartet)"
    r"|attente(de|du)?(paiement|règlement|reglement|virement)"
    r"|paiement(en)?attente|impay[ée]|nonpay[ée]"
    r"|aguard(ando|a)(o)?pagamento|pagamentopendente|nãopag[oa]|naopag[oa]"
    r"|pendiente(de)?(l)?pago|esperando(el)?pago|pagopendiente|impagad[oa]|^(no|sin)pagad?[oa]?r?$"
    r"|inattesa(di|del)?pagamento|attesapagamento|pagamentoinattesa|nonpagat[oa]|dapagare"
    r"|(ожида\w*|жд[её]т|ждут)(ся)?оплат|неоплач"
    r"|оплатаожида|ödeme(niz)?(bekl|yapılmad)|ödenmedi"
    r"|(oczekuj\w*|czeka)na(wpłat|płatnoś)|nieopłac|niezapłac"
    r"|wach(t|ten)opbetaling|nietbetaald|onbetaald|inafwachtingvanbetaling"
    r"|(menunggu|belum)(di)?(pem)?bayar|(chờ|chưa)thanhtoán"
    r"|(بانتظار|فيانتظار)(ال)?دفع|غيرمدفوع|لميتمالدفع"
    r"|(等待|待|未)(买家|買家|用户|客户|顾客)?(付款|支付|缴费|付)(?!成)"
    r"|(入金|支払い?|お支払い?|決済)(待ち|前)"
    r"|未(入金|払い?|決済)|(결제|입금)(대기|전)|미(결제|입금)"
)
"""Pattern of states of orders that nobody has paid, as `plain` returns them."""
_PAYMENT = (
    r"payment|charge|zahlung|paiement|règlement|pago|pagamento|cobro|cobrança|ödeme|płatność"
    r"|betaling|оплат|плат[её]ж|pembayaran"
    r"|thanhtoán|(ال)?دفع|付款|支付|扣款|支払い?|決済|결제"
)
_REFUSED = (
    r"refus|reject|declin|denied|fail|erro|erreur|fehler|abgelehnt|fehlgeschlagen"
    r"|gescheitert|échou|echou"
    r"|rechazad|fallid|recusad|falh|negad|rifiutat|fallit|reddedil|başarısız|odrzuc|nieudan"
    r"|geweigerd|mislukt|отклон|неудал|непрош"
    r"|ошибк|gagal|ditolak|thấtbại|فشل|مرفوض"
    r"|失败|失敗|被拒|エラー|실패|거절"
)
_FAILED = re.compile(
    rf"^(credit|debit|bank|your)?card(was|is)?({_REFUSED})\w{{0,3}}$"
    rf"|({_PAYMENT}).*({_REFUSED})|({_REFUSED}).*({_PAYMENT})"
)
"""Pattern of payments that came to nothing, as `plain` returns them."""
_OF_PAYMENTS = re.compile(
    rf"(financial|pay|paid|billing|{_PAYMENT})(ment)?s?(status|state|statut|estado|zustand|状态)?"
)
"""Pattern of names of columns of states of payments, as `plain` returns them."""
_OPEN = frozenset(
    "pending open due overdue outstanding awaiting waiting incomplete requiresaction no not none "
    "offen ausstehend überfällig enattente attente "
    "pendiente pendente inattesa ожидает ожидание "
    "bekliyor beklemede 未 待 否 "
    "未完成 待处理 未処理 未済 待ち 대기 대기중 미납".split()
)
"""States of a payment that nobody has made, as `plain` returns them, in a column of payments."""
_REFUNDS = "refund return chargeback 退 返金 返品 환불 erstatt rembours reembols"
_ASKED_BACK = re.compile("|".join(_REFUNDS.split()))


def unpaid(name: str) -> bool:
    """Whether a name states that an order waits for its payment: `pending_payment`, `未付款`."""
    text = plain(name)
    return _UNPAID.search(text) is not None and not _ASKED_BACK.search(text)


def unpaid_in(column: str, state: str) -> bool:
    """Whether a state of that column says that nobody has paid: `unpaid`, or `pending` in a column
    of payments.
    """
    of_payments = _OF_PAYMENTS.match(plain(column)) is not None
    return unpaid(state) or (of_payments and plain(state) in _OPEN)


def payment_failed(name: str) -> bool:
    """Whether a name states that a payment came to nothing: `Pagamento recusado`,
    `支付失败`.
    """
    text = plain(name)
    return _FAILED.search(text) is not None and not _ASKED_BACK.search(text)

"""Names of columns of times: of events, of what came later, of births and releases."""

from __future__ import annotations

import re

from metarec.data.names.column_names import SYNONYMS, plain
from metarec.data.names.languages import timestamps_in_languages

_A_MOMENT = re.compile(
    r"([_\W](?i:at|time|date|datetime|timestamp|ts)|[a-z](At|Time|Date|Timestamp)|时间|日期"
    r"|\w{4,}(?i:[td]|en|[éeao]) (?i:am|le|il|el|em)|^stat(e|us)_since)$",
)


def ends_as_a_moment(name: str) -> bool:
    """Whether a column's name ends like `played_at` or `pickup_time`: the time of an event, where
    the table has only one such column.
    """
    return _A_MOMENT.search(name) is not None


def names_a_moment(name: str) -> bool:
    """Whether a column's name is that of the time of an event."""
    is_date = re.match(r"date[_\W]", name, re.IGNORECASE) is not None  # `Date Rated`
    return plain(name) in (*_KNOWN, "day") or is_date or ends_as_a_moment(name)


def is_known_moment(name: str) -> bool:
    """Whether a column's name is a known one for the time of an event, in any language."""
    return plain(name) in _KNOWN or plain(name) in timestamps_in_languages()


_KNOWN = frozenset(map(plain, ("timestamp", *SYNONYMS["timestamp"])))


_OTHER_DATES = re.compile(
    r"birth|born|dob\b|expir|until|due|valid|deadline|releas|publish|(?<!status_)(?<!state_)since|"
    r"出生|生日|到期|有效|截止|发布|出版",
    re.IGNORECASE,
)
"""Pattern of names of dates other than those of events."""


_DURATIONS = re.compile(
    r"(elapsed|moving|lead|dwell|wait|waiting|play|run|cook|prep|spent|reading|screen|travel|"
    r"response|processing|total|avg|average|mean|active|reaction)[_\W]?time$",
    re.IGNORECASE,
)


def names_a_duration(name: str) -> bool:
    """Whether a column's name is that of a duration, such as `elapsed_time`."""
    return _DURATIONS.search(name) is not None


def names_another_date(name: str) -> bool:
    """Whether a column's name is that of a date other than the event's: a birth, a release."""
    return _OTHER_DATES.search(name) is not None


_LATER_DATES = re.compile(
    r"return|deliver|shipp|shipment|ship[_\W]*(date|time|on|at)|dispatch|fulf|arrived|due\b|"
    r"due[_\W]|cancel|refund|expir|updat|modif|chang|edited|closed|(?<![a-z])end(ed|s|[_\W]|$)|"
    r"deactivat|delet|remov|archiv|received|"
    r"last[_\W]?(access|activ|seen|log|view|watch|play|read|visit)|(date|time)[_\W]?in$|"
    r"rückgabe|rueckgabe|zurück|retour|rücksend|fällig|liefer|versand|versend|verschickt|"
    r"zugestellt|storn|abgesagt|geändert|änderung|aktualisi|ablauf|läuft ab|beendet|erstatt|"
    r"abreise|frist|rendu|restitu|livraison|livré|expédi|échéance|annul|rembours|"
    r"mise à jour|clôtur|péremption|devol|devuel|entreg|envío|enviad|vencim|anulad|reembols|"
    r"actualiz|caduc|límite|consegn|spedi[zt]|scadenz|rimbors|aggiorn|prazo|atualiz|validade|"
    r"inlever|terug|lever(dat|tijd)|geleverd|verzend|verzonden|verval|verlop|gewijzigd|"
    r"bijgewerkt|iade|teslim|kargo|iptal|güncelle|zwrot|dostaw|wysył|возврат|"
    r"доставк|отправк|отмен|обновл|归还|還|还书|还车|应还|"
    r"退货|退貨|退款|退还|取消|发货|發貨|收货|收貨|签收|簽收|送达|"
    r"送達|配送|出货|出貨|到货|到貨|结束|結束|关闭|關閉|更新|修改|"
    r"离店|離店|返却|返品|返金|発送|出荷|納品|変更|期限|終了|"
    r"キャンセル|반납|반품|환불|배송|수정|취소|종료",
    re.IGNORECASE,
)
"""Pattern of names of dates of what came after an event: a return, a delivery, a change."""


def names_a_later_date(name: str) -> bool:
    """Whether a column's name is that of a date after the event's, such as a return or a change."""
    return _LATER_DATES.search(name) is not None

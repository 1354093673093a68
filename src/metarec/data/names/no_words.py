"""Find the refusal in a kind's name of several words that no table has: `card_dismissed_by_user`,
`don't recommend this channel`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

from metarec.data.names.kind_names import is_object, words_of
from metarec.data.names.languages import act_of

_CLEAR = frozenset(
    "dislike downvote decline declined reject rejected refuse dismiss cancelled canceled refunded "
    "uninterested".split()
)
"""Keys of kinds whose word says no whatever stands beside it."""
_CLEAR_ACTS = frozenset("dislike decline cancel refund dismiss".split())
"""The same for the kinds of words in further languages."""
_NEGATIONS = frozenset(
    "not no never non un without undo nicht kein keine nie ohne pas sans ne jamais sin nunca não "
    "nao sem senza mai не нет без لا غير لم ليس geen niet değil nie bez".split()
)
"""Words that turn the meaning of another."""
_OPENING = frozenset(
    "view viewed show shown shows open opened search list page screen dialog modal popup button "
    "request requested pending policy reason form settings if can could may might "
    "요청 신청 대기 申請 依頼 待ち 申请 等待 "
    "angefragt beantragt demandé demandée demande solicitado solicitada pendiente pendente "
    "richiesto richiesta запрошен запрошена ожидает "
    "запрос طلب count total reactivated restored reinstated reversed undone lifted".split()
)
"""Words beside a refusal that leave open whether it was done."""
_AGREED = frozenset("viewing viewings interview visit tour trip ride meeting rental".split())
"""Words for what two agreed on, before the word that ends it: `viewing_cancelled`."""
_WANTED = re.compile(r"(recommend|suggest)(ed|ing)?$|like$|love$|interested$")
_NOT_BEFORE = ("not", "t", "dont", "never", "longer", "less")
"""Words before what users do not want: `don't recommend`, `no longer interested`."""


def refusal_in(name: str, key_of_word: Callable[[str], str | None]) -> str | None:
    """Return the key of the only known kind among the words of a name, where it says no and nothing
    turns it; of `don't recommend`, `not_interested`. None for other names.

    Args:
        key_of_word: returns the key of the kind that a single word names, or None.
    """
    words = words_of(name)
    if len(words) < 2:
        return None
    if any(a in _NOT_BEFORE and _WANTED.match(b) for a, b in pairwise(words)):
        return "notinterested"
    if {*words} & (_NEGATIONS | _OPENING):
        return None
    words = [word for word in words[:-1] if word not in _AGREED] + words[-1:]
    keys = {key for word in words if not is_object(word) and (key := key_of_word(word))}
    if len(keys) != 1:
        return None
    (key,) = keys
    return key if key in _CLEAR or act_of().get(key) in _CLEAR_ACTS else None

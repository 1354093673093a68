"""Set the kinds of events by a column of what became of them: an order that was `cancelled`, a
booking that was a `no_show`, a payment that `failed`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.findings import Finding, quoted
from metarec.data.kinds import UNPAID, Kinds
from metarec.data.names.column_names import CANONICAL, plain
from metarec.data.names.kind_names import kept, stepped, words_of
from metarec.data.names.languages import act_of, done_states
from metarec.data.names.payment_words import payment_failed, unpaid_in
from metarec.data.sources.columns.item_and_user_columns import is_of_one

NAMES = re.compile(
    r"(status|state|stage|attendance|decision|"
    r"outcome|result|disposition|resolution|response|answer|attended|presence)(code|name|text)?$"
    r"|(状态|狀態|结果|結果|进度|進度|ステータス|状態|状況"
    r"|상태|durumu?|trạngthái|สถานะ)$"
    r"|статус|^status(?!since)|^(ال)?حالة"
    r"|^(estado|estatus|statut|[eé]tat|stato|situa[çc][ãa]o)"
    r"|^(présence|anwesenheit|teilnahme|asistencia|presença|presenza|出席)$"
)
"""Pattern of names of columns of states, as `plain` returns them."""
MAX_STATES = 30
"""Maximum number of different states of such a column."""
IN_OTHER_WORDS = {
    **dict.fromkeys("denied deny disapproved unsuccessful".split(), "reject"),
    **dict.fromkeys("voided void revoked rescinded annulled closed_by_customer".split(), "cancel"),
    **dict.fromkeys("deleted deactivated terminated lapsed ended_early".split(), "remove"),
    **dict.fromkeys("stopped ceased".split(), "discontinue"),
    **dict.fromkeys("failed failure error errored expired timeout abandoned".split(), "fail"),
    **dict.fromkeys(
        "timedout noreply didnotrespond notresponded nodriversavailable nodriverfound "
        "nocarsavailable".split(),
        "fail",
    ),
    **dict.fromkeys("noresponse noanswer unanswered ignored notenrolled".split(), "fail"),
    **dict.fromkeys("enteredinerror notdone lost undelivered undeliverable".split(), "fail"),
    **dict.fromkeys("leftbeforeseated leftwithoutbeingseen lwbs".split(), "fail"),
    "rto": "return",
    **dict.fromkeys("surrendered nottakenup".split(), "withdraw"),
    **dict.fromkeys("notattending notgoing".split(), "decline"),
    **dict.fromkeys("dna didnotattend".split(), "no_show"),
    **dict.fromkeys("bounced notstarted notattempted excused 未开始 未学习".split(), "fail"),
    **dict.fromkeys("missed absent notattended 爽约 缺勤 缺席 旷课".split(), "no_show"),
    "已关闭": "取消",
}
"""State -> kind, where the name of the state is not a form of the kind's name."""
_REFUSALS = {
    **dict.fromkeys("cancelled canceled cancellation cancel storno".split(), "cancel"),
    **dict.fromkeys("returned return".split(), "return"),
    **dict.fromkeys("refunded refund chargeback".split(), "refund"),
    **dict.fromkeys("rejected reject refused declined decline".split(), "reject"),
    **dict.fromkeys("withdrawn withdrew".split(), "withdraw"),
    "exchanged": "exchanged",
    "noshow": "no_show",
}
"""Kinds of states of several words, by one of them: `cancelled_by_guest`."""
_DONE = frozenset("seen served shown".split())
"""Kinds of what is shown alone, which as a state say that it was done: a patient was seen."""
_SALES = frozenset(("sell", "redeem", "卖出", "赎回"))
"""Kinds by which users give an item away."""
IN_CHINESE = {
    **dict.fromkeys(
        "取消 关闭 關閉 作废 作廢 撤销 撤銷 キャンセル 取り消し 取消し 취소".split(), "cancel"
    ),
    **dict.fromkeys("退货 退貨 返品 반품".split(), "return"),
    **dict.fromkeys("退款 返金 환불".split(), "refund"),
    **dict.fromkeys("换货 換貨 交換 교환".split(), "exchanged"),
    **dict.fromkeys("拒绝 拒絕 拒收 拒否 却下 거절 거부".split(), "reject"),
    **dict.fromkeys("失败 失敗 过期 過期 期限切れ 실패".split(), "fail"),
}
"""Part of a state in Chinese, Japanese or Korean, which do not separate words, -> kind."""
_UNSURE = re.compile(
    "[未不没無无待中可]|申请|申請|請求|依頼|希望|確認待ち"
    "|신청|요청|대기"
    "|(售后|售後|退款|退货|退貨).*(取消|关闭|關閉|撤销|撤銷)"
    "|(取消|撤销|撤銷|关闭|關閉)(售后|售後|退款|退货|退貨)"
)
"""Pattern of states without an outcome yet: a requested refund, an order that may be canceled."""
_IN_PART = re.compile(
    "^(part|partial|partially|partly)(ly)?(refund|return|cancel)|(refund|return)ed?part"
    "|teil(weise|er|re)|partiel|parcial|parzial|部分|一部|일부"
)
"""Pattern of states of partial returns, as `plain` returns them; the rest was kept."""
_UNDER_WAY = re.compile(
    "(退款|退货|退貨|返金|返品|환불|반품)"
    "(申请|申請|処理|处理|審核|审核|依頼|希望|請求|신청|요청|대기)?中?$"
    "|(申请|申請|待)(退款|退货|退貨)$"
)
"""Pattern of returns and refunds that were asked for or are under way."""
_REVOKED = re.compile("取消|关闭|關閉|撤销|撤銷|[可不未无無没]")
"""Pattern of requests that were taken back, and of states of no request."""
_ASKING = frozenset(
    "pending requested angefragt beantragt demandé demandée solicitado solicitada pendiente "
    "pendente richiesto richiesta".split()
)
"""Words of states of what was asked for; the user gave the item up, whatever the answer."""
_REVOKING = frozenset("cancelled canceled withdrawn revoked rejected declined denied".split())
_CONTRARY = frozenset(
    "not no never non without before pending requested partially nicht kein ohne angefragt "
    "beantragt teilweise pas sans demandé demandée partiellement sin solicitado solicitada "
    "pendiente parcialmente não sem pendente senza richiesto richiesta".split()
)
"""Words beside a refusal that negate it or leave it open."""


def outcomes_of(
    frame: pl.DataFrame, kinds: Kinds, context: Sequence[str] = ()
) -> dict[str, dict[str, str]]:
    """Return column -> state -> kind, for columns of states of which some, but not all, are
    refusals, failures or unpaid, and some are no kinds or are partial returns. Beside ratings a
    state is that of a review, unless some rows have ratings and none with a refused state has one.

    Args:
        context: names of context columns given by the user.
    """
    outcomes = dict[str, dict[str, str]]()
    for column in frame.columns:
        if column in (*CANONICAL["interactions"], *context) or not NAMES.search(plain(column)):
            continue
        states = _states(frame[column])
        named = _without_first_word(states)
        refused = {s: kind for s in states if (kind := _refusal(named[s], kinds)) is not None}
        open_states = [s for s in states if s not in refused]
        owed = [s for s in open_states if any(unpaid_in(column, n) for n in (s, named[s]))]
        refused |= dict.fromkeys(owed, UNPAID)
        refused |= _not_coming(column, states) | _not_done(states, refused, kinds)
        if "value" in frame.columns and not _unrated(frame, column, list(refused)):
            continue
        in_part = [s for s in states if _IN_PART.search(plain(s))]
        unclear = [s for s in states if kinds.unknown([named[s]]) or _asked_for(s) is not None]
        is_mixed = 0 < len(refused) < len(states)
        is_mixed &= bool(in_part or unclear) or UNPAID in refused.values()
        others = [s for s in states if refused.get(s, UNPAID) == UNPAID and s not in in_part]
        if "kind" not in frame.columns and not {*unclear} & {*others}:  # the states are the kinds
            acts = {s: kinds.key(named[s]) for s in others if s not in refused}
            refused |= {s: act for s, act in acts.items() if act not in _DONE}
        if is_mixed and not is_of_one(frame, column):
            outcomes[column] = refused
    return outcomes


def _without_first_word(states: Sequence[str]) -> dict[str, str]:
    """Return state -> the state without its first word where all begin with the same one, as in
    exports of WooCommerce (`wc-cancelled`); else the states as they are.
    """
    first = {re.split(r"[\W_]", state, maxsplit=1)[0] for state in states}
    bare = {state: re.sub(r"^[^\W_]+[\W_]+", "", state) for state in states}
    is_shared = len(states) >= MIN_SHARED and len(first) == 1 and all(bare.values())
    return bare if is_shared and not {*states} & {*bare.values()} else {s: s for s in states}


MIN_SHARED = 3
"""Minimum number of states for a first word of all of them to say nothing."""


def _not_coming(column: str, states: Sequence[str]) -> dict[str, str]:
    """Return `decline` for the answer `no` to an invitation; else empty."""
    words = {plain(s) for s in states}
    invites = _INVITED.search(plain(column)) is not None
    is_asked = "yes" in words and (invites or bool(words & _WAITING))
    return {s: "decline" for s in states if is_asked and plain(s) == "no"}


def _not_done(states: Sequence[str], refused: Collection[str], kinds: Kinds) -> dict[str, str]:
    """Return `fail` for states that negate another one (`Not completed` beside `Completed`) or what
    users do (`Never submitted`).
    """
    words = {plain(s) for s in states}
    bare = {s: _NOT.sub("", s.strip()) for s in states if _NOT.match(s.strip())}
    return {
        s: "fail"
        for s, rest in bare.items()
        if s not in refused and (plain(rest) in words or _own_act(rest, kinds))
    }


def _own_act(state: str, kinds: Kinds) -> bool:
    """Whether a state is an act of the user, unlike one of the shop (`shipped`)."""
    return plain(state) in _OWN_WORDS or kinds.key(act_of().get(plain(state), state)) in _OWN_ACTS


_OWN_WORDS = frozenset("taken answered passed used consumed redeemed collected arrived".split())
_OWN_ACTS = frozenset(
    "submit complete finish attend watch read view visit participate enrol enroll register start "
    "open play listen buy purchase order book join administer dispense borrow".split()
)
_NOT = re.compile(
    r"^((not|never|nicht|nie|non|no|pas|jamais|nunca|não|nie|niet|nooit|не)[\s_-]+(yet[\s_-]+)?"
    r"|[未没不]有?)",
    re.IGNORECASE,
)
"""Pattern of a negation before a state."""
_INVITED = re.compile(r"rsvp|invit")
_WAITING = frozenset("waitlist waitlisted waitinglist tentative".split())


def _unrated(frame: pl.DataFrame, column: str, refused: Sequence[str]) -> bool:
    """Whether some rows have ratings, and none of the rows with a refused state."""
    rated = nothing(frame["value"]).is_not_null()
    no = nothing(frame[column].cast(pl.Utf8)).is_in(refused).fill_null(False)
    return bool(rated.any()) and not (rated & no).any()


def states_with_a_refusal(column: pl.Series, kinds: Kinds) -> list[str]:
    """Return the states in a column of which some say that an event was refused; else empty."""
    states = _states(column)
    return states if any(_refusal(state, kinds) is not None for state in states) else []


def with_outcomes(
    frame: pl.DataFrame, outcomes: Mapping[str, Mapping[str, str]], kinds: Kinds, place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set the kind of positive events to that of their state, drop the columns of states, and
    return findings.

    Args:
        outcomes: column -> state -> kind, from `outcomes_of`.
    """
    findings = list[Finding]()
    for column, refused in outcomes.items():
        states = nothing(frame[column])
        came = states.replace_strict(refused, default=None, return_dtype=pl.Utf8)
        given = frame["kind"] if "kind" in frame.columns else pl.Series(["event"] * frame.height)
        is_act = given.is_in([k for k in given.unique() if kinds.of(k).sign == "positive"])
        kind = came.zip_with(came.is_not_null() & is_act, given.cast(pl.Utf8)).alias("kind")
        kind = _without_undone_sales(kind, came, kinds)
        if UNPAID in refused.values() and "value" not in frame.columns:
            kind = kind.replace("event", "purchase")  # what was paid is more than what was not
        no = [s for s, k in refused.items() if kinds.of(k).sign in ("negative", "neutral")]
        unpaid = [s for s, k in refused.items() if k == UNPAID]
        done = states.filter(~states.is_in([*no, *unpaid])).drop_nulls().unique().sort()
        if unpaid:
            findings.append(_of_unpaid(states, unpaid, column, place))
        why = (
            f"column {column!r} of {place} says what became of events: {quoted(no, 8)} say that "
            f"they were refused or came to nothing, others ({quoted(done, 8)}) that they were "
            f"done; if it says something else, name it as context (context = [{column!r}])"
        )
        rows = int(states.is_in(no).sum())
        if no:
            findings.append(Finding(rule="kinds", rows=rows, action="noted", why=why))
        frame = frame.drop(column).with_columns(kind)  # known only after the event
    return frame, findings


def _of_unpaid(states: pl.Series, unpaid: Sequence[str], column: str, place: str) -> Finding:
    """Return a finding on orders that nobody has paid."""
    why = (
        f"column {column!r} of {place} says that nobody has paid ({quoted(unpaid, 8)}): such "
        f"orders count as begun, not as purchases; if it says something else, name it as context "
        f"(context = [{column!r}])"
    )
    rows = int(states.is_in(unpaid).sum())
    return Finding(rule="kinds", rows=rows, action="noted", why=why)


def _until_its_reason(state: str) -> list[str]:
    """Return the words of a state up to a dash, colon or bracket: `rejected` of `Rejected - not
    qualified`.
    """
    head = re.split(r"\s+[-–—]\s*|[:;(]", state, maxsplit=1)[0]
    return words_of(head) or words_of(state)


def _without_undone_sales(kind: pl.Series, came: pl.Series, kinds: Kinds) -> pl.Series:
    """Return kinds with `fail`, which is neutral, for sales that were canceled or failed."""
    sales = [k for k in kind.unique() if k is not None and kinds.key(k) in _SALES]
    no = [k for k in came.drop_nulls().unique() if kinds.of(k).sign in ("negative", "neutral")]
    undone = kind.is_in(sales) & came.is_in(no).fill_null(False)
    return pl.Series("kind", ["fail"]).zip_with(undone, kind)


def _states(column: pl.Series) -> list[str]:
    """Return the states in a column of text; empty where there are fewer than 2 or too many."""
    if column.dtype not in (pl.Utf8, pl.Categorical):
        return []
    states = nothing(column.cast(pl.Utf8)).drop_nulls().unique().sort().to_list()
    return states if 2 <= len(states) <= MAX_STATES else []


def _asked_for(state: str) -> str | None:
    """Return the kind of a return, refund or cancellation that a state says to be under way:
    `refund` of `refund requested`; None for other states.
    """
    if _UNDER_WAY.search(state) is not None and not _REVOKED.search(state):
        return next((kind for word, kind in IN_CHINESE.items() if word in state), None)
    words = words_of(state)
    beside = _CONTRARY & {*words}
    if not beside or not beside <= _ASKING or kept(state) or _REVOKING & {*words}:
        return None
    acts = [stepped(state), *(act_of().get(word) for word in words)]
    return next((act for act in acts if act in ("return", "refund", "cancel")), None)


def _refusal(state: str, kinds: Kinds) -> str | None:
    """Return the kind of a state of refusal or failure; None for any other state."""
    if (other := IN_OTHER_WORDS.get(plain(state))) is not None:
        return other
    if payment_failed(state):
        return "fail"
    if _IN_PART.search(plain(state)):
        return None
    if (requested := _asked_for(state)) is not None:
        return requested
    if kinds.known(state):
        if kinds.key(state) in _DONE:
            return None
        return kinds.key(state) if kinds.of(state).sign in ("negative", "neutral") else None
    words = _until_its_reason(state)
    if _CONTRARY & {*words} or _UNSURE.search(state):
        return None
    further = (act_of().get(word) for word in words)
    keys = [IN_OTHER_WORDS.get(w) or _REFUSALS.get(w) for w in words]
    keys += [act for act in further if act in _REFUSALS or act == "fail"]
    if not (refusals := [key for key in keys if key]):
        refusals = list({kind for word, kind in IN_CHINESE.items() if word in state})
        return refusals[0] if len(refusals) == 1 else None
    return refusals[0] if refusals else None


def doubtful(
    frame: pl.DataFrame, kinds: Kinds, place: str, context: Sequence[str] = ()
) -> list[Finding]:
    """Return findings on columns of states of which none is a known kind and some are not known to
    mean that the event was done.
    """
    if "value" in frame.columns or "kind" in frame.columns:
        return []
    findings = list[Finding]()
    for column in frame.columns:
        if column in (*CANONICAL["interactions"], *context) or not NAMES.search(plain(column)):
            continue
        states = _states(frame[column])
        odd = [s for s in states if plain(s) not in done_states() and kinds.unknown([s])]
        if not odd or len(kinds.unknown(states)) < len(states) or is_of_one(frame, column):
            continue
        why = (
            f"column {column!r} of {place} holds states of which none is known to say no "
            f"({quoted(odd, 8)}): all rows count as done; if some were refused, say so in a TOML "
            f"file (columns = {{ kind = {column!r} }}, [kinds] {odd[0]!r} = -1)"
        )
        findings.append(Finding(rule="kinds", rows=0, action="noted", why=why))
    return findings

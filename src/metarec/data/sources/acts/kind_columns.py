"""Find kinds in columns other than `kind`: a column of another name whose cells are kinds, or
columns of yes and no such as `click` and `purchase`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.findings import Finding, noted, quoted
from metarec.data.kinds import IMPRESSION, Kinds
from metarec.data.names.column_matching import is_amount
from metarec.data.names.column_names import CANONICAL, SYNONYMS, plain
from metarec.data.names.kind_names import forms, plain_kind, words_of
from metarec.data.names.languages import act_of
from metarec.data.sources.acts.ambiguous_acts import (
    by_other_kinds,
    codes_of_acts,
    dwell_time_findings,
    kept_as_context,
    period_findings,
    unread_answers,
)
from metarec.data.sources.acts.ended_acts import with_ended_kinds, with_ends
from metarec.data.sources.acts.flag_names import A_FLAG, IN_OTHER_WORDS
from metarec.data.sources.acts.open_flags import answers_in_other_words, open_flags
from metarec.data.sources.acts.opinions import (
    by_opinion,
    is_of_feelings,
    is_opinion,
)
from metarec.data.sources.acts.outcomes import (
    doubtful,
    outcomes_of,
    states_with_a_refusal,
    with_outcomes,
)
from metarec.data.sources.acts.trades import by_side, is_trade
from metarec.data.sources.acts.yes_no_columns import NO_SAYS, UNASKED, as_yes_no
from metarec.data.sources.columns.item_and_user_columns import is_of_one
from metarec.data.sources.values.unrated_zeros import wishlist_states

MAX_KINDS = 20
"""Maximum number of different kinds in a column of kinds."""
MIN_KNOWN = 2 / 3
"""Minimum share of the names in a column such as `type` that must be known kinds."""
_ACTS = re.compile(
    r"(event|log|act|op|message|msg|reaction|reaktion)?(type|typ|op|operation|verb)$"
)
"""Pattern of names of columns that may hold kinds or something else, as `plain` returns them."""
FLAGS = frozenset(
    "click like dislike purchase buy follow share comment hide favorite favourite save cart finish "
    "addtocart bookmark skip upvote downvote complete accept "
    "点击 喜欢 不喜欢 点赞 赞 踩 购买 下单 关注 分享 "
    "评论 收藏 加购 跳过 完成 完播 完课 接受 接单 recommend "
    "notinterested seeless negativefeedback thumbsdown report mute hate "
    "不感兴趣 没兴趣 点踩 举报 屏蔽 拉黑 负反馈 讨厌 不想看".split()
)
"""Kinds that name columns of yes and no. Other kinds, such as `sale`, may describe the item or the
context.
"""
DONE = frozenset(
    "apply attend begin_checkout bid book borrow certify check_in checkout contact convert cook "
    "donate download eat enrol enroll finish hire install join listen open order participate play "
    "pay read register rent reserve save signup start stream submit subscribe view visit visited "
    "watch 报名 参加 订阅 预订 预定 参与 注册 申请 签到 到店 到访 "
    "下载 浏览 查看 观看 阅读 试用 安装".split()
)
"""Further kinds that name columns of yes and no, in forms that state a finished event (`booked`,
`did_visit`, `已报名`). `delivered` is not among them: it states the progress of an order.
"""
UNDONE = frozenset("block blacklist blocklist dismiss drop ignore optout withdraw retract".split())
"""The same for negative kinds."""
_DONE = re.compile(
    r"(ed|wn)$|^read$|^(show|showed|turned)[ _]?up$|^(did|has)[^a-z]|^(did|has)[A-Z]|^(是否|已)"
)
"""Pattern of names of columns that state a finished event."""
_ASKING = re.compile(r"^(is|has|did|was)[_\s]", re.IGNORECASE)
LABELS = frozenset("label labels target y response groundtruth ispositive".split())
"""Names of columns of 1 and 0 that state whether an impression led to an event, as `plain` returns
them.
"""
REFUSALS = frozenset(
    "return refund cancel reject decline churn uninstall unsubscribe chargeback noshow dropout "
    "退货 退款 取消 取消订单 拒绝 退课 拒收".split()
)
"""Kinds that name columns of yes and no stating that an event was canceled later: `is_returned`."""
MIN_GAPS = 0.2
"""Minimum share of missing cells in a column of kinds for another column to replace it."""
NO_KIND = "event"
"""Kind of events for which no kind is stated."""
RATED = "rating"
"""Kind of events with a rating, where the kinds of the others are stated."""


def likely_kind(
    frame: pl.DataFrame,
    place: str,
    mapped: Mapping[str, str],
    synonyms: Mapping[str, Sequence[str]],
    kinds: Kinds,
) -> tuple[Mapping[str, Sequence[str]], list[Finding]]:
    """Find the column of kinds by its cells. Where the column with a name for kinds is often empty,
    and exactly one other column states a kind in every row, return synonyms with that other column
    and a finding; otherwise the synonyms unchanged.

    Args:
        mapped: canonical name -> column, as given by the user.
    """
    named = [*synonyms.get("kind", ()), *SYNONYMS["kind"]]
    called = {plain(c): c for c in reversed(frame.columns)}
    column = next((called[plain(n)] for n in named if plain(n) in called), None)
    if column is None or "kind" in {*frame.columns, *mapped}:
        return synonyms, []
    if nothing(frame[column]).null_count() < MIN_GAPS * frame.height:
        return synonyms, []
    others = [c for c in frame.columns if c != column and _are_events(frame[c], kinds)]
    if len(others) != 1:
        return synonyms, []
    why = (
        f"column {others[0]!r} of {place} was read as kind: {column!r} says nothing in many rows; "
        f"if it does say what was done, say so in a TOML file (columns = {{ kind = {column!r} }})"
    )
    return {**synonyms, "kind": (others[0], *synonyms.get("kind", ()))}, [noted("kinds", why)]


def _are_events(column: pl.Series, kinds: Kinds) -> bool:
    """Whether a column has a name for kinds, states one in every row, and at least half of its
    names are known kinds or end in `event`.
    """
    if _ACTS.match(plain(column.name)) is None or column.dtype != pl.Utf8:
        return False
    names = nothing(column).unique()
    if names.null_count() or not 2 <= len(names) <= MAX_KINDS:
        return False
    n_known = sum(kinds.known(name) or words_of(name)[-1:] == ["event"] for name in names)
    return 2 * n_known >= len(names)


def with_kind(
    frame: pl.DataFrame,
    kinds: Kinds,
    place: str,
    context: Sequence[str] = (),
    named: Sequence[str] = (),
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set the kind of events by columns of kinds, of yes and no, of opinions, of trades, of states
    or of later cancellations. Return events and findings.

    Args:
        context: names of context columns given by the user.
        named: names of the columns in the file, before renaming.
    """
    outcomes = outcomes_of(frame, kinds, context)
    frame, traded = by_side(frame, place, context)
    if "kind" in frame.columns:
        findings = list[Finding]()
    else:
        frame, findings = _kind_from_columns(frame, kinds, place, (*context, *outcomes))
    frame, beside = by_other_kinds(frame, kinds, place)
    frame, of_states = with_outcomes(frame, outcomes, kinds, place)
    doubts = doubtful(frame, kinds, place, (*context, *outcomes))
    findings = [*traded, *findings, *beside, *of_states, *doubts]
    free = [c for c in frame.columns if c not in (*CANONICAL["interactions"], *context)]
    # Beside a rating `hidden` may say what became of a review.
    flags = FLAGS if "value" not in frame.columns else frozenset()
    negative = {name for name in flags if kinds.of(name).sign == "negative"}
    refusals = _flags(frame, free, kinds, REFUSALS | negative, UNDONE)
    refused = list[Finding]()
    if refusals:
        frame, note = _with_refusals(frame, refusals, kinds, place)
        refused = [note]
    frame, ended = with_ended_kinds(frame, kinds, place, context, named)
    doubts = [*dwell_time_findings(frame, place, context), *open_flags(frame, place, context)]
    doubts += answers_in_other_words(frame, place, context)
    doubts += period_findings(frame, place, context)
    return frame, [*findings, *refused, *ended, *doubts]


def _kind_from_columns(
    frame: pl.DataFrame, kinds: Kinds, place: str, context: Sequence[str]
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set the kind by the first of these that applies: values that are names of kinds, one column
    of opinions, columns of yes and no, one column of kinds. Return events and findings; without
    any, findings on columns that may hold kinds.
    """
    free = [c for c in frame.columns if c not in (*CANONICAL["interactions"], *context)]
    if "value" in frame.columns and _are_known(frame["value"], kinds):
        listed = quoted(_kinds_in(frame["value"], kinds))
        why = f"values of {place} were read as kinds: they say {listed}"
        return frame.rename({"value": "kind"}), [noted("kinds", why)]
    opinions = [c for c in free if is_opinion(frame[c])]
    if "value" not in frame.columns and len(opinions) == 1:
        return by_opinion(frame, opinions[0], place)
    # Beside quantities such columns have other meanings: bought by registered users, in stock.
    done = frozenset() if any(map(is_amount, free)) else DONE
    flags = _flags(frame, free, kinds, FLAGS, done) if "value" not in frame.columns else {}
    labels = [c for c in free if plain(c) in LABELS and not is_of_one(frame, c)]
    truths = [t.alias(c) for c in labels if (t := as_yes_no(frame[c])) is not None]
    if not flags and "value" not in frame.columns and len(truths) == 1:
        flags = {NO_KIND: truths[0]}
    if any(kinds.of(name).sign == "positive" for name in flags):
        return _by_flags(frame, flags, kinds, place)
    stated = {c: names for c in free if (names := _kinds_in(frame[c], kinds))}
    stated = {c: names for c, names in stated.items() if not is_of_feelings(c, names, kinds)}
    chosen = _kinds_of_events(frame, stated, kinds)
    if len(chosen) == 1:
        (column,) = chosen
        if "value" in frame.columns:
            return _unrated_by(frame, column, place)
        why = f"column {column!r} of {place} was read as kind: it says {quoted(stated[column])}"
        return frame.rename({column: "kind"}), [noted("kinds", why)]
    coded = [] if stated else codes_of_acts(frame, free, place)
    named = [c for c in free if c not in stated and _act_named(c, kinds, FLAGS, done) is not None]
    coded += [] if "value" in frame.columns else unread_answers(frame, named, place)
    types = [c for c in free if c not in stated and _ACTS.match(plain(c))]
    stated |= {c: names for c in types if (names := states_with_a_refusal(frame[c], kinds))}
    return frame, [*coded, *kept_as_context(stated, place)]


def _unrated_by(frame: pl.DataFrame, column: str, place: str) -> tuple[pl.DataFrame, list[Finding]]:
    """Set the kind of events without a rating by a column of kinds. Rated events are of kind
    `rating`: for a film that was `dropped`, the rating states the preference.
    """
    unrated = nothing(frame["value"]).is_null()
    stated = nothing(frame[column]).fill_null(NO_KIND)
    kind = stated.zip_with(unrated, pl.Series([RATED])).alias("kind")
    why = (
        f"column {column!r} of {place} says what was done ({quoted(sorted(stated.unique()))}): it "
        f"is the kind of rows without a rating, and kept beside ratings"
    )
    note = Finding(rule="kinds", rows=int(unrated.sum()), action="noted", why=why)
    return frame.with_columns(kind), [note]


def _are_known(column: pl.Series, kinds: Kinds) -> bool:
    """Whether all cells are names of known kinds."""
    names = _kinds_in(column, kinds)
    return bool(names) and not kinds.unknown(names)


def _with_refusals(
    frame: pl.DataFrame, refusals: dict[str, pl.Series], kinds: Kinds, place: str
) -> tuple[pl.DataFrame, Finding]:
    """Set the kind of events that a column of yes and no states to be canceled, such as
    `is_returned`.

    Args:
        refusals: kind -> column of yes and no as booleans.
    """
    kind = frame["kind"] if "kind" in frame.columns else pl.Series("kind", [NO_KIND] * frame.height)
    refused = pl.Series([False] * frame.height)
    for name in sorted(refusals, key=lambda name: kinds.of(name).strength):
        is_refused = refusals[name].fill_null(False)
        kind, refused = pl.Series("kind", [name]).zip_with(is_refused, kind), refused | is_refused
    listed = ", ".join(repr(truth.name) for truth in refusals.values())
    why = f"{listed} of {place} says that these events were refused afterwards: they say no"
    note = Finding(rule="kinds", rows=int(refused.sum()), action="noted", why=why)
    answers = [truth.name for truth in refusals.values()]
    return frame.drop(answers).with_columns(kind.alias("kind")), note


def _flags(
    frame: pl.DataFrame,
    free: Sequence[str],
    kinds: Kinds,
    flag_kinds: Collection[str],
    done: Collection[str],
) -> dict[str, pl.Series]:
    """Return kind -> column of yes and no as booleans; empty unless some column holds both yes and
    no.

    Args:
        flag_kinds: kinds that may name such columns.
        done: further kinds, where the name states a finished event and the column does not describe
            users or items.
    """
    flags = {}
    for column in free:
        key = _act_named(column, kinds, flag_kinds, done)
        if key is None or (key not in flag_kinds and is_of_one(frame, column)):
            continue
        if (truth := as_yes_no(frame[column])) is not None:
            flags[key] = truth.alias(column)
    varied = any(truth.drop_nulls().n_unique() == 2 for truth in flags.values())
    return flags if varied else {}


def _act_named(
    column: str, kinds: Kinds, flag_kinds: Collection[str], done: Collection[str]
) -> str | None:
    """Return the kind that a column of yes and no has the name of; None for other names."""
    called = {**IN_OTHER_WORDS, **act_of()}
    name = plain_kind(A_FLAG.sub("", column.strip(" ?？")))
    for start in ("is", "has", "did", "was", "是否"):
        name = name.removeprefix(start) if not kinds.known(name) else name
    key = called.get(plain(column)) or called.get(name) or kinds.key(name)
    key = key if kinds.known(key) else kinds.key(_ASKING.sub("", column))
    is_done = _DONE.search(column.strip(" ?？")) or plain(column) in called
    accepted = {*flag_kinds, *done} if is_done else flag_kinds
    return next((k for k in (key, *forms(key)) if k in accepted), None)


def _by_flags(
    frame: pl.DataFrame, flags: dict[str, pl.Series], kinds: Kinds, place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set the kind of each row to the strongest kind with a yes, or `impression` without any; a no
    of `accept` is `decline` (see `NO_SAYS`). Return events and findings.
    """
    kind, of_noes = pl.Series("kind", [IMPRESSION] * frame.height), list[Finding]()
    for name in [name for name in flags if name in NO_SAYS or name in UNASKED]:
        is_answered = nothing(frame[flags[name].name]).is_not_null()  # a blank is no answer
        if name not in NO_SAYS and not flags[name].null_count():
            continue
        no, refused = {**NO_SAYS, **UNASKED}[name], is_answered & ~flags[name].fill_null(True)
        kind = pl.Series("kind", [no]).zip_with(refused, kind)
        why = f"a no in column {flags[name].name!r} of {place} was read as {no!r}"
        if rows := int(refused.sum()):
            of_noes.append(Finding(rule="kinds", rows=rows, action="noted", why=why))
    for name in sorted(flags, key=lambda name: kinds.of(name).strength):
        kind = pl.Series("kind", [name]).zip_with(flags[name].fill_null(False), kind)
    kind, ends = with_ends(frame, kind, flags, kinds, place)
    n_shown = int((kind == IMPRESSION).sum())
    why = (
        f"columns of {place} say what was done ({', '.join(flags)}): the strongest of them is the "
        f"kind of a row, and rows without any are of kind {IMPRESSION!r}"
    )
    answers = [truth.name for truth in flags.values()]  # known only after the event
    note = Finding(rule="kinds", rows=n_shown, action="noted", why=why)
    return frame.drop(answers).with_columns(kind), [note, *of_noes, *ends]


def _kinds_in(column: pl.Series, kinds: Kinds) -> list[str]:
    """Return the names in a column of kinds; empty for other columns. At least two names must be
    known kinds, and these must be half of all names or include a negative kind.
    """
    if column.dtype not in (pl.Utf8, pl.Categorical):
        return []
    names = nothing(column.cast(pl.Utf8)).drop_nulls().unique().sort().to_list()
    if not 2 <= len(names) <= MAX_KINDS:
        return []
    known = [name for name in names if kinds.known(name)]
    is_any_negative = any(kinds.of(name).sign == "negative" for name in known)
    return names if len(known) >= 2 and (is_any_negative or len(known) >= len(names) / 2) else []


def _need_the_column(names: Sequence[str], kinds: Kinds) -> bool:
    """Whether all names are known kinds and one of them is not positive, so that its events would
    be misread without the column.
    """
    return not kinds.unknown(names) and any(
        kinds.of(name).sign in ("negative", "undo", "neutral") for name in names
    )


def _kinds_of_events(
    frame: pl.DataFrame, by_column: Mapping[str, Sequence[str]], kinds: Kinds
) -> list[str]:
    """Return the columns of kinds that state what was done: those with a kind that is not positive,
    and sides of trades; without ratings and without such columns, also those named like kinds.
    Beside ratings, columns with states such as `to-read` are among them.
    """
    decisive = [
        c for c, names in by_column.items() if _need_the_column(names, kinds) or is_trade(c, names)
    ]
    if "value" in frame.columns:
        return [c for c in by_column if c in decisive or wishlist_states(frame[c])]
    return decisive or [
        c for c, names in by_column.items() if _is_named_like_kinds(frame, c, names, kinds)
    ]


def _is_named_like_kinds(
    frame: pl.DataFrame, column: str, names: Sequence[str], kinds: Kinds
) -> bool:
    """Whether a column has a name for kinds (`type`, `op`) and at least three, and most, of its
    names are known kinds.
    """
    n_known = len(names) - len(kinds.unknown(names))
    is_called = _ACTS.match(plain(column)) is not None
    return is_called and 3 <= n_known >= len(names) * MIN_KNOWN and not is_of_one(frame, column)

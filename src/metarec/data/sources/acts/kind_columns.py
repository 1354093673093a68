"""What acts were, where a table says it in another way than by a column `kind`: a column of other
name whose cells are kinds, or columns such as `click` and `purchase` that say yes or no.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.findings import Finding
from metarec.data.kinds import Kinds
from metarec.data.names.column_matching import is_amount
from metarec.data.names.column_names import CANONICAL, SYNONYMS, plain
from metarec.data.names.kind_names import forms, plain_kind, words_of
from metarec.data.names.languages import act_of
from metarec.data.sources.acts.ambiguous_acts import beside_others, codes_of_acts, lengths_untold
from metarec.data.sources.acts.ended_acts import with_ended, with_ends
from metarec.data.sources.acts.opinions import (
    SHOWN,
    by_opinion,
    is_of_feelings,
    is_opinion,
)
from metarec.data.sources.acts.outcomes import doubtful, outcomes_of, with_outcomes
from metarec.data.sources.acts.trades import by_side, is_trade
from metarec.data.sources.acts.yes_no_columns import as_yes_no
from metarec.data.sources.columns.item_and_user_columns import is_of_one
from metarec.data.sources.values.unrated_zeros import wished

MAX_KINDS = 20
"""Kinds of a column that is taken for one of kinds, at most."""
MIN_KNOWN = 2 / 3
"""Share of the names of a column called like acts that are known, at least."""
_ACTS = re.compile(
    r"(event|log|act|op|message|msg|reaction|reaktion)?(type|typ|op|operation|verb)$"
)
"""Names of columns that may hold acts, or something else, as `plain` has them."""
FLAGS = frozenset(
    "click like dislike purchase buy follow share comment hide favorite favourite save cart "
    "addtocart bookmark skip upvote downvote complete accept "
    "点击 喜欢 不喜欢 点赞 赞 踩 购买 下单 关注 分享 "
    "评论 收藏 加购 跳过 完成 接受 接单 recommend "
    "notinterested seeless negativefeedback thumbsdown report mute hate "
    "不感兴趣 没兴趣 点踩 举报 屏蔽 拉黑 负反馈 讨厌 不想看".split()
)
"""Kinds that a column of yes and no may be called by; others, such as `sale`, may say something of
the item or the moment.
"""
DONE = frozenset(
    "apply attend begin_checkout bid book borrow certify check_in checkout contact convert cook "
    "donate download eat enrol enroll finish hire install join listen open order participate play "
    "read "
    "register rent reserve save signup start stream submit subscribe view visit visited watch "
    "报名 参加 订阅 预订 预定 参与 注册 申请 签到 到店 到访 "
    "下载 浏览 查看 观看 阅读 试用 安装".split()
)
"""Further kinds, by which a column of yes and no is called where it says that they were done
(`booked`, `did_visit`, `已报名`); `paid` and `delivered` say of an act done how far it is.
"""
UNDONE = frozenset("dismiss drop ignore withdraw".split())
"""The same for refusals."""
_DONE = re.compile(
    r"(ed|wn)$|^read$|^(show|showed|turned)[ _]?up$|^(did|has)[^a-z]|^(did|has)[A-Z]|^(是否|已)"
)
"""Names of what was done."""
NO_SAYS = {"accept": "decline", "接受": "拒绝", "接单": "拒单", "recommend": "dislike"}
"""Kinds that a no says, where it is an answer too."""
LABELS = frozenset("label labels target y response groundtruth ispositive".split())
"""Columns of 1 and 0 that say whether an act was done of what was shown, as `plain` has them."""
IN_OTHER_WORDS = {
    **dict.fromkeys(("hidden", "已隐藏"), "hide"),
    **dict.fromkeys("showup showedup turnedup".split(), "attend"),
    **dict.fromkeys(
        "recommended recommend isrecommended wouldrecommend votedup 推荐 是否推荐".split(),
        "recommend",
    ),
}
"""Columns of yes and no in other words, as `plain` has them, and their kinds."""
REFUSALS = frozenset(
    "return refund cancel reject decline churn uninstall unsubscribe chargeback noshow dropout "
    "退货 退款 取消 取消订单 拒绝 退课 拒收".split()
)
"""Kinds by which a column of yes and no says what became of an act: `is_returned`."""
MIN_GAPS = 0.2
"""Share of rows in which a column of kinds says nothing, from which on another may say them."""
NO_KIND = "event"
"""The kind of events that say none."""
RATED = "rating"
"""The kind of events with a rating, beside others that say what they are."""


def likely_kind(
    frame: pl.DataFrame,
    place: str,
    mapped: Mapping[str, str],
    synonyms: Mapping[str, Sequence[str]],
    kinds: Kinds,
) -> tuple[Mapping[str, Sequence[str]], list[Finding]]:
    """`synonyms` with the column of what was done in every row, where the one called so says it in
    some alone, as what an event was named or its `action` is; and what to say of it.

    Args:
        mapped: columns that the user has named, by canonical name.
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
    return {**synonyms, "kind": (others[0], *synonyms.get("kind", ()))}, [_noted(why)]


def _are_events(column: pl.Series, kinds: Kinds) -> bool:
    """Whether a column called like acts says in every row what was done, half of it of known kinds
    or called an event.
    """
    if _ACTS.match(plain(column.name)) is None or column.dtype != pl.Utf8:
        return False
    names = nothing(column).unique()
    if names.null_count() or not 2 <= len(names) <= MAX_KINDS:
        return False
    known = sum(kinds.known(name) or words_of(name)[-1:] == ["event"] for name in names)
    return 2 * known >= len(names)


def with_kind(
    frame: pl.DataFrame, kinds: Kinds, place: str, context: Sequence[str] = ()
) -> tuple[pl.DataFrame, list[Finding]]:
    """Give events a `kind` where other columns say it: one of kinds, or several of yes and no; and
    where a column says that an act was refused afterwards, that kind.

    Args:
        context: columns that are circumstances, as the user says.
    """
    outcomes = outcomes_of(frame, kinds, context)
    frame, traded = by_side(frame, place, context)
    if "kind" in frame.columns:
        found = list[Finding]()
    else:
        frame, found = _said(frame, kinds, place, (*context, *outcomes))
    frame, beside = beside_others(frame, kinds, place)
    frame, came = with_outcomes(frame, outcomes, kinds, place)
    untold = doubtful(frame, kinds, place, (*context, *outcomes))
    found = [*traded, *found, *beside, *came, *untold]
    free = [c for c in frame.columns if c not in (*CANONICAL["interactions"], *context)]
    # Beside a rating `hidden` may say what became of a review.
    asked = FLAGS if "value" not in frame.columns else frozenset()
    said_no = {name for name in asked if kinds.of(name).sign == "negative"}
    refusals = _flags(frame, free, kinds, REFUSALS | said_no, UNDONE)
    refused = list[Finding]()
    if refusals:
        frame, note = _refused(frame, refusals, kinds, place)
        refused = [note]
    frame, ended = with_ended(frame, kinds, place, context)
    lasted = lengths_untold(frame, place, context)
    return frame, [*found, *refused, *ended, *lasted]


def _said(
    frame: pl.DataFrame, kinds: Kinds, place: str, context: Sequence[str]
) -> tuple[pl.DataFrame, list[Finding]]:
    free = [c for c in frame.columns if c not in (*CANONICAL["interactions"], *context)]
    if "value" in frame.columns and _are_known(frame["value"], kinds):
        listed = _listed(_kinds_in(frame["value"], kinds))
        why = f"values of {place} were read as kinds: they say {listed}"
        return frame.rename({"value": "kind"}), [_noted(why)]
    thoughts = [c for c in free if is_opinion(frame[c])]
    if "value" not in frame.columns and len(thoughts) == 1:
        return by_opinion(frame, thoughts[0], place)
    # Of what was bought, such a column says something else: by registered users, or in stock.
    done = frozenset() if any(map(is_amount, free)) else DONE
    flags = _flags(frame, free, kinds, FLAGS, done) if "value" not in frame.columns else {}
    labels = [c for c in free if plain(c) in LABELS and not is_of_one(frame, c)]
    truths = [t.alias(c) for c in labels if (t := as_yes_no(frame[c])) is not None]
    if not flags and "value" not in frame.columns and len(truths) == 1:
        flags = {NO_KIND: truths[0]}
    if any(kinds.of(name).sign == "positive" for name in flags):
        return _by_flags(frame, flags, kinds, place)
    found = {c: names for c in free if (names := _kinds_in(frame[c], kinds))}
    found = {c: names for c, names in found.items() if not is_of_feelings(c, names, kinds)}
    refusing = _speaking(frame, found, kinds)
    if len(refusing) == 1:
        (column,) = refusing
        if "value" in frame.columns:
            return _unrated_by(frame, column, place)
        why = f"column {column!r} of {place} was read as kind: it says {_listed(found[column])}"
        return frame.rename({column: "kind"}), [_noted(why)]
    coded = [] if "value" in frame.columns or found else codes_of_acts(frame, free, place)
    return frame, coded + [
        _noted(
            f"column {column!r} of {place} says {_listed(names)} and is kept as context; if it is "
            f"what was done, say so in a TOML file (columns = {{ kind = {column!r} }})"
        )
        for column, names in found.items()
    ]


def _unrated_by(frame: pl.DataFrame, column: str, place: str) -> tuple[pl.DataFrame, list[Finding]]:
    """Events without a rating as what a column says was done; beside a rating that is what counts:
    of a film that was `dropped` it says how much was liked.
    """
    unrated = nothing(frame["value"]).is_null()
    said = nothing(frame[column]).fill_null(NO_KIND)
    kind = said.zip_with(unrated, pl.Series([RATED])).alias("kind")
    why = (
        f"column {column!r} of {place} says what was done ({_listed(sorted(said.unique()))}): it "
        f"is the kind of rows without a rating, and kept beside ratings"
    )
    note = Finding(rule="kinds", rows=int(unrated.sum()), action="noted", why=why)
    return frame.with_columns(kind), [note]


def _are_known(column: pl.Series, kinds: Kinds) -> bool:
    """Whether all cells are names of kinds."""
    names = _kinds_in(column, kinds)
    return bool(names) and not kinds.unknown(names)


def _refused(
    frame: pl.DataFrame, refusals: dict[str, pl.Series], kinds: Kinds, place: str
) -> tuple[pl.DataFrame, Finding]:
    """Acts that a column says were refused afterwards are of that kind."""
    kind = frame["kind"] if "kind" in frame.columns else pl.Series("kind", [NO_KIND] * frame.height)
    refused = pl.Series([False] * frame.height)
    for name in sorted(refusals, key=lambda name: kinds.of(name).strength):
        said = refusals[name].fill_null(False)
        kind, refused = pl.Series("kind", [name]).zip_with(said, kind), refused | said
    listed = ", ".join(repr(truth.name) for truth in refusals.values())
    why = f"{listed} of {place} says that these acts were refused afterwards: they say no"
    note = Finding(rule="kinds", rows=int(refused.sum()), action="noted", why=why)
    answers = [truth.name for truth in refusals.values()]
    return frame.drop(answers).with_columns(kind.alias("kind")), note


def _flags(
    frame: pl.DataFrame,
    free: Sequence[str],
    kinds: Kinds,
    wanted: Collection[str],
    done: Collection[str],
) -> dict[str, pl.Series]:
    """Columns that say yes or no to a wanted kind, by kind; or to one of `done`, where they are
    called as if it was and say nothing of the user or the item.
    """
    found, called = {}, {**IN_OTHER_WORDS, **act_of()}
    for column in free:
        name = plain_kind(column.strip(" ?？"))
        for start in ("is", "has", "did", "was", "是否"):
            name = name.removeprefix(start) if not kinds.known(name) else name
        key = called.get(plain(column)) or called.get(name) or kinds.key(name)
        is_done = _DONE.search(column.strip(" ?？")) or plain(column) in called
        asked = {*wanted, *done} if is_done else wanted
        key = next((k for k in (key, *forms(key)) if k in asked), key)
        if key not in asked or (key not in wanted and is_of_one(frame, column)):
            continue
        if (truth := as_yes_no(frame[column])) is not None:
            found[key] = truth.alias(column)
    varied = any(truth.drop_nulls().n_unique() == 2 for truth in found.values())
    return found if varied else {}


def _by_flags(
    frame: pl.DataFrame, flags: dict[str, pl.Series], kinds: Kinds, place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """The strongest kind that a row says yes to."""
    kind, answered = pl.Series("kind", [SHOWN] * frame.height), list[Finding]()
    for name in [name for name in flags if name in NO_SAYS]:
        said = nothing(frame[flags[name].name]).is_not_null()  # a blank is no answer
        no, refused = NO_SAYS[name], said & ~flags[name].fill_null(True)
        kind = pl.Series("kind", [no]).zip_with(refused, kind)
        why = f"a no in column {flags[name].name!r} of {place} was read as {no!r}"
        if rows := int(refused.sum()):
            answered.append(Finding(rule="kinds", rows=rows, action="noted", why=why))
    for name in sorted(flags, key=lambda name: kinds.of(name).strength):
        kind = pl.Series("kind", [name]).zip_with(flags[name].fill_null(False), kind)
    kind, ends = with_ends(frame, kind, flags, kinds, place)
    shown = int((kind == SHOWN).sum())
    why = (
        f"columns of {place} say what was done ({', '.join(flags)}): the strongest of them is the "
        f"kind of a row, and rows without any are of kind {SHOWN!r}"
    )
    answers = [truth.name for truth in flags.values()]  # what came of a moment is not of it
    note = Finding(rule="kinds", rows=shown, action="noted", why=why)
    return frame.drop(answers).with_columns(kind), [note, *answered, *ends]


def _kinds_in(column: pl.Series, kinds: Kinds) -> list[str]:
    """The names in a column's cells; none where fewer than half of them are kinds and none of these
    is a refusal, or all are the same.
    """
    if column.dtype not in (pl.Utf8, pl.Categorical):
        return []
    names = nothing(column.cast(pl.Utf8)).drop_nulls().unique().sort().to_list()
    if not 2 <= len(names) <= MAX_KINDS:
        return []
    known = [name for name in names if kinds.known(name)]
    says_no = any(kinds.of(name).sign == "negative" for name in known)
    return names if len(known) >= 2 and (says_no or len(known) >= len(names) / 2) else []


def _are_acts(names: Sequence[str], kinds: Kinds) -> bool:
    """Whether all are kinds, and events of one of them would else be taken for the contrary of
    what they are.
    """
    return not kinds.unknown(names) and any(
        kinds.of(name).sign in ("negative", "undo", "neutral") for name in names
    )


def _speaking(frame: pl.DataFrame, found: Mapping[str, Sequence[str]], kinds: Kinds) -> list[str]:
    """Columns, of those that hold kinds, that say what was done."""
    speaking = [c for c, names in found.items() if _are_acts(names, kinds) or is_trade(c, names)]
    if "value" in frame.columns:
        return [c for c in found if c in speaking or wished(frame[c])]
    return speaking or [c for c, names in found.items() if _says_acts(frame, c, names, kinds)]


def _says_acts(frame: pl.DataFrame, column: str, names: Sequence[str], kinds: Kinds) -> bool:
    """Whether a column called like that of acts (`type`, `op`) says what most are known to be."""
    known = len(names) - len(kinds.unknown(names))
    is_called = _ACTS.match(plain(column)) is not None
    return is_called and 3 <= known >= len(names) * MIN_KNOWN and not is_of_one(frame, column)


def _noted(why: str) -> Finding:
    return Finding(rule="kinds", rows=0, action="noted", why=why)


def _listed(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(map(repr, names[:most])) + (", ..." if len(names) > most else "")

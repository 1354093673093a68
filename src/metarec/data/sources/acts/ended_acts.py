"""Set the kinds of events that were reverted or ended.

They are known by a date (`removed_at`), by a yes (`removed`) or a no (`active`), by the return of a
loan, and by columns of yes and no that hold a state which ends: `enrolled` is 1 in May and 0 in
June.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from metarec.data.cells.parsing import is_stated
from metarec.data.findings import Finding
from metarec.data.kinds import Kinds
from metarec.data.names.column_matching import is_amount
from metarec.data.names.column_names import CANONICAL, plain
from metarec.data.names.kind_names import words_of
from metarec.data.names.languages import act_of
from metarec.data.sources.acts.outcomes import IN_OTHER_WORDS
from metarec.data.sources.acts.step_times import TIME_WORDS
from metarec.data.sources.acts.yes_no_columns import as_yes_no
from metarec.data.sources.columns.item_and_user_columns import is_of_one
from metarec.data.sources.values.dated_cells import is_dated, seconds_of

_GOES_ON = re.compile(
    r"^(is|still|currently)?_?(active|enrolled|subscribed|current)$", re.IGNORECASE
)
"""Pattern of names of columns of yes and no that state whether something goes on."""
_ASKING = frozenset("is was has 是否".split())
"""First words of names of columns of yes and no."""
_AWAY = frozenset(
    "remove delete trash unfollow unenrol unenroll unmatch deactivate quit dropout "
    "删除 移除 取关 取消关注".split()
)
"""Kinds that, as names of columns of yes and no, state that an event was reverted."""
_LENT = frozenset("borrow loan lend lent rent hire renew 借阅 租".split())
"""Kinds of events on items that are lent."""
_OF_LIBRARIES = frozenset("renew hold borrow loan".split())
"""Kinds beside which a `checkout` is a loan."""
_RETURNS = frozenset(("return", "returned"))
GIVEN_BACK = "give_back"
"""Kind of the return of a loan, which is neutral."""
MIN_HELD, MIN_BEGUN = 0.5, 0.9
"""Conditions for a column of yes and no to hold a state: the minimum share of rows after a yes of
the same user and item that are yes too, and the minimum share of pairs of user and item with
several rows that begin with a yes.
"""


def with_ended_kinds(
    frame: pl.DataFrame,
    kinds: Kinds,
    place: str,
    context: Sequence[str],
    named: Sequence[str] = (),
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set the kind of events that ended, and of returns of loans to a neutral one; return findings.

    Args:
        context: names of context columns given by the user.
        named: names of the columns in the file, before renaming.
    """
    frame, given_back = _given_back(frame, kinds, place)
    if "value" in frame.columns:  # a review that was removed was meant as it was
        return frame, given_back
    free = [c for c in frame.columns if c not in (*CANONICAL["interactions"], *context)]
    findings = list[Finding]()
    for column in free:
        if (end := _end(frame, column, kinds, named)) is None or is_of_one(frame, column):
            continue
        kind, ended = end
        stated_kinds = (
            frame["kind"] if "kind" in frame.columns else pl.Series(["event"] * frame.height)
        )
        ended &= stated_kinds.is_in(
            [k for k in stated_kinds.unique() if kinds.of(k).sign == "positive"]
        )
        if not ended.any() or ended.all():
            continue
        kept = pl.Series("kind", [kind]).zip_with(ended, stated_kinds.cast(pl.Utf8))
        frame = frame.drop(column).with_columns(kept.alias("kind"))  # known only after the event
        why = (
            f"column {column!r} of {place} says that events came to an end: they are of kind "
            f"{kind!r}; if it says something else, name it as context (context = [{column!r}])"
        )
        findings.append(Finding(rule="kinds", rows=int(ended.sum()), action="noted", why=why))
    return frame, [*given_back, *findings]


def _end(
    frame: pl.DataFrame, column: str, kinds: Kinds, named: Sequence[str]
) -> tuple[str, pl.Series] | None:
    """Return the kind for events that a column states to have ended, and their mask; or None."""
    if _GOES_ON.match(column.strip()):
        goes_on = as_yes_no(frame[column])
        if goes_on is None:
            return None
        return "withdraw", ~goes_on.fill_null(True) & is_stated(frame[column])  # a blank is no no
    words = _without_tools(words_of(column))
    kind = _taken_back(words, kinds) or _failed(words)
    if kind is not None and (truth := as_yes_no(frame[column])) is not None:
        return kind, truth.fill_null(False)
    if (reason := _reason(frame, column, kinds, named)) is not None:
        return reason
    dated = [words[:-1]] * (words[-1:] != [] and words[-1] in TIME_WORDS)
    dated += [words[1:]] * (words[:1] == ["date"])
    bare = _DATED.sub("", column.strip())
    names = ["_".join(w) for w in dated if w] + [bare] * (bare != column.strip() and bare != "")
    names += ["_".join(words)] * (_ENDED.search(plain(column)) is not None)
    kind = next((kinds.key(n) for n in names if kinds.known(n)), None)
    if kind is None or kinds.of(kind).sign != "negative":
        return None
    if (act_of().get(plain(kind)) or kind) in _RETURNS and not _are_orders(named):
        return None
    stated = is_stated(frame[column])
    return (kind, stated) if not stated.all() and is_dated(frame[column]) else None


def _without_tools(words: Sequence[str]) -> list[str]:
    """Return the words of a name without those of the program that copied the table, before
    `deleted`: `_fivetran_deleted`.
    """
    start = next((i for i, word in enumerate(words) if word in ("deleted", "delete")), 0)
    return [*words[start:]] if _COPYING.issuperset(words[:start]) else [*words]


_COPYING = frozenset("fivetran sdc airbyte ab cdc dms stitch hevo is soft row record".split())
"""Words of programs that copy tables, and of a row, before `deleted`."""
_ENDED = re.compile(
    r"^un\w{5,}ed$|^(cancel+|delet|remov|declin|reject|refund|return)ed$|^storniert$"
)
"""Pattern of names of columns of dates of an end, without a word for a date: `Unfollowed`."""
_DATED = re.compile(
    r"[ _](am|le|il|el|em|op)$|[ _]?(datum|日期|时间|時間|日時?|일시?)$"
    r"|^(datum|date|fecha|data)[ _](des?[ _]|du[ _]|d['’]|di[ _]|da[ _]|do[ _]|der[ _])?",
    re.IGNORECASE,
)
"""Pattern of words for a date around those for the end of an event, in names of columns."""


def _are_orders(columns: Sequence[str]) -> bool:
    """Whether column names are those of purchases, and none is of a loan: what was bought and given
    back was refused, and what was lent was not.
    """
    if any(_OF_LOANS.search(name) for name in columns):
        return False
    return any(_OF_ORDERS.search(name) is not None or is_amount(name) for name in columns)


_OF_LOANS = re.compile(
    r"borrow|loan|(?<![a-z])(lent|lend|rent|hire|due)|check(ed)?.?out|issue.?(d|on|at)|reader|"
    r"patron|overdue|renew|pick.?up|ausleih|entleih|ausgelieh|leser|mahn|leih|miet|prêt|emprunt|"
    r"lecteur|pr[eé]stamo|prestit|empr[eé]stimo|lector|leitor|uitleen|lezer|alqui|alug|nolegg|"
    r"wypożycz|выда[чн]|"
    r"借|貸|読者|读者|讀者|利用者|租|대출|대여",
    re.IGNORECASE,
)
"""Pattern of words of loans in names of columns."""
_OF_ORDERS = re.compile(
    r"(?<![a-z])order|purchas|bought|invoice|bestell|kauf|auftrag|rechnung|command[eé]|achat|"
    r"pedido|compra|(?<![a-z])ordin[eia]|acquist|aankoop|订单|下单|购买|付款|"
    r"訂單|下單|購買|zamówie|zakup|заказ|покупк|"
    r"注文|購入|주문|구매",
    re.IGNORECASE,
)
"""Pattern of words of purchases in names of columns."""


def _taken_back(words: Sequence[str], kinds: Kinds) -> str | None:
    """Return the kind that a yes in a column of such a name states (`is_deleted`); or None."""
    name = "_".join(words[1:] if words[:1] and words[0] in _ASKING else words)
    kind = act_of().get(plain(name)) or kinds.key(name)
    return kind if kind in _AWAY or (kinds.known(kind) and kinds.of(kind).sign == "undo") else None


def _reason(
    frame: pl.DataFrame, column: str, kinds: Kinds, named: Sequence[str]
) -> tuple[str, pl.Series] | None:
    """Return the kind for events that were ended for a reason or by someone, where the column says
    so in some rows only (`cancellation_reason`, `cancelled_by`), and their mask; or None.
    """
    words, bare = words_of(column), _WHY.sub("", column.strip())
    is_agent = words[-1:] == ["by"]
    name = "_".join(words[:-1]) if is_agent or bare == column.strip() else bare
    is_named = is_agent or bare != column.strip()
    if not is_named or frame.schema[column] != pl.Utf8 or not name or not kinds.known(name):
        return None
    kind = kinds.key(name)
    act = act_of().get(plain(kind)) or kind
    if kinds.of(kind).sign != "negative" or (is_agent and act not in _BY_SOMEONE):
        return None
    if act in _RETURNS and any(_OF_LOANS.search(name) for name in named):
        return None
    cells = frame[column].str.to_lowercase().str.strip_chars()
    stated = is_stated(frame[column]) & ~cells.is_in(_NO_REASON).fill_null(False)
    is_text = stated.any() and not stated.all() and not is_dated(frame[column])
    return (kind, stated) if is_text else None


_WHY = re.compile(
    r"([ _]?(reasons?|reason[ _]code|cause)|原因|理由|사유|s?grund)$"
    r"|^(motivo|motif|raison|causa|причина)[ _]*(de[ _]l[ao]?[ _]|d[eou][ _]|d['’])?",
    re.IGNORECASE,
)
"""Pattern of words around an end in names of columns that say why: `Motif d'annulation`."""
_BY_SOMEONE = frozenset(
    "cancel cancelled canceled decline declined reject rejected delete deleted remove "
    "removed".split()
)
"""Kinds beside `by` in names of columns that say who ended an event; `sold_by` names a seller."""
_NO_REASON = ("none", "no", "false", "0", "not cancelled", "not returned")
"""Cells of such columns that state no reason."""


def _failed(words: Sequence[str]) -> str | None:
    """Return `fail` for a column named like a state of failure (`is_failed`, `expired`)."""
    name = "".join(words[1:] if words[:1] and words[0] in _ASKING else words)
    return "fail" if IN_OTHER_WORDS.get(name) == "fail" else None


def _given_back(
    frame: pl.DataFrame, kinds: Kinds, place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set returns of loans to kind `give_back`, and return a finding."""
    if "kind" not in frame.columns or frame["kind"].dtype != pl.Utf8:
        return frame, []
    stated_kinds = frame["kind"].drop_nulls().unique()
    names = {name: act_of().get(plain(name)) or kinds.key(name) for name in stated_kinds}
    keys = {*names.values()}
    is_library = "checkout" in keys and bool(keys & _OF_LIBRARIES)
    back = _RETURNS if is_library or keys & _LENT else frozenset()
    back |= {"checkin"} if is_library else set()
    returned = [name for name, key in names.items() if key in back]
    if not returned:
        return frame, []
    gone = frame["kind"].is_in(returned).fill_null(False)
    kept = pl.Series("kind", [GIVEN_BACK]).zip_with(gone, frame["kind"])
    listed = ", ".join(map(repr, sorted(returned)))
    why = f"{listed} of {place} end what was borrowed, and say nothing of it"
    note = Finding(rule="kinds", rows=int(gone.sum()), action="noted", why=why)
    return frame.with_columns(kept.alias("kind")), [note]


def with_ends(
    frame: pl.DataFrame, kind: pl.Series, flags: Mapping[str, pl.Series], kinds: Kinds, place: str
) -> tuple[pl.Series, list[Finding]]:
    """Return the kind of each row, `unsubscribe` for a no of `subscribe` after a yes of the same
    user and item where the column holds a state; and findings.
    """
    findings = list[Finding]()
    times = _times(frame)
    if times is None:
        return kind, findings
    keys = frame.select("user_id", "item_id").with_columns(times.alias("time")).with_row_index()
    for name, truth in flags.items():
        end = f"un{name}"
        if not kinds.known(end) or kinds.of(end).sign not in ("negative", "undo"):
            continue
        rows = keys.with_columns(truth.alias("said")).drop_nulls().sort("time", "index")
        rows = rows.with_columns(was=pl.col("said").shift(1).over("user_id", "item_id"))
        pairs = rows.group_by("user_id", "item_id").agg(pl.col("said").first(), pl.len())
        begun = pairs.filter(pl.col("len") > 1)["said"].to_list()
        after = rows.filter("was")
        ended = after.filter(~pl.col("said"))["index"]
        is_state = sum(begun) >= MIN_BEGUN * len(begun)
        holds = len(ended) <= (1 - MIN_HELD) * after.height or _are_changes(rows, pairs)
        if not len(ended) or not is_state or not holds:
            continue
        is_end = pl.Series(range(frame.height)).is_in(ended.implode())
        kind = pl.Series("kind", [end]).zip_with(is_end, kind)
        why = (
            f"{truth.name!r} of {place} is a state: a no after a yes of the same user and item was "
            f"read as {end!r}"
        )
        findings.append(Finding(rule="kinds", rows=len(ended), action="noted", why=why))
    return kind, findings


def _are_changes(rows: pl.DataFrame, pairs: pl.DataFrame) -> bool:
    """Whether the rows are changes of a state only: each user and item begins with a yes, and yes
    and no alternate, which outcomes of impressions do not do.
    """
    turns = rows.filter(pl.col("was").is_not_null())
    return bool(pairs["said"].all()) and bool((turns["was"] != turns["said"]).all())


def _times(frame: pl.DataFrame) -> pl.Series | None:
    if "timestamp" not in frame.columns:
        return None
    times = seconds_of(frame["timestamp"])
    return None if times.null_count() > frame["timestamp"].null_count() else times

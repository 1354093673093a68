"""Read kinds from columns of opinions, for and against: thumbs, votes, swipes and reactions."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import polars as pl

from metarec.data.cells.parsing import NO_TEXT, nothing
from metarec.data.findings import Finding
from metarec.data.kinds import IMPRESSION, Kinds
from metarec.data.names.column_names import plain
from metarec.data.names.languages import act_of

OPINIONS = re.compile(
    r"thumb|vote|reaction|feedback|opinion|sentiment|like|swipe|decision|^direction$"
    r"|态度|评价|反馈|^(ab)?stimme$|^voto$|^votación$|^(投票|表决|표결)$"
)
"""Pattern of names of columns of opinions, as `plain` returns them."""
THOUGHT = {
    **dict.fromkeys(("up", "right", "good", "positive", "+", "+1", "好", "好评", "满意"), "like"),
    **dict.fromkeys(("down", "left", "bad", "negative", "-1", "差", "差评", "不满意"), "dislike"),
    "0": "impression",
    **dict.fromkeys(("superlike", "super like", "super_like"), "superlike"),
    **dict.fromkeys("-−–", "dislike"),  # beside `+`; alone it stands for nothing
}
"""Opinion -> kind; a column of opinions must hold one for and one against."""
_BESIDE = {
    **dict.fromkeys("none neutral meh mixed 中性 一般 中评".split(), "impression"),
    **{kind: kind for kind in "unmatch block report skip match message comment".split()},
    "rewind": "undo",
}
"""Other words that such a column may hold, and their kinds."""
_ALL = {**THOUGHT, **_BESIDE}
_VOTES = re.compile(
    r"^(my|your|user|member)?(vote|voto|(ab)?stimme|votación)(cast|value)?$"
    r"|^(投票|表决|표결)$"
)
"""Pattern of names of columns of votes, as `plain` returns them."""
_FOR = "yes yea aye for favor pro ja oui sí sim sì да 赞成 同意 zustimmung pour a_favor"
_AGAINST = """
no nay against oppose opposed contra nein non não нет 反对
ablehnung contre en_contra contro
"""
_NEITHER = (
    "present abstain abstained abstention not_voting absent enthaltung abstención abstenção "
    "astenuto 弃权"
)
_VOTED = {
    word.replace("_", " "): kind
    for kind, words in (("like", _FOR), ("dislike", _AGAINST), ("impression", _NEITHER))
    for word in words.split()
} | {"in favor": "like"}
"""Words of a column of votes, in which a no is an answer, too."""
_SWIPED = {"like": "like", "love": "superlike", "pass": "dislike", "nope": "dislike"}
"""Words of a column with a `pass` or `nope` beside a `like`, where a pass is no success."""
_FEELINGS = re.compile(r"mood|feeling|emotion|weather|心情|情绪|天气")
"""Pattern of names of columns of moods, which may hold the same emoji as reactions."""
_LIKED = frozenset("like 赞 点赞 喜欢".split())


def is_opinion(column: pl.Series) -> bool:
    """Whether a column holds opinions only, for and against."""
    if OPINIONS.search(plain(column.name)) is None or column.dtype.is_nested():
        return False
    if column.dtype != pl.Utf8 and not column.dtype.is_integer():
        return False
    words = set(_thoughts(column).drop_nulls().unique())
    meanings = _meanings(words, column.name)
    return words <= {*meanings} and {"like", "dislike"} <= {meanings[word] for word in words}


def _meanings(words: Collection[str], column: str) -> Mapping[str, str]:
    """Return opinion -> kind for a column of these words."""
    if _VOTES.search(plain(column)) is not None:
        return {**_ALL, **_VOTED}
    is_swiped = "like" in words and not {"pass", "nope"}.isdisjoint(words)
    return {**_ALL, **_SWIPED} if is_swiped else _ALL


def _thoughts(column: pl.Series) -> pl.Series:
    """Return opinions in lower case; a dash is against where another cell is `+`, and 1 is for
    where another cell is -1; missing ones are null.
    """
    words = nothing(column.cast(pl.Utf8), NO_TEXT).str.to_lowercase()
    if (words == "-1").any():
        words = words.replace({"1": "+1"})
    return words if (words == "+").any() else nothing(words)


def by_opinion(frame: pl.DataFrame, column: str, place: str) -> tuple[pl.DataFrame, list[Finding]]:
    """Set the kinds of events by a column of opinions, and return a finding."""
    words = _thoughts(frame[column])
    meanings = _meanings(words.drop_nulls().unique().to_list(), column)
    kind = words.replace_strict(meanings, default=IMPRESSION, return_dtype=pl.Utf8)
    no = next(word for word in words.drop_nulls() if meanings[word] == "dislike")
    why = f"column {column!r} of {place} was read as what users thought: {no!r} says no"
    rows = int((kind == "dislike").sum())
    note = Finding(rule="kinds", rows=rows, action="noted", why=why)
    return frame.drop(column).with_columns(kind.alias("kind")), [note]


def is_of_feelings(column: str, names: Sequence[str], kinds: Kinds) -> bool:
    """Whether a column holds moods rather than kinds: by its name, unless one of its values is a
    like, as in reactions to a post.
    """
    if _FEELINGS.search(plain(column)) is None:
        return False
    keys = {act_of().get(plain(name)) or kinds.key(name) for name in names if plain(name)}
    return not keys & _LIKED

"""Convert ratings in words to numbers: `excellent`, `Very dissatisfied`, `非常好`, `FIVE`."""

from __future__ import annotations

from functools import cache

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.names.languages import points_of

_LISTED: dict[float, str] = {
    1.0: """terrible; awful; horrible; worst; very bad; very poor; extremely bad; very dissatisfied;
        very unsatisfied; very unhappy; extremely dissatisfied; hate; hated it; one; one star;
        strongly disagree; completely disagree; not at all satisfied; very unlikely;
        extremely unlikely; not at all likely; never; 极差; 很差; 非常差;
        非常不满意; 非常不同意; 很不满意; 极不满意;
        完全不同意; 很不同意; 从不""",
    2.0: """bad; poor; below average; dissatisfied; unsatisfied; unhappy; not good; disappointing;
        disappointed; disagree; unlikely; rarely; seldom; two; two stars;
        差; 较差; 不好; 不满意; 不满; 不同意; 两星;
        比较不满意; 比较不同意; 很少""",
    2.5: "somewhat disagree; slightly disagree; somewhat dissatisfied; somewhat unlikely",
    3.0: """ok; okay; average; fair; neutral; so-so; so so; mediocre; acceptable; mixed; medium;
        neither; neither agree nor disagree; neither satisfied nor dissatisfied; undecided; three;
        neither likely nor unlikely; sometimes; occasionally; three stars;
        一般; 还行; 还可以; 普通; 中立; 有时""",
    3.5: "somewhat agree; slightly agree; somewhat satisfied; somewhat likely",
    4.0: """good; satisfied; happy; nice; above average; liked it; agree; likely; often; usually;
        frequently; four; four stars;
        好; 较好; 不错; 满意; 比较满意; 同意; 比较同意; 推荐; 经常""",
    4.5: "very good; great; really liked it; very nice; 很好",
    5.0: """excellent; perfect; outstanding; amazing; superb; fantastic; wonderful; exceptional;
        awesome; very satisfied; extremely satisfied; very happy; love; loved it; strongly agree;
        completely agree; very likely; extremely likely; always; five; five stars;
        非常好; 极好; 完美; 很满意; 非常满意; 非常同意;
        完全同意; 很同意; 力荐; 总是""",
}
"""Points from 1 to 5 -> words for them."""
POINTS = {
    " ".join(word.split()): points for points, words in _LISTED.items() for word in words.split(";")
}
"""Word in lower case -> points from 1 to 5."""


_ANALYSTS = {
    **dict.fromkeys(("strong buy", "conviction buy", "top pick"), 5.0),
    **dict.fromkeys(("buy", "outperform", "overweight", "accumulate", "add"), 4.0),
    **dict.fromkeys(("hold", "neutral", "market perform", "equal weight", "equal-weight"), 3.0),
    **dict.fromkeys(("underperform", "underweight", "reduce"), 2.0),
    **dict.fromkeys(("sell", "strong sell"), 1.0),
}
"""Recommendation of an analyst -> points. Without `_ANALYST`, buy and sell are trades."""
_ANALYST = r"^(strong (buy|sell)|(out|under)perform|(over|under|equal)[ -]?weight|market perform)$"
SURELY = (
    r"^(buy|hold|sell|strong (buy|sell)|(out|under)perform|(over|under)weight)$|"
    r"agree|satisf|likely|zufrieden|stimme|trifft|accord|acuerdo|concord|discord|soddisf|"
    r"満足|思|满意|同意|만족|그렇|соглас|katıl|memnun|"
    r"^(never|rarely|seldom|often|"
    r"always|nie|niemals|selten|oft|häufig|immer|jamais|rarement|souvent|toujours|nunca|rara vez|"
    r"a menudo|siempre|sempre|spesso|raramente|frequentemente|nooit|zelden|vaak|altijd|"
    r"从不|总是|いつも|めったにない|"
    r"никогда|редко|часто|всегда|항상|드물게)$"
)
"""Pattern of words that are ratings whatever the name of their column."""
MIN_SURE = 3
"""Minimum number of distinct such words in a column of another name; at most two others are
allowed.
"""


@cache
def _all_points() -> dict[str, float]:
    """Return word -> points, in all languages."""
    return {**points_of(), **POINTS}


def points_of_words(column: pl.Series) -> pl.Series | None:
    """Return the points from 1 to 5 of a column of such words; None where some cell is another
    word, or all have the same points.
    """
    if column.dtype != pl.Utf8:
        return None
    text = _plain(column)
    is_of_analysts = bool(text.str.contains(_ANALYST).any())
    meant = {**_all_points(), **_ANALYSTS} if is_of_analysts else _all_points()
    points = text.replace_strict(meant, default=None, return_dtype=pl.Float64)
    if points.null_count() > text.null_count() or points.drop_nulls().n_unique() < 2:
        return None
    if is_of_analysts:
        return points
    return points.replace(_evenly(points.drop_nulls().unique().to_list()))


def any_says_how_much(words: pl.Series) -> bool:
    """Whether any word of a text column is known as a rating."""
    return bool(_plain(words).is_in([*_all_points()]).any())


def _evenly(used: list[float]) -> dict[float, float]:
    """Return points -> evenly spaced points: two words below 3 become 1 and 2, two above 3 become 4
    and 5. Where `agree` is used too, `somewhat agree` is between 3 and `agree`.
    """
    no, yes = (sorted(p for p in used if (p < 3) == is_no and p != 3) for is_no in (True, False))
    return {
        **(dict(zip(no, (1.0, 2.0), strict=True)) if len(no) == 2 else {}),
        **(dict(zip(yes, (4.0, 5.0), strict=True)) if len(yes) == 2 else {}),
    }


def has_rating_words(column: pl.Series) -> bool:
    """Whether a column holds ratings in words, whatever its name."""
    if column.dtype != pl.Utf8 or points_of_words(column) is None:
        return False
    words = _plain(column).drop_nulls().unique()
    sure = int(words.str.contains(SURELY).sum())
    return sure >= MIN_SURE and len(words) - sure <= 2


def _plain(column: pl.Series) -> pl.Series:
    """Return cells in lower case, with single spaces and without punctuation at the ends; null for
    answers that are none.
    """
    text = nothing(column).str.to_lowercase().str.replace_all(r"[\s_]+", " ")
    text = text.str.replace_all("’", "'").str.strip_chars(" .!")
    return text.set(text.is_in(_NO_ANSWER).fill_null(False), None)


_NO_ANSWER = (
    *("prefer not to say", "prefer not to answer", "don't know", "do not know", "dont know"),
    *("not applicable", "no answer", "no opinion", "not sure", "can't say", "no response"),
    *("weiß nicht", "weiss nicht", "ne sais pas", "je ne sais pas", "sans réponse", "no sabe"),
    *("no contesta", "ns/nc", "não sei", "non so"),
    *("не знаю", "затрудняюсь ответить"),
    *("不知道", "不清楚", "不适用", "不愿回答", "拒绝回答"),
    *("わからない", "答えたくない", "모름"),
)
"""Answers to a question that are none, in lower case."""

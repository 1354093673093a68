"""Ratings in words: `excellent`, `Very dissatisfied`, `非常好`, `FIVE`."""

from __future__ import annotations

import polars as pl

from metarec.data.parsing import nothing

_LISTED: dict[float, str] = {
    1.0: """terrible; awful; horrible; worst; very bad; very poor; extremely bad; very dissatisfied;
        very unsatisfied; very unhappy; extremely dissatisfied; hate; hated it; one; one star;
        strongly disagree; 极差; 很差; 非常差;
        非常不满意; 非常不同意; 很不满意; 极不满意""",
    2.0: """bad; poor; below average; dissatisfied; unsatisfied; unhappy; not good; disappointing;
        disappointed; disagree; two; two stars;
        差; 较差; 不好; 不满意; 不满; 不同意; 两星""",
    3.0: """ok; okay; average; fair; neutral; so-so; so so; mediocre; acceptable; mixed; medium;
        neither; neither agree nor disagree; neither satisfied nor dissatisfied; undecided; three;
        three stars; 一般; 还行; 还可以; 普通;
        中立""",
    4.0: """good; satisfied; happy; nice; above average; liked it; agree; four; four stars; 好;
        较好; 不错; 满意; 比较满意; 同意""",
    4.5: "very good; great; really liked it; very nice; 很好",
    5.0: """excellent; perfect; outstanding; amazing; superb; fantastic; wonderful; exceptional;
        awesome; very satisfied; extremely satisfied; very happy; love; loved it; strongly agree;
        five; five stars; 非常好; 极好; 完美; 很满意; 非常满意; 非常同意""",
}
POINTS = {
    " ".join(word.split()): points for points, words in _LISTED.items() for word in words.split(";")
}
"""Points of five by word, in small letters."""


def points_of_words(column: pl.Series) -> pl.Series | None:
    """Points of a column of such words; None where some cell is no such word, or all are one."""
    if column.dtype != pl.Utf8:
        return None
    text = nothing(column).str.to_lowercase().str.replace_all(r"[\s_]+", " ")
    points = text.str.strip_chars(" .!").replace_strict(
        POINTS, default=None, return_dtype=pl.Float64
    )
    is_read = points.null_count() == text.null_count()
    return points if is_read and points.drop_nulls().n_unique() > 1 else None

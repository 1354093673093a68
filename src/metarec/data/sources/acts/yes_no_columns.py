"""Read columns of yes and no, which state whether an event of some kind happened, as booleans."""

from __future__ import annotations

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.cells.truth import YESES, as_digits, as_ticks, as_truth
from metarec.data.names.column_names import plain

NO_SAYS = {
    **{"accept": "decline", "接受": "拒绝", "接单": "拒单"},
    **{"recommend": "dislike", "pay": "begin_checkout"},
}
"""Kind of a column -> kind of its no, for columns in which a no is an answer too."""
UNASKED = {"like": "dislike", "upvote": "downvote", "喜欢": "不喜欢"}
"""The same for columns in which a no is an answer beside blanks only, for who was not asked."""


_UNSURE = (
    *("maybe", "not sure", "unsure", "undecided", "don't know", "vielleicht", "weiß nicht"),
    *("peut-être", "quizás", "quizá", "tal vez", "talvez"),
    *("forse", "может быть", "belki"),
    *("也许", "可能", "不确定", "未定", "たぶん", "未定", "아마도"),
)
"""Answers between yes and no, in lower case."""


_LETTERS = (("s", "n"), ("j", "n"), ("o", "n"), ("e", "h"), ("v", "f"), ("д", "н"), ("t", "n"))
"""First letters of words for yes and no in further languages."""


def as_yes_no(column: pl.Series) -> pl.Series | None:
    """Parse a column of yes and no to booleans; None where a column holds anything else. A blank is
    False beside one mark for yes, which may be the column's own name, and null beside yes and no,
    as `maybe` is.
    """
    if column.dtype == pl.Boolean:
        return column
    if column.dtype.is_nested() or column.dtype == pl.Object:
        return None
    text = nothing(column.cast(pl.Utf8, strict=False)).str.to_lowercase()
    if (ticks := as_ticks(text)) is not None:
        return ticks
    words = text.drop_nulls().unique().head(3).to_list()
    letters = next((pair for pair in _LETTERS if {*pair} == {*words}), None)
    if letters is not None:
        return text == letters[0]
    is_one = len(words) == 1
    if is_one and text.null_count() and plain(words[0]) == plain(column.name):
        return text.is_not_null()
    if is_one and words[0] in YESES:  # yes in every row
        return text.is_not_null()
    unsure = text.is_in(_UNSURE).fill_null(False)
    column = column.set(unsure, None) if unsure.any() else column
    if column.dtype == pl.Utf8 and (truth := as_truth(column)) is not None:
        return truth
    return as_digits(column)

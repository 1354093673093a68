"""Read columns of yes and no, which state whether an event of some kind happened, as booleans."""

from __future__ import annotations

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.cells.truth import YESES, as_digits, as_ticks, as_truth
from metarec.data.names.column_names import plain


def as_yes_no(column: pl.Series) -> pl.Series | None:
    """Parse a column of yes and no to booleans; None where a column holds anything else. A blank is
    False beside one mark for yes, which may be the column's own name, and null beside yes and no.
    """
    if column.dtype == pl.Boolean:
        return column
    if column.dtype.is_nested() or column.dtype == pl.Object:
        return None
    text = nothing(column.cast(pl.Utf8, strict=False)).str.to_lowercase()
    if (ticks := as_ticks(text)) is not None:
        return ticks
    words = text.drop_nulls().unique().head(2).to_list()
    is_one = len(words) == 1
    if is_one and text.null_count() and plain(words[0]) == plain(column.name):
        return text.is_not_null()
    if is_one and words[0] in YESES:  # yes in every row
        return text.is_not_null()
    if column.dtype == pl.Utf8 and (truth := as_truth(column)) is not None:
        return truth
    return as_digits(column)

"""Find titles of items in tables without a column of titles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from metarec.data.events.rows import Place
from metarec.data.findings import Finding
from metarec.data.names.column_matching import title_column_of
from metarec.data.names.column_names import CHINESE_ITEM_NOUNS, ITEM_NOUNS, plain

_NOUNS = {"", *(plain(noun) for noun in (*ITEM_NOUNS, *CHINESE_ITEM_NOUNS))}
"""Names of columns of items that may hold their titles; "" where the file has `item_id`."""
LOOKED_AT = 10_000
"""Number of first events that decide whether ids are words."""
MAX_TITLE = 60
"""Maximum length in characters of nine texts in ten for texts to be titles."""


def with_titles(
    frame: pl.DataFrame, item: str, has_items: bool, likely: Sequence[str] = ()
) -> pl.DataFrame:
    """Set `title` where items are identified by their names, or by `Product` beside `Product code`.

    Args:
        item: name of the column of items in the file.
        has_items: whether there is a table of items, which may hold titles.
        likely: columns that hold titles, by their cells.
    """
    if "title" in frame.columns:
        return frame
    if (called := next((c for c in likely if c in frame.columns), None)) is not None:
        return frame.rename({called: "title"})
    is_name = plain(item).endswith(("title", "name", "名称", "标题", "名"))
    is_noun = plain(item) in _NOUNS and not has_items
    if is_name or (is_noun and _are_words(frame["item_id"])):
        return frame.with_columns(pl.col("item_id").alias("title"))
    noun = title_column_of(item, frame.columns)
    return frame if noun is None else frame.rename({noun: "title"})


def _are_words(ids: pl.Series) -> bool:
    """Whether most ids are words rather than codes: with a space after letters, or in Chinese,
    Japanese or Korean.
    """
    if ids.dtype != pl.Utf8:
        return False
    worded = (
        ids.head(LOOKED_AT).drop_nulls().str.contains(r"\pL{2,} \S|[\p{Han}\p{Kana}\p{Hangul}]{2}")
    )
    return 2 * int(worded.sum()) > len(worded)


def with_short_titles(
    items: pl.DataFrame, names: Mapping[str, str], mapping: Mapping[str, str], place: Place
) -> tuple[pl.DataFrame, list[Finding]]:
    """Rename short texts to titles where there are none: `RED MUG` in a column `Description`."""
    column = next((c for c, name in names.items() if name == "text"), None)
    if column is None or "text" in mapping or "title" in items.columns:
        return items, []
    if items["text"].dtype != pl.Utf8:
        return items, []
    lengths = items["text"].str.len_chars().drop_nulls()
    if not len(lengths) or float(lengths.quantile(0.9) or 0.0) > MAX_TITLE:
        return items, []
    why = f"column {column!r} of {place.name} was read as title: its texts are short"
    note = Finding(rule="columns", rows=0, action="noted", why=why, table="items")
    return items.rename({"text": "title"}), [note]

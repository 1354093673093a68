"""Parse columns of yes and no: words of many languages, marks and digits."""

from __future__ import annotations

import polars as pl

from metarec.data.cells.parsing import as_numbers, nothing

YES_NO = {
    "true": "false",
    "yes": "no",
    "y": "n",
    "t": "f",
    "是": "否",
    "真": "假",
    "ja": "nein",
    "oui": "non",
    "vrai": "faux",
    "wahr": "falsch",
    "sí": "no",
    "si": "no",
    "sì": "no",
    "verdadero": "falso",
    "sim": "não",
    "tak": "nie",
    "да": "нет",
    "on": "off",
    "はい": "いいえ",
    "예": "아니요",
    "✓": "✗",
    "✔": "✘",
    "√": "×",
    "○": "✕",
    "◯": "☓",
    "✅": "❌",
    "evet": "hayır",
    "igen": "nem",
    "так": "ні",
    "ya": "tidak",
    "có": "không",
    "네": "아니오",
    "對": "錯",
    "نعم": "لا",
    "benar": "salah",
}
"""Words for true -> words for false, in lower case."""
FURTHER_PAIRS = (
    *(("ja", "nee"), ("ja", "nej"), ("ja", "nei"), ("예", "아니오"), ("네", "아니요")),
    *(("○", "×"), ("◯", "×"), ("⭕", "❌"), ("有", "無"), ("да", "не"), ("tak", "ne")),
    *(("ano", "ne"), ("áno", "nie"), ("da", "ne"), ("da", "nu"), ("taip", "ne")),
    *(("kyllä", "ei"), ("jah", "ei"), ("jā", "nē"), ("ναι", "όχι")),
    *(("כן", "לא"), ("بله", "خیر"), ("হ্যাঁ", "না")),
    *(("हाँ", "नहीं"), ("हां", "नहीं"), ("có", "chưa")),
    *(("ใช่", "ไม่ใช่"), ("ใช่", "ไม่")),
    ("มี", "ไม่มี"),
)
"""Further pairs of words for true and false."""
NOES = frozenset((*YES_NO.values(), *(no for _, no in FURTHER_PAIRS)))
"""Words for false."""
YESES = frozenset((*YES_NO, *(yes for yes, _ in FURTHER_PAIRS)))
"""Words for true."""
MARKS = frozenset(("x", "✓", "✔", "√", "•", "👍", "❤", "♥", "1", "1.0", *YES_NO))
"""Cells that mean yes where all other cells of their column are blank, in lower case."""


def as_truth(column: pl.Series) -> pl.Series | None:
    """Parse a text column of words for true and false to booleans; None where some cell is neither,
    or where neither `true`, `false` nor both words of a pair occur, as in digits alone.
    """
    text = nothing(column).str.to_lowercase()
    words = set(text.drop_nulls().unique().to_list())
    pairs = [{yes, no} for yes, no in (*YES_NO.items(), *FURTHER_PAIRS)]
    is_said = bool(words & {"true", "false"}) or any(pair <= words for pair in pairs)
    if not is_said or not words <= {*YESES, *NOES, "1", "0"}:
        return None
    return (
        text.is_in([*YESES, "1"])
        .alias(column.name)
        .zip_with(text.is_not_null(), pl.Series([None], dtype=pl.Boolean))
    )


def as_ticks(column: pl.Series) -> pl.Series | None:
    """Parse a text column like ticked boxes to booleans: True for a mark, False for a blank. None
    where no cell is blank, where cells hold several texts, or where their text is not in `MARKS`.
    """
    text = nothing(column).str.to_lowercase()
    words = text.drop_nulls().unique().head(2)
    is_ticked = text.null_count() > 0 and len(words) == 1 and words[0] in MARKS
    return text.is_not_null() if is_ticked else None


def as_digits(column: pl.Series) -> pl.Series | None:
    """Parse a column of 1 and 0 to booleans, null where a cell is blank; None where some cell is
    anything else.
    """
    numbers = as_numbers(column)
    is_read = numbers.null_count() == nothing(column).null_count()
    return numbers == 1 if is_read and set(numbers.drop_nulls().unique()) <= {0.0, 1.0} else None

"""Parsing of the values that policies compare: numbers with units, tags, word stems of tags, and
words for yes and no.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl

from metarec.data.cells.parsing import BLANK
from metarec.data.cells.truth import NOES, YESES
from metarec.data.cells.units import TIMES

_NUMBER = re.compile(
    r"\s*(?P<number>[<>]?\s*-?\d+(?:\.\d+)?|-?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?)"
    r"\s*(?P<unit>[^\d\s,.]*)\s*"
)
_MAY_PART = re.compile(r"\s*[<>]?\s*-?[1-9]\d{0,2}\.\d{3}(?![\d.,])")
"""A number whose only dot may be a thousands separator: `1.200 mg`."""
_IS_DECIMAL = re.compile(r"\s*[<>]?\s*-?(?:0\.\d|\d{4,}\.\d|\d+(?:,\d{3})+\.\d)")
_OTHER_DECIMAL = re.compile(r"\s*[<>]?\s*-?\d+\.(?:\d{1,2}|\d{4,})(?![\d.,])")
NOT_STATED = frozenset({"", "null", "nan", "unknown", "n/a", "?", "未知", "不详", "unbekannt"})
"""Texts that stand for a missing value."""
NOTHING = frozenset(
    "none nothing nil - keine keiner 无 没有 ninguna ninguno aucune aucun nessuna nessuno".split()
)
"""Texts that state an empty set of tags: no allergens, no conditions."""
_BETWEEN = re.compile(
    r"[|,;/\n\t\\+&、・·•*^~!?:()\[\]{}<>…]|\.(?=\s|$)|\s[-–—]\s"
    r"|\s(?:and|or|und|oder|et|ou)\s"
)
"""Separators of the tags in one cell, after full-width characters were normalized."""
_NO_SPACES = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
"""Letters of scripts that write words without spaces between them."""
_WORD = re.compile(rf"\d+(?:\.\d+)+|[{_NO_SPACES}]|(?:(?![{_NO_SPACES}])[^\W_])+")
LONGEST_CODE = 2
"""Letters of the longest country code: words this short have no plural and match whole tags
only.
"""
_TIMES = {letter: size for letter, size in TIMES.items() if letter != "M"}  # `5 M` may be meters
_SIZES = {
    "µg mcg ug": ("mass", 1e-6),
    "mg 毫克": ("mass", 1e-3),
    "g gram grams 克": ("mass", 1.0),
    "kg kilogram kilograms kilo kilos 公斤 千克": ("mass", 1e3),
    "t ton tons tonne tonnes 吨": ("mass", 1e6),
    "oz": ("mass", 28.349523125),
    "lb lbs": ("mass", 453.59237),
    "mm 毫米": ("length", 1e-3),
    "cm 厘米": ("length", 1e-2),
    "m meter meters 米": ("length", 1.0),
    "km 公里 千米": ("length", 1e3),
    "ft": ("length", 0.3048),
    "mi mile miles": ("length", 1609.344),
    "ml 毫升": ("volume", 1e-3),
    "cl": ("volume", 1e-2),
    "l liter liters 升": ("volume", 1.0),
    "s sec secs second seconds 秒": ("time", 1.0),
    "min mins minute minutes 分钟": ("time", 60.0),
    "h hr hrs hour hours 小时": ("time", 3600.0),
    "day days 天": ("time", 86400.0),
    "kj": ("energy", 1.0),
    "kcal": ("energy", 4.184),
}
UNITS = {name: size for names, size in _SIZES.items() for name in names.split()}
"""Unit -> (quantity it measures, its size in the base unit of that quantity)."""


def number_of(cell: Any, unit: str | None = None) -> float:
    """Parse a cell as a number, also with a unit behind it (`164 mmHg`) or thousands separators
    (`1,500`); NaN where it is no number.

    Args:
        cell: a cell of an item, or what a user stated.
        unit: unit of the result; a cell in another unit of the same quantity is converted
            (`7500 kg` is 7.5 in `t`), a cell in a unit of another quantity is NaN.
    """
    return converted(*_amount(cell), unit)


def numbers_of(cells: Iterable[Any], unit: str | None) -> list[float]:
    """Parse the cells of one column as `number_of` does, with words for yes and no as 1 and 0.
    Where `unit` is None, the numbers are in the unit that most cells name, the smaller one of ties.
    """
    amounts = [_amount(cell if (truth := truth_of(cell)) is None else truth) for cell in cells]
    if unit is None:
        named = Counter(unit_of_cell for _, unit_of_cell in amounts if unit_of_cell in UNITS)
        unit = max(
            named,
            key=lambda unit_of_cell: (named[unit_of_cell], -UNITS[unit_of_cell][1]),
            default=None,
        )
    return [converted(number, unit_of_cell, unit) for number, unit_of_cell in amounts]


def readings_of(cells: Sequence[Any], unit: str | None) -> np.ndarray:
    """[2, N] both readings of each cell of a column as a number: as `numbers_of` reads it, and 1000
    times that where its dot may be a thousands separator.
    """
    numbers = np.array(numbers_of(cells, unit), np.float64)
    return np.stack(
        [numbers, np.where(may_be_thousands_separators(cells), 1000.0 * numbers, numbers)]
    )


def may_be_thousands_separators(cells: Sequence[Any]) -> np.ndarray:
    """[N] bool: whether the dot of a cell may be a thousands separator, as in `1.200 mg`. False for
    all where other cells show that dots are decimal points: `0.250`, or `1.5` and no `1.200`,
    since programs write trailing zeros in all cells or in none.
    """
    texts = [unicodedata.normalize("NFKC", one) if isinstance(one, str) else "" for one in cells]
    numbers = [match and match.group() for match in map(_MAY_PART.match, texts)]
    has_zeros = any(one and one.endswith("0") for one in numbers)
    is_decimal = any(
        _IS_DECIMAL.match(text) or (not has_zeros and _OTHER_DECIMAL.match(text)) for text in texts
    )
    return np.array([one is not None and not is_decimal for one in numbers], bool)


def converted(number: float, given_unit: str | None, unit: str | None) -> float:
    """Convert a number from the unit `given_unit` to `unit`; NaN where the units measure different
    quantities, unchanged where one of them is not known.
    """
    if given_unit not in UNITS or unit not in UNITS:
        return number
    (thing, size), (other, one) = UNITS[given_unit], UNITS[unit]
    return number * size / one if thing == other else float("nan")


def unit_in(name: str) -> str | None:
    """Return the unit at the end of a column's or attribute's name (`sodium_mg`, `sodium (mg)`);
    None where there is none.
    """
    last = re.split(r"[_\s(\[]", name.rstrip(" )]"))[-1].casefold()
    return last if last in UNITS and last != name.casefold() else None


def _amount(cell: Any) -> tuple[float, str]:
    """Parse a cell as a number (NaN where it is none) and its unit ("" where it names none)."""
    if cell is None or isinstance(cell, bool):
        return (float("nan") if cell is None else float(cell)), ""
    if isinstance(cell, int | float):
        return float(cell), ""
    match = _NUMBER.fullmatch(unicodedata.normalize("NFKC", str(cell)))
    if match is None:
        return float("nan"), ""
    number, unit = float(match["number"].replace(",", "").lstrip("<> ")), match["unit"]
    if unit in _TIMES:
        return number * _TIMES[unit], ""
    return number, unit.casefold().replace("\u03bc", "\u00b5")


def tags_of(cell: Any) -> list[str] | None:
    """Return the tags of one cell or attribute, in lower case; None where the value is missing, an
    empty list where it states that there are no tags.

    `nuts/milk` gives its parts and the whole: a forbidden part must not hide in a longer tag.
    """
    if cell is None or (isinstance(cell, float) and cell != cell):
        return None
    listed = isinstance(cell, list | tuple | set | pl.Series)
    texts = [tag_of(part) for part in (cell if listed else [cell]) if part is not None]
    stated = [text for text in texts if text not in NOT_STATED]
    pieces = [tag_of(piece) for text in stated for piece in _BETWEEN.split(text)]
    tags = list(dict.fromkeys([*pieces, *stated]))
    stated_tags = [tag for tag in tags if tag not in NOT_STATED and tag not in NOTHING]
    is_said = stated_tags or any(tag in NOTHING for tag in tags) or (listed and not texts)
    return stated_tags if is_said else None


def is_single(tag: str) -> bool:
    """Whether a tag contains no separator of tags."""
    return _BETWEEN.search(tag) is None


def tag_of(value: Any) -> str:
    """Normalize one tag: case, quotes, spaces, underscores and hyphens inside it, full-width
    letters and composed accents (NFKC).
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = unicodedata.normalize("NFKC", str(value)).strip(BLANK).strip("\"'").casefold()
    return " ".join(re.sub(r"(?<=\w)[_\-](?=\w)", " ", text).split())


def stems_of(tag: str) -> tuple[str, ...]:
    """Return the words of a tag without singular and plural endings; for scripts without spaces
    between words, each letter.
    """
    return tuple(_stem(word) for word in _WORD.findall(tag))


def _stem(word: str) -> str:
    if len(word) <= LONGEST_CODE or word[-1].isdigit():
        return word
    if word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    word = word.removesuffix("e")
    return f"{word[:-1]}i" if word.endswith("y") else word


def truth_of(value: Any) -> bool | None:
    """Parse a value as yes or no: 1, 0, or a word of many languages; None where it is neither."""
    if isinstance(value, bool | int | float):
        return bool(value) if value in (0, 1) else None
    word = str(value).strip(BLANK).casefold()
    if word in YESES or word == "1":
        return True
    return False if word in NOES or word == "0" else None

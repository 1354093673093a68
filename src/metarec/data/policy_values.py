"""Values that a policy compares, as it understands them: numbers with their units, tags, words of
a tag, words for yes and no.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any

import polars as pl

from metarec.data.cells.parsing import BLANK, YES_NO
from metarec.data.cells.units import TIMES

_NUMBER = re.compile(
    r"\s*(?P<number>[<>]?\s*-?\d+(?:\.\d+)?|-?\d{1,3}(?:,\d{3})+(?:\.\d+)?)"
    r"\s*(?P<unit>[^\d\s,.]*)\s*"
)
NOT_STATED = frozenset({"", "null", "nan", "unknown", "n/a", "?", "未知", "不详", "unbekannt"})
"""Texts that say nothing."""
NOTHING = frozenset(
    "none nothing nil - keine keiner 无 没有 ninguna ninguno aucune aucun nessuna nessuno".split()
)
"""Texts that say that there is nothing: no allergens, no conditions."""
_BETWEEN = re.compile(
    r"[|,;/\n\t\\+&、・·•*^~!?:()\[\]{}<>…]|\.(?=\s|$)|\s[-–—]\s"
    r"|\s(?:and|or|und|oder|et|ou)\s"
)
"""What parts the tags of one cell, after full-width signs have become plain ones."""
_NO_SPACES = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
"""Letters of scripts whose words no space parts."""
_WORD = re.compile(rf"\d+(?:\.\d+)+|[{_NO_SPACES}]|(?:(?![{_NO_SPACES}])[^\W_])+")
LONGEST_CODE = 2
"""Words as short as a country's code have no plural and are no part of a longer tag."""
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
"""Unit -> (what it measures, its size)."""


def number_of(cell: Any, unit: str | None = None) -> float:
    """A cell as a number, also with a unit behind it (`164 mmHg`) or thousands (`1,500`); NaN
    where it is none.

    Args:
        cell: a cell of an item, or what a user stated.
        unit: what the number is wanted in; a cell in another unit of the same thing is converted
            (`7500 kg` is 7.5 in `t`), and one of another thing is no number.
    """
    return converted(*_amount(cell), unit)


def numbers_of(cells: Iterable[Any], unit: str | None) -> list[float]:
    """Cells of one column as `number_of` reads them, and words for yes and no as 1 and 0. Where no
    unit is wanted, it is the one that most cells name, of equals the smaller one.
    """
    amounts = [_amount(cell if (said := truth_of(cell)) is None else said) for cell in cells]
    if unit is None:
        named = Counter(own for _, own in amounts if own in UNITS)
        unit = max(named, key=lambda own: (named[own], -UNITS[own][1]), default=None)
    return [converted(number, own, unit) for number, own in amounts]


def converted(number: float, own: str | None, unit: str | None) -> float:
    """A number in another unit of the same thing; NaN where it is of another thing, and as it is
    where one of the units is not known.
    """
    if own not in UNITS or unit not in UNITS:
        return number
    (thing, size), (wanted, one) = UNITS[own], UNITS[unit]
    return number * size / one if thing == wanted else float("nan")


def unit_in(name: str) -> str | None:
    """The unit that the name of a column or attribute ends in: `sodium_mg`, `sodium (mg)`."""
    last = re.split(r"[_\s(\[]", name.rstrip(" )]"))[-1].casefold()
    return last if last in UNITS and last != name.casefold() else None


def _amount(cell: Any) -> tuple[float, str]:
    """A cell as a number, and the unit that it names."""
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
    """The tags of one cell or attribute, in lower case; None where it says nothing, and no tags
    where it says that there are none.

    Parts of `nuts/milk` count beside the whole: a forbidden part must not hide in a longer word.
    """
    if cell is None or (isinstance(cell, float) and cell != cell):
        return None
    listed = isinstance(cell, list | tuple | set | pl.Series)
    texts = [tag_of(part) for part in (cell if listed else [cell]) if part is not None]
    stated = [text for text in texts if text not in NOT_STATED]
    pieces = [tag_of(piece) for text in stated for piece in _BETWEEN.split(text)]
    found = list(dict.fromkeys([*pieces, *stated]))
    said = [tag for tag in found if tag not in NOT_STATED and tag not in NOTHING]
    is_said = said or any(tag in NOTHING for tag in found) or (listed and not texts)
    return said if is_said else None


def is_single(tag: str) -> bool:
    """Whether no separator parts a tag into several."""
    return _BETWEEN.search(tag) is None


def tag_of(value: Any) -> str:
    """One tag without case, quotes, and the difference between `tree nuts` and `tree_nuts`,
    between full-width letters and others, and between the ways in which accents are composed.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = unicodedata.normalize("NFKC", str(value)).strip(BLANK).strip("\"'").casefold()
    return " ".join(re.sub(r"(?<=\w)[_\-](?=\w)", " ", text).split())


def stems_of(tag: str) -> tuple[str, ...]:
    """The words of a tag without their endings of singular and plural; of scripts that part no
    words, each letter.
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
    """Whether a value says yes or no, as 1 and 0 and words of many languages do; None where it
    says neither.
    """
    if isinstance(value, bool | int | float):
        return bool(value) if value in (0, 1) else None
    word = str(value).strip(BLANK).casefold()
    if word in YES_NO or word == "1":
        return True
    return False if word in YES_NO.values() or word == "0" else None

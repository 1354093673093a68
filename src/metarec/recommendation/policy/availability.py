"""Availability of an item, parsed from the cells of an availability column."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import polars as pl

from metarec.data.policy_values import number_of, stems_of, tags_of, truth_of

_WORDS = {
    False: (
        "false|off|n|f|out|out of stock|outofstock|sold out|soldout|unavailable|discontinued|"
        "inactive|none|no longer|archived|deleted|expired|closed|retired|withdrawn|draft|"
        "nein|nicht|kein|keine|ausverkauft|vergriffen|agotado|agotada|sin|"
        "épuisé|épuisée|rupture|"
        "esaurito|esaurita|esgotado|esgotada|indisponible|indisponível|нет|не|"
        "没|缺|无|否|售罄|售完|卖完|下架|断货|停产|停售|"
        "品切れ|在庫なし|품절"
    ),
    True: (
        "available|in stock|instock|active|live|limited|low stock|few left|on sale|open|published|"
        "verfügbar|lieferbar|auf lager|disponible|disponibile|disponível|en stock|"
        "有货|现货|在售|有"
    ),
}
"""Phrases, separated by `|`, that mean not available or available."""
_FIRST = frozenset({"no", "not", "non", "não", "pas", "sold"})
"""Words that mean no in first position: `not in stock`, `No longer sold`."""
_ADDRESS = re.compile(r"https?://\S*/")
_PHRASES = {
    says: [stems_of(phrase) for phrase in phrases.split("|")] for says, phrases in _WORDS.items()
}


def availability_of(cell: Any) -> bool | None:
    """Whether a cell means that its item is available: true or false, a number in stock, a list of
    places, or words for yes and no; None where it means neither.
    """
    if isinstance(cell, list | tuple | set | pl.Series):
        return len(cell) > 0
    if tags_of(cell) is None:
        return None
    number = number_of(cell)
    if number == number:
        return number > 0
    value = truth_of(cell)
    return _availability_in(str(cell)) if value is None else value


def _availability_in(text: str) -> bool | None:
    """Whether a text means available; None where it contains no known phrase."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _ADDRESS.sub("", text))  # `OutOfStock`
    stems = stems_of(unicodedata.normalize("NFKC", parted).casefold())
    if not stems:
        return None
    if stems[0][:1].isdigit():  # `0 pieces left`
        return float(stems[0]) > 0 if stems[0].replace(".", "", 1).isdecimal() else None
    if stems[0] in _FIRST or _holds_any(stems, _PHRASES[False]):
        return False
    return True if _holds_any(stems, _PHRASES[True]) else None


def _holds_any(stems: tuple[str, ...], phrases: list[tuple[str, ...]]) -> bool:
    return any(
        stems[place : place + len(phrase)] == phrase
        for phrase in phrases
        for place in range(len(stems) - len(phrase) + 1)
    )

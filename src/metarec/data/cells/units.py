"""Parse numbers with units: `$1,299.00`, `1.299,00 €`, `12 kg`, `1.2k`, `1,000+`, `4/5`,
`★★★☆`. Callers compare numbers only where all cells of a column have one unit.
"""

from __future__ import annotations

import polars as pl

from metarec.data.cells.parsing import as_numbers, holds, in_our_digits, nothing

CURRENCIES = (
    r"US\$|CA\$|A\$|HK\$|NT\$|R\$|[$€£¥￥₹₽₩₺₫฿₴₪₦₱]|"
    r"USD|EUR|GBP|CNY|RMB|JPY|INR|CHF|SEK|NOK|DKK|PLN|"
    r"AUD|CAD|HKD|SGD|KRW|BRL|MXN|TRY|Rs\.?|"
    r"TL|Kč|CZK|zł|Ft|HUF|lei|RON|kr\.?|руб\.?|грн|лв\.?|RM|MYR|Rp\.?|IDR|THB|บาท|VND|TWD|NZD|ZAR|"
    r"AED|SAR|ILS|RUB|UAH|PHP|円|원"
)
UNITS = (
    r"kg|g|mg|µg|lbs?|oz|t|km|m|cm|mm|mi|miles?|ft|in|km²|m²|l|L|ml|mL|cl|mins?|minutes?|h|hrs?|"
    r"hours?|s|secs?|seconds?|ms|d|days?|weeks?|wks?|months?|years?|yrs?|"
    r"kcal|cal|kJ|[kMGT]B|[kM]?W|"
    r"kWh|mAh|mmHg|bpm|mg/dL|mg/dl|mmol/L|°C|°F|km/h|mph|pages?|pcs?|pieces?|"
    r"Sternen?|Stern|étoiles?|estrellas?|estrelas?|stell[ae]|звёзд[аы]?|звезд[аы]?|yıldız|"
    r"stars?|points?|pts|%|℃|元|块|美元|欧元|日元|"
    r"公斤|千克|斤|克|毫克|公里|千米|米|厘米|毫米|分钟|"
    r"小时|天|秒|周|个月|月|年|岁|升|毫升|人|个|件|次|页|星|分|颗星"
)
TIMES = {"k": 1e3, "K": 1e3, "M": 1e6, "千": 1e3, "万": 1e4, "萬": 1e4, "亿": 1e8}
"""Suffixes of numbers and their factors."""
CELL = (
    rf"^(?P<sign>[+-]?)(?P<before>{CURRENCIES})?\s*(?P<number>[+-]?\d[\d.,  '’]*|[+-]?[.,]\d+)\s*"
    rf"(?:(?P<unit>{UNITS}|{CURRENCIES})|"
    rf"(?P<times>[kKM千万萬亿])\s*(?P<of>{UNITS}|{CURRENCIES})?)?$"
)
RATED = (
    r"^(?P<number>\d+([.,]\d+)?)\s*"
    r"(?:/|out of|of|von|sur|su|van|z|ze|из|з|de)\s*(?P<unit>\d+)\s*"
    r"(?:stars?|Sternen?|étoiles|estrellas|bubbles?|points?|分)?$"
)
"""Pattern of a rating followed by the best rating: `4/5`."""
HEARTS = r"^[❤♥💛💙]+$"
STARS = r"^[★☆⭐✩✭🌟]+½?[☆✩✭]*$|^\*+$"
WORDED = (
    r"^[\"']?(?P<number>\d+(?:[.,]\d+)?)[\"']?\s*(?:[★⭐🌟]|-?\s?stars?)?\s*"
    r"(?:[-–—:=.(]\s*(?P<word>\pL[\pL !]*)\)?)?$"
)
"""Pattern of a rating with its label: `5 - Excellent`, `5 stars (Excellent)`, `4.5 ★`."""
AT_LEAST = r"[\dkKM]\s*\+$"
"""Pattern of a lower bound: `1,000+`."""
CHINESE = {n: str(v) for v, n in enumerate("零一二三四五六七八九")}
"""Chinese digits -> ASCII digits."""


def measured(column: pl.Series, *, is_rating: bool = False) -> tuple[pl.Series, list[str]] | None:
    """Return the numbers of a text column and the distinct units of its cells; None where some cell
    with a value is no number with a unit, or no cell has a unit.

    Args:
        is_rating: whether to read `4/5`, stars and Chinese digits as ratings.
    """
    text = in_our_digits(nothing(column))
    below = holds(text, rf"^\(.*(?:{CURRENCIES}).*\)$")  # as accountants write
    text = text.zip_with(~below, "-" + text.str.strip_chars("()"))
    if is_rating and (rated := _rated(text)) is not None:
        return rated
    at_least = text.filter(holds(text, AT_LEAST)).unique()
    parts = text.str.strip_chars_end(" +").str.extract_groups(CELL).struct.unnest()
    if not _are_all(parts["number"], text):
        return None
    times = parts["times"].replace_strict(TIMES, default=1.0, return_dtype=pl.Float64)
    numbers = as_numbers((parts["sign"] + parts["number"].str.strip_chars()).alias(column.name))
    units = [parts[name].fill_null("") for name in ("before", "unit", "of")]
    named = sorted((units[0] + units[1] + units[2]).filter(text.is_not_null()).unique().to_list())
    alike = {unit.removesuffix("s") if len(unit) > 3 else unit for unit in named}
    if len(alike) == 1:  # `1 star`, `5 stars`
        named = named[-1:]
    is_open = len(at_least) > 1 or bool(at_least.str.contains(r"\d{3}").any())  # no class `65+`
    if named == [""] and not (times != 1.0).any() and not is_open:
        return None
    return (numbers * times).alias(column.name), named


def _rated(text: pl.Series) -> tuple[pl.Series, list[str]] | None:
    text = text.str.replace(r"^(\d+)つ星のうち\s*(\d+([.,]\d+)?)$", "$2/$1")
    text = text.str.replace(r"^(\d) 1/2$", "${1}½").str.replace_all("\ufe0f", "")
    stated = text.drop_nulls()
    hearts = text.str.count_matches("[❤♥💛💙]").cast(pl.Float64)
    if len(stated) and bool(stated.str.contains(HEARTS).all()) and (hearts > 1).any():
        return hearts, ["♥"]
    if len(stated) and bool(stated.str.contains(r"(?i)^stars?[ _-]?(rating[ _-]?)?\d$").all()):
        return text.str.extract(r"(\d)$", 1).cast(pl.Float64), ["★"]
    if len(stated) and bool(stated.str.contains(STARS).all()):
        half = text.str.contains("½").cast(pl.Float64) / 2
        return text.str.count_matches("[★⭐🌟*]").cast(pl.Float64) + half, ["★"]
    if len(stated) and bool(stated.str.contains(r"^\d+ ?½?$").all()):
        half = text.str.contains("½").cast(pl.Float64) / 2
        return as_numbers(text.str.strip_chars_end(" ½")) + half, [""]
    parts = text.str.extract_groups(RATED).struct.unnest()
    if _are_all(parts["number"], text):
        return as_numbers(parts["number"]), parts["unit"].drop_nulls().unique().sort().to_list()
    parts = text.str.extract_groups(WORDED).struct.unnest()
    if _are_all(parts["number"], text):
        pairs = parts.filter(pl.col("number").is_not_null()).unique()
        if pairs.height == pairs["number"].n_unique() and pairs["word"].n_unique() in (
            *(1, pairs.height),  # no words, or one for each number
        ):
            return as_numbers(parts["number"]), [""]
    digits = text.str.extract(r"^([零一二三四五六七八九])(?:颗?星|分)?$", 1)
    if _are_all(digits, text):
        return digits.replace_strict(CHINESE, default=None).cast(pl.Float64), ["星"]
    return None


def _are_all(numbers: pl.Series, text: pl.Series) -> bool:
    """Whether every cell with a value was parsed, and at least one has a value."""
    return numbers.null_count() == text.null_count() < len(text)

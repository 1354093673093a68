"""Name the columns of tables without a header by their cells, in the layouts of published data:
ratings, events with kinds, plays, visits, impressions, and items.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from metarec.data.kinds import Kinds
from metarec.data.names.column_names import AT_HOME, CANONICAL, plain
from metarec.data.sources.rows.impressions import OF_SHOWN

MIN_ROWS = 4
"""Minimum number of rows to name columns by their cells."""
_A_RATING = re.compile(r"(10|\d)([.,][05]0*)?")
"""Pattern of ratings: whole or half numbers up to 10."""
_A_TIME = re.compile(
    r"[3-9]\d{8}|[1-4]\d{9}(\d{3}){0,3}|\d{4}-\d\d-\d\d([ T].*)?"
    r"|\d{1,2}/\d{1,2}/\d{4} \d.*|(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} \d.*"
)
"""Pattern of dates, and of seconds since 1970 (or thousandths and smaller parts) after 1979."""
_ASIN = re.compile(r"B0\w{8}|\d{9}[\dX]")
"""Patterns of Amazon's ids of items and of users; its newer tables have the item first."""
_REVIEWER = re.compile(r"A[0-9A-Z]{9,27}")
"""How Amazon's ids of items and of users look, whose newer tables have the item first."""
_A_NUMBER, _A_DECIMAL = re.compile(r"\d+"), re.compile(r"-?\d+\.\d+")
_AN_ID = re.compile(r"[\w:.@/-]*")
_WORD = re.compile(r"[^\W\d_]+")
MIN_WORDS = 3.0
"""Minimum mean number of words of a title."""
MAX_MISSING = 0.2
"""Maximum share of rows without an id of the item, where rows have its name, too."""
MAX_ACTS = 20
"""Maximum number of distinct kinds."""
_KNOWN = {*AT_HOME, *(plain(name) for names in CANONICAL.values() for name in names)}


def names_by_cells(rows: Sequence[Sequence[str]]) -> list[str] | None:
    """Return the names of the columns of a table without a header; None where its cells do not
    identify them.

    Args:
        rows: the first rows.
    """
    width = len(rows[0]) if rows else 0
    if len(rows) < MIN_ROWS or width < 3 or {len(row) for row in rows} != {width}:
        return None
    columns = [list(column) for column in zip(*rows, strict=True)]
    if any(plain(cell) in _KNOWN for cell in rows[0] if not Kinds.default().known(cell)):
        return None
    readings = (_ratings, _events, _shown, _plays, _visits, _items)
    return next((names for read in readings if (names := read(columns)) is not None), None)


def _ratings(columns: Sequence[list[str]]) -> list[str] | None:
    """Two ids, a rating and an optional time, as in MovieLens, Yahoo and Amazon data."""
    if len(columns) > 4:
        return None
    first, second, ratings, *times = columns
    is_numbered = all(a.isdecimal() and b == f"{int(a) + 1}" for a, b in pairwise(first))
    if "" in (*first, *second) or not _are_ratings(ratings) or is_numbered:
        return None
    if times and not _are_times(times[0]):
        return None
    is_turned = all(map(_ASIN.fullmatch, first)) and all(map(_REVIEWER.fullmatch, second))
    ids = ("item_id", "user_id") if is_turned else ("user_id", "item_id")
    return [*ids, "value", "timestamp"][: len(columns)]


def _events(columns: Sequence[list[str]]) -> list[str] | None:
    """A user, an item, and a kind (`pv`, `buy`) in a later column, as in Taobao and Steam data."""
    acts = [n for n, column in enumerate(columns) if n > 1 and _are_kinds(column)]
    times = [n for n, column in enumerate(columns) if n > 1 and _are_times(column)]
    first, second = columns[:2]
    if len(acts) != 1 or len(times) > 1 or "" in (*first, *second):
        return None
    if len({*second}) < 2 or any(map(_are_times, (first, second))):
        return None
    names = {0: "user_id", 1: "item_id", acts[0]: "kind", **dict.fromkeys(times, "timestamp")}
    return [names.get(n, f"column_{n + 1}") for n in range(len(columns))]


def _shown(columns: Sequence[list[str]]) -> list[str] | None:
    """A user, a time, an optional history of clicks, and impressions (`N1-1 N2-0`), as in the
    Microsoft News Dataset.
    """
    if not all(map(OF_SHOWN.fullmatch, columns[-1])) or " " not in "".join(columns[-1]):
        return None
    times = [n for n, column in enumerate(columns) if _are_times(column)]
    if len(times) != 1 or times[0] == 0:
        return None
    before = {times[0] + 1: "history"} if times[0] + 1 < len(columns) - 1 else {}
    names = {times[0] - 1: "user_id", times[0]: "timestamp", len(columns) - 1: "item_id", **before}
    return [names.get(n, f"column_{n + 1}") for n in range(len(columns))]


def _plays(columns: Sequence[list[str]]) -> list[str] | None:
    """A user, a time, and pairs of id and name, the last of which are the item's, as in Last.fm
    data (user, time, artist, track); or an id of the item among other columns, as in Yoochoose and
    Gowalla data.
    """
    users, times, *others = columns
    if not _are_times(times) or not _are_ids(users) or all(map(_A_NUMBER.fullmatch, times)):
        return None
    further = [f"column_{n + 3}" for n in range(len(others))]
    pairs = list(zip(others[::2], others[1::2], strict=False))
    is_named = all(all(map(_AN_ID.fullmatch, i)) and _n_words(names) >= 1 for i, names in pairs)
    if is_named and pairs and len(others) % 2 == 0:
        missing = sum(not cell for cell in pairs[-1][0])
        if missing > MAX_MISSING * len(users):  # tracks are known by their names alone
            return ["user_id", "timestamp", *further[:-1], "item_id"]
        return ["user_id", "timestamp", *further[:-2], "item_id", "title"]
    ids = [n for n, cells in enumerate(others) if _are_ids(cells) and not _are_decimals(cells)]
    if not ids or "" in others[ids[0]] or len({*others[ids[0]]}) == len(users):
        return None
    names_by_place = {ids[0]: "item_id", **_degrees(others)}
    return [
        "user_id",
        "timestamp",
        *(names_by_place.get(n, name) for n, name in enumerate(further)),
    ]


def _visits(columns: Sequence[list[str]]) -> list[str] | None:
    """A user, a place, and in later columns its coordinates and a time, as in Foursquare data."""
    times = [n for n, column in enumerate(columns) if n > 1 and _are_times(column)]
    degrees = _degrees(columns)
    if len(times) != 1 or len(degrees) != 2 or not all(map(_are_ids, columns[:2])):
        return None
    if "" in (*columns[0], *columns[1]) or any(n in degrees for n in (0, 1)):
        return None
    names = {0: "user_id", 1: "item_id", times[0]: "timestamp", **degrees}
    return [names.get(n, f"column_{n + 1}") for n in range(len(columns))]


def _degrees(columns: Sequence[list[str]]) -> dict[int, str]:
    """Return the positions of latitude and longitude, if exactly one pair of adjacent columns of
    decimals can be coordinates in degrees; else empty.
    """
    pairs = [n for n in range(len(columns) - 1) if all(map(_are_decimals, columns[n : n + 2]))]
    if len(pairs) != 1 or any(abs(float(cell)) > 90 for cell in columns[pairs[0]]):
        return {}
    if any(abs(float(cell)) > 180 for cell in columns[pairs[0] + 1]):
        return {}
    return {pairs[0]: "latitude", pairs[0] + 1: "longitude"}


def _are_decimals(cells: Sequence[str]) -> bool:
    return all(map(_A_DECIMAL.fullmatch, cells))


def _items(columns: Sequence[list[str]]) -> list[str] | None:
    """A distinct id per row, an optional category and subcategory, a title and an optional text, as
    the news in the Microsoft News Dataset.
    """
    ids, *others = columns
    forms = {re.sub(r"\d+", "9", cell) for cell in ids}
    if len({*ids}) < len(ids) or not _are_ids(ids) or len(forms) > 1 or "9" not in "".join(forms):
        return None
    texts = [n for n, cells in enumerate(others, start=1) if _n_words(cells) >= MIN_WORDS]
    if not texts or len(_WORD.findall(columns[texts[0]][0])) < MIN_WORDS:
        return None
    tags = [n for n in range(1, texts[0]) if len({*columns[n]}) < len(ids)]
    names = {
        0: "item_id",
        **{n: "subcategory" for n in tags[1:2]},
        **{n: "categories" for n in tags[:1]},
    }
    names |= dict(zip(texts, ("title", "text"), strict=False))
    return [names.get(n, f"column_{n + 1}") for n in range(len(columns))]


def _n_words(cells: Sequence[str]) -> float:
    """Return the mean number of words of a cell; 0 for addresses and objects."""
    if any("://" in cell or cell[:1] in ("[", "{") for cell in cells):
        return 0.0
    return sum(len(_WORD.findall(cell)) for cell in cells) / len(cells)


def _are_kinds(cells: Sequence[str]) -> bool:
    """Whether all cells are known kinds, and there are at least two."""
    names, kinds = {*cells}, Kinds.default()
    return 2 <= len(names) <= MAX_ACTS and all(_WORD.search(c) and kinds.known(c) for c in names)


def _are_ratings(cells: Sequence[str]) -> bool:
    """Whether all cells are whole or half numbers up to 10, and not all the same."""
    return len({*cells}) > 1 and all(map(_A_RATING.fullmatch, cells))


def _are_times(cells: Sequence[str]) -> bool:
    return all(map(_A_TIME.fullmatch, cells))


def _are_ids(cells: Sequence[str]) -> bool:
    """Whether no cell has spaces or other characters that ids lack, and some cell is not empty."""
    return any(cells) and all(map(_AN_ID.fullmatch, cells))

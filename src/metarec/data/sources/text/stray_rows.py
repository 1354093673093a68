"""Remove rows and columns of a text table that are no data: repeated headers, sums, empty rows, row
numbers, and a second table below. Rows that end too early are counted.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from metarec.data.events.rows import EXAMPLES, Place, RawTable
from metarec.data.findings import Finding
from metarec.data.names.column_names import SYNONYMS, plain

MAX_HELD = 1 << 16
"""Maximum number of bytes in which a closing quote is searched."""
LAST = 3
"""Number of rows at the end of a table that may be sums."""
SUMS = (
    "total|totals|grand total|subtotal|sub total|sum|average|mean|summe|gesamt|gesamtsumme|"
    "insgesamt|durchschnitt|total général|somme|moyenne|suma|promedio|totale|totaal|totalt|"
    "toplam|ortalama|razem|итого|всего|среднее|"
    "合计|总计|小计|总数|平均|平均值|合計|総計|소계|합계"
)
"""First cell of a row of sums, in lower case."""
SUBTOTALS = (
    r"(?i)^(sub[- ]?totals?|zwischensumme|sous[- ]total|subtotale|subtotaal|ara toplam|"
    r"小计|小計|소계)([\s:：]|$)|.[\s:](sub[- ]?total|total|итого|合计|小计)s?:?$"
)
"""Pattern of the first cell of a row of sums within a table: `Subtotal 7`, `Anna Total`."""


_KNOWN_IDS = frozenset(
    plain(name) for key in ("user_id", "item_id") for name in (key, *SYNONYMS[key])
)


def without_strays(table: pl.DataFrame, names: Sequence[str], place: Place) -> RawTable:
    """Remove repeated headers, as in concatenated files, sums at the end, and empty rows. Return
    the table, its places and findings.
    """
    is_names = table.select(_are_names(table.columns, names)).to_series()
    is_sum = _are_sums(table)
    is_part = _are_subtotals(table, is_sum)
    findings = []
    if is_names.any():
        why = f"the line of names stands again within {place.name}"
        rows = int(is_names.sum())
        findings.append(Finding(rule="names_again", rows=rows, action="removed", why=why))
    if is_sum.any():
        first_cell = table.filter(is_sum)[table.columns[0]][0]
        why = f"{first_cell!r} at the end of {place.name} is a sum of the rows above"
        rows = int(is_sum.sum())
        findings.append(Finding(rule="sums", rows=rows, action="removed", why=why))
    if is_part.any():
        first_cell = table.filter(is_part)[table.columns[0]][0]
        why = f"{first_cell!r} within {place.name} is a sum of other rows"
        rows = int(is_part.sum())
        findings.append(Finding(rule="sums", rows=rows, action="removed", why=why))
    is_empty = table.select(pl.all_horizontal(pl.all().is_null())).to_series()
    if is_empty.any():
        examples = [f"{place.at(n)} of {place.name}" for n in is_empty.arg_true().head(EXAMPLES)]
        why, rows = "no cell of the row says anything", int(is_empty.sum())
        findings.append(
            Finding(rule="empty_rows", rows=rows, action="removed", why=why, examples=examples)
        )
    if not findings:
        return table, place, []
    is_row = ~(is_names | is_sum | is_part | is_empty)
    kept = is_row.arg_true().cast(pl.Int64)
    numbers = kept if place.rows is None else place.rows.gather(kept)
    return table.filter(is_row), replace(place, rows=numbers), findings


def without_another(table: pl.DataFrame, names: Sequence[str], place: Place) -> RawTable:
    """Remove a second table below the first, which begins with a header of other names. Return the
    table, its places and findings.
    """
    first_table_names = {*_KNOWN_IDS, *map(plain, names)}
    first = table[table.columns[0]].str.to_lowercase().str.replace_all(r"[\W_]+", "")
    for at in first.is_in([*_KNOWN_IDS]).fill_null(False).arg_true():
        cells = [cell for cell in table.row(at) if cell is not None]
        is_named = all(re.fullmatch(r"[^\W\d][\w .#-]*", cell) for cell in cells)
        if len(cells) < 2 or not is_named or {*map(plain, cells)} <= first_table_names:
            continue
        why = (
            f"what stands below {', '.join(cells[:3])!r} in {place.name} is another table, and "
            f"not read; put it into a file of its own"
        )
        rows = table.height - at
        numbers = None if place.rows is None else place.rows.head(at)
        note = Finding(rule="columns", rows=rows, action="removed", why=why)
        return table.head(at), replace(place, rows=numbers), [note]
    return table, place, []


def has_strays(table: pl.LazyFrame) -> bool:
    """Whether a table has repeated headers or sums at its end."""
    names = table.collect_schema().names()
    again = table.select(_are_names(names, [name.strip() for name in names]).any()).collect().item()
    if again or _are_sums(table.tail(LAST).collect()).any():
        return True
    return bool(table.select(pl.col(names[0]).str.contains(SUBTOTALS).any()).collect().item())


def _are_names(columns: Sequence[str], names: Sequence[str]) -> pl.Expr:
    """Expression that is true where every cell of a row is the name of its column."""
    pairs = zip(columns, names, strict=True)
    return pl.all_horizontal([pl.col(c).eq_missing(name or None) for c, name in pairs])


def _are_subtotals(table: pl.DataFrame, is_sum: pl.Series) -> pl.Series:
    """Mask of further rows than `is_sum` that begin with a word for a sum and leave a cell blank
    that all other rows state; all False unless there are such rows.
    """
    nothing = pl.Series([False] * table.height, dtype=pl.Boolean)
    if not table.width:
        return nothing
    says = table[table.columns[0]].str.strip_chars().str.contains(SUBTOTALS).fill_null(False)
    says &= ~is_sum
    if not says.any() or says.all():
        return nothing
    blank = table.with_columns(pl.all().is_null())
    full = [c for c in table.columns if not blank.filter(~says & ~is_sum)[c].any()]
    lacking = blank.select(pl.any_horizontal(pl.col(full))).to_series() if full else nothing
    return says & lacking


def _are_sums(table: pl.DataFrame) -> pl.Series:
    """Mask of the last rows that begin with a word for a sum; all False where an earlier row does
    too.
    """
    nothing = pl.Series([False] * table.height, dtype=pl.Boolean)
    if not table.width:
        return nothing
    first = table[table.columns[0]].str.strip_chars(" :=").str.to_lowercase()
    says = first.str.contains(f"^(?:{SUMS})$").fill_null(False)
    is_last = pl.Series(range(table.height), dtype=pl.Int64) >= table.height - LAST
    return nothing if (says & ~is_last).any() else says & is_last


SHOWN = 40
"""Number of characters of a row shown in a message."""


def short_rows(
    table: pl.LazyFrame, source: Path | bytes, separator: str, has_names: bool, name: str
) -> list[Finding]:
    """Return a finding on rows with fewer cells than names; missing cells are read as empty."""
    names = table.collect_schema().names()
    if not names or not table.select(pl.col(names[-1]).null_count()).collect().item():
        return []
    least, cut = len(names) - 1, separator.encode()
    count, examples = 0, list[str]()
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as lines:
        rows = (row for row in _rows(lines) if row.strip())
        for row in itertools.islice(rows, int(has_names), None):
            if (cuts := row.count(cut)) < least:
                count += 1
                if len(examples) < EXAMPLES:
                    start = row.decode(errors="replace").strip()[:SHOWN]
                    examples.append(f"{cuts + 1} in {start!r}")
    why = (
        f"fewer cells than the {len(names)} names of {name}; the rest was read as empty, so what "
        f"lacks a cell in its middle is shifted"
    )
    finding = Finding(rule="short_rows", rows=count, action="noted", why=why, examples=examples)
    return [finding] if count else []


def _rows(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Return the rows of a text without quoted parts; lines within a quoted cell are joined."""
    held = b""
    for line in lines:
        held += line
        if held.count(b'"') % 2 and len(held) < MAX_HELD:
            continue
        yield re.sub(rb'"[^"]*"', b"", held) if b'"' in held else held
        held = b""
    yield held


def unnamed_columns(table: pl.LazyFrame) -> list[str]:
    """Return the columns without a name that hold a single value, nothing, or row numbers."""
    unnamed = []
    for name in table.collect_schema().names():
        if re.fullmatch(r"(_duplicated_\d+|_\d+|Unnamed: \d+)?", name) is None:
            continue
        column = table.select(name).collect().to_series()
        numbers = column.cast(pl.Int64, strict=False)
        counts = len(column) > 1 and bool((numbers.diff().drop_nulls() == 1).all())
        if column.n_unique() == 1 or (counts and not numbers.null_count()):
            unnamed.append(name)
    return unnamed

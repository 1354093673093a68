"""Set one text per item in columns that describe items but for some events: a typing error, other
case, a changed title.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from metarec.data.cells.dates import as_seconds
from metarec.data.cells.parsing import BLANK, as_numbers
from metarec.data.findings import Finding
from metarec.data.sources.columns.item_and_user_columns import (
    LOOKED_AT,
    MIN_OWNERS,
    MIN_REPEATED,
    free_columns,
)

AGREED, NOTED = 0.95, 0.9
"""Minimum shares of events that agree with most events of their item: from the first on, text
describes the item, from the second on there is a finding. The rate at which two events of an item
differ, relative to any two events, has a corresponding limit, since context that rarely varies
agrees everywhere.
"""
NEWEST = 2
"""Number of last events of an item that must agree for its text to have changed."""
MIN_SAMPLE = 100
"""Minimum number of events in a sample for a column to be ruled out by it."""
TEXTS = (pl.Utf8, pl.Categorical, pl.Enum)


def nearly_of_items(
    events: pl.DataFrame, place: str
) -> tuple[pl.DataFrame, list[str], list[Finding]]:
    """Set one text per item in columns of text on which nearly all events of an item agree. Return
    events, the names of these columns, and findings. Columns that describe users too stay
    unchanged, and so do numbers and dates, such as a paid price, with a finding.
    """
    columns, findings = list[str](), list[Finding]()
    for column in free_columns(events):
        is_list = events.schema[column].is_nested()
        agreement = None if is_list else _agreement(events, "item_id", column)
        if agreement is None or _agreement(events, "user_id", column) is not None:
            continue
        is_text = events.schema[column] in TEXTS and not _is_number_or_date(events[column])
        if is_text and agreement.reaches(AGREED):
            events = events.with_columns(agreement.one_each(events))
            columns.append(column)
            findings.append(agreement.taken(place))
        elif is_text or agreement.reaches(AGREED):
            findings.append(agreement.kept(place))
    return events, columns, findings


def _is_number_or_date(column: pl.Series) -> bool:
    """Whether nearly all first cells are numbers or dates."""
    text = column.cast(pl.Utf8).drop_nulls().head(LOOKED_AT)
    read = max(len(parsed.drop_nulls()) for parsed in (as_numbers(text), as_seconds(text)))
    return read >= AGREED * len(text)


@dataclass(frozen=True, kw_only=True)
class _Agreement:
    """How far the events of an item agree in a column."""

    column: str
    share: float
    """Share of events with the most frequent text of their item, among items with several
    events.
    """
    apart: float
    """Rate at which two events of one item differ, relative to any two events."""
    cells: pl.DataFrame
    """`item_id`, the text (`given`), its normalized form (`plain`), and `timestamp`."""

    def reaches(self, share: float) -> bool:
        """Whether the share of agreement is reached, and not only because all events agree."""
        return self.share >= share and self.apart <= 2.0 * (1.0 - share)

    def one_each(self, events: pl.DataFrame) -> pl.Series:
        """Return the column with one text per item."""
        chosen = events.select("item_id").join(
            self._chosen(), on="item_id", how="left", maintain_order="left"
        )["chosen"]
        stated = events[self.column].is_not_null()
        return chosen.zip_with(stated, pl.Series([None], dtype=pl.Utf8)).alias(self.column)

    def _chosen(self) -> pl.DataFrame:
        """Return the text of each item: what its newest events agree on, else the most frequent, in
        its most frequent spelling.
        """
        cells = self.cells.sort("timestamp", nulls_last=False, maintain_order=True)
        ends = pl.col("plain").tail(NEWEST)
        newest = cells.group_by("item_id").agg(ends.n_unique().alias("ends"), ends.last())
        changed = newest.filter(pl.col("ends") == 1).select("item_id", pl.col("plain").alias("new"))
        kept = _most_frequent(cells, "plain").join(changed, on="item_id", how="left")
        kept = kept.select("item_id", pl.coalesce("new", "plain").alias("plain"))
        agreeing = cells.join(kept, on=["item_id", "plain"], how="semi", maintain_order="left")
        return _most_frequent(agreeing, "given").rename({"given": "chosen"})

    def taken(self, place: str) -> Finding:
        """Return the finding on a column that is read as the items'."""
        events = self.cells.join(self._chosen(), on="item_id", maintain_order="left")
        odd = events.filter(pl.col("given") != pl.col("chosen"))
        why = (
            f"{odd.height:,} of {events.height:,} events of {place} name another "
            f"{self.column!r} of their item; what its newest events agree on is taken, else what "
            f"most name, and the column is read as one of items"
        )
        first = odd.select("item_id", "given", "chosen").unique(maintain_order=True).head(3)
        examples = [f"{item}: {given!r} -> {chosen!r}" for item, given, chosen in first.rows()]
        return Finding(
            rule="columns",
            rows=odd.height,
            action="noted",
            why=why,
            examples=examples,
            table="items",
        )

    def kept(self, place: str) -> Finding:
        """Return the finding on a column that may describe items."""
        why = (
            f"column {self.column!r} of {place} says the same at {self.share:.0%} of the events of "
            f"an item and is kept as context; if it describes items, give it in a table of items "
            f"(items.csv)"
        )
        return Finding(rule="columns", rows=0, action="noted", why=why)


def _most_frequent(cells: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return the most frequent cell of each item; of several, the last."""
    counts = cells.with_row_index("row").group_by("item_id", column).agg(pl.len(), pl.max("row"))
    return counts.sort("len", "row").group_by("item_id").agg(pl.col(column).last())


def _agreement(events: pl.DataFrame, key: str, column: str) -> _Agreement | None:
    """Return the agreement in a column; None where it is too low, or too few events show it."""
    cells = _stated_cells(events.head(LOOKED_AT), key, column)
    if cells.height >= MIN_SAMPLE and _share(cells, key) < NOTED:
        return None
    stated = _stated_cells(events, key, column) if events.height > LOOKED_AT else cells
    if stated["plain"].n_unique() < 2:  # a constant describes no item
        return None
    several = stated.filter(pl.len().over(key) > 1)
    if several[key].n_unique() < MIN_OWNERS or several.height < MIN_REPEATED * stated.height:
        return None
    apart = _differing(several, [key]) / max(_differing(several, []), 1e-9)
    agreement = _Agreement(column=column, share=_share(several, key), apart=apart, cells=stated)
    return agreement if agreement.reaches(NOTED) else None


def _stated_cells(events: pl.DataFrame, key: str, column: str) -> pl.DataFrame:
    """Return the stated cells of a column, normalized: without case and surplus spaces."""
    time = pl.col("timestamp") if "timestamp" in events.columns else pl.lit(0.0)
    stated = events.select(key, pl.col(column).cast(pl.Utf8).alias("given"), timestamp=time)
    plain = pl.col("given").str.normalize("NFKC").str.strip_chars(BLANK).str.to_lowercase()
    return stated.drop_nulls([key, "given"]).with_columns(
        plain.str.replace_all(r"\s+", " ").alias("plain")
    )


def _share(cells: pl.DataFrame, key: str) -> float:
    """Return the share of events with the most frequent cell of their item (or user)."""
    counts = cells.group_by(key, "plain").len().group_by(key).agg(pl.col("len").max())
    return int(counts["len"].sum()) / max(cells.height, 1)


def _differing(cells: pl.DataFrame, keys: list[str]) -> float:
    """Return the rate at which two events of one item, or any two events without keys, differ."""
    counts = cells.with_columns(pl.lit(0).alias("all")).group_by(*keys, "all", "plain").len()
    pairs = counts.group_by(*keys, "all").agg(
        pl.col("len").sum().alias("events"),
        (pl.col("len") * (pl.col("len") - 1)).cast(pl.Float64).sum().alias("same"),
    )
    events = pairs["events"].cast(pl.Float64)
    same = pairs["same"] / (events * (events - 1)).clip(1.0)
    return 1.0 - float((same * events).sum()) / max(float(events.sum()), 1.0)

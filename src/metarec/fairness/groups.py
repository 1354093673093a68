"""Groups of users and groups of items to compare.

Users are grouped by a profile attribute (numbers cut into bands) or by activity; items by
popularity, by provider, by category. A group is a label; users and items without one are labeled
("not stated"), not dropped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput, Catalog, Vocabulary

NOT_STATED = "not stated"
"""Label of users and items without a value."""
ACTIVITY = "activity"
"""Name of the grouping of users by their number of events."""
MAX_LABELS = 12
"""Numbers with more distinct values than this are cut into `BANDS` bands of about equal size."""
BANDS = 4
SECONDS = (315_532_800.0, 4_102_444_800.0)
"""The years 1980 to 2100, in seconds since 1970."""
LEADING = re.compile(r"\s*(under|below|less than|<)?\s*(-?\d+(?:\.\d+)?)", re.IGNORECASE)
"""Pattern of the number that a label starts with."""
POPULAR_SHARE = (0.2, 0.8)
"""Popular items receive the first fifth of all events, rare items the last fifth (after
Abdollahpouri et al. 2019).
"""


@dataclass(frozen=True, kw_only=True)
class Groups:
    """One grouping of users (or items): a label for each, in their order."""

    name: str
    labels: np.ndarray
    """[B] label of each user or item."""
    order: tuple[str, ...] = ()
    """Labels with an order of their own; the others follow by name."""

    @property
    def sizes(self) -> dict[str, int]:
        """Label -> number of users or items: ordered labels first, then by their leading number or
        name, `not stated` last.
        """
        counts = Counter(self.labels.tolist())
        ordered = [label for label in self.order if label in counts]
        others = sorted(
            set(counts) - set(ordered), key=lambda text: (text == NOT_STATED, _number_first(text))
        )
        return {label: counts[label] for label in ordered + others}

    def mask(self, label: str) -> np.ndarray:
        """Return bool [B]: the members of `label`."""
        return np.asarray(self.labels == label)


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """A rule that labels users by an attribute: learned once, then applied to any users."""

    name: str
    starts: tuple[float, ...] = ()
    """Lower end of each band of a number with many values; empty if every value is a group of its
    own.
    """
    bands: tuple[str, ...] = ()
    """Label of each band."""

    @classmethod
    def of(
        cls,
        name: str,
        values: Sequence[Any],
        *,
        bands: int = BANDS,
        form: str = "{}",
        most_labels: int = MAX_LABELS,
    ) -> Grouping:
        """Learn the rule: numbers with more than `most_labels` distinct values are cut into bands
        of about equal size; equal numbers share a band.
        """
        stated = [value for value in values if value is not None]
        if not _are_numbers(stated) or len(set(stated)) <= most_labels:
            return cls(name=name)
        ordered = np.sort(np.array(stated, dtype=np.float64))
        starts = np.unique(ordered[np.arange(bands) * len(ordered) // bands])
        ends = [ordered[np.searchsorted(ordered, nxt) - 1] for nxt in [*starts[1:], np.inf]]
        parse = _day if are_times(stated) else _number
        names = [
            form.format(parse(start) if start == end else f"{parse(start)} to {parse(end)}")
            for start, end in zip(starts, ends, strict=True)
        ]
        return cls(name=name, starts=tuple(starts.tolist()), bands=tuple(names))

    def labels(self, values: Sequence[Any]) -> np.ndarray:
        """Return [B] labels; `not stated` for None, and for non-numbers where numbers are cut into
        bands.
        """
        if self.starts:
            return np.array([self._band(value) for value in values], dtype=object).astype(str)
        return np.array(
            [
                NOT_STATED
                if value is None
                else f"{value:g}"
                if _are_numbers([value])
                else str(value)
                for value in values
            ],
            dtype=object,
        ).astype(str)

    def _band(self, value: Any) -> str:
        if value is None or not _are_numbers([value]):
            return NOT_STATED
        return self.bands[max(0, int(np.searchsorted(self.starts, value, side="right")) - 1)]


def are_times(values: Sequence[Any]) -> bool:
    """Return whether these numbers look like times in seconds since 1970: all of them between 1980
    and 2100.
    """
    return (
        bool(values)
        and _are_numbers(values)
        and min(values) > SECONDS[0]
        and max(values) < SECONDS[1]
    )


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%d}"


def _number(value: float) -> str:
    """Return a number as short text, without an exponent: integers exactly, others with 4
    digits.
    """
    return f"{int(value)}" if value == int(value) else f"{value:.4g}"


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def group_users(cold_users: Sequence[ColdUser], by: str) -> Groups:
    """Group users by a profile attribute, or by `activity` (their number of events, in thirds).

    Raises:
        BadInput: if no user states the attribute.
    """
    if by == ACTIVITY:
        return group_activity([user.n_items + len(user.query) for user in cold_users])
    return group_profiles([user.profile for user in cold_users], by)


def group_activity(events: Sequence[int]) -> Groups:
    """Group users into thirds by their number of events."""
    return Groups(
        name=ACTIVITY,
        labels=Grouping.of(ACTIVITY, events, bands=3, form="{} events", most_labels=0).labels(
            events
        ),
    )


def group_profiles(
    profiles: Sequence[Mapping[str, Any]], by: str, grouping: Grouping | None = None
) -> Groups:
    """Group users by an attribute of their profiles.

    Args:
        grouping: the rule to group by; None learns it from these profiles.

    Raises:
        BadInput: if no user states the attribute.
    """
    return Groups(
        name=by,
        labels=(grouping or grouping_of(profiles, by)).labels(
            [profile.get(by) for profile in profiles]
        ),
    )


def grouping_of(profiles: Sequence[Mapping[str, Any]], by: str) -> Grouping:
    """Return the rule that groups these users by an attribute, to apply to other users.

    Raises:
        BadInput: if no user states the attribute.
    """
    values = [profile.get(by) for profile in profiles]
    if not any(value is not None for value in values):
        check_attribute(sorted({name for profile in profiles for name in profile} - {by}), by)
    return Grouping.of(by, values)


def group_items_by_popularity(train: Dataset, vocabulary: Vocabulary) -> Groups:
    """Group items into popular, middle and rare ones, by the cumulative share of training events
    they receive.
    """
    counts = np.zeros(len(vocabulary))
    seen = train.interactions.frame.group_by("item_id").len()
    columns = vocabulary.indexes(seen["item_id"])
    counts[columns[columns >= 0]] = seen["len"].to_numpy()[columns >= 0]
    order = np.argsort(-counts, kind="stable")
    before = np.empty(len(counts))
    before[order] = (np.cumsum(counts[order]) - counts[order]) / max(1.0, counts.sum())
    labels = np.select(
        [before < POPULAR_SHARE[0], before < POPULAR_SHARE[1]], ["popular", "middle"], "rare"
    )
    return Groups(name="popularity", labels=labels, order=("popular", "middle", "rare"))


def check_item_column(catalog: Catalog, by: str) -> None:
    """Refuse a column that items do not have.

    Raises:
        BadInput: if there is no such column.
    """
    if by not in catalog.frame.columns:
        raise BadInput(
            f"items have no column {by!r} to group by; there are: "
            f"{', '.join(catalog.frame.columns)}, or popularity"
        )


def check_attribute(attributes: Sequence[str], by: str) -> None:
    """Refuse an attribute that users cannot be grouped by.

    Raises:
        BadInput: if it is neither in `attributes` nor `activity`.
    """
    if by not in (*attributes, ACTIVITY):
        raise BadInput(
            f"no user states {by!r}, so users cannot be grouped by it; "
            f"there are: {', '.join([*attributes, ACTIVITY])}"
        )


def group_items(
    catalog: Catalog, vocabulary: Vocabulary, by: str, *, max_groups: int = 20
) -> Groups:
    """Group items by a column of the catalog (a provider, a brand, a kind): the `max_groups` most
    frequent values, and the rest as `others`.

    Raises:
        BadInput: if the catalog has no such column.
    """
    check_item_column(catalog, by)
    values = dict(
        zip(
            catalog.frame["item_id"].to_list(),
            catalog.frame[by].cast(pl.Utf8).to_list(),
            strict=True,
        )
    )
    labels = [values.get(item_id) or NOT_STATED for item_id in vocabulary.ids]
    kept = {label for label, _ in Counter(labels).most_common(max_groups)}
    return Groups(
        name=by, labels=np.array([label if label in kept else "others" for label in labels])
    )


def category_matrix(
    catalog: Catalog, vocabulary: Vocabulary, column: str | None = None
) -> tuple[np.ndarray, list[str]]:
    """Return the category shares [N, G] of each item (rows sum to 1, or 0 for an item without
    categories), and the names of the categories.

    Args:
        column: the column of categories; None takes the first of categories, genres, tags,
            category, genre, department.

    Raises:
        BadInput: if there is no such column.
    """
    usual = ("categories", "genres", "tags", "category", "genre", "department")
    column = column or next((c for c in usual if c in catalog.frame.columns), None)
    if column is None or column not in catalog.frame.columns:
        raise BadInput(
            f"items have no column of categories (looked for {column or ', '.join(usual)}); name "
            f"one of: "
            f"{', '.join(catalog.frame.columns)}"
        )
    cells = catalog.frame.select("item_id", pl.col(column).alias("tag"))
    if not isinstance(cells.schema["tag"], pl.List):
        cells = cells.with_columns(
            pl.col("tag").cast(pl.Utf8).str.replace_all(r"\s*[|,;]\s*", "|").str.split("|")
        )
    pairs = (
        cells.explode("tag", empty_as_null=True)
        .drop_nulls("tag")
        .filter(pl.col("tag") != "")
        .unique(maintain_order=True)
    )
    names = sorted(pairs["tag"].unique().to_list())
    shares = np.zeros((len(vocabulary), len(names)))
    rows, columns = vocabulary.indexes(pairs["item_id"]), Vocabulary(names).indexes(pairs["tag"])
    shares[rows[rows >= 0], columns[rows >= 0]] = 1.0
    return shares / np.maximum(shares.sum(axis=1, keepdims=True), 1.0), names


def _number_first(text: str) -> tuple[float, str]:
    """Return a sort key: the number a label starts with ("15-24K"; "Under 15K" comes just before
    15), then the label.
    """
    number = LEADING.match(text)
    return (
        (float(number[2]) - (0.5 if number[1] else 0.0), text) if number else (float("inf"), text)
    )

"""Cleaning rules on whole events: each returns the rows to remove and the reason; none changes a
table.

A rule sees `Coded` events (whole numbers instead of ids, sorted by user, then time, then item) and
yields `RuleResult`s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import polars as pl

from metarec.data.cleaning_config import CleaningConfig
from metarec.data.dataset import Dataset
from metarec.data.events.times import MIN_EPOCH
from metarec.data.frames import id_codes, id_order
from metarec.data.kinds import Kinds

SCALES = (
    (0, 1),
    (-1, 1),
    (0, 2),
    (1, 5),
    (0.5, 5),
    (0, 5),
    (1, 7),
    (1, 10),
    (0, 10),
    (-5, 5),
    (-10, 10),
    (0, 100),
)
"""Recognized rating scales in order of trial. The narrowest go first: by a wider one, a stray 5
among ratings from 0 to 1 would be the best rating there is, and nobody would like anything.
"""
STRAY_SHARE = 0.005
CODES = (99.0, 999.0, 9999.0, 99999.0, -1.0, -9.0, -99.0, -999.0, -9999.0)
"""Numbers that programs write for "not rated"."""
SURVEY = (66.0, 77.0, 88.0, 97.0, 98.0, 777.0, 888.0, 998.0)
DIGITS = (7.0, 8.0, 9.0)
"""Numbers that surveys write for "not rated", as codes only where they occur `MIN_CODED` times or
more; one digit also only where every rating of the scale below it occurs.
"""
MIN_CODED, MIN_FULL = 2, 20
"""Minimum number of ratings with a survey's code, and of ratings that show a whole scale."""


@dataclass(frozen=True)
class Coded:
    """Events as numbers: columns `row` (in the dataset), `user`, `item`, `kind` (codes), `time`
    (seconds), `value`.
    """

    frame: pl.DataFrame
    kinds: list[str]
    table: Kinds
    """Signs and strengths of kinds."""
    has_values: bool
    has_time: bool
    grain: float
    """Resolution of the clock in seconds: 1, 60, 3600, 86,400; infinity without times or where
    times are not seconds since 1970.
    """

    def of_kinds(self, names: tuple[str, ...]) -> pl.Series:
        """Mask of events of these kinds."""
        keys = {self.table.key(name) for name in names}
        codes = [code for code, kind in enumerate(self.kinds) if self.table.key(kind) in keys]
        return self.frame["kind"].is_in(codes)

    def rows(self, mask: pl.Series) -> pl.Series:
        """Row numbers where a mask is true."""
        return self.frame["row"].filter(mask)

    def without(self, rows: pl.Series) -> Coded:
        """These events without the given row numbers."""
        return replace(self, frame=self.frame.filter(~self.frame["row"].is_in(rows.implode())))


@dataclass(frozen=True)
class RuleResult:
    """Rows that a rule removes, and the reason."""

    rows: pl.Series
    """Numbers (`Coded.frame["row"]`) of the removed rows."""
    why: str


def without_users(events: Coded, data: Dataset, config: CleaningConfig) -> Iterator[RuleResult]:
    """Events of the users named in `config.without_users`."""
    if config.without_users:
        users = data.interactions.frame["user_id"].gather(events.frame["row"])
        gone = users.is_in(list(config.without_users))
        yield RuleResult(events.rows(gone), "users left out by name")


def coded(data: Dataset) -> Coded:
    """Replace users, items and kinds by codes; a user's events must be adjacent."""
    events = data.interactions.frame
    kinds = pl.DataFrame({"kind": events["kind"].unique()}).sort(id_order("kind"))["kind"]
    frame = pl.DataFrame(
        {
            "row": pl.int_range(events.height, dtype=pl.UInt32, eager=True),
            "user": events["user_id"].rle_id(),
            "item": id_codes(events["item_id"]),
            "kind": id_codes(events["kind"]),
            "time": events["timestamp"],
            "value": data.interactions.acts()["rating"]
            if data.interactions.has_values
            else events["value"],
        }
    )
    grain = clock_grain(events["timestamp"]) if data.interactions.has_time else float("inf")
    return Coded(
        frame,
        kinds.to_list(),
        data.interactions.kinds,
        data.interactions.has_values,
        data.interactions.has_time,
        grain,
    )


def clock_grain(times: pl.Series) -> float:
    """Return the coarsest of day, hour and minute of which at least 95% of the times are whole
    multiples, in seconds; else 1; infinity where times are not seconds since 1970.
    """
    median = times.median()
    # Polars types median() as any literal
    if median is None or float(median) < MIN_EPOCH:  # type: ignore[arg-type]
        return float("inf")
    for grain in (86_400.0, 3600.0, 60.0):
        if float((times % grain == 0).mean()) >= 0.95:  # type: ignore[arg-type]  # as above
            return grain
    return 1.0


def stray_values(events: Coded, config: CleaningConfig) -> Iterator[RuleResult]:
    """Ratings outside the configured scale, or outside the scale found in the other ratings."""
    if not events.has_values:
        return
    values = events.frame["value"]
    if config.value_scale is not None:
        low, high = config.value_scale
    elif config.stray_values:
        codes = _codes(values)
        scale = values.filter(~values.is_in(codes))
        for code in codes:
            yield RuleResult(events.rows((values == code).fill_null(False)), _of_code(scale, code))
        rest = (~values.is_in(codes)).fill_null(True)
        events = replace(events, frame=events.frame.filter(rest))
        values = events.frame["value"]
        low, high = rating_scale(values)
    else:
        return
    yield RuleResult(
        events.rows(((values < low) | (values > high)).fill_null(False)),
        f"the rating lies outside the scale {low:g} to {high:g}",
    )


def _codes(values: pl.Series) -> list[float]:
    """Return codes for "not rated", such as 99 or -1, outside the scale of all other ratings."""
    known = values.drop_nulls()
    for codes in (CODES, (*CODES, *SURVEY), (*CODES, *SURVEY, *DIGITS)):
        frequent = [c for c in codes if int((known == c).sum()) >= (1 if c in CODES else MIN_CODED)]
        scale = known.filter(~known.is_in(frequent))
        if not frequent or scale.n_unique() < 2:
            continue
        low, high = _ends(scale)
        top = rating_scale(scale)[1]
        over = {c: high if c in DIGITS else top for c in frequent}
        apart = [c for c in frequent if (c > over[c] if c > 0 else c < low - 1)]
        is_full = len(scale) >= MIN_FULL and scale.n_unique() == high and low == 1
        end = high  # that of the scale: a 7 goes on from a 6, and no 9 does without an 8
        while end + 1 in frequent:
            end += 1
        apart = [c for c in apart if c not in DIGITS or (is_full and c > end + 1)]
        if apart and top < float("inf"):
            return apart
    return []


def _of_code(scale: pl.Series, code: float) -> str:
    low, high = _ends(scale)
    return (
        f"ratings of {code:g} lie off the scale that the others keep to ({low:g} to {high:g}); "
        f"in [cleaning], not_rated = [{code:g}] says that such rows are no events, "
        f"implicit_values = [{code:g}] that they are events without a rating, and value_scale "
        f"that it is a rating after all"
    )


def _ends(values: pl.Series) -> tuple[float, float]:
    # Polars types min() as any literal
    return float(values.min()), float(values.max())  # type: ignore[arg-type]


def rating_scale(values: pl.Series) -> tuple[float, float]:
    """Return the first of `SCALES` that holds all but 0.5% of the ratings; minus to plus infinity
    where none does.
    """
    for low, high in SCALES:
        outside = int(((values < low) | (values > high)).sum())
        if outside <= STRAY_SHARE * (len(values) - values.null_count()):
            return low, high
    return float("-inf"), float("inf")


def duplicates(events: Coded, data: Dataset, config: CleaningConfig) -> Iterator[RuleResult]:
    """Rows equal in every column to an earlier one. Without times, or where the clock counts
    minutes or coarser, only data with ratings is checked, since implicit events may repeat.
    """
    if not config.duplicates or not (
        events.has_values or (events.has_time and not 60 <= events.grain < float("inf"))
    ):
        return
    frame = events.frame
    if events.has_time:  # equal rows lie side by side
        same = pl.all_horizontal(pl.col(c) == pl.col(c).shift() for c in ("user", "time", "item"))
        again = frame.select(same.fill_null(False)).to_series()
        suspects = again | again.shift(-1, fill_value=False)
    else:
        suspects = _pair(frame).is_duplicated()
    if not suspects.any():
        return
    columns = [c for c in data.interactions.frame.columns if events.has_time or c != "timestamp"]
    rows = frame.filter(suspects)["row"]
    first = (
        data.interactions.frame.select(columns)[rows]
        .select(pl.struct(pl.all()).is_first_distinct())
        .to_series()
    )
    yield RuleResult(rows.filter(~first), "the row equals another in every column")


def repeats(events: Coded, config: CleaningConfig) -> Iterator[RuleResult]:
    """Repeated events of a user, item and kind, where `config.repeats` keeps only one of them."""
    policy = (
        config.repeats if config.repeats != "auto" else ("last" if events.has_values else "keep")
    )
    if policy == "keep":
        return
    key = _pair(events.frame) * len(events.kinds) + events.frame["kind"].cast(pl.UInt64)
    stays = key.is_first_distinct() if policy == "first" else key.is_last_distinct()
    if config.repeats == "auto":  # implicit events beside ratings all stay
        stays = stays | events.frame["value"].is_null()
    yield RuleResult(
        events.rows(~stays), f"the same user, item and kind again; the {policy} event stays"
    )


def _pair(frame: pl.DataFrame) -> pl.Series:
    # Polars types max() as any literal
    items = (frame["item"].max() or 0) + 1  # type: ignore[operator]
    return frame["user"].cast(pl.UInt64) * items + frame["item"].cast(pl.UInt64)


def cancelled(events: Coded, config: CleaningConfig) -> Iterator[RuleResult]:
    """Pairs of an event and the event that reverts it, matched to the latest earlier event not yet
    reverted. Where no event of the two kinds is left of a user and an item, the last reverting
    event stays if its kind is negative (a return).
    """
    if not config.cancelled or not events.has_time:
        return
    for taking, taken in config.cancelling.items():
        both = events.frame.with_columns(takes=events.of_kinds((taking,))).filter(
            events.of_kinds((taking, taken))
        )
        both = both.sort("user", "item", "time", "takes")
        says_no = events.table.of(taking).sign == "negative"
        gone: list[pl.DataFrame] = []
        while both["takes"].any():
            takes = both["takes"]
            before = both.select(
                (pl.col("user") == pl.col("user").shift())
                & (pl.col("item") == pl.col("item").shift())
            ).to_series()
            hit = (takes & ~takes.shift(1, fill_value=True) & before).fill_null(False)
            pair = hit | hit.shift(-1, fill_value=False)
            if not pair.any():
                break
            gone.append(both.filter(pair))
            both = both.filter(~pair)
        if gone:
            pairs = pl.concat(gone)
            if says_no:
                last = _last_of_nothing_left(pairs, both)["row"]
                pairs = pairs.filter(~pl.col("row").is_in(last.implode()))
            yield RuleResult(pairs["row"], f"{taken} taken back by {taking}")


def _last_of_nothing_left(pairs: pl.DataFrame, left: pl.DataFrame) -> pl.DataFrame:
    """Return the last reverting event of each user and item without events in `left`."""
    alone = pairs.filter(pl.col("takes")).join(left, on=["user", "item"], how="anti")
    return alone.sort("time", "row").unique(["user", "item"], keep="last")


def double_clicks(events: Coded, config: CleaningConfig) -> Iterator[RuleResult]:
    """Fleeting events of one user, item and kind within `double_click_seconds` of the previous."""
    if not config.double_click_seconds or events.grain > 1:
        return
    fleeting = events.frame.filter(events.of_kinds(config.fleeting_kinds)).sort(
        "user", "item", "kind", "time", "row"
    )
    if not fleeting.height:
        return
    same = pl.all_horizontal(pl.col(c) == pl.col(c).shift() for c in ("user", "item", "kind"))
    again = same & (pl.col("time") - pl.col("time").shift() <= config.double_click_seconds)
    rows = fleeting.filter(again.fill_null(False))["row"]
    yield RuleResult(
        rows, f"the same act on the same item within {config.double_click_seconds:g} s"
    )


def bursts(events: Coded, config: CleaningConfig) -> Iterator[RuleResult]:
    """Fleeting events in seconds with more than `burst_events` of them by one user."""
    if not config.burst_events or events.grain > 1:
        return
    fleeting = events.frame.filter(events.of_kinds(config.fleeting_kinds))
    second = fleeting.select("row", "user", pl.col("time").floor().alias("second"))
    rows = second.filter(pl.len().over("user", "second") > config.burst_events)["row"]
    yield RuleResult(rows, f"more than {config.burst_events} events in one second")


def k_core(events: Coded, config: CleaningConfig) -> Iterator[RuleResult]:
    """Events of users and items with fewer than k events, repeated until all others have k."""
    if not config.k_core:
        return
    left = events.frame.select("row", "user", "item")
    before = -1
    while left.height != before:
        before = left.height
        left = left.filter(pl.len().over("user") >= config.k_core)
        left = left.filter(pl.len().over("item") >= config.k_core)
    gone = ~events.frame["row"].is_in(left["row"].implode())
    yield RuleResult(
        events.rows(gone), f"fewer than {config.k_core} events of the user or on the item"
    )

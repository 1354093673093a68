"""Cleaning rules on whole events: each says which rows go, and why; none of them changes a table.

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
    (1, 5),
    (0.5, 5),
    (0, 5),
    (1, 7),
    (1, 10),
    (0, 10),
    (0, 1),
    (0, 2),
    (-1, 1),
    (-5, 5),
    (-10, 10),
    (0, 100),
)
"""Rating scales recognized, narrow ones first."""
STRAY_SHARE = 0.005
CODES = (99.0, 999.0, 9999.0, 99999.0, -1.0, -9.0, -99.0, -999.0, -9999.0)
"""Numbers that programs write for "not rated"."""
SURVEY = (66.0, 77.0, 88.0, 97.0, 98.0, 777.0, 888.0, 998.0)
DIGITS = (7.0, 8.0, 9.0)
"""Numbers that surveys write for it, several times; of one digit only where every rating of the
scale below them occurs.
"""
MIN_CODED, MIN_FULL = 2, 20
"""Ratings of a code, and ratings by which it is seen that a scale is whole, at least."""


@dataclass(frozen=True)
class Coded:
    """Events as numbers: columns `row` (in the dataset), `user`, `item`, `kind` (codes), `time`
    (seconds), `value`.
    """

    frame: pl.DataFrame
    kinds: list[str]
    table: Kinds
    """What each kind says."""
    has_values: bool
    has_time: bool
    grain: float
    """Seconds between ticks of the clock: 1, 60, 3600, 86,400; infinity without times or where they
    are no seconds since 1970.
    """

    def of_kinds(self, names: tuple[str, ...]) -> pl.Series:
        """Mask of events of these kinds."""
        wanted_keys = {self.table.key(name) for name in names}
        wanted = [
            code for code, kind in enumerate(self.kinds) if self.table.key(kind) in wanted_keys
        ]
        return self.frame["kind"].is_in(wanted)

    def rows(self, mask: pl.Series) -> pl.Series:
        """Row numbers where a mask holds."""
        return self.frame["row"].filter(mask)

    def without(self, rows: pl.Series) -> Coded:
        """The same events with fewer rows."""
        return replace(self, frame=self.frame.filter(~self.frame["row"].is_in(rows.implode())))


@dataclass(frozen=True)
class RuleResult:
    """What a rule takes out."""

    rows: pl.Series
    """Numbers (`Coded.frame["row"]`) of the rows that go."""
    why: str


def without_users(events: Coded, data: Dataset, config: CleaningConfig) -> Iterator[RuleResult]:
    """Events of users whom the owner of the data leaves out."""
    if config.without_users:
        users = data.interactions.frame["user_id"].gather(events.frame["row"])
        gone = users.is_in(list(config.without_users))
        yield RuleResult(events.rows(gone), "users left out by name")


def coded(data: Dataset) -> Coded:
    """Number users, items and kinds; users lie together, so their codes are run lengths."""
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
    """The coarsest of day, hour and minute that 95% of the times are whole multiples of; else a
    second.
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
    """Ratings off the scale that the rest keeps to."""
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
    """Numbers such as 99 or -1 outside the scale that all other ratings keep to."""
    known = values.drop_nulls()
    for codes in (CODES, (*CODES, *SURVEY), (*CODES, *SURVEY, *DIGITS)):
        found = [c for c in codes if int((known == c).sum()) >= (1 if c in CODES else MIN_CODED)]
        scale = known.filter(~known.is_in(found))
        if not found or scale.n_unique() < 2:
            continue
        low, high = _ends(scale)
        top = rating_scale(scale)[1]
        apart = [c for c in found if (c > top if c > 0 else c < low - 1)]
        is_full = len(scale) >= MIN_FULL and scale.n_unique() == high == top and low == 1
        apart = [c for c in apart if c not in DIGITS or (is_full and c > top + 1)]
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
    """The narrowest known scale that holds all but a stray few ratings; everything where none
    does.
    """
    for low, high in SCALES:
        outside = int(((values < low) | (values > high)).sum())
        if outside <= STRAY_SHARE * (len(values) - values.null_count()):
            return low, high
    return float("-inf"), float("inf")


def duplicates(events: Coded, data: Dataset, config: CleaningConfig) -> Iterator[RuleResult]:
    """Rows equal in every column to an earlier one; where a clock counts minutes or days, only
    ratings can be told to be doubled.
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
    """A user's further events of one kind on one item, where the policy keeps a single one."""
    policy = (
        config.repeats if config.repeats != "auto" else ("last" if events.has_values else "keep")
    )
    if policy == "keep":
        return
    key = _pair(events.frame) * len(events.kinds) + events.frame["kind"].cast(pl.UInt64)
    stays = key.is_first_distinct() if policy == "first" else key.is_last_distinct()
    if config.repeats == "auto":  # of acts beside ratings, each counts
        stays = stays | events.frame["value"].is_null()
    yield RuleResult(
        events.rows(~stays), f"the same user, item and kind again; the {policy} event stays"
    )


def _pair(frame: pl.DataFrame) -> pl.Series:
    # Polars types max() as any literal
    items = (frame["item"].max() or 0) + 1  # type: ignore[operator]
    return frame["user"].cast(pl.UInt64) * items + frame["item"].cast(pl.UInt64)


def cancelled(events: Coded, config: CleaningConfig) -> Iterator[RuleResult]:
    """Acts taken back, together with what took them back; where several were done, the latest open
    one is taken back. Where nothing is left, what says no by itself (a return) stays.
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
    """The last taking back of each user and item of which nothing else is left."""
    alone = pairs.filter(pl.col("takes")).join(left, on=["user", "item"], how="anti")
    return alone.sort("time", "row").unique(["user", "item"], keep="last")


def double_clicks(events: Coded, config: CleaningConfig) -> Iterator[RuleResult]:
    """The same fleeting act on the same item within a second."""
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
    """More fleeting acts in one second than a human can do."""
    if not config.burst_events or events.grain > 1:
        return
    fleeting = events.frame.filter(events.of_kinds(config.fleeting_kinds))
    second = fleeting.select("row", "user", pl.col("time").floor().alias("second"))
    rows = second.filter(pl.len().over("user", "second") > config.burst_events)["row"]
    yield RuleResult(rows, f"more than {config.burst_events} acts in one second")


def k_core(events: Coded, config: CleaningConfig) -> Iterator[RuleResult]:
    """Users and items with fewer than k events, repeatedly until all that are left have k."""
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

"""Remove rows that cannot be events (unreadable, without ids, with impossible values or times),
with findings that name their places in the file.
"""

from __future__ import annotations

import polars as pl

from metarec.data.arguments import CONTROL, MAX_ID
from metarec.data.cells.parsing import (
    NO_ID,
    as_numbers,
    has_float_ids,
    holds,
    id_text,
    in_our_digits,
    nothing,
    odd_number,
)
from metarec.data.cells.truth import as_truth
from metarec.data.cells.units import measured
from metarec.data.cleaning_config import CleaningConfig
from metarec.data.errors import BadInput
from metarec.data.events.rows import Place, Rows
from metarec.data.events.shared_users import note_shared
from metarec.data.events.times import ROUNDED, possible_times, to_seconds, with_times
from metarec.data.findings import Finding

MAX_SLIPS = 2
"""Up to this many unreadable rows are tolerated in a table of at least four times as many."""


def valid_events(
    events: pl.DataFrame, place: Place, config: CleaningConfig, time_format: str | None = None
) -> tuple[pl.DataFrame, list[Finding]]:
    """Convert the canonical columns to their types and remove rows that cannot be events.

    Args:
        events: has `user_id` and `item_id`, perhaps `timestamp`, `value`, `kind` of any type, and
            context columns.
        time_format: format of dates; None detects ISO 8601 and other common formats.

    Raises:
        BadInput: if there are no rows, or more than `config.most_unreadable` of them cannot be
            read.
    """
    if not events.height:
        raise BadInput(f"{place.name} has no rows; it needs at least one event")
    rows = Rows(events, place)
    events = _with_texts(rows, events, config)
    if "value" in events.columns:
        events = _with_values(rows, events, config)
    if "timestamp" in events.columns:
        events = with_times(rows, events, time_format)
    refuse_if_unreadable(rows.findings, events.height, place, config)
    if "timestamp" in events.columns:
        events = to_seconds(rows, events, config)
        events = possible_times(rows, events, config)
    if rows.bad.any():
        events = events.filter(~rows.bad)
    if not events.height:
        raise BadInput(
            f"{place.name}: none of its rows can be an event; the first problem is "
            f"{rows.findings[0].line()}"
        )
    return events, rows.findings


def _with_texts(rows: Rows, events: pl.DataFrame, config: CleaningConfig) -> pl.DataFrame:
    """Convert ids and kinds to text and remove rows without ids; a missing kind is `event`."""
    for column in ("user_id", "item_id"):
        given = events[column]
        if given.dtype == pl.Utf8 and has_float_ids(nothing(given, NO_ID)):
            rows.note(
                "float_ids",
                f"{column} in {rows.place.name}: whole numbers written with a point (17850.0) are "
                f"read without it",
            )
        ids = id_text(given)
        rows.drop("missing_ids", ids.is_null(), column, f"no {column}")
        nobody = _stand_for_none(ids)
        why = f"{column} is -1, which stands for none: all others are numbers above 0"
        rows.drop("missing_ids", nobody, column, why)
        ids = ids.set(nobody, None)
        rounded = ids.str.contains(ROUNDED)
        why = (
            f"{column} is a number that a spreadsheet has rounded: different ids may have become "
            f"one; export the ids as text"
        )
        rows.note_rows("rounded_ids", rounded, column, why)
        _note_unsendable(rows, ids, column)
        if column == "user_id":
            note_shared(rows, ids, config)
        ids = _one_of_slashes(rows, ids, column) if column == "item_id" else ids
        _note_alike(rows, ids, column)
        events = events.with_columns(ids.alias(column))
    if "kind" in events.columns:
        kinds = events["kind"] if events["kind"].dtype == pl.Utf8 else id_text(events["kind"])
        kinds = nothing(kinds, ("",)).fill_null("event")
        events = events.with_columns(kinds.alias("kind"))
    return events


def _note_unsendable(rows: Rows, ids: pl.Series, column: str) -> None:
    """Add a finding on ids that a service takes no request about."""
    unsendable = (ids.str.len_chars() > MAX_ID) | ids.str.contains(CONTROL)
    why = (
        f"{column} has more than {MAX_ID} letters, or line ends or other control characters: no "
        f"request to a service can name it; write such ids otherwise"
    )
    rows.note_rows("unsendable_ids", unsendable, column, why)


def _stand_for_none(ids: pl.Series) -> pl.Series:
    """Mask of ids that are -1 where all others are numbers from 0: users who were not signed in."""
    is_minus_one = (ids == "-1").fill_null(False)
    others = ids.filter(~is_minus_one).drop_nulls() if is_minus_one.any() else ids.clear()
    return is_minus_one & bool(len(others) and others.str.contains(r"^\d+$").all())


def _one_of_slashes(rows: Rows, ids: pl.Series, column: str) -> pl.Series:
    """Merge addresses that differ in a slash at the end, in the form that most events have."""
    if not ids.str.ends_with("/").any():
        return ids
    bare = ids.str.strip_suffix("/")
    slashed = (ids != bare).fill_null(False) & ids.str.contains(r"/.*/$").fill_null(False)
    both = bare.filter(slashed).unique()
    both = both.filter(both.is_in(ids.filter(~slashed).unique().implode()))
    if not len(both):
        return ids
    most = pl.DataFrame({"bare": bare, "slashed": slashed.cast(pl.Float64)}).group_by("bare")
    ends = most.agg(pl.col("slashed").mean() > 0.5).filter("slashed")["bare"]
    kept = (bare + "/").zip_with(bare.is_in(ends.implode()), bare)
    changed = bare.is_in(both.implode()).fill_null(False)
    why = f"{column} with and without a slash at its end is one item"
    rows.change("alike_ids", changed & (kept != ids).fill_null(False), column, why)
    return kept.zip_with(changed, ids)


def _note_alike(rows: Rows, ids: pl.Series, column: str) -> None:
    """Add a finding on ids that differ only in case, width, composition of accents or zeros before
    a number, as typed addresses and padded numbers do.
    """
    each = pl.DataFrame({"id": ids.drop_nulls().unique().sort()})
    plain = in_our_digits(each["id"].str.normalize("NFC").str.to_lowercase())
    plain = plain.str.replace(r"^0+(\d+)$", "$1").alias("plain")
    alike = each.with_columns(plain).filter(pl.col("plain").is_duplicated()).sort("plain", "id")
    if count := alike.height - alike["plain"].n_unique():
        why = (
            f"{count:,} of {each.height:,} ids in {column} differ from another only in case, "
            f"width, accents or zeros before a number ({alike['id'][0]!r}, {alike['id'][1]!r}) "
            f"and are kept apart; write them alike if they are one"
        )
        rows.note("alike_ids", why)


UNRATED = ("NEW", "New", "new")
"""Words in place of the rating of an item that nobody has rated."""


def _with_values(rows: Rows, events: pl.DataFrame, config: CleaningConfig) -> pl.DataFrame:
    given = nothing(nothing(events["value"]), UNRATED)
    truth = as_truth(given) if given.dtype == pl.Utf8 else None
    if truth is not None:
        given = truth
    if given.dtype == pl.Boolean:
        rows.note("number_form", "values of true and false were read as 1 and 0")
    values = as_numbers(given)
    if values.null_count() > given.null_count():
        values = _measured(rows, given, values)
    unread = values.is_null() & given.is_not_null()
    why = (
        "the value is not a number (words for what was done or how it was liked are kinds: map the "
        "column to `kind`, and say what each means in [kinds])"
    )
    rows.drop("unreadable_rows", unread, "value", why)
    odd = odd_number(given.filter(~unread & as_numbers(given).is_not_null()))
    if odd is not None:
        read = float(values.filter((given == odd).fill_null(False))[0])
        rows.note("number_form", f"values such as {odd!r} were read as {read:.15g}")
    values = values.cast(pl.Float32)
    if config.impossible_values:
        why = "the value is not a finite number"
        rows.drop("impossible_values", ~values.is_finite(), "value", why)
    if config.not_rated:
        why = "the value stands for no rating (not_rated)"
        rows.drop(
            "not_rated",
            values.is_in(pl.Series(config.not_rated, dtype=pl.Float32).implode()),
            "value",
            why,
        )
    if config.implicit_values:
        unrated = values.is_in(pl.Series(config.implicit_values, dtype=pl.Float32).implode())
        unrated = unrated.fill_null(False)
        why = "the value stands for an event without a rating (implicit_values)"
        rows.change("implicit_values", unrated, "value", why)
        values = values.zip_with(~unrated, pl.Series([None], dtype=pl.Float32))
    return events.with_columns(values.alias("value"))


def _measured(rows: Rows, given: pl.Series, values: pl.Series) -> pl.Series:
    """Return the numbers of values with a unit, such as `4/5` or stars, null for words beside them;
    `values` unchanged where not all other cells have this form, or units differ.
    """
    if given.dtype != pl.Utf8:
        return values
    worded = holds(given, r"^[\pL][^\d]*$")
    given = given.set(worded, None) if 2 * int(worded.sum()) < given.count() else given
    measures = measured(given, is_rating=True)
    if measures is None or len(measures[1]) > 1 or measures[0].null_count() > given.null_count():
        return values
    shown, read = given.drop_nulls()[0], float(measures[0].drop_nulls()[0])
    rows.note("number_form", f"values such as {shown!r} were read as {read:.15g}")
    return measures[0]


def refuse_if_unreadable(
    findings: list[Finding], rows: int, place: Place, config: CleaningConfig
) -> None:
    """Refuse a table of events with too many unreadable rows.

    Args:
        findings: removals, among the `rows` or before they were counted.

    Raises:
        BadInput: if more than `config.most_unreadable` of the rows cannot be read, unless they are
            at most `MAX_SLIPS` rows and a quarter of the table.
    """
    bad = [f for f in findings if f.rule in ("unreadable_rows", "missing_ids")]
    count = sum(f.rows for f in bad)
    is_slip = count <= MAX_SLIPS and 4 * count <= rows
    if count > config.most_unreadable * max(rows, count) and not is_slip:
        worst = max(bad, key=lambda f: f.rows)
        raise BadInput(
            f"{place.name}: {count:,} of {max(rows, count):,} rows cannot be read as events, more "
            f"than {config.most_unreadable:.0%}; "
            f"for {worst.rows:,} of them {worst.why} (first: {worst.examples[0]}); correct the "
            f"file (fill down what merged cells left empty) or map the right columns in a TOML file"
        )

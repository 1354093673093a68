"""What users took under the circumstances of one of their acts, beside a literal count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

import metarec
from context_world import context_world
from metarec.data.places import home_of
from metarec.features.context_columns import ContextColumns, with_clock
from metarec.features.histories import Histories
from metarec.features.training_context import TrainingContext
from metarec.features.usage import column_use


def test_what_was_taken_then_is_counted_for_the_users_asked_alone() -> None:
    data = context_world()
    frame = data.interactions.frame
    ids = frame["user_id"].unique(maintain_order=True).to_list()
    context = TrainingContext.of(data, data.items, ids)
    asked = Histories.of_indexes(
        [np.unique(context.acts.items[context.acts.owners == user])[:5] for user in range(len(ids))]
    )
    rows, users = context.acts_on(asked), np.array([7, 3, 40])
    acts = context.context_events(rows)
    found = context.taken_then(users, rows, acts)
    for row, user in enumerate(users):
        own = np.flatnonzero(context.acts.owners == user)
        wanted = asked.items[asked.owners == user]
        then = context.acts.codes[acts[user]]
        taken = [i for i in own if (context.acts.codes[i] == then).all()]
        assert acts[user] in own
        items = {int(context.acts.items[i]) for i in taken} & set(wanted.tolist())
        assert set(np.flatnonzero(found[row]).tolist()) == items
        assert items


def test_a_home_is_a_pair_of_degrees_that_can_be() -> None:
    homes = home_of(
        [
            {"latitude": "52.5", "longitude": 13},
            {"latitude": 95.0, "longitude": 13.0},
            {"latitude": 52.5},
            {"latitude": "north", "longitude": 13.0},
            {},
        ]
    )
    np.testing.assert_array_equal(homes[0], [52.5, 13.0])
    assert np.isnan(homes[1:]).all()


MOMENTS = [datetime(2024, 3, 28, tzinfo=UTC) + timedelta(hours=7 * n) for n in range(60)]
"""From before to after the clocks of Berlin are put forward."""
ZONES = ["Asia/Tokyo", "Europe/Berlin", "Asia/Kolkata", "America/New_York"]
FORMS = {
    "ISO": lambda at: at.isoformat(),
    "without a colon": lambda at: at.strftime("%Y-%m-%d %H:%M:%S%z"),
    "of e-mails": lambda at: at.strftime("%d %b %Y %H:%M:%S %z"),
    "milliseconds": lambda at: at.isoformat(timespec="milliseconds"),
}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("form", FORMS)
def test_hours_are_those_of_the_place_where_times_state_their_offset(
    tmp_path: Path, zone: str, form: str
) -> None:
    local = [at.astimezone(ZoneInfo(zone)) for at in MOMENTS]
    rows = [f"u{n % 5},i{n % 7},{FORMS[form](at)},d{n % 2}" for n, at in enumerate(local)]
    (tmp_path / "acts.csv").write_text("\n".join(["user_id,item_id,time,device", *rows]) + "\n")
    read = metarec.read(tmp_path / "acts.csv")
    aware = pl.Series(MOMENTS, dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
    frame = pl.DataFrame({"user_id": "u", "item_id": [f"i{n}" for n in range(60)], "time": aware})
    given = metarec.Dataset(interactions=frame.with_columns(device=pl.col("item_id").str.slice(1)))
    for data in (read, given):
        events = data.interactions
        table = pl.concat([events.frame.select("timestamp"), with_clock(events)], how="horizontal")
        found = table.sort("timestamp").select("timestamp", "hour", "weekday").rows()
        assert found == [(at.timestamp(), at.hour, at.isoweekday()) for at in local]


def test_events_without_an_offset_have_the_most_frequent_one_and_utc_stays_utc() -> None:
    def hours(*ends: str) -> list[int]:
        times = [f"2024-05-{n + 1:02d}T{n % 24:02d}:30:00{ends[n % len(ends)]}" for n in range(24)]
        acts = pl.DataFrame({"user_id": "u", "item_id": times, "time": times, "device": times})
        found = with_clock(metarec.Dataset(interactions=acts).interactions)
        return found.sort("device")["hour"].to_list()

    assert hours("Z") == hours("+00:00") == hours("") == list(range(24))
    assert hours("+09:00", "-05:00", "+09:00") == list(range(24))
    mixed = hours("+09:00", "+09:00", "Z", "")
    assert mixed[:3] == [0, 1, 2]
    assert mixed[3] == (3 + 9) % 24  # written without one, it is read as UTC


def test_a_column_of_which_no_value_gets_a_code_is_named_as_not_used() -> None:
    rows = range(200)
    acts = pl.DataFrame(
        {
            "user_id": [f"u{n % 20}" for n in rows],
            "item_id": [f"i{n % 9}" for n in rows],
            "device": [f"d{n // 20 % 2}" for n in rows],
            "note": [f"n{n % 50}" for n in rows],
            "level": [n % 15 for n in rows],
            "session_id": [f"s{n % 30}" for n in rows],
            "companion": ["kids" if n % 7 else None for n in rows],
        }
    )
    data = metarec.Dataset(interactions=acts)
    told = {row.column: (row.use, row.why) for row in column_use(data)}
    few = "fewer than two values are stated by 20 events each"
    assert told["device"] == ("context", "2 different values")
    assert told["note"] == told["level"] == ("not used", few)
    assert told["session_id"] == ("not used", "it names sessions or orders")
    assert told["companion"] == ("not used", "it is always 'kids' or empty")
    read = {name for name, (use, _) in told.items() if use == "context"}
    assert read == {*ContextColumns.fit(data.interactions).names}

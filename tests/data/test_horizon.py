"""How many events new users are evaluated at, by what the data hold."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec.data.cold_users import LONG, MEDIUM, SHORT, Horizon, choose_horizon, horizon_of
from metarec.data.schema import Dataset


@pytest.mark.parametrize(
    ("events", "has_places", "chosen"),
    [
        ((30, 5, 5, 5, 5), False, LONG),
        ((30, 5, 5, 5, 5), True, LONG),
        ((15, 5, 5, 5, 5), False, SHORT),
        ((15, 5, 5, 5, 5), True, MEDIUM),
        ((14, 14, 14, 14, 14), True, SHORT),
        ((), True, SHORT),
    ],
)
def test_where_items_have_places_ten_events_are_learned_for_before_three(
    events: tuple[int, ...], has_places: bool, chosen: Horizon
) -> None:
    assert choose_horizon(np.array(events, np.int64), has_places=has_places) == chosen


@pytest.mark.filterwarnings("ignore:.*without a latitude.*")
@pytest.mark.parametrize(("latitudes", "chosen"), [(3, MEDIUM), (1, SHORT), (0, SHORT)])
def test_a_fit_looks_for_coordinates(latitudes: int, chosen: Horizon) -> None:
    items = [f"i{n}" for n in range(20)]
    known = [float(n) if n < latitudes else None for n in range(20)]
    data = Dataset(
        interactions=pl.DataFrame({"user_id": ["u"] * 16, "item_id": items[:16]}),
        items=pl.DataFrame(
            {"item_id": items, "latitude": known, "longitude": known},
            schema_overrides={"latitude": pl.Float64, "longitude": pl.Float64},
        ),
    )

    assert horizon_of(data) == chosen

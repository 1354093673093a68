"""Users of whom only a city is known live in the middle of what is there."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec.data.regions import Regions

MIDDLES = {"Berlin": (52.5, 13.4), "Bonn": (50.7, 7.1), "Ulm": (48.4, 10.0)}


def scattered(columns: dict[str, list[str]], near: list[str]) -> pl.DataFrame:
    """Rows that lie within some kilometers of the city they are near."""
    rng = np.random.default_rng(0)
    degrees = np.array([MIDDLES[city] for city in near]) + rng.normal(0, 0.02, (len(near), 2))
    return pl.DataFrame({**columns, "latitude": degrees[:, 0], "longitude": degrees[:, 1]})


CITIES = [*MIDDLES] * 5
ITEMS = scattered({"item_id": [f"i{n}" for n in range(15)], "town": CITIES}, CITIES)


def test_a_city_that_items_name_in_a_column_of_another_name_is_found() -> None:
    users = pl.DataFrame({"user_id": ["a", "b", "c"], "city": ["berlin", "Ulm ", "Rome"]})

    homes = Regions.fit(users, ITEMS).homes(
        [{"city": "BERLIN"}, {"city": "Rome"}, {}, {"city": "Ulm", "latitude": 1, "longitude": 2}]
    )

    np.testing.assert_allclose(homes[0], MIDDLES["Berlin"], atol=0.05)
    assert np.isnan(homes[1:3]).all()
    np.testing.assert_allclose(homes[3], (1, 2))  # what is stated goes before


def test_other_users_say_where_a_city_lies() -> None:
    users = scattered({"user_id": [f"u{n}" for n in range(15)], "city": CITIES}, CITIES)

    homes = Regions.fit(users, ITEMS.select("item_id")).homes([{"city": "Bonn"}])

    np.testing.assert_allclose(homes[0], MIDDLES["Bonn"], atol=0.05)


@pytest.mark.parametrize("column", ["job", "city"])
def test_a_column_that_is_no_place_says_nothing(column: str) -> None:
    """Values are spread all over the map."""
    values = ["cook", "nurse", "clerk"]
    users = scattered(
        {"user_id": [f"u{n}" for n in range(15)], column: [values[n // 5] for n in range(15)]},
        CITIES,
    )

    assert not Regions.fit(users, ITEMS).middles


def test_without_coordinates_there_are_no_regions() -> None:
    users = pl.DataFrame({"user_id": ["a", "b"], "city": ["Ulm", "Bonn"]})

    assert not Regions.fit(users, ITEMS.select("item_id", "town")).middles

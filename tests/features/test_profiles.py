"""What users state of themselves, as columns."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec.data.schema import Profiles
from metarec.features.profiles import ProfileInputs

AGES = [18, 22, 25, 31, 37, 44, 52, 60, 71]
USERS = pl.DataFrame(
    {"user_id": [f"u{n}" for n in range(90)], "age": AGES * 10, "city": ["Rome", "None", "7"] * 30}
)


@pytest.fixture(scope="module")
def inputs() -> ProfileInputs:
    return ProfileInputs.fit(Profiles.of(USERS), USERS["user_id"].to_list())


@pytest.mark.parametrize("age", ["37", " 37 ", "37.0", "037", "37,0", "37 years", "٣٧", 37.0])
def test_a_number_is_one_however_it_is_written(inputs: ProfileInputs, age: object) -> None:
    number, written = inputs.transform([{"age": 37}, {"age": age}])
    assert number.sum() == 1
    np.testing.assert_array_equal(number, written)


@pytest.mark.parametrize(
    "age",
    [
        "",
        "n/a",
        "old",
        "?",
        None,
        float("nan"),
        "1e400",
        "inf",
        float("inf"),
        pytest.param(10**400, id="400 digits"),
    ],
)
def test_what_is_no_number_says_nothing(inputs: ProfileInputs, age: object) -> None:
    assert not inputs.transform([{"age": age}]).any()
    is_stated = age is not None and age == age
    assert list(inputs.unread({"age": age})) == ["age"] * is_stated


@pytest.mark.parametrize("city", [None, float("nan"), float("inf"), "Oslo"])
def test_a_missing_word_says_nothing(inputs: ProfileInputs, city: object) -> None:
    assert not inputs.transform([{"city": city}]).any()
    assert inputs.transform([{"city": "None"}, {"city": 7.0}]).sum() == 2


def test_points_between_thousands_are_no_decimal_points() -> None:
    users = pl.DataFrame(
        {
            "user_id": [f"u{n}" for n in range(60)],
            "income": [1_000_000 * (n % 6) for n in range(60)],
        }
    )
    inputs = ProfileInputs.fit(Profiles.of(users), users["user_id"].to_list())
    number, written = inputs.transform([{"income": 4_500_000}, {"income": "4.500.000"}])
    np.testing.assert_array_equal(number, written)


def test_case_makes_no_other_value(inputs: ProfileInputs) -> None:
    written, typed = inputs.transform([{"city": "Rome"}, {"city": "ROME"}])
    np.testing.assert_array_equal(written, typed)


def test_what_says_nothing_of_a_known_attribute_is_named(inputs: ProfileInputs) -> None:
    said = {"city": "Oslo", "age": "old", "color": "red"}
    assert inputs.unread({**said, "Age": 31}) == {"city": "Oslo", "age": "old"}
    assert not inputs.unread({"city": "rome", "age": None})

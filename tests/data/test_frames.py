"""Tables of other libraries, as polars has them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import polars as pl
import pytest

from metarec.data.errors import BadInput
from metarec.data.frames import LONGEST_KEY, as_polars

DAYS = pd.period_range("2020-01-30", periods=3, freq="D")


def column(cells: Any) -> list[Any]:
    """What a column of a pandas frame holds afterwards."""
    return as_polars(pd.DataFrame({"a": cells}), "items")["a"].to_list()


def test_periods_are_days_and_no_numbers() -> None:
    assert column(DAYS) == ["2020-01-30", "2020-01-31", "2020-02-01"]
    assert column(DAYS.asfreq("M").insert(1, pd.NaT)) == ["2020-01", None, "2020-01", "2020-02"]


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        ([b"a7", None, "é".encode()], ["a7", None, "é"]),
        ([bytes([7, 255]), b"a7", None], ["07ff", "6137", None]),
        ([bytes([255]) * (LONGEST_KEY + 1), b"a7", None], [None, None, None]),
    ],
)
def test_bytes_are_text_or_digits(library: Any, cells: Any, texts: list[str | None]) -> None:
    assert as_polars(library({"a": cells}), "items")["a"].to_list() == texts


def test_two_columns_of_one_name_are_refused() -> None:
    twice = pd.concat([pd.DataFrame({"a": [1], "b": [2]}), pd.DataFrame({"b": [3]})], axis=1)
    with pytest.raises(BadInput, match="items: two columns are called 'b'; rename one"):
        as_polars(twice, "items")


def test_an_index_with_a_name_is_a_column() -> None:
    frame = pd.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"], "value": [1, 2]})
    for keys in ("user_id", ["user_id", "item_id"]):
        table = as_polars(frame.set_index(keys), "interactions")
        assert table.select("user_id", "item_id", "value").rows() == [("a", "x", 1), ("b", "y", 2)]


def test_a_series_is_refused() -> None:
    with pytest.raises(BadInput, match="interactions must be a polars or pandas frame, got Series"):
        as_polars(pd.Series([1.0], name="value"), "interactions")

"""Rows added to a table that lies in a file."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from metarec.runtime.artifacts import read_arrays, write_arrays
from metarec.runtime.rows import LEAST, products_of, rows_of, with_rows


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, np.ndarray]:
    """Two large tables of a file, one behind the other, and a small one."""
    n_rows = LEAST // 40 + 7
    wide = np.arange(n_rows * 10, dtype=np.float32).reshape(n_rows, 10)
    other = -np.arange(n_rows * 20, dtype=np.float16).reshape(n_rows, 20)
    write_arrays(tmp_path / "t.safetensors", {"a": wide, "b": other, "small": wide[:5]})
    return read_arrays(tmp_path / "t.safetensors")[0]


@pytest.mark.parametrize("name", ["a", "b", "small"])
def test_rows_are_added_and_changed_while_the_table_before_stays(
    tables: dict[str, np.ndarray], name: str
) -> None:
    table = tables[name]
    before, n_rows = table.copy(), len(table)
    rows = np.array([3, n_rows + 1])
    values = np.stack([np.full(table.shape[1], 7.0), np.full(table.shape[1], 8.0)])
    grown = with_rows(table, rows, values, n_rows + 2)
    again = with_rows(grown, np.array([3, n_rows]), values + 2.0, n_rows + 5)
    wanted = np.concatenate([before, np.zeros((2, table.shape[1]), table.dtype)])
    wanted[rows] = values
    np.testing.assert_array_equal(table, before)
    np.testing.assert_array_equal(grown, wanted)
    wanted = np.concatenate([wanted, np.zeros((3, table.shape[1]), table.dtype)])
    wanted[[3, n_rows]] = values + 2.0
    np.testing.assert_array_equal(again, wanted)
    assert grown.flags.writeable and grown.dtype == table.dtype
    for name_of_other, other in tables.items():
        assert name_of_other == name or (other.ravel()[:4] == other.ravel()[:4]).all()


def test_many_rows_beyond_the_room_and_memory_that_goes_away(
    tables: dict[str, np.ndarray],
) -> None:
    table = tables.pop("a")
    first = table[:2].copy()
    tables.clear()
    more = np.arange(len(table), len(table) + 40_000)
    grown = with_rows(table, more, np.ones((40_000, 10)), len(table) + 40_000)
    del table
    gc.collect()
    np.testing.assert_array_equal(grown[:2], first)
    assert grown[-1].sum() == 10.0


def test_only_what_changed_takes_memory(tables: dict[str, np.ndarray]) -> None:
    def private() -> int:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))

    if not Path("/proc/self/smaps_rollup").exists():
        return
    table = tables["a"]
    before = private()
    kept = [with_rows(table, np.array([5]), np.ones((1, 10)), len(table) + 1) for _ in range(20)]
    assert sum(float(grown[:, 0].sum()) for grown in kept) > 0.0
    assert private() - before < LEAST / 1024 / 4


@pytest.mark.parametrize("rows", [[], [7], [2, 3, 4], [4, 3, 2], [9, 0, 5, 5, 1], [0, 90]])
def test_some_rows_are_taken_and_multiplied_in_any_order(rows: list[int]) -> None:
    rng = np.random.default_rng(0)
    users, array, some = rng.random((2, 3)), rng.random((100, 3)), np.array(rows, np.int64)
    np.testing.assert_array_equal(rows_of(array, some), array[some])
    np.testing.assert_allclose(products_of(users, array, some), users @ array[some].T)

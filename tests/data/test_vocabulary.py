"""Ids and their indexes, few in a dictionary and many in a column."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from metarec.data.schema import Catalog
from metarec.data.vocabulary import Column, Vocabulary

IDS = [f"i{n * 7919 % 1000}" for n in range(1000)]


@pytest.fixture(params=["few", "many"])
def vocabulary(request: pytest.FixtureRequest) -> Vocabulary:
    series = pl.Series(IDS)
    return Vocabulary.of(series) if request.param == "few" else Vocabulary(Column(series))


def test_ids_and_indexes_are_told_both_ways(vocabulary: Vocabulary) -> None:
    assert len(vocabulary) == 1000 and list(vocabulary.ids) == IDS
    np.testing.assert_array_equal(vocabulary.indexes(IDS), np.arange(1000))
    asked = (i for i in ["i7919", IDS[3], "", IDS[999], IDS[3]])
    np.testing.assert_array_equal(vocabulary.indexes(asked), [-1, 3, -1, 999, 3])
    assert vocabulary.indexes([]).dtype == np.int64 and vocabulary.indexes(iter([])).size == 0
    assert vocabulary.names(np.array([4, 0]).tolist()) == [IDS[4], IDS[0]]
    assert vocabulary.names([]) == []
    assert IDS[5] in vocabulary and "x" not in vocabulary
    assert vocabulary.ids[2] == IDS[2] and list(vocabulary.ids[1:3]) == IDS[1:3]
    assert vocabulary.indexes([3])[0] == -1  # type: ignore[list-item]  # an id is a text


def test_a_column_of_ids_is_looked_up_as_a_list_is(vocabulary: Vocabulary) -> None:
    grown = vocabulary.joined_by(["late"])
    asked = [IDS[7], "never", None, "late", IDS[7], IDS[0], "i7919"] * 50
    found = grown.indexes(pl.Series(asked))
    assert found.dtype == np.int64 and found.flags.writeable
    np.testing.assert_array_equal(found, [7, -1, -1, 1000, 7, 0, -1] * 50)
    np.testing.assert_array_equal(grown.indexes(iter(i or "" for i in asked)), found)
    assert grown.indexes(pl.Series([], dtype=pl.Utf8)).shape == (0,)


def test_late_ids_lie_behind_and_are_not_known_before(vocabulary: Vocabulary) -> None:
    grown = vocabulary.joined_by(["late", "later"]).joined_by(["last"])
    assert len(grown) == 1003 and list(grown.ids)[-3:] == ["late", "later", "last"]
    asked = ["last", IDS[8], "late", "never"]
    np.testing.assert_array_equal(grown.indexes(asked), [1002, 8, 1000, -1])
    np.testing.assert_array_equal(vocabulary.indexes(asked), [-1, 8, -1, -1])
    assert grown.names([1001, 0]) == ["later", IDS[0]] and grown.ids[-1] == "last"
    assert vocabulary.joined_by([]) is vocabulary


def test_of_many_ids_a_few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    column = Column(pl.Series(IDS))
    asked: list[Any] = [IDS[7], "never", IDS[7], IDS[999], 3]
    for _ in range(2):
        np.testing.assert_array_equal(column.rows(asked), [7, -1, 7, 999, -1])
    assert {"never", IDS[7], IDS[999]} <= set(column._held)
    monkeypatch.setattr("metarec.data.vocabulary.HELD", 100)
    for start in range(0, 1000, 40):
        rows = np.arange(start, start + 40)
        np.testing.assert_array_equal(column.rows(IDS[start : start + 40]), rows)
        assert len(column._held) <= 100
    monkeypatch.setattr("metarec.data.vocabulary.AT_ONCE", 10)
    held = dict(column._held)
    np.testing.assert_array_equal(column.rows(IDS[:500]), np.arange(500))
    assert column._held == held


def test_an_id_stands_once() -> None:
    with pytest.raises(AssertionError, match="each id once"):
        Vocabulary(["a", "a"])


@pytest.mark.parametrize("many", [False, True])
def test_a_catalog_is_joined_by_rows(many: bool) -> None:
    frame = pl.DataFrame(
        {"item_id": IDS, "title": [f"t{i}" for i in IDS], "price": np.arange(1000.0)}
    )
    changed = IDS[:100] if many else [IDS[999], IDS[0], IDS[500]]
    ids = [*changed[:2], "late", *changed[2:], "later"]
    given = pl.DataFrame(
        {"item_id": ids, "title": [f"new {i}" for i in ids], "price": [None] * len(ids)},
        schema=frame.schema,
    )
    catalog = Catalog(frame=frame)
    grown = catalog.with_rows(given, catalog.vocabulary.indexes(ids))
    assert grown.frame["item_id"].to_list() == [*IDS, "late", "later"]
    new, titles = set(changed), dict(zip(grown.frame["item_id"], grown.titles(), strict=True))
    assert all(titles[i] == (f"new {i}" if i in new else f"t{i}") for i in IDS)
    assert titles["later"] == "new later" and grown.titles([1000]) == ["new late"]
    assert grown.frame["price"].to_list() == [*np.arange(1000.0), None, None]
    assert catalog.frame.equals(frame) and grown.vocabulary.indexes(["later"])[0] == 1001

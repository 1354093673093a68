"""Rows by item that are kept: computed once, bounded, and right whoever else reads them."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from metarec.features.histories import Histories
from metarec.models.location import kept_rows
from metarec.models.location.kept_rows import KeptRows

TABLE = np.random.default_rng(0).random((50, 7), np.float32)


def _users(*items: list[int]) -> Histories:
    return Histories.of_indexes([np.array(row, np.int64) for row in items])


def test_rows_are_summed_over_each_user() -> None:
    kept, users = KeptRows(50, 7), _users([3, 4], [], [4])
    weights = np.array([1.0, 0.5, 2.0], np.float32)

    weighted = [TABLE[3] + 0.5 * TABLE[4], np.zeros(7), 2.0 * TABLE[4]]

    np.testing.assert_allclose(kept.sums(users, TABLE.__getitem__, weights), weighted, rtol=1e-6)
    plain = [TABLE[3] + TABLE[4], np.zeros(7), TABLE[4]]
    np.testing.assert_allclose(kept.sums(users, TABLE.__getitem__), plain, rtol=1e-6)


def test_a_row_is_computed_once() -> None:
    asked: list[int] = []

    def rows_of(items: np.ndarray) -> np.ndarray:
        asked.extend(items.tolist())
        return TABLE[items]

    kept = KeptRows(50, 7)
    for users in (_users([3, 4]), _users([4], [9, 3]), _users([]), _users([9])):
        kept.sums(users, rows_of)

    assert asked == [3, 4, 9]


def test_without_room_the_table_starts_anew_and_holds_the_whole_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept_rows, "MAX_KEPT", 3 * 7)
    kept = KeptRows(50, 7)

    for items in ([1, 2], [2, 3], [4, 5], [1, 2, 3, 4, 5], [1], [6]):
        np.testing.assert_allclose(
            kept.sums(_users(items), TABLE.__getitem__)[0], TABLE[items].sum(0), rtol=1e-6
        )


def test_threads_read_no_rows_of_another_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_rows, "MAX_KEPT", 4 * 7)
    kept = KeptRows(50, 7)

    def ask(seed: int) -> float:
        rng, worst = np.random.default_rng(seed), 0.0
        for _ in range(400):
            items = rng.integers(0, 50, 3)
            off = kept.sums(_users(items.tolist()), TABLE.__getitem__)[0] - TABLE[items].sum(0)
            worst = max(worst, float(np.abs(off).max()))
        return worst

    with ThreadPoolExecutor(4) as threads:
        assert max(threads.map(ask, range(4))) < 1e-5


def test_what_is_sent_to_another_process_takes_no_rows_along() -> None:
    kept, users = KeptRows(50, 7), _users([3, 4])
    expected = kept.sums(users, TABLE.__getitem__)

    sent = pickle.dumps(kept)

    assert len(sent) < 200
    np.testing.assert_array_equal(pickle.loads(sent).sums(users, TABLE.__getitem__), expected)

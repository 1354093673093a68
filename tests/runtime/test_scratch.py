from __future__ import annotations

import threading

import numpy as np

from metarec.runtime.scratch import Scratch, column_pieces, cut_at_zero


def test_memory_is_used_again_by_its_thread_and_by_no_other() -> None:
    scratch = Scratch()
    first = scratch.array("a", (2, 50))
    first[...] = 1.0
    assert np.shares_memory(first, scratch.array("a", (5, 3)))
    assert not np.shares_memory(first, scratch.array("b", (2, 50)))
    other: list[np.ndarray] = []
    worker = threading.Thread(target=lambda: other.append(scratch.array("a", (2, 50))))
    worker.start()
    worker.join()
    assert not np.shares_memory(first, other[0])
    assert scratch.array("a", (40, 50)).shape == (40, 50)


def test_pieces_cover_every_column_once() -> None:
    for rows, columns in ((1, 10), (8, 100_000), (500, 2_049)):
        covered = np.concatenate(
            [np.arange(columns)[piece] for piece in column_pieces(rows, columns)]
        )
        assert np.array_equal(covered, np.arange(columns))


def test_what_is_below_zero_is_cut_and_the_rest_stays() -> None:
    out = np.array([[-9, -1, 0, 2, 9], [9, 3, -0.5, -0.0, 9]], np.float32)
    cut_at_zero(out[:, 1:4])
    np.testing.assert_array_equal(out, [[-9, 0, 0, 2, 9], [9, 3, 0, 0, 9]])

"""Histories: ragged and padded hold the same events."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metarec.data.schema import Vocabulary
from metarec.features.histories import Histories
from world import read_lists

LISTS = st.lists(
    st.lists(
        st.tuples(st.sampled_from("abcdefg"), st.floats(1, 5, width=32)),
        max_size=6,
        unique_by=lambda event: event[0],
    ),
    min_size=1,
    max_size=6,
)
VOCABULARY = Vocabulary(list("abcdef"))


def lists_of(histories: Histories) -> list[list[tuple[int, float]]]:
    cuts = histories.offsets
    return [
        list(zip(histories.items[a:b].tolist(), histories.values[a:b].tolist(), strict=True))
        for a, b in zip(cuts[:-1], cuts[1:], strict=True)
    ]


@given(LISTS, st.integers(0, 7))
def test_first_and_after_cut_every_history_at_the_same_place(
    lists: list[list[tuple[str, float]]], n_support: int
) -> None:
    histories, unknown = read_lists(lists, VOCABULARY)
    known = [
        [(VOCABULARY.indexes([i])[0], v) for i, v in history if i in VOCABULARY]
        for history in lists
    ]

    assert lists_of(histories) == known
    assert unknown.tolist() == [sum(i == "g" for i, _ in history) for history in lists]
    assert lists_of(histories.first(n_support)) == [history[:n_support] for history in known]
    assert lists_of(histories.after(n_support)) == [history[n_support:] for history in known]


@given(LISTS, st.integers(1, 7))
def test_padding_keeps_the_newest_events_in_order(
    lists: list[list[tuple[str, float]]], length: int
) -> None:
    histories, _ = read_lists(lists, VOCABULARY)

    padded = histories.padded(length)

    for row, history in enumerate(lists_of(histories)):
        real = padded.is_real[row]
        assert (
            list(
                zip(
                    padded.items[row][real].tolist(), padded.values[row][real].tolist(), strict=True
                )
            )
            == history[-length:]
        )
        assert real.tolist() == sorted(real.tolist(), reverse=True)


@given(LISTS)
def test_the_matrix_and_its_transpose_hold_every_event(
    lists: list[list[tuple[str, float]]],
) -> None:
    histories, _ = read_lists(lists, VOCABULARY)

    by_item, order = histories.transposed(len(VOCABULARY))

    np.testing.assert_allclose(
        by_item.matrix(len(histories), histories.values[order]).toarray().T,
        histories.matrix(len(VOCABULARY), histories.values).toarray(),
        rtol=1e-5,
    )


@given(LISTS, st.integers(0, 2**31))
def test_shuffling_moves_nothing_between_users(
    lists: list[list[tuple[str, float]]], seed: int
) -> None:
    histories, _ = read_lists(lists, VOCABULARY)

    shuffled = histories.shuffled(np.random.default_rng(seed))

    assert [sorted(h) for h in lists_of(shuffled)] == [sorted(h) for h in lists_of(histories)]


def test_chosen_users_come_in_the_order_asked() -> None:
    histories, _ = read_lists([[("a", 1.0)], [], [("b", 2.0), ("c", 3.0)]], VOCABULARY)

    assert lists_of(histories.users(np.array([2, 1, 2]))) == [
        [(1, 2.0), (2, 3.0)],
        [],
        [(1, 2.0), (2, 3.0)],
    ]


@given(LISTS)
def test_rows_of_events_are_summed_by_user(lists: list[list[tuple[str, float]]]) -> None:
    histories, _ = read_lists(lists, VOCABULARY)
    rows = np.stack([histories.values, np.ones(len(histories.items), np.float32)], axis=1)
    expected = [
        [sum(histories.values[histories.owners == user]), length]
        for user, length in enumerate(histories.lengths)
    ]
    np.testing.assert_allclose(histories.sums(rows), np.array(expected).reshape(-1, 2), rtol=1e-5)


@given(LISTS, st.sampled_from([1, 50_000]))
def test_rows_of_items_are_summed_alike_however_many(
    lists: list[list[tuple[str, float]]], width: int
) -> None:
    histories, _ = read_lists(lists, VOCABULARY)
    table = np.arange(len(VOCABULARY), dtype=np.float32)[:, None] * np.ones(width, np.float32)
    for weights in (None, histories.values):
        found = histories.sums_of(table, weights)
        expected = histories.matrix(len(table), weights) @ table
        np.testing.assert_allclose(found, expected, rtol=1e-6)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metarec.recommendation.ordering import top_k
from metarec.recommendation.ordering.top_k import rank


def test_best_first_and_padded_where_nothing_is_left() -> None:
    scores = np.array([[1.0, 3.0, 2.0, -np.inf], [-np.inf, -np.inf, 0.5, -np.inf]])
    indexes, values = rank(scores, 3, np.random.default_rng(0))
    assert indexes.tolist() == [[1, 2, 0], [2, -1, -1]]
    assert values.tolist() == [[3.0, 2.0, 1.0], [0.5, -np.inf, -np.inf]]


def test_constant_scores_are_ordered_by_chance() -> None:
    firsts = [
        rank(np.zeros((50, 20)), 1, np.random.default_rng(seed))[0][:, 0] for seed in range(40)
    ]
    counts = np.bincount(
        np.concatenate(firsts), minlength=20
    )  # 2,000 draws over 20 items: 100 each, deviation about 10
    assert counts.min() > 60
    assert counts.max() < 140


def test_without_chance_an_item_has_one_lot_whatever_is_beside_it() -> None:
    scores = np.where(np.arange(40) % 4, 1.0, 2.0)
    whole, _ = rank(np.tile(scores, (3, 1)), 30, None)
    assert whole.tolist() == [whole[0].tolist()] * 3
    assert whole[0].tolist() != sorted(whole[0], key=lambda item: (-scores[item], item))
    some = np.arange(0, 40, 3)
    found, _ = rank(scores[some], 9, None, some)
    assert some[found[0]].tolist() == [item for item in whole[0] if item in some][:9]


def test_ties_across_the_border_are_drawn_and_better_items_stay() -> None:
    scores = np.tile(np.array([5.0, 1.0, 1.0, 1.0, 1.0, 0.0]), (400, 1))
    indexes, _ = rank(scores, 3, np.random.default_rng(1))
    assert (indexes[:, 0] == 0).all()
    assert set(np.unique(indexes[:, 1:])) == {1, 2, 3, 4}
    assert (np.bincount(indexes[:, 1:].ravel(), minlength=5)[1:] > 150).all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 400),
    st.integers(1, 12),
    st.integers(1, 2000),
    st.integers(0, 2**32 - 1),
)
def test_equals_a_full_sort_and_the_batch_equals_one_by_one(
    n_rows: int, n_items: int, k: int, levels: int, seed: int
) -> None:
    """With many equal scores and few, in small catalogs and in those that are cut into blocks."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, size=(n_rows, n_items)).astype(np.float32)
    scores[rng.random(scores.shape) < rng.random()] = -np.inf
    indexes, values = rank(scores, k, np.random.default_rng(seed))
    assert np.array_equal(values, -np.sort(-scores, axis=1)[:, :k])
    assert all(len(set(row) - {-1}) == sum(item >= 0 for item in row) for row in indexes.tolist())
    assert np.array_equal(
        np.where(indexes >= 0, np.take_along_axis(scores, np.maximum(indexes, 0), 1), -np.inf),
        values,
    )
    rng = np.random.default_rng(seed)
    assert np.array_equal(indexes, np.concatenate([rank(row, k, rng)[0] for row in scores]))


def test_the_draw_among_many_ties_is_right_where_too_few_lots_are_low(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores = np.random.default_rng(0).integers(0, 3, size=(4, 5000)).astype(np.float32)
    usual, _ = rank(scores, 7, np.random.default_rng(1))
    monkeypatch.setattr(top_k, "LOTS_PER_ITEM", 0.2)
    assert np.array_equal(rank(scores, 7, np.random.default_rng(1))[0], usual)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="k must be 1 or more, got 0"):
        rank(np.zeros(3), 0, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"NaN \(row 1\)"):
        rank(np.array([[0.0], [np.nan]]), 1, np.random.default_rng(0))

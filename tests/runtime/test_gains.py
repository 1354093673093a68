"""NDCG by hand, and by every way in which lists come."""

from __future__ import annotations

import numpy as np
import pytest

from metarec.runtime.gains import (
    discounts,
    hits_of_scores,
    ideal_gains,
    ndcg_of_hits,
    ndcg_of_scores,
)


def test_ndcg_is_the_gain_over_the_best_gain() -> None:
    hits = np.array([[True, False, True], [False, False, False], [False, False, False]])
    found = ndcg_of_hits(hits, np.array([2, 5, 0]))
    assert found == pytest.approx([(1 + 1 / 2) / (1 + 1 / np.log2(3)), 0.0, 0.0])
    assert discounts(2) == pytest.approx([1.0, 1 / np.log2(3)])
    assert ideal_gains(np.array([0, 1, 9]), 2) == pytest.approx([1.0, 1.0, 1 + 1 / np.log2(3)])


@pytest.mark.parametrize("places", [1, 3, 8, 20])
def test_scores_are_ranked_whether_the_list_is_shorter_than_the_catalog_or_not(places: int) -> None:
    rng = np.random.default_rng(0)
    scores, relevant = rng.normal(size=(5, 8)), rng.random((5, 8)) < 0.4
    order = np.argsort(-scores, axis=1)[:, :places]
    hits = np.take_along_axis(relevant, order, 1)
    assert hits_of_scores(scores, relevant, places).tolist() == hits.tolist()
    expected = ndcg_of_hits(hits, relevant.sum(1))
    assert ndcg_of_scores(scores, relevant, places) == pytest.approx(expected)

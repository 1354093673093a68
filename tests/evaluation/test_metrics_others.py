"""Rating errors, calibration, and what a list is like beyond being right."""

import numpy as np
import pytest

from metarec.evaluation import metrics
from metarec.evaluation.metrics.slates import popularity_share

OWNER = np.array([0, 0, 2, 2, 2])
ACTUAL = np.array([4.0, 2.0, 5.0, 1.0, 3.0])


def test_errors_are_means_of_each_user():
    predicted = np.array([3.0, 4.0, 5.0, 1.0, 6.0])
    assert metrics.mae(predicted, ACTUAL, OWNER, 3) == pytest.approx(
        [1.5, np.nan, 1.0], nan_ok=True
    )
    assert metrics.rmse(predicted, ACTUAL, OWNER, 3) == pytest.approx(
        [np.sqrt(2.5), np.nan, np.sqrt(3)], nan_ok=True
    )


def test_graded_ndcg_by_hand():
    predicted = np.array(
        [1.0, 2.0, 3.0, 2.0, 1.0]
    )  # user 0 upside down; user 2 has 5, then 1, then 3
    gain = 2.0**ACTUAL - 1
    discount = 1 / np.log2([2, 3, 4])
    upside_down = (gain[1] * discount[0] + gain[0] * discount[1]) / (
        gain[0] * discount[0] + gain[1] * discount[1]
    )
    other = (gain[[2, 3, 4]] @ discount) / (gain[[2, 4, 3]] @ discount)
    got = metrics.graded_ndcg(predicted, ACTUAL, OWNER, 3, 5, np.random.default_rng(0))
    assert got == pytest.approx([upside_down, np.nan, other], nan_ok=True)
    assert metrics.graded_ndcg(predicted, ACTUAL, OWNER, 3, 1, np.random.default_rng(0))[
        0
    ] == pytest.approx(gain[1] / gain[0])


def test_graded_ndcg_shuffles_equal_predictions():
    owner = np.repeat(np.arange(2000), 2)
    actual = np.tile([5.0, 1.0], 2000)  # the good one stands first in every user's rows
    got = metrics.graded_ndcg(
        np.zeros(4000), actual, owner, 2000, 1, np.random.default_rng(0)
    ).mean()
    assert got == pytest.approx(0.5 * (1 + 1 / 31), abs=0.03)


def test_interval_coverage_meets_its_level_on_normal_errors_and_sees_overconfidence():
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(200), 100)
    spread = rng.uniform(0.5, 2.0, 20000)
    actual = rng.normal(0.0, spread)
    zero = np.zeros(20000)
    assert metrics.interval_coverage(zero, spread, actual, owner, 200).mean() == pytest.approx(
        0.9, abs=0.01
    )
    assert metrics.interval_coverage(
        zero, spread, actual, owner, 200, level=0.5
    ).mean() == pytest.approx(0.5, abs=0.015)
    assert metrics.interval_coverage(zero, spread / 2, actual, owner, 200).mean() < 0.65


def test_coverage_counts_distinct_items():
    ranked = np.array([[0, 1, 2], [1, 0, -1]])
    assert metrics.coverage(ranked, 2, 10) == 0.2
    assert metrics.coverage(ranked, 3, 10) == 0.3
    assert metrics.coverage(np.empty((0, 3), int), 3, 10) == 0.0


def test_novelty_is_bits_of_surprise_and_skips_empty_places():
    share = np.array([0.5, 0.25, 0.125])
    assert metrics.novelty(np.array([[0, 2], [1, -1], [-1, -1]]), 2, share).tolist() == [
        2.0,
        2.0,
        0.0,
    ]
    assert popularity_share(np.array([0, 9]), 9).tolist() == [0.1, 1.0]


def test_diversity_equals_the_mean_over_pairs():
    rng = np.random.default_rng(4)
    embeddings = rng.normal(size=(9, 5))
    embeddings[3] = 0.0
    ranked = np.array([[0, 1, 3, 5], [2, 2, 2, 2], [7, -1, -1, -1], [1, 8, 4, -1]])
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)

    def slow(row):
        row = row[row >= 0]
        pairs = [1 - unit[a] @ unit[b] for n, a in enumerate(row) for b in row[n + 1 :]]
        return np.mean(pairs) if pairs else 0.0

    got = metrics.diversity(ranked, 4, embeddings)
    assert got == pytest.approx(
        [slow(r) for r in ranked], abs=1e-12
    )  # item 3, a zero row, is at distance 1 from all

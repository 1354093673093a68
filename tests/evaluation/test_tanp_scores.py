"""TaNP's scores against a slow, literal reading of what its program counts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metarec.evaluation.papers.tanp_scores import tanp_scores


def by_hand(
    order: list[int], truth: list[float], k: int, *, is_linear: bool
) -> tuple[float, float, float]:
    """Precision, NDCG, AP of one user, as TaNP's program and (`is_linear`) HIRE's count them."""
    left, hits, precisions = sorted(truth, reverse=True)[:k], 0, 0.0
    gain = best = 0.0
    for place, value in enumerate(sorted(truth, reverse=True)[:k]):
        best += (value if is_linear else 2**value - 1) / math.log(place + 2, 2)
    for place in range(k):
        value = truth[order[place]]
        gain += (value if is_linear else 2**value - 1) / math.log(place + 2, 2)
        if value in left:
            left.remove(value)
            hits += 1
            precisions += hits / (place + 1)
    return hits / k, gain / best, precisions / k


@pytest.mark.parametrize("is_linear", [False, True])
@pytest.mark.parametrize("levels", [2, 5, 11])
def test_scores_equal_a_literal_count_on_random_tables(levels: int, is_linear: bool) -> None:
    rng = np.random.default_rng(levels)
    lengths = rng.integers(10, 30, 40)
    owner = np.repeat(np.arange(40), lengths)
    actual = rng.integers(0, levels, len(owner)).astype(np.float64)
    actual[np.cumsum(lengths) - 1] = levels - 1  # nobody without a gain
    predicted = rng.permutation(len(owner)).astype(np.float64)

    found = tanp_scores(predicted, actual, owner, 40, (5, 7, 10), rng, is_linear=is_linear)

    for user in range(40):
        mine = owner == user
        order = list(np.argsort(-predicted[mine]))
        for k in (5, 7, 10):
            expected = by_hand(order, list(actual[mine]), k, is_linear=is_linear)
            names = (f"precision@{k}", f"ndcg@{k}", f"map@{k}")
            assert [found[n][user] for n in names] == pytest.approx(expected, abs=1e-12)


def test_equal_predictions_are_ordered_by_chance_and_nothing_asked_scores_nothing() -> None:
    owner = np.repeat([0, 2], 400)
    actual = np.tile([1.0, 0.0], 400)

    found = tanp_scores(np.zeros(800), actual, owner, 3, (100,), np.random.default_rng(0))

    assert found["precision@100"][[0, 2]] == pytest.approx(0.5, abs=0.15)
    assert np.isnan(found["ndcg@100"][1])

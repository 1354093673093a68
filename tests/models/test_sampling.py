"""A sample of the catalog stands for all of it."""

from __future__ import annotations

import numpy as np
import pytest

from metarec.models.sampling import stand_ins


def test_items_always_there_come_first_and_the_others_stand_for_the_rest() -> None:
    always = np.array([3, 7])
    shown, log_weights = stand_ins(20, always, 6, np.random.default_rng(0))
    assert shown[:2].tolist() == [3, 7]
    assert len(np.unique(shown)) == 8
    assert log_weights[:2].tolist() == [0.0, 0.0]
    assert np.exp(log_weights).sum() == pytest.approx(20.0)


def test_a_sum_over_the_sample_is_the_sum_over_the_catalog_in_the_mean() -> None:
    rng, chances = np.random.default_rng(1), np.random.default_rng(2).random(50)
    always = np.array([0, 49])
    sums = []
    for _ in range(2000):
        shown, log_weights = stand_ins(50, always, 10, rng)
        sums.append((np.exp(log_weights) * chances[shown]).sum())
    assert np.mean(sums) == pytest.approx(chances.sum(), rel=0.02)


def test_all_of_a_small_catalog_is_there_once() -> None:
    shown, log_weights = stand_ins(4, np.array([2]), 99, np.random.default_rng(0))
    assert shown.tolist() == [2, 0, 1, 3]
    assert not log_weights.any()

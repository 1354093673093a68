"""Intervals cover, corrections correct, and a difference knows its sign."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, ttest_rel

from metarec.data.schema import BadInput
from metarec.evaluation.significance import holm, interval, paired_difference, resample


def test_resamples_draw_everyone_equally_and_as_many_as_there_are():
    weights = resample(50, np.random.default_rng(0), draws=450)
    assert weights.shape == (450, 50)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.mean() == 1.0
    assert weights.var() == pytest.approx(1 - 1 / 50, abs=0.05)  # multinomial
    assert not np.array_equal(weights[0], weights[200])  # blocks are drawn anew


def test_the_interval_of_the_mean_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    samples = rng.exponential(2.0, (300, 120))
    weights = resample(120, rng, draws=500)
    low, high = interval(samples, weights)
    assert ((low < 2.0) & (high > 2.0)).mean() == pytest.approx(0.94, abs=0.035)
    narrow_low, narrow_high = interval(samples, weights, level=0.5)
    assert ((narrow_low < 2.0) & (narrow_high > 2.0)).mean() == pytest.approx(0.5, abs=0.08)


def test_users_without_a_value_are_left_out():
    weights = resample(6, np.random.default_rng(2))
    low, high = interval(np.array([1.0, np.nan, 1.0, np.nan, 1.0, np.nan]), weights)
    assert (low, high) == (pytest.approx(1.0), pytest.approx(1.0))


def test_a_difference_is_paired_signed_and_tested():
    rng = np.random.default_rng(3)
    theirs = rng.normal(size=200)
    ours = (
        theirs + 0.1 + 0.05 * rng.normal(size=200)
    )  # tiny against the spread of users: only pairing sees it
    weights = resample(200, rng)
    better = paired_difference(ours, theirs, weights)
    assert better.low > 0.08
    assert better.mean == pytest.approx((ours - theirs).mean())
    assert better.p_value == pytest.approx(ttest_rel(ours, theirs).pvalue)
    assert better.is_clear
    error = paired_difference(ours, theirs, weights, higher_is_better=False)
    assert error.mean == pytest.approx(-better.mean)
    assert str(better) == f"{better.mean:+.3f} [{better.low:+.3f}, {better.high:+.3f}]"


def test_equal_recommenders_do_not_differ():
    values = np.random.default_rng(4).random(30)
    same = paired_difference(values, values, resample(30, np.random.default_rng(5)))
    assert (same.mean, same.low, same.high, same.p_value, same.is_clear) == (
        0.0,
        0.0,
        0.0,
        1.0,
        False,
    )
    with pytest.raises(BadInput, match=r"\(30,\) values against \(29,\)"):
        paired_difference(values, values[1:], resample(30, np.random.default_rng(5)))


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12).map(np.array))
def test_holm_never_helps_keeps_the_order_and_is_stricter_than_false_discovery(p_values):
    corrected = holm(p_values)
    assert ((corrected >= p_values) & (corrected <= 1)).all()
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(corrected[order]) >= 0).all()
    assert (corrected >= false_discovery_control(p_values) - 1e-12).all()


def test_holm_keeps_false_findings_rare():
    rng = np.random.default_rng(6)
    found = [(holm(rng.random(20)) < 0.05).any() for _ in range(800)]
    assert np.mean(found) == pytest.approx(0.05, abs=0.025)


@pytest.mark.parametrize("users", [8, 15])
def test_intervals_of_few_users_cover_the_truth_too(users):
    rng = np.random.default_rng(6)
    samples = np.where(rng.random((2000, users)) < 0.4, rng.normal(size=(2000, users)), 0.0)
    low, high = interval(samples, resample(users, rng, draws=1000))
    assert ((low <= 0) & (high >= 0)).mean() > 0.92


@pytest.mark.parametrize("gap", [[0.3], [0.3, 0.2], [0.1, 0.1], [0.01, 0.3, 0.2]])
def test_one_two_or_three_users_make_nothing_clear(gap):
    ours = np.array(gap)
    found = paired_difference(ours, 0 * ours, resample(len(gap), np.random.default_rng(7)))
    assert found.low > 0
    assert not found.is_clear

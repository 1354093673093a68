"""Medians of ratings: the curve that predictions follow, and what shares are of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metarec.data.cold_users import SHORT
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.rating.columns import columns_of, log_popularity, spread_of
from metarec.models.rating.curve import MedianCurves, bend, median_curve
from metarec.models.rating.head import RatingHead


def leaning(rng: np.random.Generator, events: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions, and stated values that rise fast in their middle and lean downwards."""
    steps = rng.uniform(-1.5, 1.5, events)
    return steps, 1.5 * np.tanh(2.0 * steps) + 0.6 - rng.exponential(0.6, events)


def test_a_curve_lowers_the_absolute_error_of_others_and_not_for_squared_error() -> None:
    rng = np.random.default_rng(0)
    steps, targets = leaning(rng, 4000)
    half = np.arange(4000) % 2 == 0

    corners, values = median_curve(steps, targets, np.full(4000, 0.1), half)

    others, stated = leaning(rng, 4000)
    before, after = (np.abs(stated - said) for said in (others, bend(others, corners, values)))
    assert after.mean() < 0.9 * before.mean()
    assert (after**2).mean() < (before**2).mean()
    assert (np.diff(values) > 0).all()


def test_medians_that_would_cost_squared_error_are_left() -> None:
    rng = np.random.default_rng(2)
    steps = rng.uniform(-0.5, 0.5, 3000)  # expectations: what is said once in three is two lower
    targets = np.where(rng.random(3000) < 1 / 3, steps - 2.0, steps + 1.0)

    corners, values = median_curve(steps, targets, np.full(3000, 0.1), np.arange(3000) % 2 == 0)

    before, after = (targets - said for said in (steps, bend(steps, corners, values)))
    assert (after**2).mean() < 1.005 * (before**2).mean()


@pytest.mark.parametrize("chance", [0.3, 0.35, 0.4])
def test_a_curve_goes_towards_the_median_until_squared_error_is_the_line_s(chance: float) -> None:
    """Both halves are the same, so what is not above between them is not above in all."""
    rng = np.random.default_rng(3)
    steps = np.tile(rng.uniform(-1.5, 1.5, 3000), 2)
    curved = 0.5 * np.cos(2.0 * steps) + np.tile(np.where(rng.random(3000) < chance, -2.0, 1.0), 2)
    targets = steps + curved - curved.mean()

    corners, values = median_curve(steps, targets, np.full(6000, 0.1), np.arange(6000) < 3000)

    before, after = (targets - said for said in (steps, bend(steps, corners, values)))
    assert (after**2).mean() == pytest.approx((before**2).mean(), rel=1e-9)
    assert np.abs(after).mean() < 0.99 * np.abs(before).mean()


def test_nothing_bends_where_the_line_is_right() -> None:
    rng = np.random.default_rng(1)
    steps = rng.normal(size=2000)
    targets = steps + rng.laplace(0, 0.5, 2000)

    corners, values = median_curve(steps, targets, np.ones(2000), np.arange(2000) % 2 == 0)

    np.testing.assert_array_equal(values, corners)


@pytest.mark.parametrize("steps", [np.zeros(40), np.repeat([-1.0, 0.5], 20)])
def test_predictions_that_are_all_the_same_have_a_curve_too(steps: np.ndarray) -> None:
    targets = np.where(np.arange(40) % 3 == 0, -2.0, 1.0)

    corners, values = median_curve(steps, targets, np.ones(40), np.arange(40) % 2 == 0)

    assert (np.diff(corners) > 0).all()
    assert (np.diff(values) > 0).all()
    assert np.isfinite(bend(steps, corners, values)).all()


def test_curves_lie_between_those_of_the_nearest_numbers_of_ratings() -> None:
    corners = np.array([[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]])
    values = np.array([[-1.0, 0.0, 1.0], [-0.5, 0.5, 1.5]])
    curves = MedianCurves(points=np.array([0, 3]), corners=corners, values=values)
    steps = np.array([-2.0, -0.5, 0.5, 4.0, 0.0])

    bent = curves.of(steps, np.array([0, 3, 9, 3, 1]))

    np.testing.assert_allclose(bent, [-2.0, 0.0, 1.0, 4.5, 0.25])
    np.testing.assert_array_equal(MedianCurves.straight().of(steps, np.zeros(5, int)), steps)


def test_users_and_items_scale_what_is_said() -> None:
    support = Histories.of_indexes([np.array([0, 1, 2]), np.array([0, 1]), np.zeros(0, int)])
    left = np.array([2.0, -2.0, 1.0, 0.1, -0.1])

    spread, fame = spread_of(support, left, 0.64), log_popularity(support.items, 4)

    assert spread[0] == pytest.approx(((9.0 + 3 * 0.64) / 6) ** 0.5 - 0.8)
    assert spread[1] < 0 == spread[2]
    middle = (4 * np.log(3) + np.log(2)) / 5
    assert fame == pytest.approx([*[np.log(3) / middle - 1] * 2, np.log(2) / middle - 1, 0.0])
    row = columns_of(np.array([0.5]), np.array([3.0]), np.array([2.0]), np.array([-1.0]))
    np.testing.assert_array_equal(row, [[1.0, 0.5, 3.0, 2.0, 1.0, 6.0, -1.0, -0.5, -3.0]])


def of_wide_and_narrow(seed: int) -> Behavior:
    """400 users, every other of whom uses the whole scale and the others its middle; ratings lean
    downwards and are whole numbers.
    """
    rng = np.random.default_rng(seed)
    plain = Histories.of_indexes([rng.choice(40, size=12, replace=False) for _ in range(400)])
    scale, quality = np.where(np.arange(400) % 2, 0.2, 1.0), rng.normal(size=40)
    lean = 0.7 - rng.exponential(0.7, len(plain.items))
    values = 4.0 + scale[plain.owners] * (1.2 * quality[plain.items] + lean)
    return Behavior(
        histories=replace(plain, values=np.clip(np.round(values), 1, 5).astype(np.float32)),
        profiles=np.zeros((400, 0), np.float32),
        content=np.zeros((40, 0), np.float32),
        relevant_from=4.0,
        horizon=SHORT,
    )


@pytest.fixture(scope="module")
def wide() -> tuple[Behavior, RatingHead]:
    return of_wide_and_narrow(0), RatingHead.fit(of_wide_and_narrow(0), np.random.default_rng(0))


def test_a_user_who_rates_widely_is_predicted_widely(wide: tuple[Behavior, RatingHead]) -> None:
    behavior, head = wide
    support, asked = behavior.histories.first(3), behavior.histories.after(3)

    steps, _ = head.steps(support, asked)
    plain = head.shares.copy()
    plain[:, 3:] = 0.0
    before, _ = replace(head, shares=plain).steps(support, asked)

    is_wide = asked.owners % 2 == 0
    assert steps[is_wide].std() / steps[~is_wide].std() > 1.1 * (
        before[is_wide].std() / before[~is_wide].std()
    )
    targets = (asked.values - head.mean) / head.unit
    assert np.abs(targets - steps).mean() < 0.97 * np.abs(targets - before).mean()


def test_predictions_are_medians_in_the_order_of_expectations(
    wide: tuple[Behavior, RatingHead],
) -> None:
    behavior, head = wide
    support, asked = behavior.histories.first(3), behavior.histories.after(3)

    steps, _ = head.steps(support, asked)
    values, _ = head.predict(support, asked)
    straight, _ = replace(head, curves=MedianCurves.straight()).predict(support, asked)

    errors = [np.abs(asked.values - said).mean() for said in (values, straight)]
    assert errors[0] < 0.99 * errors[1]
    of_one = slice(*asked.offsets[:2])
    inside = (values[of_one] > head.low) & (values[of_one] < head.high)
    order = np.argsort(steps[of_one][inside])
    np.testing.assert_array_equal(np.argsort(values[of_one][inside]), order)


def test_a_head_keeps_its_curves_when_saved_and_one_of_before_has_none(
    wide: tuple[Behavior, RatingHead],
) -> None:
    behavior, head = wide
    support, asked = behavior.histories.first(3), behavior.histories.after(3)
    arrays = dict(head.arrays())

    again = RatingHead.from_arrays(arrays)
    new = ("fame", "curve_corners", "curve_values")
    kept = {name: array for name, array in arrays.items() if name not in new}
    old = RatingHead.from_arrays({**kept, "shares": head.shares[:, :3]})

    np.testing.assert_array_equal(again.predict(support, asked), head.predict(support, asked))
    plain = head.shares.copy()
    plain[:, 3:] = 0.0
    expected = replace(head, shares=plain, curves=MedianCurves.straight())
    np.testing.assert_array_equal(old.predict(support, asked), expected.predict(support, asked))


def test_a_new_item_is_new_and_not_unloved(wide: tuple[Behavior, RatingHead]) -> None:
    _, head = wide

    grown = head.with_content(np.zeros((42, 0), np.float32))

    np.testing.assert_array_equal(grown.fame[40:], [0.0, 0.0])
    np.testing.assert_array_equal(grown.fame[:40], head.fame)

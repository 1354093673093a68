"""Intervals cover what they say on users never calibrated on, however wrong the model's own spread
is.
"""

import json
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import norm

from metarec.data.cold_users import ColdUser
from metarec.data.schema import BadInput
from metarec.models.rating.rehearsal import HeldOutErrors
from metarec.recommendation.conformal import Conformal
from metarec.recommendation.slate import Request


def calibrate(
    model,
    cold_users: Sequence[ColdUser],
    *,
    support_sizes: Sequence[int],
    value_range: tuple[float, float],
    level: float = 0.9,
) -> Conformal:
    """Find the stretch on new users the model was not fitted on.

    Args:
        support_sizes: numbers of events to calibrate at.
        value_range: predictions are clipped to it first, as everywhere else.

    Raises:
        BadInput: if there are too few new users for the level (the interval would have to be
            infinite).
    """
    evaluated = [user for user in cold_users if user.rated]
    asked = [[item_id for item_id, _ in user.rated] for user in evaluated]
    actual = np.array([value for user in evaluated for _, value in user.rated])
    steps = tuple(sorted(set(support_sizes)))
    ratios = np.zeros((len(steps), len(actual)))
    for row, events in enumerate(steps if evaluated else ()):
        requests = [Request(history=user.first(events), profile=user.profile) for user in evaluated]
        predicted = np.clip(np.concatenate(model.rate(requests, asked)), *value_range)
        ratios[row] = np.abs(actual - predicted) / np.maximum(
            np.concatenate(model.rate_std(requests, asked)), 1e-12
        )
    owners = np.repeat(np.arange(len(evaluated)), [len(ids) for ids in asked])
    return Conformal.of_errors(
        HeldOutErrors(support_sizes=steps, ratios=ratios, owners=owners, users=len(evaluated)),
        level,
    )


class TooSure:
    """Predicts 3 for everyone with a spread of 0.5, where the truth is 3 plus noise that shrinks as
    events arrive.
    """

    def rate(self, requests, item_ids):
        return [np.full(len(ids), 3.0) for ids in item_ids]

    def rate_std(self, requests, item_ids):
        return [
            np.full(len(ids), 0.5 * (1.0 if len(r.history) else 1.5))
            for r, ids in zip(requests, item_ids, strict=True)
        ]


def users(n, seed, lengths=(1, 30)):
    """Each user has a bias of their own, so that errors within a user are alike."""
    rng = np.random.default_rng(seed)
    found = []
    for p in range(n):
        values = 3.0 + rng.normal(0, 0.8) + rng.normal(0, 0.8, rng.integers(*lengths))
        query = [(f"i{j}", float(v)) for j, v in enumerate(values)]
        found.append(
            ColdUser(user_id=str(p), profile={}, pool=[("a", 3.0)] * 5, query=query, relevant=[])
        )
    return found


def coverage(conformal, cold_users, n_support):
    """Mean over users of the share of their values inside the interval."""
    low, high = conformal.interval(np.array(3.0), np.array(0.5 if n_support else 0.75), n_support)
    return np.mean([np.mean([(low <= v) & (v <= high) for _, v in p.query]) for p in cold_users])


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_unseen_users_are_covered_as_promised(level):
    found = []
    for seed in range(8):
        conformal = calibrate(
            TooSure(), users(150, seed), support_sizes=(0, 5), value_range=(-9, 9), level=level
        )
        found += [coverage(conformal, users(400, 1000 + seed), n_support) for n_support in (0, 5)]
    assert np.mean(found) == pytest.approx(level, abs=0.015)
    assert min(found) > level - 0.05


def test_the_stretch_differs_by_number_of_events_and_is_interpolated_between():
    found = calibrate(TooSure(), users(200, 0), support_sizes=(0, 5), value_range=(-9, 9))
    assert found.stretch[1] == pytest.approx(1.5 * found.stretch[0])
    assert found.stretch[0] < found.factor(2) < found.stretch[1]
    assert found.factor(50) == found.stretch[1]
    np.testing.assert_allclose(found.factor(np.array([0, 5])), found.stretch)


def test_a_user_of_many_values_counts_as_much_as_one_of_few():
    shy = [
        ColdUser(user_id=str(n), profile={}, pool=[], query=[("i", 3.5)], relevant=[])
        for n in range(99)
    ]
    wild = ColdUser(
        user_id="w", profile={}, pool=[], query=[(f"i{j}", 9.0) for j in range(5000)], relevant=[]
    )
    found = calibrate(TooSure(), [*shy, wild], support_sizes=(0,), value_range=(0, 9))
    assert found.stretch[0] == pytest.approx(0.5 / 0.75 / norm.ppf(0.95))


def test_the_interval_stays_on_the_scale_and_the_wider_std_gives_it():
    found = Conformal(support_sizes=(0,), stretch=(2.0,))
    low, high = found.interval(np.array([4.8, 3.0]), np.array([0.4, 0.1]), 3, (1.0, 5.0))
    half = norm.ppf(0.95) * 2.0
    np.testing.assert_allclose(low, [4.8 - half * 0.4, 3.0 - half * 0.1])
    np.testing.assert_allclose(high, [5.0, 3.0 + half * 0.1])
    np.testing.assert_allclose(found.widen(np.array([0.4]), 3), [0.8])


def test_it_is_saved_as_json():
    found = calibrate(TooSure(), users(30, 0), support_sizes=(5, 0), value_range=(1, 5))
    assert Conformal.of_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.support_sizes == (0, 5) and found.cold_users == 30


def test_bad_input_is_refused():
    with pytest.raises(
        BadInput, match="90% intervals need at least 9 new users with values to check, got 8"
    ):
        calibrate(TooSure(), users(8, 0), support_sizes=(0,), value_range=(1, 5))
    with pytest.raises(BadInput, match="support_sizes must be ascending"):
        Conformal(support_sizes=(3, 0), stretch=(1.0, 1.0))
    with pytest.raises(BadInput, match="level must lie between 0 and 1"):
        Conformal(support_sizes=(0,), stretch=(1.0,), level=1.0)

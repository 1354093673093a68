"""A simulated logging policy where the truth is known: estimates reach it, intervals cover it,
mistakes are told.
"""

import numpy as np
import pytest

from metarec.data.schema import BadInput
from metarec.evaluation.offpolicy import difference, doubly_robust, importance, snips

CHANCES = np.array(
    [[0.05, 0.1, 0.3, 0.6], [0.5, 0.4, 0.1, 0.02]]
)  # of a click, by kind of user and item
LOGGING = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]])  # mostly shows the wrong items
TARGET = np.array([[0.1, 0.1, 0.2, 0.6], [0.6, 0.2, 0.1, 0.1]])
TRUTH = (CHANCES * TARGET).sum(axis=1).mean()


def _log(rng, rows):
    user = rng.integers(0, 2, rows)
    item = (rng.random(rows)[:, None] > LOGGING[user].cumsum(axis=1)).sum(axis=1)
    rewards = (rng.random(rows) < CHANCES[user, item]).astype(float)
    return user, item, rewards, LOGGING[user, item], TARGET[user, item]


def test_snips_finds_what_the_target_would_earn_and_the_plain_mean_does_not():
    _, _, rewards, shown, wanted = _log(np.random.default_rng(7), 20_000)
    estimate = snips(rewards, shown, wanted)
    assert estimate.value == pytest.approx(TRUTH, abs=0.02)
    assert abs(rewards.mean() - TRUTH) > 0.1
    assert estimate.low < TRUTH < estimate.high
    assert estimate.is_trustworthy


def test_doubly_robust_survives_either_model_being_wrong():
    user, item, rewards, shown, wanted = _log(np.random.default_rng(1), 20_000)
    right = CHANCES[user, item], (CHANCES * TARGET).sum(axis=1)[user]
    wrong = np.full(len(rewards), 0.9), np.full(len(rewards), 0.9)
    assert doubly_robust(rewards, shown, wanted, *right).value == pytest.approx(TRUTH, abs=0.01)
    assert doubly_robust(rewards, shown, wanted, *wrong).value == pytest.approx(TRUTH, abs=0.04)
    bad_propensities = np.full(len(rewards), 0.25)
    assert doubly_robust(rewards, bad_propensities, wanted, *right).value == pytest.approx(
        TRUTH, abs=0.02
    )
    assert abs(snips(rewards, bad_propensities, wanted).value - TRUTH) > 0.02


def test_a_good_model_narrows_the_interval():
    user, item, rewards, shown, wanted = _log(np.random.default_rng(2), 5_000)
    robust = doubly_robust(
        rewards, shown, wanted, CHANCES[user, item], (CHANCES * TARGET).sum(axis=1)[user]
    )
    blind = doubly_robust(rewards, shown, wanted, np.full(5_000, 0.9), np.full(5_000, 0.9))
    assert robust.high - robust.low < 0.9 * (blind.high - blind.low)


@pytest.mark.parametrize("estimator", ["snips", "doubly_robust"])
def test_intervals_cover_the_truth_as_often_as_they_say(estimator):
    rng, covered = np.random.default_rng(3), []
    for _ in range(300):
        user, item, rewards, shown, wanted = _log(rng, 800)
        made = (
            snips(rewards, shown, wanted)
            if estimator == "snips"
            else doubly_robust(
                rewards,
                shown,
                wanted,
                CHANCES[user, item] * 0.7,
                (CHANCES * TARGET).sum(axis=1)[user] * 0.7,
            )
        )
        covered.append(made.low < TRUTH < made.high)
    assert 0.91 < np.mean(covered) < 0.98


@pytest.mark.parametrize("n_users", [2, 4, 10])
def test_intervals_of_few_users_cover_the_truth_too(n_users):
    """Users differ in how much they like everything; two users tell little of all others."""
    rng, covered = np.random.default_rng(6), []
    for _ in range(400):
        taste = rng.uniform(0.1, 0.9, n_users)
        user = np.repeat(np.arange(n_users), 200)
        rewards = (rng.random(len(user)) < taste[user]).astype(float)
        shown = np.full(len(user), 0.5)
        wanted = rng.integers(0, 2, len(user)).astype(float)
        made = snips(rewards, shown, wanted, user)
        covered.append(made.low <= 0.5 <= made.high)
    assert 0.92 < np.mean(covered) < 0.98


def test_one_user_gives_no_interval_and_decides_nothing():
    rewards, half = np.arange(200) % 2.0, np.full(200, 0.5)
    alone = snips(rewards, half, half, np.zeros(200))
    assert alone.value == pytest.approx(0.5)
    assert (alone.low, alone.high) == (-np.inf, np.inf)
    assert not alone.is_trustworthy
    assert "all rows are of one user: do not decide by it" in str(alone)


def test_rare_rewards_decide_nothing_until_there_are_enough_of_them():
    """At 2 likes in 100 rows a normal interval holds the truth twice in three times."""
    rng, covered = np.random.default_rng(8), []
    for _ in range(1500):
        rows = int(rng.choice([60, 200, 800]))
        rewards, half = (rng.random(rows) < 0.02).astype(float), np.full(rows, 0.5)
        made = snips(rewards, half, half)
        if made.is_trustworthy:
            covered.append(made.low <= 0.02 <= made.high)
        assert made.is_trustworthy == (rewards.sum() >= 10)
    assert len(covered) > 300
    assert np.mean(covered) > 0.92
    none = snips(np.zeros(100), np.full(100, 0.5), np.full(100, 0.5))
    assert "only 0 effective rows with another reward: do not decide by it" in str(none)


def test_a_doubly_robust_estimate_without_any_agreement_has_no_effective_row():
    rewards, shown, nothing = np.arange(100) % 2.0, np.full(100, 0.9), np.zeros(100)
    found = doubly_robust(rewards, shown, nothing, np.full(100, 0.5), np.full(100, 0.5))
    assert found.effective_rows == 0.0
    assert not found.is_trustworthy


def test_the_difference_of_two_policies_is_paired_and_covers_the_truth():
    """Two policies that mostly agree: their errors are the same ones, and cancel."""
    near = 0.9 * TARGET + 0.1 * TARGET[:, ::-1]
    gain = (CHANCES * (near - TARGET)).sum(axis=1).mean()
    rng, covered, widths = np.random.default_rng(9), [], []
    for _ in range(400):
        user, item, rewards, shown, wanted = _log(rng, 800)
        one, other = snips(rewards, shown, near[user, item]), snips(rewards, shown, wanted)
        low, high = difference(one, other)
        covered.append(low <= gain <= high)
        widths.append((high - low) / ((one.high - one.low) + (other.high - other.low)))
    assert 0.92 < np.mean(covered) < 0.98
    assert np.mean(widths) < 0.3
    with pytest.raises(BadInput, match="two estimates from one log, got 800 and 1 rows"):
        difference(one, snips(np.ones(1), np.ones(1), np.ones(1)))


def test_rows_of_one_user_are_not_counted_as_many_users():
    rng = np.random.default_rng(4)
    rewards = np.repeat(rng.random(40), 50)  # all rows of a user are alike
    half = np.full(2000, 0.5)
    rows, users = (
        snips(rewards, half, half),
        snips(rewards, half, half, users=np.repeat(np.arange(40), 50)),
    )
    assert users.value == rows.value
    assert (users.high - users.low) > 5 * (rows.high - rows.low)


def test_the_same_policy_earns_what_was_logged():
    _, _, rewards, shown, _ = _log(np.random.default_rng(5), 500)
    assert snips(rewards, shown, shown).value == pytest.approx(rewards.mean())
    assert snips(rewards, shown, shown).effective_rows == pytest.approx(500)


def test_a_target_the_log_never_showed_is_not_trusted():
    rewards, shown = np.zeros(100), np.full(100, 0.9)
    nowhere = snips(rewards, shown, np.zeros(100))
    assert np.isnan(nowhere.value)
    assert not nowhere.is_trustworthy
    few = snips(rewards, shown, (np.arange(100) < 3).astype(float))
    assert few.effective_rows == pytest.approx(3)
    assert "only 3 effective rows: do not decide by it" in str(few)


def test_weights_are_clipped_and_mistakes_told():
    one = np.ones(1)
    assert importance(np.array([1e-9]), one).tolist() == [100.0]
    with pytest.raises(
        BadInput, match=r"propensities lie in \(0, 1\], got 0.0; log the probability"
    ):
        snips(one, np.zeros(1), one)
    with pytest.raises(BadInput, match=r"target probabilities lie in \[0, 1\], got 2.0"):
        snips(one, one, np.array([2.0]))
    with pytest.raises(BadInput, match="the log is empty"):
        snips(np.empty(0), np.empty(0), np.empty(0))
    with pytest.raises(BadInput, match=r"one value per row, got shapes \(1,\), \(2,\)"):
        snips(np.ones(2), one, one)

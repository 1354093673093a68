"""Learners on a world whose right answers are known: the withheld item of a new user's taste comes
first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from episodes import histories_of
from metarec.features.behavior import Behavior
from metarec.models.few_shot.fitted import PAIRS, FittedLearner, parts_of
from metarec.models.few_shot.inputs import ItemColumns
from metarec.models.few_shot.learners import LEARNERS
from metarec.models.few_shot.training import Training
from metarec.models.few_shot.values import ValueScale
from models.tastes import TASTE, likes, two_tastes


@pytest.fixture(scope="module")
def behavior() -> Behavior:
    return two_tastes()


@pytest.fixture(scope="module", autouse=True)
def _short_training():
    """A tiny world is learned in a few steps."""
    patch = pytest.MonkeyPatch()
    for name, method in LEARNERS.items():
        patch.setitem(
            LEARNERS,
            name,
            replace(
                method,
                training=Training(outer_steps=60, tasks_per_step=16, outer_lr=2e-2, dropout=0.0),
            ),
        )
    yield
    patch.undo()


@pytest.mark.parametrize("name", [name for name, method in LEARNERS.items() if method.ranks])
def test_a_new_users_taste_comes_first(name, behavior):
    """Known from their events alone: a profile would tell the taste before any."""
    events_only = replace(behavior, profiles=np.zeros((len(behavior.profiles), 0), np.float32))
    learner = FittedLearner.fit(events_only, np.random.default_rng(0), name=name)
    cold_users = [likes(taste, withheld) for taste in range(2) for withheld in (2, 5)]
    scores = learner.scores(histories_of(cold_users), np.zeros((4, 0), np.float32))
    own = np.arange(2 * TASTE)[None] // TASTE == np.array([0, 0, 1, 1])[:, None]
    if (
        name == "reptile"
    ):  # asks no query, so it hardly dares to move; the direction must still be right
        empty = learner.scores(histories_of([[]]), np.zeros((1, 0), np.float32))
        scores = scores - empty
    assert (
        np.where(own, scores, np.inf).min(1) > np.where(own, -np.inf, scores).max(1)
    ).mean() >= 0.75


@pytest.mark.parametrize("name", LEARNERS)
def test_predicted_values_tell_tastes_apart(name, behavior):
    learner = FittedLearner.fit(
        behavior,
        np.random.default_rng(0),
        name=name,
        objective="rating",
        settings={"inner_lr": 0.1} if name == "melu" else {},
    )
    values = learner.values(histories_of([likes(0, 2), likes(1, 2)]), np.eye(2, dtype=np.float32))
    assert values.min() >= 1.0
    assert values.max() <= 5.0
    own = values[0, :TASTE].mean() + values[1, TASTE:].mean()
    other = values[0, TASTE:].mean() + values[1, :TASTE].mean()
    assert own > other + 0.5


@pytest.mark.parametrize("name", LEARNERS)
def test_saved_and_loaded_is_the_same(name, behavior):
    learner = FittedLearner.fit(behavior, np.random.default_rng(0), name=name)
    again = FittedLearner.from_arrays(
        {key: np.array(value) for key, value in learner.arrays().items()}
    )
    shown, profiles = histories_of([likes(0, 1), []]), np.eye(2, dtype=np.float32)
    np.testing.assert_array_equal(learner.scores(shown, profiles), again.scores(shown, profiles))


def test_the_same_seed_gives_the_same_prior(behavior):
    priors = [
        FittedLearner.fit(behavior, np.random.default_rng(seed), name="anil").prior
        for seed in (0, 0, 1)
    ]
    assert all(np.array_equal(priors[0][key], priors[1][key]) for key in priors[0])
    assert any(not np.array_equal(priors[0][key], priors[2][key]) for key in priors[0])


def test_an_item_nobody_has_met_is_scored_by_its_content(behavior):
    learner = FittedLearner.fit(behavior, np.random.default_rng(0), name="bayesian_ridge")
    grown = learner.with_items(np.concatenate([behavior.content, np.eye(2, dtype=np.float32)]))
    shown, profiles = histories_of([likes(0, 2), likes(1, 2)]), np.zeros((2, 2), np.float32)
    scores = grown.scores(shown, profiles)
    np.testing.assert_allclose(
        scores[:, : 2 * TASTE], learner.scores(shown, profiles), rtol=1e-5, atol=1e-5
    )
    assert scores[0, -2] > scores[0, -1]
    assert scores[1, -1] > scores[1, -2]


def test_evidence_is_a_share(behavior):
    learner = FittedLearner.fit(behavior, np.random.default_rng(0), name="prototypical")
    evidence = learner.chances(histories_of([likes(0, 2), []]), np.zeros((2, 2), np.float32))
    np.testing.assert_allclose(evidence.sum(1), 1.0, rtol=1e-5)
    assert (evidence > 0).all()


def test_the_best_prior_seen_is_kept(behavior):
    seen = []

    def validate(learner):
        seen.append(learner.prior)
        return [0.1, 0.9, 0.3][min(len(seen), 3) - 1]

    patch = pytest.MonkeyPatch()
    patch.setitem(
        LEARNERS,
        "r2d2",
        replace(LEARNERS["r2d2"], training=Training(outer_steps=30, evaluate_every=10)),
    )
    learner = FittedLearner.fit(behavior, np.random.default_rng(0), name="r2d2", validate=validate)
    patch.undo()
    assert len(seen) == 3
    assert all(np.array_equal(learner.prior[key], seen[1][key]) for key in learner.prior)
    assert any(not np.array_equal(learner.prior[key], seen[2][key]) for key in learner.prior)


def test_columns_of_unmet_items_come_from_content():
    behavior = two_tastes()
    histories = behavior.histories
    hidden = replace(behavior, histories=histories.where(histories.items != 3))
    columns = ItemColumns.fit(hidden, np.random.default_rng(0))
    own, other = columns.factors[:TASTE], columns.factors[TASTE:]
    unmet = columns.factors[3]
    assert np.linalg.norm(unmet) > 0
    assert unmet @ np.delete(own, 3, axis=0).mean(0) > unmet @ other.mean(0)


def test_values_are_seen_and_told_as_they_are():
    behavior = two_tastes()
    scale = ValueScale.fit(behavior)
    assert (scale.low, scale.high, scale.middle) == (1.0, 5.0, 3.0)
    liking = scale.transform(behavior.histories, "liking").values
    assert ((liking > 0) == (behavior.histories.values >= 4.0)).all()
    assert liking.min() == -1.0
    assert liking.max() == 1.0
    unit = scale.transform(behavior.histories, "unit").values
    np.testing.assert_allclose(1.0 + 4.0 * unit, behavior.histories.values, rtol=1e-6)
    residual = scale.transform(behavior.histories, "residual")
    dense = np.zeros((len(residual), behavior.n_items), np.float32)
    dense[residual.owners, residual.items] = residual.values
    np.testing.assert_allclose(
        scale.inverse_transform(dense, "residual")[residual.owners, residual.items],
        behavior.histories.values,
        atol=1e-4,
    )


def test_acts_without_values_are_all_liked():
    behavior = two_tastes()
    acts = replace(
        behavior,
        histories=replace(
            behavior.histories, values=np.ones(len(behavior.histories.items), np.float32)
        ),
        relevant_from=-np.inf,
    )
    assert (ValueScale.fit(acts).transform(acts.histories, "liking").values == 1.0).all()


@pytest.mark.parametrize("name", ["r2d2", "deep_kernel", "siamese", "anil"])
def test_items_embedded_once_score_as_items_embedded_anew(name, behavior):
    learner = FittedLearner.fit(behavior, np.random.default_rng(0), name=name)
    assert learner._served.embedded is not None
    shown, profiles = histories_of([likes(0, 2), []]), np.eye(2, dtype=np.float32)
    support = learner.support(shown, profiles)
    anew = learner.learner.score(
        learner.prior, learner.learner.adapt(learner.prior, support, learner.items), learner.items
    )
    np.testing.assert_allclose(learner.scores(shown, profiles), anew.numpy(), atol=1e-5)


def test_a_tower_that_adapts_is_not_embedded_beforehand(behavior):
    learner = FittedLearner.fit(behavior, np.random.default_rng(0), name="maml")
    assert learner._served.embedded is None


def test_who_did_much_is_asked_about_in_small_parts():
    """A closed form holds matrices of the square of the longest support for everyone of a part."""
    lengths = np.random.default_rng(0).permutation([*[700] * 60, *[3] * 60, 4000])
    parts = parts_of(lengths, 1000)
    assert sorted(np.concatenate(parts)) == [*range(len(lengths))]
    assert all(len(p) == 1 or len(p) * lengths[p].max() ** 2 <= PAIRS for p in parts)
    assert (lengths[parts[0]] == 3).all()  # padded to nobody longer
    assert len(parts[0]) == 60


def test_users_in_parts_are_scored_as_alone(behavior):
    learner = FittedLearner.untrained(behavior, np.random.default_rng(0), name="r2d2")
    rng = np.random.default_rng(1)
    items = [[(int(i), 1.0) for i in rng.integers(0, 2 * TASTE, n)] for n in (1500, 2, 1500, 0, 7)]
    users = histories_of(items)
    assert len(parts_of(users.lengths, 2 * TASTE)) > 1
    nothing = np.zeros((len(items), behavior.profiles.shape[1]), np.float32)
    together = learner.scores(users, nothing)
    for row in range(len(items)):
        alone = learner.scores(users.users(np.array([row])), nothing[:1])
        np.testing.assert_allclose(together[row], alone[0], atol=1e-4)


def test_asked_about_no_items_it_says_nothing(behavior):
    """Retrieval in a large catalog may have none to look at more closely."""
    learner = FittedLearner.untrained(behavior, np.random.default_rng(0), name="r2d2")
    users = histories_of([[(0, 1.0)], []])
    nothing = np.zeros((2, behavior.profiles.shape[1]), np.float32)
    assert learner.scores(users, nothing, np.array([], int)).shape == (2, 0)

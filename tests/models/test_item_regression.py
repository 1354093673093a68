"""Items that stand near each other share a part of their weights."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from metarec.data.cold_users import Horizon
from metarec.data.places import km_between
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.ease.config import EaseConfig
from metarec.models.ease.fit import nearby_items_of
from metarec.models.ease.model import Ease
from metarec.models.ease.regression import (
    among_places,
    inverse_of,
    inverse_of_few_users,
    place_features,
)
from metarec.models.gram import Choices
from metarec.runtime.gains import ndcg_of_scores
from models.tastes import context_at
from world import evidence_of

TOWNS, PER_TOWN = 20, 30
SCALES = (0.5, 2.0, 8.0, 32.0)


def places_of_towns(rng: np.random.Generator) -> np.ndarray:
    """[N, 2] items of towns a hundred kilometers apart."""
    middle = np.stack([45.0 + np.arange(TOWNS), np.full(TOWNS, 9.0)], axis=1)
    return np.repeat(middle, PER_TOWN, axis=0) + rng.normal(0, 0.02, (TOWNS * PER_TOWN, 2))


def town_users(rng: np.random.Generator, users: int) -> list[np.ndarray]:
    """Users who each take four items of one town, where some are popular: two known items were
    taken by too few to tell which.
    """
    chance = 1.0 / np.arange(1, PER_TOWN + 1)
    return [
        rng.choice(PER_TOWN, 4, replace=False, p=chance / chance.sum())
        + PER_TOWN * rng.integers(TOWNS)
        for _ in range(users)
    ]


def behavior_at(places: np.ndarray, rows: list[np.ndarray]) -> Behavior:
    users = len(rows)
    return Behavior(
        histories=Histories.of_indexes(rows),
        profiles=np.zeros((users, 0), np.float32),
        content=np.zeros((len(places), 0), np.float32),
        relevant_from=0.0,
        horizon=Horizon(pool=3, min_events=5, support_sizes=(0, 1, 2, 3)),
        context=context_at(places, sp.csr_matrix((users, users), dtype=np.float32)),
    )


def test_products_of_place_features_are_the_mean_kernel_of_the_distance() -> None:
    rng = np.random.default_rng(0)
    places = np.array([50.0, 8.0]) + rng.normal(0, 0.2, (30, 2))
    places[4] = np.nan

    near = place_features(places, np.ones(30), SCALES, 30, rng)

    for left, right in ((0, 0), (0, 1), (7, 22)):
        km = km_between(places[left][None], places[right][None])[0]
        expected = np.mean([np.exp(-km / scale) for scale in SCALES])
        assert near[left] @ near[right] == pytest.approx(expected, abs=0.03)
    assert not near[4].any()


@pytest.mark.parametrize("few_users", [True, False])
def test_weights_are_the_regression_under_the_prior(few_users: bool) -> None:  # noqa: FBT001
    """From the users' side as from the items', against the formula at the head of the module."""
    rng, ridge, share = np.random.default_rng(1), 5.0, 0.3
    events = sp.csr_matrix((rng.random((12, 30)) < 0.3).astype(np.float32))
    near = rng.normal(0, 0.5, (30, 4)).astype(np.float32)
    gram = (events.T @ events).toarray().astype(np.float64)
    scaled = 2.0 * np.diag(gram) + 1.0
    alone = gram - np.diag(np.diag(gram))
    prior = np.eye(30) + share * near @ near.T
    expected = np.linalg.solve(alone + np.diag(scaled) + ridge * np.linalg.inv(prior), alone)
    np.fill_diagonal(expected, 0.0)
    diagonal = scaled + ridge
    inverse = (
        inverse_of_few_users(events, diagonal)
        if few_users
        else inverse_of(gram.astype(np.float32), diagonal.astype(np.float32))
    )

    found = among_places(inverse, diagonal, ridge, near, share)

    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_where_towns_decide_items_share_their_weights_and_new_users_gain() -> None:
    rng = np.random.default_rng(2)
    behavior = behavior_at(places_of_towns(rng), town_users(rng, 200))
    new = town_users(rng, 100)
    shared = Ease.fit(behavior, np.random.default_rng(0), EaseConfig(min_events=1))
    plain = Ease.fit(
        behavior_at(np.full((TOWNS * PER_TOWN, 2), np.nan), rows_of(behavior)),
        np.random.default_rng(0),
        EaseConfig(min_events=1),
    )

    assert shared.shared > 0.0 and plain.shared == 0.0
    assert quality(shared, new).mean() > quality(plain, new).mean() + 0.03


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shuffled_coordinates_share_nothing(seed: int) -> None:
    """The same users, whose items stand anywhere: the weights are those without places."""
    rng = np.random.default_rng(seed)
    rows, places = town_users(rng, 200), places_of_towns(rng)

    fitted = Ease.fit(behavior_at(rng.permutation(places), rows), np.random.default_rng(0))

    assert fitted.shared == 0.0


def test_only_items_that_are_regressed_on_each_other_are_measured() -> None:
    """However many items there are beside them."""
    rng = np.random.default_rng(2)
    behavior = behavior_at(places_of_towns(rng), town_users(rng, 200))
    config, choices = EaseConfig(max_items=150), Choices.of(behavior, EaseConfig())

    near = nearby_items_of(behavior, choices, 200.0, config, np.random.default_rng(0))

    assert near is not None and len(near.features) == len(near.items) == 150
    counts = np.bincount(choices.events.indices, minlength=TOWNS * PER_TOWN)
    assert counts[near.items].min() >= np.delete(counts, near.items).max()


def test_what_is_shared_is_kept() -> None:
    rng = np.random.default_rng(2)
    fitted = Ease.fit(
        behavior_at(places_of_towns(rng), town_users(rng, 200)), np.random.default_rng(0)
    )

    assert Ease.from_arrays(fitted.arrays()).shared == fitted.shared > 0.0


def rows_of(behavior: Behavior) -> list[np.ndarray]:
    """Items of each user."""
    return [behavior.histories.users(np.array([u])).items for u in range(len(behavior.histories))]


def quality(model: Ease, users: list[np.ndarray]) -> np.ndarray:
    """NDCG@10 of each after two events, on the others they take."""
    scores = evidence_of(
        model, Histories.of_indexes([row[:2] for row in users]), np.zeros((len(users), 0))
    )
    wanted = np.zeros(scores.shape, bool)
    for user, row in enumerate(users):
        wanted[user, row[2:]] = True
        scores[user, row[:2]] = -1.0
    return ndcg_of_scores(scores, wanted, 10)

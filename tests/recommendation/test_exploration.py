from __future__ import annotations

import numpy as np
import pytest

from metarec.features.histories import Histories
from metarec.recommendation.ordering import exploration
from metarec.recommendation.ordering.exploration import (
    directions_of,
    explore,
    place_probability,
    posterior_std,
)

MEAN = np.array([[1.0, 0.8, 0.0, -0.5, -3.0, -np.inf]])
DEVIATION = np.array([[0.3, 1.0, 0.5, 2.0, 0.1, 0.0]])


def test_propensities_equal_how_often_the_policy_does_it() -> None:
    draws, k = 15_000, 3
    shown, logged = explore(
        np.tile(MEAN, (draws, 1)),
        np.tile(DEVIATION, (draws, 1)),
        k,
        np.random.default_rng(0),
        pool=6,
    )
    for place in range(k):
        for item in range(5):
            here = shown[:, place] == item
            if here.any():
                error = 4 * np.sqrt(here.mean() * (1 - here.mean()) / draws) + 1e-3
                assert logged[here, place] == pytest.approx(here.mean(), abs=error)


@pytest.mark.parametrize("k", [3, 5])
def test_propensities_allow_for_ties_at_the_end_of_the_pool(
    monkeypatch: pytest.MonkeyPatch, k: int
) -> None:
    """Nine items share a score and six or more places of the pool, so chance decides who enters."""
    monkeypatch.setattr(exploration, "GROUP", 3)
    draws = 8_000
    scores, spread = np.full((draws, 12), 0.2), np.full((draws, 12), 0.8)
    scores[:, :3], spread[:, :3] = [1.0, 0.8, 0.1], [0.3, 1.0, 0.4]
    shown, logged = explore(scores, spread, k, np.random.default_rng(0), pool=6)
    for place in range(k):
        for item in range(12):
            here = shown[:, place] == item
            if here.any():
                error = 4 * np.sqrt(here.mean() * (1 - here.mean()) / draws) + 1e-3
                assert logged[here, place] == pytest.approx(here.mean(), abs=error)


def test_ties_of_a_plain_ranking_are_drawn_with_equal_chances() -> None:
    draws = 6_000
    scores = np.tile([2.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, -np.inf], (draws, 1))
    shown, logged = explore(scores, scores, 5, np.random.default_rng(0), strength=0.0)
    assert logged[0].tolist() == [1.0, 0.5, 0.5, 0.25, 0.25]
    assert (logged == logged[0]).all()
    for place in range(5):
        for item in np.unique(shown[:, place]):
            assert (shown[:, place] == item).mean() == pytest.approx(logged[0, place], abs=0.03)


def test_probabilities_of_one_place_add_up_to_one() -> None:
    for place in range(3):
        slates = np.array([[0, 1, 2]] * 5)
        slates[:, place] = np.arange(5)
        total = place_probability(np.tile(MEAN, (5, 1)), np.tile(DEVIATION, (5, 1)), slates)[
            :, place
        ].sum()
        assert total == pytest.approx(1.0, abs=0.02)  # the narrow items meet the grid's step


def test_two_items_against_the_closed_form() -> None:
    from scipy.stats import norm

    p = place_probability(np.array([[1.0, 0.0]]), np.array([[1.0, 2.0]]), np.array([[0, 1]]))
    assert p == pytest.approx(norm.cdf(1 / np.sqrt(5)), abs=1e-6)


def test_inverse_propensity_weighting_is_unbiased() -> None:
    """The reason propensities are logged: the value of always showing item 2 first, estimated from
    explored slates.
    """
    draws = 60_000
    shown, logged = explore(
        np.tile(MEAN, (draws, 1)),
        np.tile(DEVIATION, (draws, 1)),
        1,
        np.random.default_rng(1),
        pool=6,
    )
    reward = np.array([0.1, 0.2, 0.9, 0.4, 0.0, 0.0])[shown[:, 0]]
    estimate = np.where(shown[:, 0] == 2, reward / logged[:, 0], 0.0)
    assert estimate.mean() == pytest.approx(0.9, abs=4 * estimate.std() / np.sqrt(draws))


def test_no_strength_is_the_plain_ranking_shown_surely() -> None:
    shown, logged = explore(MEAN, DEVIATION, 6, np.random.default_rng(0), strength=0.0)
    assert shown.tolist() == [[0, 1, 2, 3, 4, -1]]
    assert (logged == 1).all()


def test_strength_multiplies_the_std() -> None:
    shown, logged = explore(MEAN, DEVIATION, 2, np.random.default_rng(0), strength=2.0, pool=6)
    order = np.argsort(
        -(MEAN + 4 * DEVIATION)[0], kind="stable"
    )  # the pool's own order of the same six items
    mean, deviation = MEAN[:, order], np.where(np.isneginf(MEAN), 0.0, 2 * DEVIATION)[:, order]
    places = np.array([[list(order).index(item) for item in shown[0]]])
    assert logged == pytest.approx(place_probability(mean, deviation, places))


def test_hidden_items_are_never_drawn_and_padding_is_sure() -> None:
    scores = np.full((50, 8), -np.inf)
    scores[:, :2] = 0.0
    shown, logged = explore(scores, np.ones((50, 8)), 4, np.random.default_rng(0), pool=8)
    assert set(np.unique(shown)) == {-1, 0, 1}
    assert (logged[:, 2:] == 1).all()
    assert logged[:, :2] == pytest.approx(0.5, abs=1e-6)


def test_a_user_to_whom_nothing_may_be_shown_gets_nothing() -> None:
    """Warnings are errors here: none may come of comparing what is not there."""
    items, propensity = explore(
        np.full((1, 3), -np.inf), np.ones((1, 3)), 2, np.random.default_rng(0)
    )
    assert (items == -1).all()
    assert (propensity == 1.0).all()


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="strength must be 0 or more, got -1"):
        explore(MEAN, DEVIATION, 1, np.random.default_rng(0), strength=-1.0)
    with pytest.raises(ValueError, match="at least k=5 items, got 3"):
        explore(MEAN, DEVIATION, 5, np.random.default_rng(0), pool=3)


def test_the_std_is_the_posterior_of_a_gaussian_process_over_items() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(9, 4))
    met = [np.array([2, 5, 7]), np.array([], np.int64), np.array([1])]
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    alike = unit @ unit.T

    spread = posterior_std(directions_of(embeddings), Histories.of_indexes(met))

    for row, seen in enumerate(met):
        explained = (
            alike[:, seen]
            @ np.linalg.inv(alike[np.ix_(seen, seen)] + np.eye(len(seen)))
            @ alike[seen]
        )
        np.testing.assert_allclose(spread[row], np.sqrt(1.0 - np.diag(explained)), atol=1e-5)
    asked = np.array([[0, 2], [3, 4], [1, 8]])
    of_some = posterior_std(directions_of(embeddings), Histories.of_indexes(met), asked)
    np.testing.assert_allclose(of_some, np.take_along_axis(spread, asked, 1), atol=1e-5)


def test_the_std_does_not_depend_on_how_many_users_are_asked_about_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    embeddings, support = (
        rng.normal(size=(30, 5)),
        Histories.of_indexes([rng.integers(0, 30, n) for n in (0, 4, 9, 2, 7)]),
    )
    together = posterior_std(directions_of(embeddings), support)

    monkeypatch.setattr(exploration, "MAX_NUMBERS", 1)

    np.testing.assert_allclose(
        posterior_std(directions_of(embeddings), support), together, atol=1e-5
    )


def test_propensities_of_a_long_slate_equal_how_often_the_policy_does_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exploration, "GROUP", 2)
    draws, k = 15_000, 5
    shown, logged = explore(
        np.tile(MEAN, (draws, 1)),
        np.tile(DEVIATION, (draws, 1)),
        k,
        np.random.default_rng(0),
        pool=6,
    )
    assert shown.shape == logged.shape == (draws, k)
    for place in range(k):
        for item in range(5):
            here = shown[:, place] == item
            if here.any():
                error = 4 * np.sqrt(here.mean() * (1 - here.mean()) / draws) + 1e-3
                assert logged[here, place] == pytest.approx(here.mean(), abs=error)


def test_a_long_slate_holds_each_item_once_and_without_uncertainty_is_the_plain_ranking() -> None:
    rng = np.random.default_rng(0)
    scores = rng.permutation(400).astype(float)[None]
    certain, chance = explore(scores, np.full((1, 400), 1e-9), 55, rng, pool=110)
    assert certain.tolist() == [np.argsort(-scores[0])[:55].tolist()]
    assert chance == pytest.approx(1.0)
    doubtful, chance = explore(scores, np.full((1, 400), 60.0), 200, rng, pool=400)
    assert len(set(doubtful[0].tolist())) == 200
    assert ((chance > 0) & (chance <= 1)).all()


def test_the_price_of_exploration_grows_with_the_places_alone() -> None:
    from time import process_time

    scores = np.random.default_rng(0).normal(size=(1, 2_000))

    def seconds(k: int) -> float:
        took = []
        for seed in range(3):
            began = process_time()
            explore(scores, np.ones(scores.shape), k, np.random.default_rng(seed), pool=2 * k)
            took.append(process_time() - began)
        return min(took)

    assert seconds(200) < 40 * seconds(20)  # 10 times; places times places times items: 1,000

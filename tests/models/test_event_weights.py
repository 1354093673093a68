"""How much each event counts, and where lists end: hyper-parameters like all others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.base import EventsConfig, event_weights
from metarec.models.context.lifts import ratios_of
from metarec.models.location.local_knn import LocalKnnConfig
from metarec.models.markov.counts import MarkovConfig
from metarec.models.markov.model import Markov
from metarec.models.registry import MODELS, config_of
from metarec.models.repeat.model import RepeatConfig, are_wanted
from metarec.models.trend import TrendConfig
from metarec.recommendation.configs import BESIDE
from models.tastes import context_at, two_tastes

OF_EVENTS = ("item_knn", "ease", "als", "markov")


def test_weights_of_events_are_those_that_are_set() -> None:
    told = Histories.of_indexes([np.array([0, 1, 2])])
    told = replace(
        told,
        values=np.array([5.0, 5.0, 1.0], np.float32),
        counts=np.array([1.0, np.e, 1.0], np.float32),
    )
    plain = event_weights(told, 4.0, EventsConfig())
    other = event_weights(told, 4.0, EventsConfig(disliked_weight=0.0, repeat_weight=2.0))
    np.testing.assert_allclose(plain, [1.0, 1.25, 0.3], rtol=1e-6)
    np.testing.assert_allclose(other, [1.0, 3.0, 0.0], rtol=1e-6)


@pytest.mark.parametrize("name", OF_EVENTS)
def test_every_model_of_events_learns_by_the_weights_it_is_given(name: str) -> None:
    behavior = two_tastes()
    fitted = {
        weight: MODELS[name]
        .fit(behavior, np.random.default_rng(0), config_of(name, {"disliked_weight": weight}))
        .arrays()
        for weight in (0.0, 0.3)
    }
    plain = MODELS[name].fit(behavior, np.random.default_rng(0)).arrays()
    for key, array in plain.items():
        np.testing.assert_array_equal(array, fitted[0.3][key])
        assert np.isfinite(fitted[0.0][key]).all()
    assert any(
        fitted[0.0][key].shape != array.shape or (fitted[0.0][key] != array).any()
        for key, array in plain.items()
    )


def _who_know_each_other() -> Behavior:
    """Each user knows the next; each item stands somewhere."""
    behavior = two_tastes()
    n_users, n_items = len(behavior.histories), behavior.n_items
    friends = sp.csr_matrix(np.roll(np.eye(n_users), 1, axis=1))
    places = np.stack([np.linspace(50.0, 51.0, n_items), np.full(n_items, 8.0)], axis=1)
    return replace(behavior, context=context_at(places, friends))


@pytest.mark.parametrize("name", ["friends", "local_knn", "local_mixture"])
def test_what_others_took_counts_by_these_weights_too(name: str) -> None:
    behavior = _who_know_each_other()
    plain, liked = (
        MODELS[name].fit(behavior, np.random.default_rng(0), config_of(name, given)).taken
        for given in ({}, {"disliked_weight": 0.0})
    )
    assert (plain.toarray() > 0).sum() > (liked.toarray() > 0).sum() > 0


def test_models_that_sum_over_events_share_these_settings() -> None:
    others = "friends", "local_knn", "local_mixture"
    named = {name: config_of(name) for name in (*OF_EVENTS, *others)}
    for config in (*named.values(), BESIDE["trend"]):
        assert isinstance(config, EventsConfig)
    assert MarkovConfig().ndcg_places == TrendConfig().ndcg_places == 10
    assert LocalKnnConfig().max_sharpness == 2.0


def test_where_nothing_is_taken_twice_nothing_is_learned_of_repeats() -> None:
    assert not are_wanted(two_tastes(), RepeatConfig())
    assert Markov.config == MarkovConfig()


def test_content_never_says_less_than_the_least() -> None:
    never = np.array([[0.0, -5.0], [0.0, 0.0]], np.float32)
    for least in (0.02, 0.5):
        assert ratios_of(np.ones((1, 1)), never, least).min() == least

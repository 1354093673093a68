"""Users as a mixture, by places: the formula by hand, and what each part of it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from context_world import CITIES, context_world, group_of
from metarec.data.places import km_between
from metarec.features.histories import Histories
from metarec.features.request_context import RequestContext
from metarec.features.users import UserBatch
from metarec.models.location import kept_rows
from metarec.models.location.mixture import LocalMixture, LocalMixtureConfig
from metarec.recommendation.fitting.fit import behavior_of
from metarec.recommender import Recommender

HERE, CLOSE, FAR, FARTHER = (52.52, 13.405), (52.521, 13.41), (48.137, 11.575), (48.15, 11.6)
NOWHERE = (np.nan, np.nan)
TAKEN = np.array(
    [[1, 0, 0, 0, 1, 0], [0, 0, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0], [0, 0, 0, 0.3, 1, 0]], np.float32
)


def _users(items: list[int], location: tuple[float, float] = NOWHERE) -> UserBatch:
    return UserBatch(
        support=Histories.of_indexes([np.array(items, np.int64)]),
        profiles=np.zeros((1, 0), np.float32),
        context=replace(RequestContext.unknown(1), location=np.array([location])),
    )


@pytest.fixture
def model() -> LocalMixture:
    """Four users in two cities; item 4 stands nowhere, item 5 nobody took."""
    return LocalMixture(
        places=np.array([HERE, CLOSE, FAR, FARTHER, NOWHERE, HERE]),
        scale=1.0,
        power=2.0,
        location=1.0,
        taken=sp.csr_matrix(TAKEN),
        around=np.array([0.6, 0.5, 0.4, 0.3, 1.0, 0.6], np.float32),
        config=LocalMixtureConfig(prior=3.0),
    )


def _by_hand(model: LocalMixture, items: list[int], here: tuple[float, float]) -> np.ndarray:
    """The formula, training user by training user."""
    counts, config = TAKEN.sum(0), model.config

    def near(item: int, place: np.ndarray) -> float:
        km = km_between(model.places[item][None], place[None])[0]
        return 1.0 if np.isnan(km) else float((1 + km) ** -2.0 / model.around[item])

    def ratio(item: int, event: int) -> float:
        said = config.prior * near(item, model.places[event])
        if item != event:
            pairs = TAKEN[:, item] * TAKEN[:, event] / np.maximum(TAKEN.sum(1) - 1, 1)
            said += pairs.sum() / (counts[event] / counts.sum())
        return float(said / (config.prior + counts[item]))

    places = [] if np.isnan(here[0]) else [np.array(here)]
    exponent = 0.9 / (len(items) + len(places)) ** 0.6
    evidence = np.zeros(6)
    for row in TAKEN:
        says = [[ratio(i, event) for i in range(6)] for event in items]
        says += [[near(i, place) for i in range(6)] for place in places]
        likelihoods = [(row / row.sum()) @ said + config.floor for said in says]
        evidence += np.prod(likelihoods) ** exponent * row
    return evidence


@pytest.mark.parametrize("here", [NOWHERE, FAR, CLOSE])
@pytest.mark.parametrize("items", [[1], [3, 1], [0, 4, 2]])
def test_evidence_is_the_formula(
    model: LocalMixture, items: list[int], here: tuple[float, float]
) -> None:
    said, expected = model.evidence(_users(items, here))[0], _by_hand(model, items, here)
    if any((model.places[item] == here).all() for item in items):
        expected = _by_hand(model, items, NOWHERE)

    np.testing.assert_allclose(said / said.sum(), expected / expected.sum(), rtol=1e-4)


def test_where_an_event_stands_the_current_place_says_nothing_more(model: LocalMixture) -> None:
    untold, told = (model.evidence(_users([0, 2], here)) for here in (NOWHERE, FAR))

    np.testing.assert_array_equal(told, untold)


def test_who_goes_there_speaks_though_nothing_is_common(model: LocalMixture) -> None:
    said = model.evidence(_users([], HERE))[0]

    assert said[1] > 2 * said[3] > 0.0 and said[5] == 0.0


def test_where_no_place_is_known_it_knows_nothing(model: LocalMixture) -> None:
    for nothing in (_users([]), _users([4])):
        assert not model.evidence(nothing).any()
        assert not model.knows(nothing).any()
    assert model.knows(_users([4, 0])).all()


def test_only_the_newest_events_are_read(model: LocalMixture) -> None:
    short = replace(model, config=replace(model.config, max_events=2))
    of_short, of_last = (one.evidence(_users([2, 2, 0, 1])) for one in (short, model))

    np.testing.assert_array_equal(of_short, model.evidence(_users([0, 1])))
    assert not np.allclose(of_short, of_last)


def test_users_are_scored_alike_alone_and_among_others(model: LocalMixture) -> None:
    lists = [[n % 6, (n + 1) % 4] for n in range(150)]
    together = UserBatch(
        support=Histories.of_indexes([np.array(items) for items in lists]),
        profiles=np.zeros((150, 0), np.float32),
    )

    alone = np.concatenate([model.evidence(_users(items)) for items in lists])

    np.testing.assert_allclose(model.evidence(together), alone, rtol=1e-5)


def test_a_new_item_speaks_where_it_stands(model: LocalMixture) -> None:
    grown = model.with_content(np.zeros((7, 0), np.float32), np.full(7, 1 / 7, np.float32))
    placed = grown.with_places(np.concatenate([model.places, [FAR]]))

    np.testing.assert_allclose(
        grown.evidence(_users([0]))[0, :6], model.evidence(_users([0]))[0], rtol=1e-6
    )
    assert not grown.evidence(_users([6])).any()
    said = placed.evidence(_users([6]))[0]
    assert said[3] > said[1] and said[6] == 0.0


def test_a_fit_finds_the_city() -> None:
    world = Recommender.fit(context_world(), preset="tiny", encoder="none")
    fitted = LocalMixture.fit(behavior_of(world), np.random.default_rng(0))
    items = world.catalog.frame["item_id"].to_list()

    said = fitted.evidence(_users([], CITIES[2]))[0]

    assert {group_of(items[i]) for i in np.argsort(-said)[:8]} == {"ink"}


def test_where_no_item_has_a_place_the_current_place_is_popularity(model: LocalMixture) -> None:
    nowhere = replace(model, places=np.full((6, 2), np.nan))

    said = nowhere.evidence(_users([], HERE))[0]

    np.testing.assert_allclose(said, TAKEN.sum(0), rtol=1e-6)


def test_what_is_kept_of_earlier_requests_changes_no_answer(
    model: LocalMixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [_users([0], FAR), _users([2, 1], CLOSE), _users([0, 3], HERE)]
    fresh = [replace(model).evidence(users) for users in asked]

    for room in (kept_rows.MAX_KEPT, 8):  # two items of four users
        monkeypatch.setattr(kept_rows, "MAX_KEPT", room)
        kept = replace(model)
        for users, expected in zip(asked * 2, fresh * 2, strict=True):
            np.testing.assert_allclose(kept.evidence(users), expected, rtol=1e-6)

"""k-NN over users by places: the formula by hand, and what each part of it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from context_world import CITIES, context_world, group_of
from metarec.data.places import km_between
from metarec.features.histories import Histories
from metarec.features.request_context import RequestContext
from metarec.features.users import UserBatch
from metarec.models.location import known_places
from metarec.models.location.local_knn import LocalKnn, LocalKnnConfig
from metarec.recommendation.fitting.fit import behavior_of
from metarec.recommendation.fitting.held_out_users import revealed_to
from metarec.recommender import Recommender

HERE, CLOSE, FAR, FARTHER = (52.52, 13.405), (52.521, 13.41), (48.137, 11.575), (48.15, 11.6)
NOWHERE = (np.nan, np.nan)


def _users(items: list[int], location: tuple[float, float] = NOWHERE) -> UserBatch:
    nothing = RequestContext.unknown(1)
    return UserBatch(
        support=Histories.of_indexes([np.array(items, np.int64)]),
        profiles=np.zeros((1, 0), np.float32),
        context=replace(nothing, location=np.array([location])),
    )


@pytest.fixture
def model() -> LocalKnn:
    """Two users in two cities; item 4 stands nowhere, item 5 nobody took."""
    taken = np.array([[1, 0, 0, 0, 1, 0], [0, 0, 1, 1, 0, 0]], np.float32)
    blank = LocalKnn(
        places=np.array([HERE, CLOSE, FAR, FARTHER, NOWHERE, HERE]),
        taken=sp.csr_matrix(taken),
        norms=np.ones(2, np.float32),
        rarity=np.ones(6, np.float32),
        scale=0.5,
        power=2.0,
        location=1.0,
        config=LocalKnnConfig(sampled=50),
    )
    return decayed(blank, [0, 2, 3])


def decayed(model: LocalKnn, sample: Sequence[int]) -> LocalKnn:
    """Under the usual decay, crowds counted by `sample`."""
    return model.with_decays([(0.5, 2.0)], np.array(sample))[0]


def _by_hand(model: LocalKnn, items: list[int]) -> np.ndarray:
    """The formula, pair by pair."""

    def agreement(mine: list[int], theirs: list[int]) -> float:
        found = 0.0
        for a in mine:
            for b in theirs:
                km = km_between(model.places[a][None], model.places[b][None])[0]
                if not np.isnan(km):
                    near = (1 + km / model.scale) ** -model.power
                    found += model.rarity[a] * model.rarity[b] * near
        return found

    rows = model.taken.toarray()
    takers = [np.flatnonzero(row).tolist() for row in rows]
    agreed = np.array([agreement(items, t) / np.sqrt(agreement(t, t)) for t in takers])
    return np.asarray((agreed / agreed.max()) ** (0.85 * len(items) ** 0.25) @ rows)


@pytest.mark.parametrize("items", [[1], [1, 2], [0, 3]])
def test_evidence_is_the_formula(model: LocalKnn, items: list[int]) -> None:
    np.testing.assert_allclose(
        model.evidence(_users(items))[0], _by_hand(model, items), rtol=1e-3, atol=1e-7
    )


def test_who_goes_there_speaks_though_nothing_is_common(model: LocalKnn) -> None:
    said = model.evidence(_users([1]))[0]

    assert said[4] > 100 * said[3] > 0.0
    assert said[5] == 0.0


def test_the_more_is_known_the_more_the_nearest_users_alone_speak(model: LocalKnn) -> None:
    few, many = (model.evidence(_users(items))[0] for items in ([0], [0, 1]))

    assert few[3] / few[4] > many[3] / many[4] > 0.0


def test_agreement_counts_no_more_than_the_most_that_is_set(model: LocalKnn) -> None:
    config = replace(model.config, sharpness=4.0, max_sharpness=1.0)
    flat, plain = (replace(model, config=one) for one in (config, replace(config, sharpness=1.0)))
    users = _users([0, 1])

    np.testing.assert_array_equal(flat.evidence(users), plain.evidence(users))
    assert model.evidence(users)[0, 3] < flat.evidence(users)[0, 3]


def test_the_current_place_alone_tells(model: LocalKnn) -> None:
    said = model.evidence(_users([], CLOSE))[0]

    assert said[0] > said[2] > 0.0


def test_where_no_place_is_known_it_knows_nothing(model: LocalKnn) -> None:
    for nothing in (_users([]), _users([4])):
        assert not model.evidence(nothing).any()
        assert not model.knows(nothing).any()
    assert model.knows(_users([4, 0])).all()


def test_an_event_says_less_where_there_are_many(model: LocalKnn) -> None:
    crowd = np.ones((8, 6), np.float32) * np.array([1, 1, 0, 0, 0, 0], np.float32)
    crowded = replace(model, taken=sp.csr_matrix(np.concatenate([model.taken.toarray(), crowd])))

    rarity = decayed(crowded, [0] * 9 + [1] * 8 + [2, 3]).rarity

    assert rarity[0] < rarity[2] and rarity[4] == 0.0


def test_long_histories_agree_with_themselves_by_a_part_of_them(model: LocalKnn) -> None:
    rng, most = np.random.default_rng(0), 30
    places = np.array(HERE) + rng.normal(0, 0.05, (200, 2))
    taken = sp.csr_matrix(rng.random((5, 200)) < np.array([0.02, 0.1, 0.3, 0.6, 1.0])[:, None])
    wide = replace(model, places=places, taken=taken.astype(np.float32))

    by_part, exact = (
        replace(wide, config=LocalKnnConfig(compared=n))
        .with_decays([(0.5, 2.0)], np.arange(200))[0]
        .norms
        for n in (most, 200)
    )

    lengths = np.diff(taken.indptr)
    np.testing.assert_allclose(by_part[lengths <= most], exact[lengths <= most], rtol=1e-5)
    np.testing.assert_allclose(by_part, exact, rtol=0.15)


def test_a_new_item_speaks_where_it_stands(model: LocalKnn) -> None:
    grown = model.with_content(np.zeros((7, 0), np.float32), np.full(7, 1 / 7, np.float32))
    placed = grown.with_places(np.concatenate([model.places, [FAR]]))

    assert not grown.evidence(_users([6])).any()
    said = placed.evidence(_users([6]))[0]
    assert said[2] > 100 * said[0] and said[6] == 0.0


@pytest.fixture(scope="module")
def world() -> Recommender:
    return Recommender.fit(context_world(), preset="tiny", encoder="none")


def test_users_can_be_left_out_of_what_is_said_of_them(model: LocalKnn) -> None:
    said = model._evidence(_users([1]), None, np.array([0]))[0]

    np.testing.assert_array_equal(said > 0, [False, False, True, True, False, False])


def test_a_fit_finds_the_city(world: Recommender) -> None:
    fitted = LocalKnn.fit(behavior_of(world), np.random.default_rng(0))
    items = world.catalog.frame["item_id"].to_list()

    said = fitted.evidence(_users([], CITIES[2]))[0]

    assert {group_of(items[i]) for i in np.argsort(-said)[:8]} == {"ink"}


def test_models_that_read_the_same_are_told_the_same() -> None:
    users = np.arange(200)

    heard = revealed_to(("item_knn", "friends", "location", "local_knn"), users)

    np.testing.assert_array_equal(heard["location"], heard["local_knn"])
    assert (heard["friends"] != heard["location"]).any()
    assert (heard["friends"] | heard["location"]).all()
    assert revealed_to(("location", "local_knn"), users) == {}


def test_some_users_tell_where_they_are_and_all_who_their_friends_are() -> None:
    heard = revealed_to(("item_knn", "location", "local_knn"), np.arange(2_000), located=0.25)
    friends = revealed_to(("friends", "context"), np.arange(2_000), chance=1.0, located=0.25)

    assert list(heard) == ["location", "local_knn"] and friends == {}
    assert 400 < heard["location"].sum() < 600
    np.testing.assert_array_equal(heard["location"], heard["local_knn"])
    part = revealed_to(("location",), np.arange(500, 700), located=0.25)["location"]
    np.testing.assert_array_equal(part, heard["location"][500:700])


def test_where_no_item_has_a_place_nothing_is_said(model: LocalKnn) -> None:
    nowhere = replace(model, places=np.full((6, 2), np.nan)).with_decays(
        [(0.5, 2.0)], np.array([0])
    )[0]
    assert nowhere.norms.dtype == np.float32 and np.isfinite(nowhere.norms).all()
    assert not nowhere.rarity.any()


def test_users_are_scored_alike_alone_and_among_others(model: LocalKnn) -> None:
    """Items 0 and 5 stand at one point and say more or less: whoever stands there hears the same,
    whatever others took.
    """
    rarity = np.array([1.0, 0.5, 1.0, 1.0, 0.0, 0.2], np.float32)
    uneven = replace(model, rarity=rarity)
    mine, others = _users([2], HERE), _users([5, 1], FAR)
    together = UserBatch(
        support=Histories.of_indexes([np.array([2]), np.array([5, 1])]),
        profiles=np.zeros((2, 0), np.float32),
        context=replace(RequestContext.unknown(2), location=np.array([HERE, FAR])),
    )

    alone = np.concatenate([uneven.evidence(mine), uneven.evidence(others)])

    np.testing.assert_allclose(uneven.evidence(together), alone, rtol=1e-6)


def test_long_histories_are_near_the_same_items(
    model: LocalKnn, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = _users([0, 2, 4, 1], CLOSE)
    expected = model.evidence(users)

    monkeypatch.setattr(known_places, "MAX_KEPT", 6 * 3)  # rows of three of the four items

    np.testing.assert_allclose(replace(model).evidence(users), expected, rtol=1e-6)

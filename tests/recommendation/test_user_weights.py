"""Weights of training users: a weight of two is a user there twice, and weights of one change
nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metarec import Recommender, Request
from metarec.data.cold_users import SHORT
from metarec.data.schema import BadInput
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.als import Als
from metarec.models.content import Content
from metarec.models.ease.model import Ease
from metarec.models.item_knn import ItemKnn
from metarec.models.markov.model import Markov
from metarec.models.profile import Profile
from metarec.models.rating.head import RatingHead
from metarec.models.rating.kernel import RatingConfig
from metarec.models.support_ridge.model import SupportRidge, SupportRidgeConfig
from metarec.recommendation.ensemble.gate_training import _drawn
from metarec.recommendation.ensemble.item_statistics import item_statistics_of, popularity_of
from world import World, evidence_of, popular_first

N_ITEMS, USERS = 12, 30
TWICE = np.arange(USERS) % 3 == 0


def behavior_of(rows: np.ndarray, weights: np.ndarray | None = None) -> Behavior:
    """The users `rows` of a fixed small world."""
    rng = np.random.default_rng(4)
    lists = [rng.choice(N_ITEMS, size=rng.integers(5, 10), replace=False) for _ in range(USERS)]
    plain = Histories.of_indexes(lists)
    histories = Histories(
        offsets=plain.offsets,
        items=plain.items,
        values=rng.integers(1, 6, len(plain.items)).astype(np.float32),
    )
    profiles, content = (
        rng.random((USERS, 2)).astype(np.float32),
        rng.normal(size=(N_ITEMS, 3)).astype(np.float32),
    )
    return Behavior(
        histories=histories.users(rows),
        profiles=profiles[rows],
        content=content,
        relevant_from=3.0,
        horizon=SHORT,
        weights=weights,
    )


@pytest.fixture
def copied() -> Behavior:
    return behavior_of(np.concatenate([np.arange(USERS), np.flatnonzero(TWICE)]))


@pytest.fixture
def weighed() -> Behavior:
    return behavior_of(np.arange(USERS), np.where(TWICE, 2.0, 1.0))


@pytest.mark.parametrize("scorer", [ItemKnn, Ease, Markov, Content, Profile, Als])
def test_a_weight_of_two_is_a_user_there_twice(
    scorer: type, copied: Behavior, weighed: Behavior
) -> None:
    twice, heavy = (scorer.fit(b, np.random.default_rng(0)) for b in (copied, weighed))
    support, profiles = weighed.histories.first(3), weighed.profiles

    np.testing.assert_allclose(
        evidence_of(heavy, support, profiles), evidence_of(twice, support, profiles), atol=2e-4
    )
    unweighed = scorer.fit(behavior_of(np.arange(USERS)), np.random.default_rng(0))
    assert (
        np.abs(
            evidence_of(unweighed, support, profiles) - evidence_of(twice, support, profiles)
        ).max()
        > 1e-3
    )


def test_the_episodic_ridge_counts_a_weight_as_copies(copied: Behavior, weighed: Behavior) -> None:
    order = popular_first(weighed.histories)
    copies = np.concatenate([np.arange(USERS), np.flatnonzero(TWICE)])
    copied = replace(copied, histories=order.users(copies), whole=None)
    weighed = replace(weighed, histories=order, whole=None)
    assert copied.is_ordered and weighed.is_ordered
    # Factors are a plain SVD of likes, not weighed
    config = SupportRidgeConfig(rank=N_ITEMS - 1, factor_scale=0.0)
    twice, heavy = (
        SupportRidge.fit(b, np.random.default_rng(0), config) for b in (copied, weighed)
    )
    support = weighed.histories.first(3)

    np.testing.assert_allclose(
        evidence_of(heavy, support, weighed.profiles),
        evidence_of(twice, support, weighed.profiles),
        atol=1e-3,
    )


def test_popularity_and_statistics_count_a_weight_as_copies(
    copied: Behavior, weighed: Behavior
) -> None:
    np.testing.assert_allclose(popularity_of(weighed)[0], popularity_of(copied)[0], atol=1e-6)
    np.testing.assert_allclose(item_statistics_of(weighed), item_statistics_of(copied), atol=1e-5)


def test_item_offsets_of_ratings_count_a_weight_as_copies(
    copied: Behavior, weighed: Behavior
) -> None:
    config = RatingConfig(item_damping=(4.0,))  # else chosen on a draw of users
    twice, heavy = (RatingHead.fit(b, np.random.default_rng(0), config) for b in (copied, weighed))

    np.testing.assert_allclose(heavy.item_bias, twice.item_bias, atol=1e-5)
    assert heavy.mean == pytest.approx(twice.mean)


def test_the_gate_draws_users_by_weight() -> None:
    rng = np.random.default_rng(0)
    drawn = np.concatenate(
        [_drawn(50, rng, 128, np.where(np.arange(50) < 25, 3.0, 1.0)) for _ in range(200)]
    )

    assert (drawn < 25).mean() == pytest.approx(0.75, abs=0.02)


def test_equal_weights_of_any_size_give_nearly_the_same_model(world: World) -> None:
    plain = Recommender.fit(world.data, preset="tiny", encoder="none")
    equal = Recommender.fit(
        world.data,
        preset="tiny",
        encoder="none",
        user_weights=dict.fromkeys(world.taste_of_user, 7.0),
    )

    assert equal.version != plain.version
    slates = [
        m.recommend([Request(history=world.history("space", 2))], k=6)[0].item_ids
        for m in (plain, equal)
    ]
    assert set(slates[0]) == set(slates[1])


def test_one_taste_weighed_up_is_what_a_anonymous_user_is_shown(world: World) -> None:
    weights = {
        user: 30.0 if taste == "garden" else 1.0 for user, taste in world.taste_of_user.items()
    }

    model = Recommender.fit(world.data, preset="tiny", encoder="none", user_weights=weights)

    assert set(model.recommend([Request()], k=6)[0].item_ids) <= set(world.items_of_taste["garden"])


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"u000": 0.0}, "weight of a user must be above 0 and finite, got 0.0 for 'u000'"),
        ({"nobody": 2.0}, "user_weights names no user of the data"),
    ],
)
def test_weights_that_cannot_be_are_refused(
    world: World, weights: dict[str, float], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        Recommender.fit(world.data, preset="tiny", encoder="none", user_weights=weights)


@pytest.mark.parametrize(
    ("is_ordered", "popular", "others"),
    [(False, [2, 3, 4, 5, 6, 7], []), (True, [5, 6, 7], [np.array([5, 6, 7])] * 3)],
)
def test_what_brief_anonymous_users_like_counts_for_little(
    is_ordered: bool, popular: list[int], others: list[np.ndarray]
) -> None:
    """Nine users who like two things against seven who like six others; with an order only what
    comes after the pool counts. What the seven like last is more popular where others like it too,
    which makes an order.
    """
    lists = [np.array([0, 1])] * 9 + [np.array([2, 3, 4, 5, 6, 7])] * 7 + others
    behavior = Behavior(
        histories=Histories.of_indexes(lists),
        profiles=np.zeros((len(lists), 1), np.float32),
        content=np.zeros((8, 1), np.float32),
        relevant_from=0.5,
        horizon=SHORT,
    )
    assert behavior.is_ordered == is_ordered

    shares, _ = popularity_of(behavior)

    brief = [0] if is_ordered else [0, 1]  # the second of two events comes after half of them
    assert shares[popular].min() > shares[brief].max()

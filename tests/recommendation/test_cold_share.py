"""Reserved places bring fresh items to whom they suit, with true propensities, at a stated cost."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec.data.dataset import Dataset
from metarec.recommendation.slate import Request
from metarec.recommendation.stages.cold_share import (
    CANDIDATES,
    KNOWN,
    cold_scores,
    reserved,
)
from metarec.recommendation.stages.score import score
from metarec.recommender import Recommender

TOPICS = ("tent", "stove", "kayak", "drum", "chess", "lamp", "rose", "boot")
SIZE, SHARE = 100, 0.05


@pytest.fixture(scope="module")
def model() -> Recommender:
    """A shop of 800 items whose users look at one topic, and one fresh item of each topic."""
    rng = np.random.default_rng(0)
    events = [
        (f"u{user}", f"i{user % 8 * SIZE + item}", float(user * 100 + step))
        for user in range(640)
        for step, item in enumerate(rng.choice(SIZE, 10, replace=False))
    ]
    items = [
        f"{topic} {'red blue big old new'.split()[n % 5]}" for topic in TOPICS for n in range(SIZE)
    ]
    data = Dataset(
        interactions=pl.DataFrame(events, schema=["user_id", "item_id", "timestamp"], orient="row"),
        items=pl.DataFrame({"item_id": [f"i{n}" for n in range(8 * SIZE)], "title": items}),
        name="outdoors",
    )
    fresh = [{"item_id": f"new {topic}", "title": topic} for topic in TOPICS]
    return Recommender.fit(data, preset="tiny", encoder="tfidf").with_items(pl.DataFrame(fresh))


def looker(topic: int, seed: int) -> Request:
    rng = np.random.default_rng(seed)
    return Request(history=[f"i{topic * SIZE + n}" for n in rng.choice(SIZE, 5, replace=False)])


def test_a_fresh_item_reaches_the_first_twenty_of_its_users_within_ten_impressions(
    model: Recommender,
) -> None:
    users = [looker(n % 8, n) for n in range(40)]
    rng = np.random.default_rng(0)
    plain = model.recommend(users, k=20)
    without = [f"new {TOPICS[n % 8]}" in slate.item_ids for n, slate in enumerate(plain)]
    reached = np.zeros(len(users), bool)
    for _ in range(10):
        slates = model.recommend(users, k=20, cold_share=SHARE, rng=rng)
        reached |= [f"new {TOPICS[n % 8]}" in slate.item_ids for n, slate in enumerate(slates)]
    assert np.mean(without) < 0.5
    assert reached.mean() >= 0.95


def test_propensities_are_the_frequencies(model: Recommender) -> None:
    user, n = looker(0, 1), 3000
    slates = model.recommend([user] * n, k=10, cold_share=SHARE, rng=np.random.default_rng(1))
    told: dict[str, float] = {}
    for slate in slates:
        told[slate.item_ids[9]] = slate.propensity[9]
        np.testing.assert_array_equal(slate.propensity[:9], 1.0)
    shown = [slate.item_ids[9] for slate in slates]
    assert len(told) == 1 + CANDIDATES
    assert sum(told.values()) == pytest.approx(1.0)
    for item, chance in told.items():
        assert shown.count(item) / n == pytest.approx(chance, abs=0.035)


@pytest.mark.parametrize("history", [["i1", "i2", "i5"], []])
def test_propensities_of_explored_slates_are_the_frequencies(
    model: Recommender, history: list[str]
) -> None:
    """Exploration alone would bring each of these cold items to the reserved places too."""
    some = [*(f"i{n}" for n in range(6)), *(f"new {topic}" for topic in TOPICS)]
    n, user = 1500, Request(history=history, allow=some)
    slates = model.recommend(
        [user] * n, k=4, explore=2.0, cold_share=0.375, rng=np.random.default_rng(2)
    )
    items = np.array([slate.item_ids for slate in slates])
    logged = np.array([slate.propensity for slate in slates])
    assert items.shape == (n, 4)
    for place in range(4):
        for item in np.unique(items[:, place]):
            here = items[:, place] == item
            chance = logged[here, place]
            assert np.ptp(chance) < 1e-9, (item, place)  # one request, one probability
            error = 4.5 * np.sqrt(chance[0] / n) + 1e-3
            assert here.mean() == pytest.approx(chance[0], abs=error), (item, place)


def test_ties_of_plain_slates_are_logged(model: Recommender) -> None:
    """Items without any event or content that tells them apart are drawn by lot."""
    same = pl.DataFrame({"item_id": [f"same{n}" for n in range(4)], "title": ["tent"] * 4})
    user = Request(allow=[*same["item_id"], "i1"], history=["i3"])
    slate = model.with_items(same).recommend([user], k=2)[0]
    tied = [item.startswith("same") for item in slate.item_ids]
    assert sum(tied) >= 1
    assert slate.propensity.tolist() == [0.25 if one else 1.0 for one in tied]


def test_the_share_of_places_is_the_share_asked_for() -> None:
    for share, k in ((0.05, 10), (0.05, 20), (0.2, 12), (0.0, 10), (0.1, 10)):
        assert reserved(share, k).sum() == pytest.approx(share * k)


@pytest.mark.parametrize("how", [{"filter": 'title contains "tent"'}, {"explore": 1.0}, {}])
def test_what_may_not_be_shown_is_not_and_nothing_twice(model: Recommender, how: dict) -> None:
    user = Request(history=["i1", "i2"], exclude=["new tent"])
    for slate in model.recommend([user] * 50, k=20, cold_share=0.3, **how):
        assert "new tent" not in slate.item_ids
        assert len(set(slate.item_ids)) == len(slate.item_ids) == 20
        assert (slate.propensity > 0).all()


def test_a_slate_of_fewer_items_than_reserved_places_keeps_its_length(model: Recommender) -> None:
    few = ["i1", "i2", "new tent", "new drum"]
    for slate in model.recommend([Request(history=["i3"], allow=few)] * 30, k=20, cold_share=0.5):
        assert sorted(slate.item_ids) == sorted(few)


def test_without_cold_items_nothing_is_reserved(model: Recommender) -> None:
    cold = model.vocabulary.names(model.cold_items.tolist())
    assert {f"new {topic}" for topic in TOPICS} < set(cold)
    some = Request(history=["i1"], exclude=cold)
    told = [model.recommend([some], k=10, cold_share=share)[0] for share in (0.0, 0.5)]
    assert told[0].item_ids == told[1].item_ids


def test_cold_items_stand_by_content_and_by_score_where_nothing_is_known(
    model: Recommender,
) -> None:
    requests = [looker(0, 1), Request(), looker(3, 2)]
    ranking = score(model, requests)
    ranking.scores[0, model.cold_items[:2]] = -np.inf
    found = cold_scores(model, ranking, model.cold_items)
    content = model.ensemble.scorers["content"]
    taste = content.directions[ranking.users.support.items].reshape(2, 5, -1).sum(1)
    taste /= np.linalg.norm(taste, axis=1, keepdims=True)
    wanted = ranking.scores[:, model.cold_items].copy()
    wanted[[0, 2]] = 6.0 * taste @ content.directions[model.cold_items].T
    wanted[0, :2] = -np.inf
    wanted -= KNOWN * np.log1p(model.n_events[model.cold_items])
    np.testing.assert_allclose(found, wanted, atol=1e-5)

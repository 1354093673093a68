"""A catalog in shards: the slates of the whole, whatever is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl
import pytest

from metarec import BadInput, Dataset, Recommender, Request
from metarec.models.cold_items.reorder import NewItemPlaces
from metarec.recommendation.candidates.retrieval import Retrieval
from metarec.recommendation.candidates.some_items import Sums
from metarec.recommendation.ensemble.given import GivenGates
from metarec.recommendation.fitting.fit import behavior_of
from metarec.recommendation.ordering.rules import Rules
from metarec.recommendation.pipeline import recommend_each
from metarec.recommendation.ranking import Ranking, SlateOptions
from metarec.recommendation.shards import Shard, merged
from served_model import context_model

N_ITEMS, GROUPS, USERS, COLD = 400, 8, 120, 60
ROUNDING = 1e-4
"""Of items whose scores are nearer either may come first."""
OPTIONS = {
    "plain": SlateOptions(k=7),
    "everything": SlateOptions(k=1000),
    "cold": SlateOptions(k=10, cold_share=0.35),
    "explored": SlateOptions(k=5, explore=1.5, cold_share=0.2),
    "explored and pinned": SlateOptions(k=5, explore=1.0, rules=Rules(pin=("i3", "i350"))),
    "diverse": SlateOptions(k=5, diversity=0.6),
    "ruled": SlateOptions(k=6, rules=Rules(pin=("i390", "i4"), ban=("i1",), quota={"g1": 1})),
    "filtered": SlateOptions(k=9, filter='categories = "g3" and price < 600'),
}


@pytest.fixture(scope="module")
def model() -> Recommender:
    """Ratings and refusals of 400 items, 60 of them new and reordered among themselves; lists to
    choose from have a gate of their own that heeds predicted ratings.
    """
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(USERS), 16)
    group = np.where(rng.random(len(users)) < 0.8, users % GROUPS, rng.integers(0, GROUPS))
    place = np.minimum(rng.pareto(0.9, len(users)) * 6, (N_ITEMS - COLD) // GROUPS - 1)
    events = pl.DataFrame(
        {
            "user_id": [f"u{user}" for user in users],
            "item_id": [f"i{item}" for item in place.astype(int) * GROUPS + group],
            "value": np.where(group == users % GROUPS, 5.0, 2.0),
            "kind": rng.choice(["rate", "dislike"], len(users), p=[0.9, 0.1]),
            "timestamp": 1.6e9 + np.sort(rng.random(len(users)) * 3e7),
        }
    ).unique(["user_id", "item_id"], maintain_order=True)
    items = np.arange(N_ITEMS)
    catalog = pl.DataFrame(
        {
            "item_id": [f"i{item}" for item in items],
            "title": [f"word{item % 50} of g{item % GROUPS}" for item in items],
            "categories": [f"g{item % GROUPS}" for item in items],
            "price": (items * 7919) % 1000,
        }
    )
    fitted = Recommender.fit(Dataset(interactions=events, items=catalog), "tiny", encoder="tfidf")
    places = NewItemPlaces.fit(behavior_of(fitted), fitted.text, np.random.default_rng(0))
    assert places is not None
    assert places.is_needed
    gate = fitted.ensemble.gate
    given = GivenGates(drawn=gate, chosen=gate, rating_weight=np.full(len(gate.points), 0.7))
    return replace(fitted, new_items=places, ensemble=replace(fitted.ensemble, given=given))


def by_shards(n: int, model: Recommender, asked: Sequence[Request], how: SlateOptions) -> Ranking:
    """First stages by shards of this process."""
    shards = [Shard.of(model, number, n).with_requests(asked) for number in range(n)]
    sums = Sums.of_all([shard.sums for shard in shards])
    return merged(model, asked, how, [shard.offers(how, sums) for shard in shards])


def assert_same(model: Recommender, asked: Sequence[Request], how: SlateOptions, n: int) -> None:
    each = [how] * len(asked)
    whole = recommend_each(model, asked, each, np.random.default_rng(3))
    cut = recommend_each(model, asked, each, np.random.default_rng(3), partial(by_shards, n))
    for one, other in zip(whole, cut, strict=True):
        told = dict(zip(one.item_ids, one.scores.tolist(), strict=True))
        there = zip(other.item_ids, one.scores, strict=True)
        as_good = [abs(told.get(item_id, np.inf) - score) < ROUNDING for item_id, score in there]
        assert other.item_ids == one.item_ids or all(as_good)
        assert other.notes == one.notes
        np.testing.assert_allclose(other.scores, one.scores, atol=ROUNDING)
        gaps = np.abs(one.scores[:, None] - one.scores) + np.eye(len(one.scores))
        # Rounding decides whether two scores are equal, and so drawn by lot.
        apart = gaps.min(axis=1, initial=1.0) > ROUNDING
        np.testing.assert_allclose(other.propensity[apart], one.propensity[apart], atol=1e-4)


def users(n: int = 24) -> list[Request]:
    """New and known users, with refusals, queries in words, lists to choose from, unknown items."""
    rng, asked = np.random.default_rng(5), [Request()]
    for user in range(n):
        items = rng.choice(N_ITEMS, 12, replace=False)
        acts = [(f"i{item}", float(rng.integers(1, 6)), "rate") for item in items[: user % 9]]
        refused = [(f"i{items[9]}", None, "dislike")] * (user % 3 == 0)
        asked.append(
            Request(
                history=[*acts, *refused, *[("nowhere", 1.0)] * (user % 11 == 0)],
                wish=f"word{user} not g{user % GROUPS}" if user % 5 == 0 else None,
                allow=[f"i{item}" for item in items[6:]] if user % 4 == 0 else None,
                exclude=[f"i{items[10]}"],
            )
        )
    return asked


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("how", OPTIONS.values(), ids=OPTIONS)
def test_shards_give_the_slates_of_the_whole(model: Recommender, how: SlateOptions, n: int) -> None:
    assert_same(model, users(), how, n)


def test_what_models_read_beside_events_counts_in_shards_too() -> None:
    asked = [
        Request(
            history=[f"i{item}"],
            friends=[f"u{item}"],
            location=(52.5, 13.4),
            within_km=400.0,
            context={"mood": "tea"},
            searches=["rope please"],
        )
        for item in range(6)
    ]
    assert_same(context_model(), asked, SlateOptions(k=8, cold_share=0.2), 4)


def test_a_large_catalog_is_scored_whole_by_its_shards(model: Recommender) -> None:
    found = Retrieval.of(model.ensemble, np.random.default_rng(0), size=20)
    near = replace(model, retrieval=replace(found, overlap=1.0))
    how = [SlateOptions(k=8)] * 25
    cut = recommend_each(near, users(), how, np.random.default_rng(3), partial(by_shards, 3))
    whole = recommend_each(model, users(), how, np.random.default_rng(3))
    assert [slate.item_ids for slate in cut] == [slate.item_ids for slate in whole]


def test_shards_offer_no_more_than_a_slate_may_be_made_of(model: Recommender) -> None:
    asked = [Request(history=[("i1", 5.0)])]
    shard = Shard.of(model, 0, 4).with_requests(asked)
    sums = Sums.of_all(
        [Shard.of(model, number, 4).with_requests(asked).sums for number in range(4)]
    )
    items = shard.offers(SlateOptions(k=7), sums)[0].items
    assert model.new_items is not None
    assert 7 <= len(np.setdiff1d(items, model.new_items.reordered)) <= 10


def test_every_item_is_in_one_shard_and_no_shard_is_empty(model: Recommender) -> None:
    for n in (1, 7, N_ITEMS):
        shards = [Shard.of(model, number, n).items for number in range(n)]
        assert np.concatenate(shards).tolist() == list(range(N_ITEMS))
        assert min(map(len, shards)) >= N_ITEMS // n
    with pytest.raises(BadInput, match="401 shards of 400 items: give at most one shard an item"):
        Shard.of(model, 0, N_ITEMS + 1)

"""What is wanted again: by how much is known, what was done with an item, and its own habit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metarec import Dataset, Recommender, Request
from metarec.data.cold_users import Horizon
from metarec.features.users import UserBatch
from metarec.models.base import dense
from metarec.models.repeat.fit import samples_after
from metarec.models.repeat.model import Repeat, RepeatConfig
from metarec.recommendation.candidates.some_items import StandIns, SubsetScorer

SHORT = Horizon(support_sizes=(0, 1, 3), pool=4, min_events=6)
DAILY = ("messenger", "browser")
"""Apps that every one of their users opens again and again."""


def groceries(users: int = 90) -> Dataset:
    """Everybody buys milk again and again, and never a second toaster of one make."""
    rng, rows = np.random.default_rng(0), []
    for user in range(users):
        milk, toaster = f"milk{rng.integers(3)}", f"toaster{rng.integers(3)}"
        bought = [milk, toaster, *(f"thing{n}" for n in rng.permutation(20)[:6])]
        order = [*rng.permutation(bought[:4]), milk, *bought[4:], milk]
        rows += [(f"u{user}", i, 1.7e9 + 9e4 * step, "purchase") for step, i in enumerate(order)]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "kind"], orient="row")
    return Dataset(interactions=frame, name="groceries")


def phones(users: int = 80) -> Dataset:
    """Everybody has the two daily apps and ten others of thirty, opened once; the most popular
    ones, games that all try, are left after a look.
    """
    rng, rows = np.random.default_rng(1), []
    for user in range(users):
        own = [
            *DAILY,
            *(f"game{n}" for n in range(4)),
            *(f"app{n}" for n in rng.permutation(30)[:6]),
        ]
        opened = list(rng.permutation(own))
        for app in rng.choice(DAILY, 25):
            opened.insert(int(rng.integers(opened.index(app), len(opened))) + 1, app)
        rows += [(f"u{user}", app, 1.7e9 + step) for step, app in enumerate(opened)]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Dataset(interactions=frame, name="phones")


@pytest.fixture(scope="module")
def model() -> Recommender:
    return Recommender.fit(groceries(), preset="tiny", encoder="none", horizon=SHORT)


@pytest.fixture(scope="module")
def phone() -> Recommender:
    return Recommender.fit(phones(), preset="tiny", encoder="none", horizon=SHORT)


def test_an_item_is_wanted_again_as_it_always_was(model: Recommender) -> None:
    repeat = model.ensemble.scorers["repeat"]
    assert isinstance(repeat, Repeat)
    milk, toaster = model.vocabulary.indexes(["milk1", "toaster1"])
    assert repeat.habits[milk] > 1.2 and repeat.habits[toaster] < 0.9
    history = [("milk1", None, "purchase"), ("toaster1", None, "purchase")]
    either = [Request(history=history), Request(history=history[::-1])]
    evidence = dense(repeat.evidence(model.users(either)[0])).sum(0)
    assert evidence[milk] > 1.3 * evidence[toaster] > 0
    scores = model.score(either).sum(0)
    assert scores[milk] > scores[toaster]


def test_after_many_items_known_once_those_of_every_day_come_first(phone: Recommender) -> None:
    """Three events taught the gate, ten are known, and nothing says how often."""
    rest = [*(f"game{n}" for n in range(4)), *(f"app{n}" for n in range(4))]
    for history in ([*DAILY, *rest], [*rest, *DAILY]):
        [slate] = phone.recommend([Request(history=history)], k=2)
        assert {*slate.item_ids} == {*DAILY}


def test_after_one_item_what_is_taken_again_is_likelier_to_be(model: Recommender) -> None:
    repeat = model.ensemble.scorers["repeat"]
    either = [Request(history=[(item, None, "purchase")]) for item in ("milk1", "toaster1")]
    milk, toaster = dense(repeat.evidence(model.users(either)[0])).sum(1)
    assert milk > 3 * toaster > 0


def test_repeats_are_said_to_be_as_rare_as_they_were(model: Recommender) -> None:
    """Of users known by one item; milk is half of what they take again, all else nothing."""
    behavior, repeat = model.behavior(), model.ensemble.scorers["repeat"]
    assert behavior.acts is not None and isinstance(repeat, Repeat)
    taught = samples_after(behavior.acts, (1,), np.ones(behavior.acts.n_users), every_act=True)
    users = UserBatch(support=taught.known, profiles=np.zeros((len(taught.known), 0)))
    said = dense(repeat.evidence(users)).sum(1).mean()
    assert abs(said / taught.repeated.mean() - 1) < 0.2


def test_what_is_known_and_never_taken_again_is_not_listed_as_new(phone: Recommender) -> None:
    history = [*DAILY, *(f"game{n}" for n in range(4)), "app1"]
    [slate] = phone.recommend([Request(history=history)], k=8)
    assert not {*slate.item_ids[2:]} & {*history}


def test_the_more_is_known_the_likelier_is_a_repeat(phone: Recommender) -> None:
    repeat = phone.ensemble.scorers["repeat"]
    rest = [f"app{n}" for n in range(9)]
    known = [Request(history=history) for history in (rest[:1], rest[:3], rest)]
    told = Request(history=["browser"] * 9)
    chances = dense(repeat.evidence(phone.users([*known, told])[0])).sum(1)
    assert 0 < chances[0] < chances[1] < chances[2] < 1 and chances[3] > 2 * chances[0]


def test_repeats_are_a_part_of_the_score_whoever_asks(phone: Recommender, tmp_path: Path) -> None:
    requests = [Request(history=["app1", "browser"]), Request(), Request(history=["game1"] * 3)]
    scores, parts = phone.score(requests), phone.score_components(requests)
    np.testing.assert_allclose(sum(parts.values()), scores, atol=1e-4)
    assert (parts["repeat"] != 0).sum(1).tolist() == [2, 0, 1]
    items = np.arange(len(phone.vocabulary))
    stand_ins = StandIns(items=items, weights=np.ones(len(items), np.float32))
    scorer = SubsetScorer.of(phone.ensemble, phone.users(requests)[0], stand_ins)
    np.testing.assert_allclose(scorer.scores(items[3:]), scores[:, 3:], atol=1e-4)
    phone.save(tmp_path / "phone")
    np.testing.assert_array_equal(Recommender.load(tmp_path / "phone").score(requests), scores)


def test_the_order_of_settings_and_the_weight_of_users_count_as_said(phone: Recommender) -> None:
    behavior = replace(phone.behavior(), words=None)

    def fitted(weights: np.ndarray | None = None, **settings: tuple[float, ...]) -> Repeat:
        some = replace(behavior, weights=weights)
        return Repeat.fit(some, np.random.default_rng(0), RepeatConfig(**settings))

    plain = fitted()
    same = fitted(strengths=(0.7, 0.35), supports=(50, 20, 10, 5, 3, 2, 1))
    np.testing.assert_allclose(plain.order, same.order, atol=1e-3)
    users = len(behavior.histories)
    np.testing.assert_allclose(plain.habits, fitted(np.ones(users)).habits)
    first = fitted(np.where(np.arange(users) < 5, users / 5.0, 0.0))
    assert np.abs(first.habits - plain.habits).max() > 0.1

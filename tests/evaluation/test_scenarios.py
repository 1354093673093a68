"""Cold means cold: no hidden item and no evaluated user is in the training events."""

import numpy as np
import polars as pl
import pytest

from evaluation.worlds import SHORT_WORLD, Oracle
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.evaluation.baselines import BASELINES
from metarec.evaluation.curve import learning_curve
from metarec.evaluation.scenarios import SCENARIOS, hide_items, prepare
from world import tiny_world


@pytest.fixture(scope="module")
def data():
    return tiny_world(users_per_taste=40, items_per_taste=15, ratings=True).data


@pytest.fixture(scope="module")
def settings(data):
    return {s: prepare(data, s, seed=2, horizon=SHORT_WORLD) for s in SCENARIOS if s != "time"}


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s != "time"])
def test_nothing_asked_is_in_training(settings, scenario):
    setting = settings[scenario]
    events = set(setting.split.train.interactions.frame.select("user_id", "item_id").iter_rows())
    users = {u for u, _ in events}
    for user in setting.split.test:
        assert {(user.user_id, i) for i, _ in user.query}.isdisjoint(events)
        assert set(user.relevant) <= {i for i, _ in user.query}
        assert user.relevant
        assert (user.user_id in users) == (scenario in {"item-cold", "warm"})
        assert {i for i, *_ in user.pool}.isdisjoint(i for i, _ in user.query)
    assert {p.user_id for p in setting.split.validation}.isdisjoint(users)


@pytest.mark.parametrize("scenario", ["user-cold", "both-cold"])
def test_every_user_held_out_is_evaluated_or_counted(data, settings, scenario):
    """A user who likes nothing that can be asked about is told, and not lost without a word."""
    split = settings[scenario].split
    held_out = set(data.interactions.frame["user_id"]) - set(
        split.train.interactions.frame["user_id"]
    )
    assert split.left_out == len(held_out) - len(split.test) - len(split.validation)
    assert split.left_out > 0 or scenario == "user-cold"


@pytest.mark.parametrize("scenario", ["item-cold", "both-cold"])
def test_hidden_items_are_in_no_event_and_no_support(settings, scenario):
    setting = settings[scenario]
    cold = set(setting.evaluation_sets["cold"].vocabulary.ids)
    assert len(cold) == 3
    assert cold.isdisjoint(setting.split.train.interactions.frame["item_id"])
    assert cold < set(setting.evaluation_sets["all"].vocabulary.ids)
    for user in [*setting.split.test, *setting.split.validation]:
        assert cold.isdisjoint(i for i, *_ in user.pool)
    assert all(set(p.relevant) <= cold for p in setting.split.test)
    assert all(cold.isdisjoint(p.relevant) for p in setting.split.validation)
    assert cold <= set(setting.split.train.items.vocabulary.ids)  # their content stays known


def test_users_of_hidden_items_know_as_many_items_as_said(data, settings):
    """A hidden item among the first ones is made up for by the next: 3 known items are 3."""
    setting = settings["both-cold"]
    split, cold = setting.split, set(setting.evaluation_sets["cold"].vocabulary.ids)
    frame = data.interactions.frame.sort("timestamp")
    early = 0
    for user in split.test:
        own = frame.filter(frame["user_id"] == user.user_id)["item_id"].to_list()
        visible = [item for item in own if item not in cold]
        assert [event[0] for event in user.pool] == visible[: SHORT_WORLD.pool]
        early += not cold.isdisjoint(own[: SHORT_WORLD.pool])
    assert early > 0


@pytest.mark.parametrize("candidates", ["cold", "all"])
def test_no_user_is_ranked_an_item_that_is_known_and_not_asked_about(
    data, settings, candidates
) -> None:
    """A hidden item among a user's own first events, or a warm one liked later, is no miss."""
    setting = settings["both-cold"]
    evaluation_set = setting.evaluation_sets[candidates]
    listed, asked = evaluation_set.masks(0, len(evaluation_set.cold_users))
    frame = data.interactions.frame.sort("timestamp")
    seen_hidden = 0
    for row, user in enumerate(evaluation_set.cold_users):
        own = frame.filter(frame["user_id"] == user.user_id)
        ends = own["item_id"].to_list().index(list(user.pool)[-1][0]) + 1
        first = own["item_id"].to_list()[:ends]
        liked = own.filter(own["value"] >= data.interactions.relevant_from)["item_id"].to_list()
        known = evaluation_set.vocabulary.indexes(
            [*first, *(i for i in liked if i not in user.relevant)]
        )
        assert not listed[row, known[known >= 0]].any()
        assert (listed[row] >= asked[row]).all()
        assert asked[row].any()
        seen_hidden += sum(item in setting.evaluation_sets["cold"].vocabulary.ids for item in first)
    assert seen_hidden > 0


def test_known_users_show_everything_they_have_in_training(settings):
    for scenario in ("item-cold", "warm"):
        split = settings[scenario].split
        frame = split.train.interactions.frame
        for user in split.test[:5]:
            assert {i for i, *_ in user.pool} == set(
                frame.filter(frame["user_id"] == user.user_id)["item_id"]
            )
        assert split.horizon.support_sizes == (max(len(p.pool) for p in split.test),)


def test_warm_asks_about_the_last_events(data, settings):
    frame = data.interactions.frame
    for user in settings["warm"].split.test[:10]:
        times = dict(
            frame.filter(frame["user_id"] == user.user_id)
            .select("item_id", "timestamp")
            .iter_rows()
        )
        assert max(times[i] for i, *_ in user.pool) < min(times[i] for i, _ in user.query)


def test_content_places_items_nobody_has_met_and_neighbors_cannot(data, settings):
    setting = settings["both-cold"]
    content, neighbors = BASELINES["ContentRidge"](), BASELINES["ItemKNN"]()
    for model in (content, neighbors):
        model.fit(setting.split.train, setting.split.validation, np.random.default_rng(0))
    curve = learning_curve(
        [content, neighbors], setting.split, evaluation_set=setting.evaluation_sets["cold"]
    )
    assert curve.mean("ContentRidge", "auc")[-1] > 0.8
    assert curve.mean("ItemKNN", "auc")[-1] == pytest.approx(0.5, abs=0.02)


def test_known_users_are_evaluated_too(data, settings):
    world = tiny_world(users_per_taste=40, items_per_taste=15, ratings=True)
    setting = settings["warm"]
    curve = learning_curve(
        [Oracle(world)], setting.split, evaluation_set=setting.evaluation_sets["all"]
    )
    assert curve.mean("Oracle", "auc")[0] > 0.8
    limited = prepare(data, "warm", seed=2, horizon=SHORT_WORLD, max_users=7)
    assert len(limited.split.test) == 7


def test_what_is_hidden_follows_the_seed(data):
    again = [hide_items(data, np.random.default_rng(s)) for s in (0, 0, 1)]
    assert again[0] == again[1] != again[2]
    assert len(hide_items(data, np.random.default_rng(0), share=0.5)) == 15


def test_mistakes_are_told(data):
    with pytest.raises(
        BadInput, match="there is no scenario 'lukewarm'; there are user-cold, item-cold"
    ):
        prepare(data, "lukewarm")
    few = tiny_world(users_per_taste=12, items_per_taste=12).data
    two = few.with_interactions(
        few.interactions.frame.filter(few.interactions.frame["item_id"].is_in(["s00", "s01"]))
    )
    with pytest.raises(BadInput, match="has 2 items with events: too few to hide"):
        hide_items(two, np.random.default_rng(0))


def test_a_cut_in_time_evaluates_users_first_seen_after_it():
    rng = np.random.default_rng(0)
    joined = rng.uniform(1.6e9, 1.7e9, 200)
    rows = [
        (f"u{user}", f"i{item}", at + 60.0 * place, float(rng.integers(3, 6)))
        for user, at in enumerate(joined)
        for place, item in enumerate(rng.choice(30, 8, replace=False))
    ]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "value"], orient="row")
    setting = prepare(Dataset(interactions=frame), "time", horizon=SHORT_WORLD)
    newest = setting.split.train.interactions.frame["timestamp"].max()
    users = [*setting.split.test, *setting.split.validation]
    assert len(users) >= 10
    assert all(at > newest for user in users for *_, at in user.pool)
    with pytest.raises(BadInput, match="no clock common to all users"):
        prepare(tiny_world(ratings=True).data, "time", horizon=SHORT_WORLD)

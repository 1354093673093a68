"""A challenger is promoted when it is not worse and refused when it is."""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metarec.app.commands.live import _retrained
from metarec.app.importing import import_data
from metarec.app.jobs import jobs_of
from metarec.app.retraining.beside import with_circumstances
from metarec.app.retraining.compare import as_holdout_users, compare, groups_of
from metarec.app.retraining.compare_logged import compare_on_log, read_log
from metarec.app.retraining.loop import retrain
from metarec.app.retraining.round_data import (
    HOLDOUT_SHARE,
    by_own_choice,
    gather,
    how_to_learn,
    scale_of,
    split_holdout_users,
)
from metarec.app.service.processes.retraining import (
    retrain_periodically,
    start_retraining,
)
from metarec.app.service.settings import ServiceSettings
from metarec.data.cold_users import ColdUser, choose_horizon
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.feedback import open_store
from metarec.feedback.events import Event, Impression
from metarec.feedback.forgetting import forget, user_digest, waiting_in_model
from metarec.feedback.promotion import Guardrails
from metarec.feedback.registry import Registry
from metarec.recommender import Recommender
from served_model import fitted_model
from waiting import eventually

RAILS = Guardrails(min_cold_users=5, latency_ratio=50.0)


def tiny(data, **how):
    return Recommender.fit(data, preset="tiny", seed=1, encoder="tfidf", **how)


@pytest.fixture(scope="module")
def fitted():
    return fitted_model()


@pytest.fixture
def model(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    return str(tmp_path / "model")


@pytest.fixture
def url(tmp_path, rated_world):
    """A store with new users of two tastes, who like their taste and dislike the other."""
    url, rng = str(tmp_path / "events.db"), np.random.default_rng(0)
    store = open_store(url)
    # Who evaluates is drawn by the store's own secret. With so few evaluates an honest challenger
    # loses one draw in eight by chance, so the draw is the same in every run.
    with contextlib.closing(sqlite3.connect(url)) as database, database:
        database.execute("UPDATE facts SET value = ? WHERE name = 'digest_key'", (f"{4:064x}",))
    events = []
    for user in range(60):
        liked, disliked = ("space", "garden") if user % 2 else ("garden", "space")
        for place, item in enumerate(rng.permutation(rated_world.items_of_taste[liked])[:10]):
            events.append(
                Event(
                    event_id=f"{user}-{place}",
                    user_id=f"new{user}",
                    item_id=str(item),
                    kind="like",
                    timestamp=2000.0 + place,
                )
            )
        for place, item in enumerate(rng.permutation(rated_world.items_of_taste[disliked])[:2]):
            events.append(
                Event(
                    event_id=f"{user}-no{place}",
                    user_id=f"new{user}",
                    item_id=str(item),
                    kind="dislike",
                    timestamp=2020.0 + place,
                )
            )
        store.put_profile(f"new{user}", {"home": "north" if user % 2 else "south"})
    store.append(events).result()
    store.close()
    return url


def shuffled(data: Dataset, **how) -> Recommender:
    """A sabotaged challenger: every event is moved to an item drawn at random, so it has learned
    nothing.
    """
    frame = data.interactions.frame
    moved = frame.with_columns(frame["item_id"].shuffle(seed=3)).unique(
        ["user_id", "item_id"], maintain_order=True
    )
    return tiny(data.with_interactions(moved), **how)


def test_an_honest_challenger_is_promoted_with_its_table(model, url, fitted):
    done = retrain(model, url, fit=tiny, rails=RAILS)
    assert done.promoted, done.decision.reason
    assert done.test_users >= 5
    assert (done.events_new + done.events_of_holdout, done.events_left_out) == (60 * 12, 0)
    assert done.events_of_holdout % 12 == 0 < done.events_of_holdout
    further = "further new events are of users kept out of training to evaluate on"
    assert f"\n{done.events_of_holdout} {further}\n" in _retrained(done)
    registry = Registry(model)
    assert registry.current() == done.challenger != done.champion
    assert {e.version: e.decision for e in registry.entries()}[
        done.challenger
    ] == done.decision.as_dict()
    assert {"NDCG@10", "ms for one new user"} <= {v.comparison.name for v in done.decision.checks}
    after = Recommender.load(registry.place_of(done.challenger))
    assert after.has_values  # a like has become a rating, and the scale is the old one
    assert after.value_range == fitted.value_range
    store = open_store(url)
    judging, learning = split_holdout_users(store, fitted.training_data(), store.as_frame())
    store.close()
    trained = set(after.trained_on["user_id"])
    assert set(learning["user_id"]) <= trained
    assert not set(judging["user_id"]) & trained


def test_what_was_promoted_is_retrained_in_its_turn(model, url):
    first = retrain(model, url, fit=tiny, rails=RAILS)
    store = open_store(url)
    store.append(
        [
            Event(
                event_id=f"more{n}", user_id=f"later{n}", item_id="s00", kind="like", timestamp=4e3
            )
            for n in range(40)
        ]
    ).result()
    store.close()
    second = retrain(model, url, fit=tiny, rails=RAILS)
    assert second.champion == first.challenger
    kept = Recommender.load(Registry(model).place_of(second.challenger)).trained_on
    assert kept.filter(pl.col("user_id").str.starts_with("later")).height > 20
    assert kept.schema["value"] == pl.Float32


def test_a_sabotaged_challenger_is_refused_and_the_champion_serves_on(model, url):
    done = retrain(model, url, fit=shuffled, rails=RAILS)
    assert not done.promoted
    assert "NDCG@10: challenger" in done.decision.reason
    assert Registry(model).current() == done.champion
    forced = retrain(model, url, fit=shuffled, rails=RAILS, force=True)
    assert forced.promoted and forced.is_forced
    assert "was promoted by force: " in jobs_of(Path(model))[0].outcome
    assert _retrained(forced).startswith("promoted by force, although: ")
    assert Registry(model).current() == forced.challenger
    assert Registry(model).promotions()[-1]["reason"].startswith("forced: ")


def test_with_too_few_to_evaluate_by_nothing_is_promoted(model, url):
    """Nor trained, which takes longest."""

    def unwanted(*_given, **_more):
        raise AssertionError("it would be trained for nothing")

    with pytest.raises(
        BadInput, match=r"not retrained: only \d+ new users to evaluate on, 1000 needed"
    ):
        retrain(model, url, fit=unwanted, rails=Guardrails(min_cold_users=1000))
    done = retrain(
        model, url, fit=tiny, rails=Guardrails(min_cold_users=1000, latency_ratio=50.0), force=True
    )
    assert done.promoted
    assert "1000 needed" in done.decision.reason


def test_evaluates_are_chosen_by_digest_among_new_users(url, fitted):
    store = open_store(url)
    new = store.as_frame()
    judging, learning = split_holdout_users(store, fitted.training_data(), new)
    chosen, others = set(judging["user_id"]), set(learning["user_id"])
    assert chosen
    assert not chosen & others
    assert chosen == {
        user
        for user in set(new["user_id"])
        if int(user_digest(store, user)[:8], 16) % HOLDOUT_SHARE == 0
    }
    known = new.with_columns(pl.lit(fitted.trained_on["user_id"][0]).alias("user_id"))
    assert split_holdout_users(store, fitted.training_data(), known)[0].height == 0
    store.close()


def test_users_kept_out_of_the_first_model_evaluate(model, url, fitted):
    """`metarec fit --hold-out` keeps them out; given the whole data, retraining never trains on
    them either.
    """
    whole = fitted.training_data()
    users = whole.interactions.frame["user_id"].unique().sort()
    aside, frame = users[::8].to_list(), whole.interactions.frame
    first = tiny(whole.with_interactions(frame.filter(~pl.col("user_id").is_in(aside))))
    first.save(f"{model}/../first")
    done = retrain(f"{model}/../first", url, data=whole, fit=tiny, rails=RAILS, force=True)
    trained = Recommender.load(Registry(f"{model}/../first").place_of(done.challenger)).trained_on
    assert not set(aside) & set(trained["user_id"])
    assert done.test_users >= len(aside)
    store = open_store(url)
    judging, _ = split_holdout_users(
        store, first.training_data(), store.as_frame().select(frame.columns[:2]), offered=whole
    )
    assert not set(judging["user_id"]) & set(aside)  # they have no events there
    most = whole.with_interactions(frame.filter(pl.col("user_id").is_in(users[:10].to_list())))
    too_many, _ = split_holdout_users(store, most, frame, offered=whole)
    assert (
        too_many["user_id"].n_unique() < (len(users) - 10) / 2
    )  # more than a fifth: then one in five of them
    store.close()


def test_answers_to_slates_teach_little_and_do_not_evaluate_where_others_can(fitted):
    train = fitted.training_data()
    frame = train.interactions.frame.select("user_id", "item_id")
    answered = frame["user_id"].unique().sort()[:2].to_list()
    stored = frame.filter(pl.col("user_id").is_in(answered)).with_columns(
        pl.lit(1.0).alias("propensity")
    )
    weights, horizon = how_to_learn(train, stored)
    assert {user: weight for user, weight in weights.items() if weight < 1} == pytest.approx(
        dict.fromkeys(answered, 0.02)
    )
    assert horizon == choose_horizon(
        frame.filter(~pl.col("user_id").is_in(answered))
        .unique()
        .group_by("user_id")
        .len()["len"]
        .to_numpy()
    )
    assert how_to_learn(train, stored.clear()) == (None, None)

    assert set(by_own_choice(frame, stored, least=5)["user_id"]) == set(frame["user_id"]) - set(
        answered
    )
    assert by_own_choice(frame, stored, least=1000).height == frame.height


def test_forgotten_users_leave_old_data_too(model, url, fitted):
    somebody = fitted.trained_on["user_id"][0]
    store = open_store(url)
    forget(store, somebody)
    assert waiting_in_model(store) == 1
    done = retrain(model, url, fit=tiny, rails=RAILS, force=True)
    after = Recommender.load(Registry(model).place_of(done.challenger))
    assert somebody not in set(after.trained_on["user_id"]) | set(
        after.training.users.frame["user_id"]
    )
    assert waiting_in_model(store) == 0
    store.close()
    files = b"".join(
        path.read_bytes()
        for path in Registry(model).place_of(done.challenger).rglob("*.*")
        if path.suffix != ".parquet"
    )
    assert somebody.encode() not in files


def test_items_added_while_serving_become_part_of_the_model(model, url):
    store = open_store(url)
    store.put_item("brandnew", {"title": "Rocket 1", "categories": "space"}).result()
    store.append(
        [
            Event(
                event_id=f"b{n}",
                user_id=f"new{n}",
                item_id="brandnew",
                kind="like",
                timestamp=3000.0,
            )
            for n in range(1, 60, 2)
        ]
    ).result()
    store.close()
    done = retrain(model, url, fit=tiny, rails=RAILS, force=True)
    after = Recommender.load(Registry(model).place_of(done.challenger))
    assert "brandnew" in after.vocabulary
    assert after.trained_on.filter(pl.col("item_id") == "brandnew").height > 10


def test_new_events_are_cleaned_as_the_old_ones_were(model, url, fitted):
    somebody = fitted.trained_on["user_id"][0]  # who never evaluates
    store = open_store(url)
    store.append(
        [Event(event_id="odd", user_id=somebody, item_id="nonesuch", kind="like", timestamp=3000.0)]
    ).result()
    store.close()
    done = retrain(model, url, fit=tiny, rails=RAILS)
    assert done.events_left_out == 1
    assert "\n1 further new events were left out by the cleaning\n" in _retrained(done)
    folder = Registry(model).place_of(done.challenger)
    assert "nonesuch" not in Recommender.load(folder).vocabulary
    text = (folder / "reports" / "data.json").read_text()
    assert [(finding["rule"], finding["rows"]) for finding in json.loads(text)["findings"]] == [
        ("unknown_items", 1)
    ]
    assert somebody not in text  # a report outlives a user's wish to be forgotten


@pytest.mark.parametrize(
    ("dtype", "sent", "kept"),
    [
        (pl.Boolean(), [True, "False", 1, "perhaps"], [True, False, True, None]),
        (pl.Date(), ["2024-05-01", "soon"], [datetime.date(2024, 5, 1), None]),
        (pl.Datetime("us"), ["2024-05-01 03:00:00"], [datetime.datetime(2024, 5, 1, 3)]),
        (pl.Time(), ["03:30:00", 7], [datetime.time(3, 30), None]),
        (pl.List(pl.Utf8()), ["a"], [None]),
        (pl.Int64(), [3, "4", "many"], [3, 4, None]),
        (pl.Int64(), [3, 20.5], [3.0, 20.5]),
        (pl.Int8(), [3, 300], [3.0, 300.0]),
        (pl.Categorical(), ["rain", 5], ["rain", "5"]),
    ],
)
def test_stored_circumstances_take_the_type_of_the_old_column(dtype, sent, kept):
    """A column that is no number and no text is one as well, and what it cannot hold is empty."""
    rows = range(len(sent))
    events = pl.DataFrame(
        {
            "sequence": rows,
            "user_id": "u1",
            "item_id": [f"i{n}" for n in rows],
            "timestamp": 1.7e9,
            "value": None,
            "kind": "view",
        }
    )
    contexts = pl.DataFrame(
        {"sequence": rows, "context": [json.dumps({"column": one}) for one in sent]}
    )
    rows, findings = with_circumstances(events, contexts, {"column": dtype})
    wider = pl.Float64() if any(isinstance(one, float) for one in kept) else dtype
    assert (rows["column"].dtype, rows["column"].to_list()) == (wider, kept)
    assert sum(finding.rows for finding in findings) == kept.count(None)
    assert all(finding.why.startswith("values of 'column' in new events") for finding in findings)


def test_nothing_to_learn_from_is_said(model, tmp_path):
    with pytest.raises(BadInput, match="holds no events to learn from"):
        open_store(str(tmp_path / "empty.db")).close()
        retrain(model, str(tmp_path / "empty.db"))


def test_a_store_of_what_was_learned_already_holds_nothing_new(fitted, model, tmp_path):
    """As after `metarec import MODEL`, before anybody has done more."""
    url = str(tmp_path / "known.db")
    store = open_store(url)
    import_data(store, fitted.training_data(), fitted.vocabulary)
    store.close()
    with pytest.raises(BadInput, match="holds nothing new: all its .* events were learned from"):
        retrain(model, url)


@pytest.mark.parametrize("what", ["attributes", "friends", "searches", "items"])
def test_what_changes_beside_events_is_learned(fitted, model, tmp_path, what):
    url = str(tmp_path / "known.db")
    user, item = fitted.training.interactions.frame.row(0)[:2]
    with contextlib.closing(open_store(url)) as store:
        import_data(store, fitted.training_data(), fitted.vocabulary)
        {
            "attributes": lambda: store.put_profile(user, {"home": "elsewhere"}),
            "friends": lambda: store.put_friends(user, {"u1": 1.0}),
            "searches": lambda: store.append(
                [
                    Event(
                        event_id="s",
                        user_id=user,
                        item_id="",
                        kind="search",
                        query="tea",
                        timestamp=2e9 - 1e9,
                    )
                ]
            ),
            "items": lambda: store.put_items([(item, {"title": "another"})]),
        }[what]().result(10)
        gather(store, fitted, None, Guardrails())


def test_two_at_once_are_told_apart(model, url):
    with (
        Registry(model).retraining(),
        pytest.raises(BadInput, match="being retrained by another process"),
    ):
        retrain(model, url)


@pytest.mark.parametrize(("data", "code", "state"), [("nowhere", 1, "failed"), ("", 0, "skipped")])
def test_a_scheduled_round_without_its_data_has_failed(model, tmp_path, data, code, state):
    """It counted as nothing to do, and was not tried again once the data were there."""
    empty = str(tmp_path / "empty.db")
    open_store(empty).close()
    settings = ServiceSettings(model=str(model), store=empty, data=data and str(tmp_path / data))
    job = start_retraining(settings)
    job.join(120)
    [told] = jobs_of(Path(model))
    assert (job.exitcode, told.state) == (code, state)


def test_a_schedule_trains_only_where_something_was_stored_since(model, url, monkeypatch):
    """Rounds run in this process, so that they can be counted."""
    rounds, stop = [], threading.Event()

    class Job:
        exitcode = 0

        def __init__(self, target, args):
            self.start, self.join = (lambda: rounds.append(args)), (lambda: stop.wait(0.02))

    class Context:
        Process = Job

    monkeypatch.setattr("multiprocessing.get_context", lambda _way: Context)
    every = ServiceSettings(model=model, store=url, retrain_hours=0.02 / 3600)
    clock = threading.Thread(target=retrain_periodically, args=(every, stop))
    clock.start()
    try:
        eventually(lambda: rounds)
        time.sleep(0.5)  # many a round's time
        assert rounds == [(model, url, None)]
        with contextlib.closing(open_store(url)) as store:
            store.append(
                [Event(event_id="late", user_id="late", item_id="s00", kind="like", timestamp=1.0)]
            ).result(10)
            eventually(lambda: len(rounds) > 1)
            store.put_profile("new1", {"home": "south"}).result(10)  # it was north
            eventually(lambda: len(rounds) > 2)
            store.put_friends("new1", {"new2": 1.0}).result(10)
            eventually(lambda: len(rounds) > 3)
            store.put_friends("new1", {"new3": 1.0}).result(10)
            eventually(lambda: len(rounds) > 4)
        time.sleep(0.5)
        assert len(rounds) == 5
    finally:
        stop.set()
        clock.join(120)


def cold_users(count, **profile):
    return [
        ColdUser(
            user_id=f"n{n}",
            profile={k: v[n % len(v)] for k, v in profile.items()},
            pool=[],
            query=[],
            relevant=[],
        )
        for n in range(count)
    ]


def test_groups_are_attributes_with_few_values_and_enough_users():
    groups = groups_of(
        cold_users(
            60,
            home=["north", "south"],
            rare=["x"] + ["y"] * 59,
            age=[30, 40],
            name=[f"a{n}" for n in range(60)],
        )
    )
    assert set(groups) == {"home=north", "home=south", "rare=y"}
    assert groups["home=north"].sum() == 30


def test_evaluates_are_asked_about_their_later_half():
    events = pl.DataFrame(
        {
            "user_id": ["a"] * 4 + ["b"],
            "item_id": ["w", "x", "y", "z", "w"],
            "value": [1.0, 5.0, 5.0, 1.0, 5.0],
            "timestamp": [4.0, 3.0, 2.0, 1.0, 1.0],
        }
    )
    data = Dataset(interactions=events)
    test_users = as_holdout_users(
        data, {"a": {"home": "north"}}, ["w", "x", "y", "z"], relevant_from=4.0
    )
    assert [(n.user_id, n.pool, n.relevant) for n in test_users.cold_users] == [
        ("a", [("z", 1.0, "event", 1.0), ("y", 5.0, "event", 2.0)], ["x"])
    ]
    assert test_users.cold_users[0].profile == {"home": "north"}
    assert as_holdout_users(data, {}, ["w"], relevant_from=4.0).cold_users == []


def test_a_model_beside_itself_is_equal(fitted, url):
    store = open_store(url)
    events = store.as_frame().with_columns(
        pl.when(pl.col("kind") == "like").then(5.0).otherwise(1.0).alias("value"),
        kind=pl.lit("rating"),
    )
    store.close()
    test_users = as_holdout_users(
        Dataset(interactions=events), {}, fitted.vocabulary.ids, fitted.relevant_from
    )
    for comparison in compare(fitted, fitted, test_users, fitted.training):
        if comparison.reading != "ratio":
            assert comparison.champion == comparison.challenger
            assert comparison.low == comparison.high == 0.0


def test_the_log_tells_the_policy_that_shows_what_is_liked(tmp_path, rated_world, fitted):
    """Users were shown random slates with their true chances; the model knows tastes, a shuffled
    one does not.
    """
    store, rng = open_store(str(tmp_path / "log.db")), np.random.default_rng(0)
    impressions, events = [], []
    catalog = fitted.vocabulary.ids
    for user in range(250):  # fifty shown by chance where a model would, at least
        liked = rated_world.items_of_taste["space" if user % 2 else "garden"]
        first = [
            Event(
                event_id=f"{user}-{n}",
                user_id=f"p{user}",
                item_id=liked[n],
                kind="like",
                timestamp=100.0,
            )
            for n in range(3)
        ]
        rest = [i for i in catalog if i not in liked[:3]]
        shown = [str(i) for i in rng.permutation(rest)[:8]]
        impressions.append(
            Impression(
                slate_id=f"s{user}",
                user_id=f"p{user}",
                item_ids=shown,
                scores=[0.0] * 8,
                timestamp=200.0,
                propensity=[1 / len(rest)] * 8,
                model_version="random",
                n_support=3,
            )
        )
        events += [
            *first,
            *(
                Event(
                    event_id=f"{user}-{i}",
                    user_id=f"p{user}",
                    item_id=i,
                    kind="like",
                    timestamp=300.0,
                    slate_id=f"s{user}",
                )
                for i in shown
                if i in liked
            ),
        ]
    store.show(impressions).result()
    store.append(events).result()
    log = read_log(store, scale_of(fitted), {})
    store.close()
    assert [len(request.history) for request in log.requests] == [3] * 250
    found = {c.name: c for c in compare_on_log(fitted, shuffled(fitted.training), log)}
    assert set(found) == {"likes per place shown (SNIPS)", "likes per place shown (doubly robust)"}
    for comparison in found.values():
        assert comparison.champion > 0.85
        assert comparison.challenger < comparison.champion - 0.2
        assert comparison.high < 0
    pairs = log.rows.with_columns(user_id=(pl.col("slate") // 2).cast(pl.Utf8))
    of_pairs = compare_on_log(fitted, OfSix(fitted), replace(log, rows=pairs))
    assert {comparison.users for comparison in of_pairs} == {125}
    robust = next(one for one in of_pairs if "robust" in one.name)
    assert robust.challenger < 0.8 * robust.champion  # two places of eight stay empty
    assert compare_on_log(fitted, fitted, read_log_of(log, 10)) == []
    untaken = log.rows.with_columns(outcome=pl.lit(0.0))  # 0 for both says nothing of either
    assert compare_on_log(fitted, fitted, type(log)(requests=log.requests, rows=untaken)) == []


class OfSix:
    """A model that has six items for a slate and no more."""

    def __init__(self, model):
        self.model = model

    def recommend(self, requests, k):
        return self.model.recommend(requests, k=6)


def read_log_of(log, slates):
    return type(log)(requests=log.requests[:slates], rows=log.rows.filter(pl.col("slate") < slates))


def trained_on(folder):
    """Everyone in any table below a folder."""
    return {
        user
        for path in folder.rglob("*.parquet")
        for user in pl.read_parquet(path).to_dict(as_series=False).get("user_id", [])
    }


def test_who_is_forgotten_while_a_challenger_is_trained_is_in_no_folder(model, url):
    """The forgetting happens in the middle of the fit."""
    receipts = []

    def fit(data, **how):
        assert "new7" in set(data.interactions.frame["user_id"])
        fitted = tiny(data, **how)
        with contextlib.closing(open_store(url)) as store:
            receipts.append(forget(store, "new7", models=Registry(model)))
        return fitted

    done = retrain(model, url, fit=fit, rails=RAILS, force=True)
    assert done.promoted
    [receipt] = receipts
    assert any(one.place == "the retraining under way" for one in receipt.places)
    assert "new7" not in trained_on(Registry(model).folder)
    assert "new9" in trained_on(Registry(model).folder)
    with contextlib.closing(open_store(url)) as store:
        assert waiting_in_model(store) == 1  # the numbers it learned still hold them


def test_who_is_forgotten_while_a_challenger_is_evaluated_is_in_no_folder(model, url, caplog):
    """The forgetting does not see the folder, as if it had looked a moment before it was saved."""
    forgotten = []

    class Listener(logging.Handler):
        """Forgets when it hears that the challenger is saved, before it is evaluated."""

        def emit(self, record):
            if record.getMessage() == "challenger trained":
                forgotten.append("new7" in trained_on(Registry(model).folder))
                with contextlib.closing(open_store(url)) as store:
                    forget(store, "new7")

    listener = Listener()
    caplog.set_level(logging.INFO, "metarec.retrain")
    logging.getLogger("metarec.retrain").addHandler(listener)
    try:
        assert retrain(model, url, fit=tiny, rails=RAILS, force=True).promoted
    finally:
        logging.getLogger("metarec.retrain").removeHandler(listener)
    assert forgotten == [True]
    assert "new7" not in trained_on(Registry(model).folder)


def test_only_so_many_old_versions_stay(model, url):
    versions = []
    for seed in range(4):
        with contextlib.closing(open_store(url)) as store:
            more = [
                Event(
                    event_id=f"m{seed}-{n}",
                    user_id=f"late{seed}-{n}",
                    item_id="s00",
                    kind="like",
                    timestamp=5e3,
                )
                for n in range(20)
            ]
            store.append(more).result()
        versions.append(retrain(model, url, fit=tiny, rails=RAILS, force=True, keep=2).challenger)
    assert [e.version for e in Registry(model).entries()][1:] == versions[-2:]


def test_a_retraining_sweeps_what_a_killed_one_left(model, url):
    dead = Registry(model).folder / "versions" / ".x.draft-y"
    dead.mkdir(parents=True)
    (dead / "interactions.parquet").write_text("someone")
    retrain(model, url, fit=tiny, rails=RAILS, force=True)
    assert not dead.exists()

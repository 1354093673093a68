"""A/B experiments in the store: who is in which arm, what they did, what it shows, what ends it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import sqlalchemy as sa

from metarec.data.kinds import Kinds
from metarec.data.schema import BadInput
from metarec.feedback import open_store
from metarec.feedback.events import Event, Exposure, Impression
from metarec.feedback.experiments.arm_health import (
    FAILED,
    add_answers,
    answers_of,
    bucket_of,
    coverage_ratios,
    seconds_of,
)
from metarec.feedback.experiments.counts import count_users
from metarec.feedback.experiments.experiment import (
    Arm,
    ArmSettings,
    Experiment,
    ExperimentConflict,
    Guardrails,
    experiment_named,
    experiments,
    note_promoted,
    note_rolled_back,
    running_experiment,
    settings_in_effect,
    start,
    stop,
)
from metarec.feedback.experiments.results import broken_guardrails, results
from metarec.feedback.forgetting import forget
from metarec.feedback.merging import merge_user
from metarec.feedback.outcomes import ValueScale
from metarec.feedback.store import tables

SCALE = ValueScale(
    has_values=False,
    low=1.0,
    high=1.0,
    relevant_from=-np.inf,
    kinds=Kinds.default(),
    target_kinds=frozenset({"purchase"}),
)
HOUR = 3_600.0


def plan(name="ranking", shares=(0.5, 0.5), **more):
    arms = [Arm(name=n, share=s) for n, s in zip(("a", "b", "c", "d"), shares, strict=False)]
    return Experiment(name=name, arms=arms, **more)


def show(store, experiment, user, at, slate_id=None, arm=None, items=("tea", "rice"), new=True):
    """One slate for a user, of the arm that is theirs unless another is given."""
    arm = arm or experiment.arm_of(user).name
    closes_at = at + HOUR * experiment.window_hours
    impression = Impression(
        slate_id=slate_id or f"{user}-{at}",
        user_id=user,
        item_ids=items,
        scores=[1.0] * len(items),
        propensity=[1.0] * len(items),
        model_version="v1",
        timestamp=at,
        n_support=0,
        exposure=Exposure(experiment=experiment.name, arm=arm, is_new=new, closes_at=closes_at),
    )
    store.show([impression]).result()
    return impression.slate_id


def act(store, user, slate_id, kind, at, item="tea", value=None):
    event = Event(
        event_id=f"{slate_id}-{kind}-{item}",
        user_id=user,
        item_id=item,
        timestamp=at,
        kind=kind,
        value=value,
        slate_id=slate_id,
    )
    return store.append([event]).result()


def count_all(store, experiment, now, scale=SCALE):
    counted = 0
    while found := count_users(store, experiment, scale, now):
        counted += found
    return counted


def row_of(store, user):
    with store.reading() as connection:
        query = sa.select(tables.exposures).where(tables.exposures.c.user_id == user)
        found = connection.execute(query).one_or_none()
    return found if found is None else dict(found._mapping)


def test_users_fall_into_arms_by_the_shares_and_independently_of_other_experiments():
    users = [f"user{n}" for n in range(20_000)]
    one, other = plan(shares=(0.5, 0.2)), plan("other", shares=(0.5, 0.2))
    arms = [one.arm_of(user) for user in users]
    seen = Counter("outside" if arm is None else arm.name for arm in arms)
    for name, share in (("a", 0.5), ("b", 0.2), ("outside", 0.3)):
        assert abs(seen[name] / len(users) - share) < 0.015
    both = sum(
        a is not None and a == other.arm_of(user) for a, user in zip(arms, users, strict=True)
    )
    assert abs(both / len(users) - (0.5 * 0.5 + 0.2 * 0.2)) < 0.015


def test_an_arm_is_the_same_in_another_process():
    program = (
        "from metarec.feedback.experiments.experiment import *\n"
        "e = Experiment(name='ranking', arms=[Arm(name='a', share=.5), Arm(name='b', share=.5)])\n"
        "print(''.join(e.arm_of(f'user{n}').name for n in range(100)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "77", "PYTHONPATH": ":".join(sys.path)},
    )
    assert told.stdout.strip() == "".join(plan().arm_of(f"user{n}").name for n in range(100))


def test_users_of_a_stopped_arm_are_outside_and_the_others_stay_where_they_are():
    before = plan(shares=(0.3, 0.3, 0.3))
    after = plan(shares=(0.3, 0.3, 0.3), stopped={"b": "slow"})
    for user in map(str, range(300)):
        was, now = before.arm_of(user), after.arm_of(user)
        assert now is None if was is not None and was.name == "b" else now == was


@pytest.mark.parametrize(
    ("arms", "more", "says"),
    [
        ([("a", 0.7), ("b", 0.4)], {}, "shares come to 1.1; they may be 1 together"),
        ([("a", 0.7)], {}, "needs two arms or more"),
        ([("a", 0.5), ("a", 0.5)], {}, "each arm needs a name of its own, got a, a"),
        ([("a", 0.0), ("b", 0.5)], {}, r"arm 'a': share must lie in \(0, 1\], got 0"),
        ([("a/b", 0.5), ("b", 0.5)], {}, "'a/b' cannot be the name of an arm"),
        ([("a", 0.5), ("b", 0.5)], {"name": ""}, "'' cannot be the name of an experiment"),
        ([("a", 0.5), ("b", 0.5)], {"measure": "luck"}, "measure must be one of clicks, conver"),
        ([("a", 0.5), ("b", 0.5)], {"alpha": 0.5}, r"alpha must lie in \(0, 0.5\), got 0.5"),
        ([("a", 0.5), ("b", 0.5)], {"window_hours": 0}, r"window_hours must lie in \(0, 2160\]"),
        ([("a", 0.5), ("b", 0.5)], {"new_below": -1}, "new_below must be 0 or more, got -1"),
    ],
)
def test_a_plan_that_makes_no_sense_is_told_in_a_line(arms, more, says):
    with pytest.raises(BadInput, match=says):
        Experiment(**{"name": "x", **more}, arms=[Arm(name=n, share=s) for n, s in arms])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"diversity": 1.5}, r"diversity must lie in \[0, 1\], got 1.5"),
        ({"explore": -1.0}, r"explore must lie in \[0, 10\], got -1"),
        ({"cold_share": 0.6}, r"cold_share must lie in \[0, 0.5\], got 0.6"),
        ({"filter": " "}, r"the filter of an arm is empty; state one, or leave it out"),
    ],
)
def test_settings_of_an_arm_lie_where_a_requests_may(settings, says):
    with pytest.raises(BadInput, match=says):
        ArmSettings(**settings)


def test_one_experiment_runs_at_a_time_and_is_there_after_a_restart(store, store_url):
    first = start(store, plan(window_hours=2.0))
    with pytest.raises(ExperimentConflict, match="'ranking' is running; stop it before"):
        start(store, plan("other"))
    again = open_store(store_url)
    assert running_experiment(again) == first
    stop(again, "ranking", "enough")
    again.close()
    assert running_experiment(store) is None
    with pytest.raises(ExperimentConflict, match=r"an experiment 'ranking' already \(stopped\)"):
        start(store, plan())
    start(store, plan("other"))
    assert [one.name for one in experiments(store)] == ["other", "ranking"]
    assert experiment_named(store, "none") is None


def test_the_store_itself_lets_only_one_run(store):
    """Two processes may look before either writes."""
    start(store, plan())

    def insert_beside(connection):
        row = {"name": "beside", "status": "running", "started_at": 0.0, "plan": "{}"}
        connection.execute(sa.insert(tables.experiments).values(row))

    with pytest.raises(sa.exc.IntegrityError):
        store.call(insert_beside).result()


def test_promotion_ends_it_its_settings_hold_and_can_be_taken_back(store):
    arms = [
        Arm(name="a", share=0.5),
        Arm(name="b", share=0.5, settings=ArmSettings(explore=0.5)),
    ]
    start(store, Experiment(name="x", arms=arms))
    assert settings_in_effect(store) == ArmSettings()
    with pytest.raises(ExperimentConflict, match="'x' has no arm 'z'; there are: a, b"):
        note_promoted(store, "x", "z", "", "v1")
    done = note_promoted(store, "x", "b", "better", "v1")
    assert (done.status, done.winner, done.model_before) == ("promoted", "b", "v1")
    assert settings_in_effect(store) == ArmSettings(explore=0.5)
    with pytest.raises(ExperimentConflict, match="'x' is not running but promoted"):
        stop(store, "x", "")
    note_rolled_back(store, "x", "worse after all")
    assert settings_in_effect(store) == ArmSettings()
    with pytest.raises(ExperimentConflict, match="'x' is not promoted but rolled back"):
        note_rolled_back(store, "x", "")


def test_a_promoted_arm_keeps_what_its_users_were_shown(store):
    """Its users were shown items of the filter promoted before, which was dropped with it."""
    shown = ArmSettings(explore=0.5, filter="price < 10")
    start(store, Experiment(name="x", arms=[Arm(name="a", share=0.5), _arm("b", shown)]))
    note_promoted(store, "x", "b", "better", "v1")
    more = ArmSettings(diversity=0.2, explore=0.1)
    start(store, Experiment(name="y", arms=[Arm(name="a", share=0.5), _arm("b", more)]))
    done = note_promoted(store, "y", "b", "better", "v1")
    both = ArmSettings(diversity=0.2, explore=0.1, filter="price < 10")
    assert settings_in_effect(store) == done.arm_named("b").settings == both
    assert done.control.settings == ArmSettings()
    note_rolled_back(store, "y", "worse after all")
    assert settings_in_effect(store) == shown


def _arm(name, settings):
    return Arm(name=name, share=0.5, settings=settings)


def test_an_empty_filter_that_an_earlier_version_stored_is_none(store):
    begun = start(store, plan())
    plain = begun.as_dict()
    plain["arms"][1]["settings"]["filter"] = ""
    assert Experiment.of(plain).arms[1].settings.filter is None


def test_an_experiment_ends_with_its_control_or_its_last_other_arm(store):
    start(store, plan(shares=(0.3, 0.3, 0.3)))
    assert stop(store, "ranking", "slow", arm="b").status == "running"
    with pytest.raises(ExperimentConflict, match=r"arm 'b' was stopped \(slow\)"):
        stop(store, "ranking", "slow again", arm="b")
    done = stop(store, "ranking", "slow, too", arm="c")
    ends = "(arm 'c' was stopped; the experiment ended with its last arm beside the control)"
    assert (done.status, done.reason) == ("stopped", f"slow, too {ends}")
    start(store, plan("second", shares=(0.3, 0.3, 0.3)))
    done = stop(store, "second", "no", arm="a")
    ends = "(arm 'a' was stopped; the experiment ended without its control)"
    assert (done.status, done.reason) == ("stopped", f"no {ends}")
    with pytest.raises(ExperimentConflict, match="there is no experiment 'none'"):
        stop(store, "none", "")


def test_what_users_did_is_counted_as_the_store_attributes_it(store):
    experiment = start(store, plan(window_hours=1.0))
    at = experiment.started_at
    first = show(store, experiment, "ann", at + 1)
    show(store, experiment, "ann", at + 2, "second")
    show(store, experiment, "bob", at + 1, new=False)
    act(store, "ann", first, "view", at + 3)
    act(store, "ann", "second", "purchase", at + 3, item="rice")
    act(store, "ann", "second", "hide", at + 4)
    assert count_all(store, experiment, at + 5) == 2
    ann = row_of(store, "ann")
    told = {name: ann[name] for name in ("slates", "clicks", "conversions", "reward", "refusals")}
    assert told == {"slates": 2, "clicks": 2, "conversions": 1, "reward": 1.0, "refusals": 1}
    assert (ann["is_new"], ann["is_closed"], row_of(store, "bob")["is_new"]) == (1, 0, 0)
    assert count_all(store, experiment, at + 6) == 0  # nobody did anything since
    act(store, "ann", "second", "return", at + 7, item="rice")
    assert count_all(store, experiment, at + 8) == 1
    assert row_of(store, "ann")["conversions"] == 0


def test_only_what_a_slate_showed_and_what_is_liked_answers_it(store):
    experiment = start(store, plan(window_hours=1.0))
    at = experiment.started_at
    stars = ValueScale(has_values=True, low=1.0, high=5.0, relevant_from=4.0)
    for user, kind, item, value in (
        ("ann", "view", "cake", None),  # not shown
        ("bob", "hide", "cake", None),
        ("cat", "rating", "tea", 1.0),
        ("dan", "rating", "tea", 5.0),
        ("eve", "hide", "tea", None),
    ):
        act(store, user, show(store, experiment, user, at + 1), kind, at + 2, item, value)
    count_all(store, experiment, at + 3, stars)
    told = {user: row_of(store, user) for user in ("ann", "bob", "cat", "dan", "eve")}
    assert [user for user, row in told.items() if row["clicks"]] == ["dan"]
    assert [user for user, row in told.items() if row["refusals"]] == ["eve"]


def test_an_answer_by_another_user_is_none_whoever_is_counted_beside(store):
    experiment = start(store, plan(window_hours=1.0))
    at = experiment.started_at
    first = show(store, experiment, "ann", at + 1)
    show(store, experiment, "bob", at + 1)
    act(store, "bob", first, "purchase", at + 2)
    count_all(store, experiment, at + 3)  # both in one batch
    assert [row_of(store, user)["conversions"] for user in ("ann", "bob")] == [0, 0]
    assert [row_of(store, user)["clicks"] for user in ("ann", "bob")] == [0, 0]


def test_a_user_counts_once_until_their_window_closes(store):
    experiment = start(store, plan(window_hours=1.0))
    at = experiment.started_at
    first = show(store, experiment, "ann", at)
    act(store, "ann", first, "purchase", at + HOUR + 1)  # too late
    later = show(store, experiment, "ann", at + HOUR + 2)
    count_all(store, experiment, at + HOUR + 3)
    ann = row_of(store, "ann")
    assert (ann["is_closed"], ann["slates"], ann["conversions"]) == (1, 1, 0)
    act(store, "ann", later, "purchase", at + HOUR + 4)
    assert count_all(store, experiment, at + HOUR + 5) == 0
    assert row_of(store, "ann") == ann | {"to_count": row_of(store, "ann")["to_count"]}


def test_numbers_come_by_arm_and_a_difference_shows(store):
    experiment = start(store, plan(window_hours=1.0, measure="clicks"))
    at, rng = experiment.started_at, np.random.default_rng(0)
    slates, events = [], []
    for n in range(900):
        user = f"u{n}"
        arm = experiment.arm_of(user).name
        exposure = Exposure(
            experiment="ranking", arm=arm, is_new=n % 3 > 0, closes_at=at + HOUR + n
        )
        slates.append(
            Impression(
                slate_id=user,
                user_id=user,
                item_ids=["tea"],
                scores=[1.0],
                propensity=[1.0],
                model_version="v",
                timestamp=at + 1,
                n_support=0,
                exposure=exposure,
            )
        )
        if rng.random() < (0.6 if arm == "b" else 0.2):
            kind = "view" if n % 2 else "hide"
            events.append(
                Event(
                    event_id=user,
                    user_id=user,
                    item_id="tea",
                    timestamp=at + 2,
                    kind=kind,
                    slate_id=user,
                )
            )
    store.show(slates).result()
    store.append(events).result()
    assert count_all(store, experiment, at + HOUR + 2_000) == 900
    found = results(store, experiment, at + HOUR + 2_000)
    assert sum(arm.users_closed for arm in found.arms) == 900
    assert sum(arm.clicks + arm.refusals for arm in found.arms) == len(events)
    told = {(one.measure, one.group): one for one in found.comparisons}
    assert told["clicks", "all"].is_better
    assert told["clicks", "all"].users == 900
    assert told["clicks", "new"].users + told["clicks", "known"].users == 900
    assert not told["conversions", "all"].is_better and not told["conversions", "all"].is_worse
    assert told["clicks", "known"].low is None or told["clicks", "known"].users > 250
    last = found.history[-1]
    assert (last.difference, last.low) == (
        told["clicks", "all"].difference,
        told["clicks", "all"].low,
    )
    assert found.share_mismatch > 0.05
    assert "hid, disliked or returned" in broken_guardrails(experiment, found)["b"]


def test_merged_users_are_one_and_who_saw_two_arms_is_left_out(store):
    experiment = start(store, plan(window_hours=1.0))
    at = experiment.started_at
    of_arm = {
        arm: [u for u in map(str, range(50)) if experiment.arm_of(u).name == arm] for arm in "ab"
    }
    visitor, customer, other = of_arm["a"][0], of_arm["a"][1], of_arm["b"][0]
    show(store, experiment, visitor, at + 1)
    show(store, experiment, customer, at + 2)
    merge_user(store, visitor, customer)
    count_all(store, experiment, at + 3)
    assert row_of(store, visitor) is None
    assert (row_of(store, customer)["slates"], row_of(store, customer)["is_crossed"]) == (2, 0)
    show(store, experiment, visitor, at + 3)  # under the id given up
    count_all(store, experiment, at + 4)
    assert (row_of(store, visitor), row_of(store, customer)["slates"]) == (None, 3)
    show(store, experiment, other, at + 4)
    merge_user(store, customer, other)
    found = results(store, experiment, at + 5)
    assert (found.crossed, [arm.users for arm in found.arms]) == (1, [0, 0])
    assert "1 users saw two arms" in found.warnings[0]


def test_an_anonymous_user_who_becomes_somebody_new_and_then_sees_another_arm_has_crossed(store):
    experiment = start(store, plan(window_hours=1.0))
    at = experiment.started_at
    users = list(map(str, range(50)))
    visitor = next(u for u in users if experiment.arm_of(u).name == "a")
    customer = next(u for u in users if experiment.arm_of(u).name == "b")
    show(store, experiment, visitor, at + 1)
    merge_user(store, visitor, customer)
    assert row_of(store, customer)["arm"] == "a"
    show(store, experiment, customer, at + 2)
    assert row_of(store, customer)["is_crossed"] == 1


def test_a_forgotten_user_is_in_no_experiment(store):
    experiment = start(store, plan())
    show(store, experiment, "ann", experiment.started_at)
    receipt = forget(store, "ann")
    assert receipt.rows_deleted["exposures"] == 1
    assert row_of(store, "ann") is None
    show(store, experiment, "ann", experiment.started_at, "late")  # asked for before the receipt
    assert row_of(store, "ann") is None


def test_two_processes_count_each_user_once(store, store_url):
    experiment = start(store, plan(window_hours=1.0))
    at = experiment.started_at
    for n in range(20):
        show(store, experiment, f"u{n}", at + n)
    other = open_store(store_url)
    counted = [count_users(one, experiment, SCALE, at + 60) for one in (store, other)]
    other.close()
    assert counted == [20, 0]
    assert sum(arm.slates for arm in results(store, experiment, at + 61).arms) == 20


def test_answers_are_added_up_and_slow_or_failing_arms_are_stopped(store):
    experiment = start(store, plan(shares=(0.3, 0.3, 0.3)))
    quick, slow = bucket_of(0.002), bucket_of(0.050)
    assert seconds_of(slow - 1) < 0.050 <= seconds_of(slow)
    for _ in range(2):
        add_answers(
            store,
            "ranking",
            Counter({("a", quick): 500, ("b", slow): 500, ("c", quick): 450, ("c", FAILED): 50}),
        )
    assert answers_of(store, "ranking")["c"] == {quick: 900, FAILED: 100}
    found = results(store, experiment, experiment.started_at + 1)
    broken = broken_guardrails(experiment, found)
    assert "of its slates take up to" in broken["b"]
    assert broken["c"] == (
        "guardrail: 10.0% of its slates failed or were refused, 0.0% of the control's"
    )
    assert "a" not in broken
    told = {arm.name: arm for arm in found.arms}
    assert (told["c"].answers, told["c"].error_share) == (1_000, 0.1)
    assert not broken_guardrails(stop(store, "ranking", "x", arm="b"), found).get("b")


def test_a_few_slow_or_failed_slates_stop_nothing(store):
    """Each guardrail is looked at every few seconds, so chance must not trip it."""
    experiment = start(store, plan())
    quick, slow = bucket_of(0.002), bucket_of(0.050)
    some = Counter({("a", quick): 400, ("b", quick): 380, ("b", slow): 8, ("b", FAILED): 12})
    add_answers(store, "ranking", some)
    found = results(store, experiment, experiment.started_at + 1)
    assert found.arms[1].p99_ms > 3 * found.arms[0].p99_ms
    assert broken_guardrails(experiment, found) == {}


def test_an_arm_that_shows_few_items_is_stopped(store):
    experiment = start(store, plan(guardrails=Guardrails(min_slates=8)))
    at = experiment.started_at
    of_arm = {
        arm: next(u for u in map(str, range(50)) if experiment.arm_of(u).name == arm)
        for arm in "ab"
    }
    for n in range(10):
        show(store, experiment, of_arm["a"], at + n, items=[f"i{n}", f"j{n}"])
    for n in range(8):
        show(store, experiment, of_arm["b"], at + n, items=["i0", "j0"])
    assert coverage_ratios(store, experiment, 8) == {"a": 1.0, "b": 2 / 16}
    assert coverage_ratios(store, experiment, 9) == {"a": 1.0}
    add_answers(store, "ranking", Counter({("a", 5): 400, ("b", 5): 400}))
    broken = broken_guardrails(experiment, results(store, experiment, at + 60))
    assert broken["b"] == (
        "guardrail: it shows 12% of the different items that the control shows in as many slates"
    )


def test_slates_and_events_of_experiments_can_be_told_apart(store):
    experiment = start(store, plan())
    slate_id = show(store, experiment, "ann", experiment.started_at)
    act(store, "ann", slate_id, "view", experiment.started_at + 1)
    store.append([Event(event_id="own", user_id="ann", item_id="tea", timestamp=1.0)]).result()
    assert store.slates()["arm"].to_list() == [experiment.arm_of("ann").name]
    assert store.as_frame()["event_id"].to_list() == [f"{slate_id}-view-tea", "own"]
    assert store.as_frame(in_experiments=False)["event_id"].to_list() == ["own"]

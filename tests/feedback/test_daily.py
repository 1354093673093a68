"""Slates by day, and who was there lately, on both kinds of store."""

from __future__ import annotations

import numpy as np

from metarec.data.kinds import Kinds
from metarec.feedback.daily import DAY, by_day
from metarec.feedback.events import Event, Impression
from metarec.feedback.outcomes import ValueScale, join_outcomes

NOW = 1_700_000_000.0
SCALE = ValueScale(
    has_values=False,
    low=1.0,
    high=1.0,
    relevant_from=-np.inf,
    kinds=Kinds.default(),
    target_kinds=frozenset({"purchase"}),
)


def show(store, name, days_ago, items=("tea",)):
    slate = Impression(
        slate_id=name,
        user_id="ann",
        item_ids=list(items),
        scores=[1.0] * len(items),
        propensity=[1.0] * len(items),
        model_version="v",
        timestamp=NOW - days_ago * DAY,
        n_support=0,
    )
    store.show([slate]).result()


def act(store, name, kind, slate=None, user="ann", at=NOW):
    event = Event(
        event_id=name, user_id=user, item_id="tea", timestamp=at, kind=kind, slate_id=slate
    )
    store.append([event]).result()


def test_slates_are_counted_on_their_day_with_what_came_of_them(store):
    show(store, "today", 0.5)
    show(store, "bought", 0.9)
    show(store, "yesterday", 1.5)
    show(store, "long ago", 30)
    act(store, "1", "view", "today")
    act(store, "2", "view", "bought", at=NOW - 0.9 * DAY)
    act(store, "3", "purchase", "bought", at=NOW - 0.8 * DAY)
    act(store, "4", "hide", "yesterday")
    act(store, "5", "view", "long ago")
    act(store, "6", "view")
    days = by_day(store, SCALE, NOW, days=3)
    assert [day.until for day in days] == [NOW - 2 * DAY, NOW - DAY, NOW]
    told = [(day.slates, day.clicked, day.converted) for day in days]
    assert told == [(0, 0, 0), (1, 0, 0), (2, 2, 1)]


def test_the_latest_users_come_first(store):
    assert store.recent_users(5) == []
    for n, user in enumerate(["ann", "bob", "ann", "cat"]):
        act(store, str(n), "view", user=user, at=NOW + n)
    assert store.recent_users(2) == [("cat", 1, NOW + 3), ("ann", 2, NOW + 2)]
    assert store.recent_users(5, n_events=2) == [("cat", 1, NOW + 3), ("ann", 1, NOW + 2)]


def rate(store, name, value, slate, at):
    event = Event(
        event_id=name,
        user_id="ann",
        item_id="tea",
        timestamp=at,
        kind="rating",
        value=value,
        slate_id=slate,
    )
    store.append([event]).result()


def test_what_was_returned_or_rated_low_is_not_converted(store):
    for name in ("kept", "returned", "low", "high"):
        show(store, name, 0.5)
    act(store, "1", "purchase", "kept", at=NOW - 9)
    act(store, "2", "purchase", "returned", at=NOW - 9)
    act(store, "3", "return", "returned", at=NOW - 8)
    assert by_day(store, SCALE, NOW, days=1)[0].converted == 1
    stars = ValueScale(has_values=True, low=0.0, high=2.0, relevant_from=1.5)
    rate(store, "4", 0.0, "low", NOW - 7)
    rate(store, "5", 2.0, "high", NOW - 7)
    targets = ValueScale(**{**vars(stars), "target_kinds": frozenset({"rating"})})
    # what was kept, and what was rated high
    day = by_day(store, targets, NOW, days=1)[0]
    assert (day.converted, day.clicked) == (2, 3)


def test_days_count_as_rewards_and_experiments_do(store):
    """A hundred slates with random answers, counted by hand, one slate at a time."""
    rng = np.random.default_rng(0)
    scale = ValueScale(
        has_values=True,
        low=1.0,
        high=5.0,
        relevant_from=4.0,
        kinds=Kinds.default(),
        target_kinds=frozenset({"purchase", "rating"}),
    )
    clicked, converted = np.zeros(3, int), np.zeros(3, int)
    for n in range(100):
        name, ago = f"s{n}", int(rng.integers(3))
        items = [f"é{i}" for i in rng.choice(6, 3, replace=False)]
        show(store, name, ago + 0.5, items)
        said = []
        for m in range(int(rng.integers(4))):
            kind = str(rng.choice(["view", "purchase", "rating", "hide", "return", "unlike"]))
            value = float(rng.integers(1, 6)) if kind == "rating" else None
            item = f"é{rng.integers(6)}"
            store.append(
                [
                    Event(
                        event_id=f"{n}.{m}",
                        user_id="ann",
                        item_id=item,
                        timestamp=NOW - 1000 + m,
                        kind=kind,
                        value=value,
                        slate_id=name,
                    )
                ]
            ).result()
            said += [(item, kind, value)] if item in items else []
        low = [kind == "rating" and (value or 0) < 4 for _, kind, value in said]
        clicked[ago] += any(
            kind in ("view", "purchase", "rating") and not is_low
            for (_, kind, _), is_low in zip(said, low, strict=True)
        )
        shown = store.slates().filter(slate_id=name)
        answers = store.as_frame(only_answers=True).filter(slate_id=name)
        converted[ago] += join_outcomes(shown, answers, scale)["outcome"].max() > 0
    days = by_day(store, scale, NOW, days=3)[::-1]
    assert [day.clicked for day in days] == clicked.tolist()
    assert [day.converted for day in days] == converted.tolist()
    assert clicked.sum() > 9 and converted.sum() > 9


def test_an_act_on_an_item_that_the_slate_did_not_show_is_no_click(store):
    show(store, "s", 0.5, ["milk"])
    act(store, "1", "purchase", "s")
    day = by_day(store, SCALE, NOW, days=1)[0]
    assert (day.slates, day.clicked, day.converted) == (1, 0, 0)

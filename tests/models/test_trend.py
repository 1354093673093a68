"""What is on the rise: found where items come and go, left out where nothing drifts, and counted up
to the moment a user asks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from metarec import Dataset, Recommender, Request
from metarec.models.trend import Trend, TrendConfig, has_clock

DAY, START, SPAN = 86_400.0, 1.6e9, 100
ITEMS = 60


def feed(*, drifts: bool, users: int = 240) -> Dataset:
    """A feed of sixty items in six topics: where it drifts, each lives for some days."""
    rng, rows = np.random.default_rng(0), []
    born = np.linspace(-10, SPAN, ITEMS)
    for user in range(users):
        arrives = SPAN * user / users
        age = arrives - born
        chance = np.exp(-age / 6) * (age > 0) if drifts else np.ones(ITEMS)
        for step, item in enumerate(rng.choice(ITEMS, 6, replace=False, p=_shares(chance))):
            at = START + DAY * arrives + 600 * step
            rows.append((f"u{user}", f"i{item}", at))
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    ids = pl.DataFrame({"item_id": [f"i{item}" for item in range(ITEMS)]})
    return Dataset(interactions=frame, items=ids, name="feed")


def _shares(chance: np.ndarray) -> np.ndarray:
    chance = chance + 1e-6
    return chance / chance.sum()


def fit(data: Dataset) -> Recommender:
    return Recommender.fit(data, preset="tiny", encoder="none")


@pytest.fixture(scope="module")
def drifting() -> Recommender:
    return fit(feed(drifts=True))


def newest_share(model: Recommender, request: Request) -> float:
    """Share of the ten best that belongs to the newest third."""
    slate = model.recommend([request], k=10)[0].item_ids
    return float(np.mean([int(item[1:]) >= 2 * ITEMS // 3 for item in slate]))


def test_this_weeks_items_come_before_last_months(drifting: Recommender) -> None:
    now = START + DAY * SPAN
    assert newest_share(drifting, Request(at=now)) >= 0.9
    assert newest_share(drifting, Request(history=[("i59", None, "event", now)])) >= 0.9
    assert newest_share(drifting, Request()) <= 0.6  # nobody knows when that is
    assert any(note.startswith("trend: events count half after") for note in drifting.notes)


def test_a_user_of_before_is_not_told_what_came_later(drifting: Recommender) -> None:
    half = Request(at=START + DAY * SPAN / 2)
    assert newest_share(drifting, half) <= 0.1
    long_ago = drifting.score([Request(at=START - DAY), Request()])
    np.testing.assert_array_equal(long_ago[0], long_ago[1])


def test_within_training_there_is_none_where_only_the_newest_is_on_the_rise() -> None:
    """One half of the items comes up at the end of training: what was popular before stays so, and
    a user of before is served best by what is known of all time.
    """
    rng, rows = np.random.default_rng(1), []
    for user in range(300):
        arrives, taste = SPAN * user / 300, user % 6
        late = arrives > 0.5 * SPAN
        chance = np.array([(i % 6 == taste) * (2.0 if i < 30 or late else 0.0) for i in range(60)])
        chance[30:] *= 4.0 if late else 1.0
        for step, item in enumerate(rng.choice(60, 5, replace=False, p=_shares(chance + 0.01))):
            rows.append((f"u{user}", f"i{item}", START + DAY * arrives + 600 * step))
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    model = fit(Dataset(interactions=frame, name="one change"))

    trend = model.ensemble.trend
    if trend is not None:
        asked = [Request(at=START + DAY * SPAN * share) for share in (0.3, 0.6, 1.1)]
        parts = model.score_components(asked)["trend"]
        assert not parts[0].any() and not parts[1].any()
        assert parts[2].any()


def test_the_trend_is_a_part_of_the_score_and_is_saved(drifting: Recommender, tmp_path) -> None:
    asked = [Request(at=START + DAY * SPAN), Request(history=["i3"])]
    parts = drifting.score_components(asked)
    assert parts["trend"][0].any() and not parts["trend"][1].any()
    total = sum(part.astype(np.float64) for part in parts.values())
    np.testing.assert_allclose(total, drifting.score(asked), atol=1e-4)
    drifting.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    np.testing.assert_array_equal(again.score(asked), drifting.score(asked))


def test_there_is_none_where_nothing_drifts_or_times_are_places_in_an_order(
    drifting: Recommender,
) -> None:
    assert drifting.ensemble.trend is not None
    behavior = drifting.behavior()
    shuffled = replace(
        behavior.whole, times=np.random.default_rng(0).permutation(behavior.whole.times)
    )
    still = replace(behavior, histories=shuffled, whole=shuffled)
    assert Trend.fit(still, np.random.default_rng(0)) is None
    order = replace(behavior.whole, times=np.arange(len(behavior.whole.times), dtype=np.float64))
    assert not has_clock(order)
    assert Trend.fit(replace(behavior, whole=order), np.random.default_rng(0)) is None


def test_its_settings_decide_what_is_tried_and_what_is_worth_keeping(drifting: Recommender) -> None:
    behavior = drifting.behavior()
    kept = TrendConfig(weights=(0.25,), moments=3)
    found = Trend.fit(behavior, np.random.default_rng(0), kept)
    assert found is not None and found.weight == 0.25 and len(found.moments) <= 3
    strict = TrendConfig(min_t=1e6)
    assert Trend.fit(behavior, np.random.default_rng(0), strict) is None


def test_new_items_rise_as_their_content_does() -> None:
    trend = Trend(
        moments=np.array([1e9]),
        lifts=np.zeros((1, 2), np.float32),
        from_content=np.array([[0.5], [-0.5], [0.0]], np.float32),
        half_life=DAY,
        weight=2.0,
    )
    grown = trend.with_content(np.array([[1, 0], [0, 1], [1, 0], [0, 1]], np.float32))
    np.testing.assert_allclose(
        grown.score_component(np.array([2e9, np.nan])), [[0, 0, 1, -1], [0] * 4]
    )

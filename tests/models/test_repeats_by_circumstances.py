"""Circumstances decide which known item is taken again: coffee in the morning, beer at night."""

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
from metarec.models.context.model import Context
from metarec.models.repeat.fit import samples_after
from metarec.models.repeat.model import Repeat
from metarec.recommendation.fitting.reading import Reading
from metarec.recommendation.settings import Settings
from metarec.runtime.progress import silent

SHORT = Horizon(support_sizes=(0, 1, 3), pool=4, min_events=6)
DAY, HOUR = 86_400.0, 3600.0
MORNING, NIGHT = (6, 11), (18, 24)


def cafe(seed: int = 0, *, truth: bool = True) -> Dataset:
    """Each of 90 users has one of three coffees in the morning, one of three beers at night, and
    another thing at any hour, on six days; the device says nothing. Without `truth` a user has
    coffee or beer at both hours.
    """
    rng, rows = np.random.default_rng(seed), []
    for user in range(90):
        drinks = f"coffee{rng.integers(3)}", f"beer{rng.integers(3)}"
        for day, thing in enumerate(rng.permutation(20)[:6]):
            had = drinks if truth else rng.choice(drinks, 2)
            midnight = 1_700_006_400 + DAY * (day + user)
            for item, hours in ((had[0], MORNING), (f"thing{thing}", (0, 24)), (had[1], NIGHT)):
                time = midnight + HOUR * rng.integers(*hours)
                rows.append((f"u{user}", item, time, ("phone", "tv")[rng.integers(2)]))
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "device"], orient="row")
    return Dataset(interactions=frame, name="cafe")


def read(data: Dataset) -> Reading:
    settings = Settings(preset="tiny", encoder="none")
    return Reading.of(
        data, settings, policy=None, horizon=SHORT, user_weights=None, progress=silent
    )


@pytest.mark.parametrize("seed", range(6))
def test_a_user_gets_each_drink_at_its_hour(seed: int) -> None:
    """All users known by three items, in any order; a repeat is as likely as without the hour."""
    reading = read(cafe(seed))
    behavior = replace(reading.behavior, words=None)
    repeat = Repeat.fit(behavior, np.random.default_rng(seed))
    assert repeat.circumstances.read_columns == ["hour"] and "context" in repeat.reads
    assert behavior.acts is not None and behavior.context is not None
    known = samples_after(behavior.acts, (3,), np.ones(90), every_act=False).known
    known = known.shuffled(np.random.default_rng(seed))
    codes_of, names = behavior.context.columns.of_requests, reading.catalog.vocabulary.ids
    users = UserBatch(support=known, profiles=np.zeros((len(known), 0), np.float32))

    def said(**circumstances: object) -> np.ndarray:
        codes = codes_of([circumstances] * len(known))
        told = replace(users, context=replace(users.context, circumstances=codes))
        return dense(repeat.evidence(told))

    def best(evidence: np.ndarray, drink: str) -> np.ndarray:
        return np.asarray(evidence[:, [name.startswith(drink) for name in names]].max(1))

    plain = said()
    both = (best(plain, "coffee") > 0) & (best(plain, "beer") > 0)
    assert both.sum() > 20
    for hour, drink, other in [
        *((hour, "coffee", "beer") for hour in range(*MORNING)),
        *((hour, "beer", "coffee") for hour in range(*NIGHT)),
    ]:
        told = said(hour=hour, device="tv")
        assert (best(told, drink)[both] > 5 * best(told, other)[both]).all()
        np.testing.assert_allclose(told.sum(1), plain.sum(1), rtol=1e-5)
    for nothing in (said(device="tv"), said(hour=99), said(weekday=3)):
        np.testing.assert_array_equal(nothing, plain)


@pytest.mark.parametrize("seed", range(3))
def test_an_hour_that_says_nothing_is_not_read(seed: int) -> None:
    behavior = replace(read(cafe(seed, truth=False)).behavior, words=None)
    repeat = Repeat.fit(behavior, np.random.default_rng(seed))
    assert not repeat.circumstances.read_columns and "context" not in repeat.reads


def test_slates_repeat_what_suits_the_hour(tmp_path: Path) -> None:
    model = Recommender.fit(cafe(), preset="tiny", encoder="none", horizon=SHORT)
    model.save(tmp_path / "cafe")
    items = [("coffee1",), ("thing3",), ("beer1",)]
    for one in (model, Recommender.load(tmp_path / "cafe"), model.with_items([{"item_id": "tea"}])):
        for history in (items, items[::-1]):
            asked = [Request(history=history, context={"hour": hour}) for hour in (8, 21)]
            assert [s.item_ids[0] for s in one.recommend(asked, k=3)] == ["coffee1", "beer1"]
            scores = one.score(asked)
            parts = sum(one.score_components(asked).values())
            np.testing.assert_allclose(parts, scores, atol=1e-4)


def test_columns_that_only_repeats_read_are_named() -> None:
    model = Recommender.fit(cafe(), preset="tiny", encoder="none", horizon=SHORT)
    [note] = [note for note in model.notes if note.startswith("context read")]
    assert note.startswith("context read: hour") and "weekday" not in note.partition(";")[0]
    assert note.endswith("; not used, since it tells nothing: device, weekday")
    context = model.ensemble.scorers["context"]
    assert isinstance(context, Context)
    deaf = replace(context, is_read=np.zeros_like(context.is_read))
    ensemble = replace(model.ensemble, scorers={**model.ensemble.scorers, "context": deaf})
    without = replace(model, ensemble=ensemble)
    assert note in without.notes
    asked = Request(history=[("beer1",)], context={"hour": 8, "device": "tv"})
    [slate] = without.recommend([asked])
    assert [note for note in slate.notes if "ignored" in note and "device" in note]
    assert not [note for note in slate.notes if "hour" in note]

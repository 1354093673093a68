"""A change of unit changes nothing: ratings on another scale, times in milliseconds, lengths in
kilometers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from metarec.data.dataset import Dataset
from metarec.data.schema import Catalog, Profiles
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender
from world import World


def _fit(data: Dataset) -> Recommender:
    return Recommender.fit(data, "tiny", 0, encoder="tfidf")


def _asked(model: Recommender, requests: list[Request]) -> tuple[list[str], np.ndarray]:
    """Slates in order, and scores."""
    slates = model.recommend(requests, 8)
    ids = [item_id for slate in slates for item_id in slate.item_ids]
    return ids, np.concatenate([slate.scores for slate in slates])


def _requests(world: World, scale: float = 1.0, shift: float = 0.0) -> list[Request]:
    liked, other = world.items_of_taste["space"], world.items_of_taste["garden"]
    history = [(liked[0], 5.0), (other[0], 1.0), (liked[1], 4.0)]
    moved = [(item_id, value * scale + shift) for item_id, value in history]
    return [Request(history=moved[:events]) for events in range(4)]


@pytest.fixture(scope="module")
def plain(rated_world: World) -> Recommender:
    return _fit(rated_world.data)


@pytest.mark.parametrize(("scale", "shift"), [(0.25, 0.0), (0.7, 0.0), (1000.0, -300.0)])
def test_the_unit_of_ratings_changes_neither_slates_nor_predicted_ratings(
    rated_world: World, plain: Recommender, scale: float, shift: float
) -> None:
    data = rated_world.data
    events = data.interactions.frame.with_columns(pl.col("value") * scale + shift)

    other = _fit(replace(data, interactions=events))

    asked, same = _requests(rated_world), _requests(rated_world, scale, shift)
    ids, scores = _asked(plain, asked)
    other_ids, other_scores = _asked(other, same)
    assert other_ids == ids
    np.testing.assert_allclose(other_scores, scores, atol=2e-3)
    items = [plain.vocabulary.ids] * len(asked)
    for ours, theirs in zip(plain.rate(asked, items), other.rate(same, items), strict=True):
        np.testing.assert_allclose((np.asarray(theirs) - shift) / scale, ours, atol=2e-3)


@pytest.mark.filterwarnings("ignore::metarec.data.errors.DataWarning")
def test_times_in_milliseconds_and_lengths_in_kilometers_change_no_slate(world: World) -> None:
    meters, kilometers = (_fit(_walks(world, unit)) for unit in (1.0, 1000.0))

    requests = _requests(world)
    walks = [
        [
            replace(r, profile={"commute": 900.0 / unit}, context={"walk": 40.0 / unit})
            for r in requests
        ]
        for unit in (1.0, 1000.0)
    ]
    ids, scores = _asked(meters, walks[0])
    other_ids, other_scores = _asked(kilometers, walks[1])
    assert other_ids == ids
    np.testing.assert_allclose(other_scores, scores, atol=2e-3)


def _walks(world: World, unit: float) -> Dataset:
    """The world with lengths of items, users and events in meters over `unit`, times in seconds
    times it.
    """
    rng, data = np.random.default_rng(0), world.data
    events, items, users = data.interactions.frame, data.items.frame, data.users.frame
    steps = rng.uniform(5.0, 800.0, events.height) / unit
    moment = (1.7e9 + 7000.0 * pl.col("timestamp")) * unit
    return Dataset(
        interactions=events.with_columns(moment.alias("timestamp"), pl.Series("walk", steps)),
        items=Catalog.of(
            items.with_columns(length=pl.Series(rng.uniform(200, 9000, items.height) / unit))
        ),
        users=Profiles.of(
            users.with_columns(commute=pl.Series(rng.uniform(200, 9000, users.height) / unit))
        ),
        name="walks",
    )

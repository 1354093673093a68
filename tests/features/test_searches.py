"""For how many later acts a search speaks, by acts made so that it is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from context_world import context_world
from metarec.data.dataset import Dataset
from metarec.data.relations import SPENT_AFTER, Relations
from metarec.features.histories import Histories
from metarec.features.searches import events_after_queries, informative_length
from metarec.features.training_context import TrainingContext

WORDS = ("tea", "rope", "ink", "oak")


def _searched(lasts: int, n: int = 400, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Queries, each of whose next `lasts` acts are on items of its word, the others on any."""
    rng = np.random.default_rng(seed)
    said = rng.integers(0, 4, n)
    meant = said[:, None] * 5 + rng.integers(0, 5, (n, SPENT_AFTER))
    anything = rng.integers(0, 20, (n, SPENT_AFTER))
    return [WORDS[word] for word in said], np.where(np.arange(SPENT_AFTER) < lasts, meant, anything)


@pytest.mark.parametrize("lasts", [1, 2, 3, SPENT_AFTER])
def test_a_search_lasts_as_long_as_it_foretells(lasts: int) -> None:
    queries, taken = _searched(lasts)

    assert informative_length(queries, taken, np.full(20, 0.05)) == lasts


def test_few_searches_and_such_that_foretell_nothing_last_longest() -> None:
    queries, taken = _searched(1)
    anything = np.random.default_rng(1).integers(0, 20, taken.shape)

    assert informative_length(queries[:20], taken[:20], np.full(20, 0.05)) == SPENT_AFTER
    assert informative_length(queries, anything, np.full(20, 0.05)) == SPENT_AFTER


def test_acts_that_follow_a_search_are_those_from_then_on() -> None:
    own = [[("tea", 2.0), ("ink", 9.0), ("oak", np.nan)], [("rope", 0.0)]]
    queries, places = events_after_queries(
        own, [np.array([1.0, 2.0, 3.0]), np.array([5.0])], np.array([0, 3])
    )

    assert queries == ["tea", "rope"]
    assert places.tolist() == [[1, 2, -1, -1, -1], [3, -1, -1, -1, -1]]


def _of(data: Dataset) -> TrainingContext:
    users = data.interactions.frame["user_id"].unique(maintain_order=True).to_list()
    return TrainingContext.of(data, data.items, users)


def test_a_search_is_told_until_it_is_spent() -> None:
    """One search before eight acts, of which the ninth knows nothing unless it is told so long."""
    context = _of(context_world())
    user, nobody = np.array([0]), Histories.of_indexes([np.zeros(0, np.int64)])
    own = np.flatnonzero(context.acts.owners == 0)
    own = own[np.argsort(context.acts.times[own])]

    def told(last: int, act: int) -> list[str]:
        known = replace(context, searches_last=last)
        return list(known.of_users(user, nobody, own[[act]], nobody).searches[0])

    assert told(2, 0) == told(2, 1) == ["tea please"]
    assert told(2, 2) == []
    assert told(SPENT_AFTER, 4) == ["tea please"]


def test_half_of_the_searchers_are_asked_about_what_they_took_just_then() -> None:
    """A search before the last act of each user."""
    data = context_world()
    last = data.interactions.frame.group_by("user_id").agg(pl.col("timestamp").max() - 1)
    searches = last.with_columns(pl.lit("tea").alias("query"))
    context = _of(replace_searches(data, searches))
    everything = Histories.of_indexes(
        [np.unique(context.acts.items[context.acts.owners == user]) for user in range(72)]
    )
    acts = context.context_events(context.acts_on(everything))
    newest = np.array([context.acts.times[context.acts.owners == u].max() for u in range(72)])
    share = float((context.acts.times[acts] == newest).mean())

    assert 0.4 < share < 0.75  # an eighth of the others too


def replace_searches(data: Dataset, searches: pl.DataFrame) -> Dataset:
    return Dataset(
        interactions=data.interactions.frame,
        items=data.items.frame,
        relations=Relations.of(searches=searches),
        name=data.name,
    )

"""Explanations agree with themselves, and what they cost is bounded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from explanation.closed_form import ClosedForm
from metarec.explanation.importance import content_effects
from metarec.explanation.reasons import SCORED, explain
from metarec.explanation.relative_score import anonymous_weights, relative_to_shown
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender
from world import World


@pytest.fixture(scope="module")
def fitted(rated_world: World) -> Recommender:
    return Recommender.fit(rated_world.data, preset="tiny", encoder="tfidf")


def _mixed(world: World, events: int, rng: np.random.Generator) -> Request:
    ids = rng.permutation([i for items in world.items_of_taste.values() for i in items])
    return Request(history=[(str(i), float(rng.integers(1, 6))) for i in ids[:events]])


def test_what_an_item_needs_is_never_said_against_it(
    fitted: Recommender, rated_world: World
) -> None:
    rng = np.random.default_rng(0)
    needed = 0
    for events in (2, 3, 4, 6, 8) * 3:
        request = _mixed(rated_world, events, rng)
        for item_id in fitted.recommend([request], 4)[0].item_ids:
            found = explain(fitted, request, item_id, k=4)
            for row in found.counterfactual.removed or ():
                needed += 1
                title = found.events[row].title
                against = [r for r in found.reasons if r.startswith("although") and title in r]
                assert against == [], found.to_text()
    assert needed


class Counting(ClosedForm):
    """Counts what it is asked."""

    asked: list[int] = []

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        self.asked.append(len(requests))
        return super().score(requests)


@pytest.mark.parametrize("events", [2, 8, 20])
def test_an_explanation_asks_for_a_bounded_number_of_scores(
    rated_world: World, events: int
) -> None:
    model = Counting.fit(rated_world.data)
    request = _mixed(rated_world, events, np.random.default_rng(1))
    item_id = model.vocabulary.names([int(np.argmax(model.score([request])[0]))])[0]
    model.asked.clear()

    explain(model, request, item_id)

    assert sum(model.asked) <= 2 * SCORED + 8 * events + 50


def test_content_effects_are_those_of_the_model_given_the_changed_item(
    fitted: Recommender, rated_world: World
) -> None:
    request = Request(history=rated_world.history("space", 3))
    row = fitted.catalog.frame.filter(pl.col("item_id") == "s07")
    weights, column = anonymous_weights(fitted), fitted.vocabulary.indexes(["s07"])[0]

    effects = {e.name: e.effect for e in content_effects(fitted, request, "s07")}

    for name in ("text", "categories"):
        changed = fitted.with_items(row.with_columns(pl.lit("").alias(name)))
        before, after = (
            relative_to_shown(model.score([request]), weights)[0, column]
            for model in (fitted, changed)
        )
        assert abs(effects[name]) > 0.01
        assert effects[name] == pytest.approx(before - after, abs=1e-4)

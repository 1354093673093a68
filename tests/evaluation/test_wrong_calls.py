"""What a caller of `metarec.evaluate` and of its results gets wrong is said in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import metarec
from metarec import BadInput, Evaluation, Recommender
from metarec.evaluation.adapters import OwnRecommender
from served_model import saved_model
from world import World


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"data": None}, "data takes a Dataset"),
        ({"data": "folder"}, "data takes a Dataset"),
        ({"models": 5}, "models takes a list of unfitted recommenders"),
        ({"models": "EASE"}, "models takes a list"),
        ({"models": [5]}, "models takes recommenders with name, fit and score, and 5 is none"),
        ({"models": [OwnRecommender]}, "models takes recommenders with name, fit and score"),
        ({"baselines": "Popular"}, r"baselines is a list, got 'Popular'; write \['Popular'\]"),
        ({"baselines": [None]}, "baselines: an id is a text"),
        ({"baselines": ["Populr"]}, "there is no baseline 'Populr'"),
        ({"scenario": 5}, "there is no scenario 5; there are user-cold"),
        ({"scenario": ["warm"]}, "there is no scenario"),
        ({"seed": "x"}, "seed must be a whole number"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"horizon": 5}, "horizon takes a Horizon"),
        ({"max_users": 0}, "max_users must be 1 or more"),
        ({"max_users": 1.5}, "max_users must be a whole number"),
        ({"setting": "user-cold"}, "setting takes a Setting"),
        ({"gains": 5}, "gains takes binary or strength, got 5"),
        ({"progress": 5}, "progress takes a function"),
    ],
)
def test_an_evaluation_of_wrong_types(world: World, given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        metarec.evaluate(**{"data": world.data, "baselines": ["Popular"]} | given)


def test_a_fitted_model_is_not_evaluated_on_whom_it_may_know(world: World) -> None:
    with pytest.raises(BadInput, match="is fitted, perhaps on the users to evaluate; give"):
        metarec.evaluate(world.data, models=[Recommender.load(saved_model())])


@pytest.fixture(scope="module")
def found(world: World) -> Evaluation:
    return metarec.evaluate(world.data, baselines=np.array(["Popular", "ItemKNN"]))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda e: e.latex("ndcg"), "there is no metric 'ndcg'; there are ndcg@10"),
        (lambda e: e.latex(["ndcg@10"]), "there is no metric"),
        (lambda e: e.latex(digits=0), "digits must be 1 or more"),
        (lambda e: e.latex(digits=10**30), "digits must be 15 or less"),
        (lambda e: e.comparison("ndcg"), "there is no metric 'ndcg'"),
        (lambda e: e.comparison(model="EASE"), "'EASE' was not evaluated; the table has Popular"),
        (lambda e: e.choice(5), "there is no metric 5"),
        (lambda e: e.curve.mean(["Popular"], "ndcg@10"), "was not evaluated"),
        (lambda e: e.curve.mean("Popular", ["ndcg@10"]), "metric takes the name of a metric"),
        (lambda e: e.curve.has("EASE", "ndcg@10"), "'EASE' was not evaluated"),
        (lambda e: e.curve.interval("Popular", "ndcg"), "was not measured by 'ndcg'"),
        (lambda e: e.curve.differences("Popular", "ItemKNN", "x"), "there is no metric 'x'"),
        (lambda e: e.curve.compare_all(5, "ndcg@10"), "5 was not evaluated"),
        (lambda e: e.curve.best("ndcg@10", "Popular"), "among is a list"),
        (lambda e: e.curve.best("ndcg@10", 5), "among is a list"),
    ],
)
def test_results_asked_for_what_is_none(
    found: Evaluation, call: Callable[[Evaluation], Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        call(found)

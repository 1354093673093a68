"""What a caller of the Python interface gets wrong is said in one line; nothing is read letter by
letter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from metarec import BadInput, Dataset, Recommender, Request
from metarec.recommendation.settings import Settings
from served_model import saved_model


@pytest.fixture(scope="module")
def model() -> Recommender:
    return Recommender.load(saved_model())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"exclude": "B1"}, "exclude is a list, got 'B1'"),
        ({"allow": "B1"}, "allow is a list"),
        ({"friends": "u1"}, "friends is a list"),
        ({"searches": "tent"}, "searches is a list"),
        ({"searches": [1]}, "list of texts, and 1"),
        ({"history": {"B1": 5.0}}, "history is a list"),
        ({"history": 5}, "history is a list"),
        ({"profile": "age"}, "profile maps names"),
        ({"context": ["rain"]}, "context maps names"),
        ({"wish": 5}, "wish is a text"),
        ({"at": "now"}, "at is a time"),
        ({"at": float("nan")}, "at is a time"),
    ],
)
def test_a_request_of_wrong_types(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Request(**given)


@pytest.mark.parametrize("event", [(), ("B1", "good"), ("B1", 1.0, "view", "now"), ("B1",) * 5])
def test_an_event_of_wrong_parts(model: Recommender, event: tuple[Any, ...]) -> None:
    with pytest.raises(BadInput, match="event"):
        model.recommend([Request(history=[event])])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: m.recommend(Request()), "requests is a list of Request"),
        (lambda m: m.recommend(["u1"]), "'u1' is none"),
        (lambda m: m.score("u1"), "requests is a list"),
        (lambda m: m.recommend([Request()], k="5"), "k must be a whole number"),
        (lambda m: m.recommend([Request()], k=1.5), "k must be a whole number"),
        (lambda m: m.recommend([Request()], k=True), "k must be a whole number"),
        (lambda m: m.recommend([Request()], filter=5), "filter is a text"),
        (lambda m: m.recommend([Request()], diversity=None), "diversity takes a number"),
        (lambda m: m.recommend([Request()], explore=float("nan")), "explore must be 0 or more"),
        (lambda m: m.recommend([Request()], rules={"pin": ["B1"]}), "rules must be Rules"),
        (lambda m: m.recommend([Request()], reranker="fair"), "reranker has the method"),
        (lambda m: m.recommend([Request()], rng=5), "rng is a numpy Generator"),
        (lambda m: m.rate([Request()] * 2, ["B1", "B2"]), "a list of items for each request"),
        (lambda m: m.rate([Request()] * 2, [["B1"]]), r"\(2 here\)"),
        (lambda m: m.observe(Request(), "B1"), "history is a list"),
        (lambda m: m.questions([Request()], k=0), "k must be 1 or more"),
        (lambda m: m.questions([Request()], exclude="B1"), "exclude holds a list"),
    ],
)
def test_calls_of_wrong_types(
    model: Recommender, call: Callable[[Recommender], Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        call(model)


def test_fit_wants_data_and_a_seed() -> None:
    with pytest.raises(BadInput, match="data is a Dataset"):
        Recommender.fit("folder")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="seed must be a whole number"):
        Settings(seed="x")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="got NoneType"):
        Dataset(interactions=None)


def test_a_rating_that_is_no_number_is_none(model: Recommender) -> None:
    item = model.vocabulary.ids[0]
    nan = model.score([Request(history=[(item, float("nan"))])])
    assert np.array_equal(nan, model.score([Request(history=[(item, None)])]))


def test_a_recommender_shows_itself_in_one_line(model: Recommender) -> None:
    assert repr(model).startswith("Recommender(tiny: ") and "\n" not in repr(model)

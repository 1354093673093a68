"""What a caller of the Python interface gets wrong is said in one line; nothing is read letter by
letter.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import polars as pl
import pytest

import metarec
from metarec import BadInput, Catalog, Dataset, Profiles, Recommender, Request
from metarec.data.domains import domain
from metarec.features.events import parts_of
from served_model import saved_model
from world import World

TABLE = pl.DataFrame({"a": [1]})


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
        ({"friends": None}, "friends is a list, got None"),
        ({"searches": None}, "searches is a list, got None"),
        ({"searches": {"tent": 1}}, "searches is a list"),
        ({"exclude": {"B1": 1}}, "exclude is a list"),
        ({"exclude": [None]}, "exclude: an id is a text or a whole number, got None"),
        ({"allow": [["B1"]]}, "allow: an id is a text"),
        ({"allow": TABLE}, "allow is a list"),
        ({"friends": [True]}, "friends: an id is a text"),
        ({"friends": {"u1": None}}, "weight of a friend must be above 0, got None"),
        ({"history": TABLE}, r"history is a list of events or item ids, got shape: \(1, 1\)"),
        ({"history": [None]}, "history: an id is a text"),
        ({"profile": {"age": TABLE}}, "profile 'age' takes a text, a number"),
        ({"profile": {5: "x"}}, "profile maps names to values, and 5 is no name"),
        ({"context": {"hour": object()}}, "context 'hour' takes a text, a number"),
    ],
)
def test_a_request_of_wrong_types(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Request(**given)


@pytest.mark.parametrize(
    "event",
    [(), ("B1", "good"), ("B1", 1.0, "view", "now"), ("B1",) * 5]
    + [("B1", 1.0, 1_700_000_000), ("B1", 1.0, ["view"]), ("B1", float("inf")), ("B1", 10**400)],
)
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
        (lambda m: m.questions([Request()], exclude=5), "exclude holds a list"),
        (lambda m: m.questions([Request()], exclude=[["B1"]] * 2), "exclude holds a list"),
        (lambda m: m.questions([Request()], k="5"), "k must be a whole number"),
        (lambda m: m.questions(Request()), "requests is a list of Request"),
        (lambda m: m.recommend({"u1": Request()}), "requests is a list of Request"),
        (lambda m: m.recommend([Request()], rules=TABLE), "rules must be Rules"),
        (lambda m: m.recommend([Request()], rules=[]), "rules must be Rules"),
        (lambda m: m.observe(None, ["B1"]), "request takes one Request, such as"),
        (lambda m: m.explain([Request()], "B1"), "request takes one Request, such as"),
        (lambda m: m.explain(Request(), ["B1"]), "item_id: an id is a text"),
        (lambda m: m.explain(Request(), None), "item_id: an id is a text"),
        (lambda m: metarec.explain("model/", Request(), "B1"), "model takes a Recommender"),
        (lambda m: metarec.explain([m], Request(), "B1"), "model takes a Recommender"),
        (lambda m: metarec.explain(m, Request(), "B1", k=0), "k must be 1 or more"),
        (lambda m: m.save(None), "folder takes the folder of a model, got None"),
        (lambda m: Recommender.load(m), "folder takes the folder of a model"),
        (lambda m: m.fit_like("shop"), "data takes a Dataset"),
        (lambda m: m.recommend([Request()])[0].after(-1), "offset must be 0 or more"),
        (lambda m: m.recommend([Request()])[0].after("2"), "offset must be a whole number"),
    ],
)
def test_calls_of_wrong_types(
    model: Recommender, call: Callable[[Recommender], Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        call(model)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"data": "folder"}, r"data takes a Dataset \(metarec.read reads one\), got 'folder'"),
        ({"data": None}, "data takes a Dataset"),
        ({"seed": "x"}, "seed must be a whole number"),
        ({"preset": ["tiny"]}, "preset must be one of tiny, small, got"),
        ({"encoder": None}, "encoder takes the name of a text encoder"),
        ({"learner": 5}, "learner takes a text"),
        ({"item_template": []}, "item_template takes a text"),
        ({"item_template": "x"}, "item template 'x' says the same of every item"),
        ({"policy": "helth"}, "no domain 'helth'; there are e-commerce"),
        ({"policy": {"domain": "health"}}, "policy takes a Policy or the name of a domain"),
        ({"horizon": 5}, "horizon takes a Horizon"),
        ({"user_weights": ["u1"]}, "user_weights takes weights by user id"),
        ({"user_weights": {"u1": "much"}}, "weight of a user must be above 0"),
        ({"models": "ease"}, "models takes settings by the ids of models"),
        ({"checkpoint": 5}, "checkpoint takes a folder"),
        ({"workers": 0}, "workers must be 1 or more"),
        ({"workers": 10**30}, "workers must be 4096 or less"),
        ({"backend": None}, "backend must be one of here, ray"),
        ({"prior": "model/"}, "prior takes a Recommender"),
        ({"progress": None}, "progress takes a function"),
    ],
)
def test_a_fit_of_wrong_types(world: World, given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Recommender.fit(**{"data": world.data, "preset": "tiny", "encoder": "none"} | given)


def test_a_policy_is_named_by_its_domain(world: World) -> None:
    policy = Recommender.fit(world.data, "tiny", encoder="none", policy="travel").policy
    assert policy == domain("travel").policy
    assert Dataset(interactions=world.data.interactions, policy="travel").policy == policy


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"interactions": None}, "got NoneType"),
        ({"name": 5}, "name takes a text"),
        ({"policy": 5}, "policy takes a Policy"),
        ({"kinds": {"buy": "positive"}}, "kinds takes Kinds"),
        ({"relations": [1]}, "relations takes Relations"),
        ({"models": "ease"}, "models takes settings by the ids of models"),
    ],
)
def test_a_data_set_of_wrong_types(world: World, given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Dataset(**{"interactions": world.data.interactions} | given)


@pytest.mark.parametrize("table", [Catalog, Profiles])
def test_a_table_is_a_polars_frame(table: Any) -> None:
    with pytest.raises(BadInput, match=rf"{table.__name__}.frame takes a polars frame"):
        table(frame=[{"item_id": "B1"}])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"domain": 5}, "no domain 5; there are"),
        ({"rules": {"repeats": "keep"}}, "rules takes CleaningConfig"),
        ({"source": None}, "got NoneType"),
        ({"source": 5}, "got int"),
    ],
)
def test_reading_wrong_types(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        metarec.read(**{"source": TABLE} | given)


@pytest.mark.parametrize(
    ("register", "said"),
    [
        (lambda: metarec.register_model(["mine"], int), "name of a model has letters"),
        (
            lambda: metarec.register_model("mine", "Mine"),
            "the model .mine. lacks reads, config, fit",
        ),
        (
            lambda: metarec.register_baseline("Mine", "Mine"),
            "make takes a class or a function without arguments",
        ),
        (
            lambda: metarec.register_baseline("Mine", None),
            "make takes a class or a function without arguments",
        ),
    ],
)
def test_registering_what_is_none(register: Callable[[], Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        register()


def test_ids_that_are_numbers_name_the_items_they_name(model: Recommender) -> None:
    """pandas writes whole numbers beside gaps with a point."""
    asked = Request(history=np.array([5, 7]), exclude=np.array([3.0]), allow=pl.Series([1, 2]))
    assert asked.history == [("5", None), ("7", None)]
    assert (asked.exclude, asked.allow) == (["3"], ["1", "2"])
    assert model.questions([]).items.shape[0] == 0


def test_a_wrong_value_is_told_in_one_short_line() -> None:
    with pytest.raises(BadInput) as told:
        Recommender.fit(pl.DataFrame({"a": range(1000)}))  # type: ignore[arg-type]
    assert "\n" not in str(told.value) and len(str(told.value)) < 200


def test_a_rating_that_is_no_number_is_none(model: Recommender) -> None:
    item = model.vocabulary.ids[0]
    nan = model.score([Request(history=[(item, float("nan"))])])
    assert np.array_equal(nan, model.score([Request(history=[(item, None)])]))


def test_a_recommender_shows_itself_in_one_line(model: Recommender) -> None:
    assert repr(model).startswith("Recommender(tiny: ") and "\n" not in repr(model)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2020, 1, 1),
        datetime(2020, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        date(2020, 1, 1),
        np.datetime64("2020-01-01T00:00:00", "ns"),
        np.float64(1577836800),
    ],
)
def test_a_moment_may_be_of_any_type_that_holds_one(model: Recommender, moment: Any) -> None:
    item = model.vocabulary.ids[0]
    asked = [Request(history=[(item, 5.0, "rating", at)], at=at) for at in (1577836800.0, moment)]
    assert asked[1].at == asked[0].at
    told, _ = model.request_reader.events.of_requests([r.history for r in asked], model.vocabulary)
    assert told.times.tolist() == [1577836800.0] * 2


def test_a_moment_that_is_none_is_unknown_in_a_history_and_refused_as_now() -> None:
    nothing = np.datetime64("NaT")
    assert np.isnan(parts_of(("B1", 5.0, "rating", nothing))[3] or 0.0)
    with pytest.raises(BadInput, match="at is a time"):
        Request(at=nothing)


def test_a_time_in_milliseconds_is_no_time() -> None:
    for wrong in (1_700_000_000_000, 1_700_000_000_000.0):
        with pytest.raises(BadInput, match="at is in milliseconds; give seconds since 1970, got"):
            Request(at=wrong)
        with pytest.raises(BadInput, match="the timestamp of an event is in milliseconds"):
            parts_of(("B1", 5.0, "rating", wrong))


def test_ids_of_a_history_are_texts_from_the_start() -> None:
    history: list[Any] = [(5.0, 4.0), [7, 3.0], 9, ("11", 2.0)]
    assert [event[0] for event in Request(history=history).history] == ["5", "7", "9", "11"]

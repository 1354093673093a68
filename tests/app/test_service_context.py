"""Friends, place, circumstances and searches over HTTP: told, stored, explained, forgotten."""

from __future__ import annotations

import shutil

import numpy as np
import polars as pl
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")

# imported after the skips: without the extra these would be errors
from starlette.testclient import TestClient  # noqa: E402

from context_world import CITIES, GROUPS, group_of  # noqa: E402
from metarec.app.retraining.round_data import joined  # noqa: E402  # after importorskip
from metarec.app.service.application import create_app  # noqa: E402
from metarec.app.service.settings import ServiceSettings  # noqa: E402
from metarec.feedback.events import Event  # noqa: E402
from metarec.feedback.forgetting import forget  # noqa: E402
from metarec.feedback.outcomes import with_propensity  # noqa: E402
from served_model import saved_context_model  # noqa: E402

BERLIN = {"lat": CITIES[0][0], "lon": CITIES[0][1]}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("context")
    model = shutil.copytree(saved_context_model(), folder / "model")
    app = create_app(
        ServiceSettings(model=str(model), store=str(folder / "events.db"), cold_share=0)
    )
    with TestClient(app, base_url="http://127.0.0.1") as running:
        yield running


def slate(client, **body):
    answer = client.post("/v1/recommendations", json={"k": 6, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def of_group(shown, group):
    return sum(group_of(item["item_id"]) == group for item in shown["items"])


def refused(client, address="/v1/recommendations", **body):
    answer = client.post(address, json=body)
    assert answer.status_code == 422, answer.text
    return answer.json()["error"]


@pytest.mark.parametrize("group", [0, 2])
def test_each_thing_told_turns_the_slate_to_its_group(client, group):
    lat, lon = CITIES[group]
    told = (
        {"location": {"lat": lat, "lon": lon}},
        {"friends": [f"u{user}" for user in range(group, 72, 4)]},
        {"friends": [{"friend_id": f"u{group}", "weight": 5}, f"u{group + 4}", f"u{group + 8}"]},
        {"context": {"mood": GROUPS[group]}},
        {"searches": [f"{GROUPS[group]} please"]},
    )
    for body in told:
        assert of_group(slate(client, **body), GROUPS[group]) >= 5, body


def test_stored_friends_are_used_at_the_next_request(client):
    before = slate(client, user_id="kim")
    put = client.put(
        "/v1/users/kim/friends",
        json={"friends": ["u1", "u5", {"friend_id": "u9", "weight": 2.5}]},
    )
    kept = {"u1": 1.0, "u5": 1.0, "u9": 2.5}
    assert {f["friend_id"]: f["weight"] for f in put.json()["friends"]} == kept
    assert client.get("/v1/users/kim/friends").json() == put.json()
    assert client.get("/v1/users/kim").json()["friends"] == 3
    after = slate(client, user_id="kim", explain=True)
    assert of_group(after, GROUPS[1]) >= 5 > of_group(before, GROUPS[1])
    said = " ".join(reason for item in after["items"] for reason in item["reasons"])
    assert "of your 3 friends" in said
    assert "u1" not in said and "u9" not in said
    client.put("/v1/users/kim/friends", json={"friends": []})
    assert client.get("/v1/users/kim/friends").json()["friends"] == []


def test_friends_of_whom_no_model_learned_are_not_counted_as_if_they_took_nothing(client):
    friends = ["u1", "u5", "u9", "stranger", "another"]
    client.put("/v1/users/lee/friends", json={"friends": friends})
    after = slate(client, user_id="lee", explain=True)
    said = " ".join(reason for item in after["items"] for reason in item["reasons"])
    assert "of the 3 friends of yours known here" in said
    assert "of your 3" not in said and "of your 5" not in said


def test_a_stored_search_and_place_count_at_the_next_visit(client):
    stored = client.post(
        "/v1/events",
        json={
            "events": [
                {"event_id": "s1", "user_id": "sam", "kind": "search", "query": " ink please "},
                {"event_id": "s2", "user_id": "tom", "item_id": "i3", "location": BERLIN},
            ]
        },
    )
    assert stored.json() == {"accepted": 2, "duplicates": 0, "unknown_items": 0}
    assert of_group(slate(client, user_id="sam"), "ink") >= 5
    kept = client.get("/v1/users/sam").json()["events"][0]
    assert (kept["item_id"], kept["query"], kept["kind"]) == (None, "ink please", "search")
    near = slate(client, user_id="tom", within_km=30, k=20)
    assert {group_of(item["item_id"]) for item in near["items"]} == {"tea"}


def test_what_is_shown_after_a_search_does_not_end_it(client):
    shown = [
        {"user_id": "una", "item_id": f"i{n}", "kind": "impression", "timestamp": 1.7e9 + n}
        for n in range(8)
    ]
    asked = {"user_id": "una", "kind": "search", "query": "ink please", "timestamp": 1.7e9 - 1}
    assert client.post("/v1/events", json={"events": [asked, *shown]}).status_code == 200
    assert of_group(slate(client, user_id="una"), "ink") >= 5
    taken = [{**one, "kind": "purchase"} for one in shown]
    assert client.post("/v1/events", json={"events": taken}).status_code == 200
    told = slate(client, user_id="una")["items"]
    history = [{name: one[name] for name in ("item_id", "kind", "timestamp")} for one in taken]
    assert told == slate(client, history=history)["items"]  # it is over


def test_within_km_is_a_filter(client):
    shown = slate(client, location=BERLIN, within_km=30, k=50)
    assert {group_of(item["item_id"]) for item in shown["items"]} == {"tea"}
    empty = slate(client, location={"lat": 0, "lon": 0}, within_km=2)
    assert not empty["items"]
    assert any("within 2 km; the nearest item is" in note for note in empty["notes"])
    home = slate(client, profile={"latitude": 48.1, "longitude": 11.6}, within_km=30, k=50)
    assert {group_of(item["item_id"]) for item in home["items"]} == {"rope"}
    assert "within_km needs to know where the user is" in refused(client, within_km=2)


@pytest.mark.parametrize(
    ("home", "said"),
    [
        ({"latitude": 113.4, "longitude": 22.5}, "for swapped degrees write 22.5,113.4"),
        ({"latitude": "95", "longitude": "200"}, "location 95,200 is out of range"),
        ({"latitude": 52.5}, "got (52.5, None)"),
        ({"latitude": 48.1, "longitude": 11.6}, None),
        ({}, None),
    ],
)
def test_a_home_that_cannot_be_is_told(client, home, said):
    told = [note for note in slate(client, profile=home)["notes"] if "home" in note]
    assert (not told) if said is None else (len(told) == 1 and said in told[0])
    assert not any("home" in n for n in slate(client, profile=home, location=BERLIN)["notes"])


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            {"location": {"lat": 113.4, "lon": 22.5}},
            "location 113.4,22.5 is out of range: latitude goes from -90 to 90, longitude from "
            "-180 to 180; for swapped degrees write 22.5,113.4",
        ),
        ({"location": {"lat": 13.4, "lon": 252.5}}, "location 13.4,252.5 is out of range"),
        ({"location": {"lat": 13.4}}, "body.location.lon: is missing"),
        ({"context": {"moood": "tea"}}, "context 'moood' is not known; did you mean 'mood'?"),
        ({"context": {"altitude": 3}}, "context 'altitude' is not known; known are mood, device"),
        ({"within_km": 0}, "body.within_km: "),
        ({"friends": [{"friend_id": "u1", "weight": -1}]}, "body.friends.0.weight: "),
        ({"searches": ["  "]}, "body.searches.0: "),
    ],
)
def test_what_cannot_be_is_one_clear_line(client, body, sentence):
    assert sentence in refused(client, **body)


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ({}, "an event needs an item_id, or, of kind search, a query"),
        (
            {"item_id": "i1", "query": "tea"},
            "an event needs an item_id, or, of kind search, a query",
        ),
        ({"query": "tea", "kind": "purchase"}, "an event with a query is of kind 'search', got"),
        ({"item_id": "i1", "kind": "search"}, "has no item; send what was done with an item found"),
        ({"item_id": "i1", "location": {"lat": 99, "lon": 0}}, "is out of range"),
    ],
)
def test_an_event_about_nothing_or_nowhere_is_refused(client, event, sentence):
    assert sentence in refused(client, "/v1/events", events=[{"user_id": "vic", **event}])


def test_nobody_is_their_own_friend(client):
    answer = client.put("/v1/users/vic/friends", json={"friends": ["vic"]})
    assert answer.status_code == 422


def test_the_explanation_names_what_was_told_and_no_friend(client):
    friends = [f"u{user}" for user in range(0, 40, 4)]
    told = {"location": BERLIN, "friends": friends, "context": {"mood": "tea"}}
    why = client.post("/v1/explanations", json={"item_id": "i2", **told}).json()
    said = str(why)
    assert "of your 10 friends" in said
    assert "from you" in said
    assert "mood tea" in said
    assert not any(f"'{friend}'" in said for friend in friends)


def test_a_forgotten_user_is_no_longer_anybodys_friend(client):
    client.put("/v1/users/wim/friends", json={"friends": ["xan"]})
    client.put("/v1/users/xan/friends", json={"friends": ["wim", "u3"]})
    receipt = client.delete("/v1/users/xan").json()
    assert receipt["rows_deleted"]["friends"] == 3
    line = next(p for p in receipt["places"] if p["place"] == "event store, table friends")
    assert line["removed"] == 3
    assert client.get("/v1/users/wim/friends").json()["friends"] == []


def test_retraining_reads_friends_searches_circumstances_and_places_of_the_store(client):
    store = client.app.state.service.store
    here = {"latitude": 52.5, "longitude": 13.4}
    events = [
        Event(
            event_id=f"e{user}",
            user_id=f"n{user}",
            item_id=f"i{user % 12}",
            timestamp=1.8e9 + user,
            context={"mood": "tea", "weather": ("sun", "rain")[user % 2], "gear": ["a"], **here},
        )
        for user in range(60)
    ]
    search = Event(
        event_id="q", user_id="n1", item_id="", kind="search", timestamp=1.9e9, query="tea cup"
    )
    store.append([*events, search]).result()
    store.put_friends("n1", {"n2": 4.0}).result()
    store.put_friends("u0", {"n1": 2.0}).result()
    champion = client.app.state.service.live.served.model
    stored = with_propensity(store.as_frame(), store.slates())
    data, unread = joined(store, champion.training, stored, champion)
    assert [finding.why for finding in unread] == [
        "'gear' of new events is a list, so it is not read"
    ]
    mine = data.interactions.frame.filter(pl.col("user_id") == "n3").row(0, named=True)
    assert (mine["mood"], mine["weather"]) == ("tea", "rain")
    assert (mine["latitude"], mine["longitude"]) == (52.5, 13.4)
    assert "gear" not in mine
    friends = {tuple(edge) for edge in data.relations.friends.iter_rows()}
    assert {("n1", "n2", 4.0), ("n2", "n1", 4.0), ("u0", "n1", 2.0)} <= friends
    # What they say now replaces what the old data say of them
    assert {friend for user, friend, _ in friends if user == "u0"} == {"n1"}
    assert ("n1", "tea cup", 1.9e9) in data.relations.searches.rows()
    assert data.relations.searches.height > champion.training.relations.searches.height
    forget(store, "n2")
    data, _ = joined(store, champion.training, stored, champion)
    assert not (data.relations.friends.select("user_id", "friend_id") == "n2").to_series().any()
    again = champion.fit_like(data)
    acts = again.behavior().context.acts
    assert np.isfinite(acts.locations).any()
    assert "weather" in again.context_columns.names


def test_an_event_keeps_the_offset_of_its_time(client):
    """Hour and weekday are those of the place, as of data whose times state their offset."""
    told = {"event_id": "e", "user_id": "far", "item_id": "i3", "kind": "like"}
    for time in ("2026-05-01T22:00:00+09:00", 1_777_640_400, "2026-05-01T13:00:00Z"):
        sent = client.post("/v1/events", json={"events": [{**told, "timestamp": time}]})
        assert sent.status_code == 200, sent.text
    store = client.app.state.service.store
    assert [(e.timestamp, e.context) for e in store.events_of("far")] == [
        (1_777_640_400.0, {"hours_from_utc": 9.0})
    ]
    champion = client.app.state.service.live.served.model
    stored = with_propensity(store.as_frame(), store.slates())
    data, _ = joined(store, champion.training, stored, champion)
    hours = dict(data.interactions.frame.select("user_id", "hours_from_utc").iter_rows())
    assert (hours["far"], hours["u0"]) == (9.0, 0.0)  # the old data state no offset


def test_what_may_be_told_is_told(client):
    told = client.get("/v1/circumstances").json()
    assert (told["friends"], told["searches"], told["location"]) == (True, True, True)
    assert told["context"] == [{"name": "mood", "values": sorted(GROUPS), "is_number": False}]
    near = {min(CITIES, key=lambda c: abs(c[0] - p["lat"])) for p in told["places"]}
    assert near == set(CITIES)

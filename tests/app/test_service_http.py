"""The service over HTTP, in one process, on a real model and a real store."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")

from fastapi import FastAPI  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from metarec.app.service.application import create_app  # noqa: E402
from metarec.app.service.http.errors import ErrorAnswers  # noqa: E402
from metarec.app.service.settings import ServiceSettings  # noqa: E402
from metarec.data.errors import BadInput, BrokenPart  # noqa: E402  # after importorskip
from metarec.features.encoders.text import pretrained  # noqa: E402
from metarec.features.text import item_text  # noqa: E402
from metarec.feedback import open_store  # noqa: E402
from metarec.feedback.outcomes import join_outcomes  # noqa: E402
from metarec.recommendation.slate import Request  # noqa: E402
from metarec.recommender import Recommender  # noqa: E402
from served_model import fitted_model, saved_model  # noqa: E402
from tiny_models import build_model  # noqa: E402
from waiting import eventually  # noqa: E402  # once what it needs is there


@pytest.fixture
def model(tmp_path):
    return shutil.copytree(saved_model(), tmp_path / "model")


def worker(model, folder, **settings):
    """The app of a worker on a model and a store in `folder`."""
    given = {"model": str(model), "store": str(folder / "events.db"), "watch_seconds": 0.05}
    return create_app(ServiceSettings(**{**given, **settings}))


@pytest.fixture
def start(model, tmp_path):
    """Starts a worker on the same model and store; all are stopped at the end."""
    running = []

    def starting(**settings):
        client = TestClient(worker(model, tmp_path, **settings), base_url="http://127.0.0.1")
        client.__enter__()
        running.append(client)
        return client

    yield starting
    for client in running:
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory):
    """A worker that all share who only ask what is refused, or what changes nothing."""
    folder = tmp_path_factory.mktemp("refusing")
    app = worker(shutil.copytree(saved_model(), folder / "model"), folder)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def client(start):
    return start()


def test_a_wish_while_its_reader_loads_holds_up_nobody(
    start, model, rated_world, tmp_path, monkeypatch
):
    monkeypatch.setenv("METAREC_HOME", str(tmp_path / "home"))
    data = rated_world.data
    reader = build_model(tmp_path / "reader", "bert", item_text(data.items))
    shutil.rmtree(model)
    Recommender.fit(data, preset="tiny", encoder=str(reader)).save(model)
    order = []
    with pretrained._LOADING:  # as another reader that loads holds it
        client = start()
        wish = threading.Thread(
            target=lambda: order.append(slate(client, wish="rocket", k=1) and "wish")
        )
        wish.start()
        time.sleep(0.2)
        slate(client, k=1)
        order.append("other")
        not_yet = client.get("/readyz")
    wish.join(120)
    assert order == ["other", "wish"]
    assert not_yet.status_code == 503
    assert not_yet.headers["retry-after"] == "1"
    assert client.get("/readyz").status_code == 200


def like(client, user, *item_ids, kind="like", **more):
    answer = client.post(
        "/v1/events",
        json={"events": [{"user_id": user, "item_id": i, "kind": kind, **more} for i in item_ids]},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def slate(client, **body):
    answer = client.post("/v1/recommendations", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(shown):
    return [item["item_id"] for item in shown["items"]]


def test_each_event_changes_the_next_slate(client, rated_world):
    space, garden = (rated_world.items_of_taste[taste] for taste in ("space", "garden"))
    like(client, "ann", *space[:4])
    shown = slate(client, user_id="ann", k=6)
    assert shown["n_known"] == 4
    assert set(ids(shown)) <= set(space[4:])
    like(client, "ann", *space[4:6], kind="dislike")
    like(client, "ann", *garden[:6])
    turned = slate(client, user_id="ann", k=6)
    assert turned["n_known"] == 12
    assert sum(i in garden for i in ids(turned)) > 3


def test_a_history_sent_along_is_worth_the_same_as_a_stored_one(client, rated_world):
    space = rated_world.items_of_taste["space"]
    like(client, "ann", *space[:3])
    sent = slate(client, history=[{"item_id": i, "kind": "like"} for i in space[:3]])
    stored = slate(client, user_id="ann")
    assert ids(sent) == ids(stored)
    assert [i["score"] for i in sent["items"]] == pytest.approx(
        [i["score"] for i in stored["items"]]
    )


def test_a_slate_says_what_each_item_would_be_rated_and_how_surely(client, rated_world):
    """What is of the liked kind is foreseen higher than what is not."""
    history = [{"item_id": i, "value": 5} for i in rated_world.items_of_taste["space"][:4]]
    shown = {item["item_id"]: item for item in slate(client, history=history, k=20)["items"]}
    assert client.get("/v1/models").json()["value_range"] == [1.0, 5.0]
    for item in shown.values():
        low, high = item["interval"]
        assert 1.0 <= low <= item["predicted"] <= high <= 5.0
    assert min(shown[i]["predicted"] for i in rated_world.items_of_taste["space"][4:]) > max(
        shown[i]["predicted"] for i in rated_world.items_of_taste["garden"] if i in shown
    )


def test_many_at_once_get_what_each_would_get_alone(client, rated_world):
    from concurrent.futures import ThreadPoolExecutor

    bodies = [
        {"history": [{"item_id": i, "value": 5}], "k": 5}
        for items in rated_world.items_of_taste.values()
        for i in items
    ]
    alone = [ids(slate(client, **body)) for body in bodies]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda body: ids(slate(client, **body)), bodies))
    assert together == alone


def test_events_are_stored_once_and_counted(client):
    batch = {
        "events": [
            {"event_id": "a", "user_id": "ann", "item_id": "s00"},
            {"event_id": "b", "user_id": "ann", "item_id": "nowhere"},
        ]
    }
    assert client.post("/v1/events", json=batch).json() == {
        "accepted": 2,
        "duplicates": 0,
        "unknown_items": 1,
    }
    assert client.post("/v1/events", json=batch).json() == {
        "accepted": 0,
        "duplicates": 2,
        "unknown_items": 1,
    }
    assert [e["event_id"] for e in client.get("/v1/users/ann").json()["events"]] == ["a", "b"]


def test_events_of_unknown_kinds_are_counted_and_told(client):
    events = [
        {"user_id": "ann", "item_id": "s00", "kind": "purchse"},
        {"user_id": "ann", "item_id": "s01", "kind": "like"},
    ]
    said = client.post("/v1/events", json={"events": events}).json()
    assert said == {
        "accepted": 2,
        "duplicates": 0,
        "unknown_items": 0,
        "unknown_kinds": 1,
        "notes": ["kind 'purchse' is not known and counts as positive; did you mean 'purchase'?"],
    }


def test_events_that_answer_a_slate_nobody_was_shown_are_counted(client):
    shown = slate(client, user_id="ann", k=2)
    events = [
        {"user_id": "ann", "item_id": item["item_id"], "kind": "like", "slate_id": named}
        for item, named in zip(shown["items"], (shown["slate_id"], "made-up"), strict=True)
    ]
    body = {"events": [{**event, "event_id": str(n)} for n, event in enumerate(events)]}
    said = client.post("/v1/events", json=body).json()
    assert said == {"accepted": 2, "duplicates": 0, "unknown_items": 0, "unknown_slates": 1}
    again = client.post("/v1/events", json=body).json()
    assert again == {"accepted": 0, "duplicates": 2, "unknown_items": 0}


def test_a_rating_off_the_scale_is_told_when_sent_and_counts_as_the_nearer_end(client):
    said = "outside the 1 to 5 that the model learned from and counts as the nearer end"
    event = {"user_id": "ann", "item_id": "s00", "kind": "rating"}
    answers = [
        client.post("/v1/events", json={"events": [{**event, "value": value}]}).json()
        for value in (5, 80)
    ]
    assert [answer.get("notes") for answer in answers] == [None, [f"1 rating lies {said}"]]

    def shown(value):
        return slate(client, history=[{"item_id": "s00", "kind": "rating", "value": value}], k=3)

    assert shown(80)["items"] == shown(5)["items"]
    assert f"1 rating lies {said}" in shown(80)["notes"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/events", {"events": [{"user_id": " ", "item_id": "s00"}]}),
        ("POST", "/v1/events", {"events": [{"user_id": "ann", "item_id": "\u3000"}]}),
        ("POST", "/v1/recommendations", {"user_id": " "}),
        ("POST", "/v1/users/ann/merge", {"into": " "}),
        ("PUT", "/v1/users/%20", {"profile": {"home": "north"}}),
        ("PUT", "/v1/users/%20/friends", {"friends": ["ann"]}),
        ("PUT", "/v1/items/%20", {"attributes": {"title": "Nothing"}}),
    ],
)
def test_a_blank_is_nobodys_id(client, method, path, body):
    said = client.request(method, path, json=body)
    assert said.status_code == 422
    assert said.json()["error"].endswith("is blank; send the id of who or what is meant")


def test_a_blank_id_of_earlier_days_can_be_looked_at_and_forgotten(client):
    assert client.get("/v1/users/%20").status_code == 404
    assert client.delete("/v1/users/%20").status_code == 200


@pytest.mark.parametrize("body", [b'{"wish": "\xff"}', b"[" * 50_000 + b"]" * 50_000])
def test_a_body_that_no_reader_can_read_is_told_so(client, body):
    said = client.post(
        "/v1/recommendations", content=body, headers={"content-type": "application/json"}
    )
    assert (said.status_code, said.json()["error"]) == (
        400,
        "body: is no JSON that can be read; send UTF-8, not deeply nested",
    )


def test_a_huge_number_is_shown_as_it_was_sent(client):
    event = {"user_id": "ann", "item_id": "s00", "value": 1e308}
    said = client.post("/v1/events", json={"events": [event]}).json()["error"]
    assert said == "body.events.0.value: must be 1000000000 or less, got 1e+308"


def test_a_folder_that_cannot_be_written_is_told_and_other_faults_are_not_hidden():
    app = FastAPI()
    ErrorAnswers(app.routes, tell_details=True).install(app)

    @app.get("/full")
    def full() -> None:
        with Path("/dev/full").open("w") as place:
            place.write("a report")

    @app.get("/missing")
    def missing() -> None:
        Path("/nowhere/at/all").open().close()

    asking = TestClient(app, raise_server_exceptions=False)
    said = asking.get("/full")
    assert said.status_code == 503
    assert "cannot write the model's folder ([Errno 28]" in said.json()["error"]
    assert asking.get("/missing").status_code == 500


def test_a_broken_model_of_another_package_is_an_error_of_the_service():
    app = FastAPI()
    ErrorAnswers(app.routes, tell_details=False).install(app)

    @app.get("/slate")
    def slate_of_a_broken_model() -> None:
        raise BrokenPart("the model Neg gave -1 as evidence; give finite numbers, at least 0")

    answer = TestClient(app, raise_server_exceptions=False).get("/slate")
    assert answer.status_code == 500
    assert answer.json() == {"error": "the served model cannot score; see the log"}


def test_a_restarted_service_remembers(start, rated_world):
    first = start()
    like(first, "ann", *rated_world.items_of_taste["space"][:3])
    first.put("/v1/users/ann", json={"profile": {"home": "north"}})
    before = slate(first, user_id="ann")
    first.__exit__(None, None, None)
    again = start()
    assert ids(slate(again, user_id="ann")) == ids(before)
    assert again.get("/v1/users/ann").json()["profile"] == {"home": "north"}
    first.__enter__()


NEW = {
    "attributes": {
        "title": "Rocket 99",
        "text": "a story of rocket and planet and orbit",
        "categories": "space",
        "year": 2020,
    }
}


def test_a_new_item_is_recommendable_at_once_elsewhere_soon_and_after_a_restart(start):
    here, elsewhere = start(), start()
    answer = here.put("/v1/items/new", json=NEW)
    assert (answer.status_code, answer.json()) == (
        200,
        {"item_id": "new", "items_version": 1, "notes": []},
    )
    asked = {"history": [{"item_id": i, "value": 5} for i in ("s00", "s01", "s02")], "k": 24}
    assert "new" in ids(slate(here, **asked))
    eventually(lambda: "new" in ids(slate(elsewhere, **asked)))
    restarted = start()
    assert "new" in ids(slate(restarted, **asked))
    assert restarted.get("/v1/items/new").json() == {
        "item_id": "new",
        "title": "Rocket 99",
        "attributes": NEW["attributes"],
    }


def test_a_new_item_is_ranked_by_its_content(client):
    client.put("/v1/items/new", json=NEW)
    score = {}
    for taste in "sg":
        shown = slate(
            client, history=[{"item_id": f"{taste}{n:02d}", "value": 5} for n in range(5)], k=25
        )
        score[taste] = {item["item_id"]: item["score"] for item in shown["items"]}["new"]
    assert score["s"] > score["g"] + 1.0


def test_what_the_owner_asks_of_a_slate(client):
    liked = {"history": [{"item_id": "s00", "value": 5}], "k": 30}
    everything = ids(slate(client, **liked))
    assert "s00" not in everything
    assert set(ids(slate(client, **liked, exclude=["s01"]))) == set(everything) - {"s01"}
    assert set(ids(slate(client, **liked, allow=["g01", "s02", "nowhere"]))) == {"g01", "s02"}
    assert {
        i[0] for i in ids(slate(client, **liked, filter='categories = "garden" and year > 1985'))
    } == {"g"}
    assert ids(slate(client, **liked, pin=["g05"]))[0] == "g05"
    few = ids(slate(client, history=liked["history"], k=6, quota={"space": 2}))
    assert sum(i.startswith("s") for i in few) <= 2


def test_what_was_seen_long_ago_is_not_shown_again(start):
    client = start(history_length=3)
    seen = [f"s{n:02d}" for n in range(8)]
    events = [
        {"user_id": "u1", "item_id": item, "value": 5, "timestamp": 1e9 + n}
        for n, item in enumerate(seen)
    ]
    assert client.post("/v1/events", json={"events": events}).status_code == 200
    answer = slate(client, user_id="u1", k=24)
    assert answer["n_known"] == 3
    assert not {*ids(answer)} & {*seen}
    assert len(ids(answer)) == 16
    sent = [{"item_id": item, "value": 5} for item in seen]
    assert not {*ids(slate(client, history=sent, k=24))} & {*seen}


def test_reasons_come_with_the_slate_when_asked(client):
    body = {"history": [{"item_id": f"s{n:02d}", "value": 5} for n in range(3)], "k": 3}
    assert all(item["reasons"] is None for item in slate(client, **body)["items"])
    explained = slate(client, **body, explain=True)
    assert all(item["reasons"] and len(item["reasons"]) <= 2 for item in explained["items"])
    assert any("liked" in reason for item in explained["items"] for reason in item["reasons"])


def test_an_explanation_says_where_an_item_stands(client):
    answer = client.post(
        "/v1/explanations", json={"history": [{"item_id": "s00", "value": 5}], "item_id": "s01"}
    )
    assert answer.status_code == 200
    assert answer.json()["item_id"] == "s01"
    assert sum(answer.json()["components"].values()) == pytest.approx(
        answer.json()["relative_score"], abs=1e-3
    )
    assert client.post("/v1/explanations", json={"item_id": "nowhere"}).status_code == 404


def test_an_explanation_of_a_long_history_tells_how_much_of_it_was_looked_at(client):
    history = [{"item_id": f"{taste}{n:02d}", "value": 5} for taste in "sg" for n in range(7)]
    body = {"history": history, "item_id": "s11"}
    told = client.post("/v1/explanations", json=body).json()
    assert len(told["events"]) == len(told["shares"]) == 10
    assert any("latest 10 of 14 events" in note for note in told["notes"])


def test_onboarding_asks_what_was_not_answered(client):
    asked = client.get("/v1/onboarding", params={"k": 3}).json()["items"]
    assert len(asked) == 3
    assert all(0 <= q["uncertainty_reduction"] <= 1 for q in asked)
    first = asked[0]["item_id"]
    second = asked[1]["item_id"]
    next_ones = [
        q["item_id"]
        for q in client.get(
            "/v1/onboarding", params={"k": 3, "like": [first], "skip": [second]}
        ).json()["items"]
    ]
    assert not {first, second} & set(next_ones)
    like(client, "ann", first)
    stored = [
        q["item_id"]
        for q in client.get("/v1/onboarding", params={"k": 3, "user_id": "ann"}).json()["items"]
    ]
    assert first not in stored
    assert (
        len(client.get("/v1/onboarding", params={"k": 50, "like": [first]}).json()["items"]) == 23
    )
    everything = [
        item["item_id"] for item in client.get("/v1/items", params={"k": 100}).json()["items"]
    ]
    assert client.get("/v1/onboarding", params={"k": 5, "skip": everything}).json()["items"] == []


def test_items_are_found_by_the_words_of_their_title(client, rated_world):
    titles = dict(
        zip(rated_world.data.items.frame["item_id"], rated_world.data.items.titles(), strict=True)
    )
    word = titles["s00"].split()[0].lower()
    found = client.get("/v1/items", params={"q": word.upper()}).json()["items"]
    assert {i["item_id"] for i in found} == {i for i, t in titles.items() if word in t.lower()}
    assert client.get("/v1/items", params={"q": "no such words"}).json() == {"items": []}
    assert len(client.get("/v1/items", params={"k": 5}).json()["items"]) == 5
    similar = client.get("/v1/items/s00/similar", params={"k": 3}).json()["items"]
    assert len(similar) == 3
    assert "s00" not in {i["item_id"] for i in similar}
    assert [i["similarity"] for i in similar] == sorted(
        (i["similarity"] for i in similar), reverse=True
    )


def test_items_alike_are_so_by_their_texts_too(client):
    attributes = {"title": "Twin", "text": "xylophone quokka", "categories": "space"}
    for item_id in ("twin1", "twin2"):
        assert (
            client.put(f"/v1/items/{item_id}", json={"attributes": attributes}).status_code == 200
        )
    service = client.app.state.service
    served = service.live.served
    row, other, word = (int(served.model.vocabulary.indexes([i])[0]) for i in ("s00", "s01", "g00"))
    rows, closeness = served.similar(row, 200)
    said = dict(zip(rows, closeness, strict=True))

    def cosine(vectors, a, b):
        a, b = vectors[a].astype(float), vectors[b].astype(float)
        return a @ b / np.sqrt((a @ a) * (b @ b))

    for one in (other, word):
        both = [
            cosine(np.asarray(vectors), row, one)
            for vectors in (served.model.item_embeddings, served.model.text)
        ]
        assert said[one] == pytest.approx(sum(both) / 2, abs=1e-4)
    first, *_ = client.get("/v1/items/twin1/similar", params={"k": 3}).json()["items"]
    assert (first["item_id"], first["similarity"]) == ("twin2", pytest.approx(1.0, abs=1e-3))


def test_no_worker_copies_the_embeddings_to_tell_what_is_alike(client):
    served = client.app.state.service.live.served
    served.similar(0, 5)
    held = [array for array in vars(served).values() if isinstance(array, np.ndarray)]
    assert held and all(array.ndim == 1 for array in held)


def test_what_cannot_be_heeded_is_said(client):
    assert slate(client, pin=["nope", "s00"], quota={"Opera": 1, "space": 1}, k=2)["notes"] == [
        "there is no item 'nope' to pin",
        "no item is of the category 'Opera', so its quota changes nothing",
    ]
    nothing = slate(client, allow=["nope"], k=2)
    assert (nothing["items"], nothing["notes"]) == (
        [],
        [
            "1 of the allowed items is not in the catalog and was ignored",
            "none of the allowed items may be shown",
        ],
    )


def test_what_was_shown_is_kept_with_propensities_and_joined_to_outcomes(client, tmp_path):
    shown = slate(client, user_id="ann", k=3)
    slate(client, k=3)
    like(client, "ann", ids(shown)[1], slate_id=shown["slate_id"])
    store = open_store(str(tmp_path / "events.db"))
    eventually(lambda: store.slates().height == 1)
    scale = client.app.state.service.live.served.scale
    joined = join_outcomes(store.slates(), store.as_frame(), scale)
    assert joined.select("slate_id", "item_id", "outcome").rows() == [
        (shown["slate_id"], item_id, float(place == 1)) for place, item_id in enumerate(ids(shown))
    ]
    assert joined["propensity"].to_list() == [item["propensity"] for item in shown["items"]]
    store.close()


def test_exploration_shows_other_slates_and_says_how_likely(client):
    body = {"user_id": "ann", "k": 5, "explore": 3.0}
    shown = [slate(client, **body) for _ in range(8)]
    assert len({tuple(ids(s)) for s in shown}) > 1
    assert any(item["propensity"] < 1 for s in shown for item in s["items"])
    assert all(0 < item["propensity"] <= 1 for s in shown for item in s["items"])


def test_all_that_is_kept_of_a_user_is_told(client):
    slate(client, user_id="ann", k=2)
    eventually(lambda: client.get("/v1/users/ann").status_code == 200)
    assert client.get("/v1/users/ann").json() == {
        "user_id": "ann",
        "profile": {},
        "events": [],
        "slates": 1,
        "friends": 0,
        "experiments": {},
    }
    like(client, "ann", "s00", "s01")
    done = client.put("/v1/users/ann", json={"profile": {"home": "north"}}).json()
    assert ([e["item_id"] for e in done["events"]], done["profile"], done["slates"]) == (
        ["s00", "s01"],
        {"home": "north"},
        1,
    )
    assert done == client.get("/v1/users/ann").json()
    assert client.get("/v1/users/ben").json() == {"error": "nothing is kept of this user"}


def test_a_forgotten_user_is_nowhere_not_in_the_store_not_in_the_logs(client, tmp_path, caplog):
    name = "ann-of-the-hill"
    with caplog.at_level(logging.DEBUG):
        like(client, name, "s00", "s01", context={"note": name})
        client.put(f"/v1/users/{name}", json={"profile": {"home": "north"}})
        slate(client, user_id=name)
        client.get(f"/v1/users/{name}")
        receipt = client.delete(f"/v1/users/{name}").json()
    deleted = {"events": 2, "slates": 1, "users": 1, "friends": 0, "exposures": 0}
    assert receipt["rows_deleted"] == deleted
    assert receipt["bytes_erased"] is True
    assert {"place", "removed", "still_holds"} == set(receipt["places"][0])
    assert client.get(f"/v1/users/{name}").status_code == 404
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert name.encode() not in held
    assert name not in str(
        [record.__dict__ for record in caplog.records if record.name.startswith("metarec")]
    )
    assert name not in client.get("/metrics").text


KEYS = {"r": "read", "w": "write", "a": "admin"}
CALLS = {
    "read": [
        ("POST", "/v1/recommendations"),
        ("POST", "/v1/explanations"),
        ("GET", "/v1/onboarding"),
        ("GET", "/v1/users/ann"),
        ("GET", "/v1/users/ann/friends"),
        ("GET", "/v1/circumstances"),
        ("GET", "/v1/items"),
        ("GET", "/v1/items/s00"),
        ("GET", "/v1/items/s00/similar"),
        ("GET", "/v1/items/popular"),
        ("GET", "/v1/items/trending"),
        ("GET", "/v1/items/newest"),
        ("POST", "/v1/recommendations/batch"),
        ("GET", "/v1/models"),
        ("GET", "/v1/experiments"),
        ("GET", "/v1/experiments/x"),
        ("GET", "/v1/status"),
        ("GET", "/v1/item-statistics"),
        ("GET", "/v1/jobs"),
        ("GET", "/metrics"),
        ("GET", "/v1/reports/x"),
    ],
    "write": [
        ("POST", "/v1/events"),
        ("PUT", "/v1/users/ann"),
        ("PUT", "/v1/users/ann/friends"),
        ("POST", "/v1/users/ann/merge"),
        ("PUT", "/v1/items/new"),
        ("PUT", "/v1/items"),
        ("PATCH", "/v1/items/new"),
        ("DELETE", "/v1/items/new"),
    ],
    "admin": [
        ("POST", "/v1/jobs"),
        ("GET", "/v1/settings"),
        ("DELETE", "/v1/users/ann"),
        ("POST", "/v1/models/x/promote"),
        ("POST", "/v1/experiments"),
        ("POST", "/v1/experiments/x/stop"),
        ("POST", "/v1/experiments/x/promote"),
        ("POST", "/v1/experiments/x/roll-back"),
        ("GET", "/v1/users"),
    ],
}


def test_a_key_opens_what_its_role_may_do_and_no_more(start):
    client = start(keys=KEYS)
    order = list(CALLS)
    for role, calls in CALLS.items():
        for method, path in calls:
            assert client.request(method, path, json={}).status_code == 401, path
            assert (
                client.request(method, path, json={}, headers={"x-api-key": "wrong"}).status_code
                == 401
            ), path
            for key, has in KEYS.items():
                for header in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}):
                    refused = client.request(method, path, json={}, headers=header).status_code in (
                        401,
                        403,
                    )
                    assert refused == (order.index(has) < order.index(role)), (method, path, key)
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    said = client.delete("/v1/users/ann", headers={"x-api-key": "w"})
    assert (said.status_code, said.json()) == (
        403,
        {"error": "this needs the role 'admin', the key has 'write'"},
    )


def test_guessing_keys_ends_at_the_limit_and_holds_up_no_known_key(start):
    client = start(keys=KEYS, requests_per_second=0.001, burst=3)
    assert [
        client.get("/v1/items", headers={"x-api-key": f"guess{n}"}).status_code for n in range(4)
    ] == [401, 401, 401, 429]
    ways = [{"authorization": f"Bearer{' ' * spaces}r"} for spaces in (1, 2, 3, 4)]
    assert [client.get("/v1/items", headers=way).status_code for way in ways] == [
        200,
        200,
        200,
        429,
    ]


def test_every_route_is_named_in_the_table_of_roles(client):
    told = {
        (method.upper(), path)
        for path, methods in client.app.openapi()["paths"].items()
        for method in methods
    }
    tested = {
        (
            m,
            p.replace("/x", "/{version}")
            if "models" in p
            else p.replace("/x", "/{experiment}")
            if "experiments" in p
            else p.replace("/x", "/{name}")
            .replace("ann", "{user_id}")
            .replace("s00", "{item_id}")
            .replace("/new", "/{item_id}")
            .replace("/{item_id}est", "/newest"),
        )
        for calls in CALLS.values()
        for m, p in calls
    }
    assert told - tested == {("GET", "/healthz"), ("GET", "/readyz")}


def trained_on(folder):
    """Everyone in any table below a folder."""
    return {
        user
        for path in folder.rglob("*.parquet")
        for user in pl.read_parquet(path).to_dict(as_series=False).get("user_id", [])
    }


def test_a_user_of_the_first_data_is_in_no_model_folder(client, model):
    _, second = second_model(client)
    assert "u007" in trained_on(model)
    receipt = client.delete("/v1/users/u007").json()
    assert sum(one["removed"] for one in receipt["places"] if "model version" in one["place"]) > 20
    assert "u007" not in trained_on(model)
    assert "u008" in trained_on(model)
    assert slate(client)["items"]
    assert client.post(f"/v1/models/{second}/promote", json={}).status_code == 200
    assert slate(client)["model_version"] == second


def test_slates_under_way_do_not_outlive_the_receipt(client):
    """Twenty races: slates, events and attributes are sent until the receipt is there."""
    store = client.app.state.service.store
    for race in range(20):
        user, told = f"racer{race}", threading.Event()

        def ask(user=user, told=told):
            while not told.is_set():
                slate(client, user_id=user)

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask) for _ in range(3)]
            time.sleep(0.02)
            receipt = client.delete(f"/v1/users/{user}").json()
            told.set()
            for one in asking:
                one.result()
        time.sleep(0.05)
        answered = client.app.state.service.forgotten_at[user]
        assert answered >= receipt["timestamp"]
        kept = store.slates().filter(pl.col("user_id") == user)["timestamp"].to_list()
        # What was asked for after the answer was written is a new beginning
        assert all(at > answered for at in kept)


def test_events_from_before_the_receipt_are_told_and_dropped(client):
    like(client, "ann", "s00")
    receipt = client.delete("/v1/users/ann").json()
    old = {"user_id": "ann", "item_id": "s00", "kind": "like", "timestamp": 5.0}
    new = {"user_id": "ann", "item_id": "s01", "kind": "like"}
    said = client.post("/v1/events", json={"events": [old, new]}).json()
    assert said == {"accepted": 1, "duplicates": 0, "unknown_items": 0, "forgotten": 1}
    assert receipt["timestamp"] > 5.0
    assert [e["item_id"] for e in client.get("/v1/users/ann").json()["events"]] == ["s01"]


def second_model(client, seed=1):
    """A retrained model beside the first; gives its version."""
    registry = client.app.state.service.live.registry
    old, challenger = registry.current(), fitted_model(seed)
    challenger.save(registry.place_of(challenger.version))
    assert challenger.version != old
    return old, challenger.version


def test_a_folder_that_was_replaced_while_serving_is_not_served_under_its_old_name(client):
    _, second = second_model(client)
    live = client.app.state.service.live
    shutil.rmtree(live.registry.place_of(second))
    other = fitted_model(2)
    other.save(live.registry.place_of(second))
    said = f"the folder of model {second} holds model {other.version}: it was replaced while"
    with pytest.raises(BadInput, match=said):
        live.load(second)


def test_a_promoted_model_serves_here_at_once_elsewhere_soon_and_the_way_back_is_open(start, model):
    here, elsewhere = start(), start()
    first, second = second_model(here)
    assert slate(here)["model_version"] == first
    answer = here.post(f"/v1/models/{second}/promote", json={"reason": "it is better"})
    promoted = {"current": second, "before": first, "notes": []}
    assert (answer.status_code, answer.json()) == (200, promoted)
    assert slate(here)["model_version"] == second
    eventually(lambda: slate(elsewhere)["model_version"] == second)
    listed = here.get("/v1/models").json()
    assert [(m["version"], m["is_current"]) for m in listed["models"]] == [
        (first, False),
        (second, True),
    ]
    assert listed["promotions"][-1]["reason"] == "it is better"
    assert elsewhere.post(f"/v1/models/{first}/promote", json={}).json() == {
        "current": first,
        "before": second,
        "notes": [],
    }
    eventually(lambda: slate(here)["model_version"] == first)


def test_items_added_while_serving_are_there_after_a_swap(start, model):
    client = start()
    client.put("/v1/items/new", json=NEW)
    _, second = second_model(client)
    client.post(f"/v1/models/{second}/promote", json={})
    shown = slate(client, history=[{"item_id": "s00", "value": 5}], k=30)
    assert shown["model_version"] == second
    assert "new" in ids(shown)


def break_model(place):
    weights = place / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])


def test_a_broken_model_is_refused_and_the_old_one_keeps_serving(start, model):
    client = start()
    first, second = second_model(client)
    break_model(client.app.state.service.live.registry.place_of(second))
    answer = client.post(f"/v1/models/{second}/promote", json={})
    assert answer.status_code == 409
    assert first in answer.json()["error"]
    assert slate(client)["model_version"] == first
    assert client.app.state.service.live.registry.current() == first
    assert client.post("/v1/models/none/promote", json={}).status_code == 404


def test_a_worker_started_on_a_broken_promotion_serves_the_model_before(start, model):
    client = start()
    first, second = second_model(client)
    client.post(f"/v1/models/{second}/promote", json={})
    break_model(client.app.state.service.live.registry.place_of(second))
    assert slate(start())["model_version"] == first


def test_a_pointer_moved_by_another_program_to_a_broken_model_changes_nothing(start, model):
    client = start()
    first, second = second_model(client)
    registry = client.app.state.service.live.registry
    registry.promote(second, "by hand")
    break_model(registry.place_of(second))
    time.sleep(0.3)
    assert slate(client)["model_version"] in (
        first,
        second,
    )  # whichever it was quick enough to load; it answers
    assert client.get("/readyz").status_code == 200


def test_a_model_of_the_right_sizes_that_cannot_be_read_is_refused_for_the_one_that_serves(start):
    client = start()
    first, second = second_model(client)
    registry = client.app.state.service.live.registry
    weights = registry.place_of(second) / "model.safetensors"
    weights.write_bytes(b"\xff" * weights.stat().st_size)
    (registry.folder / "current").write_text(
        second, encoding="utf-8"
    )  # by hand: the pointer is no proof of what serves
    answer = client.post(f"/v1/models/{second}/promote", json={})
    assert answer.json() == {
        "error": f"model {second!r} could not be loaded; {first!r} keeps serving"
    }
    assert registry.current() == first


def test_status_says_what_an_operator_wants(client, model):
    like(client, "ann", "s00")
    slate(client, user_id="ann")
    (model / "reports").mkdir()
    (model / "reports" / "curve.json").write_text(json.dumps({"ndcg": [0.1]}))
    said = client.get("/v1/status").json()
    assert said["items"] == 24
    assert said["rows"]["events"] == 1
    assert said["events_last_minute"] == 1
    assert said["reports"] == ["curve"]
    assert client.get("/v1/reports/curve").json() == {"ndcg": [0.1]}
    assert client.get("/v1/reports/none").status_code == 404
    assert client.get("/v1/reports/..%2Fconfig").status_code == 404


def test_metrics_count_routes_not_users(client):
    client.get("/v1/users/ann-of-the-hill")
    like(client, "ann-of-the-hill", "s00")
    slate(client)
    page = client.get("/metrics").text
    assert 'metarec_requests_total{route="/v1/users/{user_id}",status="404"} 1.0' in page
    assert 'metarec_events_total{outcome="accepted"} 1.0' in page
    assert "metarec_batch_size_count 1.0" in page
    assert "ann-of-the-hill" not in page


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/v1/recommendations", b"{", 422, "JSON"),
        ("POST", "/v1/recommendations", b"\xff\xfe", 422, "JSON"),
        ("POST", "/v1/recommendations", b"[]", 422, "body"),
        ("POST", "/v1/recommendations", {"kk": 3}, 422, "body.kk"),
        ("POST", "/v1/recommendations", {"k": 0}, 422, "body.k"),
        ("POST", "/v1/recommendations", {"k": 10**9}, 422, "body.k"),
        ("POST", "/v1/recommendations", {"k": "5"}, 422, "body.k"),
        (
            "POST",
            "/v1/recommendations",
            {"history": [{"item_id": "a", "value": 1e300}]},
            422,
            "value",
        ),
        (
            "POST",
            "/v1/recommendations",
            b'{"history": [{"item_id": "a", "value": NaN}]}',
            422,
            "value",
        ),
        ("POST", "/v1/recommendations", {"history": [{"item_id": "a"}] * 1001}, 422, "history"),
        ("POST", "/v1/recommendations", {"user_id": "a\x00b"}, 422, "user_id"),
        ("POST", "/v1/recommendations", {"filter": "__import__('os')"}, 422, "filter"),
        ("POST", "/v1/recommendations", {"filter": "(" * 1999}, 422, "filter"),
        ("POST", "/v1/recommendations", {"filter": "color = 'red'"}, 422, "no column 'color'"),
        ("POST", "/v1/recommendations", {"profile": {"a": {"b": 1}}}, 422, "profile"),
        (
            "POST",
            "/v1/recommendations",
            {"profile": {"a\n\x1d b": {"c": 1}}},
            422,
            "body.profile.a b",
        ),
        ("POST", "/v1/events", {"events": []}, 422, "events"),
        (
            "POST",
            "/v1/events",
            {"events": [{"user_id": "a"}]},
            422,
            "body.events.0: an event needs an item_id",
        ),
        (
            "POST",
            "/v1/events",
            {"events": [{"user_id": "a", "item_id": "b", "kind": "drop\ttable"}]},
            422,
            "kind",
        ),
        (
            "POST",
            "/v1/events",
            {"events": [{"user_id": "a", "item_id": "b", "timestamp": -1}]},
            422,
            "timestamp",
        ),
        ("POST", "/v1/events", b'{"events": [{"user_id": "\\ud800", "item_id": "b"}]}', 422, ""),
        ("PUT", "/v1/items/x", {"attributes": {}}, 422, "attributes"),
        ("PUT", "/v1/items/x", {"attributes": {"isbn": 2**53 + 1}}, 422, "attributes.isbn"),
        (
            "PUT",
            "/v1/items/x",
            {"attributes": {"year": "soon"}},
            422,
            "year must be a number, got 'soon'",
        ),
        ("GET", "/v1/items/..%2F..%2Fetc", None, 404, ""),
        ("GET", "/v1/nothing", None, 404, ""),
        ("POST", "/v1/items/x", {}, 405, "it takes DELETE, GET, PATCH, PUT"),
        ("GET", "/v1/items?k=1000", None, 422, "query.k"),
        (
            "POST",
            "/v1/recommendations",
            b'{"wish": "' + b"x" * 2_000_000 + b'"}',
            413,
            "1,000,000 bytes",
        ),
        ("POST", "/v1/recommendations", b"[" * 100_000, 400, "that can be read"),
    ],
)
def test_hostile_input_gets_one_clear_sentence(refusing, method, path, body, status, says):
    content = (
        body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    )
    answer = refusing.request(
        method, path, content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert says in answer.json()["error"]
    assert len(answer.json()["error"].splitlines()) == 1
    assert len(answer.json()["error"]) <= 500


@pytest.mark.parametrize(
    ("method", "path", "takes"),
    [
        ("GET", "/v1/recommendations", "POST"),
        ("DELETE", "/v1/recommendations", "POST"),
        ("GET", "/v1/models/x/promote", "POST"),
        ("HEAD", "/v1/items", "GET, PUT"),
        ("PATCH", "/v1/users/a%2Fb", "DELETE, GET, PUT"),
        ("POST", "/readyz", "GET, HEAD"),
        ("DELETE", "/", "GET, HEAD"),
        ("DELETE", "/docs", "GET, HEAD"),
        ("DELETE", "/v1/users/ann/friends", "GET, PUT"),
        ("PATCH", "/v1/users/ann/friends", "GET, PUT"),
        ("GET", "/v1/users/ann/merge", "POST"),
        ("PUT", "/v1/users/ann/merge", "POST"),
        ("DELETE", "/v1/users/ann/merge", "POST"),
        ("PUT", "/v1/items/s00/similar", "GET"),
        ("PATCH", "/v1/items/s00/similar", "GET"),
        ("DELETE", "/v1/items/s00/similar", "GET"),
        ("PUT", "/v1/users/ann%2Fmerge/merge", "POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(refusing, method, path, takes):
    answer = refusing.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, takes)
    assert method == "HEAD" or answer.json() == {
        "error": f"{method} is not for this address; it takes {takes}"
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/nothing"), ("DELETE", "/v1/nothing"), ("PUT", "/v1/users/"), ("GET", "/nothing")],
)
def test_where_nothing_is_no_method_is_named(refusing, method, path):
    answer = refusing.request(method, path)
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "there is nothing at this address; /docs lists those there are"},
    )


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_supervisor_may_ask_without_wanting_the_answer(refusing, path):
    eventually(lambda: refusing.get(path).status_code == 200)
    assert refusing.head(path).status_code == 200


ANY_KIND = "must be true or false, a number, a text or a list, got an object"


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"title": "x" * 10_001}, "title: may have 10,000 letters, got 10,001"),
        ({"a": {"b": 1}}, f"a: {ANY_KIND}"),
        ({"a": {"b": 1}, "c": {"d": 1}, "e": 2**60}, f"a: {ANY_KIND} (and 2 more)"),
        (
            {"tags": ["x", {"b": 1}]},
            "tags.1: must be true or false, a number or a text, got an object",
        ),
        (
            {"tags": ["x"] * 101},
            "tags: may have 100, got 101",
        ),
        ({"isbn": 2**53}, f"isbn: must be {2**53 - 1} or less, got {2**53}"),
        ({"k" * 81: 1}, f"{'k' * 81}.[key]: may have 80 letters, got 81"),
    ],
)
def test_the_most_fitting_of_many_errors_is_told(refusing, attributes, says):
    answer = refusing.put("/v1/items/x", json={"attributes": attributes})
    assert (answer.status_code, answer.json()) == (422, {"error": f"body.attributes.{says}"})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"k": 1.5}, "body.k: must be a whole number, got a number"),
        ({"usr_id": 1}, "body.usr_id: is not known here; did you mean 'user_id'?"),
        ({"k": 1_000}, "body.k: must be 200 or less, got 1000"),
        ({"diversity": -0.5}, "body.diversity: must be 0 or more, got -0.5"),
        ({"exclude": ["x\0"]}, "body.exclude.0: may hold no control characters"),
        (
            {"history": [{"item_id": "s00", "timestamp": 1_700_000_000_000}]},
            "body.history.0.timestamp: 1700000000000 is in milliseconds; send seconds since 1970 "
            "in UTC",
        ),
        ([], "body: must be an object, got a list"),
        ({"history": [{}, {}]}, "body.history.0.item_id: is missing (and 1 more)"),
        ({"user_id": ""}, "body.user_id: must have 1 or more letters"),
    ],
)
def test_errors_are_plain(refusing, body, says):
    assert refusing.post("/v1/recommendations", json=body).json() == {"error": says}


def test_a_new_user_is_not_told_how_they_began(client):
    answer = client.post("/v1/recommendations", json={"k": 20, "explain": True}).json()
    reasons = [reason for item in answer["items"] for reason in item["reasons"]]
    assert reasons
    assert not any("as you did" in reason for reason in reasons)


def test_a_misspelled_kind_is_told(client):
    asked = {"history": [{"item_id": "s00", "kind": "purchse"}]}
    told = client.post("/v1/recommendations", json=asked).json()["notes"]
    assert told == [
        "kind 'purchse' is not known and counts as positive; did you mean 'purchase'?",
    ]


def test_what_is_no_json_is_told_with_its_place(refusing):
    answer = refusing.post(
        "/v1/recommendations",
        content=b'{"k": 1',
        headers={"content-type": "application/json"},
    )
    said = "body: is no JSON: Expecting ',' delimiter at character 7"
    assert (answer.status_code, answer.json()) == (422, {"error": said})


def test_a_body_of_unknown_names_is_told_the_known_ones(refusing):
    answer = refusing.put("/v1/items/x", json={"title": "Solaris"})
    said = "body.title: is not known here; known are attributes, available"
    assert answer.json() == {"error": said}


@pytest.mark.parametrize(("content_type", "got"), [("text/plain", "'text/plain'"), (None, "none")])
def test_a_body_that_does_not_say_it_is_json_is_told_how(refusing, content_type, got):
    answer = refusing.post(
        "/v1/recommendations",
        content=b'{"k": 1}',
        headers={"content-type": content_type} if content_type else {},
    )
    assert (answer.status_code, answer.json()) == (
        422,
        {
            "error": f"a body must be JSON and say so with the header `content-type: "
            f"application/json`, got {got}"
        },
    )


def test_ids_are_only_ids(client):
    for name in [
        "'; DROP TABLE events; --",
        "ünï côdé 🎬",
        "a b",
        "%00",
        "<script>alert(1)</script>",
    ]:
        like(client, name, "s00")
        assert slate(client, user_id=name)["n_known"] == 1
    assert client.get("/readyz").status_code == 200


def test_ids_may_hold_slashes(client):
    like(client, "dir/ty", "s00")
    like(client, "dir", "s01", "s02")
    assert [e["item_id"] for e in client.get("/v1/users/dir%2Fty").json()["events"]] == ["s00"]
    assert client.put("/v1/users/dir%2Fty", json={"profile": {"home": "north"}}).status_code == 200
    assert client.delete("/v1/users/dir%2Fty").json()["rows_deleted"] == {
        "events": 1,
        "slates": 0,
        "users": 1,
        "friends": 0,
        "exposures": 0,
    }
    assert len(client.get("/v1/users/dir").json()["events"]) == 2
    assert client.delete("/v1/users/dir%0A").status_code == 422  # not another way to write `dir`
    assert 'route="/v1/users/{user_id}",status="200"} 4.0' in client.get("/metrics").text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v1/users/ann/freinds"),
        ("DELETE", "/v1/users/ann/"),
        ("DELETE", "/v1/users//ann"),
        ("PUT", "/v1/users/ann/profile"),
        ("GET", "/v1/users/ann/events"),
        ("PUT", "/v1/items/s00/stock"),
        ("DELETE", "/v1/items/s00/"),
        ("GET", "/v1/items/popular/s00"),
        ("GET", "/v1/items/a/b/similar"),
    ],
)
def test_what_is_no_part_of_a_user_or_item_is_no_other_user_or_item(client, method, path):
    like(client, "ann", "s00")
    answer = client.request(method, path, json={"profile": {}, "attributes": {}})
    assert answer.status_code == 404
    assert answer.json() == {
        "error": "there is nothing at this address; a `/` within an id is written %2F"
    }
    counts = client.app.state.service.store.counts()
    assert (counts["events"], counts["users"], counts["items"], counts["forgotten"]) == (1, 0, 0, 0)


def test_users_may_be_called_like_what_users_have(client):
    for name in ("ann/friends", "ann/merge", "friends"):
        like(client, name, "s00")
        address = f"/v1/users/{name.replace('/', '%2F')}"
        assert client.get(address).json()["user_id"] == name
        assert client.get(f"{address}/friends").json() == {"user_id": name, "friends": []}
        assert client.delete(address).json()["rows_deleted"]["events"] == 1


def test_an_item_may_be_called_like_the_address_of_those_alike(client):
    for item_id in ("a%2Fb", "a%2Fsimilar", "s00%2Fsimilar"):
        assert client.put(f"/v1/items/{item_id}", json=NEW).status_code == 200
        assert client.get(f"/v1/items/{item_id}").json()["item_id"] == item_id.replace("%2F", "/")
        assert len(client.get(f"/v1/items/{item_id}/similar", params={"k": 3}).json()["items"]) == 3
    assert len(client.get("/v1/items/s00/similar", params={"k": 3}).json()["items"]) == 3
    assert client.get("/v1/items/a/similar").json() == {
        "error": "there is no item 'a'; add it with PUT /v1/items/{id}"
    }


def test_a_store_that_is_away_is_503_and_slates_of_sent_histories_go_on(start, tmp_path):
    client = start()
    store = client.app.state.service.store
    store._writer.close()
    answer = client.post("/v1/events", json={"events": [{"user_id": "a", "item_id": "s00"}]})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert answer.json() == {"error": "the store is closed"}
    assert len(ids(slate(client, history=[{"item_id": "s00", "value": 5}], k=3))) == 3
    assert len(ids(slate(client, user_id="ann", k=3))) == 3
    assert "metarec_impressions_lost_total 1.0" in client.get("/metrics").text


def test_slates_of_known_users_go_on_without_a_store_and_say_so(start, tmp_path, monkeypatch):
    """The store's folder is taken away, in one step, and brought back under the running service."""
    from metarec.app.service.routes import slate_answers

    monkeypatch.setattr(slate_answers, "LOOK_AGAIN", 0.3)
    kept, away = tmp_path / "kept", tmp_path / "away"
    kept.mkdir()
    client = start(store=str(kept / "events.db"))
    like(client, "ann", "s00", "s01")
    known = slate(client, user_id="ann", k=3)
    assert (known["without_store"], known["n_known"]) == (False, 2)
    kept.rename(away)
    client.app.state.service.store._reads.dispose()  # or open files would go on being read

    sent = slate(client, user_id="ann", history=[{"item_id": "s02", "value": 5}], k=3)
    anonymous = slate(client, user_id="ann", k=3)
    assert (sent["without_store"], sent["n_known"], len(ids(sent))) == (True, 1, 3)
    assert ids(sent) == ids(slate(client, history=[{"item_id": "s02", "value": 5}], k=3))
    assert ids(anonymous) == ids(slate(client, k=3))
    assert any("cannot be read just now" in note for note in anonymous["notes"])
    assert client.get("/v1/users/ann").status_code == 503

    away.rename(kept)
    time.sleep(0.4)
    assert ids(slate(client, user_id="ann", k=3)) == ids(known)


def test_other_origins_are_let_in_only_when_named(start):
    asked = {"origin": "http://shop.example", "access-control-request-method": "POST"}
    assert (
        start()
        .options("/v1/recommendations", headers=asked)
        .headers.get("access-control-allow-origin")
        is None
    )
    allowed = start(cors_origins=("http://shop.example",)).options(
        "/v1/recommendations", headers=asked
    )
    assert allowed.headers["access-control-allow-origin"] == "http://shop.example"
    refusing = start(cors_origins=("http://shop.example",), max_body_bytes=1_000)
    refused = refusing.post(
        "/v1/recommendations", content=b"x" * 2_000, headers={"origin": "http://shop.example"}
    )
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (
        413,
        "http://shop.example",
    )


def test_a_form_of_another_page_cannot_post(client):
    """A browser sends text/plain across origins without asking first; it must not be read as
    JSON.
    """
    body = json.dumps({"events": [{"user_id": "a", "item_id": "s00"}]})
    assert (
        client.post("/v1/events", content=body, headers={"content-type": "text/plain"}).status_code
        == 422
    )
    assert client.post("/v1/events", content=body, headers={"content-type": ""}).status_code == 422
    assert client.get("/v1/users/a").status_code == 404


def test_what_says_nothing_and_what_may_not_be_shown_is_told(client):
    said = [
        {"item_id": "s00", "kind": "love"},
        {"item_id": "s01", "kind": "love"},
        {"item_id": "s02"},
        {"item_id": "s03", "kind": "impression"},
        {"item_id": "s04", "kind": "like"},
        {"item_id": "s05", "kind": "stars", "value": 4},
    ]
    answer = client.post(
        "/v1/recommendations", json={"history": said, "pin": ["s04", "s06"]}
    ).json()
    assert answer["n_known"] == 5
    assert answer["notes"][-2].startswith("'s04' is pinned but may not be shown: it was seen")
    assert answer["notes"][-1].startswith(
        "1 of the events sent along say nothing and were ignored: 'impression' is neither"
    )
    assert (
        client.post("/v1/recommendations", json={"history": said[4:], "pin": ["s06"]}).json()[
            "notes"
        ]
        == []
    )


def test_openapi_names_every_promised_route_with_examples(client):
    api = client.get("/openapi.json").json()
    promised = {
        "/v1/recommendations",
        "/v1/events",
        "/v1/users/{user_id}",
        "/v1/explanations",
        "/v1/onboarding",
        "/v1/items/{item_id}",
        "/v1/items/{item_id}/similar",
        "/v1/models",
        "/v1/models/{version}/promote",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    assert promised <= set(api["paths"])
    bodies = [
        operation["requestBody"]["content"]["application/json"]["schema"]
        for methods in api["paths"].values()
        for operation in methods.values()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]
    named = {schema.get("$ref", "").rsplit("/", 1)[-1] for schema in bodies} - {""}
    assert all(api["components"]["schemas"][name].get("examples") for name in named)
    assert client.get("/docs").status_code == 200


def test_the_http_reference_is_as_reviewed(client):
    """The site's page is made of this file: renewed by `make golden` and read in review."""
    file = Path(__file__).parent.parent.parent / "docs" / "reference" / "openapi.json"
    now = json.dumps(client.get("/openapi.json").json(), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("METAREC_RENEW_GOLDEN"):
        file.write_text(now, encoding="utf-8")
    assert file.read_text("utf-8") == now


def test_drift_is_measured_against_what_was_trained_on(client):
    for n in range(40):
        client.post(
            "/v1/events",
            json={
                "events": [
                    {"user_id": f"p{n}", "item_id": "s00", "kind": "like"} for _ in range(10)
                ]
            },
        )
    looked = client.app.state.service.monitor.look(now=time.time() + 60)
    assert looked.drift.events == 400
    assert looked.drift.popularity_psi > 0.2
    assert looked.drift.cold_user_share == 1.0
    assert any("popularity index" in reason for reason in looked.reasons)
    assert client.get("/v1/status").json()["retraining_advised"] == looked.reasons
    assert 'metarec_drift{signal="cold_user_share"} 1.0' in client.get("/metrics").text


def test_a_look_reads_the_latest_and_counts_all(start, monkeypatch):
    from metarec.app.service.monitoring import monitor

    monkeypatch.setattr(monitor, "MAX_SLATES", 5)
    monkeypatch.setattr(monitor, "MAX_EVENTS", 6)
    client = start()
    store = client.app.state.service.store
    for _ in range(12):
        slate(client, user_id="ann", k=2)
    like(client, "bob", *(f"s{n:02}" for n in range(9)))
    search = {"user_id": "bob", "kind": "search", "query": "ink"}  # no event on an item
    assert client.post("/v1/events", json={"events": [search]}).status_code == 200
    eventually(lambda: store.counts()["slates"] == 12)
    asked = []
    for name in ("as_frame", "slates"):
        real = getattr(store, name)
        monkeypatch.setattr(
            store, name, lambda *a, real=real, **k: asked.append(real(*a, **k)) or asked[-1]
        )
    looked = client.app.state.service.monitor.look(now=time.time() + 1)
    assert (looked.outcomes["slates"], looked.outcomes["slates_measured"]) == (12.0, 5.0)
    assert looked.drift.events == 9
    assert max(frame.height for frame in asked) == 6


def test_old_slates_are_deleted_while_serving(start, model, tmp_path):
    with_slates = start()
    slate(with_slates, user_id="ann", k=2)
    store = with_slates.app.state.service.store
    eventually(lambda: store.counts()["slates"] == 1)
    start(keep_slates_days=1e-9)
    eventually(lambda: store.counts()["slates"] == 0)


def test_an_event_id_used_for_something_else_is_refused_whole(client):
    like(client, "ann", "s00", event_id="a")
    assert like(client, "ann", "s00", event_id="a")["duplicates"] == 1
    assert like(client, "bob", "s01", event_id="a")["accepted"] == 1
    events = [
        {"user_id": "ann", "item_id": "s02", "event_id": "b"},
        {"user_id": "ann", "item_id": "s03", "event_id": "a", "kind": "like"},
    ]
    answer = client.post("/v1/events", json={"events": events})
    assert answer.status_code == 409
    assert "event_id 'a' was used before" in answer.json()["error"]
    kept = client.get("/v1/users/ann").json()["events"]
    assert [event["item_id"] for event in kept] == ["s00"]


def test_a_time_in_the_far_future_is_refused_and_clocks_may_differ(client):
    def sent(ahead):
        event = {"user_id": "ann", "item_id": "s00", "timestamp": time.time() + ahead}
        return client.post("/v1/events", json={"events": [event]})

    assert sent(60).status_code == 200
    answer = sent(1e9)
    assert answer.status_code == 422
    assert "lies in the future; send seconds since 1970" in answer.json()["error"]


def test_what_costs_too_much_is_refused_and_its_dearest_part_named(client):
    def status(**body):
        return client.post("/v1/recommendations", json=body).status_code

    dear = client.post(
        "/v1/recommendations", json={"quota": {f"none{n}": 1 for n in range(50)}, "k": 200}
    )
    assert dear.status_code == 422
    said = dear.json()["error"]
    assert "70 plain slates, 20 are allowed; the most expensive options: quota, k" in said
    assert status(filter=" or ".join(f"year = {n}" for n in range(60))) == 422
    assert status(filter="year in (" + ", ".join(map(str, range(60))) + ")") == 422
    assert status(explore=1.0, k=200, explain=True) == 422
    assert status(explore=1.0, k=200) == 200
    assert status(explain=True, k=200) == 200


def test_costly_requests_wait_aside_and_no_longer_than_they_may(start, monkeypatch):
    hold, drawing = threading.Event(), np.random.default_rng

    def held(*seed):
        if threading.current_thread().name.startswith("metarec-heavy"):
            hold.wait(120)
        return drawing(*seed)

    monkeypatch.setattr(np.random, "default_rng", held)  # the first call of every explanation
    client = start(heavy_threads=1, heavy_waiting=1, heavy_seconds=1.0)
    told = []

    def explain():
        body = {"history": [{"item_id": "s00", "value": 5}], "item_id": "s01"}
        answer = client.post("/v1/explanations", json=body)
        told.append((answer.status_code, answer.headers.get("retry-after")))

    asking = [threading.Thread(target=explain) for _ in range(3)]
    for one in asking:
        one.start()
    eventually(lambda: len(told) == 1)  # one too many: told at once
    slate(client, k=1)
    assert client.get("/readyz").status_code == 200
    for one in asking:
        one.join(60)
    hold.set()
    assert told == [(503, "1")] * 3


def test_an_empty_post_of_a_foreign_page_promotes_nothing(client):
    version = client.get("/v1/models").json()["models"][0]["version"]
    for headers in (
        {"origin": "http://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"content-type": "application/x-www-form-urlencoded"},
    ):
        answer = client.post(f"/v1/models/{version}/promote", headers=headers)
        assert answer.status_code == 403, headers
    assert client.get("/v1/models").json()["promotions"] == []


def test_only_a_trusted_proxy_says_who_asks(start):
    def statuses(**settings):
        client = start(requests_per_second=0.001, burst=2, **settings)
        return [
            client.get("/v1/items", headers={"x-forwarded-for": f"9.9.9.{n}"}).status_code
            for n in range(4)
        ]

    assert statuses() == [200, 200, 429, 429]
    assert statuses(trusted_proxies=("10.0.0.0/8",)) == [200, 200, 429, 429]
    assert statuses(trusted_proxies=("testclient",)) == [200] * 4


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/events", '{"events": [{"user_id": "a", "user_id": "b", "item_id": "s01"}]}'),
        ("POST", "/v1/recommendations", '{"k": 2, "user_id": "a", "user_id": "b"}'),
        ("PUT", "/v1/users/a", '{"profile": {"user_id": 1, "user_id": 2}}'),
        ("POST", "/v1/users/a/merge", '{"user_id": 1, "into": "b", "user_id": 2}'),
    ],
)
def test_a_key_that_stands_twice_is_refused_and_nothing_is_stored(client, method, path, body):
    """Of two users the last would count, without a word."""
    answer = client.request(
        method, path, content=body, headers={"content-type": "application/json"}
    )
    said = "body: the key 'user_id' stands twice in an object"
    assert (answer.status_code, answer.json()) == (422, {"error": said})
    assert client.get("/v1/users/b").status_code == 404


def test_a_query_parameter_that_takes_one_value_is_refused_twice(client):
    answer = client.get("/v1/items/s01/similar?k=1&k=2")
    assert answer.status_code == 422
    assert answer.json()["error"] == "query.k: is given twice; it takes one value"
    answer = client.get("/v1/items/s01/similar?profile=city=Ulm&profile=city=Bonn")
    assert answer.status_code == 422
    assert answer.json()["error"] == "profile states 'city' twice; once is enough"
    assert client.get("/v1/onboarding?like=s01&like=s02").status_code == 200
    answer = client.get("/v1/items/s01/similar?k=two")
    assert answer.json()["error"] == "query.k: must be a whole number, got 'two'"
    answer = client.post(
        "/v1/recommendations",
        content='{"wish": "a\\ud800"}',
        headers={"content-type": "application/json"},
    )
    said = "body.wish: must be a text in Unicode, without half a surrogate pair"
    assert answer.json()["error"] == said


@pytest.mark.parametrize("address", ["/v1/users/%C3", "/v1/items?q=%ED%A0%80"])
def test_an_address_that_is_no_utf8_is_refused(client, address):
    """What is not UTF-8 was replaced by one sign, so that all such ids were one user."""
    answer = client.get(address)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("the address is not UTF-8; write its letters in UTF-8")
    assert client.get("/v1/users/%C3%A9").status_code == 404
    assert client.get("/v1/users/%EF%BF%BD").status_code == 404


def test_an_unknown_query_parameter_is_refused_and_those_known_are_named(client):
    answer = client.get("/v1/items?q=a&limit=5")
    assert answer.status_code == 422
    known = "fields, k, offset, q"
    assert answer.json()["error"] == f"query.limit: is not known here; known are {known}"
    for path in ("/v1/status?x=1", "/v1/items/s00?x=1", "/v1/users/ann?x=1", "/v1/models?x=1"):
        assert client.get(path).status_code == 422, path
    assert client.post("/v1/recommendations?k=5", json={}).status_code == 422
    assert client.get("/v1/onboarding?like=s00&like=s01&k=2").status_code == 200
    assert client.get("/healthz?probe=1").status_code == 200


ACTS = [
    {"item_id": "s00", "kind": "like", "timestamp": 10.0},
    {"item_id": "s01", "kind": "purchase", "timestamp": 20.0},
    {"item_id": "g01", "kind": "不感兴趣", "timestamp": 30.0},
    {"item_id": "s02", "kind": "View", "timestamp": 40.0},
    {"item_id": "s01", "kind": "return", "timestamp": 50.0},
    {"item_id": "s03", "kind": "rating", "value": 2.0, "timestamp": 60.0},
    {"item_id": "s04", "kind": "like", "timestamp": 70.0},
    {"item_id": "s04", "kind": "undo", "timestamp": 80.0},
    {"item_id": "g02", "kind": "impression", "timestamp": 90.0},
]


def test_the_same_acts_give_the_same_slate_however_they_come(client, model):
    """Sent along, stored, or given to the recommender in Python: one meaning."""
    loaded = Recommender.load(model)
    history = [(a["item_id"], a.get("value"), a["kind"], a["timestamp"]) for a in ACTS]
    [slate] = loaded.recommend([Request(history=history)], k=8)
    sent = client.post("/v1/recommendations", json={"history": ACTS, "k": 8}).json()
    events = [{"event_id": f"e{n}", "user_id": "zoe", **act} for n, act in enumerate(ACTS)]
    assert client.post("/v1/events", json={"events": events}).status_code in (200, 202)
    stored = client.post("/v1/recommendations", json={"user_id": "zoe", "k": 8}).json()
    for answer in (sent, stored):
        assert [item["item_id"] for item in answer["items"]] == slate.item_ids
        np.testing.assert_allclose(
            [item["score"] for item in answer["items"]], slate.scores, rtol=1e-5
        )
    assert not {"g01", "s01"} & set(slate.item_ids)  # refused, and sent back
    assert "s04" in [i for i in loaded.recommend([Request(history=history)], k=24)[0].item_ids]


def test_a_history_of_item_ids_alone_counts_as_liked(client, model):
    answer = client.post(
        "/v1/recommendations", json={"history": [{"item_id": "s00"}, {"item_id": "s01"}], "k": 6}
    ).json()
    assert {item["item_id"][0] for item in answer["items"]} == {"s"}

"""What a shop asks of the service: stock, feeds, lists for everybody, pages, baskets."""

from __future__ import annotations

import json
import shutil
import time
from functools import partial

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")


from metarec.data.schema import BadInput  # noqa: E402
from served_model import saved_model  # noqa: E402

GONE = "s05"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return shutil.copytree(saved_model(), tmp_path_factory.mktemp("shop") / "model")


@pytest.fixture
def start(model, tmp_path, clients):
    return partial(clients, model=str(model), store=str(tmp_path / "events.db"))


@pytest.fixture
def client(start):
    return start()


def answer(response):
    assert response.status_code == 200, response.text
    return response.json()


def shown(client):
    """Ids that any surface shows to somebody who likes space."""
    liked = ["s00", "s01"]
    body = {"history": liked, "k": 60}
    slates = [
        answer(client.post("/v1/recommendations", json=body)),
        answer(client.post("/v1/recommendations", json={**body, "pin": [GONE]})),
        answer(client.post("/v1/recommendations", json={**body, "explore": 1.0})),
        *answer(client.post("/v1/recommendations/batch", json={"requests": [body]}))["slates"],
        answer(client.get("/v1/items/s00/similar?k=100")),
        answer(client.get("/v1/items/s00/similar?k=100&by=also_viewed")),
        answer(client.get("/v1/items/s00/similar?k=100&by=bought_together")),
        answer(client.get("/v1/onboarding?k=50&like=s00")),
        answer(client.get("/v1/items/popular?k=100")),
        answer(client.get("/v1/items/trending?k=100")),
        answer(client.get("/v1/items/newest?k=100")),
    ]
    return [{item["item_id"] for item in slate["items"]} for slate in slates]


def test_what_cannot_be_had_is_shown_nowhere_until_it_is_back(client):
    events = [{"user_id": "ann", "item_id": GONE, "kind": "like"}]
    answer(client.post("/v1/events", json={"events": events}))
    assert sum(GONE in ids for ids in shown(client)) >= 8
    title = client.get(f"/v1/items/{GONE}").json()["title"]
    put = answer(client.put(f"/v1/items/{GONE}", json={"available": False}))
    assert put["notes"] == []
    assert not any(GONE in ids for ids in shown(client))
    answer(client.patch(f"/v1/items/{GONE}", json={"attributes": {"available": True}}))
    back = answer(client.get(f"/v1/items/{GONE}"))
    assert (back["title"], back["attributes"]["available"]) == (title, True)
    assert sum(GONE in ids for ids in shown(client)) >= 8
    line = json.dumps({"item_id": GONE, "available": "no"})
    headers = {"content-type": "application/x-ndjson"}
    answer(client.put("/v1/items", content=line, headers=headers))
    assert not any(GONE in ids for ids in shown(client))
    why = client.post("/v1/recommendations", json={"pin": [GONE]}).json()["notes"]
    assert any("'available' says no" in note for note in why)


def test_a_deleted_item_is_nowhere_and_may_come_back(client, start):
    answer(client.delete(f"/v1/items/{GONE}"))
    assert not any(GONE in ids for ids in shown(client))
    for method, path in (("GET", ""), ("DELETE", ""), ("PATCH", ""), ("GET", "/similar")):
        body = {"json": {"available": True}} if method == "PATCH" else {}
        response = client.request(method, f"/v1/items/{GONE}{path}", **body)
        assert response.status_code == 404, (method, path)
    assert GONE not in [i["item_id"] for i in client.get("/v1/items?k=100").json()["items"]]
    again = start()  # another worker, on the same store
    assert again.get(f"/v1/items/{GONE}").status_code == 404
    answer(client.put(f"/v1/items/{GONE}", json={"attributes": {"title": "Back"}}))
    assert answer(client.get(f"/v1/items/{GONE}"))["title"] == "Back"
    assert sum(GONE in ids for ids in shown(client)) >= 7


def test_the_service_filters_everywhere_by_its_own_setting(start):
    client = start(filter='title != "Back" and item_id != "s05"')
    assert not any(GONE in ids for ids in shown(client))
    both = {"filter": 'item_id in ("s05", "s06")', "k": 5}
    ids = [i["item_id"] for i in client.post("/v1/recommendations", json=both).json()["items"]]
    assert ids == ["s06"]
    with pytest.raises(BadInput, match="no column 'stock'"):
        start(filter="stock = true")


def test_a_feed_is_stored_whole_or_not_at_all(client):
    rows = [{"item_id": n, "title": f"New rocket {n}"} for n in range(7001, 7041)]
    feed = "\n".join(map(json.dumps, rows))
    headers = {"content-type": "application/x-ndjson"}
    done = answer(client.put("/v1/items", content=feed + "\n", headers=headers))
    assert done["items"] == 40
    assert answer(client.get("/v1/items/7040"))["title"] == "New rocket 7040"
    assert answer(client.get("/v1/items/newest?k=1"))["items"][0]["item_id"] == "7040"
    for bad, says in (
        ('{"item_id": "x"}\n{"title": 3', "line 2 is no JSON"),
        ('{"item_id": "x"}\n{"item_id": "y", "item_id": "z"}', "line 2 states the key 'item_id'"),
        ('{"item_id": "x"}\n{"title": "t"}', "line 2 has no item_id"),
        ('{"item_id": "x"}\n\n{"item_id": ""}', "line 3, item_id"),
        ("\n", "the feed is empty"),
        ("{}\n" * 10_001, "a feed may have 10,000 lines"),
    ):
        response = client.put("/v1/items", content=bad, headers=headers)
        assert response.status_code == 422
        assert says in response.json()["error"]
        assert client.get("/v1/items/x").status_code == 404


def test_pages_follow_each_other(client):
    def page(offset, k):
        body = {"history": ["s00"], "k": k, "offset": offset}
        slate = answer(client.post("/v1/recommendations", json=body))
        return [item["item_id"] for item in slate["items"]]

    assert page(0, 12) == page(0, 5) + page(5, 5) + page(10, 2)
    beyond = {"k": 5, "offset": 5, "explore": 1.0}
    assert client.post("/v1/recommendations", json=beyond).status_code == 422
    whole = [i["item_id"] for i in client.get("/v1/items/popular?k=9").json()["items"]]
    later = [i["item_id"] for i in client.get("/v1/items/popular?k=4&offset=5").json()["items"]]
    assert later == whole[5:9]


def test_a_basket_counts_and_is_not_shown(client):
    def ids(**body):
        items = answer(client.post("/v1/recommendations", json={"k": 8, **body}))["items"]
        return [item["item_id"] for item in items]

    basket = ["s00", "s01", "s02"]
    assert not set(basket) & set(ids(basket=basket))
    assert sum(i.startswith("s") for i in ids(basket=basket)) > sum(
        i.startswith("s") for i in ids(exclude=basket)
    )


def test_batches_answer_as_single_requests_do(client):
    requests = [{"history": ["s00"], "k": 3}, {"history": [{"item_id": "g00"}], "k": 4}, {"k": 2}]
    batch = answer(client.post("/v1/recommendations/batch", json={"requests": requests}))
    single = [answer(client.post("/v1/recommendations", json=one)) for one in requests]
    assert [[i["item_id"] for i in slate["items"]] for slate in batch["slates"]] == [
        [i["item_id"] for i in slate["items"]] for slate in single
    ]
    dear = [{"explore": 1.0, "k": 100}] * 12
    refused = client.post("/v1/recommendations/batch", json={"requests": dear})
    assert refused.status_code == 422


def test_a_batch_of_plain_slates_passes_and_of_long_histories_is_told_how_many_fit(client):
    def batch(one):
        return client.post("/v1/recommendations/batch", json={"requests": [one] * 50})

    assert len(answer(batch({"history": ["s00", "s01"]}))["slates"]) == 50
    long = [f"s{n % 12:02d}" for n in range(400)]
    told = "50 are allowed; send about 3 at once"
    assert told in batch({"history": long}).json()["error"]
    events = [{"user_id": "busy", "item_id": i, "kind": "view"} for i in long]
    assert client.post("/v1/events", json={"events": events}).status_code == 200
    assert told in batch({"user_id": "busy"}).json()["error"]
    three = client.post("/v1/recommendations/batch", json={"requests": [{"history": long}] * 3})
    assert len(answer(three)["slates"]) == 3


def test_trends_are_of_the_last_days_and_of_a_category(client):
    now = time.time()

    def event(n, item, days):
        return {
            "user_id": f"u{n}",
            "item_id": item,
            "kind": "like",
            "timestamp": now - days * 86400,
        }

    events = [event(n, "g07", 1) for n in range(9)] + [event(n, "s07", 10) for n in range(9)]
    answer(client.post("/v1/events", json={"events": events}))
    trending = [i["item_id"] for i in answer(client.get("/v1/items/trending?days=7"))["items"]]
    assert trending == ["g07"]
    popular = answer(client.get("/v1/items/popular?days=14&fields=title"))["items"]
    assert {(i["item_id"], i["number"]) for i in popular} == {("g07", 9.0), ("s07", 9.0)}
    assert all(set(item["attributes"]) == {"title"} for item in popular)


def test_times_ids_and_fields_are_taken_as_shops_have_them(client):
    event = {"user_id": 17, "item_id": "s00", "timestamp": "2024-05-01T12:00:00Z"}
    answer(client.post("/v1/events", json={"events": [event]}))
    kept = answer(client.get("/v1/users/17"))["events"]
    assert kept[0]["timestamp"] == 1714564800.0
    slate = answer(
        client.post("/v1/recommendations", json={"user_id": 17, "fields": ["title"], "k": 2})
    )
    assert [set(item["attributes"]) for item in slate["items"]] == [{"title"}, {"title"}]
    wrong = client.post("/v1/recommendations", json={"fields": ["titel"]})
    assert (wrong.status_code, "did you mean 'title'" in wrong.json()["error"]) == (422, True)
    wrong = client.get("/v1/items?ofset=3")
    assert (wrong.status_code, "did you mean 'offset'" in wrong.json()["error"]) == (422, True)


def test_an_item_id_alone_counts_as_liked(client):
    bare = answer(client.post("/v1/recommendations", json={"history": ["s00", "s01"], "k": 5}))
    said = [{"item_id": i, "kind": "like"} for i in ("s00", "s01")]
    liked = answer(client.post("/v1/recommendations", json={"history": said, "k": 5}))
    assert bare["n_known"] == 2
    assert sum(i["item_id"].startswith("s") for i in bare["items"]) >= 4
    assert sum(i["item_id"].startswith("s") for i in liked["items"]) >= 4

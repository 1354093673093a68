"""The service knows its users: imported events, merged anonymous users."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import closing

import polars as pl
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")

from starlette.testclient import TestClient  # noqa: E402

from metarec.app.cli import main  # noqa: E402
from metarec.app.importing import import_data  # noqa: E402  # after importorskip
from metarec.app.service.application import create_app  # noqa: E402
from metarec.app.service.settings import ServiceSettings  # noqa: E402
from metarec.data.dataset import Dataset  # noqa: E402  # after importorskip
from metarec.data.relations import Relations  # noqa: E402  # after importorskip
from metarec.feedback import open_store  # noqa: E402  # after importorskip
from metarec.feedback.events import StoreUnavailable  # noqa: E402  # after importorskip
from metarec.feedback.retention import remove_old  # noqa: E402  # after importorskip
from served_model import fitted_model, saved_model  # noqa: E402


@pytest.fixture
def model(tmp_path):
    return shutil.copytree(saved_model(), tmp_path / "model")


@pytest.fixture
def run(capsys):
    def running(*words):
        with pytest.raises(SystemExit) as end:
            main([*map(str, words), "--json"])
        said = capsys.readouterr()
        assert end.value.code == 0, said.err
        return json.loads(said.out)

    return running


def served(model):
    app = create_app(ServiceSettings(model=str(model)))
    return TestClient(app, base_url="http://127.0.0.1")


def test_imported_users_are_known_once(model, run, tmp_path):
    frame = fitted_model().training.interactions.frame
    first = run("import", model)
    assert first["events"] == frame.height
    assert first["profiles"] == len(fitted_model().training.users)
    assert run("import", model)["events"] == 0
    more = frame.head(3).select("user_id", "item_id", "timestamp", "value", "kind")
    extra = pl.DataFrame(
        {"user_id": ["fresh"], "item_id": ["s01"], "timestamp": [2e9], "value": [5.0]}
    )
    table = tmp_path / "more.csv"
    pl.concat([more, extra], how="diagonal_relaxed").write_csv(table)
    again = run("import", model, table)
    assert (again["events"], again["known"]) == (1, 3)
    user = frame["user_id"][0]
    with served(model) as client:
        known = client.get(f"/v1/users/{user}").json()
        theirs = frame.filter(pl.col("user_id") == user)
        assert len(known["events"]) == theirs.height
        assert {e["kind"] for e in known["events"]} == set(theirs["kind"])
        slate = client.post("/v1/recommendations", json={"user_id": user}).json()
        history = [
            {"item_id": e["item_id"], "value": e["value"], "kind": e["kind"]}
            for e in known["events"]
        ]
        sent = client.post(
            "/v1/recommendations", json={"history": history, "profile": known["profile"]}
        ).json()
        assert slate["n_known"] == theirs["item_id"].n_unique()
        assert [i["item_id"] for i in slate["items"]] == [i["item_id"] for i in sent["items"]]


def test_an_anonymous_user_becomes_a_customer(model):
    with served(model) as client:
        events = [{"user_id": "v/1", "item_id": i, "kind": "like"} for i in ("s00", "s01")]
        client.post("/v1/events", json={"events": events})
        answer = client.post("/v1/users/v%2F1/merge", json={"into": "ann"})
        assert answer.json() == {
            "user_id": "ann",
            "events": 2,
            "copies": 0,
            "forgotten": 0,
            "slates": 0,
            "friends": 0,
        }
        late = {"user_id": "v/1", "item_id": "s02", "kind": "like"}
        assert client.post("/v1/events", json={"events": [late]}).json()["accepted"] == 1
        for name in ("v%2F1", "ann"):
            kept = client.get(f"/v1/users/{name}").json()
            assert (kept["user_id"], len(kept["events"])) == ("ann", 3)
        asked = client.post("/v1/recommendations", json={"user_id": "v/1"}).json()
        assert asked["n_known"] == 3
        put = client.put("/v1/users/v%2F1", json={"profile": {"home": "north"}}).json()
        assert (put["user_id"], put["slates"]) == ("ann", 1)
        known = client.put("/v1/users/v%2F1/friends", json={"friends": ["bob", "ann"]}).json()
        assert known == {"user_id": "ann", "friends": [{"friend_id": "bob", "weight": 1.0}]}
        same = client.post("/v1/users/ann/merge", json={"into": "ann"})
        assert same.status_code == 422
        assert "cannot be merged into themselves" in same.json()["error"]
        deleted = client.delete("/v1/users/v%2F1").json()["rows_deleted"]
        assert deleted.pop("exposures") == 0
        assert deleted == {"events": 3, "slates": 1, "users": 1, "friends": 1, "merges": 1}
        assert client.get("/v1/users/ann").status_code == 404


def test_ids_in_another_unicode_form_are_kept_apart_and_told(model, run, monkeypatch):
    """`é` as one letter and as two looks the same: answers were empty without a reason."""
    composed, two = "caf\u00e9", "cafe\u0301"
    told = f"item {two!r} is known in another Unicode form alone; send {composed!a}, not {two!a}"
    with served(model) as client:
        added = client.put(f"/v1/items/{composed}", json={"attributes": {"title": "Coffee"}})
        assert added.is_success
        event = {"user_id": composed, "item_id": two, "kind": "like"}
        answer = client.post("/v1/events", json={"events": [event]}).json()
        assert (answer["unknown_items"], answer["notes"]) == (1, [told])
        slate = client.post("/v1/recommendations", json={"user_id": composed}).json()
        assert told in slate["notes"]
        wanted = client.post("/v1/explanations", json={"item_id": two})
        assert (wanted.status_code, wanted.json()["error"]) == (404, told)
        assert client.get(f"/v1/items/{two}").json()["error"] == told
        slate = client.post("/v1/recommendations", json={"user_id": two}).json()
        known = f"the same id in another Unicode form has; send {composed!a}, or merge the two"
        assert any(known in note for note in slate["notes"])
        into = client.post(f"/v1/users/{composed}/merge", json={"into": two}).json()
        assert into["events"] == 1
        slate = client.post("/v1/recommendations", json={"user_id": two}).json()
        assert not any("no events" in note for note in slate["notes"])


def test_the_same_settings_start_everything(model, run, tmp_path, monkeypatch):
    settings = tmp_path / "service.toml"
    store = tmp_path / "elsewhere.db"
    settings.write_text(f'[service]\nmodel = "{model}"\nstore = "{store}"\n')
    assert run("import", "--settings", settings)["events"] > 0
    assert store.is_file()
    monkeypatch.setenv("METAREC_MODEL", str(model))
    monkeypatch.setenv("METAREC_STORE", str(store))
    user = fitted_model().training.interactions.frame["user_id"][0]
    assert run("forget", "--user", user)["rows_deleted"]["events"] > 0
    assert run("import")["events"] == 0


def test_an_import_onto_a_full_disk_says_what_stays(tmp_path, monkeypatch):
    """It said that nothing was stored, after thousands of events had been."""
    monkeypatch.setattr("metarec.app.importing.AT_ONCE", 10)
    data, vocabulary = fitted_model().training_data(), fitted_model().vocabulary
    with closing(open_store(str(tmp_path / "e.db"))) as store:

        def limited(more):
            def limit(connection):
                pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
                connection.exec_driver_sql(f"PRAGMA max_page_count={pages + more}")

            store.call(limit).result(10)

        limited(4)
        told = "disk is full.; what was imported before stays: run it again, which stores nothing"
        with pytest.raises(StoreUnavailable, match=told) as full:
            import_data(store, data, vocabulary)
        assert "nothing of this request" not in str(full.value)
        before = store.counts()["events"]
        assert before > 0
        limited(100_000)
        assert import_data(store, data, vocabulary).events == len(data.interactions) - before


def test_what_has_no_time_is_imported_as_the_oldest_and_said(model, run, tmp_path):
    table = tmp_path / "untimed.csv"
    items = [f"s{n:02d}" for n in range(12)]
    pl.DataFrame({"user_id": ["ann"] * 12, "item_id": items}).write_csv(table)
    store = tmp_path / "events.db"
    for events in (12, 0):
        done = run("import", model, table, "--store", store)
        assert (done["events"], done["untimed"]) == (events, 12)
    with closing(open_store(str(store))) as opened:
        remove_old(opened, events_before=time.time() - 3600.0)
        assert opened.as_frame().height == 12
        remove_old(opened, events_before=time.time() + 3600.0)
        assert opened.as_frame().height == 0


def test_what_has_no_time_beside_others_is_counted_at_import(model, run, tmp_path):
    table = tmp_path / "mixed.csv"
    times = ["", "2024-03-01 10:00:00", "2024-03-02 11:00:00", "", "2024-03-03 12:00:00", ""]
    items = [f"s{n:02d}" for n in range(6)]
    pl.DataFrame({"user_id": ["ann"] * 6, "item_id": items, "timestamp": times}).write_csv(table)
    for events in (6, 0):
        done = run("import", model, table, "--store", tmp_path / "events.db")
        assert (done["events"], done["drawn_times"], done["untimed"]) == (events, 3, 0)


def test_searches_without_a_time_are_left_out_and_counted(tmp_path):
    searches = pl.DataFrame(
        {"user_id": ["ann", "ann"], "query": ["tea", "rope"], "timestamp": [1.7e9, None]}
    )
    data = Dataset(
        interactions=pl.DataFrame({"user_id": ["ann"], "item_id": ["s00"], "timestamp": [1.7e9]}),
        relations=Relations.of(None, searches),
    )
    with closing(open_store(str(tmp_path / "events.db"))) as store:
        done = import_data(store, data, fitted_model().vocabulary)
        assert (done.searches, done.untimed_searches, done.untimed) == (1, 1, 0)
        assert store.as_frame()["timestamp"].to_list() == [1.7e9]  # shared by all events
        assert store.searches()["query"].to_list() == ["tea"]

"""A/B experiments over HTTP: two model versions in one service, by real requests."""

from __future__ import annotations

import logging

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")

from starlette.testclient import TestClient  # noqa: E402

from metarec.app.service.application import create_app  # noqa: E402
from metarec.app.service.settings import ServiceSettings  # noqa: E402
from served_model import save_two_versions  # noqa: E402
from waiting import eventually  # noqa: E402  # once what it needs is there

USERS = [f"user{n}" for n in range(40)]


@pytest.fixture
def model(tmp_path):
    return save_two_versions(tmp_path / "model")


@pytest.fixture
def start(model, tmp_path):
    """Starts a worker on the same models and store; all are stopped at the end."""
    running = []

    def starting(**settings):
        given = {"model": str(model), "store": str(tmp_path / "e.db"), "watch_seconds": 0.05}
        client = TestClient(
            create_app(ServiceSettings(**{**given, **settings})), base_url="http://127.0.0.1"
        )
        client.__enter__()
        running.append(client)
        return client

    yield starting
    for client in running:
        client.__exit__(None, None, None)


@pytest.fixture
def client(start):
    return start()


def versions(client):
    return [one["version"] for one in client.get("/v1/models").json()["models"]]


def plan(client, name="new-model", **more):
    _, second = versions(client)
    arms = [{"name": "control", "share": 0.5}, {"name": "new", "share": 0.5, "model": second}]
    return {"name": name, "arms": arms, **more}


def begin(client, **more):
    answer = client.post("/v1/experiments", json=plan(client, **more))
    assert answer.status_code == 200, answer.text
    return answer.json()


def slate(client, user=None, **more):
    answer = client.post("/v1/recommendations", json={"user_id": user, "k": 3, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def results(client, name="new-model"):
    return client.get(f"/v1/experiments/{name}").json()["results"]


def test_users_get_the_model_of_their_arm_in_every_worker_and_after_a_restart(start):
    here, elsewhere = start(), start()
    first, second = versions(here)
    assert begin(here)["arms"][0]["model"] == first
    shown = {user: slate(here, user) for user in USERS}
    version_of = {"control": first, "new": second}
    assert all(one["model_version"] == version_of[one["arm"]] for one in shown.values())
    arms = {user: one["arm"] for user, one in shown.items()}
    assert set(arms.values()) == {"control", "new"}
    eventually(lambda: slate(elsewhere, USERS[0])["arm"] is not None)
    assert {user: slate(elsewhere, user)["arm"] for user in USERS} == arms
    assert {user: slate(start(), user)["arm"] for user in USERS[:3]}.items() <= arms.items()
    store = here.app.state.service.store
    eventually(lambda: dict(store.slates().select("user_id", "arm").iter_rows()) == arms)
    kept = store.slates()
    assert kept["propensity"].list.min().min() > 0


def test_settings_of_an_arm_hold_where_a_request_does_not_say(client):
    arms = [
        {"name": "control", "share": 0.5},
        {"name": "other", "share": 0.5, "settings": {"explore": 3.0, "filter": "tags = 'space'"}},
    ]
    answer = client.post("/v1/experiments", json={"name": "x", "arms": arms})
    assert answer.status_code == 200, answer.text
    of_arm = {slate(client, user)["arm"]: user for user in USERS}

    def shown(arm, **more):
        items = slate(client, of_arm[arm], k=10, cold_share=0, **more)["items"]
        return [item["propensity"] for item in items], {item["item_id"][0] for item in items}

    chances, kinds = shown("other")
    assert (min(chances) < 1.0, kinds) == (True, {"s"})
    assert shown("other", explore=0)[0] == [1.0] * 10
    chances, kinds = shown("control")
    assert (chances, len(kinds)) == ([1.0] * 10, 2)


def test_anonymous_requests_are_outside_and_counted(client):
    begin(client)
    assert slate(client)["arm"] is None
    assert slate(client, history=["s00"])["arm"] is None
    slate(client, "ann")
    eventually(lambda: results(client)["anonymous"] == 2)
    eventually(lambda: sum(arm["users"] for arm in results(client)["arms"]) == 1)


def test_outcomes_are_counted_by_arm_and_new_users_apart(client):
    for user in USERS[:10]:
        for n in range(6):
            client.post(
                "/v1/events",
                json={"events": [{"user_id": user, "item_id": f"s{n:02}", "kind": "like"}]},
            )
    begin(client, window_hours=0.003)
    shown = {user: slate(client, user) for user in USERS}
    clicked = {user: one for user, one in shown.items() if user in USERS[::2]}
    events = [
        {
            "event_id": user,
            "user_id": user,
            "item_id": one["items"][0]["item_id"],
            "kind": "like",
            "slate_id": one["slate_id"],
        }
        for user, one in clicked.items()
    ]
    assert client.post("/v1/events", json={"events": events}).json()["accepted"] == len(events)
    eventually(lambda: sum(a["users_closed"] for a in results(client)["arms"]) == len(USERS))
    told = results(client)
    for arm in told["arms"]:
        mine = [user for user, one in shown.items() if one["arm"] == arm["name"]]
        assert (arm["users"], arm["slates"]) == (len(mine), len(mine))
        assert arm["clicks"] == len(set(mine) & set(clicked))
        assert arm["new_users"] == len(set(mine) - set(USERS[:10]))
        assert arm["answers"] >= len(mine)
        assert arm["error_share"] == 0.0
        assert arm["p99_ms"] > 0
    groups = {(one["measure"], one["group"]): one["users"] for one in told["comparisons"]}
    assert (groups["clicks", "new"], groups["clicks", "known"]) == (30, 10)


def test_what_does_not_go_is_told_in_one_line(client):
    _, second = versions(client)

    def asked(path, body, status, says):
        answer = client.post(f"/v1/experiments{path}", json=body)
        assert (answer.status_code, says in answer.json()["error"]) == (status, True), answer.text

    wrong = plan(client)
    wrong["arms"][1]["model"] = "nothing"
    asked("", wrong, 422, "arm 'new': no model version 'nothing'; there are: ")
    wrong = plan(client)
    wrong["arms"][1]["share"] = 0.7
    asked("", wrong, 422, "the arms' shares come to 1.2; they may be 1 together")
    wrong = plan(client)
    wrong["arms"][1]["settings"] = {"filter": "color = 'red'"}
    asked("", wrong, 422, "color")
    asked("", {**plan(client), "measure": "luck"}, 422, "measure")
    asked("/none/stop", {}, 404, "there is no experiment 'none'")
    begin(client)
    asked("", plan(client, name="second"), 409, "'new-model' is running; stop it before starting")
    asked("/new-model/promote", {"arm": "other"}, 409, "has no arm 'other'")
    asked("/new-model/roll-back", {}, 409, "'new-model' is not promoted but running")
    assert client.post("/v1/experiments/new-model/stop", json={}).json()["status"] == "stopped"
    asked("/new-model/promote", {"arm": "new"}, 409, "'new-model' is stopped; only what runs")
    asked("/new-model/stop", {}, 409, "'new-model' is not running but stopped")
    asked("", plan(client), 409, "there is an experiment 'new-model' already (stopped)")
    assert slate(client, "ann")["arm"] is None


def test_a_version_that_cannot_serve_starts_nothing(client, model):
    _, second = versions(client)
    weights = model / "versions" / second / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    answer = client.post("/v1/experiments", json=plan(client))
    assert answer.status_code == 409
    assert "cannot serve" in answer.json()["error"]
    assert client.get("/v1/experiments").json()["experiments"] == []


def test_an_experiment_needs_slates_that_are_kept(start):
    client = start(log_slates=False)
    answer = client.post("/v1/experiments", json=plan(client))
    assert (answer.status_code, "log_slates" in answer.json()["error"]) == (409, True)
    client = start(keep_slates_days=1.0)
    answer = client.post("/v1/experiments", json=plan(client, window_hours=48.0))
    assert (answer.status_code, "keep_slates_days" in answer.json()["error"]) == (422, True)


def test_a_promoted_arm_serves_everybody_everywhere_and_can_be_taken_back(start):
    here, elsewhere = start(), start()
    first, second = versions(here)
    body = plan(here)
    body["arms"][1]["settings"] = {"explore": 2.0}
    assert here.post("/v1/experiments", json=body).status_code == 200
    done = here.post(
        "/v1/experiments/new-model/promote", json={"arm": "new", "reason": "more likes"}
    ).json()
    assert (done["status"], done["winner"], done["model_before"]) == ("promoted", "new", first)
    for client in (here, elsewhere):
        eventually(lambda client=client: slate(client, "ann")["model_version"] == second)
        eventually(lambda client=client: settings(client)["explore"] == 2.0)
        assert slate(client, "ann")["arm"] is None
    reason = here.get("/v1/models").json()["promotions"][-1]["reason"]
    assert reason == "experiment new-model, arm new: more likes"
    back = here.post("/v1/experiments/new-model/roll-back", json={"reason": "complaints"})
    assert back.json()["status"] == "rolled back"
    for client in (here, elsewhere):
        eventually(lambda client=client: slate(client, "ann")["model_version"] == first)
        eventually(lambda client=client: settings(client)["explore"] == 0.0)


def settings(client):
    return client.get("/v1/experiments").json()["settings"]


def test_a_control_keeps_its_model_when_another_is_promoted_meanwhile(client):
    first, second = versions(client)
    begin(client)
    client.post(f"/v1/models/{second}/promote", json={})
    eventually(lambda: client.get("/readyz").json()["model_version"] == second)
    shown = [slate(client, user) for user in USERS]
    assert {(one["arm"], one["model_version"]) for one in shown} == {
        ("control", first),
        ("new", second),
    }
    assert slate(client)["model_version"] == second


def test_an_item_added_meanwhile_is_in_every_arm(client):
    begin(client)
    assert client.put(
        "/v1/items/fresh", json={"attributes": {"title": "Fresh", "text": "planet orbit galaxy"}}
    ).is_success
    of_arm = {slate(client, user)["arm"]: user for user in USERS}

    def has_it(user):
        return "fresh" in [item["item_id"] for item in slate(client, user, k=100)["items"]]

    eventually(lambda: has_it(of_arm["control"]) and has_it(of_arm["new"]))


def test_a_guardrail_stops_an_arm_by_itself_and_says_why(client, caplog):
    caplog.set_level(logging.INFO)
    begin(client, guardrails={"max_latency_ratio": 1e-9, "min_slates": 5})
    for user in USERS:
        slate(client, user)

    def state():
        return client.get("/v1/experiments").json()["experiments"][0]

    eventually(lambda: results(client) and state()["status"] == "stopped")
    assert state()["stopped"]["new"].startswith("guardrail: 99 in 100 of its slates take up to")
    eventually(lambda: slate(client, USERS[0])["arm"] is None)
    told = [r for r in caplog.records if r.name == "metarec.audit" and r.msg == "experiment"]
    assert any(getattr(r, "by_itself", False) and r.arm == "new" for r in told)


def test_who_was_forgotten_or_merged_is_so_in_the_experiment(client):
    begin(client)
    for user in USERS:
        slate(client, user)
    arms = {user: slate(client, user)["arm"] for user in USERS[:10]}
    users = lambda: sum(arm["users"] for arm in results(client)["arms"])  # noqa: E731
    eventually(lambda: users() == len(USERS))
    kept = client.get(f"/v1/users/{USERS[0]}").json()
    assert kept["experiments"] == {"new-model": arms[USERS[0]]}
    client.delete(f"/v1/users/{USERS[0]}")
    eventually(lambda: users() == len(USERS) - 1)
    visitor = next(user for user in USERS[1:10] if arms[user] == "control")
    customer = next(user for user in USERS[1:10] if arms[user] == "new")
    assert client.post(f"/v1/users/{visitor}/merge", json={"into": customer}).is_success
    assert slate(client, visitor)["arm"] == "new"
    eventually(lambda: results(client)["crossed"] == 1)


def test_an_explanation_is_of_the_model_that_the_user_sees(client):
    begin(client)
    of_arm = {slate(client, user)["arm"]: user for user in USERS}
    told = {
        arm: client.post("/v1/explanations", json={"user_id": user, "item_id": "s00"}).json()
        for arm, user in of_arm.items()
    }
    assert told["control"] != told["new"]


def test_only_operators_start_and_stop(start):
    keys = {"reader-key-of-16-chars": "read", "writer-key-of-16-chars": "write"}
    client = start(keys=keys)
    for key in keys:
        client.headers["x-api-key"] = key
        assert client.get("/v1/experiments").status_code == 200
        for path in ("", "/x/stop", "/x/promote", "/x/roll-back"):
            assert client.post(f"/v1/experiments{path}", json={"arm": "a"}).status_code == 403

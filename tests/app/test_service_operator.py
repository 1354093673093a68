"""What an operator is told: alerts by the marks of the settings, jobs, and the items' stock and
exposure.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
import warnings
from contextlib import closing
from functools import partial

import polars as pl
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")


from metarec.app.importing import import_data  # noqa: E402
from metarec.app.jobs import BATCH, IMPORT, KEPT, RETRAINING, jobs_of, recorded  # noqa: E402
from metarec.app.reports import DATA, keep_report  # noqa: E402
from metarec.app.service.monitoring import monitor  # noqa: E402
from metarec.app.service.monitoring.alerts import Alerts, slow_end  # noqa: E402
from metarec.app.service.monitoring.metrics import Counted, Metrics  # noqa: E402
from metarec.app.service.scoring.live_model import LiveModel  # noqa: E402
from metarec.app.service.settings import ServiceSettings, without_password  # noqa: E402
from metarec.data.cleaning import clean  # noqa: E402
from metarec.data.dataset import Dataset  # noqa: E402
from metarec.data.errors import BadInput, DataWarning, NothingToDo  # noqa: E402
from metarec.feedback import open_store  # noqa: E402
from metarec.feedback.events import Event  # noqa: E402
from metarec.feedback.registry import Registry  # noqa: E402
from metarec.recommender import Recommender  # noqa: E402
from served_model import saved_model  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(saved_model(), tmp_path / "model")


@pytest.fixture
def start(folder, tmp_path, monkeypatch, clients):
    monkeypatch.setattr(monitor, "EVERY_SECONDS", 0.0)  # each look is a new one
    monkeypatch.setattr(monitor, "MAX_TIME", 1e9)
    return partial(clients, model=str(folder), store=str(tmp_path / "events.db"))


def answer(response):
    assert response.status_code == 200, response.text
    return response.json()


def looked(client):
    return answer(client.get("/v1/status"))


def raised(client):
    return {alert["name"]: alert for alert in looked(client)["alerts"]}


# alerts


def test_nothing_is_raised_where_all_is_well(start):
    client = start()
    assert raised(client) == {}
    assert 'metarec_alert{alert="errors"} 0.0' in client.get("/metrics").text


def test_an_old_model_is_told_with_its_mark_and_since_when(start, folder):
    month_ago = time.time() - 31 * 86_400
    for file in folder.glob("*.safetensors"):
        os.utime(file, (month_ago, month_ago))
    client = start(alert_model_days=30.0)
    alert = raised(client)["old_model"]
    assert alert["sentence"] == "the serving model was made 31 days ago (mark 30)"
    assert alert["value"] == pytest.approx(31.0, abs=0.1)
    assert alert["mark"] == 30.0
    assert raised(client)["old_model"]["since"] == alert["since"] <= time.time()
    assert 'metarec_alert{alert="old_model"} 1.0' in client.get("/metrics").text
    spoken = client.get("/v1/status", headers={"accept-language": "zh"}).json()["alerts"]
    assert spoken[0]["sentence"] == "正在服务的模型是 31 天前生成的（界限 30）"


def test_a_mark_of_zero_raises_nothing(start, folder):
    for file in folder.glob("*.safetensors"):
        os.utime(file, (0.0, 0.0))
    assert raised(start(alert_model_days=0.0)) == {}


def test_a_share_of_failed_answers_is_told(folder, tmp_path):
    settings = ServiceSettings(model=str(folder), alert_errors=0.05)
    metrics = Metrics()
    with closing(open_store(str(tmp_path / "events.db"))) as store:
        alerts = Alerts(settings, store, LiveModel(Registry(folder), store), metrics)
        for number in range(200):
            metrics.answered("/v1/events", 503 if number % 10 == 0 else 200, 0.001)
            metrics.answered("/readyz", 503, 0.001)  # says "not yet", as it is there to
        [alert] = alerts.look(None, time.time())
    assert (alert.name, alert.value) == ("errors", pytest.approx(0.1))
    said = "10.0% of the answers of the last 10 minutes failed (mark 5.0%)"
    assert alert.sentence == said


def test_slates_slower_than_the_mark_are_told_where_it_is_the_edge_of_a_bucket(folder, tmp_path):
    """Of 200 slates 3 took longer than a quarter of a second, the mark of the defaults."""
    settings = ServiceSettings(model=str(folder))
    metrics = Metrics()
    with closing(open_store(str(tmp_path / "events.db"))) as store:
        alerts = Alerts(settings, store, LiveModel(Registry(folder), store), metrics)
        for number in range(200):
            metrics.answered("/v1/recommendations", 200, 0.3 if number < 3 else 0.2)
        [alert] = alerts.look(None, time.time())
    assert (alert.name, alert.value, alert.mark) == ("slow_slates", 0.25, 0.25)
    assert alert.sentence == (
        "one in a hundred slates of the last 10 minutes took 0.25 seconds or more (mark 0.25)"
    )


def test_the_slow_end_is_read_from_the_buckets():
    inf = float("inf")
    before = Counted(slates_within={0.1: 500, 0.5: 500, inf: 500})
    now = Counted(slates_within={0.1: 650, 0.5: 698, inf: 700})
    assert slow_end(before, now) == 0.1  # 150 of 200 within .1, 198 within .5
    assert slow_end(Counted(), Counted(slates_within={0.1: 50, inf: 99})) == 0.0  # too few
    now = Counted(slates_within={0.1: 650, 0.5: 690, inf: 700})
    assert slow_end(before, now) == 0.5


def test_events_that_ceased_are_told_and_a_new_service_is_left_in_peace(start):
    client = start(alert_quiet_hours=24.0)
    assert raised(client) == {}
    old = {"user_id": "ann", "item_id": "s01", "kind": "like"}
    two_days = time.time() - 2 * 86_400
    answer(client.post("/v1/events", json={"events": [{**old, "timestamp": two_days}]}))
    assert raised(client)["no_events"]["sentence"] == "no event came in the last 24 hours"
    answer(client.post("/v1/events", json={"events": [old]}))
    assert raised(client) == {}


def test_an_import_is_events_that_came_however_old_they_are(folder, tmp_path):
    """A store filled minutes ago alerted at once, for its events were of last year."""
    now, hour = time.time(), 3_600.0
    data = Recommender.load(folder).training_data()
    with closing(open_store(str(tmp_path / "events.db"))) as store:
        import_data(store, data, Recommender.load(folder).vocabulary)
        alerts = Alerts(
            ServiceSettings(model=str(folder)),
            store,
            LiveModel(Registry(folder), store),
            Metrics(),
        )
        assert alerts.look(None, now + 60.0) == []
        assert [one.name for one in alerts.look(None, now + 25 * hour)] == ["no_events"]
        import_data(store, data, Recommender.load(folder).vocabulary)  # nothing new came
        assert [one.name for one in alerts.look(None, now + 25 * hour)] == ["no_events"]


def test_an_event_of_a_clock_that_was_ahead_hides_no_silence(folder, tmp_path):
    """One event of the year 2100 kept the alert away until then."""
    now, year = time.time(), 365 * 86_400.0
    events = [
        Event(event_id=str(n), user_id="ann", item_id="s01", timestamp=at)
        for n, at in enumerate((now - 2 * 86_400.0, now + 70 * year))
    ]
    with closing(open_store(str(tmp_path / "events.db"))) as store:
        store.append(events).result()
        alerts = Alerts(
            ServiceSettings(model=str(folder)),
            store,
            LiveModel(Registry(folder), store),
            Metrics(),
        )
        assert [one.name for one in alerts.look(None, now)] == ["no_events"]


def test_drift_is_told_beyond_the_marks_of_the_settings_and_advises(start):
    likes = [{"user_id": f"new-{n}", "item_id": "s01", "kind": "like"} for n in range(400)]
    client = start(alert_psi=0.5, alert_cold_items=0.2)
    answer(client.post("/v1/events", json={"events": likes}))
    status = looked(client)
    assert status["drift_marks"]["popularity_psi"] == 0.5
    alert = {one["name"]: one for one in status["alerts"]}["popularity_psi"]
    assert alert["value"] == pytest.approx(status["drift"]["popularity_psi"])
    assert alert["sentence"] in status["retraining_advised"]
    assert "popularity_psi" not in raised(start(alert_psi=1_000.0))


@pytest.mark.parametrize("name", ["alert_errors", "alert_model_days", "alert_psi"])
def test_a_mark_below_zero_is_refused(name):
    with pytest.raises(BadInput, match=f"{name} must be 0 or more, got -1"):
        ServiceSettings(model="m", **{name: -1.0})


# jobs


def test_a_job_tells_its_stage_its_log_and_how_it_ended(tmp_path):
    logger = logging.getLogger("metarec.retrain")
    logging.getLogger("metarec").setLevel(logging.INFO)
    with recorded(tmp_path, RETRAINING) as job:
        [now] = jobs_of(tmp_path)
        assert (now.state, now.kind, now.ended) == ("running", "retraining", None)
        job("training", 0.25)
        logger.info("events read", extra={"new": 12})
        job.outcome = "abc promoted"
    [now] = jobs_of(tmp_path)
    assert (now.state, now.outcome, now.done) == ("done", "abc promoted", 1.0)
    assert now.stage == "training"
    assert [line.split(" ", 1)[1] for line in now.lines] == ["training", "events read new=12"]
    assert now.ended >= now.started
    assert not list((tmp_path / "jobs").glob("*.lock"))


def test_how_a_job_failed_is_told_and_a_refusal_is_none(tmp_path):
    with pytest.raises(NothingToDo), recorded(tmp_path, IMPORT):
        raise NothingToDo("nothing new")
    with pytest.raises(BadInput), recorded(tmp_path, RETRAINING):
        raise BadInput("nowhere does not exist")
    with pytest.raises(OSError, match="disk"), recorded(tmp_path, RETRAINING):
        raise OSError("the disk\nis full")
    with pytest.raises(KeyboardInterrupt), recorded(tmp_path, RETRAINING):
        raise KeyboardInterrupt
    told = [(job.state, job.outcome) for job in jobs_of(tmp_path)]
    assert told == [
        ("failed", "KeyboardInterrupt"),
        ("failed", "the disk is full"),
        ("failed", "nowhere does not exist"),
        ("skipped", "nothing new"),
    ]


def test_a_job_whose_process_has_gone_is_lost_and_files_that_are_none_are_passed_over(tmp_path):
    facts = {"kind": "import", "state": "running", "started": 1.0, "lines": []}
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "1.json").write_text(json.dumps(facts))
    (tmp_path / "jobs" / "1.lock").write_text("")
    (tmp_path / "jobs" / "2.json").write_text('{"kind": "imp')
    (tmp_path / "jobs" / "3.json").write_text('{"kind": "import", "lines": 3}')
    [job] = jobs_of(tmp_path)
    assert (job.job_id, job.state) == ("1", "lost")


def test_a_report_kept_with_a_model_names_no_kind_of_few_users(tmp_path):
    """A kind that one user alone did stayed in the report after that user was forgotten."""
    rows = [(f"u{n}", f"i{n % 4}", kind) for n in range(6) for kind in ("view", "buy")]
    rows += [(f"u{n}", "i1", "puchase") for n in range(4)] + [("u9", "i0", "kiss_of_ann")]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "kind"], orient="row")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # the two kinds are not known
        report = clean(Dataset(interactions=frame))[1]
    found = [{"rule": "kinds", "why": f"kind {kind!r} is not known"} for kind in ("puchase", "buy")]
    content = report.to_dict() | {"findings": found}
    kept = keep_report(tmp_path, DATA, content, by="metarec fit").read_text("utf-8")
    assert "kiss_of_ann" not in kept and "puchase" not in kept
    told = json.loads(kept)
    assert told["findings"] == found[1:]
    assert told["facts"]["kinds"] == {"buy": 6, "view": 6}
    assert [use["users"] for use in told["facts"]["kind_use"]] == [6, 6]
    [kinds] = [line["sentence"] for line in told["in_words"] if line["about"] == "kinds"]
    assert kinds == "buy 6, view 6"


def test_only_the_latest_jobs_stay(tmp_path):
    for _ in range(KEPT + 3):
        with recorded(tmp_path, IMPORT):
            pass
    assert len(list((tmp_path / "jobs").iterdir())) == KEPT


def test_a_retraining_is_started_over_http_and_told(start, folder):
    client = start()
    assert answer(client.get("/v1/jobs")) == {"jobs": []}
    assert answer(client.post("/v1/jobs", json={"kind": "retraining"})) == {"kind": "retraining"}
    again = client.post("/v1/jobs", json={"kind": "retraining"})
    assert again.status_code == 409
    assert "a retraining runs already" in again.text
    until = time.monotonic() + 120
    while not (jobs := answer(client.get("/v1/jobs"))["jobs"]) or jobs[0]["state"] == "running":
        assert time.monotonic() < until
        time.sleep(0.1)
    assert jobs[0]["state"] == "skipped"  # nobody did anything yet
    assert "the store holds no events to learn from" in jobs[0]["outcome"]
    assert client.post("/v1/jobs", json={"kind": "cleaning"}).status_code == 422
    [spoken] = client.get("/v1/jobs", headers={"accept-language": "zh"}).json()["jobs"]
    said = "事件存储中没有可供学习的事件；"
    assert spoken["outcome"] == f"{said}请先提供服务，或检查事件存储的地址"
    assert raised(client) == {}


def test_a_failed_retraining_is_an_alert_until_one_ends_well(start, folder):
    with pytest.raises(OSError, match="full"), recorded(folder, RETRAINING):
        raise OSError("the disk is full")
    client = start()
    said = raised(client)["retraining_failed"]["sentence"]
    assert said == "the last retraining did not end well: the disk is full"
    with recorded(folder, RETRAINING):
        pass
    assert raised(client) == {}


def test_a_reader_may_look_at_jobs_and_not_start_them(start):
    client = start(keys={"r" * 20: "read", "a" * 20: "admin"})
    key = {"authorization": f"Bearer {'r' * 20}"}
    assert client.get("/v1/jobs", headers=key).status_code == 200
    assert client.post("/v1/jobs", headers=key).status_code == 403
    assert client.get("/v1/item-statistics", headers=key).status_code == 200
    assert client.get("/v1/item-statistics").status_code == 401


def test_an_id_that_stands_in_the_log_of_a_job_is_told_when_its_user_is_forgotten(start, folder):
    with pytest.raises(BadInput), recorded(folder, IMPORT):
        raise BadInput("user 'ann' has no age")
    client = start()
    event = {"user_id": "ann", "item_id": "s01", "kind": "like"}
    answer(client.post("/v1/events", json={"events": [event]}))
    places = answer(client.delete("/v1/users/ann"))["places"]
    kept = {place["place"]: place["still_holds"] for place in places}
    assert "the text of the id, in " in kept["reports kept with models"]


def test_work_goes_on_untold_where_its_folder_cannot_be_written(tmp_path):
    (tmp_path / "jobs").write_text("in the way")
    with recorded(tmp_path, BATCH) as job:
        job("slates", 0.5)
    assert jobs_of(tmp_path) == []


# settings


def test_settings_in_effect_are_told_without_keys_and_passwords(start, tmp_path):
    client = start(keys={"r" * 20: "read", "a" * 20: "admin"}, cold_share=0.0)
    key = {"authorization": f"Bearer {'a' * 20}"}
    answered = client.get("/v1/settings", headers=key)
    told = {one["name"]: one for one in answer(answered)["settings"]}
    assert told["keys"]["value"] == {"read": 1, "admin": 1}
    assert told["cold_share"] == {"name": "cold_share", "value": 0.0, "is_default": False}
    assert told["port"] == {"name": "port", "value": 8000, "is_default": True}
    assert told["store"]["value"] == str(tmp_path / "events.db")
    assert "r" * 20 not in answered.text
    assert "a" * 20 not in answered.text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        (
            "postgresql://me:p@ss:w@host:5432/db?schema=x",
            "postgresql://me:***@host:5432/db?schema=x",
        ),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://host/db?password=x&schema=y", "postgresql://host/db?password=***&schema=y"),
        ("/data/a:b@c/events.db", "/data/a:b@c/events.db"),
    ],
)
def test_an_address_is_shown_without_its_password(url, shown):
    assert without_password(url) == shown


# items


def statistics(client, **asked):
    return answer(client.get("/v1/item-statistics", params=asked))


def test_items_are_counted_where_they_were_shown_and_taken(start):
    client = start(cold_share=0.0)
    empty = statistics(client)
    assert (empty["slates"], empty["items_shown"], empty["since"]) == (0, 0, None)
    slates = [
        answer(client.post("/v1/recommendations", json={"user_id": f"u{n}", "k": 5}))
        for n in range(3)
    ]
    ids = [[item["item_id"] for item in slate["items"]] for slate in slates]
    taken = {"user_id": "u0", "item_id": ids[0][1], "kind": "like", "value": 5}
    taken["slate_id"] = slates[0]["slate_id"]
    answer(client.post("/v1/events", json={"events": [taken]}))
    told = statistics(client, order="conversions", k=100)
    assert statistics(client, order="taken", k=100) == told  # its former name
    assert told["slates"] == 3
    assert told["items_shown"] == len({one for slate in ids for one in slate})
    by_id = {item["item_id"]: item for item in told["items"]}
    for item_id, item in by_id.items():
        assert item["shown"] == sum(item_id in slate for slate in ids)
    assert told["items"][0]["item_id"] == ids[0][1]
    assert told["items"][0]["conversions"] == 1
    assert sum(item["conversions"] for item in told["items"]) == 1
    unshown = statistics(client, only="unshown", k=100)
    assert unshown["matching"] == told["matching"] - told["items_shown"]


def test_items_that_were_deleted_are_no_share_of_the_catalog(start, folder):
    client = start(cold_share=0.0)
    shown = answer(client.post("/v1/recommendations", json={"user_id": "u0", "k": 5}))
    answer(client.delete(f"/v1/items/{shown['items'][0]['item_id']}"))
    assert statistics(client)["items_shown"] == 4
    told = {place: answer(client.get(place))["items"] for place in ("/v1/status", "/readyz")}
    assert set(told.values()) == {len(Recommender.load(folder).catalog) - 1}


def test_training_events_that_were_imported_count_once(start, folder, tmp_path):
    model = Recommender.load(folder)
    with closing(open_store(str(tmp_path / "events.db"))) as store:
        import_data(store, model.training_data(), model.vocabulary)
    client = start()
    events = model.training.interactions
    assert events.has_time
    liked = events.frame.filter(events.acts()["sign"] > 0)["item_id"].value_counts()
    told = answer(client.get("/v1/items/popular", params={"k": 100}))["items"]
    assert {one["item_id"]: one["number"] for one in told} == dict(liked.iter_rows())
    assert looked(client)["drift"] is None


def test_no_share_is_told_of_new_users_where_none_were_shown_a_slate(start):
    client = start()
    items = [item["item_id"] for item in statistics(client, k=6)["items"]]
    acts = [{"user_id": "old", "item_id": item, "kind": "like", "value": 5} for item in items]
    answer(client.post("/v1/events", json={"events": acts}))
    assert answer(client.post("/v1/recommendations", json={"user_id": "old"}))["n_known"] == 6
    outcomes = looked(client)["outcomes"]
    assert outcomes == {"slates": 1.0, "slates_measured": 1.0, "liked_share": 0.0}


def test_items_are_found_by_stock_newness_and_words(start):
    client = start(filter="")
    title = client.get("/v1/items/s05").json()["title"]
    answer(client.put("/v1/items/fresh", json={"attributes": {"title": "A brand new thing"}}))
    answer(client.patch("/v1/items/s05", json={"attributes": {"available": False}}))
    gone = statistics(client, only="unavailable")
    assert [item["item_id"] for item in gone["items"]] == ["s05"]
    assert gone["unavailable"] == gone["matching"] == 1
    cold = statistics(client, only="cold", order="newest")
    assert cold["items"][0]["item_id"] == "fresh"
    assert cold["items"][0]["training_events"] == 0
    assert cold["matching"] == cold["cold"]
    assert statistics(client, q=title)["items"][0]["item_id"] == "s05"
    assert statistics(client, q="s05")["items"][0]["title"] == title
    assert statistics(client, q="BRAND thing")["items"][0]["item_id"] == "fresh"
    whole = statistics(client, k=100)
    assert whole["matching"] == whole["catalog"]
    first, rest = statistics(client, k=3), statistics(client, k=100, offset=3)
    assert [*first["items"], *rest["items"]] == whole["items"]
    answer(client.delete("/v1/items/fresh"))
    assert statistics(client, q="fresh")["items"] == []
    assert statistics(client)["catalog"] == whole["catalog"] - 1
    assert client.get("/v1/item-statistics?only=odd").status_code == 422


def test_items_that_the_services_own_filter_leaves_out_are_told(start):
    client = start(filter="title != 'no such title'")
    assert statistics(client, only="filtered")["matching"] == 0

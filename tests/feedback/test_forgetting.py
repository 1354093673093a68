from __future__ import annotations

import json
import random
import resource
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import polars as pl
import pytest
import sqlalchemy as sa

from metarec.feedback import erasing, open_store
from metarec.feedback.erasing import erase_server, waiting_for_erasure
from metarec.feedback.events import Event, Impression, StoreUnavailable
from metarec.feedback.forgetting import (
    _dig,
    _in_models,
    erase,
    forget,
    mark_left_model,
    user_digest,
    waiting_in_model,
    without_forgotten,
)
from metarec.feedback.forgotten_rows import clean_folder, remove_leftovers, remove_user
from metarec.feedback.registry import Registry
from metarec.feedback.store.tombstones import all_asked
from metarec.recommendation.fitting.steps import steps_folder
from metarec.runtime.artifacts import Artifact, read_artifact, write_artifact
from waiting import eventually


def forgotten_digests(store):
    """Digests of everyone who asked to be forgotten."""
    with store.reading() as connection:
        return set(all_asked(connection))


def fill(store, users, events=2_000):
    rng = random.Random(0)
    futures = []
    for n in range(events):
        user = rng.choice(users)
        futures.append(
            store.append(
                [
                    Event(
                        event_id=f"{rng.getrandbits(64):x}",
                        user_id=user,
                        item_id=f"i{n % 50}",
                        timestamp=rng.random() * 1e6,
                        context={"who": user + "x" * 200},
                    )
                ]
            )
        )
        if n % 50 == 0:
            futures[-1].result()
    for user in users:
        futures.append(
            store.show(
                [
                    Impression(
                        slate_id=f"s-{user}",
                        user_id=user,
                        item_ids=["a"],
                        scores=[1.0],
                        propensity=[1.0],
                        model_version="v",
                        timestamp=1.0,
                        n_support=0,
                    )
                ]
            )
        )
        futures.append(store.put_profile(user, {"age": 3}))
    for future in futures:
        future.result()


def test_a_forgotten_user_leaves_rows_of_others_alone(store):
    fill(store, ["ann", "bob"], events=20)
    of_ann = len(store.events_of("ann"))
    receipt = forget(store, "ann")
    assert receipt.rows_deleted == {
        "events": of_ann,
        "slates": 1,
        "users": 1,
        "friends": 0,
        "exposures": 0,
    }
    assert receipt.bytes_erased == store.is_sqlite  # a server is rewritten at night, not now
    assert store.events_of("ann") == []
    assert store.profile_of("ann") == {}
    assert len(store.events_of("bob")) == 20 - of_ann
    assert store.slates()["user_id"].to_list() == ["bob"]


def test_nothing_of_the_user_is_left_in_the_bytes(tmp_path):
    store = open_store(str(tmp_path / "e.db"))
    users = [f"user-{n:03d}-secret" for n in range(20)]
    fill(store, users)
    for place, user in enumerate(users):
        assert user.encode() in b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert forget(store, user).bytes_erased
        held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert (
            user.encode() not in held
        )  # overwriting deleted rows is not enough: it misses copies in pages that were split
        assert place == 19 or users[-1].encode() in held
    store.close()


def test_only_a_keyed_digest_stays(store):
    fill(store, ["ann"], events=4)
    forget(store, "ann")
    assert forgotten_digests(store) == {user_digest(store, "ann")}
    old = pl.DataFrame({"user_id": ["ann", "bob", "ann"], "item_id": ["a", "b", "c"]})
    assert without_forgotten(store, old).rows() == [("bob", "b")]


def now_of(name, user="ann", at=None):
    return Event(
        event_id=name, user_id=user, item_id="a", timestamp=time.time() if at is None else at
    )


def test_a_forgotten_user_who_comes_back_starts_anew(store):
    fill(store, ["ann"], events=4)
    forget(store, "ann")
    assert store.append([now_of("new")]).result().accepted == 1
    store.put_profile("ann", {"age": 4}).result()
    assert [e.event_id for e in store.events_of("ann")] == ["new"]
    assert store.profile_of("ann") == {"age": 4}


def test_what_is_older_than_the_wish_is_never_stored_again(store):
    """As when a log is sent again."""
    before = time.time()
    receipt = forget(store, "ann")
    done = store.append([now_of("old", at=1.0), now_of("at", at=receipt.timestamp)]).result()
    assert (done.accepted, done.duplicates, done.forgotten) == (0, 0, 2)
    mixed = [now_of("b", user="bob", at=1.0), now_of("c", at=before), now_of("d")]
    done = store.append(mixed).result()
    assert (done.accepted, done.duplicates, done.forgotten) == (2, 0, 1)
    assert [e.event_id for e in store.events_of("ann")] == ["d"]


def shown_to(user, name, at):
    return Impression(
        slate_id=name,
        user_id=user,
        item_ids=["a"],
        scores=[1.0],
        propensity=[1.0],
        model_version="v",
        timestamp=at,
        n_support=0,
    )


def test_writes_under_way_do_not_outlive_the_receipt(store, store_url):
    """Twenty races: several threads and another process's writer send while the user is
    forgotten.
    """
    other = open_store(store_url)
    for race in range(20):
        user, stop = f"user{race}", threading.Event()
        waiting: list = []

        def send(into, number, user=user, stop=stop, waiting=waiting):
            n, at = 0, time.time()
            while not stop.is_set():  # `at` is read before, or it could lie after the receipt
                n, name = n + 1, f"{user}-{number}-{n}"
                waiting.append(into.append([now_of(name, user, at)]))
                waiting.append(into.show([shown_to(user, name, at)]))
                waiting.append(into.put_profile(user, {"n": n}))
                time.sleep(0.0005)
                at = time.time()

        threads = [
            threading.Thread(target=send, args=(into, number))
            for number, into in enumerate((store, store, other))
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.02)
        stop.set()  # nothing is handed over after this, but much is under way
        forget(store, user)
        for thread in threads:
            thread.join()
        for write in waiting:
            write.result()
        assert store.events_of(user) == []
        assert store.slates_of(user) == 0
        assert store.profile_of(user) == {}
    other.close()


def test_a_batch_queued_before_the_wish_is_dropped_behind_it(store):
    hold, held = threading.Event(), threading.Event()
    store.call(lambda _: (held.set(), hold.wait(120)))
    held.wait(120)
    early = store.append([now_of("early", at=time.time() + 100.0)])
    with ThreadPoolExecutor() as pool:
        queued = store.waiting
        forgetting = pool.submit(forget, store, "ann")
        eventually(lambda: store.waiting > queued)
        late = store.append([now_of("late")])
        hold.set()
        assert early.result().accepted == 1  # written before the rows were deleted
        forgetting.result()
        assert late.result().forgotten == 1
    assert store.events_of("ann") == []


def test_old_data_keep_what_came_after_the_wish(store):
    receipt = forget(store, "ann")
    times = [1.0, receipt.timestamp, receipt.timestamp + 1e-3, receipt.timestamp + 1e9]
    old = pl.DataFrame({"user_id": ["ann"] * 4 + ["bob"], "timestamp": [*times, 1.0]})
    kept = without_forgotten(store, old)
    assert kept["timestamp"].to_list() == [times[2], 1.0]  # a time to come was not lived since


def test_an_event_by_a_clock_ahead_of_ours_is_forgotten_with_the_rest(store):
    ahead = [time.time() + seconds for seconds in (200.0, 1e9)]
    for user, at in zip(["ann", "bob"], ahead, strict=True):
        event = Event(event_id="e", user_id=user, item_id="i", kind="like", timestamp=at)
        store.append([event]).result()
    assert forget(store, "ann").timestamp == ahead[0]
    assert forget(store, "bob").timestamp < time.time() + 100_000  # may come back tomorrow


def test_the_model_is_marked_once_it_no_longer_holds_them(store):
    receipt = forget(store, "ann")
    assert waiting_in_model(store) == 1
    assert mark_left_model(store, asked_before=receipt.timestamp - 1) == 0
    assert mark_left_model(store, asked_before=receipt.timestamp + 1) == 1
    assert waiting_in_model(store) == 0


def test_nothing_waits_for_a_retraining_where_no_model_learned_from_the_user(store, models):
    receipt = forget(store, "nobody", models=models)
    assert receipt.in_model == "nothing: no model that is kept learned from this user"
    assert waiting_in_model(store) == 0
    assert all(one.place != "services that run" for one in receipt.places)

    first = forget(store, "ann-secret", models=models)
    again = forget(store, "ann-secret", models=models)  # its rows are gone, its numbers are not
    assert first.in_model == again.in_model != receipt.in_model
    assert waiting_in_model(store) == 2


def test_a_user_is_forgotten_where_nobody_can_tell_whether_a_retraining_runs(store, models):
    (models.folder / "retrain.lock").mkdir()
    assert forget(store, "ann-secret", models=models).in_model.startswith("queued")


def test_erasing_waits_for_readers_and_says_when_it_could_not(tmp_path):
    store = open_store(str(tmp_path / "e.db"))
    fill(store, ["ann", "bob"], events=20)
    with store.reading() as reader:
        reader.exec_driver_sql("BEGIN")
        reader.execute(
            sa.text("SELECT count(*) FROM events")
        ).scalar()  # holds the old pages in view
        assert erase(store, patience=0.0) is False
        reader.exec_driver_sql("COMMIT")
    assert erase(store) is True
    store.close()


EVENTS = pl.DataFrame(
    {
        "user_id": ["ann-secret", "bob", "ann-secret"],
        "item_id": ["a", "b", "c"],
        "timestamp": [1.0, 2.0, 3.0],
    }
)
USERS = pl.DataFrame({"user_id": ["ann-secret", "bob"], "age": [3, 4]})


def save_version(place, version):
    tables = {"interactions": EVENTS, "users": USERS, "items": pl.DataFrame({"item_id": ["a"]})}
    return write_artifact(place, Artifact(config={"version": version}, tables=tables))


@pytest.fixture
def models(tmp_path):
    registry = Registry(save_version(tmp_path / "model", "first"))
    for version in ("second", "third"):
        save_version(registry.place_of(version), version)
    registry.promote("second", "better")
    return registry


def held_in(folder):
    tables = [pl.read_parquet(path) for path in folder.rglob("*.parquet")]
    bytes_of = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return b"".join([*bytes_of, *(str(table.rows()).encode() for table in tables)])


def test_every_model_version_is_rewritten_without_the_user(store, models, tmp_path):
    dead = models.folder / "versions" / ".fourth.draft-x"
    shutil.copytree(models.folder / "versions" / "third", dead)
    assert b"ann-secret" in held_in(tmp_path)
    receipt = forget(store, "ann-secret", models=models)
    removed = {one.place: one.removed for one in receipt.places if "model version" in one.place}
    assert removed == {
        f"model version {version}, training tables": 3 for version in ("first", "second", "third")
    }
    assert b"ann-secret" not in held_in(models.folder)
    for entry in models.entries():
        assert entry.problem is None
        assert read_artifact(entry.folder).tables["interactions"]["user_id"].to_list() == ["bob"]
    again = forget(store, "ann-secret", models=models)
    assert not any(one.removed for one in again.places)


def test_a_version_that_cannot_be_rewritten_goes_or_is_told(store, models):
    for version in ("first", "third"):
        [table] = models.place_of(version).glob("interactions*.parquet")
        table.write_bytes(table.read_bytes()[:-9])
    receipt = forget(store, "ann-secret", models=models)
    told = {one.place: one.still_holds for one in receipt.places if "model version" in one.place}
    assert set(told) == {f"model version {v}, training tables" for v in ("first", "second")}
    assert "cut short" in told["model version first, training tables"]
    assert told["model version second, training tables"] == ""
    assert not models.place_of("third").exists()


def test_the_receipt_names_what_still_holds_the_user(store, models, tmp_path):
    data = tmp_path / "events.csv"
    EVENTS.write_csv(data)
    (models.folder / "reports").mkdir()
    (models.folder / "reports" / "data.json").write_text(json.dumps({"who": "ann-secret"}))
    receipt = forget(store, "ann-secret", models=models, data=str(data))
    holding = {one.place: one.still_holds for one in receipt.places if one.still_holds}
    assert holding[f"data source {data}"].startswith("2 rows: remove them there")
    assert "data.json" in holding["reports kept with models"]
    assert "backups and copies" in holding
    assert ("PostgreSQL server's files" in holding) != store.is_sqlite
    data.write_text("user_id,item_id\nbob,a\n")
    places = forget(store, "ann-secret", models=models, data=str(data)).places
    assert {one.place: one.still_holds for one in places}[f"data source {data}"] == ""
    data.unlink()
    places = forget(store, "ann-secret", models=models, data=str(data)).places
    said = {one.place: one.still_holds for one in places}[f"data source {data}"]
    assert said.startswith("perhaps the user: it cannot be read")


def test_the_receipt_names_what_commands_left_beside_the_model(
    store, models, tmp_path, monkeypatch
):
    monkeypatch.setenv("METAREC_HOME", str(tmp_path / "home"))
    holding = {one.place for one in forget(store, "ann", models=models).places if one.still_holds}
    assert "files that commands wrote (--out)" in holding
    assert not any(place.startswith(("finished steps", "cache")) for place in holding)
    steps = steps_folder(models.folder)
    cache = tmp_path / "home" / "cache" / "encodings"
    for folder in (steps, cache):
        folder.mkdir(parents=True)
    holding = {one.place for one in forget(store, "ann", models=models).places if one.still_holds}
    assert {f"finished steps of a killed fit, {steps}", f"cache of encodings, {cache}"} <= holding


def test_the_same_id_in_another_unicode_form_is_told(store):
    composed, parted = "jos\u00e9", "jose\u0301"
    for user in (composed, parted, "jose"):
        store.append([Event(user_id=user, event_id="e", item_id="tea", timestamp=5.0)]).result()
    places = {one.place: one.still_holds for one in forget(store, composed).places}
    told = "event store, the id in another Unicode form"
    assert places[told].startswith("1 rows: forget the id in that form, too")
    assert all(one.place != told for one in forget(store, parted).places)
    assert all(one.place != told for one in forget(store, "jose").places)


def test_a_retraining_under_way_is_named(store, models):
    with models.retraining():
        receipt = forget(store, "ann", models=models)
    assert any(one.place == "the retraining under way" for one in receipt.places)
    receipt = forget(store, "ann", models=models)
    assert not any(one.place == "the retraining under way" for one in receipt.places)


def test_a_start_finishes_what_a_kill_left_undone(store, models):
    """Killed between the tombstone and the folders; or a folder came back from a backup."""
    forget(store, "ann-secret")
    assert b"ann-secret" in held_in(models.folder)
    done = remove_leftovers(store, models)
    assert done["rows"] == {"first": 3, "second": 3, "third": 3}
    assert b"ann-secret" not in held_in(models.folder)
    assert remove_leftovers(store, models) == {"swept": [], "rows": {}, "problems": []}


def test_a_start_finishes_the_erasing_that_a_kill_left_undone(tmp_path, models):
    with closing(open_store(str(tmp_path / "events.db"))) as store:
        fill(store, ["ann-secret", "bob"], events=300)
        store.call(partial(_dig, user_id="ann-secret")).result()  # as far as a killed process came
        assert waiting_for_erasure(store) == 1
        assert remove_leftovers(store, models)["erased"]
        assert waiting_for_erasure(store) == 0
        assert "erased" not in remove_leftovers(store, models)
    for file in tmp_path.glob("events.db*"):
        assert b"ann-secret" not in file.read_bytes()


def test_a_full_disk_changes_nothing_and_says_so_in_one_line(tmp_path, models):
    store = open_store(str(tmp_path / "e.db"))
    fill(store, ["ann-secret", "bob"], events=200)
    kept = store.counts()
    before = {path: path.read_bytes() for path in models.folder.rglob("*.parquet")}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, hard))  # its log takes one page of several
    try:
        with pytest.raises(
            StoreUnavailable, match=r"is the disk full\?\); nothing of this request"
        ) as caught:
            forget(store, "ann-secret", models=models)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(str(caught.value).splitlines()) == 1
    assert store.counts() == kept
    assert forgotten_digests(store) == set()
    assert {path: path.read_bytes() for path in models.folder.rglob("*.parquet")} == before
    assert forget(store, "ann-secret", models=models).bytes_erased
    store.close()


def test_a_disk_that_is_full_for_the_folders_is_told_in_the_receipt(tmp_path, models):
    store = open_store(str(tmp_path / "e.db"))
    fill(store, ["ann-secret", "bob"], events=2)
    before = {path: path.read_bytes() for path in models.folder.rglob("*.parquet")}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(StoreUnavailable):
            forget(store, "ann-secret", models=models)
        found = {one.place: one.still_holds for one in _in_models(models, "ann-secret")}
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "File too large" in found["model version second, training tables"]
    assert {path: path.read_bytes() for path in models.folder.rglob("*.parquet")} == before
    store.close()


@pytest.mark.postgres
def test_a_long_reader_on_a_server_stops_nobody(cluster):
    import psycopg

    url = cluster.new_database("long")
    store = open_store(url)
    fill(store, ["ann", "bob"], events=20)
    with psycopg.connect(url) as reader:
        reader.execute("SELECT count(*) FROM metarec.events").fetchall()  # and stays in its turn
        receipt = forget(store, "ann")
        assert store.append([now_of("next", "bob")]).result().accepted == 1
        assert not receipt.bytes_erased
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            erase_server(store)
    assert waiting_for_erasure(store) == 1
    erase_server(store)
    assert waiting_for_erasure(store) == 0
    store.close()


@pytest.mark.postgres
def test_rows_that_an_older_transaction_may_still_see_are_not_said_to_be_erased(
    cluster, monkeypatch
):
    """VACUUM FULL copies them, and says nothing."""
    import psycopg

    monkeypatch.setattr(erasing, "ERASE_SECONDS", 0.5)
    url = cluster.new_database("older")
    store = open_store(url)
    fill(store, ["ann-q7Zk", "bob"], events=20)
    with psycopg.connect(url) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM pg_class").fetchall()
        forget(store, "ann-q7Zk")
        with pytest.raises(StoreUnavailable, match="older than"):
            erase_server(store)
        assert waiting_for_erasure(store) == 1
    erase_server(store)
    assert waiting_for_erasure(store) == 0
    store.close()


def test_friends_are_forgotten_both_ways_and_stay_so(store):
    hold = threading.Event()
    store.put_friends("ann", {"bob": 1.0, "cem": 1.0}).result()
    store.put_friends("cem", {"ann": 1.0, "dan": 1.0}).result()
    store.call(lambda connection: hold.wait(120))
    queued = store.put_friends("dan", {"ann": 2.0, "bob": 1.0})  # behind the wish below
    forgetting = ThreadPoolExecutor(1).submit(forget, store, "ann")
    hold.set()
    receipt = forgetting.result()
    queued.result()
    assert receipt.rows_deleted["friends"] >= 3
    assert store.friends_of("ann") == {}
    assert store.friends_of("cem") == {"dan": 1.0}
    assert store.friends_of("dan") == {"bob": 1.0}


def test_edges_leave_the_folders_of_models_whoever_knew_whom(store, tmp_path):
    edges = pl.DataFrame(
        {"user_id": ["ann", "bob", "bob"], "friend_id": ["bob", "ann", "cem"], "weight": 1.0}
    )
    for clean in (lambda at: remove_user(at, "ann"), lambda at: clean_folder(store, at)):
        folder = tmp_path / "model"
        write_artifact(folder, Artifact(config={}, tables={"friends": edges}))
        forget(store, "ann")
        assert clean(folder) == 2
        assert read_artifact(folder).tables["friends"].rows() == [("bob", "cem", 1.0)]

from __future__ import annotations

import random

import polars as pl
import sqlalchemy as sa

from metarec.feedback.events import Event, Impression
from metarec.feedback.forgetting import (
    erase,
    forget,
    forgotten_digests,
    mark_left_model,
    user_digest,
    waiting_in_model,
    without_forgotten,
)


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
                        shots=0,
                    )
                ]
            )
        )
        futures.append(store.put_profile(user, {"age": 3}))
    for future in futures:
        future.result()


def test_a_forgotten_person_leaves_rows_of_others_alone(store):
    fill(store, ["ann", "bob"], events=20)
    of_ann = len(store.events_of("ann"))
    receipt = forget(store, "ann")
    assert receipt.rows_deleted == {"events": of_ann, "slates": 1, "users": 1}
    assert receipt.bytes_erased
    assert store.events_of("ann") == []
    assert store.profile_of("ann") == {}
    assert len(store.events_of("bob")) == 20 - of_ann
    assert store.slates()["user_id"].to_list() == ["bob"]


def test_nothing_of_the_person_is_left_in_the_bytes(tmp_path):
    from metarec.feedback import open_store

    store = open_store(str(tmp_path / "e.db"))
    users = [f"person-{n:03d}-secret" for n in range(20)]
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


def test_a_forgotten_person_who_comes_back_starts_anew(store):
    fill(store, ["ann"], events=4)
    forget(store, "ann")
    store.append([Event(event_id="new", user_id="ann", item_id="a", timestamp=1.0)]).result()
    assert [e.event_id for e in store.events_of("ann")] == ["new"]


def test_the_model_is_marked_once_it_no_longer_holds_them(store):
    receipt = forget(store, "ann")
    assert waiting_in_model(store) == 1
    assert mark_left_model(store, asked_before=receipt.timestamp - 1) == 0
    assert mark_left_model(store, asked_before=receipt.timestamp + 1) == 1
    assert waiting_in_model(store) == 0


def test_erasing_waits_for_readers_and_says_when_it_could_not(tmp_path):
    from metarec.feedback import open_store

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

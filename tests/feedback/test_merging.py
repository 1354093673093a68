"""Copies count once, and an anonymous user becomes a customer."""

from __future__ import annotations

import itertools
import threading
import time

import polars as pl
import pytest

from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.feedback.copies import without_copies, without_known
from metarec.feedback.events import Appended, Event, EventConflict, Impression
from metarec.feedback.forgetting import forget, without_forgotten
from metarec.feedback.merging import merge_user, with_merges


def event(name, user="visitor", item="tea", at=100.0, **more):
    more = {"is_timed": True, **more}
    return Event(event_id=name, user_id=user, item_id=item, timestamp=at, **more)


def slate(name, user="visitor"):
    return Impression(
        slate_id=name,
        user_id=user,
        item_ids=["tea"],
        scores=[1.0],
        propensity=[1.0],
        model_version="v",
        timestamp=5.0,
        n_support=0,
    )


def held(store, user):
    return [(e.event_id, e.item_id) for e in store.events_of(user)]


def test_a_copy_from_another_source_counts_once(store):
    first = [event("web-1", at=100.12345), event("web-2", kind="purchase", at=100.12345)]
    assert store.append(first, strict=True).result().accepted == 2
    copies = [event("crm-1", at=100.123), event("crm-2", kind="Purchase", at=100.1234)]
    assert store.append(copies, strict=True).result() == Appended(accepted=0, duplicates=2)
    others = [event("crm-3", at=100.125), event("crm-4", user="bob"), event("c5", item="rice")]
    assert store.append(others).result().accepted == 3
    synthetic = [event(f"now-{n}", at=200.0, is_timed=False) for n in range(3)]
    assert store.append(synthetic).result().accepted == 3  # nobody said that these are one


def test_tables_know_copies_as_the_store_does():
    rows = [("a", "x", "buy", 1.0004), ("a", "x", "Buy", 1.0), ("a", "x", "buy", 1.002)]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "kind", "timestamp"], orient="row")
    assert without_copies(frame).rows() == [rows[0], rows[2]]
    assert without_known(frame, frame[1:2]).rows() == [rows[2]]


def test_everything_of_a_anonymous_user_goes_to_the_customer(store):
    store.append(
        [event("1"), event("2", item="rice", at=50.0), event("3", item="soap", at=60.0)]
    ).result()
    store.append([event("1", user="customer"), event("2", user="customer", item="oil")]).result()
    store.show([slate("s")]).result()
    store.put_profile("visitor", {"city": "Ulm", "age": 3}).result()
    store.put_profile("customer", {"age": 40}).result()
    store.put_friends("visitor", {"bob": 2.0, "customer": 1.0}).result()
    store.put_friends("cid", {"visitor": 1.0}).result()
    done = merge_user(store, "visitor", "customer")
    assert (done.events, done.copies, done.slates, done.friends) == (2, 1, 1, 2)
    assert sorted(item for _, item in held(store, "customer")) == ["oil", "rice", "soap", "tea"]
    assert len({name for name, _ in held(store, "customer")}) == 4
    assert store.profile_of("customer") == {"city": "Ulm", "age": 40}
    assert store.friends_of("customer") == {"bob": 2.0}
    assert store.friends_of("cid") == {"customer": 1.0}
    assert store.slates_of("customer") == 1
    assert store.as_frame().filter(user_id="visitor").is_empty()
    assert store.profiles()["user_id"].to_list() == ["customer"]
    assert "visitor" not in store.slates()["user_id"].to_list()
    again = merge_user(store, "visitor", "customer")
    assert (again.events, again.copies) == (0, 0)
    with pytest.raises(BadInput, match="cannot be merged into themselves"):
        merge_user(store, "a", "a")


def test_what_the_customer_asked_to_forget_does_not_come_back(store):
    store.append([event("old", at=50.0), event("new", at=1e10)]).result()
    forget(store, "customer")
    assert merge_user(store, "visitor", "customer").forgotten == 1
    assert [name for name, _ in held(store, "customer")] == ["new"]


def older_data():
    rows = [("visitor", "tea", 10.0), ("customer", "tea", 10.0), ("visitor", "rice", 20.0)]
    rows += [("bob", "tea", 5.0), ("customer", "soap", 30.0)]
    return Dataset(
        interactions=pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row"),
        users=pl.DataFrame({"user_id": ["visitor", "customer"], "city": ["Ulm", None]}),
    )


def test_older_data_are_read_under_the_new_id(store):
    merge_user(store, "visitor", "guest")
    merge_user(store, "guest", "customer")
    data = with_merges(store, older_data())
    frame = data.interactions.frame.sort("user_id", "timestamp")
    assert frame.select("user_id", "item_id").rows() == [
        ("bob", "tea"),
        ("customer", "tea"),
        ("customer", "rice"),
        ("customer", "soap"),
    ]
    assert data.users.frame.rows() == [("customer", "Ulm")]


def test_who_a_forgotten_customer_was_is_forgotten_too(store):
    merge_user(store, "visitor", "customer")
    assert forget(store, "customer").rows_deleted["merges"] == 1
    left = without_forgotten(store, older_data().interactions.frame)
    assert left["user_id"].to_list() == ["bob"]


def test_what_comes_under_the_id_given_up_is_the_customers(store):
    store.append([event("1"), event("own", user="customer", item="oil")]).result()
    merge_user(store, "visitor", "guest")
    merge_user(store, "guest", "customer")
    late = [event("1"), event("2", item="rice", at=300.0), event("3", user="guest", item="soap")]
    assert store.append(late, strict=True).result() == Appended(accepted=2, duplicates=1)
    with pytest.raises(EventConflict, match="item_id"):
        store.append([event("own", item="tea", at=301.0)], strict=True).result()
    store.show([slate("s"), slate("t", user="guest")]).result()
    store.put_profile("visitor", {"city": "Ulm"}).result()
    store.put_friends("visitor", {"bob": 1.0, "guest": 1.0}).result()
    store.put_friends("bob", {"guest": 2.0, "visitor": 2.0}).result()
    assert set(store.as_frame()["user_id"]) == set(store.slates()["user_id"]) == {"customer"}
    assert store.profiles().rows() == [("customer", "Ulm")]
    edges = [("bob", "customer", 2.0), ("customer", "bob", 1.0)]
    assert store.friends().rows() == edges
    for name in ("visitor", "guest", "customer"):
        assert sorted(item for _, item in held(store, name)) == ["oil", "rice", "soap", "tea"]
        assert len(store.user(name, 9)[0]) == 4
        assert store.user(name, 9)[1] == store.profile_of(name) == {"city": "Ulm"}
        assert store.known_beside(name).friends == store.friends_of(name) == {"bob": 1.0}
        assert (store.slates_of(name), store.id_now(name)) == (2, "customer")


def test_an_id_may_be_given_up_to_another_and_never_to_itself(store):
    merge_user(store, "cookie", "ann")
    store.append([event("1", user="cookie")]).result()
    merge_user(store, "cookie", "bob")  # who signs in next on the same machine
    store.append([event("2", user="cookie", item="rice")]).result()
    assert held(store, "ann") == [("1", "tea")]
    assert held(store, "bob") == [("2", "rice")]
    assert merge_user(store, "tablet", "cookie").user_id == "bob"
    with pytest.raises(BadInput, match="'cookie' became that user"):
        merge_user(store, "bob", "cookie")


def test_forgetting_by_any_id_forgets_the_user_and_what_comes_late_of_each_id(store):
    merge_user(store, "visitor", "customer")
    store.append([event("1"), event("2", user="customer", item="rice")]).result()
    receipt = forget(store, "visitor")
    assert receipt.rows_deleted["events"] == 2
    assert receipt.rows_deleted["merges"] == 1
    late = [event("3", at=receipt.timestamp - 1e-3), event("4", user="customer")]
    assert store.append(late).result().forgotten == 2
    store.append([event("5", at=receipt.timestamp + 1e9)]).result()
    assert store.id_now("visitor") == "visitor"  # nothing ties them any more
    assert set(store.as_frame()["user_id"]) == {"visitor"}


def test_nothing_of_an_id_given_up_is_stored_while_its_user_is_being_forgotten(store):
    merge_user(store, "visitor", "customer")
    stop = threading.Event()

    def send():
        for number in itertools.count():
            store.append([event(f"{number}", item=f"i{number}", at=time.time())]).result()
            if stop.is_set():
                return

    sender = threading.Thread(target=send)
    sender.start()
    try:
        receipt = forget(store, "customer")
    finally:
        stop.set()
        sender.join()
    assert store.as_frame().filter(pl.col("timestamp") <= receipt.timestamp).is_empty()


def test_older_data_do_not_bring_back_what_a_anonymous_user_had_asked_to_forget(store):
    forget(store, "visitor")
    merge_user(store, "visitor", "customer")
    data = with_merges(store, older_data())
    assert data.interactions.frame.filter(user_id="customer")["item_id"].to_list() == [
        "tea",
        "soap",
    ]
    assert data.users.frame.rows() == [("customer", None)]

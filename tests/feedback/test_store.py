from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
import time

import polars as pl
import pytest
import sqlalchemy as sa

from metarec.data.schema import BadInput
from metarec.feedback import open_store
from metarec.feedback.events import Appended, Event, EventConflict, Impression, StoreUnavailable
from metarec.feedback.store import tables
from metarec.feedback.store.engines import with_schema
from metarec.feedback.store.migrations import MIGRATIONS, migrate

_databases = itertools.count()


def event(name, user="ann", item="tea", at=0.0, **more):
    return Event(event_id=name, user_id=user, item_id=item, timestamp=at, **more)


def slate(name, user="ann", items=("tea", "rice")):
    return Impression(
        slate_id=name,
        user_id=user,
        item_ids=items,
        scores=[2.0, 1.0],
        propensity=[0.5, 1.0],
        model_version="v1",
        timestamp=5.0,
        n_support=3,
    )


def test_an_event_id_is_stored_once(store):
    assert store.append([event("a"), event("b"), event("b", item="rice")]).result() == Appended(
        accepted=2, duplicates=1
    )
    assert store.append([event("b", item="soap"), event("c")]).result() == Appended(
        accepted=1, duplicates=1
    )
    assert [(e.event_id, e.item_id) for e in store.events_of("ann")] == [
        ("a", "tea"),
        ("b", "tea"),
        ("c", "tea"),
    ]


def test_an_id_is_its_users_own_and_stands_for_one_event(store):
    assert store.append([event("a"), event("a", user="bob", item="rice")]).result().accepted == 2
    again = store.append([event("a", at=9.0), event("b")], strict=True).result()
    assert again == Appended(accepted=1, duplicates=1)
    for other in (
        {"item": "rice"},
        {"kind": "like"},
        {"value": 1.0},
        {"slate_id": "s"},
        {"context": {"hour": 3}},
    ):
        with pytest.raises(EventConflict, match="event_id 'a' was used before by the same user"):
            store.append([event("new"), event("a", **other)], strict=True).result()
    with pytest.raises(EventConflict, match="'c' was used before by the same user with another"):
        store.append([event("c"), event("c", item="rice")], strict=True).result()
    assert [e.event_id for e in store.events_of("ann")] == ["a", "b"]


def test_a_conflict_spoils_only_its_own_request(store):
    store.append([event("a")]).result()
    hold = threading.Event()
    held = store.call(lambda connection: hold.wait(120))
    bad = store.append([event("a", item="rice")], strict=True)
    good = store.append([event("b")], strict=True)
    hold.set()
    held.result()
    assert good.result() == Appended(accepted=1, duplicates=0)
    with pytest.raises(EventConflict, match="with another item_id"):
        bad.result()


def test_the_same_event_in_two_requests_of_one_group_is_accepted_once(store):
    hold = threading.Event()
    held = store.call(lambda connection: hold.wait(120))
    first, second = store.append([event("a")]), store.append([event("a"), event("b")])
    hold.set()
    held.result()
    assert (first.result(), second.result()) == (
        Appended(accepted=1, duplicates=0),
        Appended(accepted=1, duplicates=1),
    )


def test_events_come_back_as_they_were_oldest_first(store):
    sent = [
        event(
            "late",
            at=9.5,
            kind="rating",
            value=4.5,
            slate_id="s",
            context={"device": "phone", "hour": 7},
        ),
        event("early", at=1.25),
    ]
    store.append([*sent, event("other", user="bob")]).result()
    assert store.events_of("ann") == sent[::-1]
    assert store.events_of("ann", last=1) == sent[:1]
    store.put_profile("ann", {"age": 3}).result()
    assert store.user("ann", 5) == (
        [("tea", None, "event", 1.25), ("tea", 4.5, "rating", 9.5)],
        {"age": 3},
    )
    assert store.user("ann", 1) == ([("tea", 4.5, "rating", 9.5)], {"age": 3})
    assert store.user("nobody", 5) == ([], {})
    assert store.events_of("nobody") == []


def test_events_of_one_moment_keep_the_order_in_which_they_came(store):
    store.append([event("z"), event("a"), event("m")]).result()
    store.append([event("y", user="bob", item="rice"), event("x", user="bob", item="tea")]).result()
    assert [e.event_id for e in store.events_of("ann")] == ["z", "a", "m"]
    assert [item for item, *_ in store.user("bob", 5)[0]] == ["rice", "tea"]
    assert [item for item, *_ in store.user("bob", 1)[0]] == ["tea"]


def test_recent_events_and_slates_alone(store):
    store.append([event("old", at=10.0), event("new", at=20.0)]).result()
    assert store.as_frame(since=15.0)["event_id"].to_list() == ["new"]
    store.show([slate("s1")]).result()
    assert (store.slates(since=5.0).height, store.slates(since=5.5).height) == (1, 0)


def test_events_by_minute_end_now(store):
    store.append(
        [
            event("a", at=1000.0),
            event("b", at=999.0),
            event("c", at=939.0),
            event("early", at=700.0),
            event("later", at=1001.0),
        ]
    ).result()
    assert store.events_by_minute(now=1000.0, minutes=3) == [0, 1, 2]


def test_other_processes_see_items_by_version(store, store_url):
    other = open_store(store_url)
    before = other.items_version()
    store.put_item("n1", {"title": "New"}).result()
    version = store.put_item("n2", {"title": "Newer", "tags": ["x"]}).result()
    assert other.items_version() == version == before + 2
    assert [(i, a) for i, a, _ in other.items_since(before)] == [
        ("n1", {"title": "New"}),
        ("n2", {"title": "Newer", "tags": ["x"]}),
    ]
    other.put_item("n1", {"title": "Renamed"}).result()
    assert store.items_since(version) == [("n1", {"title": "Renamed"}, version + 1)]
    other.close()


def test_two_stores_counting_items_at_once_lose_no_version(store, store_url):
    other = open_store(store_url)
    futures = [s.put_item(f"{n}", {}) for n in range(30) for s in (store, other)]
    assert sorted(f.result() for f in futures) == list(range(1, 61))
    other.close()


def test_a_profile_replaces_the_one_before(store):
    assert store.profile_of("ann") == {}
    store.put_profile("ann", {"age": 30, "home": "north"}).result()
    store.put_profile("ann", {"age": 31}).result()
    store.put_profile("bob", {"home": "south"}).result()
    assert store.profile_of("ann") == {"age": 31}
    assert store.profiles().rows() == [("ann", 31, None), ("bob", None, "south")]


def test_slates_come_back_with_their_lists(store):
    assert store.slates().height == 0
    assert store.show([slate("s1"), slate("s2", user="bob")]).result() == 2
    assert store.show([slate("s1")]).result() == 0
    row = store.slates().filter(pl.col("slate_id") == "s1").row(0, named=True)
    assert row == {
        "slate_id": "s1",
        "user_id": "ann",
        "timestamp": 5.0,
        "model_version": "v1",
        "n_support": 3,
        "experiment": None,
        "arm": None,
        "item_ids": ["tea", "rice"],
        "scores": [2.0, 1.0],
        "propensity": [0.5, 1.0],
    }


def test_a_bad_write_fails_alone(store):
    hold = threading.Event()
    store.call(lambda connection: hold.wait(120))
    good = store.append([event("a")])
    bad = store.call(lambda connection: connection.execute(sa.text("SELECT * FROM no_such_table")))
    later = store.append([event("b")])
    hold.set()
    assert (good.result().accepted, later.result().accepted) == (1, 1)
    with pytest.raises(Exception, match="no_such_table"):
        bad.result()
    assert len(store.events_of("ann")) == 2


def test_writes_keep_their_order_within_a_group(store):
    hold = threading.Event()
    store.call(lambda connection: hold.wait(120))
    store.append([event("gone")])
    store.call(lambda connection: connection.execute(sa.delete(tables.events)))
    last = store.append([event("kept")])
    hold.set()
    last.result()
    assert [e.event_id for e in store.events_of("ann")] == ["kept"]


def test_too_much_waiting_is_refused_at_once(store):
    hold = threading.Event()
    store.call(lambda connection: hold.wait(120))
    store.append([event(f"{n}") for n in range(19_999)])
    with pytest.raises(StoreUnavailable, match="rows wait to be written"):
        store.append([event("one"), event("too many")])
    hold.set()


def test_closing_writes_what_waits(store_url):
    closing = open_store(store_url)
    futures = [closing.append([event(f"{n}")]) for n in range(50)]
    closing.close()
    assert all(f.done() for f in futures)
    with pytest.raises(StoreUnavailable, match="closed"):
        closing.append([event("late")])
    again = open_store(store_url)
    assert len(again.events_of("ann")) == 50
    again.close()


def test_a_full_disk_is_said_at_once_and_the_store_lives_on(tmp_path):
    store = open_store(str(tmp_path / "e.db"))

    def limit(connection):
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 4}")

    store.call(limit).result()
    with pytest.raises(
        StoreUnavailable, match="database or disk is full.*nothing of this request was stored"
    ):
        store.append([event(f"{n}", context={"pad": "x" * 100}) for n in range(500)]).result()
    assert store.events_of("ann") == []
    store.call(
        lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=100000")
    ).result()
    assert store.append([event("after")]).result().accepted == 1
    store.close()


def test_a_lock_held_by_another_process_is_waited_for(tmp_path):
    store = open_store(str(tmp_path / "e.db"))
    other = open_store(str(tmp_path / "e.db"))
    hold, held = threading.Event(), threading.Event()
    other.call(lambda connection: (held.set(), hold.wait(120)))
    held.wait(120)
    waiting = store.append([event("a")])
    with pytest.raises(TimeoutError):
        waiting.result(timeout=0.2)
    hold.set()
    assert waiting.result(timeout=120).accepted == 1
    store.close()
    other.close()


def test_the_schema_grows_step_by_step_to_the_tables_in_use(store_url):
    """From an empty database, and from every earlier version with rows in it, the result is what
    `tables.py` says.
    """
    from metarec.feedback.store.engines import known_url

    engine = sa.create_engine(known_url(store_url)[0])
    with engine.begin() as connection:
        assert migrate(connection, MIGRATIONS[:1]) == 1
        connection.execute(
            sa.text(
                "INSERT INTO events (event_id, user_id, item_id, timestamp, kind) VALUES ('old', "
                "'ann', 'tea', 1, 'x')"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO slates (slate_id, user_id, timestamp, model_version, shots, shown) "
                "VALUES ('s1', 'ann', 2, 'v1', 3, :shown)"
            ),
            {"shown": '{"item_ids": ["tea"], "scores": [1.0], "propensity": [1.0]}'},
        )
    for steps in (2, 3):
        with engine.begin() as connection:
            assert migrate(connection, MIGRATIONS[:steps]) == 1
    store = open_store(store_url)
    assert store.migrated.steps == len(MIGRATIONS) - 3
    assert store.slates().select("slate_id", "n_support", "item_ids").rows() == [("s1", 3, ["tea"])]
    assert store.migrated.moved_from == (None if store.is_sqlite else "public")
    with engine.begin() as connection:
        if not store.is_sqlite:
            connection.execute(sa.text("SET search_path TO metarec"))
        assert migrate(connection) == 0
        found = sa.inspect(connection)
        assert {
            n: {c["name"] for c in found.get_columns(n)}
            for n in found.get_table_names()
            if n != "schema_version"
        } == {name: {c.name for c in table.c} for name, table in tables.metadata.tables.items()}
    engine.dispose()
    assert [e.event_id for e in store.events_of("ann")] == ["old"]
    store.close()


def test_a_newer_store_is_refused(tmp_path):
    store = open_store(str(tmp_path / "e.db"))
    store.call(
        lambda c: c.execute(sa.text("INSERT INTO schema_version (version) VALUES (99)"))
    ).result()
    store.close()
    with pytest.raises(
        BadInput,
        match=f"schema version 99, this metarec knows {len(MIGRATIONS)}; install a newer metarec",
    ):
        open_store(str(tmp_path / "e.db"))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://host/x", "no event store of kind 'mysql'"),
        ("sqlite://", "give a file"),
        ("://", "cannot read the store's url"),
    ],
)
def test_an_unknown_store_is_bad_input(url, says):
    with pytest.raises(BadInput, match=says):
        open_store(url)


def test_a_store_that_is_away_says_so_without_the_password(tmp_path):
    with pytest.raises(StoreUnavailable, match="cannot open the store") as caught:
        open_store("postgresql://metarec:secret@127.0.0.1:1/none?connect_timeout=1")
    assert "secret" not in str(caught.value)
    with pytest.raises(BadInput, match="there is no folder .* for the event store"):
        open_store(str(tmp_path / "no" / "folder" / "e.db"))


def test_errors_carry_no_personal_values(store):
    failing = store.call(
        lambda connection: connection.execute(
            sa.insert(tables.users), {"user_id": "ann-private", "profile": None}
        )
    )
    with pytest.raises(sa.exc.IntegrityError, match="parameters hidden") as caught:
        failing.result()
    assert "ann-private" not in str(caught.value)


@pytest.fixture
def database(cluster) -> str:
    """The url of an empty database on a server."""
    return cluster.new_database(f"own{next(_databases)}")


def shop(url: str, *statements: str) -> list:
    """Run statements as the shop that the database belongs to; gives the rows of the last."""
    import psycopg

    with psycopg.connect(url) as connection:
        for statement in statements:
            found = connection.execute(statement)
        return found.fetchall() if found.description else []


@pytest.mark.postgres
@pytest.mark.parametrize(
    "tables_of_the_shop",
    [
        ["CREATE TABLE events (id int, what text)", "INSERT INTO events VALUES (1, 'fair')"],
        [
            "CREATE TABLE schema_version (installed_rank int, version text)",
            "CREATE TABLE events (id int)",
            "CREATE TABLE slates (id int)",
            "CREATE TABLE users (id int)",
            "CREATE TABLE facts (name text)",
        ],
        ["CREATE TABLE schema_version (version int)", "INSERT INTO schema_version VALUES (3)"],
    ],
)
def test_a_shops_own_tables_are_left_alone(database, tables_of_the_shop):
    shop(database, *tables_of_the_shop)
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = "
    before = shop(database, query + "'public' ORDER BY 1, 2")
    store = open_store(database)
    assert store.append([event("a")]).result().accepted == 1
    store.close()
    again = open_store(database)
    assert [e.event_id for e in again.events_of("ann")] == ["a"]
    again.close()
    assert shop(database, query + "'public' ORDER BY 1, 2") == before
    assert shop(database, "SELECT event_id FROM metarec.events") == [("a",)]


@pytest.mark.postgres
def test_two_stores_share_a_database_by_schema(database):
    one, other = open_store(database), open_store(database + "&schema=shop_2")
    one.append([event("a")]).result()
    assert other.append([event("a")]).result().accepted == 1
    assert shop(database, "SELECT event_id FROM shop_2.events") == [("a",)]
    one.close()
    other.close()
    for name in ("Shop", "a-b", "pg_own", "1st", "x; drop"):
        with pytest.raises(BadInput, match="no name of a PostgreSQL schema"):
            open_store(f"{database}&schema={name}")


@pytest.mark.postgres
def test_a_schema_that_is_anothers_is_refused_in_one_line(database):
    shop(database, "CREATE SCHEMA metarec", "CREATE TABLE metarec.events (id int)")
    with pytest.raises(BadInput, match=r"holds tables of others \(events\); give metarec"):
        open_store(database)


@pytest.mark.postgres
def test_a_database_without_a_store_is_no_store_to_forget_in(database):
    """A receipt of it would say that the user is forgotten."""
    with pytest.raises(BadInput, match=r"holds no event store yet in the schema metarec; name"):
        open_store(database, create=False)
    assert shop(database, "SELECT 1 FROM pg_namespace WHERE nspname = 'metarec'") == []
    open_store(database).close()
    open_store(database, create=False).close()


def test_a_file_that_is_anothers_is_refused_in_one_line(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE users (id int)")
    with pytest.raises(BadInput, match=r"holds tables of others \(users\); give metarec"):
        open_store(str(tmp_path / "shop.db"))


@pytest.mark.postgres
def test_every_connection_waits_only_so_long(database):
    store = open_store(database)
    for connecting in (store.reading, lambda: store.reading(long=True), store._engine.begin):
        with connecting() as connection:
            for name in ("lock_timeout", "statement_timeout"):
                assert connection.exec_driver_sql(f"SHOW {name}").scalar() != "0", name
    store.close()


@pytest.mark.postgres
def test_a_lock_on_a_server_is_waited_for_by_turns(database, monkeypatch):
    monkeypatch.setattr("metarec.feedback.store.engines.LOCK_SECONDS", 0.2)
    import psycopg

    store = open_store(database)
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE metarec.events")
        waiting = store.append([event("a")])
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.7)
    assert waiting.result(timeout=120).accepted == 1
    store.close()


def test_friends_replace_those_before_and_other_processes_see_them(store, store_url):
    store.put_friends("ann", {"bob": 1.0, "cem": 2.5}).result()
    store.put_friends("ann", {"dan": 3.0, "bob": 1.0}).result()
    other = open_store(store_url)
    assert other.friends_of("ann") == {"bob": 1.0, "dan": 3.0}
    assert other.friends().rows() == [("ann", "bob", 1.0), ("ann", "dan", 3.0)]
    other.close()


def test_searches_are_events_without_an_item_and_no_history(store):
    search = event("s", item="", at=2.0, kind="search", query="green tea")
    store.append([event("a", at=1.0), search, event("b", at=3.0)], strict=True).result()
    assert store.append([search], strict=True).result().duplicates == 1
    assert [item for item, *_ in store.user("ann", 5)[0]] == ["tea", "tea"]
    assert store.as_frame()["event_id"].to_list() == ["a", "b"]
    assert store.searches().rows() == [("ann", "green tea", 2.0)]
    assert store.known_beside("ann").searches == [("green tea", 2.0)]
    with pytest.raises(EventConflict, match="another query"):
        store.append(
            [event("s", item="", at=2.0, kind="search", query="black")], strict=True
        ).result()


def test_the_latest_events_but_those_of_some_kinds_are_read(store):
    shown = [event(f"s{n}", item=f"i{n}", kind="impression", at=2.0 + n) for n in range(9)]
    store.append([event("a", kind="purchase", at=1.0), *shown]).result()
    assert [kind for *_, kind, _ in store.user("ann", 3)[0]] == ["impression"] * 3
    assert store.user("ann", 3, {"impression", "exposure"})[0] == [("tea", None, "purchase", 1.0)]


def test_a_recent_event_says_where_its_user_is(store):
    here = {"latitude": 52.5, "longitude": 13.4}
    store.append([event("old", at=1.0, context=here)]).result()
    assert store.known_beside("ann").location is None
    store.append([event("new", at=time.time(), context=here)]).result()
    assert store.known_beside("ann").location == (52.5, 13.4)
    shown = event("shown", kind="impression", at=time.time() + 1, context={"device": "phone"})
    store.append([shown]).result()
    assert store.known_beside("ann").location == (52.5, 13.4)  # still there


def test_what_a_user_acted_on_is_told_once_by_kind_of_their_latest(store):
    rows = [event(f"a{n}", item=("tea", "rice")[n % 2], kind="view", at=n) for n in range(8)]
    rows += [event("b", item="old", at=-1.0), event("c", item="tea", kind="like", at=9.0)]
    store.append([*rows, event("d", user="bob", item="jam")]).result()
    assert sorted(store.acted_on("ann", 9)) == [("rice", "view"), ("tea", "like"), ("tea", "view")]
    assert store.acted_on("nobody", 9) == []


@pytest.mark.parametrize("secret", ["s3cret:x/y", "s3cret:d+e", "s3cret:a@b:c"])
def test_a_url_whose_password_ends_it_is_refused_without_being_shown(secret):
    for asked in (open_store, lambda url: with_schema(url, "shop")):
        with pytest.raises(BadInput, match="written %2F, .* given as PGPASSWORD") as caught:
            asked(f"postgresql://metarec:{secret}@db:{secret}/metarec")
        assert "s3cret" not in str(caught.value)

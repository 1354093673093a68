"""Databases by URL, our own event store, and TOML files that bring several sources together."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from data.folders import START, digest, events, item_table, user_table, write
from metarec.data.cleaning import check, read_clean
from metarec.data.dataset import Dataset
from metarec.data.domains import domain, domains
from metarec.data.read import read
from metarec.data.schema import BadInput, DataWarning
from metarec.data.sources.layouts.toml_config import EXAMPLE

sa = pytest.importorskip("sqlalchemy")


def fill(engine: sa.Engine, **tables: pl.DataFrame) -> None:
    """Write frames as tables."""
    types = {pl.Utf8: sa.Text, pl.Float64: sa.Double, pl.Int64: sa.BigInteger}
    with engine.begin() as connection:
        for name, frame in tables.items():
            table = sa.Table(
                name,
                sa.MetaData(),
                *(sa.Column(c, types[t.base_type()]) for c, t in frame.schema.items()),
            )
            table.create(connection)
            connection.execute(table.insert(), frame.to_dicts())
    engine.dispose()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A SQLite file with the usual tables."""
    path = tmp_path / "shop.db"
    fill(
        sa.create_engine(f"sqlite:///{path}"),
        interactions=events(),
        items=item_table(),
        users=user_table(),
    )
    return path


def test_sqlite_by_url_and_by_file(shop: Path) -> None:
    before = digest(shop.parent)
    for source in (f"sqlite:///{shop}", shop):
        data = read(source)
        expected = Dataset(interactions=events(), items=item_table(), users=user_table())
        assert data.name == "shop"
        assert_frame_equal(data.interactions.frame, expected.interactions.frame)
        assert_frame_equal(data.items.frame, expected.items.frame)
    assert digest(shop.parent) == before


def test_a_query_cannot_change_a_database(shop: Path) -> None:
    before = digest(shop.parent)
    (shop.parent / "c.toml").write_text(
        f"[[sources]]\ndatabase = 'sqlite:///{shop}'\n"
        "interactions = 'WITH x AS (SELECT 1) DELETE FROM interactions RETURNING *'"
    )
    with pytest.raises(BadInput, match="readonly database"):
        read(shop.parent / "c.toml")
    (shop.parent / "c.toml").unlink()
    assert digest(shop.parent) == before


def test_databases_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no\.db does not exist; give sqlite"):
        read(f"sqlite:///{tmp_path}/no.db")
    assert not (tmp_path / "no.db").exists()
    with pytest.raises(BadInput, match="no reader for databases of kind 'mysql'"):
        read("mysql://u:secret@host/x")
    with pytest.raises(BadInput, match="cannot read the database URL"):
        read("://")
    (tmp_path / "odd.db").write_bytes(b"this is no database, whatever it is called" * 50)
    with pytest.raises(BadInput, match="file is not a database"):
        read(tmp_path / "odd.db")
    fill(sa.create_engine(f"sqlite:///{tmp_path}/other.db"), stock=item_table())
    with pytest.raises(
        BadInput, match=r"has no table interactions, events or ratings \(it has stock\)"
    ):
        read(tmp_path / "other.db")


def test_a_server_that_does_not_answer_keeps_the_password_to_itself() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(BadInput) as caught:
        read("postgresql://me:verysecret@127.0.0.1:1/none")
    assert "verysecret" not in str(caught.value) and "\n" not in str(caught.value)


def test_our_own_event_store(tmp_path: Path) -> None:
    from metarec.feedback.events import Event
    from metarec.feedback.store.event_store import Store

    store = Store(str(tmp_path / "events.db"))
    store.append(
        [
            Event(
                event_id=f"e{n}",
                user_id="u1",
                item_id=f"i{n}",
                timestamp=START + n,
                kind="click",
                value=None,
                context={"device": "phone"} if n else {},
            )
            for n in range(3)
        ]
    ).result()
    store.put_item("i9", {"title": "New", "price": 3}).result()
    store.put_item("i8", {"title": "Gone"}).result()
    store.delete_item("i8").result()
    store.put_profile("u1", {"age": 31}).result()
    store.close()
    with pytest.warns(DataWarning, match="none of the item table's ids is an id of the events"):
        data = read(f"sqlite:///{tmp_path}/events.db")
    assert data.interactions.frame.select("user_id", "item_id", "kind", "device").rows() == [
        ("u1", "i0", "click", None),
        ("u1", "i1", "click", "phone"),
        ("u1", "i2", "click", "phone"),
    ]
    assert data.items.frame.rows(named=True) == [{"item_id": "i9", "title": "New", "price": 3}]
    assert data.users.of_users(["u1"]) == [{"age": 31}]


def test_columns_of_the_event_store_are_left_out_of_its_own_tables_only(tmp_path: Path) -> None:
    from metarec.feedback.events import Event
    from metarec.feedback.store.event_store import Store

    acts = events().with_columns(event_id=pl.lit("e"), version=pl.int_range(pl.len()) % 3)
    things = item_table().with_columns(version=pl.lit("2.1"), is_deleted=pl.lit("no"))
    fill(sa.create_engine(f"sqlite:///{tmp_path}/apps.db"), interactions=acts, items=things)
    data = read(f"sqlite:///{tmp_path}/apps.db")
    assert {"event_id", "version"} <= {*data.interactions.frame.columns}
    assert {"version", "is_deleted"} <= {*data.items.frame.columns}

    store = Store(str(tmp_path / "events.db"))
    act = Event(
        event_id="e1", user_id="u1", item_id="i1", timestamp=START, kind="click", is_timed=True
    )
    store.append([act]).result()
    store.close()
    data = read(f"sqlite:///{tmp_path}/events.db")
    kept = {*data.interactions.frame.columns}
    assert {"user_id", "kind"} <= kept and not kept & {"event_id", "sequence", "copy_key"}


@pytest.mark.postgres
def test_postgresql() -> None:
    from feedback.cluster import binaries, private_cluster

    if binaries() is None:
        pytest.skip("no PostgreSQL on this machine")
    with private_cluster() as cluster:
        url = cluster.new_database("shop")
        fill(
            sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://")),
            interactions=events(),
            items=item_table(),
        )
        data = read(url)
    assert_frame_equal(data.interactions.frame, Dataset(interactions=events()).interactions.frame)


def test_the_example_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example in the module is a file that works: orders and clicks become one data set."""
    (tmp_path / "metarec.toml").write_text(EXAMPLE)
    bought = events().select(
        pl.col("user_id").alias("customer"),
        "item_id",
        pl.col("timestamp").alias("ordered_at"),
        pl.lit("north").alias("store"),
        pl.lit("x").alias("noise"),
    )
    bought.write_csv(tmp_path / "orders.csv")
    item_table().rename({"item_id": "sku", "title": "description"}).write_parquet(
        tmp_path / "products.parquet"
    )
    clicks = events(seed=1).select(
        pl.col("user_id").alias("customer"),
        pl.col("item_id").alias("sku"),
        (pl.col("timestamp") + 5).alias("at"),
    )
    fill(sa.create_engine(f"sqlite:///{tmp_path}/clicks.db"), clicks=clicks)
    with pytest.raises(
        BadInput, match=r"source 2: database = '\$DATABASE_URL' names a variable that is not set"
    ):
        read(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/clicks.db")
    data = read(tmp_path)
    assert data.name == "shop" and len(data.interactions) == 192
    said = data.interactions.frame.hstack(data.interactions.acts()).group_by("kind")
    strengths = dict(said.agg(pl.col("strength").unique()).rows())
    assert strengths == {"purchase": [1.0], "view": [pytest.approx(0.2)]}
    assert data.interactions.context_columns == ["store"]
    assert data.items.frame["text"][3] == "Item 3"
    assert check(tmp_path).facts["events_per_item"]["min"] >= 5  # the file's own k_core


def test_items_and_users_of_several_sources_become_one(tmp_path: Path) -> None:
    write(
        tmp_path / "a",
        "csv",
        interactions=events(),
        items=item_table().drop("price"),
        users=user_table(),
    )
    write(
        tmp_path / "b",
        "csv",
        items=item_table(25).select("item_id", pl.lit("other").alias("title"), "price"),
    )
    (tmp_path / "all.toml").write_text(
        '[[sources]]\npath = "a"\n[[sources]]\nitems = "b/items.csv"\n'
    )
    data = read(tmp_path / "all.toml")
    assert (
        len(data.items) == 25
        and data.items.titles()[0] == "Item 0"
        and data.items.titles()[24] == "other"
    )
    assert data.items.frame["price"].null_count() == 0 and len(data.users) == 12


@pytest.mark.parametrize(
    "text, message",
    [
        ("sources = 3", "names no source"),
        (
            "[[sources]]\nkind='view'",
            "source 1 says neither path, database, interactions, items nor users",
        ),
        ("not toml at all", "is not a TOML file"),
        ("color = 'red'\n[[sources]]\npath='a'", "nothing is known of 'color'"),
        ("[[sources]]\npath='a'\nfile='b'", "source 1: nothing is known of 'file'"),
        (
            "[kinds]\nrating=0\n[[sources]]\npath='a'",
            "kind 'rating': an entry is a strength above 0",
        ),
        ("[cleaning]\nfoo=1\n[[sources]]\npath='a'", "no cleaning setting 'foo'"),
        ("domain='space'\n[[sources]]\npath='a'", "no domain 'space'; there are"),
        (
            "[[sources]]\ninteractions='a/interactions.csv'\ncolumns={user_id='who'}",
            "the mapping says user_id = 'who', but the columns are 'user_id'",
        ),
        (
            "[[sources]]\ninteractions='a/interactions.csv'\ncontext=['mood']",
            "no context column 'mood'",
        ),
        ("[[sources]]\nitems='a/items.csv'", "none of its 1 sources has interactions"),
        ("[[sources]]\npath='zzz'", "zzz does not exist"),
    ],
)
def test_configurations_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path / "a", "csv", interactions=events(), items=item_table())
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(BadInput, match=message):
        read(tmp_path / "c.toml")


def test_a_mapping_goes_before_a_column_of_that_name(tmp_path: Path) -> None:
    events().with_columns(buyer=pl.lit("b") + pl.col("user_id")).write_csv(tmp_path / "e.csv")
    (tmp_path / "c.toml").write_text("[[sources]]\ninteractions='e.csv'\ncolumns={user_id='buyer'}")
    frame = read(tmp_path / "c.toml").interactions.frame
    assert frame["user_id"].str.starts_with("bu").all() and "user_id_as_given" in frame.columns


def test_domains_know_names_weights_and_what_to_heed(tmp_path: Path) -> None:
    assert domains() == [
        "e-commerce",
        "education",
        "finance",
        "health",
        "logistics",
        "social",
        "travel",
    ]
    for name in domains():
        pack = domain(name)
        assert pack.kinds and pack.metric_why
    assert (
        "not medical advice" in str(domain("health").policy.notice)
        and len(domain("health").policy.exclusions) == 3
    )
    assert (
        domain("education").policy.prerequisite_column == "prerequisites"
        and not domain("education").policy.repeats_allowed
    )
    (tmp_path / "e.csv").write_text(
        "student_id,course,enrolled_at,event\na,c1,2024-01-01,enrol\na,c2,2024-02-01,drop\n"
    )
    (tmp_path / "c.toml").write_text("domain = 'education'\n[[sources]]\ninteractions = 'e.csv'")
    found = read(tmp_path / "c.toml").interactions
    assert found.frame.hstack(found.acts()).select("item_id", "sign", "strength").rows() == [
        ("c1", 1, pytest.approx(0.8)),
        ("c2", -1, pytest.approx(0.8)),
    ]


def test_findings_of_every_source_are_reported(tmp_path: Path) -> None:
    for name in "ab":
        path = (
            write(tmp_path / name, "csv", interactions=events(seed=ord(name))) / "interactions.csv"
        )
        path.write_text(path.read_text() + ",i1,1600000000,3,rating\n")
    (tmp_path / "c.toml").write_text("[[sources]]\npath='a'\n[[sources]]\npath='b'")
    data, report = read_clean(tmp_path / "c.toml")
    assert sum(f.rows for f in report.findings if f.rule == "missing_ids") == 2
    assert report.events_read == 194
    with pytest.warns(DataWarning, match="missing_ids"):
        read(tmp_path / "c.toml")
    assert len(data.interactions) <= 192


def test_tables_of_other_names_are_told_apart_by_their_columns(tmp_path: Path) -> None:
    frame = events()
    fill(
        sa.create_engine(f"sqlite:///{tmp_path}/shop.db"),
        order_items=frame.select("item_id", pl.int_range(pl.len()).alias("order_id")),
        orders=frame.select("user_id", "timestamp", pl.int_range(pl.len()).alias("id")),
        stock=item_table(),
    )
    data, report = read_clean(tmp_path / "shop.db")
    assert len(data.interactions) == 96 and data.items.titles()[0] == "Item 0"
    assert any("joined" in f.why for f in report.findings)
    fill(sa.create_engine(f"sqlite:///{tmp_path}/two.db"), a=frame, b=frame)
    with pytest.raises(BadInput, match="(?s)it has a, b; .*may each be the table.*name a table"):
        read(f"sqlite:///{tmp_path}/two.db")

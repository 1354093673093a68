"""`metarec store check | migrate | erase`, on both kinds of stores."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import asdict

import pytest
import sqlalchemy as sa

from metarec.app.cli import main
from metarec.feedback import open_store
from metarec.feedback.events import Event
from metarec.feedback.forgetting import forget
from metarec.feedback.merging import merge_user
from metarec.feedback.store.engines import known_url
from metarec.feedback.store.migrations import MIGRATIONS, migrate


def run(capsys, *words) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["store", *words])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def make_old_store(url, steps):
    """A store as an earlier version left it, with a row in it."""
    engine = sa.create_engine(known_url(url)[0])
    with engine.begin() as connection:
        migrate(connection, MIGRATIONS[:steps])
        connection.execute(
            sa.text(
                "INSERT INTO events (event_id, user_id, item_id, timestamp, kind) "
                "VALUES ('old', 'ann', 'tea', 1, 'x')"
            )
        )
    engine.dispose()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_an_older_store_is_found_told_and_migrated(store_url, steps, capsys):
    make_old_store(store_url, steps)
    code, said, _ = run(capsys, "check", store_url)
    assert code == 2
    assert "run: metarec store migrate URL" in said
    code, said, _ = run(capsys, "migrate", store_url, "--json")
    assert code == 0
    server = store_url.startswith("postgres")
    assert json.loads(said) == {
        "version": len(MIGRATIONS),
        "steps": len(MIGRATIONS) - steps,
        "moved_from": "public" if server else None,
    }
    assert run(capsys, "migrate", store_url)[1] == f"version {len(MIGRATIONS)}: nothing to do\n"
    code, said, _ = run(capsys, "check", store_url, "--json")
    assert code == 0
    assert json.loads(said)["rows"]["events"] == 1
    store = open_store(store_url)
    assert [e.event_id for e in store.events_of("ann")] == ["old"]
    new = Event(event_id="new", user_id="ann", item_id="tea", timestamp=2.0)
    assert store.append([new]).result().accepted == 1  # the counter of rows moved too
    store.close()


def test_checking_changes_nothing(store_url, capsys, tmp_path):
    make_old_store(store_url, 2)
    for _ in range(2):
        assert json.loads(run(capsys, "check", store_url, "--json")[1])["version"] in (0, 2)
    assert run(capsys, "check", str(tmp_path / "none.db"))[0] == 2
    assert not (tmp_path / "none.db").exists()


def test_a_restored_backup_says_which_requests_to_be_forgotten_it_knows(tmp_path, capsys):
    """Whoever was forgotten after the backup is back with it, and the store cannot know."""
    now, before = tmp_path / "events.db", tmp_path / "backup.db"
    with closing(open_store(str(now))) as opened:
        events = [
            Event(event_id=user, user_id=user, item_id="tea", timestamp=1.0)
            for user in ("ann", "bob")
        ]
        opened.append(events).result(10)
        assert "after a restore" not in run(capsys, "check", str(now))[1]
        first = forget(opened, "ann").timestamp
        with closing(sqlite3.connect(now)) as file:
            file.execute(f"VACUUM INTO '{before}'")
        forget(opened, "bob")
    state = json.loads(run(capsys, "check", str(before), "--json")[1])
    assert (state["rows"]["events"], state["forgotten_until"]) == (1, first)
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(first))
    again = "after a restore, repeat later ones: metarec store forget-again URL RECEIPTS"
    told = f"last request to be forgotten: {at}; {again}"
    assert told in run(capsys, "check", str(before))[1]


def test_a_restored_backup_forgets_again_by_receipts(tmp_path, capsys):
    """Who asked after the backup was back with it, and had to be found by hand."""
    now, before, receipts = (tmp_path / name for name in ("events.db", "backup.db", "all.json"))
    with closing(open_store(str(now))) as opened:
        events = [
            Event(event_id=user, user_id=user, item_id="tea", timestamp=1.0)
            for user in ("ann", "bob", "cid", "dan")
        ]
        opened.append(events).result(10)
        opened.put_friends("dan", {"bob": 1.0}).result(10)
        opened.put_profile("bob", {"age": 3}).result(10)
        done = [forget(opened, "ann")]
        with closing(sqlite3.connect(now)) as file:
            file.execute(f"VACUUM INTO '{before}'")
        merge_user(opened, "cid", "bob")
        done.append(forget(opened, "bob"))
    assert len(done[1].digests) == 2
    assert "bob" not in json.dumps(asdict(done[1]).pop("digests"))
    receipts.write_text("\n".join(json.dumps(asdict(one), indent=1) for one in done))
    with closing(open_store(str(before))) as opened:
        back = Event(event_id="new", user_id="bob", item_id="tea", timestamp=time.time() + 1.0)
        opened.append([back]).result(10)  # of a user who returned since
    code, out, _ = run(capsys, "forget-again", str(before), str(receipts), "--json")
    told = json.loads(out)
    assert (code, told["requests"], told["known"], told["bytes_erased"]) == (0, 2, 1, True)
    assert {name: n for name, n in told["rows_deleted"].items() if n} == {
        "events": 2,
        "users": 1,
        "friends": 1,
    }
    with closing(open_store(str(before))) as opened:
        frame = opened.as_frame()
        assert sorted(zip(frame["user_id"], frame["event_id"], strict=True)) == [
            ("bob", "new"),
            ("dan", "dan"),
        ]
        old = Event(event_id="late", user_id="cid", item_id="cup", timestamp=2.0)
        assert opened.append([old]).result(10).forgotten == 1
    twice = run(capsys, "forget-again", str(before), str(receipts))
    assert twice[1].startswith("receipts: 2, known to the store: 2, rows deleted: 0\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no receipt"),
        ("receipt 12", "cannot be read as JSON"),
        ("[1]", "object 1 is no receipt of forgetting"),
        ('{"receipt_id": "a", "timestamp": true}', "object 1 is no receipt of forgetting"),
        ('{"receipt_id": "a", "timestamp": 1}', "receipt 'a' has no digests"),
        ('{"receipt_id": "a", "timestamp": 1, "digests": ["bob"]}', "receipt 'a' has no digests"),
        (f'{{"receipt_id": "a", "timestamp": 9e9, "digests": ["{"0" * 64}"]}}', "the future"),
    ],
)
def test_what_is_no_receipt_is_refused(tmp_path, capsys, text, said):
    open_store(str(tmp_path / "events.db")).close()
    (tmp_path / "receipts.json").write_text(text)
    code, out, err = run(
        capsys, "forget-again", str(tmp_path / "events.db"), str(tmp_path / "receipts.json")
    )
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err


def test_deleted_rows_are_erased_on_demand(store, store_url, capsys):
    event = Event(event_id="a", user_id="ann", item_id="tea", timestamp=1.0)
    store.append([event]).result()
    forget(store, "ann")
    assert run(capsys, "erase", store_url) == (0, "rewritten without deleted rows\n", "")
    assert json.loads(run(capsys, "check", store_url, "--json")[1])["to_erase"] == 0


def test_a_newer_or_damaged_file_is_told_in_one_line(tmp_path, capsys):
    url = str(tmp_path / "e.db")
    open_store(url).close()
    connection = sqlite3.connect(url)
    connection.execute("INSERT INTO schema_version VALUES (99)")
    connection.commit()
    connection.close()
    assert run(capsys, "check", url)[0] == 2
    code, _, said = run(capsys, "migrate", url)
    assert (code, len(said.splitlines())) == (2, 1)
    (tmp_path / "e.db").write_bytes(b"this was a database" * 900)
    for word in ("check", "migrate"):
        code, told, said = run(capsys, word, url)
        assert code != 0
        assert told == ""
        assert len(said.splitlines()) == 1
        assert "the store is damaged (file is not a database); restore a backup" in said

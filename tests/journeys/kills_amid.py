"""Kill retraining, promotions, forgetting, migrations, imports and merges in their midst; look at
what is left.

Each program says `ready` and works until it is killed (SIGKILL) at a random moment; then what it
left must be whole, and after a start's tidying nothing of a forgotten user may be anywhere.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from metarec.data.schema import Profiles
from metarec.feedback import open_store
from metarec.feedback.checks import check_store
from metarec.feedback.erasing import erase_server
from metarec.feedback.events import Event
from metarec.feedback.forgetting import forget
from metarec.feedback.forgotten_rows import remove_leftovers
from metarec.feedback.registry import Registry
from metarec.feedback.store.engines import known_url
from metarec.feedback.store.event_store import Store
from metarec.feedback.store.migrations import MIGRATIONS, migrate
from metarec.recommender import Recommender

MARK = "-q7Zk"
"""Ends the ids that are looked for among bytes."""
PROMOTE = """
import sys, itertools
from metarec.feedback.registry import Registry
registry = Registry(sys.argv[1])
versions = list(registry.folders())
print("ready", flush=True)
for version in itertools.cycle(versions):
    registry.promote(version, "to and fro")
"""
FORGET = """
import sys
from metarec.feedback import open_store
from metarec.feedback.forgetting import forget
from metarec.feedback.registry import Registry
model, url, first, last = sys.argv[1:]
store, registry = open_store(url), Registry(model)
print("ready", flush=True)
for number in range(int(first), int(last)):
    print(f"asked u{number:03d}-q7Zk", flush=True)
    forget(store, f"u{number:03d}-q7Zk", models=registry)
    print(f"told u{number:03d}-q7Zk", flush=True)
"""
RETRAIN = """
import sys
from functools import partial
from metarec.app.retraining.loop import retrain
from metarec.recommender import Recommender
print("ready", flush=True)
for seed in range(9):
    fit = partial(Recommender.fit, preset="tiny", seed=int(sys.argv[3]) + seed, encoder="tfidf")
    retrain(sys.argv[1], sys.argv[2], fit=fit, force=True, seed=seed)
"""
IMPORT = """
import sys
import polars as pl
from metarec.app.importing import import_data
from metarec.data.dataset import Dataset
from metarec.data.schema import Vocabulary
from metarec.feedback import open_store
data = Dataset(interactions=pl.read_parquet(sys.argv[2]))
store = open_store(sys.argv[1])
print("ready", flush=True)
import_data(store, data, Vocabulary(["s00"]))
print("done", flush=True)
"""
MERGE = """
import sys
from metarec.feedback import open_store
from metarec.feedback.merging import merge_user
store = open_store(sys.argv[1])
print("ready", flush=True)
for number in range(int(sys.argv[2]), 5_000):
    print(f"asked {number}", flush=True)
    merge_user(store, f"anonymous user-{number}-q7Zk", f"customer-{number}-q7Zk")
    print(f"told {number}", flush=True)
"""
MIGRATE = """
import sys
from metarec.feedback import open_store
print("ready", flush=True)
open_store(sys.argv[1]).close()
print("done", flush=True)
"""


@dataclass
class Left:
    """What a series of kills left."""

    kills: int = 0
    in_midst: int = 0
    """Kills that met a program at work."""
    problems: list[str] = field(default_factory=list)


def _kill_amid(program: str, arguments: list[str], seconds: float) -> tuple[list[str], bool]:
    """Run a program, kill it so long after it is ready; its lines, and whether it was at work."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    try:
        process.wait(seconds)
        is_at_work = False
    except subprocess.TimeoutExpired:
        is_at_work = True
        os.killpg(process.pid, signal.SIGKILL)
    said, complaint = process.communicate()
    if not is_at_work and process.returncode:
        raise RuntimeError(complaint[-2000:])
    return [first, *said.splitlines()], is_at_work


def _moments(kills: int, seconds: float, seed: int) -> Iterator[float]:
    rng = random.Random(seed)
    return (rng.uniform(0.0, seconds) for _ in range(kills))


def _whole(registry: Registry) -> list[str]:
    """What is wrong with a registry."""
    problems = list(registry.problems)
    for entry in registry.entries():
        if entry.problem:
            problems.append(entry.problem)
    Recommender.load(registry.place_of(registry.current()))
    return problems


def kill_promotions(model: Path, kills: int, *, seed: int = 0) -> Left:
    """Promote to and fro."""
    left = Left()
    registry = Registry(model)
    other = registry.folder / "versions" / "other"
    if not other.exists():
        shutil.copytree(model, other, ignore=shutil.ignore_patterns("versions", "*.lock", "*.db*"))
    for seconds in _moments(kills, 0.5, seed):
        before = Registry(model).promotions()
        _, is_at_work = _kill_amid(PROMOTE, [str(model)], seconds)
        after = Registry(model)
        history = after.promotions()
        left.problems += _whole(after)
        if history[: len(before)] != before:
            left.problems.append("the history lost lines")
        if history and history[-1]["to"] != after.current():
            left.problems.append("the last promotion is not the one that serves")
        left.kills, left.in_midst = left.kills + 1, left.in_midst + is_at_work
    return left


def held_users(folder: Path) -> set[str]:
    """Everyone in any table of any model below a folder, drafts and leavings too."""
    return {
        user
        for path in folder.rglob("*.parquet*")
        for user in pl.read_parquet(path).to_dict(as_series=False).get("user_id", [])
    }


def held_bytes(users: Iterable[str], *folders: Path) -> set[str]:
    """Those of these users whose id stands in the bytes of any file below these folders."""
    names = [(user, user.encode()) for user in users]
    held: set[str] = set()
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                held |= {user for user, name in names if name in content}
    return held


def rename_users(model: Path) -> None:
    """Give the users of a saved model ids that no other bytes look like."""
    loaded = Recommender.load(model)
    data = loaded.training
    longer = pl.concat_str(pl.col("user_id").cast(pl.Utf8), pl.lit(MARK))
    renamed = replace(
        data,
        interactions=data.interactions.keep(data.interactions.frame.with_columns(longer)),
        users=Profiles.of(data.users.frame.with_columns(longer)),
    )
    replace(loaded, training=renamed).save(model)


def kill_forgetting(
    model: Path, url: str, kills: int, *, seed: int = 0, server: Path | None = None
) -> Left:
    """Forget the users of the first data one after the other; each has events in the store.

    Args:
        model: whose users `rename_users` renamed.
        server: folder of the server's files, looked into after an erasure; its write-ahead log is
            left out, as the receipt says.
    """
    left, number, gone = Left(), 0, set()
    with closing(open_store(url)) as store:
        users = [f"u{n:03d}{MARK}" for n in range(48)]
        store.append(
            [
                Event(event_id=f"e-{user}", user_id=user, item_id="s01", timestamp=time.time())
                for user in users
            ]
        ).result()
    for seconds in _moments(kills, 1.0, seed):
        lines, is_at_work = _kill_amid(FORGET, [str(model), url, str(number), "48"], seconds)
        asked = [line.split()[1] for line in lines if line.startswith("asked")]
        told = {line.split()[1] for line in lines if line.startswith("told")}
        with closing(open_store(url)) as store:
            remove_leftovers(store, Registry(model))  # as a start does
            stored = set(store.as_frame()["user_id"])
        held = held_users(model)
        gone |= {user for user in asked if user not in stored}
        places = [model, Path(url).parent] if server is None else [model]
        left.problems += [
            f"{user} stands in the bytes of files" for user in held_bytes(gone, *places)
        ]
        left.problems += [f"{user} is held after the receipt" for user in told & (stored | held)]
        left.problems += [
            f"{user} was forgotten by half" for user in asked if (user in stored) != (user in held)
        ]
        left.problems += _whole(Registry(model))
        left.kills, left.in_midst = left.kills + 1, left.in_midst + is_at_work
        number += len(told)
    if server is not None:
        with closing(open_store(url)) as store:
            erase_server(store)
            with store.reading() as connection:
                connection.exec_driver_sql("CHECKPOINT")
        held = held_bytes(gone, server / "data" / "base")
        left.problems += [f"{user} stands in the bytes of tables" for user in held]
    return left


def kill_retraining(model: Path, url: str, kills: int, *, seed: int = 0) -> Left:
    """Retrain again and again while a user of the store is forgotten."""
    left = Left()
    for number, seconds in enumerate(_moments(kills, 6.0, seed)):
        with closing(open_store(url)) as store:
            store.append(
                [
                    Event(
                        event_id=f"r{number}-{n}",
                        user_id=f"r{number}-{n % 40}",
                        item_id=f"s{n % 12:02d}",
                        kind="like",
                        timestamp=time.time(),
                    )
                    for n in range(200)
                ]
            ).result()
        _, is_at_work = _kill_amid(RETRAIN, [str(model), url, str(100 * number)], seconds)
        with closing(open_store(url)) as store:
            remove_leftovers(store, Registry(model))
        left.problems += [str(path) for path in model.rglob(".*draft*")]
        left.problems += _whole(Registry(model))
        left.kills, left.in_midst = left.kills + 1, left.in_midst + is_at_work
    return left


def kill_migrations(new_url: Callable[[int], str], kills: int, *, seed: int = 0) -> Left:
    """Open stores of an older version, each with rows in it."""
    left = Left()
    for number, seconds in enumerate(_moments(kills, 0.25, seed)):
        url = new_url(number)
        engine = sa.create_engine(known_url(url)[0])
        rows = [{"name": f"e{n}"} for n in range(20_000)]
        with engine.begin() as connection:
            migrate(connection, MIGRATIONS[:2])
            connection.execute(
                sa.text(
                    "INSERT INTO events (event_id, user_id, item_id, timestamp, kind) "
                    "VALUES (:name, 'ann', 'tea', 1, 'x')"
                ),
                rows,
            )
        engine.dispose()
        lines, _ = _kill_amid(MIGRATE, [url], seconds)
        with closing(open_store(url, as_it_is=True)) as store:
            version = check_store(store).version
            if version not in (0, 2, len(MIGRATIONS)):  # 0: the older one, where it was
                left.problems.append(f"a store was left at version {version}")
        with closing(open_store(url)) as store:
            found = check_store(store)
            left.problems += found.problems
            if found.rows["events"] != len(rows):
                left.problems.append(f"{found.rows['events']} of {len(rows)} rows are left")
        left.kills, left.in_midst = left.kills + 1, left.in_midst + ("done" not in lines)
    return left


def kill_imports(new_url: Callable[[int], str], folder: Path, kills: int, *, seed: int = 0) -> Left:
    """Import a table, kill, import it again: each of its events must be there once."""
    left, table, n_events = Left(), folder / "import.parquet", 20_000
    pl.DataFrame(
        {
            "user_id": [f"i{n % 900}" for n in range(n_events)],
            "item_id": [f"s{n % 48:02d}" for n in range(n_events)],
            "timestamp": [1.7e9 + n for n in range(n_events)],
        }
    ).write_parquet(table)
    for number, seconds in enumerate(_moments(kills, 2.0, seed)):
        url = new_url(number)
        lines, _ = _kill_amid(IMPORT, [url, str(table)], seconds)
        _kill_amid(IMPORT, [url, str(table)], 120.0)
        with closing(open_store(url)) as store:
            stored = store.as_frame()
            left.problems += check_store(store).problems
        once = stored.select("user_id", "item_id", "timestamp").n_unique()
        if not once == stored.height == n_events:
            left.problems.append(f"{stored.height} rows of {n_events} events, {once} of them once")
        left.kills, left.in_midst = left.kills + 1, left.in_midst + ("done" not in lines)
    return left


def kill_merges(url: str, kills: int, *, seed: int = 0) -> Left:
    """Merge anonymous users into customers one after the other; each anonymous user has three
    events, an own profile, a slate and a friend. Whoever is forgotten afterwards stands nowhere, by
    no id.
    """
    left, number, n_pairs = Left(), 0, 2_000
    with closing(open_store(url)) as store:
        for n in range(n_pairs):
            _store_visitor(store, n)
    for seconds in _moments(kills, 0.4, seed):
        lines, is_at_work = _kill_amid(MERGE, [url, str(number)], seconds)
        told = [int(line.split()[1]) for line in lines if line.startswith("told")]
        number = max([number, *(n + 1 for n in told)])
        with closing(open_store(url)) as store:
            held = Counter(store.as_frame()["user_id"])
            left.problems += check_store(store).problems
        for n in range(min(number + 2, n_pairs)):
            theirs = held[f"anonymous user-{n}{MARK}"], held[f"customer-{n}{MARK}"]
            if theirs != (0, 4) and (n < number or theirs != (3, 1)):
                left.problems.append(f"pair {n} holds {theirs} events")
        left.kills, left.in_midst = left.kills + 1, left.in_midst + is_at_work
    with closing(open_store(url)) as store:
        if store.is_sqlite:
            left.problems += _forgotten_pairs(store, Path(url), range(min(number, 5)))
    return left


def _store_visitor(store: Store, number: int) -> None:
    visitor, customer = f"anonymous user-{number}{MARK}", f"customer-{number}{MARK}"
    owners = [visitor] * 3 + [customer]
    store.append(
        [
            Event(event_id=f"{n}", user_id=user, item_id=f"s{n:02d}", timestamp=1.7e9 + n)
            for n, user in enumerate(owners)
        ]
    )
    store.put_profile(visitor, {"home": "north"})
    done = store.put_friends(visitor, {"u001": 1.0})
    if number % 500 == 0:
        done.result()  # the queue before the writer has an end


def _forgotten_pairs(store: Store, file: Path, numbers: Iterable[int]) -> list[str]:
    names = [f"{who}-{n}{MARK}" for n in numbers for who in ("visitor", "customer")]
    for name in names[1::2]:
        forget(store, name)
    return [f"{name} stands in the bytes of the store" for name in held_bytes(names, file.parent)]

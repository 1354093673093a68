"""`metarec store`: checks an event store, migrates it, rewrites it without deleted rows, and
repeats requests to be forgotten that a restored one lacks.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metarec.app.commands.options import Json, show

if TYPE_CHECKING:
    from metarec.feedback.store.event_store import Store

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Url = Annotated[
    str,
    typer.Argument(
        metavar="URL",
        help="A SQLite file or postgresql://...; ?schema=NAME says in which schema its tables lie, "
        "metarec unless given.",
    ),
]


@app.callback()
def store() -> None:
    """Look after an event store."""


@app.command("check", short_help="The version of a store, and whether it is intact.")
def check(url: Url, as_json: Json = False) -> None:
    """Print the version of a store, its numbers of rows, and whether it is intact; nothing is
    changed.

    Exit code 2 where it must be migrated or is damaged.
    """
    from dataclasses import asdict

    from metarec.feedback.checks import check_store

    with closing(_opened(url, as_it_is=True)) as opened:
        state = check_store(opened)
    lines = [
        f"version {state.version} of {state.newest}",
        *(f"{name}: {count:,} rows" for name, count in state.rows.items()),
        *(
            [f"forgotten since the files were rewritten: {state.to_erase}"]
            if state.to_erase
            else []
        ),
        *_of_requests(state.forgotten_until),
        *(f"PROBLEM: {problem}" for problem in state.problems),
    ]
    show(asdict(state), "\n".join(lines), as_json=as_json)
    if state.problems:
        raise typer.Exit(2)


def _of_requests(until: float | None) -> list[str]:
    """Return the line on the last request to be forgotten, which tells what a restored backup
    lacks.
    """
    import time

    if until is None:
        return []
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(until))
    return [
        f"last request to be forgotten: {at}; after a restore, repeat later ones: metarec store "
        f"forget-again URL RECEIPTS"
    ]


@app.command("migrate", short_help="Bring a store up to date.")
def migrate(url: Url, as_json: Json = False) -> None:
    """Bring a store up to date: all of it or nothing. Stop the services of the older version first.

    `serve` and `retrain` do the same when they open a store.
    """
    from dataclasses import asdict

    from metarec.feedback import open_store

    _opened(url, as_it_is=True).close()  # a missing file is no store to be; an empty one is
    with closing(open_store(url)) as opened:
        done = opened.migrated
    assert done is not None, "it was opened to be migrated"
    moved = f", its tables moved out of the schema {done.moved_from}" if done.moved_from else ""
    steps = f"{done.steps} steps applied" if done.steps else "nothing to do"
    show(asdict(done), f"version {done.version}: {steps}{moved}", as_json=as_json)


@app.command("erase", short_help="Rewrite a store's files without deleted rows.")
def erase(url: Url, as_json: Json = False) -> None:
    """Rewrite a store's files so that not even the bytes of deleted rows can be read from them.

    On PostgreSQL each table is locked meanwhile, and all clients wait: run it at night.
    """
    from metarec.feedback.erasing import erase as erase_file
    from metarec.feedback.erasing import erase_server
    from metarec.feedback.events import StoreUnavailable

    with closing(_opened(url)) as opened:
        if not opened.is_sqlite:
            erase_server(opened)
        elif not erase_file(opened):
            raise StoreUnavailable(
                "the file is in use, or the disk is too full to write it anew; run it again later"
            )
    show({"erased": True}, "rewritten without deleted rows", as_json=as_json)


@app.command("forget-again", short_help="Repeat requests that a restored store lacks.")
def forget_again(
    url: Url,
    receipts: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Receipts as `metarec forget --json` or the service gave them."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Repeat the requests to be forgotten that a restored store does not know, from receipts.

    Receipts name no user: they hold keyed digests, whose key is in the store.
    """
    from dataclasses import asdict

    from metarec.feedback.forgetting_again import forget_again as repeat
    from metarec.feedback.forgetting_again import read_receipts

    requests = read_receipts(receipts)
    with closing(_opened(url)) as opened:
        done = repeat(opened, requests)
    rows = sum(done.rows_deleted.values())
    lines = [
        f"receipts: {done.requests:,}, known to the store: {done.known:,}, rows deleted: {rows:,}",
        "next: start the service or retrain, which takes these users out of the models",
    ]
    show(asdict(done), "\n".join(lines), as_json=as_json)


def _opened(url: str, *, as_it_is: bool = False) -> Store:
    from metarec.feedback import open_store

    return open_store(url, create=False, as_it_is=as_it_is)

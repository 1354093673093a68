"""`metarec serve`, `retrain`, `forget`: a model in service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metarec.app.commands.options import Json, Model, Seed, show

if TYPE_CHECKING:
    from metarec.feedback.forgetting import ForgetReceipt

Store = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Event store: a SQLite file or postgresql://...; "
        "events.db in the model's folder unless given.",
    ),
]


def serve(
    model: Model,
    store: Store = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen at; 127.0.0.1 unless given.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen at; 8000 unless given.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve.")] = None,
    settings: Annotated[
        Path | None, typer.Option(help="TOML file with any setting of the service.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Serve a model over HTTP, with a page to play with, until Ctrl-C."""
    from metarec.app.service.run import serve as run
    from metarec.app.service.settings import load_settings

    where = load_settings(
        settings, model=str(model), store=store, host=host, port=port, workers=workers
    )
    url = f"http://{where.host}:{where.port}"
    run(
        str(model),
        store,
        host=host,
        port=port,
        workers=workers,
        settings_file=None if settings is None else str(settings),
        checked=lambda: show(
            {"url": url, "docs": f"{url}/docs", "store": where.store_url},
            f"{url}       the page\n{url}/docs  the HTTP interface\nCtrl-C stops it",
            as_json=as_json,
        ),
    )


def forget(
    model: Model,
    user: Annotated[str, typer.Option(help="Id of the user who asks to be forgotten.")],
    store: Store = None,
    data: Annotated[
        str | None,
        typer.Option(help="What the models were fitted on, to see whether it holds the user."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Delete everything kept of a user in the store and in model folders, and give a receipt that
    lists every place.
    """
    from dataclasses import asdict

    from metarec.app.service.settings import load_settings
    from metarec.feedback import open_store
    from metarec.feedback.forgetting import forget as forget_user
    from metarec.feedback.registry import Registry

    models = Registry(model)
    where = load_settings(None, model=str(model), store=store, data=data)
    events = open_store(
        where.store_url, create=False
    )  # an empty one would hold nobody, and its receipt would say that all went well
    try:
        receipt = forget_user(events, user, models=models, data=where.data)
    finally:
        events.close()
    show(asdict(receipt), _receipt(receipt), as_json=as_json)


def _receipt(receipt: ForgetReceipt) -> str:
    rows = ", ".join(f"{count} {table}" for table, count in receipt.rows_deleted.items())
    if not any(receipt.rows_deleted.values()):
        rows = "nothing: the store holds no event, slate or attribute of this user"
    places = [
        f"  {one.place}: {f'{one.removed} removed, ' if one.removed else ''}"
        f"{f'STILL HOLDS {one.still_holds}' if one.still_holds else 'nothing left'}"
        for one in receipt.places
    ]
    return "\n".join(
        [
            f"receipt {receipt.receipt_id}",
            f"deleted: {rows}",
            f"model: {receipt.in_model}",
            "places:",
            *places,
        ]
    )


def retrain(
    model: Model,
    store: Store = None,
    data: Annotated[
        str | None,
        typer.Option(help="What the first model was fitted on; what the model keeps unless given."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote whatever was measured.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train a challenger on old and new events; promote it only if it is not worse overall, for
    new users, or for any group.
    """
    from metarec.app.retraining.loop import retrain as run
    from metarec.app.service.settings import load_settings

    where = load_settings(None, model=str(model), store=store)
    done = run(
        str(model),
        where.store_url,
        data=data,
        seed=seed,
        force=force,
        keep=where.keep_versions,
    )
    verdicts = [
        f"  {'ok ' if verdict.passed else 'NOT'} {verdict.sentence}"
        for verdict in done.decision.verdicts
    ]
    head = f"{'promoted' if done.promoted else 'refused'}: {done.decision.reason}"
    show(
        done.as_dict(),
        "\n".join(
            [
                head,
                f"champion {done.champion}, challenger {done.challenger}, {done.events_new:,} new "
                f"events, "
                f"{done.judges:,} people to judge by",
                *verdicts,
            ]
        ),
        as_json=as_json,
    )

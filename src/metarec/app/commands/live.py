"""`metarec serve`, `import`, `retrain`, `forget`: a model in service."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metarec.app.commands.options import Json, Seed, choose_device, command_of, show

if TYPE_CHECKING:
    from metarec.app.importing import Imported
    from metarec.app.retraining.loop import Retrained
    from metarec.app.service.settings import ServiceSettings
    from metarec.feedback.forgetting import ForgetReceipt

Store = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Event store: a SQLite file or postgresql://...; "
        "events.db in the model's folder unless given.",
    ),
]


ServedModel = Annotated[
    Path | None,
    typer.Argument(
        metavar="[MODEL]",
        help="A model folder; the setting `model`, or METAREC_MODEL, unless given.",
    ),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", help="TOML file with any setting of the service."),
]


def _named(model: Path | None) -> str | None:
    return None if model is None else str(model)


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Serve a model over HTTP, with a page to play with, until Ctrl-C."""

    model: ServedModel = None
    store: Store = None
    host: Annotated[
        str | None, typer.Option(help="Address to listen at; 127.0.0.1 unless given.")
    ] = None
    port: Annotated[int | None, typer.Option(help="Port to listen at; 8000 unless given.")] = None
    workers: Annotated[int | None, typer.Option(help="Processes that serve.")] = None
    backend: Annotated[
        str | None,
        typer.Option(help="Where the catalog is scored: here, or ray, by shards on a Ray cluster."),
    ] = None
    shards: Annotated[
        int | None, typer.Option(help="On Ray: slices of the catalog, each scored by itself.")
    ] = None
    replicas: Annotated[
        int | None, typer.Option(help="On Ray: processes that score each slice.")
    ] = None
    settings: SettingsFile = None
    mcp: Annotated[
        bool,
        typer.Option("--mcp", help="Answer agents at /mcp: recommend, explain, similar, search."),
    ] = False
    as_json: Json = False

    def run(self) -> None:
        """Serve, and print the address once model and store are known to be readable."""
        from metarec.app.service.run import serve as run
        from metarec.app.service.settings_sources import load_settings

        flags: dict[str, Any] = {
            "store": self.store,
            "host": self.host,
            "port": self.port,
            "workers": self.workers,
            "mcp": self.mcp or None,
            "backend": self.backend,
            "shards": self.shards,
            "replicas": self.replicas,
        }
        where = load_settings(self.settings, model=_named(self.model), **flags)
        file = None if self.settings is None else str(self.settings)
        run(where.model, settings_file=file, checked=partial(self._say, where), **flags)

    def _say(self, where: ServiceSettings, port: int) -> None:
        url = f"http://{where.host}:{port}"
        show(
            {"url": url, "docs": f"{url}/docs", "store": where.store_url},
            f"{url}       the page\n{url}/docs  the HTTP interface\nCtrl-C stops it",
            as_json=self.as_json,
        )


serve = command_of(Serve)


def import_(
    model: ServedModel = None,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="What users did, as for `metarec fit`; what the model was fitted on unless given.",
        ),
    ] = None,
    store: Store = None,
    settings: SettingsFile = None,
    as_json: Json = False,
) -> None:
    """Import the events of users into the event store, so that the service knows them; done again,
    it adds only what is new.
    """
    from contextlib import closing

    from metarec.app.importing import import_data
    from metarec.app.jobs import IMPORT, recorded
    from metarec.app.service.settings_sources import load_settings
    from metarec.data.cleaning import read_clean
    from metarec.feedback import open_store
    from metarec.feedback.registry import Registry
    from metarec.recommender import Recommender
    from metarec.runtime.progress import combined_progress, on_terminal

    where = load_settings(settings, model=_named(model), store=store)
    registry = Registry(where.model)
    loaded = Recommender.load(registry.place_of(registry.current()))
    with recorded(registry.folder, IMPORT) as job, on_terminal(show=not as_json) as bars:
        table = loaded.training_data() if data is None else read_clean(data)[0]
        loaded.policy_check.refuse_misspelled(dict.fromkeys(table.users.attributes))
        with closing(open_store(where.store_url)) as opened:
            both = combined_progress(job, bars)
            done = import_data(opened, table, loaded.vocabulary, progress=both)
        job.outcome = f"{done.events:,} events stored, {done.known:,} were known or copies"
    lines = [*_imported(done), f"next: metarec serve {where.model}"]
    show(done.as_dict(), "\n".join(lines), as_json=as_json)


def _imported(done: Imported) -> list[str]:
    """Return the result of an import, in lines."""
    lines = [
        f"{done.events:,} events stored, {done.known:,} were known or copies, "
        f"{done.profiles:,} profiles",
        f"friends of {done.friends:,} users, {done.searches:,} searches",
    ]
    if done.forgotten:
        lines.append(f"{done.forgotten:,} of users who asked to be forgotten")
    if done.untimed:
        lines.append(
            f"{done.untimed:,} have no time: they count as older than all events of the service, "
            f"and as old as this import where old events are deleted"
        )
    if done.drawn_times:
        lines.append(
            f"{done.drawn_times:,} have no time where others have one: they are stored as in the "
            f"second before the first of these, in a random order"
        )
    if done.untimed_searches:
        lines.append(f"{done.untimed_searches:,} searches left out: they have no time")
    if done.unknown_items:
        lines.append(f"{done.unknown_items:,} on items that the model does not know")
    return lines


def forget(
    model: ServedModel = None,
    *,
    user: Annotated[str, typer.Option(help="Id of the user who asks to be forgotten.")],
    store: Store = None,
    settings: SettingsFile = None,
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

    from metarec.app.service.settings_sources import load_settings
    from metarec.feedback import open_store
    from metarec.feedback.forgetting import forget as forget_user
    from metarec.feedback.registry import Registry

    where = load_settings(settings, model=_named(model), store=store, data=data)
    models = Registry(where.model)
    # Not created: the receipt of an empty store would say that the user is forgotten.
    events = open_store(where.store_url, create=False)
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
    model: ServedModel = None,
    store: Store = None,
    data: Annotated[
        str | None,
        typer.Option(help="What the first model was fitted on; what the model keeps unless given."),
    ] = None,
    settings: SettingsFile = None,
    force: Annotated[bool, typer.Option("--force", help="Promote whatever was measured.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train a challenger on old and new events; promote it only if it is not worse overall, for
    new users, or for any group.
    """
    from metarec.app.retraining.loop import retrain as run
    from metarec.app.service.settings_sources import load_settings
    from metarec.runtime.logs import setup_logs

    where = load_settings(settings, model=_named(model), store=store, data=data)
    setup_logs(where.log_level, as_json=where.log_json and not sys.stderr.isatty())
    choose_device(where.device)
    done = run(
        where.model,
        where.store_url,
        data=where.data or None,
        seed=seed,
        force=force,
        keep=where.keep_versions,
    )
    show(done.as_dict(), _retrained(done), as_json=as_json)


def _retrained(done: Retrained) -> str:
    """Return the result of a round, as text."""
    checks = [
        f"  {'ok ' if check.passed else 'NOT'} {check.sentence}" for check in done.decision.checks
    ]
    outcome = "promoted" if done.promoted else "refused"
    return "\n".join(
        [
            f"{'promoted by force, although' if done.is_forced else outcome}: "
            f"{done.decision.reason}",
            f"champion {done.champion}, challenger {done.challenger}, {done.events_new:,} new "
            f"events, {done.test_users:,} users to evaluate on",
            *_not_learned(done),
            *checks,
        ]
    )


def _not_learned(done: Retrained) -> list[str]:
    """Return lines on the new events that the challenger was not trained on."""
    lines = []
    if done.events_of_holdout:
        lines.append(
            f"{done.events_of_holdout:,} further new events are of users kept out of training to "
            f"evaluate on"
        )
    if done.events_left_out:
        lines.append(f"{done.events_left_out:,} further new events were left out by the cleaning")
    return lines

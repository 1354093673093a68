"""`metarec ab`: A/B experiments of a service, in its event store; workers follow within a
second.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metarec.app.commands.ab_options import arm_of, guardrails_of
from metarec.app.commands.options import (
    Json,
    Model,
    command_language,
    command_of,
    note,
    show,
    table,
    write_page,
)

if TYPE_CHECKING:
    from metarec.app.service.settings import ServiceSettings
    from metarec.feedback.experiments.experiment import Experiment
    from metarec.feedback.experiments.results import Comparison, Results
    from metarec.feedback.store.event_store import Store

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The experiment.")]
Url = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Event store: a SQLite file or postgresql://...; events.db in the model's folder "
        "unless given.",
    ),
]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="TOML file with the settings of the service.")
]
Reason = Annotated[str, typer.Option(help="Why; kept with the experiment.")]


@app.callback()
def ab() -> None:
    """Compare models and settings on a part of the users each (A/B)."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """Start an experiment, after a check that each arm can serve.

    A user's arm follows from the names of experiment and user, so it stays the same everywhere.
    """

    model: Model
    name: Name
    arm: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=SHARE,...",
            help="An arm and its share of all users, the control first: control=0.5, or "
            "new=0.5,model=VERSION,explore=0.5,diversity=0.2,cold_share=0.1,filter=FILTER with "
            "what it sets; the filter stands last.",
        ),
    ]
    measure: Annotated[
        str, typer.Option(help="What arms are compared by: clicks, conversions or reward.")
    ] = "conversions"
    window_hours: Annotated[
        float, typer.Option(help="How long after their first slate a user's acts count.")
    ] = 24.0
    alpha: Annotated[
        float, typer.Option(help="Chance that an arm as good as the control is called different.")
    ] = 0.05
    new_below: Annotated[
        int, typer.Option(help="Users with fewer events at their first slate are new.")
    ] = 5
    guardrail: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="max_error_share, max_latency_ratio, min_coverage_ratio, max_refusals or "
            "min_slates; 0 switches one off.",
        ),
    ] = None
    store: Url = None
    settings: SettingsFile = None
    as_json: Json = False

    def run(self) -> None:
        """Start the experiment and print it."""
        from metarec.app.experiments import begin
        from metarec.app.lost_prohibitions import lost_prohibitions
        from metarec.data.schema import BadInput
        from metarec.feedback.registry import Registry

        planned = self._planned()
        with _opened(self.model, self.store, self.settings, create=True) as (opened, where):
            if not where.log_slates:
                raise BadInput("slates are not kept (log_slates), so nothing can be counted")
            keep = where.keep_slates_days
            done = begin(opened, Registry(where.model), planned, keep_slates_days=keep)
            lines = lost_prohibitions(Registry(where.model), [one.model for one in done.arms])
        for line in lines:
            note(f"metarec: note: {line}")
        arms = ", ".join(f"{one.name} {one.share:.0%} ({one.model})" for one in done.arms)
        show({**done.as_dict(), "notes": lines}, f"{self.name} runs: {arms}", as_json=self.as_json)

    def _planned(self) -> Experiment:
        """Return the experiment that the options describe.

        Raises:
            BadInput: if there is no such guardrail, or a value cannot be read.
        """
        from metarec.feedback.experiments.experiment import Experiment

        return Experiment(
            name=self.name,
            arms=[arm_of(text) for text in self.arm],
            measure=self.measure,
            window_hours=self.window_hours,
            alpha=self.alpha,
            new_below=self.new_below,
            guardrails=guardrails_of(self.guardrail),
        )


app.command("start", short_help="Start an experiment.")(command_of(Start))


@app.command("list", short_help="All experiments.")
def every(
    model: Model, store: Url = None, settings: SettingsFile = None, as_json: Json = False
) -> None:
    """List all experiments, the newest first."""
    from metarec.feedback.experiments.experiment import experiments
    from metarec.runtime.language import WORDS, translated

    with _opened(model, store, settings) as (opened, _):
        listed = experiments(opened)
    # Here, not as a cell of the table: an experiment may be called `stopped`
    status = {one.status: translated(one.status, command_language(), WORDS) for one in listed}
    rows = [[one.name, status[one.status], _date(one.started_at), one.reason] for one in listed]
    text = table(["name", "status", "started", "why it ended"], rows) if rows else "none yet"
    show({"experiments": [one.as_dict() for one in listed]}, text, as_json=as_json)


@app.command("show", short_help="What an experiment shows so far.")
def one(
    model: Model,
    name: Name,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the page of a report here.")
    ] = None,
    store: Url = None,
    settings: SettingsFile = None,
    as_json: Json = False,
) -> None:
    """Show each arm's numbers and how it differs from the control.

    The intervals hold at all times together: look as often as you like. Each user counts once.
    """
    from metarec.feedback.experiments.experiment import ExperimentConflict, experiment_named
    from metarec.feedback.experiments.results import results

    with _opened(model, store, settings, name) as (opened, _):
        experiment = experiment_named(opened, name)
        if experiment is None:
            raise ExperimentConflict(f"there is no experiment {name!r}; `metarec ab list` has all")
        counted = results(opened, experiment, time.time())
    if out is not None:
        write_page(out, "--out", _page(experiment, counted))
    show(
        {"experiment": experiment.as_dict(), "results": counted.as_dict()},
        _as_text(experiment, counted),
        as_json=as_json,
    )


@app.command("stop", short_help="Stop an experiment, or one arm.")
def stop(
    model: Model,
    name: Name,
    arm: Annotated[str | None, typer.Option(help="Only this arm.")] = None,
    reason: Reason = "asked on the command line",
    store: Url = None,
    settings: SettingsFile = None,
    as_json: Json = False,
) -> None:
    """Stop an experiment, or one arm of it: its users get what all other users get."""
    from metarec.feedback.experiments.experiment import stop as end

    with _opened(model, store, settings, name) as (opened, _):
        done = end(opened, name, reason, arm=arm)
        if done.status == "running":
            show(done.as_dict(), f"{name} runs on without arm {arm}: {reason}", as_json=as_json)
        else:
            _say(done, as_json=as_json)


@app.command("promote", short_help="Serve an arm to all users.")
def promote(
    model: Model,
    name: Name,
    arm: Annotated[str, typer.Argument(metavar="ARM", help="The arm.")],
    reason: Reason = "asked on the command line",
    store: Url = None,
    settings: SettingsFile = None,
    as_json: Json = False,
) -> None:
    """Serve the model and settings of an arm to all users; the experiment ends."""
    from metarec.app.experiments import promote_arm
    from metarec.feedback.registry import Registry

    with _opened(model, store, settings, name) as (opened, where):
        _say(promote_arm(opened, Registry(where.model), name, arm, reason), as_json=as_json)


@app.command("roll-back", short_help="Take a promotion back.")
def back(
    model: Model,
    name: Name,
    reason: Reason = "asked on the command line",
    store: Url = None,
    settings: SettingsFile = None,
    as_json: Json = False,
) -> None:
    """Roll the promotion of an arm back: the model and settings from before it are served again."""
    from metarec.app.experiments import roll_back
    from metarec.feedback.registry import Registry

    with _opened(model, store, settings, name) as (opened, where):
        _say(roll_back(opened, Registry(where.model), name, reason), as_json=as_json)


@contextmanager
def _opened(
    model: Path,
    store: str | None,
    settings: Path | None,
    name: str | None = None,
    *,
    create: bool = False,
) -> Iterator[tuple[Store, ServiceSettings]]:
    """Open the store and read the settings in effect.

    Args:
        name: an experiment that must be in the store; with it a missing store is reported as a
            missing experiment.
    """
    from contextlib import closing

    from metarec.app.service.settings_sources import load_settings
    from metarec.data.schema import BadInput
    from metarec.feedback import open_store

    where = load_settings(settings, model=str(model), store=store)
    try:
        opened_store = open_store(where.store_url, create=create)
    except FileNotFoundError as error:
        if name is None:
            raise
        raise BadInput(f"there is no experiment {name!r}: {error}") from error
    with closing(opened_store) as opened:
        yield opened, where


def _say(done: Experiment, *, as_json: bool) -> None:
    winner = f", arm {done.winner}" if done.winner else ""
    show(done.as_dict(), f"{done.name} is {done.status}{winner}: {done.reason}", as_json=as_json)


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


ARM_COLUMNS = ["arm", "users", "closed", "slates", "clicks", "conversions", "refusals", "errors"]


def _as_text(experiment: Experiment, results: Results) -> str:
    lines = [
        _head(experiment),
        table([*ARM_COLUMNS, "p99 ms"], _arm_rows(results)),
        *_sentences(experiment, results),
        *(f"NOTE: {warning}" for warning in results.warnings),
    ]
    return "\n".join(lines)


COMPARED = {
    "clicks": "the share of users who clicked",
    "conversions": "the share of users who converted",
    "reward": "the items taken of a slate",
}
"""Measure -> what of each user it is that the arms are compared by."""


def _head(experiment: Experiment) -> str:
    return (
        f"{experiment.name}: {experiment.status}, compared by {COMPARED[experiment.measure]}; "
        f"users whose {experiment.window_hours:g} hours are over count, each once"
    )


def _arm_rows(results: Results) -> list[list[Any]]:
    return [
        [
            arm.name,
            f"{arm.users:,}",
            f"{arm.users_closed:,}",
            f"{arm.slates:,}",
            f"{arm.clicks:,}",
            f"{arm.conversions:,}",
            f"{arm.refusals:,}",
            f"{arm.error_share:.1%}",
            "-" if arm.p99_ms is None else f"{arm.p99_ms:.1f}",
        ]
        for arm in results.arms
    ]


def _sentences(experiment: Experiment, results: Results) -> list[str]:
    of_measure = [one for one in results.comparisons if one.measure == experiment.measure]
    return [
        *map(_sentence, of_measure),
        *(f"{arm} was stopped: {why}" for arm, why in experiment.stopped.items()),
        f"outside: {results.anonymous:,} slates without a user id",
    ]


def _page(experiment: Experiment, results: Results) -> str:
    """Return the results as a page in the style of reports."""
    from html import escape

    from metarec.runtime.report_page import html_table, report_page

    lines = "".join(f"<li>{escape(line)}</li>" for line in _sentences(experiment, results))
    others = [
        [one.measure, one.arm, one.group, f"{one.users:,}", _numbers(one)]
        for one in results.comparisons
    ]
    body = [
        *(f'<p class="caution">{escape(warning)}</p>' for warning in results.warnings),
        f"<h2>Against the control</h2><ul>{lines}</ul>",
        f"<h2>Arms</h2>{html_table([*ARM_COLUMNS, 'p99 ms'], _arm_rows(results))}",
        "<h2>Every measure</h2>",
        html_table(["measure", "arm", "group", "users", "difference"], others, words=(0, 1, 2)),
    ]
    head = f"{_head(experiment)}; intervals hold at all times."
    return report_page(f"Experiment {experiment.name}", head, "\n".join(body))


def _numbers(one: Comparison) -> str:
    if one.low is None or one.high is None:
        return "too few to say"
    return f"{one.difference:+.4g} [{one.low:+.4g}, {one.high:+.4g}]"


def _sentence(one: Comparison) -> str:
    if one.low is None or one.high is None:
        return f"{one.arm}, {one.group} users: too few to say ({one.users:,} counted)"
    outcome = "better" if one.is_better else "worse" if one.is_worse else "no difference shown yet"
    interval = f"{one.difference:+.4g} [{one.low:+.4g}, {one.high:+.4g}]"
    return (
        f"{one.arm}, {one.group} users: {one.arm_mean:.4g} to the control's "
        f"{one.control_mean:.4g}, {interval}: {outcome}"
    )

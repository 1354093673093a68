"""`metarec fit`: fits a recommender on a table of events and saves it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metarec.app.commands.fit_data import held_out_left_out, with_mitigation
from metarec.app.commands.options import (
    Backend,
    Device,
    Domain,
    Encoder,
    ItemTemplate,
    Json,
    PictureEncoder,
    Pictures,
    Preset,
    Prior,
    Seed,
    Source,
    UserTemplate,
    Workers,
    check_pictures,
    choose_device,
    command_of,
    note,
    show,
)

if TYPE_CHECKING:
    from metarec.data.cleaning.report import DataReport
    from metarec.data.dataset import Dataset
    from metarec.evaluation.tuning import Tuned
    from metarec.recommendation.settings import Settings
    from metarec.recommender import Recommender
    from metarec.runtime.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of a fit."""

    model: Recommender
    tuned: Tuned | None
    mitigation: str | None
    """What the mitigation of bias did, in a sentence."""
    events: int
    users: int
    held_out: int
    seconds: float
    removed: int
    """Events removed by cleaning."""
    policy: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, without the options of the command."""
        return {
            "events": self.events,
            "users": self.users,
            "held_out": self.held_out,
            "items": len(self.model.catalog),
            "seconds": round(self.seconds, 2),
            "removed_by_cleaning": self.removed,
            "encoder": self.model.item_inputs.encoder.name,
            "encoder_reason": self.model.item_inputs.reason,
            "notes": self.model.notes,
            "mitigation": self.mitigation,
            "tuned": self.tuned.to_dict() if self.tuned else None,
            "policy": self.policy,
        }


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Train a recommender: clean, read content, learn from behavior, learn to adapt, save."""

    data: Source
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL", help="Folder of the model; an older model there is replaced."
        ),
    ] = None
    preset: Preset = "small"
    encoder: Encoder = "auto"
    pictures: Pictures = None
    picture_encoder: PictureEncoder = "auto"
    learner: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A meta-learner, an encoder of behavior (decoder, encoder, encoder_decoder, "
            "gru4rec, caser), or user_text, that joins the model as a score component of its own; "
            "see docs/guide/which-meta-learner.md.",
        ),
    ] = None
    added: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="A model of no preset, or one that you registered, that takes part too; may be "
            "repeated; see docs/guide/extending.md.",
        ),
    ] = None
    item_template: ItemTemplate = None
    user_template: UserTemplate = None
    domain: Domain = None
    prior: Prior = None
    mitigate: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Train with a mitigation of bias: reweighting, upsampling or gan (with --by), or "
            "inverse-propensity; see docs/guide/auditing-and-mitigating-bias.md.",
        ),
    ] = None
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="With --mitigate: the attribute that tells groups apart."
        ),
    ] = None
    hold_out: Annotated[
        float,
        typer.Option(
            help="Share of users, in [0, 1), kept out of training, so that the model can be "
            "audited on unseen users."
        ),
    ] = 0.0
    clean: Annotated[
        bool,
        typer.Option(help="Clean the data first; `metarec data check` says what that takes out."),
    ] = True
    seed: Seed = 0
    device: Device = None
    resume: Annotated[
        bool,
        typer.Option(
            help="Keep finished steps beside MODEL until it is written, and go on from those of "
            "the same fit that was killed."
        ),
    ] = True
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Say what the fit will cost and thin, from counted work; fit nothing."
        ),
    ] = False
    tune: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            help="Search the settings of the models for that long first, by users held out; needs "
            "metarec[hpo].",
        ),
    ] = None
    workers: Workers = 1
    backend: Backend = "here"
    as_json: Json = False

    def run(self) -> None:
        """Fit, save, and print a summary."""
        choose_device(self.device)
        from metarec.app.reports import DATA, keep_report
        from metarec.data.policy_facts import policy_facts

        start = self._start()
        settings = self._settings()
        table, report = self._read()
        part = held_out_left_out(table, self.hold_out, self.seed)
        learned, weights, done = with_mitigation(part, self.mitigate, self.by, self.seed)
        if self.plan or self.out is None:
            self._say_plan(learned, settings)
            return
        began = time.perf_counter()
        how = partial(self._fit_on, prior=start, user_weights=weights)
        model, tuned = self._fitted(learned, settings, how, self.out)
        seconds = time.perf_counter() - began
        model.save(self.out)
        keep_report(self.out, DATA, report.to_dict(), by="metarec fit")
        outcome = Outcome(
            model=model,
            tuned=tuned,
            mitigation=done,
            events=len(learned.interactions),
            users=_n_users(part),
            held_out=_n_users(table) - _n_users(part),
            seconds=seconds,
            removed=report.removed,
            policy=policy_facts(table, model.policy),
        )
        self._say(outcome)

    def _start(self) -> Recommender | None:
        """Return the model to start from, after checks that refuse wrong options before the work
        begins.

        Raises:
            BadInput: if there is no place for the model, no such backend, share of users,
                mitigation or time to tune, or no pictures to read.
        """
        from metarec.data.schema import BadInput
        from metarec.fairness.mitigation.training import check_mitigation
        from metarec.recommender import Recommender
        from metarec.runtime.artifacts import check_place
        from metarec.runtime.jobs import check_backend

        start = None if self.prior is None else Recommender.load(self.prior)
        if self.out is None and not self.plan:
            raise BadInput("--out MODEL is missing: the folder that the model is written to")
        if self.out is not None:
            check_place(self.out)
        check_backend(self.workers, self.backend)
        if not 0.0 <= self.hold_out < 1.0:
            raise BadInput(f"--hold-out must lie in [0, 1), got {self.hold_out}")
        check_mitigation(self.mitigate, self.by)
        check_pictures(self.pictures, self.picture_encoder)
        if self.tune is not None:
            from metarec.evaluation.tuning import check_minutes

            check_minutes(self.tune)
        return start

    @property
    def _chosen(self) -> dict[str, Any]:
        """Options that are also fields of `Settings`, without those of single models."""
        shared = ("preset", "seed", "encoder", "learner", "item_template", "user_template")
        return {name: getattr(self, name) for name in shared}

    def _settings(self) -> Settings:
        from metarec.data.schema import BadInput
        from metarec.models.registry import USER_TEXT
        from metarec.recommendation.settings import Settings

        settings = Settings(
            **self._chosen,
            # Settings converts these dicts to configs, which its type does not say
            models={name: {} for name in self.added or ()},  # type: ignore[misc]
        )
        if self.user_template is not None and USER_TEXT not in settings.scorers:
            raise BadInput(
                f"--user-template says how users are written, but no model reads them; add "
                f"--learner {USER_TEXT}"
            )
        return settings

    def _read(self) -> tuple[Dataset, DataReport]:
        """Read the data to fit on, and the report of the cleaning."""
        from metarec.data.cleaning import OFF, read_clean
        from metarec.features.pictures import with_pictures

        table, report = read_clean(self.data, None if self.clean else OFF, domain=self.domain)
        note(f"{report.events_read:,} events read, {report.removed:,} removed by cleaning")
        for finding in report.findings:
            if finding.action == "noted":
                note(f"metarec: note: {finding.line()}")
        if self.pictures is not None:
            table, missed = with_pictures(table, self.pictures, encoder=self.picture_encoder)
            note("; ".join(["pictures read", *missed]))
        return table, report

    def _say_plan(self, data: Dataset, settings: Settings) -> None:
        from metarec.data.schema import BadInput
        from metarec.recommendation.fitting.plan import plan_fit
        from metarec.runtime.pace import pace

        if self.tune is not None:
            raise BadInput(
                f"--plan counts one fit, --tune {self.tune:g} makes many: give one of them"
            )
        planned = plan_fit(data, settings, self.workers).at(pace())
        show(planned.to_dict(), "\n".join(planned.lines()), as_json=self.as_json)

    def _fit_on(self, data: Dataset, **more: Any) -> Recommender:
        from metarec.recommender import Recommender

        return Recommender.fit(
            data, **self._chosen, workers=self.workers, backend=self.backend, **more
        )

    def _fitted(
        self, data: Dataset, settings: Settings, fit_on: Callable[..., Recommender], out: Path
    ) -> tuple[Recommender, Tuned | None]:
        """Fit; return the model, and the result of `--tune`. Finished steps are kept beside `out`
        meanwhile.
        """
        from metarec.recommendation.fitting.steps import steps_folder
        from metarec.runtime.progress import on_terminal

        steps = steps_folder(out) if self.resume else None
        if steps is not None and steps.is_dir():
            note(
                f"finished steps of a fit that was killed are taken from {steps} where data and "
                f"settings are the same"
            )
        with on_terminal(show=not self.as_json) as progress:
            tuned = _tuned(data, fit_on, settings, self.tune, progress)
            added = {name: data.models.get(name, {}) for name in self.added or ()}
            models = {**added, **(tuned.models if tuned else {})}
            return fit_on(data, models=models, checkpoint=steps, progress=progress), tuned

    def _say(self, done: Outcome) -> None:
        facts = {
            "model": str(self.out),
            "version": done.model.version,
            "preset": self.preset,
            **done.to_dict(),
        }
        show(facts, self._text(done), as_json=self.as_json)

    def _text(self, done: Outcome) -> str:
        from metarec.data.policy_facts import facts_lines

        inputs = done.model.item_inputs
        fixed = f"; --encoder {inputs.encoder.name} fixes it" if self.encoder == "auto" else ""
        aside = f"; {done.held_out:,} users kept out" if done.held_out else ""
        notes = list(done.model.notes)
        if done.mitigation is not None:
            notes.append(f"mitigated by {self.mitigate}: {done.mitigation}")
        notes += [*done.tuned.sentences, *done.tuned.toml()] if done.tuned else []
        return "\n".join(
            [
                f"{self.out}: model {done.model.version}, {done.events:,} events of "
                f"{done.users:,} users on {len(done.model.catalog):,} items, in "
                f"{done.seconds:.0f} s{aside}",
                f"texts read by {inputs.encoder.name} ({inputs.reason}{fixed})",
                *notes,
                "policy:",
                *(f"  {line}" for line in facts_lines(done.policy)),
                f"other encoders and what they cost here: metarec data check {self.data}",
                f"next: metarec serve {self.out}",
            ]
        )


fit = command_of(Fit)


def _n_users(data: Dataset) -> int:
    return data.interactions.frame["user_id"].n_unique()


def _tuned(
    data: Dataset,
    fit_on: Callable[..., Recommender],
    settings: Settings,
    minutes: float | None,
    progress: Progress,
) -> Tuned | None:
    """Search the settings of the models for so many minutes; None without `--tune`."""
    if minutes is None:
        return None
    from metarec.evaluation.tuning import tune
    from metarec.recommendation.configs import BESIDE, RATING, TREND

    is_taught = {RATING: data.interactions.has_values, TREND: data.interactions.has_time}
    beside = (name for name in BESIDE if is_taught.get(name, True))
    return tune(
        data,
        lambda part, models: fit_on(part, models=models),
        settings.over(data.models).models,
        (*settings.scorers, *beside),
        minutes=minutes,
        seed=settings.seed,
        progress=progress,
    )

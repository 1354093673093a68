"""`metarec fit`: from a table of events to a saved model."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
    choose_device,
    note,
    show,
)

if TYPE_CHECKING:
    from metarec.data.dataset import Dataset
    from metarec.evaluation.tuning import Tuned
    from metarec.recommendation.settings import Settings
    from metarec.recommender import Recommender
    from metarec.runtime.progress import Progress


def fit(
    data: Source,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL", help="Folder of the model; an older model there is replaced."
        ),
    ] = None,
    preset: Preset = "small",
    encoder: Encoder = "auto",
    pictures: Pictures = None,
    picture_encoder: PictureEncoder = "auto",
    learner: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A meta-learner, an encoder of behavior (decoder, encoder, encoder_decoder, "
            "gru4rec, caser), or user_text, that joins the model as a part of its own; see "
            "docs/guide/which-meta-learner.md.",
        ),
    ] = None,
    added: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="A model of no preset, or one that you registered, that takes part too; may be "
            "repeated; see docs/guide/extending.md.",
        ),
    ] = None,
    item_template: ItemTemplate = None,
    user_template: UserTemplate = None,
    domain: Domain = None,
    prior: Prior = None,
    mend: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Train with a mitigation of bias: reweighting, upsampling or gan (with --by), or "
            "inverse-propensity; see docs/guide/auditing-and-mitigating-bias.md.",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="With --mend: the attribute that tells groups apart."),
    ] = None,
    hold_out: Annotated[
        float,
        typer.Option(
            help="Share of users, in [0, 1), kept out of training, so that the model can be "
            "audited on unseen users."
        ),
    ] = 0.0,
    clean: Annotated[
        bool,
        typer.Option(help="Clean the data first; `metarec data check` says what that takes out."),
    ] = True,
    seed: Seed = 0,
    device: Device = None,
    resume: Annotated[
        bool,
        typer.Option(
            help="Keep finished steps beside MODEL until it is written, and go on from those of "
            "the same fit that was killed."
        ),
    ] = True,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Say what the fit will cost and thin, from counted work; fit nothing."
        ),
    ] = False,
    tune: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            help="Search the settings of the models for that long first, by users held out; needs "
            "metarec[hpo].",
        ),
    ] = None,
    workers: Workers = 1,
    backend: Backend = "here",
    as_json: Json = False,
) -> None:
    """Train a recommender: clean, read content, learn from behaviour, learn to adapt, save."""
    choose_device(device)
    from metarec.app.reports import DATA, keep_report
    from metarec.data.cleaning import OFF, read_clean
    from metarec.data.policy_facts import facts_lines, policy_facts
    from metarec.data.schema import BadInput
    from metarec.features.pictures import with_pictures
    from metarec.models.registry import USER_TEXT
    from metarec.recommendation.settings import Settings
    from metarec.recommender import Recommender
    from metarec.runtime.artefacts import check_place
    from metarec.runtime.jobs import check_backend
    from metarec.runtime.progress import on_terminal

    start = None if prior is None else Recommender.load(prior)  # refused before the work
    if out is None and not plan:
        raise BadInput("--out MODEL is missing: the folder that the model is written to")
    if out is not None:
        check_place(out)  # before the work, not after it
    check_backend(workers, backend)
    settings = Settings(
        preset=preset,
        seed=seed,
        encoder=encoder,
        learner=learner,
        item_template=item_template,
        user_template=user_template,
        models={name: {} for name in added or ()},  # type: ignore[misc]  # Settings makes configs
    )
    if user_template is not None and USER_TEXT not in settings.parts:
        raise BadInput(
            f"--user-template says how users are written, but nobody reads them; add --learner "
            f"{USER_TEXT}"
        )
    table, report = read_clean(data, None if clean else OFF, domain=domain)
    note(f"{report.events_read:,} events read, {report.removed:,} removed by cleaning")
    for finding in report.findings:
        if finding.action == "noted":
            note(f"metarec: note: {finding.line()}")
    if pictures is not None:
        table, missed = with_pictures(table, pictures, encoder=picture_encoder)
        note("; ".join(["pictures read", *missed]))
    users = table.interactions.frame["user_id"].n_unique()
    learned = _without(table, hold_out, seed)
    kept_out = users - learned.interactions.frame["user_id"].n_unique()
    learned, weights, done = _mitigated(learned, mend, by, seed)
    if plan or out is None:
        from metarec.recommendation.plan import plan_fit

        if tune is not None:
            raise BadInput(f"--plan counts one fit, --tune {tune:g} makes many: give one of them")
        planned = plan_fit(learned, settings, workers)
        show(planned.to_dict(), "\n".join(planned.lines()), as_json=as_json)
        return
    if resume and _steps_of(out).is_dir():
        note(f"finished steps of a fit that was killed are taken from {_steps_of(out)}")
    started = time.perf_counter()
    with on_terminal(show=not as_json) as progress:
        fit_on = partial(
            Recommender.fit,
            preset=preset,
            seed=seed,
            encoder=encoder,
            learner=learner,
            item_template=item_template,
            user_template=user_template,
            prior=start,
            user_weights=weights,
            workers=workers,
            backend=backend,
        )
        models = {name: learned.models.get(name, {}) for name in added or ()}
        tuned = _tuned(learned, fit_on, settings, tune, progress)
        model = fit_on(
            learned,
            models={**models, **(tuned.models if tuned else {})},
            checkpoint=_steps_of(out) if resume else None,
            progress=progress,
        )
    seconds = time.perf_counter() - started
    model.save(out)
    keep_report(out, DATA, report.to_dict(), by="metarec fit")
    facts = {
        "model": str(out),
        "version": model.version,
        "preset": preset,
        "events": len(learned.interactions),
        "users": users - kept_out,
        "held_out": kept_out,
        "items": len(model.catalog),
        "seconds": round(seconds, 2),
        "removed_by_cleaning": report.removed,
        "encoder": model.item_inputs.encoder.name,
        "encoder_reason": model.item_inputs.reason,
        "notes": model.notes,
        "mitigation": done,
        "tuned": tuned.to_dict() if tuned else None,
        "policy": policy_facts(table, model.policy),
    }
    fixed = f"; --encoder {facts['encoder']} fixes it" if encoder == "auto" else ""
    aside = f"; {kept_out:,} users kept out" if kept_out else ""
    said = [*model.notes, *([f"mitigated by {mend}: {done}"] if done is not None else [])]
    said += [*tuned.said, *tuned.toml()] if tuned else []
    notes = "".join(f"\n{line}" for line in said)
    heeded = "\n".join(f"  {line}" for line in facts_lines(policy_facts(table, model.policy)))
    show(
        facts,
        f"{out}: model {model.version}, {facts['events']:,} events of {facts['users']:,} users "
        f"on {facts['items']:,} items, "
        f"in {seconds:.0f} s{aside}\ntexts read by {facts['encoder']} "
        f"({facts['encoder_reason']}{fixed}){notes}\npolicy:\n{heeded}\n"
        f"other encoders and what they cost here: metarec data check {data}\nnext: metarec serve "
        f"{out}",
        as_json=as_json,
    )


def _tuned(
    data: Dataset,
    fit_on: Callable[..., Recommender],
    settings: Settings,
    minutes: float | None,
    progress: Progress,
) -> Tuned | None:
    """What `--tune MINUTES` found."""
    if minutes is None:
        return None
    from metarec.evaluation.tuning import tune
    from metarec.recommendation.configs import BESIDE, RATING, TREND, configs_of

    is_taught = {RATING: data.interactions.has_values, TREND: data.interactions.has_time}
    beside = (name for name in BESIDE if is_taught.get(name, True))
    return tune(
        data,
        lambda part, models: fit_on(part, models=models),
        {**configs_of(data.models), **settings.models},
        (*settings.parts, *beside),
        minutes=minutes,
        seed=settings.seed,
        progress=progress,
    )


def _steps_of(model: Path) -> Path:
    """Where finished steps of a fit lie until its model is written."""
    return model.with_name(f".{model.name}.steps")


def _mitigated(
    data: Dataset, name: str | None, by: str | None, seed: int
) -> tuple[Dataset, Any, str | None]:
    """The data to fit on, weights of users, and what was done.

    Raises:
        BadInput: if the mitigation cannot be done.
    """
    from metarec.data.schema import BadInput
    from metarec.fairness.mitigation.training import mitigated
    from metarec.runtime.rng import derive

    if name is None:
        if by is not None:
            raise BadInput("--by names the groups of a mitigation; it goes with --mend NAME")
        return data, None, None
    found = mitigated(data, name, by, derive(seed, "mend"))
    return found.data, found.weights, found.said


def _without(data: Dataset, share: float, seed: int) -> Dataset:
    """The data without a share of its users.

    Raises:
        BadInput: if the share lies outside [0, 1).
    """
    import polars as pl

    from metarec.data.schema import BadInput, id_order
    from metarec.runtime.rng import derive

    if not 0.0 <= share < 1.0:
        raise BadInput(f"--hold-out must lie in [0, 1), got {share}")
    if not share:
        return data
    events = data.interactions.frame
    users = events.select("user_id").unique().sort(id_order("user_id"))["user_id"]
    kept_out = users.gather(
        derive(seed, "hold out").permutation(len(users))[: int(share * len(users))]
    )
    return data.with_interactions(events.filter(~pl.col("user_id").is_in(kept_out.implode())))

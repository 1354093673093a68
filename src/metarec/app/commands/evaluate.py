"""`metarec evaluate`: the learning curve of new users, ours beside every meta-learner asked for and
every baseline.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from metarec.app.commands.evaluate_options import Combination
from metarec.app.commands.evaluations import (
    aimed_at,
    by_protocol,
    cross_validated,
    domain_cold,
    overfitting_of,
)
from metarec.app.commands.options import (
    Device,
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
    choose_device,
    note,
    show,
    spoken,
)

if TYPE_CHECKING:
    from metarec.data.dataset import Dataset
    from metarec.evaluation.evaluate import Evaluation, Gains
    from metarec.evaluation.interface import Evaluated
    from metarec.evaluation.scenarios import Scenario


def evaluate(
    data: Source,
    learner: Annotated[
        list[str] | None,
        typer.Option(
            help="A meta-learner, or an encoder of behavior such as gru4rec, to compare with ours; "
            "may be repeated."
        ),
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="Evaluate every meta-learner and behavior encoder; this takes a while."
        ),
    ] = False,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            help="A baseline to compare with; may be repeated. All that suit the data unless given."
        ),
    ] = None,
    scenario: Annotated[
        str,
        typer.Option(
            help="Who or what is new: user-cold, item-cold, both-cold, warm, time (users first "
            "seen after a moment), or domain-cold (few users of its own, with --prior)."
        ),
    ] = "user-cold",
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Evaluate by a paper's own protocol instead: melu or tanp (chance and the item "
            "mean stand beside), or leave-last-out (known users, full ranking)."
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Evaluate by events of this kind alone, such as purchase; the kinds marked as "
            "targets unless given.",
        ),
    ] = None,
    gains: Annotated[
        str,
        typer.Option(
            help="What an item counts that was liked: binary (all the same) or strength (of the "
            "act on it, where targets differ in strength)."
        ),
    ] = "binary",
    prior: Prior = None,
    users: Annotated[
        list[int] | None,
        typer.Option(
            help="With --scenario domain-cold: so many users of DATA to fit on; may be repeated; "
            "20, 50 and 200 unless given."
        ),
    ] = None,
    support: Annotated[
        list[int] | None,
        typer.Option(
            help="A number of known events to evaluate at; may be repeated. Chosen from the data "
            "unless given.",
        ),
    ] = None,
    folds: Annotated[
        int, typer.Option(help="Cross-validate over so many folds of users; 0 holds out one part.")
    ] = 0,
    user_text: Annotated[
        bool,
        typer.Option(
            help="Also evaluate users written as text, read by the same "
            "encoder: alone, and together with ours.",
        ),
    ] = False,
    overfitting: Annotated[
        bool,
        typer.Option(
            "--overfitting",
            help="Instead compare users trained on with new ones, fitted on 10, 30 and 100% of the "
            "users, beside a plain Transformer.",
        ),
    ] = False,
    preset: Preset = "small",
    encoder: Encoder = "auto",
    item_template: ItemTemplate = None,
    user_template: UserTemplate = None,
    pictures: Pictures = None,
    picture_encoder: PictureEncoder = "auto",
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="Evaluate this model, on users of DATA unseen in its training, instead "
            "of fitting one; the result is kept with it for the operator's page.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="REPORT",
            help="Also write a report with plots: a .html file, "
            "or a folder for the page and the numbers.",
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Evaluate recommenders on users unseen in training: quality against the number of events, and
    whether the large model is worth it.
    """
    choose_device(device)
    from metarec.app.reports import LEARNING_CURVE, keep_report
    from metarec.data.cleaning import read_clean
    from metarec.evaluation.evaluate import evaluate as evaluate
    from metarec.evaluation.report import to_text, write_report
    from metarec.evaluation.users_as_text import what_helped, with_user_text
    from metarec.features.pictures import with_pictures
    from metarec.runtime.progress import on_terminal

    Combination(
        scenario=scenario,
        prior=prior,
        users=users,
        gains=gains,
        folds=folds,
        protocol=protocol,
        model=model,
        out=out,
        learner=learner,
        every=every,
        pictures=pictures,
        user_text=user_text,
        user_template=user_template,
        item_template=item_template,
        baseline=baseline,
        support=support,
        overfitting=overfitting,
        kind=kind,
    ).check()
    if prior is not None:
        domain_cold(data, prior, users, preset, encoder, baseline, _horizon(support), seed, as_json)
        return
    if overfitting:
        overfitting_of(data, kind, preset, encoder, seed, as_json)
        return
    table, report = read_clean(data)
    if kind is not None:
        table = aimed_at(table, kind)
    horizon = _horizon(support)
    note(f"{report.events_read:,} events read, {report.removed:,} removed by cleaning")
    if pictures is not None:
        table, missed = with_pictures(table, pictures, encoder=picture_encoder)
        note("; ".join(["pictures read", *missed]))
    with on_terminal(show=not as_json) as progress:
        models = _models(
            learner,
            every,
            progress,
            preset=preset,
            encoder=encoder,
            item_template=item_template,
            user_template=user_template,
        )
        if model is not None:
            found = _saved(table, model, baseline, seed, progress)
            result, text = found.to_json(), to_text(found, language=spoken())
        elif protocol is not None:
            result, text = by_protocol(table, protocol, models(), baseline, seed, progress)
        elif folds:
            result, text = cross_validated(table, models, baseline, folds, seed, progress)
        else:
            ours, *learners = models()
            written = with_user_text(ours) if user_text else []
            found = evaluate(
                table,
                models=[ours, *written, *learners],
                baselines=baseline,
                scenario=cast("Scenario", scenario),  # domain-cold is done
                horizon=horizon,
                seed=seed,
                gains=cast("Gains", gains),
                progress=progress,
            )
            result, text = found.to_json(), to_text(found, language=spoken())
            if written:
                result["user_text"] = what_helped(found, written)
                text = f"{text}\n{result['user_text']['sentence']}\n"
    if out is not None:
        place = write_report(out, found, data_report=report, language=spoken())
        result["report"], text = str(place), f"{text}\n{place}"
    show(result, text, as_json=as_json)
    if model is not None:
        keep_report(model, LEARNING_CURVE, found.to_json(), by="metarec evaluate")


def _horizon(support: list[int] | None) -> Any:
    """Numbers of events to evaluate at, as asked; None leaves the choice to the data."""
    from metarec.data.cold_users import Horizon
    from metarec.data.schema import BadInput

    if not support:
        return None
    shots = tuple(sorted(set(support)))
    if shots[0] < 0 or shots[-1] < 1:
        raise BadInput(f"--support takes numbers of events, 0 or more and one above 0, got {shots}")
    return Horizon(shots=shots, pool=shots[-1], min_events=shots[-1] + max(2, shots[-1] // 2))


def _saved(
    data: Dataset, model: Path, baseline: list[str] | None, seed: int, progress: Any
) -> Evaluation:
    """A saved model beside baselines fitted on what it was fitted on."""
    from metarec.evaluation.evaluate import MAX_EVALUATED
    from metarec.evaluation.evaluate import evaluate as evaluate
    from metarec.evaluation.own_recommender import SavedRecommender
    from metarec.evaluation.scenarios import prepare_unmet
    from metarec.recommender import Recommender

    loaded = Recommender.load(model)
    setting = prepare_unmet(data, loaded.training, seed=seed, most=MAX_EVALUATED)
    return evaluate(
        data,
        models=[SavedRecommender(model=loaded)],
        baselines=baseline,
        setting=setting,
        seed=seed,
        progress=progress,
    )


def _models(
    names: list[str] | None, every: bool, progress: Any, *, encoder: str, **ours: Any
) -> Any:
    """Makes unfitted recommenders: ours first, then the meta-learners asked for."""
    from metarec.evaluation.adapters import learners_for
    from metarec.evaluation.own_recommender import OwnRecommender

    def make() -> list[Evaluated]:
        learners = (
            learners_for(None if every else names, encoder=encoder, progress=progress)
            if every or names
            else []
        )
        return [OwnRecommender(encoder=encoder, progress=progress, **ours), *learners]

    make()  # a misspelled name is told before anything is fitted
    return make

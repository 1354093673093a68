"""`metarec evaluate`: the learning curve of new users, ours beside every meta-learner asked for and
every baseline.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

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

DOMAIN_COLD = "domain-cold"

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
    from metarec.data.schema import BadInput
    from metarec.evaluation.evaluate import evaluate as evaluate
    from metarec.evaluation.report import to_text, write_report
    from metarec.evaluation.scenarios import SCENARIOS
    from metarec.evaluation.users_as_text import what_helped, with_user_text
    from metarec.features.pictures import with_pictures
    from metarec.runtime.progress import on_terminal

    if scenario not in (*SCENARIOS, DOMAIN_COLD):
        known = ", ".join([*SCENARIOS, DOMAIN_COLD])
        raise BadInput(f"--scenario must be one of {known}, got {scenario!r}")
    if (scenario == DOMAIN_COLD) != (prior is not None) or (users and prior is None):
        raise BadInput(
            f"--scenario {DOMAIN_COLD} goes with --prior MODEL, a model fitted on other data, and "
            "--prior and --users with it alone"
        )
    if gains not in ("binary", "strength"):
        raise BadInput(f"--gains must be binary or strength, got {gains!r}")
    if gains != "binary" and (folds or protocol or model or prior):
        raise BadInput(
            "--gains strength fits models to evaluate them: it goes without --folds, --protocol, "
            "--model and --prior"
        )
    if folds and (scenario != "user-cold" or out is not None):
        raise BadInput(
            "--folds cross-validates over users: it goes with --scenario user-cold and without "
            "--out"
        )
    if model is not None and (
        folds or protocol is not None or scenario != "user-cold" or learner or every or pictures
    ):
        raise BadInput(
            "--model evaluates a model as it is: it goes without --folds, --protocol, --scenario, "
            "--learner, --all and --pictures"
        )
    if user_text and (folds or protocol is not None or model is not None):
        raise BadInput(
            "--user-text fits a model on users to evaluate it on others: it goes without "
            "--folds, --protocol and --model"
        )
    if user_template is not None and not user_text:
        raise BadInput(
            "--user-template says how users are written, but nobody reads them; add --user-text"
        )
    if model is not None and item_template is not None:
        raise BadInput("--model evaluates a model as it is: it goes without --item-template")
    if protocol is not None and (folds or scenario != "user-cold" or out is not None):
        raise BadInput(
            "--protocol is a scenario of its own: it goes without --scenario, --folds and --out"
        )
    if protocol not in (None, "leave-last-out") and baseline:
        raise BadInput("--baseline goes with --protocol leave-last-out, not with the other ones")
    if support and (folds or protocol or model):
        raise BadInput(
            "--support chooses numbers of events for a fit of its own: it goes without --folds, "
            "--protocol and --model"
        )
    own = (folds, protocol, model, learner, every, pictures, out, user_text, item_template)
    if overfitting and (any((*own, prior, baseline, support)) or scenario != "user-cold"):
        raise BadInput(
            "--overfitting is a comparison of its own: it goes with --preset, --encoder, "
            "--kind, --seed and --json alone"
        )
    if overfitting and gains != "binary":
        raise BadInput("--overfitting compares by binary gains: it goes without --gains")
    if prior is not None:
        if any((*own, kind)):
            raise BadInput(
                f"--scenario {DOMAIN_COLD} compares fits with and without a prior: it goes without "
                "--folds, --protocol, --model, --learner, --all, --pictures, --out, --user-text, "
                "--item-template and --kind"
            )
        _domain_cold(
            data, prior, users, preset, encoder, baseline, _horizon(support), seed, as_json
        )
        return
    if overfitting:
        _overfitting(data, kind, preset, encoder, seed, as_json)
        return
    table, report = read_clean(data)
    if kind is not None:
        table = _aimed_at(table, kind)
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
            result, text = _by_protocol(table, protocol, models(), baseline, seed, progress)
        elif folds:
            result, text = _cross_validated(table, models, baseline, folds, seed, progress)
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


def _domain_cold(
    data: str,
    prior: Path,
    users: list[int] | None,
    preset: str,
    encoder: str,
    baselines: list[str] | None,
    horizon: Any,
    seed: int,
    as_json: bool,
) -> None:
    from metarec.data.cleaning import read_clean
    from metarec.evaluation.domain_cold import FIRST_WEEKS, evaluate_domain_cold, to_text
    from metarec.recommender import Recommender
    from metarec.runtime.progress import on_terminal

    source = Recommender.load(prior)
    table, _ = read_clean(data)
    with on_terminal(show=not as_json) as progress:
        found = evaluate_domain_cold(
            table,
            source,
            users=users or FIRST_WEEKS,
            preset=preset,
            encoder=encoder,
            baselines=baselines,
            horizon=horizon,
            seed=seed,
            progress=progress,
        )
    result = {"data": table.name, "prior": source.training.name, "scenario": DOMAIN_COLD}
    show(result | {"weeks": [one.to_json() for one in found]}, to_text(found), as_json=as_json)


def _overfitting(
    data: str, kind: str | None, preset: str, encoder: str, seed: int, as_json: bool
) -> None:
    from metarec.data.cleaning import read_clean
    from metarec.evaluation.overfitting import measure_overfitting
    from metarec.runtime.progress import on_terminal

    table, _ = read_clean(data)
    table = table if kind is None else _aimed_at(table, kind)
    with on_terminal(show=not as_json) as progress:
        found = measure_overfitting(
            table, preset=preset, encoder=encoder, seed=seed, progress=progress
        )
    show({"data": table.name} | found.to_dict(), "\n".join(found.lines()), as_json=as_json)


def _aimed_at(data: Dataset, kind: str) -> Dataset:
    """The data with one kind of event as the target.

    Raises:
        BadInput: if no event is of that kind, or the kind is not positive.
    """
    from dataclasses import replace

    from metarec.data.schema import BadInput

    events = data.interactions
    found = {events.kinds.key(name): name for name in events.frame["kind"].unique()}
    if events.kinds.key(kind) not in found:
        raise BadInput(
            f"--kind {kind!r}: no event of {data.name} is of this kind; there are "
            f"{', '.join(sorted(found.values()))}"
        )
    if events.kinds.of(kind).sign != "positive":
        raise BadInput(
            f"--kind {kind!r} is {events.kinds.of(kind).sign}; a target must be positive, which "
            f"[kinds] in the TOML file can say"
        )
    targets = frozenset({events.kinds.key(kind)})
    return replace(data, interactions=replace(events, target_kinds=targets))


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


def _by_protocol(
    data: Dataset,
    name: str,
    models: list[Evaluated],
    baselines: list[str] | None,
    seed: int,
    progress: Any,
) -> tuple[dict[str, Any], str]:
    from metarec.data.schema import BadInput
    from metarec.evaluation import leave_last_out as last_out
    from metarec.evaluation.paper_protocols import (
        PROTOCOLS,
        as_json,
        describe_rows,
        evaluate_by_protocol,
    )

    if name not in (*PROTOCOLS, last_out.NAME):
        known = ", ".join([*PROTOCOLS, last_out.NAME])
        raise BadInput(f"--protocol must be one of {known}, got {name!r}")
    if name == last_out.NAME:
        rows = last_out.evaluate_last_out(
            last_out.leave_last_out_split(data),
            models,
            baselines=baselines,
            seed=seed,
            progress=progress,
        )
    else:
        split = PROTOCOLS[name](data, seed=seed)
        rows = evaluate_by_protocol(split, models, seed=seed, progress=progress)
    return {"data": data.name, "protocol": name, "rows": as_json(rows)}, describe_rows(rows)


def _cross_validated(
    data: Dataset, models: Any, baseline: list[str] | None, folds: int, seed: int, progress: Any
) -> tuple[dict[str, Any], str]:
    from metarec.app.commands.options import table
    from metarec.evaluation.baselines import baselines_for
    from metarec.evaluation.crossvalidation import cross_validate

    curve = cross_validate(
        data,
        lambda: [*models(), *baselines_for(data, baseline)],
        folds=folds,
        seed=seed,
        progress=progress,
    )
    rows = []
    for model in curve.models:
        low, high = curve.interval(model, "ndcg@10")
        rows.append(
            [
                model,
                *(
                    f"{mean:.3f} ±{(top - bottom) / 2:.3f}"
                    for mean, bottom, top in zip(
                        curve.mean(model, "ndcg@10"), low, high, strict=True
                    )
                ),
            ]
        )
    head = (
        f"NDCG@10 of {len(curve.user_ids):,} new users in {folds} folds, ± half of the 95% "
        f"interval, after so many events"
    )
    return {
        **curve.to_json(),
        "folds": folds,
    }, f"{head}\n{table(['', *map(str, curve.shots)], rows)}"

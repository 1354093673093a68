"""`metarec audit`: for whom a model works, whether its explanations are true, and what mending
would cost.
"""

from __future__ import annotations

import errno
import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metarec.app.commands.options import (
    Device,
    Json,
    Model,
    Seed,
    Source,
    choose_device,
    show,
    spoken,
)
from metarec.app.commands.options import note as tell
from metarec.runtime.language import translated_page

if TYPE_CHECKING:
    from metarec.data.dataset import Dataset
    from metarec.evaluation.measure import Trial
    from metarec.fairness.audit import Audit
    from metarec.recommender import Recommender
    from metarec.runtime.progress import Progress

MAX_EXPLAINED = 60
"""Users whose explanations are measured: each costs some hundred scores of the catalog."""
MAX_EVENTS = 10
"""Events of each of them."""


def audit(
    model: Model,
    data: Source,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Profile attribute to compare users by, or activity; may be repeated. "
            "All attributes with groups large enough, and activity, unless given."
        ),
    ] = None,
    items_by: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of the items (a provider, a brand), or popularity; may be repeated."
        ),
    ] = None,
    metric: Annotated[str, typer.Option(help="What gaps are looked for in.")] = "ndcg@10",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also write audit.html and audit.json there."),
    ] = None,
    explanations: Annotated[
        bool,
        typer.Option(
            "--explanations",
            help="Also measure whether explanations tell the truth; "
            "fits once more, from another seed.",
        ),
    ] = False,
    parts: Annotated[
        bool,
        typer.Option(
            "--parts",
            help="Also say what each part of the score is worth; with --out, a model card.",
        ),
    ] = False,
    features: Annotated[
        bool,
        typer.Option(
            "--features",
            help="Also say which columns the model rests on: what is lost when one is shuffled.",
        ),
    ] = False,
    mend: Annotated[
        bool,
        typer.Option(
            "--mend",
            help="Also try mitigations of the widest clear gap on the same users, with their "
            "price; fits several times.",
        ),
    ] = False,
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is",
            help="Evaluate the model on users it learned from, if there are no others, "
            "instead of fitting one like it without a fifth of them.",
        ),
    ] = False,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Say for whom a model works: quality by group as events arrive, what items are shown, and
    which gaps are more than chance.

    The result is kept with the model and shown on the operator's page.
    """
    choose_device(device)
    from metarec.app.reports import AUDIT, keep_report
    from metarec.data.cleaning import read_clean
    from metarec.fairness.audit import audit as look
    from metarec.fairness.audit import check_asked
    from metarec.fairness.audit_report import to_html
    from metarec.fairness.cold_exposure import cold_exposure
    from metarec.recommender import Recommender
    from metarec.runtime.progress import on_terminal

    if out is not None and out.exists() and not out.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(out))
    loaded, (table, _) = Recommender.load(model), read_clean(data)  # as `fit` cleans
    check_asked(table, by or (), items_by or (), metric)
    with on_terminal(show=not as_json) as progress:
        evaluated, trial, shots, cautions = _whom(loaded, table, seed, as_is, progress)
    names = by or attributes_of(trial)
    found = look(
        evaluated,
        trial,
        by=names,
        shots=shots,
        metric=metric,
        items_by=items_by or ("popularity",),
        seed=seed,
    )
    found = found.with_warnings(cautions)
    result: dict[str, Any] = found.to_json()
    texts, sections = [found.to_text()], {}
    reserved = cold_exposure(evaluated, trial, shots, seed=seed)
    if reserved is not None:
        result["cold_items"] = reserved.to_json()
        texts.append(reserved.to_text())
        sections["What a share for cold items shows and costs"] = f"<p>{reserved.to_text()}</p>"
    if explanations:
        faithful = _faithful(evaluated, trial, seed)
        result["explanations"] = faithful.to_json()
        texts.append(faithful.to_text())
        sections["Whether explanations tell the truth"] = _faithful_html(faithful)
    ablation = _ablation(evaluated, trial, shots, seed) if parts else None
    if ablation is not None:
        result["parts"] = ablation.to_json()
        texts.append(ablation.to_text())
    if features:
        from metarec.fairness.features import audit_features

        rested = audit_features(evaluated, trial, shots, seed=seed)
        result["features"] = rested.to_json()
        texts.append(rested.to_text())
        sections["Which columns the model rests on"] = f"<pre>{escape(rested.to_text())}</pre>"
    tried = _tried(evaluated, trial, found, names[0], seed) if mend else None
    if tried is not None:
        result["prices"] = tried.table.to_json()
        texts.append(tried.to_text())
    if tried is not None and tried.gan is not None:
        result["synthetic"] = tried.gan.to_json()
        sections["Users made up"] = f"<pre>{escape(tried.gan.to_text())}</pre>"
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        if ablation is not None:
            sections["What each part is worth"] = _ablation_html(ablation)
            (out / "card.md").write_text(_card(evaluated, ablation, cautions), encoding="utf-8")
        (out / "audit.html").write_text(
            translated_page(
                to_html(found, trade_offs=None if tried is None else tried.table, further=sections),
                spoken(),
            ),
            encoding="utf-8",
        )
        _write_json(out / "audit.json", result)
        texts.append(str(out / "audit.html"))
    show(result, "\n\n".join(texts), as_json=as_json)
    keep_report(model, AUDIT, result, by="metarec audit")


def _whom(
    model: Recommender, data: Dataset, seed: int, as_is: bool, progress: Progress
) -> tuple[Recommender, Trial, tuple[int, ...], list[str]]:
    """The model to evaluate and on which users, numbers of events, and what the reader must
    know of them.
    """
    from metarec.data.cold_users import split_cold_users
    from metarec.evaluation.measure import Trial
    from metarec.fairness.audited_users import trial_on, unseen_users
    from metarec.runtime.rng import derive

    unseen = unseen_users(data, model.trained_on)
    if unseen or as_is:
        trial, horizon, cautions = trial_on(
            data, unseen or None, rng=derive(seed, "audit", "people")
        )
        return model, trial, horizon.shots, cautions
    split = split_cold_users(data, rng=derive(seed, "audit", "people"), validation=0.0)
    tell(
        "everyone in the data was learned from: fitting a model like it without a fifth of them "
        "(--as-is: go on with this one)"
    )
    return (
        fit_like(model, progress=progress)(split.train, None),
        Trial.of(split.test, split.train),
        split.horizon.shots,
        [
            "the model had learned from everyone here, so one of the same settings, fitted "
            "without the test users, stands in for it."
        ],
    )


def fit_like(
    model: Recommender, *, seed: int | None = None, progress: Progress | None = None
) -> Any:
    """(data, user weights or None) -> a recommender fitted with the same settings.

    Args:
        seed: another seed than the model's.
        progress: told how far each fit is.
    """
    from metarec.runtime.progress import silent

    def fit(data: Dataset, weights: dict[str, float] | None) -> Recommender:
        return model.fit_like(
            data,
            seed=seed,
            horizon=model.horizon,
            user_weights=weights,
            progress=progress or silent,
        )

    return fit


def attributes_of(trial: Trial) -> list[str]:
    """Attributes by which at least two groups are large enough to compare, times left out, and
    activity.
    """
    from metarec.fairness.disparity import SMALL
    from metarec.fairness.groups import ACTIVITY, NOT_STATED, are_times, group_users

    stated: dict[str, list[Any]] = {}
    for user in trial.cold_users:
        for name, value in user.profile.items():
            stated.setdefault(name, []).append(value)
    names = sorted(
        name
        for name, values in stated.items()
        if not are_times([value for value in values if value is not None])
    )
    sizes = {name: group_users(trial.cold_users, name).sizes for name in names}
    return [
        name
        for name in names
        if sum(size >= SMALL for label, size in sizes[name].items() if label != NOT_STATED) > 1
    ] + [ACTIVITY]


def _faithful(model: Recommender, trial: Trial, seed: int) -> Any:
    from metarec.evaluation.interface import requests_at
    from metarec.explanation.faithfulness import measure_faithfulness
    from metarec.runtime.rng import derive

    tell("fitting once more from another seed, to see how stable explanations are")
    other = fit_like(model, seed=model.settings.seed + 1)(model.training, None)
    users = requests_at(trial.cold_users[:MAX_EXPLAINED], MAX_EVENTS)
    return measure_faithfulness(model, users, rng=derive(seed, "faithfulness"), reseeded=[other])


def _faithful_html(faithful: Any) -> str:
    from metarec.explanation.plots import draw_faithfulness
    from metarec.runtime.report_page import figure

    return f"{figure(draw_faithfulness(faithful))}<pre>{escape(faithful.to_text())}</pre>"


def _ablation(model: Recommender, trial: Trial, shots: tuple[int, ...], seed: int) -> Any:
    from metarec.explanation.decomposition import ablate
    from metarec.runtime.rng import derive

    return ablate(model, trial, shots=shots, rng=derive(seed, "ablation"))


def _ablation_html(ablation: Any) -> str:
    from metarec.explanation.plots import draw_ablation
    from metarec.runtime.report_page import figure

    return f"{figure(draw_ablation(ablation))}<pre>{escape(ablation.to_text())}</pre>"


def _card(model: Recommender, ablation: Any, cautions: list[str]) -> str:
    from dataclasses import asdict

    from metarec.explanation.decomposition import model_card

    return model_card(
        model,
        ablation,
        data_name=model.training.name,
        settings=asdict(model.settings),
        caveats=cautions,
    )


def _tried(model: Recommender, trial: Trial, found: Audit, first: str, seed: int) -> Any:
    """Mitigations of the gap that the audit names, on the users it evaluated; of the first
    attribute where no gap is clear.
    """
    from dataclasses import replace

    from metarec.data.cold_users import split_cold_users
    from metarec.fairness.mitigation.compare import compare_mitigations
    from metarec.runtime.rng import derive

    gap = found.largest_fair_gap or found.largest_clear_gap
    if gap is None:
        typer.echo(f"no gap is clear: mitigations are tried by {first}", err=True)
    apart = split_cold_users(trial.train, rng=derive(seed, "mend"), test=0.0)
    return compare_mitigations(
        fit_like(model),
        replace(apart, test=list(trial.cold_users)),
        first if gap is None else gap.by,
        shots=found.shots,
        metric=found.metric,
        pair=None if gap is None else frozenset({gap.best, gap.worst}),
        seed=seed,
        progress=_tell,
    )


def _tell(stage: str, done: float, note: str = "") -> None:
    if note:
        tell(f"{stage} {done:4.0%} {note}")


def _write_json(path: Path, result: dict[str, Any]) -> None:
    import json

    path.write_text(
        json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8"
    )

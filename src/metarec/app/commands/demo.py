"""`metarec demo`: the whole journey on real data, ending with the results and the next commands."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metarec.app.commands.options import (
    Encoder,
    Json,
    Preset,
    Seed,
    command_language,
    command_of,
    note,
    show,
)

if TYPE_CHECKING:
    from metarec.data.cleaning.report import DataReport
    from metarec.data.dataset import Dataset
    from metarec.evaluation.evaluate import Evaluation
    from metarec.evaluation.own_recommender import OwnRecommender

SETS = ("ml-100k", "groceries")
MAX_EVALUATED = 500
"""Number of new users evaluated: enough for informative intervals, few enough for a short wait."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The whole journey on real data: get, clean, train, evaluate beside baselines, show three new
    users, save.
    """

    data: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="ml-100k (ratings of films) or groceries (purchases); or any data that "
            "`metarec data get` or `metarec fit` takes.",
        ),
    ] = "ml-100k"
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where model and report go; out/NAME unless given."),
    ] = None
    serve: Annotated[bool, typer.Option("--serve", help="Serve the model when done.")] = False
    preset: Preset = "small"
    encoder: Encoder = "auto"
    seed: Seed = 0
    as_json: Json = False

    def run(self) -> None:
        """Run all steps and print the results."""
        from metarec.data.cleaning import read_clean
        from metarec.runtime.artifacts import check_place
        from metarec.runtime.extras import require
        from metarec.runtime.folders import check_target

        started = time.perf_counter()
        for module in ("matplotlib", "jinja2"):
            require(module, "report")
        source = _source(self.data)
        place = self.out or Path("out") / source.name
        check_place(place / "model")
        check_target(place, is_folder=True)
        table, report = read_clean(source)
        if not self.as_json:
            show({}, report.to_text() + "\n", as_json=False)
        ours, evaluation = self._evaluated(table)
        page, model = _written(ours, evaluation, report, place)
        seconds = time.perf_counter() - started
        result = {
            "evaluation": evaluation.to_json(),
            "cleaning": report.to_dict(),
            "encoder": ours.settings["encoder"],
            "report": str(page),
            "model": str(model),
            "seconds": round(seconds, 1),
        }
        show(result, _closing_text(evaluation, ours, page, model, seconds), as_json=self.as_json)
        if self.serve:
            from metarec.app.service.run import serve as run

            run(str(model))

    def _evaluated(self, data: Dataset) -> tuple[OwnRecommender, Evaluation]:
        """Fit our recommender and evaluate it beside the baselines."""
        from metarec.evaluation.evaluate import evaluate
        from metarec.evaluation.own_recommender import OwnRecommender
        from metarec.runtime.progress import on_terminal

        with on_terminal(show=not self.as_json) as progress:
            ours = OwnRecommender(preset=self.preset, encoder=self.encoder, progress=progress)
            evaluation = evaluate(
                data, models=[ours], seed=self.seed, max_users=MAX_EVALUATED, progress=progress
            )
        return ours, evaluation


demo = command_of(Demo)


def _written(
    ours: OwnRecommender, evaluation: Evaluation, report: DataReport, place: Path
) -> tuple[Path, Path]:
    """Write the report and the model; return their paths."""
    from metarec.app.reports import DATA, LEARNING_CURVE, keep_report
    from metarec.evaluation.report import write_report

    page = write_report(
        place / "report.html", evaluation, data_report=report, language=command_language()
    )
    model = _saved(ours, place / "model")
    keep_report(model, LEARNING_CURVE, evaluation.to_json(), by="metarec demo")
    keep_report(model, DATA, report.to_dict(), by="metarec demo")
    return page, model


def _source(name: str) -> Path:
    """Return a data folder: that of a public data set by name, downloaded if necessary, or a
    path.
    """
    from metarec.data import public

    if name not in {one.name for one in public.available()} and Path(name).exists():
        return Path(name)
    return public.get(name, progress=note)


def _saved(ours: OwnRecommender, place: Path) -> Path:
    assert ours.model is not None, "evaluate has fitted it"
    ours.model.save(place)
    return place


def _closing_text(
    evaluation: Evaluation, ours: OwnRecommender, page: Path, model: Path, seconds: float
) -> str:
    """Return the end of the demo: tables, summary, three new users, paths, next commands."""
    from metarec.evaluation.report import to_text

    assert ours.model is not None, "evaluate has fitted it"
    likes = " ".join(f"--like {item_id}" for item_id in _popular(ours.model, 2))
    return "\n".join(
        [
            to_text(evaluation, language=command_language()),
            f"texts read by: {ours.settings['encoder']} ({ours.model.item_inputs.reason})",
            f"report: {page}",
            f"model:  {model}",
            f"took:   {seconds:.0f} s",
            "",
            "next:",
            f"  metarec recommend {model} {likes}",
            f"  metarec serve {model}",
        ]
    )


def _popular(model: Any, count: int) -> list[str]:
    """Return the ids of popular items, for a command to type."""
    counts = model.trained_on["item_id"].value_counts(sort=True)
    return [str(item_id) for item_id in counts["item_id"].head(count)]

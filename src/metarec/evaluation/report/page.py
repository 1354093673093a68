"""The HTML report: the comparison first, then plots, users, every number, and how it was
measured.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarec.evaluation.measure import METRICS
from metarec.evaluation.report.plots import (
    draw_calibration,
    draw_character,
    draw_curve,
    draw_differences,
)
from metarec.evaluation.report.text import head
from metarec.runtime.extras import require
from metarec.runtime.language import ENGLISH, translated_page
from metarec.runtime.report_page import report_page, wide_and_narrow

if TYPE_CHECKING:
    from metarec.data.cleaning.report import DataReport
    from metarec.evaluation.evaluate import Evaluation

TEMPLATE = Path(__file__).parent.parent / "templates" / "evaluation.html"


def write_report(
    path: str | Path,
    evaluation: Evaluation,
    *,
    data_report: DataReport | None = None,
    language: str = ENGLISH,
) -> Path:
    """Write the report as one HTML file and return its path.

    Args:
        path: a file ending in `.html`, or a folder, which then gets `report.html`,
            `evaluation.json` and `curve.csv`.
        evaluation: the results.
        data_report: what cleaning removed, shown on the same page.
        language: of the page's fixed sentences, `en` or `zh`.

    Raises:
        MissingExtra: if matplotlib or jinja2 is missing (`pip install 'metarec[report]'`).
    """
    import json

    target = Path(path)
    page = translated_page(to_html(evaluation, data_report=data_report), language)
    if target.suffix.lower() not in {".html", ".htm"}:
        target.mkdir(parents=True, exist_ok=True)
        # JSON has no NaN, which a user without a measured value has: null stands for it
        plain = json.dumps(evaluation.to_json(), default=_plain)
        without_nan = json.loads(plain, parse_constant=lambda _: None)
        (target / "evaluation.json").write_text(json.dumps(without_nan), encoding="utf-8")
        evaluation.frame().write_csv(target / "curve.csv")
        target = target / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")
    return target


def _plain(value: Any) -> Any:
    """Return a number of numpy as one of Python, anything else as text."""
    return value.item() if hasattr(value, "item") else str(value)


def to_html(evaluation: Evaluation, *, data_report: DataReport | None = None) -> str:
    """Return the report as HTML text."""
    jinja2 = require("jinja2", "report")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    curve = evaluation.curve
    comparisons = [
        (METRICS[m].label, v)
        for m in ("ndcg@10", "mae")
        if (v := evaluation.comparison(m)) is not None
    ]
    body: str = template.render(
        e=evaluation,
        comparisons=comparisons,
        curve=curve,
        metrics=METRICS,
        main=_plots(evaluation),
        differences=[
            (METRICS[m].label, plot)
            for m in ("ndcg@10", "mae")
            if (plot := _responsive(draw_differences, evaluation, m)) is not None
        ],
        character=_responsive(draw_character, evaluation),
        calibration=_responsive(draw_calibration, evaluation),
        tables=[_table(evaluation, m) for m in curve.metrics],
        data=_data(data_report),
        pairs=_pairs(evaluation),
    )
    return report_page(
        f"{'Known' if evaluation.knows_users else 'New'} users of {evaluation.data}",
        "; ".join(head(evaluation).splitlines()) + ".",
        body,
        downloads={"curve.csv": evaluation.frame().write_csv()},
    )


def _responsive(draw: Callable[..., str | None], *about: Any) -> str | None:
    return wide_and_narrow(lambda narrow: draw(*about, narrow=narrow))


def _plots(evaluation: Evaluation) -> list[str]:
    drawn = (
        _responsive(draw_curve, evaluation, m)
        for m in ("ndcg@10", "recall@20", "mae")
        if m in evaluation.curve.metrics
    )
    return [plot for plot in drawn if plot is not None]


def _table(evaluation: Evaluation, metric: str) -> dict[str, Any]:
    """Return one table: the mean and interval of each recommender at each number of events, the
    best mean marked.
    """
    curve, shown = evaluation.curve, METRICS[metric]
    rows: list[dict[str, Any]] = []
    for model in (m for m in curve.models if curve.has(m, metric)):
        low, high = curve.interval(model, metric)
        means = curve.mean(model, metric)
        rows.append(
            {
                "model": model,
                "is_ours": model in evaluation.models,
                "cells": [
                    {"mean": float(m), "low": float(w), "high": float(h)}
                    for m, w, h in zip(means, low, high, strict=True)
                ],
            }
        )
    if shown.higher_is_better is not None:
        pick = max if shown.higher_is_better else min
        for column in range(len(curve.support_sizes)):
            best = pick(row["cells"][column]["mean"] for row in rows)
            for row in rows:
                row["cells"][column]["best"] = row["cells"][column]["mean"] == best
    return {
        "label": shown.label,
        "meaning": shown.meaning,
        "rows": rows,
        "has_interval": metric != "coverage@10",
    }


def _pairs(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return the first model against every other recommender at every number of events, with
    corrected p-values.
    """
    ours = next(iter(evaluation.models), None)
    if ours is None or len(evaluation.curve.models) < 2:
        return []
    return evaluation.curve.compare_all(ours, "ndcg@10").to_dicts()


def _data(report: DataReport | None) -> dict[str, Any] | None:
    if report is None:
        return None
    from metarec.data.cleaning.report import fact_lines

    return {
        "name": report.name,
        "read": report.events_read,
        "removed": report.removed,
        "kept": report.facts["events"],
        "findings": [f.line() for f in report.findings],
        "facts": fact_lines(report.facts),
        "advice": report.advice,
    }

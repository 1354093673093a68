"""A learning curve as a table for a paper or a notebook: LaTeX and HTML."""

from __future__ import annotations

from html import escape

from metarec.data.arguments import check_whole
from metarec.evaluation.curve import CurveTable
from metarec.evaluation.measure import METRICS, check_metric

ESCAPED = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"})


def label_of(metric: str) -> str:
    """Return the name of a metric as readers know it; a metric without one keeps its own."""
    return METRICS[metric].label if metric in METRICS else metric


def latex(curve: CurveTable, metric: str = "ndcg@10", digits: int = 3) -> str:
    """Return a booktabs table: rows are recommenders, columns are numbers of known items, the best
    in bold where the metric has a better end.

    Args:
        curve: the learning curve.
        metric: name of a metric in the curve.
        digits: decimals, 1 or more.

    Raises:
        BadInput: for a metric that was not measured.
    """
    check_metric(metric)
    check_whole("digits", digits, 1, at_most=15)
    lines = [
        rf"\begin{{tabular}}{{l{'r' * len(curve.support_sizes)}}}",
        r"\toprule",
        rf"{label_of(metric).translate(ESCAPED)} by known items & "
        rf"{' & '.join(map(str, curve.support_sizes))} \\",
        r"\midrule",
        *(
            " & ".join([name.translate(ESCAPED), *_bold(cells, r"\textbf{", "}")]) + r" \\"
            for name, cells in _rows(curve, metric, digits)
        ),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def html(curve: CurveTable, metric: str = "ndcg@10", digits: int = 3) -> str:
    """Return the table as HTML for a notebook."""
    head = "".join(f"<th>{k}</th>" for k in curve.support_sizes)
    body = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(f"<td>{cell}</td>" for cell in _bold(cells, "<b>", "</b>"))
        + "</tr>"
        for name, cells in _rows(curve, metric, digits)
    )
    return (
        f"<table><thead><tr><th>{escape(label_of(metric))} by known items</th>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _rows(curve: CurveTable, metric: str, digits: int) -> list[tuple[str, list[tuple[str, bool]]]]:
    """Return the cells of each recommender measured, and whether each is the best of its column."""
    able = [name for name in curve.models if curve.has(name, metric)] or curve.models[:1]
    means = {name: curve.mean(name, metric) for name in able}
    better = METRICS[metric].higher_is_better
    ends = zip(*([float(x) for x in mean] for mean in means.values()), strict=True)
    best = [None if better is None else max(end) if better else min(end) for end in ends]
    return [
        (name, [(f"{x:.{digits}f}", float(x) == top) for x, top in zip(mean, best, strict=True)])
        for name, mean in means.items()
    ]


def _bold(cells: list[tuple[str, bool]], before: str, after: str) -> list[str]:
    return [before + text + after if is_best else text for text, is_best in cells]

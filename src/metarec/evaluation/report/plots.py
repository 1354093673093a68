"""Plots of an evaluation, as SVG that follows the light or dark theme of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from metarec.evaluation.curve import CurveTable
from metarec.evaluation.measure import METRICS
from metarec.evaluation.significance import Difference
from metarec.runtime.drawing import COLORS, PHONE, QUIET, arms, new_figure, svg_for_page

if TYPE_CHECKING:
    from metarec.evaluation.evaluate import Evaluation

HIGHLIGHTED = 4
"""Number of other recommenders drawn in color; the rest stay gray."""
MAX_NAMED = 16
"""Names drawn at the end of lines, at most."""
OURS = COLORS[0]
OTHERS = (COLORS[1], COLORS[2], COLORS[3], COLORS[4])
BETTER, WORSE = COLORS[0], COLORS[1]


def draw_curve(evaluation: Evaluation, metric: str, *, narrow: bool = False) -> str | None:
    """Plot quality against the number of events: a line with a 95% band for the first model, lines
    for the others; None if no recommender was measured. `narrow` draws it for a phone.
    """
    curve = evaluation.curve
    able = [m for m in curve.models if curve.has(m, metric) and m != "Random"]
    if not able:
        return None
    figure = new_figure(PHONE, 3.8) if narrow else new_figure(9.2, 4.6)
    axes = figure.subplots()
    styles = style_of(evaluation, shared_metric(evaluation, metric))
    x = _positions(curve.support_sizes)
    for model in sorted(able, key=lambda m: styles[m][1]):  # thin lines first, ours on top
        tint, weight = styles[model]
        mean = curve.mean(model, metric)
        axes.plot(
            x, mean, color=tint, linewidth=weight, marker="o", markersize=3 + weight, zorder=weight
        )
        if model in evaluation.models[:1] or (not evaluation.models and weight > 2):
            axes.fill_between(
                x, *curve.interval(model, metric), color=tint, alpha=0.15, linewidth=0, zorder=0
            )
    # All names if there is room, else those in color and the gray ones with the largest means.
    named = sorted(able, key=lambda m: (-styles[m][1], -abs(float(curve.mean(m, metric)[-1]))))[
        :MAX_NAMED
    ]
    ends = {m: float(curve.mean(m, metric)[-1]) for m in named}
    _label_ends(axes, ends, styles, x[-1])
    _dress(axes, curve, metric, narrow)
    return svg_for_page(figure)


def shared_metric(evaluation: Evaluation, metric: str) -> str:
    """Return the metric that decides colors in the plot of `metric`: NDCG@10 where it was measured
    for all that are drawn, so that a recommender has one color on the whole page.
    """
    curve = evaluation.curve
    drawn = [m for m in curve.models if curve.has(m, metric)]
    return "ndcg@10" if all(curve.has(m, "ndcg@10") for m in drawn) else metric


def style_of(evaluation: Evaluation, metric: str) -> dict[str, tuple[str, float]]:
    """Return the color and line width of each recommender: the first model, then those best at some
    number of events, then by mean; the rest gray.
    """
    curve = evaluation.curve
    able = [m for m in curve.models if curve.has(m, metric)]
    sign = -1 if METRICS[metric].higher_is_better is False else 1
    others = [m for m in able if m not in evaluation.models[:1]]
    leaders = (
        curve.best(metric, others)
        if others and METRICS[metric].higher_is_better is not None
        else []
    )
    order = sorted(
        others, key=lambda m: (-leaders.count(m), -sign * float(np.mean(curve.mean(m, metric))))
    )
    styles = dict.fromkeys(able, (QUIET, 1.0))
    styles |= {m: (tint, 1.8) for m, tint in zip(order, OTHERS, strict=False)}
    styles |= {m: (OURS, 2.8) for m in evaluation.models[:1] if m in able}
    if not evaluation.models and order:
        styles[order[0]] = (OURS, 2.8)
    return styles


def _positions(support_sizes: Sequence[int]) -> np.ndarray:
    """Return square roots of the numbers of events: the first events, which matter most here, get
    most of the room.
    """
    return np.asarray(np.sqrt(np.asarray(support_sizes, float)))


def _label_ends(
    axes: Any, ends: dict[str, float], styles: dict[str, tuple[str, float]], x_last: float
) -> None:
    """Write names at the right end of their lines, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    step = (high - low) * 0.24 / axes.figure.get_figheight()
    names = sorted(ends, key=lambda m: ends[m])
    heights = [ends[m] for m in names]
    for n in range(1, len(heights)):
        heights[n] = max(heights[n], heights[n - 1] + step)
    heights[-1] = min(heights[-1], high)
    for n in range(len(heights) - 2, -1, -1):
        heights[n] = min(heights[n], heights[n + 1] - step)
    for name, height in zip(names, heights, strict=True):
        tint, weight = styles[name]
        axes.annotate(
            name,
            (x_last, ends[name]),
            (x_last * 1.04 + 0.02, height),
            textcoords="data",
            fontsize=8.5,
            va="center",
            color=tint if tint != QUIET else "#808080",
            fontweight="bold" if weight > 2 else "normal",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": tint,
                "linewidth": 0.5,
                "alpha": 0.6,
                "shrinkA": 0,
                "shrinkB": 3,
            },
        )


def _dress(axes: Any, curve: CurveTable, metric: str, narrow: bool) -> None:
    shown = METRICS[metric]
    better = {True: " (higher is better)", False: " (lower is better)", None: ""}[
        shown.higher_is_better
    ]
    joint, size = ("\n", 9) if narrow else (": ", 10)
    axes.set_title(f"{shown.label}{joint}{shown.meaning}{better}", fontsize=size, loc="left")
    axes.set_xlabel("items known of each user (square-root scale)", fontsize=8 if narrow else 9)
    axes.set_xticks(_positions(curve.support_sizes), [str(k) for k in curve.support_sizes])
    quiet_axes(axes)


def quiet_axes(axes: Any) -> None:
    """Remove spines and ticks that carry no information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8.5, length=3)
    axes.grid(axis="y", color=QUIET, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def draw_differences(
    evaluation: Evaluation, metric: str = "ndcg@10", *, narrow: bool = False
) -> str | None:
    """Forest plot: the first model minus every other recommender, one panel for each number of
    events; None without a model. `narrow` draws two panels in a row, for a phone.
    """
    curve = evaluation.curve
    ours = next(iter(evaluation.models), None)
    others = [m for m in curve.models if m not in {ours, "Random"} and curve.has(m, metric)]
    if ours is None or not others or not curve.has(ours, metric):
        return None
    differences = {m: curve.differences(ours, m, metric) for m in others}
    others.sort(key=lambda m: float(np.mean([d.mean for d in differences[m]])), reverse=True)
    columns = min(2 if narrow else len(curve.support_sizes), len(curve.support_sizes))
    rows, height = -(-len(curve.support_sizes) // columns), 1.25 + 0.27 * len(others)
    figure = new_figure(PHONE, 0.4 + height * rows) if narrow else new_figure(10.5, height)
    grid = figure.subplots(rows, columns, sharey=True, sharex=True, squeeze=False)
    for at, axes in enumerate(grid.flat):
        if at >= len(curve.support_sizes):
            axes.set_visible(False)
            continue
        _draw_forest(axes, [differences[other][at] for other in others])
        k = curve.support_sizes[at]
        axes.set_title(f"{k} known item{'' if k == 1 else 's'}", fontsize=9)
    grid[0, 0].set_yticks(range(len(others)), others)
    grid[0, 0].set_ylim(-0.6, len(others) - 0.4)
    figure.supxlabel(
        f"{ours} against the recommender named, difference in {METRICS[metric].label};"
        f"{chr(10) if narrow else ' '}right of the line: {ours} is better",
        fontsize=8 if narrow else 9,
    )
    return svg_for_page(figure)


def _draw_forest(axes: Any, differences: Sequence[Difference]) -> None:
    """Draw one difference a row, with its interval."""
    axes.axvline(0, color="black", linewidth=0.8)
    for row, d in enumerate(differences):
        tint = QUIET if not d.is_clear else BETTER if d.low > 0 else WORSE
        axes.plot([d.low, d.high], [row, row], color=tint, linewidth=1.8, solid_capstyle="butt")
        axes.plot(d.mean, row, color=tint, marker="o", markersize=4.5)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelsize=7.5, length=2, axis="x")
    axes.tick_params(labelsize=8.5, length=0, axis="y")
    axes.grid(axis="x", color=QUIET, alpha=0.25, linewidth=0.6)


def draw_character(evaluation: Evaluation, *, narrow: bool = False) -> str | None:
    """Plot coverage, novelty and diversity along the curve; None where none was measured. `narrow`
    draws them below each other, for a phone.
    """
    curve = evaluation.curve
    metrics = [m for m in ("coverage@10", "novelty@10", "diversity@10") if m in curve.metrics]
    if not metrics:
        return None
    many = len(metrics)
    figure = new_figure(PHONE, 0.6 + 2.2 * many) if narrow else new_figure(10.5, 3.4)
    panels = np.atleast_1d(figure.subplots(*((many, 1) if narrow else (1, many))))
    styles = style_of(evaluation, "ndcg@10")
    x = _positions(curve.support_sizes)
    for axes, metric in zip(panels, metrics, strict=True):
        for model in (m for m in curve.models if m != "Random"):
            tint, weight = styles[model]
            axes.plot(
                x,
                curve.mean(model, metric),
                color=tint,
                linewidth=weight,
                zorder=weight,
                label=model,
            )
        axes.set_title(
            f"{METRICS[metric].label}\n{METRICS[metric].meaning}", fontsize=8.5, loc="left"
        )
        axes.set_xticks(x, [str(k) for k in curve.support_sizes])
        quiet_axes(axes)
    handles, labels = panels[0].get_legend_handles_labels()
    kept = [(h, name) for h, name in zip(handles, labels, strict=True) if styles[name][0] != QUIET]
    figure.legend(
        *zip(*kept, strict=True),
        loc="outside lower center",
        ncols=2 if narrow else len(kept),
        fontsize=8.5,
        frameon=False,
    )
    return svg_for_page(figure)


def draw_calibration(evaluation: Evaluation, *, narrow: bool = False) -> str | None:
    """Plot the share of stated values inside the 90% interval, at each number of events; None where
    no recommender states uncertainty. `narrow` draws it for a phone.
    """
    curve = evaluation.curve
    able = [m for m in curve.models if curve.has(m, "covered@90")]
    if not able:
        return None
    figure = new_figure(PHONE if narrow else 6.4, 2.9)
    axes = figure.subplots()
    x = _positions(curve.support_sizes)
    axes.axhspan(0.87, 0.93, color=COLORS[2], alpha=0.15, linewidth=0)
    axes.axhline(0.9, color=COLORS[2], linewidth=1)
    for model in able:
        mean, (low, high) = curve.mean(model, "covered@90"), curve.interval(model, "covered@90")
        axes.errorbar(
            x,
            mean,
            arms(mean, low, high),
            color=OURS,
            marker="o",
            markersize=5,
            capsize=2,
            linewidth=1.6,
            label=model,
        )
    axes.set_ylim(min(0.8, axes.get_ylim()[0]), 1.0)
    axes.set_title(
        f"Share of stated values inside the 90% interval;{chr(10) if narrow else ' '}"
        "green: 0.87 to 0.93",
        fontsize=9,
        loc="left",
    )
    axes.set_xlabel("items known of each user", fontsize=9)
    axes.set_xticks(x, [str(k) for k in curve.support_sizes])
    quiet_axes(axes)
    return svg_for_page(figure)

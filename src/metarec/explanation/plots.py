"""Plots of an ablation, and of the faithfulness of explanations."""

from __future__ import annotations

from typing import Any

import numpy as np

from metarec.explanation.decomposition import Ablation
from metarec.explanation.faithfulness import GRID, Faithfulness
from metarec.explanation.quality import Mean
from metarec.runtime.drawing import COLORS, QUIET, arms, color, new_figure, svg_for_page

FAR = 4.0
"""A component gets its own scale if it reaches more than this many times the median of all
components.
"""


def draw_ablation(ablation: Ablation) -> str:
    """Plot the NDCG lost without each component by support size, with 95% intervals, one panel for
    each. Returns SVG.

    Panels share a scale; components that reach more than `FAR` times the median have their own, and
    their titles say so.

    Raises:
        MissingExtra: if matplotlib is not installed (`pip install 'metarec[explain]'`).
    """
    losses = {
        component: [row.loss for row in ablation.rows if row.component == component]
        for component in dict.fromkeys(row.component for row in ablation.rows)
    }
    reach = {
        component: max(abs(end) for m in of_component for end in (m.low, m.high))
        for component, of_component in losses.items()
    }
    usual = FAR * float(np.median(list(reach.values())))
    shared = max([1e-3, *(1.1 * size for size in reach.values() if size <= usual)])
    columns = min(5, len(losses))
    rows = -(-len(losses) // columns)
    figure = new_figure(11.0, 0.6 + 1.9 * rows, extra="explain")
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    steps = range(len(ablation.full))
    for axes, component in zip(
        panels,
        sorted(losses, key=lambda component: -max(m.mean for m in losses[component])),
        strict=False,
    ):
        of_component, is_far = losses[component], reach[component] > usual
        _draw_losses(axes, of_component, COLORS[1] if is_far else COLORS[0])
        if not is_far:
            axes.set_ylim(-shared, shared)
        axes.set_title(f"{component}{' (own scale)' if is_far else ''}", fontsize=9, loc="left")
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels:
        axes.set_xticks(steps, [str(n) for n in ablation.full])
    for axes in panels[len(losses) :]:
        axes.set_visible(False)
    figure.supxlabel("items known of each user", fontsize=8)
    figure.supylabel(f"NDCG@{ablation.k} lost without it", fontsize=8)
    return svg_for_page(figure)


def _draw_losses(axes: Any, losses: list[Mean], tint: str) -> None:
    """Draw the losses without one component by support size, with intervals."""
    means = [one.mean for one in losses]
    axes.errorbar(
        range(len(losses)),
        means,
        yerr=arms(means, [one.low for one in losses], [one.high for one in losses]),
        color=tint,
        marker="o",
        markersize=3,
        linewidth=1.2,
    )
    axes.axhline(0, color=QUIET, linewidth=0.8)


def draw_faithfulness(measured: Faithfulness) -> str:
    """Plot deletion and insertion curves of each explanation method, beside random order. Returns
    SVG.

    Raises:
        MissingExtra: if matplotlib is not installed (`pip install 'metarec[explain]'`).
    """
    figure = new_figure(11.0, 3.6, extra="explain")
    for axes, kind in zip(figure.subplots(1, 2), ("deletion", "insertion"), strict=True):
        curves = [curve for curve in measured.curves if curve.kind == kind]
        for place, curve in enumerate(curves):
            axes.plot(
                GRID,
                curve.relative_score,
                color=color(place),
                marker="o",
                markersize=3,
                label=curve.method,
            )
        if curves:
            axes.plot(
                GRID,
                curves[0].random,
                color="black",
                linestyle="--",
                linewidth=1.5,
                label="random order",
            )
        axes.set_xlabel(
            f"share of the events {'taken away' if kind == 'deletion' else 'put in'}, the "
            f"strongest first",
            fontsize=8,
        )
        axes.set_ylabel("relative score of the first item", fontsize=8)
        axes.set_title(
            f"{kind}: {'lower' if kind == 'deletion' else 'higher'} is truer",
            fontsize=9,
            loc="left",
        )
        axes.legend(fontsize=7, frameon=False)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return svg_for_page(figure)

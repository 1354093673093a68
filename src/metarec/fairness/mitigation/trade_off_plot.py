"""Plot of the trade-offs: remaining gap against overall quality for each mitigation."""

from __future__ import annotations

from metarec.evaluation.tables import label_of
from metarec.fairness.disparity import more_is_better
from metarec.fairness.mitigation.trade_off import AS_IS, MAX_COST, TradeOffTable
from metarec.runtime.drawing import COLORS, QUIET, arms, color, new_figure, svg_for_page


def draw_trade_offs(table: TradeOffTable) -> str:
    """Plot one point per mitigation with 95% intervals, as SVG: right is better overall (left for
    errors), down is a smaller gap.
    """
    figure = new_figure(11.0, 4.6, extra="fairness")
    axes = figure.subplots()
    axes.axhspan(
        -0.5 * table.gap.size, 0.5 * table.gap.size, color="#009E73", alpha=0.08, linewidth=0
    )
    worse = (-MAX_COST if more_is_better(table.metric) else MAX_COST) * abs(table.overall)
    axes.axvline(worse, color=QUIET, linewidth=0.8, linestyle=":")
    axes.axhline(0, color=QUIET, linewidth=0.8)
    axes.plot([0], [table.gap.size], marker="s", color="black", linestyle="none", label=AS_IS)
    for place, row in enumerate(table.rows):
        tint, marker = color(place), "o" if place < len(COLORS) else "D"
        change, gap = row.overall_change, row.gap_change
        axes.errorbar(
            [change.value],
            [row.gap],
            xerr=arms(change.value, change.low, change.high),
            yerr=arms(gap.value, gap.low, gap.high),
            color=tint,
            marker=marker,
            markersize=5,
            linewidth=1,
            label=row.name,
        )
    axes.set_xlabel(
        f"change of overall {label_of(table.metric)} (dotted: {MAX_COST:.0%} worse)", fontsize=8
    )
    axes.set_ylabel(f"gap by {table.gap.by}: {table.gap.best} over {table.gap.worst}", fontsize=8)
    axes.set_title(
        "What is left of the gap, and the price; green: at most half", fontsize=9, loc="left"
    )
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return svg_for_page(figure)

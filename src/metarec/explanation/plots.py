"""Pictures of one explanation and of an ablation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metarec.explanation.decomposition import Ablation
from metarec.explanation.reasons import Explanation
from metarec.runtime.drawing import COLORS, QUIET, color, new_figure, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 12


def draw_explanation(found: Explanation) -> str:
    """Three panels of bars: what each part adds, what each event does, what each feature does. SVG.

    Raises:
        MissingExtra: if matplotlib is not installed (`pip install 'metarec[explain]'`).
    """
    features = [(f"{f.name} {f.value}".strip(), f.effect) for f in found.features]
    panels = {"What each part adds": list(found.parts.items()), "Lost without each event": [(e.title, e.effect) for e in found.events],
              "Lost without each feature": features}
    tallest = max(min(MOST_BARS, len(bars)) for bars in panels.values())
    figure = new_figure(13.0, 1.4 + 0.26 * max(3, tallest), extra="explain")
    place = f"place {found.rank}" if found.rank else "not to be shown"
    figure.suptitle(f"{found.title}: {place}, {found.standing:+.2f} above what a stranger is shown", fontsize=11)
    for axes, (title, bars) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        _bars(axes, title, sorted(bars, key=lambda bar: -abs(bar[1]))[:MOST_BARS])
    return to_svg(figure)


def _bars(axes: Axes, title: str, bars: Sequence[tuple[str, float]]) -> None:
    heights = [-place for place in range(len(bars))]
    axes.barh(heights, [effect for _, effect in bars], color=[COLORS[0] if effect > 0 else COLORS[1] for _, effect in bars])
    axes.set_yticks(heights, [name if len(name) <= 26 else name[:25] + "…" for name, _ in bars])
    axes.axvline(0, color=QUIET, linewidth=0.8)
    axes.set_title(title, fontsize=9, loc="left")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    if not bars:
        axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color=QUIET)


def draw_ablation(found: Ablation) -> str:
    """What each part is worth as events arrive: NDCG lost without it, with 95% intervals. SVG.

    Raises:
        MissingExtra: if matplotlib is not installed (`pip install 'metarec[explain]'`).
    """
    figure = new_figure(9.0, 4.0, extra="explain")
    axes = figure.subplots()
    shots = list(found.full)
    for place, part in enumerate(dict.fromkeys(row.part for row in found.rows)):
        losses = [row.loss for row in found.rows if row.part == part]
        # Slightly apart, so that intervals at the same number of events can be told from each other.
        at = [step + 0.06 * (place - 3) for step in range(len(shots))]
        axes.errorbar(at, [m.mean for m in losses], yerr=[[m.mean - m.low for m in losses], [m.high - m.mean for m in losses]],
                      color=color(place), marker="o", markersize=4, linewidth=1.2, label=part)
    axes.axhline(0, color=QUIET, linewidth=0.8)
    axes.set_xticks(range(len(shots)), [str(s) for s in shots])
    axes.set_xlabel("events seen", fontsize=8)
    axes.set_ylabel(f"NDCG@{found.k} lost without the part", fontsize=8)
    axes.set_title("What each part is worth (above 0: the model needs it)", fontsize=9, loc="left")
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return to_svg(figure)

"""Plots of an audit: quality by group of users, and exposure by group of items."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from metarec.evaluation.tables import label_of
from metarec.fairness.audit import Audit
from metarec.fairness.disparity import GroupValue
from metarec.fairness.groups import NOT_STATED
from metarec.runtime.drawing import PHONE, QUIET, color, new_figure, ramp, svg_for_page

MAX_LINES = 6
"""Groups drawn as curves, at most, the largest ones (twice as many for bands of numbers); the panel
at the right shows all groups.
"""
MAX_SHADED = 3
"""Curves above which their intervals would hide each other and only the panel at the right shows
intervals.
"""
PROMISED = {"covered@90": 0.9}
"""Metric -> nominal value, drawn dotted."""
PLAIN = "#444444"


def draw_groups(audit: Audit, by: str, metric: str, *, narrow: bool = False) -> str:
    """Plot each group's learning curve (left) and every group's mean over the curve with its 95%
    interval (right), as SVG.

    Bands of numbers keep their order and are colored from low to high; other groups are ordered by
    their mean. `narrow` draws the one below the other, for a phone.
    """
    shown = _Shown.of(audit, by, metric)
    height = 1.6 + 0.26 * max(len(shown.means), 5)
    if narrow:
        figure = new_figure(PHONE, 2.6 + height, extra="fairness")
        curve, forest = figure.subplots(2, 1, height_ratios=(2.6, height))
    else:
        figure = new_figure(11.0, height, extra="fairness")
        curve, forest = figure.subplots(1, 2, width_ratios=(1.1, 1.0))
    _draw_curves(curve, audit, shown)
    if metric in PROMISED:
        curve.axhline(PROMISED[metric], color=QUIET, linewidth=1, linestyle=":")
        forest.axvline(PROMISED[metric], color=QUIET, linewidth=1, linestyle=":")
    _draw_forest(forest, shown)
    curve.set_title(
        f"{label_of(metric)} by {by}, by known items; colors as "
        f"{'below' if narrow else 'beside it'}",
        fontsize=9,
        loc="left",
    )
    for axes in (curve, forest):
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return svg_for_page(figure)


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """The groups of one attribute, prepared for plotting one metric."""

    rows: list[GroupValue]
    means: list[GroupValue]
    """Values over the whole curve, in the order plotted."""
    whole: dict[int | None, Any]
    """Values of all users, after each number of events and, under None, over the whole curve."""
    large: list[GroupValue]
    """Groups drawn as curves."""
    tints: dict[str, str]

    @classmethod
    def of(cls, audit: Audit, by: str, metric: str) -> _Shown:
        rows = [row for row in audit.groups if row.by == by and row.metric == metric]
        means = [row for row in rows if row.n_support is None]
        is_ordered = sum(row.group[:1].isdigit() or row.group[:1] == "-" for row in means) > 2
        if not is_ordered:
            means.sort(key=lambda row: -row.value if math.isfinite(row.value) else math.inf)
        large = [row for row in means if not row.is_small]
        if not is_ordered or len(large) > 2 * MAX_LINES:
            large = sorted(large, key=lambda row: -row.users)[:MAX_LINES]
        named = [row for row in large if row.group != NOT_STATED]
        tints = {
            row.group: ramp(place / max(1, len(named) - 1)) if is_ordered else color(place)
            for place, row in enumerate(named)
        }
        overall = {one.n_support: one for one in audit.overall if one.metric == metric}
        return cls(rows=rows, means=means, whole=overall, large=large, tints=tints)


def _draw_curves(axes: Any, audit: Audit, shown: _Shown) -> None:
    """Draw a curve for each large group, and one for all users."""
    for mean in shown.large:
        of_group = [
            row for row in shown.rows if row.group == mean.group and row.n_support is not None
        ]
        line, tint = {row.n_support: row for row in of_group}, shown.tints.get(mean.group, PLAIN)
        axes.plot(
            list(line), [r.value for r in line.values()], color=tint, marker="o", markersize=3
        )
        if len(shown.large) <= MAX_SHADED:
            low, high = [r.low for r in line.values()], [r.high for r in line.values()]
            axes.fill_between(list(line), low, high, color=tint, alpha=0.12, linewidth=0)
    everyone = [shown.whole[n].value for n in audit.support_sizes]
    axes.plot(audit.support_sizes, everyone, color="black", linewidth=2)
    axes.set_xlabel("items known of each user", fontsize=8)
    axes.set_xticks(audit.support_sizes)


def _draw_forest(axes: Any, shown: _Shown) -> None:
    """Draw every group's mean with its interval, from the top down."""
    heights = [-place for place in range(len(shown.means))]
    for height, mean in zip(heights, shown.means, strict=True):
        tint = QUIET if mean.is_small else shown.tints.get(mean.group, PLAIN)
        axes.plot([mean.low, mean.high], [height, height], color=tint, linewidth=2)
        axes.plot([mean.value], [height], color=tint, marker="o", markersize=5)
    everyone = shown.whole[None]
    axes.axvspan(everyone.low, everyone.high, color="black", alpha=0.07, linewidth=0)
    axes.axvline(everyone.value, color="black", linewidth=1)
    axes.set_yticks(heights, [_label(row) for row in shown.means])
    axes.set_ylim(-len(shown.means) + 0.3, 0.7)
    small = "; gray lines: small groups" if any(mean.is_small for mean in shown.means) else ""
    axes.set_title(f"over the whole curve; black: all users{small}", fontsize=9, loc="left")


def _label(row: GroupValue) -> str:
    return f"{row.group if len(row.group) < 30 else row.group[:29] + '…'} ({row.users})"


def _exposure_of(audit: Audit, by: str) -> tuple[list[str], dict[str, list[float]]]:
    """Return the groups of items, and the shares of each by what they are shares of."""
    rows = [row for row in audit.exposure if row.by == by]
    groups, sizes = (
        list(dict.fromkeys(row.group for row in rows)),
        list(dict.fromkeys(row.n_support for row in rows)),
    )
    series = {
        "of the catalog": [r.catalog for r in rows[: len(groups)]],
        "of training events": [r.events for r in rows[: len(groups)]],
        "of what users liked": [r.liked for r in rows[: len(groups)]],
    }
    series |= {
        f"of attention at {s} known items": [r.exposure for r in rows if r.n_support == s]
        for s in (sizes[0], sizes[-1])
    }
    return groups, series


def draw_exposure(audit: Audit, by: str, *, narrow: bool = False) -> str:
    """Plot bars for each group of items: its share of the catalog, of training events, of liked
    items, and of attention, as SVG. `narrow` draws it for a phone.
    """
    groups, series = _exposure_of(audit, by)
    figure = new_figure(*((PHONE, 4.4) if narrow else (11.0, 3.2)), extra="fairness")
    axes = figure.subplots()
    few, width = len(groups) < (4 if narrow else 8), 0.8 / len(series)
    for place, (name, values) in enumerate(series.items()):
        quiet = place < 3
        axes.bar(
            [x + place * width for x in range(len(groups))],
            values,
            width,
            label=name,
            color=("#cccccc", "#aaaaaa", "#777777")[place] if quiet else color(place - 3),
        )
    axes.set_xticks(
        [x + 0.4 - width / 2 for x in range(len(groups))],
        groups,
        fontsize=8,
        rotation=0 if few else 30,
        ha="center" if few else "right",
    )
    axes.set_title(f"Who gets the attention, by {by}: share", fontsize=9, loc="left")
    if narrow:
        figure.legend(fontsize=8, frameon=False, loc="outside lower left")
    else:
        axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return svg_for_page(figure)

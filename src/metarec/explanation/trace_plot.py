"""Plot of the adaptation trace: four small panels over the number of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from metarec.explanation.inner_steps import InnerTrace, UserMap
from metarec.explanation.trace import Trace
from metarec.runtime.drawing import COLORS, QUIET, color, new_figure, svg_for_page, to_png, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_LINES = 8
"""Maximum number of lines of a panel; those that moved most are drawn."""
NARROW = 5.0
"""Width in inches of a plot that is readable on a phone."""
MIN_SHARE = 0.02
"""A component that never reaches this share of the largest one is not drawn."""


def draw(trace: Trace, inner: InnerTrace | None = None) -> str:
    """Return the trace as SVG, with a row for the inner steps of a learner where there is one.

    Raises:
        MissingExtra: if matplotlib is not installed (`pip install 'metarec[explain]'`).
    """
    figure = new_figure(11.0, 7.5 if inner is None else 11.0, extra="explain")
    panels = figure.subplots(2 if inner is None else 3, 2, sharex="row")
    figure.suptitle(f"How {trace.title} came to stand where it stands", fontsize=12)
    _draw_panels(panels.ravel(), trace, inner)
    for axes in panels[0]:
        axes.tick_params(labelbottom=False)
    return to_svg(figure)


def draw_for_page(trace: Trace, inner: InnerTrace | None = None) -> str:
    """Return the same as one column of panels in the colors of report pages, readable on a phone.
    SVG.

    Raises:
        MissingExtra: if matplotlib is not installed (`pip install 'metarec[explain]'`).
    """
    rows = 4 if inner is None else 6
    figure = new_figure(NARROW, 2.6 * rows, extra="explain")
    _draw_panels(figure.subplots(rows, 1), trace, inner)
    return svg_for_page(figure)


def draw_effects(effects: Mapping[str, float]) -> str:
    """Return named effects as a bar chart, the strongest first, for a report page. SVG.

    Raises:
        MissingExtra: if matplotlib is not installed (`pip install 'metarec[explain]'`).
    """
    reach = max((abs(value) for value in effects.values()), default=0.0)
    kept = [name for name, value in effects.items() if abs(value) >= MIN_SHARE * reach]
    kept.sort(key=lambda name: abs(effects[name]))
    figure = new_figure(NARROW, 0.7 + 0.28 * len(kept), extra="explain")
    axes = figure.subplots()
    values = [effects[name] for name in kept]
    bars = axes.barh(kept, values, color=[COLORS[0] if v > 0 else COLORS[1] for v in values])
    axes.bar_label(bars, fmt="%+.2f", padding=3, fontsize=8)
    axes.margins(x=0.15)
    axes.axvline(0, color=QUIET, linewidth=0.8)
    axes.set_xlabel("log-score above what a new user is shown", fontsize=8)
    _finish(axes, "", "")
    return svg_for_page(figure)


def _draw_panels(panels: Sequence[Axes], trace: Trace, inner: InnerTrace | None) -> None:
    """Draw components, slates, and the change of components and parameters with each event; then
    the inner steps.
    """
    components, slates, shifts, moves = panels[:4]
    _draw_components(components, trace)
    _draw_slates(slates, trace)
    _draw_lines(
        shifts,
        "How far each event moved each score component",
        [m.shifts for m in trace.moments],
        "root mean square",
        list(trace.moments[0].components),
    )
    _draw_lines(
        moves,
        "How far each event moved each parameter",
        [m.moves for m in trace.moments],
        "Euclidean distance",
        [],
    )
    for axes in panels[:4]:
        axes.set_xticks([m.n_known for m in trace.moments])
    for axes in (shifts, moves):
        axes.set_xlabel("events seen", fontsize=8)
    if inner is not None:
        _draw_losses(panels[4], inner)
        _draw_movement(panels[5], inner)


def draw_map(user_map: UserMap) -> bytes:
    """Return a scatter plot of users by their adapted parameters, colored by group, as PNG.

    Raises:
        MissingExtra: if matplotlib is not installed (`pip install 'metarec[explain]'`).
    """
    figure = new_figure(7.0, 5.5, extra="explain")
    axes = figure.subplots()
    for place, group in enumerate(dict.fromkeys(sorted(user_map.groups))):
        at = user_map.places[[one == group for one in user_map.groups]]
        axes.scatter(at[:, 0], at[:, 1], s=14, color=color(place), label=group)
    axes.legend(fontsize=7, title=user_map.by, title_fontsize=8)
    first, second = user_map.explained
    axes.set_xlabel(f"first direction ({first:.0%} of the variance)", fontsize=8)
    title = f"{len(user_map.groups)} users by what {user_map.learner} moved for them"
    _finish(axes, title, f"second direction ({second:.0%})")
    return to_png(figure)


def _draw_losses(axes: Axes, inner: InnerTrace) -> None:
    axes.plot(range(len(inner.losses)), inner.losses, **_style(0))
    axes.set_xticks(range(len(inner.losses)))
    axes.set_xlabel("inner steps", fontsize=8)
    _finish(axes, f"Inner loop of {inner.learner}: loss on the user's events", "loss")


def _draw_movement(axes: Axes, inner: InnerTrace) -> None:
    """Draw the rank of the final slate's items after each inner step, by the learner alone."""
    last, length = inner.slates[-1], max(map(len, inner.slates))
    for title in last:
        ranks = [s.index(title) + 1 if title in s else length + 1 for s in inner.slates]
        axes.plot(range(len(ranks)), ranks, color=QUIET, marker="o", markersize=3)
        axes.annotate(
            _short(title),
            (len(ranks) - 1, ranks[-1]),
            xytext=(6, 0),
            textcoords="offset points",
            fontsize=7,
            va="center",
            annotation_clip=False,
        )
    axes.set_ylim(length + 1.5, 0.5)
    axes.set_yticks([1, length, length + 1], ["1", str(length), "below"])
    axes.set_xlabel("inner steps", fontsize=8)
    _finish(axes, f"Ranks on the slate of {inner.learner} alone", "rank on the slate")


def _draw_components(axes: Axes, trace: Trace) -> None:
    n_known = [m.n_known for m in trace.moments]
    names = list(trace.moments[0].components)
    reach = {name: max(abs(m.components[name]) for m in trace.moments) for name in names}
    for name in (name for name in names if reach[name] >= MIN_SHARE * max(reach.values())):
        axes.plot(
            n_known,
            [m.components[name] for m in trace.moments],
            **_style(names.index(name)),
            label=name,
        )
    axes.plot(
        n_known,
        [m.relative_score for m in trace.moments],
        color="black",
        linewidth=2,
        label="all together",
    )
    axes.axhline(0, color=QUIET, linewidth=0.8)
    _finish(
        axes,
        "What each score component adds to its relative score",
        "log-score above what a new user is shown",
    )
    _legend(axes)


def _draw_slates(axes: Axes, trace: Trace) -> None:
    """Draw the rank of every item of the final slate by number of events; the traced item is
    emphasized.
    """
    n_known, last = [m.n_known for m in trace.moments], trace.moments[-1]
    length = max((len(m.slate) for m in trace.moments), default=1)
    for place, (item_id, title) in enumerate(zip(last.slate, last.titles, strict=True)):
        ranks = [
            m.slate.index(item_id) + 1 if item_id in m.slate else length + 1 for m in trace.moments
        ]
        strong = item_id == trace.item_id
        axes.plot(
            n_known,
            ranks,
            color=color(place) if strong else QUIET,
            linewidth=2.5 if strong else 1.0,
            marker="o",
            markersize=3,
            zorder=3 if strong else 2,
        )
        axes.annotate(
            _short(title),
            (n_known[-1], ranks[-1]),
            xytext=(6, 0),
            textcoords="offset points",
            fontsize=7,
            va="center",
            fontweight="bold" if strong else "normal",
            annotation_clip=False,
        )
    axes.set_ylim(length + 1.5, 0.5)
    axes.set_yticks([1, length, length + 1], ["1", str(length), "below"])
    _finish(axes, "Ranks of the final slate's items", "rank on the slate")


def _draw_lines(
    axes: Axes, title: str, series: list[dict[str, float]], unit: str, names_before: list[str]
) -> None:
    """Draw lines of named numbers; names `names_before` from another panel keep their colors."""
    names = list(dict.fromkeys([*names_before, *(name for row in series for name in row)]))
    strongest = sorted(names, key=lambda name: -sum(row.get(name, 0.0) for row in series))[
        :MAX_LINES
    ]
    for name in strongest:
        axes.plot(
            range(1, len(series)),
            [row.get(name, 0.0) for row in series[1:]],
            **_style(names.index(name)),
            label=name,
        )
    if names and len(series) > 1:
        axes.set_ylim(bottom=0)
        _legend(axes)
    else:
        axes.text(
            0.5,
            0.5,
            "no event yet, so nothing moved",
            transform=axes.transAxes,
            ha="center",
            color=QUIET,
        )
        axes.set_ylim(bottom=0)
    _finish(axes, title, unit)


def _style(place: int) -> dict[str, Any]:
    """Return the line style of the series at `place`; dashed beyond the number of colors."""
    return {
        "color": color(place),
        "linestyle": "-" if place < len(COLORS) else "--",
        "marker": "o",
        "markersize": 3,
    }


def _legend(axes: Axes) -> None:
    """Draw the legend above the lines, with room added for it."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.3 * (high - low))
    axes.legend(fontsize=7, ncols=3, framealpha=0.8, edgecolor="none", loc="upper center")


def _finish(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_ylabel(unit, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _short(title: str, max_letters: int = 28) -> str:
    return title if len(title) <= max_letters else title[: max_letters - 1] + "…"

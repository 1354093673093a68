"""An explanation as an HTML page in the style of reports: why the item is ranked where it is, the
effect of each component, event and feature, and the change of the slate with each event and inner
step.
"""

from __future__ import annotations

from html import escape
from itertools import zip_longest

import polars as pl

from metarec.explanation.inner_steps import InnerTrace
from metarec.explanation.trace import Moment, Trace
from metarec.explanation.trace_plot import draw_effects, draw_for_page
from metarec.recommendation.explained import Explanation
from metarec.runtime.report_page import figure, html_table, report_page

LEAD = (
    "Effects are differences of log-score; the relative score is the item's score less the mean "
    "score, for this user, of what a new user is shown."
)


def explanation_page(why: Explanation, trace: Trace, inner: InnerTrace | None = None) -> str:
    """Return the page of one item and one user.

    Args:
        inner: inner steps of a learner on the user's events, where it takes some.

    Raises:
        MissingExtra: if matplotlib is not installed (`pip install 'metarec[explain]'`).
    """
    body = [
        _answer(why),
        *(f'<p class="caution">{escape(note)}</p>' for note in why.notes),
        "<h2>What each score component adds</h2>"
        + figure(draw_effects(why.components), narrow=True),
        *_events(why),
        *_features(why),
        *_nearest(why),
        "<h2>How the slate moved with each event</h2>",
        figure(draw_for_page(trace, inner), narrow=True),
        _moments(trace),
        *([] if inner is None else _steps(inner)),
    ]
    return report_page(f"Why {why.title}?", LEAD, "\n".join(body), downloads=_files(why, trace))


def _answer(why: Explanation) -> str:
    rank = f"rank {why.rank}" if why.rank else "not to be shown"
    sentences = [*why.reasons, *why.facts] or [
        "nothing about you moves it: its rank is the same for everyone"
    ]
    lines = [*sentences, *why.counterfactual_lines()]
    listed = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return (
        f'<div class="comparison"><b>Why is it there?</b><span>{rank}</span>'
        f"<span>, relative score {why.relative_score:+.2f}</span><ul>{listed}</ul></div>"
    )


def _events(why: Explanation) -> list[str]:
    rows = [
        [e.title, e.kind, _stated(e.value), f"{e.effect:+.3f}", _share(share)]
        for e, share in zip_longest(why.events, why.shares[: len(why.events)])
    ]
    head = ["event", "kind", "value", "lost without it", "share (Shapley value)"]
    return [f"<h2>What each event adds</h2>{html_table(head, rows, words=(0, 1))}"] if rows else []


def _features(why: Explanation) -> list[str]:
    rows = [[f.about, f.name, f.value, f"{f.effect:+.3f}"] for f in why.features]
    head = ["of", "feature", "value", "lost without it"]
    table = html_table(head, rows, words=(0, 1, 2))
    return [f"<h2>What each feature adds</h2>{table}"] if rows else []


def _nearest(why: Explanation) -> list[str]:
    rows = [[title, item_id, f"{cosine:.2f}"] for item_id, title, cosine in why.nearest]
    table = html_table(["item", "id", "cosine"], rows, words=(0, 1))
    return [f"<h2>Most like it, of the user's own items</h2>{table}"] if rows else []


def _moments(trace: Trace) -> str:
    rows = [_moment(one) for one in trace.moments]
    head = ["events", "newest event", "rank", "relative score", "moved most", "first three"]
    return html_table(head, rows, words=(1, 4, 5))


def _moment(one: Moment) -> list[str]:
    moved = max(one.shifts, key=lambda name: one.shifts[name], default="") if one.n_known else ""
    rank = "seen" if one.rank is None else str(one.rank)
    first = ", ".join(one.titles[:3])
    return [str(one.n_known), one.event, rank, f"{one.relative_score:+.2f}", moved, first]


def _steps(inner: InnerTrace) -> list[str]:
    rows = [
        [str(step), f"{loss:.4f}", f"{kept:.0%}", ", ".join(slate[:3])]
        for step, (loss, kept, slate) in enumerate(
            zip(inner.losses, inner.kept, inner.slates, strict=True)
        )
    ]
    head = ["step", "loss", "kept of the first slate", "first three"]
    return [f"<h2>Inner steps of {escape(inner.learner)}</h2>{html_table(head, rows, words=(3,))}"]


def _files(why: Explanation, trace: Trace) -> dict[str, str]:
    moments = [
        {"events": one.n_known, "newest_event": one.event, "rank": one.rank}
        | {"relative_score": one.relative_score, **one.components}
        for one in trace.moments
    ]
    components = [{"score_component": name, "adds": adds} for name, adds in why.components.items()]
    files = {"score_components.csv": components, "trace.csv": moments}
    return {name: pl.DataFrame(rows).write_csv() for name, rows in files.items()}


def _stated(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:+.3f}"

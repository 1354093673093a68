"""An evaluation as text for a terminal: tables with intervals, then sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from metarec.evaluation.adaptation import adaptations
from metarec.evaluation.measure import METRICS
from metarec.runtime.language import ENGLISH, OUTPUT, SAID, translated_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

    from metarec.evaluation.evaluate import Evaluation
    from metarec.evaluation.examples import ShownUser


def to_text(evaluation: Evaluation, width: int = 120, *, language: str = ENGLISH) -> str:
    """Return the learning curve, rating errors where there are values, the comparison, costs, and
    some new users.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(
        width=width,
        record=True,
        file=None,
        force_terminal=False,
        color_system=None,
        highlight=False,
        emoji=False,
    )
    with console.capture() as captured:
        for part in parts(evaluation):
            if isinstance(part, Table):
                part.title = translated_lines(str(part.title), language, OUTPUT, SAID)
            console.print(
                translated_lines(part, language, OUTPUT, SAID) if isinstance(part, str) else part
            )
    return captured.get().rstrip() + "\n"


def parts(evaluation: Evaluation) -> list[RenderableType]:
    """Return the parts to print with `rich`, in order."""
    of_domain = evaluation.domain_metric
    metrics = dict.fromkeys((*evaluation.ordering, "recall@20", "mae", *(of_domain or ())[:1]))
    tables = (_table(evaluation, metric) for metric in metrics)
    lines: list[RenderableType] = [
        head(evaluation),
        *(table for table in tables if table is not None),
    ]
    if of_domain is not None:
        lines += [
            "",
            f"{evaluation.domain} is evaluated by {METRICS[of_domain[0]].label}: {of_domain[1]}",
        ]
    for metric in dict.fromkeys((*evaluation.ordering, "mae", *(of_domain or ())[:1])):
        comparison = evaluation.comparison(metric)
        if comparison is not None:
            lines += ["", f"{METRICS[metric].label}: {comparison.sentence}"]
    if (choice := evaluation.choice()) is not None:
        lines += ["", f"Which to choose: {choice.sentence}", ""]
    lines += [
        f"{model}, by NDCG@10: {comparison}"
        for model in evaluation.models[1:]
        if (comparison := evaluation.comparison("ndcg@10", model)) is not None
    ]
    lines += [line for one in adaptations(evaluation.curve) for line in one.lines]
    return [
        *lines,
        "",
        *(line for user in evaluation.shown for line in show(user, evaluation.shown_by)),
    ]


def head(evaluation: Evaluation) -> str:
    """Return the header: data, scenario, users evaluated and left out, and training data."""
    facts = evaluation.facts
    read = "".join(
        f"\ntexts read for {name} by {settings['encoder']} ({settings['encoder_reason']})"
        for name, cost in evaluation.costs.items()
        if "encoder_reason" in (settings := cost.settings)
    )
    idle = facts["left_out"]
    left_out = (
        f"\n{idle:,} more held out, who like no item that could be asked about" if idle else ""
    )
    history_note = (
        "\nthe whole history of each user is known, up to "
        f"{max(evaluation.curve.support_sizes):,} items"
        if evaluation.knows_users
        else ""
    )
    return (
        f"{evaluation.data}, {evaluation.scenario}: {facts['test_users']:,} test users, "
        f"{facts['chosen_by']:,} validation users; "
        f"fitted on {facts['training_users']:,} users and "
        f"{facts['training_events']:,} events; "
        f"{facts['items_listed']:,} items ranked{left_out}{history_note}{read}"
    )


def _table(evaluation: Evaluation, metric: str) -> RenderableType | None:
    from rich.table import Table

    curve = evaluation.curve
    able = [m for m in curve.models if curve.has(m, metric)]
    if not able:
        return None
    means = np.stack([curve.mean(m, metric) for m in able])
    better = METRICS[metric].higher_is_better
    best = means.max(axis=0) if better else means.min(axis=0)
    best = np.full(len(best), np.nan) if better is None else best
    title = (
        f"{METRICS[metric].label} by known items of each user, ± half of the 95% interval "
        f"(* best); seconds to fit, ms a user"
    )
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1))
    table.add_column("", no_wrap=True)
    for k in curve.support_sizes:
        table.add_column(str(k), justify="right", no_wrap=True)
    table.add_column("fit s", justify="right", no_wrap=True)
    table.add_column("ms", justify="right", no_wrap=True)
    for row, model in enumerate(able):
        low, high = curve.interval(model, metric)
        cells = [
            f"{_short(mean)}{'*' if mean == top else ' '}±{_short((h - w) / 2)}"
            for mean, top, w, h in zip(means[row], best, low, high, strict=True)
        ]
        cost = evaluation.costs[model]
        name = f"[bold]{model}[/bold]" if model in evaluation.models else model
        table.add_row(name, *cells, f"{cost.fit_seconds:.1f}", f"{cost.ms_per_cold_user:.2f}")
    return table


def _short(value: float) -> str:
    """Return three decimals without the leading zero, which is the same in nearly every cell."""
    return f"{value:.3f}".removeprefix("0")


def show(user: ShownUser, shown_by: str) -> list[str]:
    """Return one test user and their slates in a few lines."""
    who = ", ".join(f"{k} {v}" for k, v in user.profile.items()) or "nothing known"
    liked = "1 item" if user.liked_later == 1 else f"{user.liked_later} items"
    lines = [f"A test user ({who}), served by {shown_by}; liked {liked} later"]
    for slate in user.slates:
        marked = [
            f"{'✓ ' if hit else ''}{title}"
            for title, hit in zip(slate.titles, slate.hits, strict=True)
        ]
        when = f"after {user.did_in_words(slate.acts)}" if slate.events else "before any event"
        lines += [f"  {when}:", f"    {' | '.join(marked)}"]
    return [*lines, ""]

"""Other evaluations of `metarec evaluate` than the learning curve of one data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarec.app.commands.evaluate_options import DOMAIN_COLD, Options
from metarec.app.commands.options import show

if TYPE_CHECKING:
    from collections.abc import Callable

    from metarec.data.cold_users import Horizon
    from metarec.data.dataset import Dataset
    from metarec.evaluation.interface import Evaluated
    from metarec.runtime.progress import Progress


def domain_cold(options: Options, prior: Path, horizon: Horizon | None) -> None:
    """Evaluate users of a new domain, with and without a prior from another one."""
    from metarec.data.cleaning import read_clean
    from metarec.evaluation.domain_cold import FIRST_WEEKS, evaluate_domain_cold, to_text
    from metarec.recommender import Recommender
    from metarec.runtime.progress import on_terminal

    source = Recommender.load(prior)
    table, _ = read_clean(options.data)
    with on_terminal(show=not options.as_json) as progress:
        first_weeks = evaluate_domain_cold(
            table,
            source,
            users=options.users or FIRST_WEEKS,
            preset=options.preset,
            encoder=options.encoder,
            baselines=options.baseline,
            horizon=horizon,
            seed=options.seed,
            progress=progress,
        )
    result = {"data": table.name, "prior": source.training.name, "scenario": DOMAIN_COLD}
    weeks = {"weeks": [one.to_json() for one in first_weeks]}
    show(result | weeks, to_text(first_weeks), as_json=options.as_json)


def overfitting_of(options: Options) -> None:
    """Measure how much better training users are served than new ones."""
    from metarec.data.cleaning import read_clean
    from metarec.evaluation.overfitting import measure_overfitting
    from metarec.runtime.progress import on_terminal

    table, _ = read_clean(options.data)
    table = table if options.kind is None else with_target_kind(table, options.kind)
    with on_terminal(show=not options.as_json) as progress:
        overfitting = measure_overfitting(
            table,
            preset=options.preset,
            encoder=options.encoder,
            seed=options.seed,
            progress=progress,
        )
    result = {"data": table.name} | overfitting.to_dict()
    show(result, "\n".join(overfitting.lines()), as_json=options.as_json)


def by_protocol(
    data: Dataset, options: Options, name: str, models: list[Evaluated], progress: Progress
) -> tuple[dict[str, Any], str]:
    """Evaluate by a published protocol; return the result as JSON and as text."""
    from metarec.data.schema import BadInput
    from metarec.evaluation.papers import leave_last_out as last_out
    from metarec.evaluation.papers.protocols import (
        PROTOCOLS,
        as_json,
        describe_rows,
        evaluate_by_protocol,
    )

    if name not in (*PROTOCOLS, last_out.NAME):
        choices = ", ".join([*PROTOCOLS, last_out.NAME])
        raise BadInput(f"--protocol must be one of {choices}, got {name!r}")
    if name == last_out.NAME:
        rows = last_out.evaluate_last_out(
            last_out.leave_last_out_split(data),
            models,
            baselines=options.baseline,
            seed=options.seed,
            progress=progress,
        )
    else:
        split = PROTOCOLS[name](data, seed=options.seed)
        rows = evaluate_by_protocol(split, models, seed=options.seed, progress=progress)
    return {"data": data.name, "protocol": name, "rows": as_json(rows)}, describe_rows(rows)


def cross_validated(
    data: Dataset, options: Options, models: Callable[[], list[Evaluated]], progress: Progress
) -> tuple[dict[str, Any], str]:
    """Cross-validate over folds of users; return the result as JSON and as text."""
    from metarec.app.commands.options import table
    from metarec.evaluation.baselines import baselines_for
    from metarec.evaluation.crossvalidation import cross_validate

    curve = cross_validate(
        data,
        lambda: [*models(), *baselines_for(data, options.baseline)],
        folds=options.folds,
        seed=options.seed,
        progress=progress,
    )
    rows = []
    for model in curve.models:
        low, high = curve.interval(model, "ndcg@10")
        ends = zip(curve.mean(model, "ndcg@10"), low, high, strict=True)
        cells = [f"{mean:.3f} ±{(top - bottom) / 2:.3f}" for mean, bottom, top in ends]
        rows.append([model, *cells])
    head = (
        f"NDCG@10 of {len(curve.user_ids):,} new users in {options.folds} folds, ± half of the "
        f"95% interval, by known items of each user"
    )
    if curve.left_out:
        head += f"\n{curve.left_out:,} more held out, who like no item that could be asked about"
    text = f"{head}\n{table(['', *map(str, curve.support_sizes)], rows)}"
    return {**curve.to_json(), "folds": options.folds, "left_out": curve.left_out}, text


def with_target_kind(data: Dataset, kind: str) -> Dataset:
    """Return the data with one kind of event as the only target.

    Raises:
        BadInput: if no event is of that kind, or the kind is not positive.
    """
    from dataclasses import replace

    from metarec.data.schema import BadInput

    events = data.interactions
    kinds = {events.kinds.key(name): name for name in events.frame["kind"].unique()}
    if events.kinds.key(kind) not in kinds:
        raise BadInput(
            f"--kind {kind!r}: no event of {data.name} is of this kind; there are "
            f"{', '.join(sorted(kinds.values()))}"
        )
    if events.kinds.of(kind).sign != "positive":
        raise BadInput(
            f"--kind {kind!r} is {events.kinds.of(kind).sign}; a target must be positive, which "
            f"[kinds] in the TOML file can say"
        )
    targets = frozenset({events.kinds.key(kind)})
    return replace(data, interactions=replace(events, target_kinds=targets))

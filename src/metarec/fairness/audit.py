"""`audit`: the quality of a model by group of users, over the cold-start curve, and the exposure of
groups of items.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.evaluation.interface import Scores
from metarec.evaluation.measure import METRICS, EvaluationSet
from metarec.evaluation.significance import interval, resample
from metarec.evaluation.tables import label_of
from metarec.fairness.disparity import SMALL, Gap, GroupValue, find_gaps, values_by_group
from metarec.fairness.exposure import (
    ExposureRow,
    exposure_by_group,
    miscalibration,
    popularity_lift,
)
from metarec.fairness.groups import (
    Groups,
    category_matrix,
    check_attribute,
    check_item_column,
    group_items,
    group_items_by_popularity,
    group_users,
)
from metarec.fairness.outcomes import Outcomes, evaluate
from metarec.runtime.old_names import takes_former_keywords
from metarec.runtime.rng import derive

COVERED, KEPT = "covered@90", (0.87, 0.93)
"""Metric of the coverage of 90% intervals of predicted values, and the range of coverage that
counts as calibrated.
"""
BESIDE = ("popularity lift@10", "miscalibration@10", "mae", COVERED)
"""Metrics shown by group besides the requested one, if they were measured."""
POPULARITY = "popularity"
"""Name of the grouping of items by their number of events."""


@dataclass(frozen=True, kw_only=True)
class Overall:
    """One metric over all users."""

    metric: str
    n_support: int | None
    """Number of events; None for each user's mean over the curve."""
    value: float
    low: float
    """Lower end of the 95% bootstrap interval over users."""
    high: float


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Result of an audit. `to_text`, `to_json`, and `report.to_html` present it."""

    model_version: str
    users: int
    """Number of users evaluated."""
    support_sizes: tuple[int, ...]
    """Numbers of events."""
    metric: str
    """Metric in which gaps are searched."""
    overall: list[Overall]
    groups: list[GroupValue]
    gaps: list[Gap]
    """The widest gap of each attribute after each number of events, and over the curve (`n_support`
    None).
    """
    exposure: list[ExposureRow]
    coverage: dict[int, float]
    """Number of events -> share of the catalog in the first ten of any user."""
    warnings: list[str] = field(default_factory=list)

    @property
    def largest_clear_gap(self) -> Gap | None:
        """The widest statistically clear gap over the whole curve; None if there is none."""
        clear = [gap for gap in self.gaps if gap.is_clear and gap.n_support is None]
        return max(clear, key=lambda gap: gap.size, default=None)

    @property
    def largest_fair_gap(self) -> Gap | None:
        """The widest of the clear gaps over the whole curve that stay clear between users matched
        on their number of liked items; None if there is none.
        """
        overall = [gap for gap in self.gaps if gap.n_support is None]
        clear = [gap for gap in overall if gap.is_clear and gap.matched.is_clear]
        return max(clear, key=lambda gap: gap.matched.value, default=None)

    def with_warnings(self, cautions: Sequence[str]) -> Audit:
        """Return the audit with further warnings before its own."""
        return replace(self, warnings=[*cautions, *self.warnings])

    def to_json(self) -> dict[str, Any]:
        """Return plain data; NaN becomes None."""
        return dict(json.loads(json.dumps(asdict(self)), parse_constant=lambda _: None))

    def to_text(self) -> str:
        """Return the audit as text for a terminal."""
        lines = [
            f"{label_of(self.metric)} by group, of {self.users} users evaluated as new users",
            *_table(self),
            "",
            self.summary(),
        ]
        for gap in (g for g in self.gaps if g.n_support is None):
            mark = "clear" if gap.is_clear else f"not clear, corrected p {gap.p_corrected:.3f}"
            lines.append(
                f"  {gap.by}: {gap.best} over {gap.worst} by {gap.size:.3f} [{gap.low:.3f}, "
                f"{gap.high:.3f}] ({mark})"
                + (
                    f"; {gap.matched} of it between users with as many liked items"
                    if gap.matched.is_known
                    else ""
                )
            )
        lines += [
            "",
            "attention by group of items (share of attention / of the catalog / of what users "
            "liked)",
        ]
        lines += [
            f"  {r.by} {r.group} after {r.n_support}: {r.exposure:.3f} / {r.catalog:.3f} / "
            f"{r.liked:.3f}"
            for r in self.exposure
            if r.n_support in {self.support_sizes[0], self.support_sizes[-1]}
        ]
        return "\n".join([*lines, *(f"caution: {warning}" for warning in self.warnings)])

    def summary(self) -> str:
        """Return the summary: one sentence on the widest clear gap, two if that gap disappears
        between matched users.
        """
        gap, fair = self.largest_clear_gap, self.largest_fair_gap
        if gap is None:
            return (
                f"No gap between groups in {label_of(self.metric)} is clear of chance with "
                f"{self.users} users; small gaps may still be there."
            )
        return (
            f"The widest clear gap: by {gap.by}, {gap.best} is served {gap.size:.3f} better than "
            f"{gap.worst} [{gap.low:.3f}, {gap.high:.3f}] in {label_of(self.metric)}, averaged "
            f"over the curve{_what_is_left(gap)}{_fair_instead(gap, fair)}"
        )


@takes_former_keywords
def audit(
    model: Scores,
    evaluation_set: EvaluationSet,
    *,
    by: Sequence[str],
    support_sizes: Sequence[int] = (0, 1, 3, 5, 10, 20),
    metric: str = "ndcg@10",
    items_by: Sequence[str] = (POPULARITY,),
    categories: str | None = None,
    seed: int = 0,
) -> Audit:
    """Evaluate a fitted model on new users, by group.

    Args:
        evaluation_set: users that the model was not fitted on, and the data it was fitted on.
        by: profile attributes, or `activity`.
        support_sizes: numbers of events.
        metric: any of `evaluation.measure.METRICS`, or `popularity lift@10`, `miscalibration@10`.
        items_by: columns of the catalog, or `popularity`.
        categories: the catalog's column of categories; if None it is searched, and miscalibration
            is left out if there is none.
        seed: orders equal scores and draws the bootstrap.

    Raises:
        BadInput: for an attribute that no user states, a column that items do not have, or a metric
            that was not measured.
    """
    groupings = [group_users(evaluation_set.cold_users, name) for name in by]
    item_groups = [
        group_items_by_popularity(evaluation_set.train, evaluation_set.vocabulary)
        if name == POPULARITY
        else group_items(evaluation_set.train.items, evaluation_set.vocabulary, name)
        for name in items_by
    ]
    measured = evaluate(model, evaluation_set, support_sizes, seed=seed)
    outcomes, warnings = _with_slate_metrics(measured, categories)
    return audit_outcomes(
        outcomes,
        groupings,
        item_groups,
        metric=metric,
        seed=seed,
        warnings=warnings,
        model_version=str(getattr(model, "version", "")),
    )


def check_asked(data: Dataset, by: Sequence[str], items_by: Sequence[str], metric: str) -> None:
    """Check the arguments of an audit before a model is fitted for it.

    Raises:
        BadInput: for an unknown attribute, column or metric.
    """
    if metric not in (*METRICS, *BESIDE):
        names = ", ".join(dict.fromkeys([*METRICS, *BESIDE]))
        raise BadInput(f"metric {metric!r} was not measured; there are: {names}")
    for name in by:
        check_attribute(sorted(data.users.attributes), name)
    for name in items_by:
        if name != POPULARITY:
            check_item_column(data.items, name)


def audit_outcomes(
    outcomes: Outcomes,
    groupings: Sequence[Groups],
    item_groups: Sequence[Groups],
    *,
    metric: str = "ndcg@10",
    seed: int = 0,
    warnings: Sequence[str] = (),
    model_version: str = "",
) -> Audit:
    """Return the audit of results already measured; see `audit`."""
    rng = derive(seed, "audit")
    steps: tuple[int | None, ...] = (*outcomes.support_sizes, None)
    shown = dict.fromkeys([metric, *(m for m in BESIDE if m in outcomes.per_user)])
    overall = [_overall(outcomes, m, step, rng) for m in shown for step in steps]
    rows = [
        row
        for groups in groupings
        for m in shown
        for step in steps
        for row in values_by_group(outcomes, groups, m, rng, n_support=step)
    ]
    return Audit(
        model_version=model_version,
        users=len(outcomes.evaluation_set.cold_users),
        support_sizes=outcomes.support_sizes,
        metric=metric,
        overall=overall,
        groups=rows,
        gaps=find_gaps(outcomes, groupings, metric, support_sizes=steps),
        exposure=[row for groups in item_groups for row in exposure_by_group(outcomes, groups)],
        coverage={
            n_support: float(
                len(np.unique(listed[:, :10][listed[:, :10] >= 0]))
                / len(outcomes.evaluation_set.vocabulary)
            )
            for n_support, listed in zip(outcomes.support_sizes, outcomes.ranked, strict=True)
        },
        warnings=[*warnings, *_size_warnings(groupings), *_interval_warnings(rows)],
    )


def _with_slate_metrics(outcomes: Outcomes, categories: str | None) -> tuple[Outcomes, list[str]]:
    """Add popularity lift and, if items have categories, miscalibration to the measured metrics;
    return warnings too.
    """
    evaluation_set, warnings = outcomes.evaluation_set, []
    extra = {
        "popularity lift@10": np.stack(
            [popularity_lift(listed, evaluation_set) for listed in outcomes.ranked]
        )
    }
    try:
        items = evaluation_set.train.items
        mixes, _ = category_matrix(items, evaluation_set.vocabulary, categories)
        extra["miscalibration@10"] = np.stack(
            [miscalibration(listed, evaluation_set, mixes) for listed in outcomes.ranked]
        )
    except BadInput as error:
        if categories is not None:
            raise
        warnings.append(f"miscalibration was not measured: {error}")
    return replace(outcomes, per_user={**outcomes.per_user, **extra}), warnings


def _overall(
    outcomes: Outcomes, metric: str, n_support: int | None, rng: np.random.Generator
) -> Overall:
    values = outcomes.values(metric, n_support)
    valid = values[~np.isnan(values)]
    if not len(valid):
        return Overall(metric=metric, n_support=n_support, value=np.nan, low=np.nan, high=np.nan)
    mean, (low, high) = float(valid.mean()), map(float, interval(valid, resample(len(valid), rng)))
    return Overall(metric=metric, n_support=n_support, value=mean, low=low, high=high)


def _what_is_left(gap: Gap) -> str:
    """Return a clause on how much of a gap is left between users matched on their number of liked
    items, and so is not an artifact of the metric.
    """
    if not gap.matched.is_known:
        return (
            "; no two of them like as many items, so how much of it the metric makes is not known."
        )
    if not gap.matched.is_clear:
        return (
            f". Between users with as many liked items nothing clear is left ({gap.matched}): "
            f"nothing shows that the model makes it."
        )
    return f"; {gap.matched} of it between users with as many liked items."


def _fair_instead(widest: Gap, fair: Gap | None) -> str:
    """Return a sentence on the widest gap that stays clear between matched users, if the widest gap
    does not.
    """
    if widest.matched.is_clear:
        return ""
    if fair is None:
        return " No other gap is clear and stays so between them."
    return (
        f" The widest clear one that stays so between them: by {fair.by}, {fair.best} over "
        f"{fair.worst} by {fair.matched}."
    )


def _size_warnings(groupings: Sequence[Groups]) -> list[str]:
    warnings = []
    for groups in groupings:
        small = [f"{label} ({users})" for label, users in groups.sizes.items() if users < SMALL]
        if small:
            warnings.append(
                f"by {groups.name}, too few users to compare: {', '.join(small)}; fewer than "
                f"{SMALL} take no part in gaps."
            )
        if len(groups.sizes) - len(small) < 2:
            warnings.append(
                f"by {groups.name}, fewer than two groups are large enough, so no gap can be found."
            )
    return warnings


def _interval_warnings(rows: Sequence[GroupValue]) -> list[str]:
    """Return warnings on groups whose 90% intervals are clearly not calibrated: intervals are
    scaled for all users together.
    """
    missed = [
        row
        for row in rows
        if row.metric == COVERED
        and row.n_support is None
        and not row.is_small
        and not KEPT[0] <= row.value <= KEPT[1]
        and not row.low <= 0.9 <= row.high
    ]
    return [
        f"90% intervals of predicted values hold {row.value:.1%} [{row.low:.1%}, {row.high:.1%}] "
        f"of those of {row.by} {row.group}: "
        f"they are stretched for everyone together, and too "
        f"{'narrow' if row.value < KEPT[0] else 'wide'} for these users."
        for row in missed
    ]


def _table(audit: Audit) -> list[str]:
    rows = [row for row in audit.groups if row.metric == audit.metric]
    names = list(dict.fromkeys((row.by, row.group, row.users) for row in rows))
    width = max((len(f"{by} {group}") for by, group, _ in names), default=8)
    cells = {(row.by, row.group, row.n_support): row for row in rows}
    head = (
        " " * (width + 2)
        + f"{'users':>6}"
        + "".join(f"{s:>8}" for s in audit.support_sizes)
        + "   over the curve"
    )
    lines = [head]
    overall = {o.n_support: o for o in audit.overall if o.metric == audit.metric}
    lines.append(
        f"  {'everyone':<{width}}{audit.users:>6}"
        + "".join(f"{overall[s].value:>8.3f}" for s in audit.support_sizes)
        + f"   {overall[None].value:.3f} [{overall[None].low:.3f}, {overall[None].high:.3f}]"
    )
    for by, group, users in names:
        cells_of_row = [cells.get((by, group, s)) for s in (*audit.support_sizes, None)]
        last = cells_of_row[-1]
        lines.append(
            f"  {f'{by} {group}':<{width}}{users:>6}"
            + "".join(f"{r.value:>8.3f}" if r else f"{'-':>8}" for r in cells_of_row[:-1])
            + (
                f"   {last.value:.3f} {_ends(last)}{' small' if last.is_small else ''}"
                if last
                else ""
            )
        )
    return lines


def _ends(row: GroupValue) -> str:
    """Return the interval as text; a group of one user has none."""
    return "(one user)" if np.isnan(row.low) else f"[{row.low:.3f}, {row.high:.3f}]"

"""Gains and costs of each mitigation, in one table, on the same users, with intervals.

The gap compared is the widest clear one of the model without mitigation (or the widest, if none is
clear), and its two groups stay the same throughout: a mitigation may not pick another pair to look
good. Serving the better group worse also closes a gap, so the table shows the change of each of the
two. It also shows the part of the gap left between users matched on their number of liked items,
and the gain that the group served worst needs for the gap to be halved at a cost of `MAX_COST`,
which does not depend on the mitigations tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from metarec.data.schema import BadInput
from metarec.evaluation.significance import resample
from metarec.evaluation.tables import label_of
from metarec.fairness.disparity import (
    Gap,
    Matched,
    find_gaps,
    liked_items,
    matched_difference,
    more_is_better,
)
from metarec.fairness.groups import Groups
from metarec.fairness.outcomes import Outcomes

AS_IS = "as it is"
"""Name of the row of the model without mitigation."""
MAX_COST = 0.01
"""Share of overall quality that a cheap mitigation may cost."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A number with its 95% bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


@dataclass(frozen=True, kw_only=True)
class TradeOffRow:
    """One mitigation compared with the model without mitigation."""

    name: str
    overall: float
    """Mean of the metric over all users."""
    overall_change: Change
    """Change of the overall mean, paired by user."""
    trade_off: float
    """Share of overall quality lost, below 0 if it rose; for an error metric, its relative
    increase.
    """
    by_group: dict[str, float]
    """Group of the gap's attribute -> mean."""
    worst_change: Change
    """Change of the group served worst before."""
    best_change: Change
    """Change of the group served best before."""
    worst_gain: Change
    """`worst_change`, with the opposite sign for metrics of which less is better."""
    gap: float
    """Gap between these two groups; below 0 if their order changed."""
    gap_change: Change
    """Change of the gap by the mitigation; below 0 where it shrank."""
    matched: float
    """Gap between users matched on their number of liked items."""
    matched_change: Matched
    """Change of the matched gap by the mitigation."""
    note: str = ""

    @property
    def halves_the_gap(self) -> bool:
        """Whether at most half of the gap remains."""
        return abs(self.gap) <= 0.5 * abs(self.gap - self.gap_change.value)

    @property
    def closes_clearly(self) -> bool:
        """Whether the gap shrank clearly: the whole interval of its change lies below 0."""
        return self.gap_change.high < 0

    @property
    def is_cheap(self) -> bool:
        """Whether overall quality fell by at most `MAX_COST`."""
        return self.trade_off <= MAX_COST


@dataclass(frozen=True, kw_only=True)
class TradeOffTable:
    """All mitigations tried, compared with the model without mitigation."""

    metric: str
    n_support: int | None
    """None means each user's mean over the curve."""
    gap: Gap
    """Gap of the model without mitigation."""
    overall: float
    """Mean of the metric over all users, without mitigation."""
    by_group: dict[str, float]
    """Group -> mean of the metric, without mitigation."""
    shares: dict[str, float]
    """Share of each group among the users."""
    rows: list[TradeOffRow]

    @property
    def needed(self) -> float:
        """Minimum gain of the group served worst that halves the gap at a cost of `MAX_COST`, if no
        other group changes.

        With a loss x of the best group and a gain y of the worst, x + y = gap / 2 and share_best x
        - share_worst y = cost.
        """
        best, worst = self.shares[self.gap.best], self.shares[self.gap.worst]
        return max(0.0, (best * self.gap.size / 2 - MAX_COST * abs(self.overall)) / (best + worst))

    def summary(self) -> str:
        """Return the outcome in one or a few sentences."""
        clear = "clear" if self.gap.is_clear else "not clear"
        sentence = (
            f"The gap by {self.gap.by} between {self.gap.best} and {self.gap.worst} is "
            f"{self.gap.size:.3f} ({clear}). "
        )
        if not self.gap.is_clear:
            return (
                sentence
                + "There is no clear gap to close, so what a mitigation does to it is no proof of "
                "anything."
            )
        if self.gap.matched.is_known and not self.gap.matched.is_clear:
            return sentence + (
                f"Between users with as many liked items nothing clear is left "
                f"({self.gap.matched}): nothing "
                "shows that the model makes it, so there is nothing to mend; ask with another "
                "metric, such as auc."
            )
        wins = [
            row for row in self.rows if row.halves_the_gap and row.is_cheap and row.closes_clearly
        ]
        if wins:
            best = max(wins, key=lambda row: row.overall)
            return sentence + (
                f"{best.name} at least halves it (to {best.gap:.3f}) for {-best.trade_off:+.1%} "
                f"of overall {label_of(self.metric)}; {self.gap.worst} moves by "
                f"{best.worst_change}, {self.gap.best} by {best.best_change}."
            )
        return sentence + self._none_halves()

    def _none_halves(self) -> str:
        """Return sentences on the mitigation that came nearest, and on the gain needed."""
        names = ", ".join(row.name for row in self.rows)
        cheap = [row for row in self.rows if row.is_cheap and row.closes_clearly]
        best = min(cheap, key=lambda row: abs(row.gap), default=None)
        nearest = (
            ""
            if best is None
            else f" The most that one closes it clearly for that is {best.name}, to {best.gap:.3f}."
        )
        return (
            f"None of what was tried halves it for at most {MAX_COST:.0%} of overall "
            f"{label_of(self.metric)} ({names}).{nearest} "
            f"{self._what_it_takes()}; {self._most_gained()}"
        )

    def _what_it_takes(self) -> str:
        if self.needed > 0:
            return f"For that {self.gap.worst} must get better by {self.needed:.4f} or more"
        return f"Serving {self.gap.best} worse would do it at that price, which mends nothing"

    def _most_gained(self) -> str:
        best = max(self.rows, key=lambda row: row.worst_gain.value, default=None)
        return (
            "nothing was tried."
            if best is None
            else f"the most that anything gave them is {best.worst_gain} ({best.name})."
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data, with the properties of each row and the summary."""
        rows = [
            asdict(row)
            | {
                "halves_the_gap": row.halves_the_gap,
                "is_cheap": row.is_cheap,
                "closes_clearly": row.closes_clearly,
            }
            for row in self.rows
        ]
        return asdict(self) | {"rows": rows, "summary": self.summary()}

    def to_text(self) -> str:
        """Return the table for a terminal."""
        width = max(len(row.name) for row in self.rows) if self.rows else 8
        width = max(width, len(AS_IS))
        lines = [
            f"{label_of(self.metric)}"
            f"{'' if self.n_support is None else f' after {self.n_support} events'}; "
            f"gap by {self.gap.by}: {self.gap.best} over "
            f"{self.gap.worst}",
            f"{'':<{width}}  overall   "
            f"{'change':<28}{'gap':<9}{'as many liked':<15}{f'{self.gap.worst:.14} change':<29}"
            f"{self.gap.best:.14} change",
            f"{AS_IS:<{width}}  {self.overall:.4f}{'':>31}{self.gap.size:+.4f}  "
            f"{self.gap.matched.value:+.4f}",
        ]
        lines += [
            f"{r.name:<{width}}  {r.overall:.4f}   {r.overall_change!s:<28}{r.gap:+.4f}  "
            f"{r.matched:+.4f}        "
            f"{r.worst_change!s:<28} {r.best_change!s:<28}"
            f"{' halves' if r.halves_the_gap else ''}{' cheap' if r.is_cheap else ''}"
            f"{f' ({r.note})' if r.note else ''}"
            for r in self.rows
        ]
        return "\n".join([*lines, self.summary()])


def trade_off(
    before: Outcomes,
    after: Mapping[str, Outcomes],
    groupings: Sequence[Groups],
    rng: np.random.Generator,
    *,
    metric: str = "ndcg@10",
    n_support: int | None = None,
    pair: frozenset[str] | None = None,
    notes: Mapping[str, str] | None = None,
) -> TradeOffTable:
    """Compare mitigations with the model without mitigation.

    Args:
        before: results of the model without mitigation.
        after: name -> results with the mitigation, on the same users.
        groupings: where to look for the widest gap.
        n_support: a number of events; each user's mean over the curve where None.
        pair: the two groups of the gap; the widest gap where None.
        notes: name -> a caveat printed beside it.

    Raises:
        BadInput: if no grouping has two groups large enough to compare.
    """
    gaps = find_gaps(before, groupings, metric, support_sizes=(n_support,), pair=pair)
    if not gaps:
        raise BadInput(
            "no attribute has two groups large enough to compare, so there is no gap to close; "
            "group by another attribute"
        )
    gap = max(gaps, key=lambda g: (g.is_clear, g.size))
    groups = next(g for g in groupings if g.name == gap.by)
    start = before.values(metric, n_support)
    as_is = AsItIs(values=start, groups=groups, gap=gap, liked=liked_items(before))
    notes_of = notes or {}
    rows = [
        _row(name, as_is, outcomes.values(metric, n_support), rng, notes_of.get(name, ""))
        for name, outcomes in after.items()
    ]
    return TradeOffTable(
        metric=metric,
        n_support=n_support,
        gap=gap,
        overall=float(np.nanmean(start)),
        by_group=_means(start, groups),
        shares={label: users / len(start) for label, users in groups.sizes.items()},
        rows=rows,
    )


@dataclass(frozen=True, kw_only=True)
class AsItIs:
    """Values of the model without mitigation, and its gap."""

    values: np.ndarray
    """[users] values of the metric."""
    groups: Groups
    gap: Gap
    liked: np.ndarray
    """[users] number of liked query items."""


def _row(
    name: str, as_is: AsItIs, end: np.ndarray, rng: np.random.Generator, note: str
) -> TradeOffRow:
    """Compare one mitigation, with values `end`, with the model without mitigation."""
    start, groups, gap, liked = as_is.values, as_is.groups, as_is.gap, as_is.liked
    sign = 1.0 if more_is_better(gap.metric) else -1.0
    gain, masks = end - start, (groups.mask(gap.worst), groups.mask(gap.best))
    everyone = _resampled(gain, rng)
    worst, best = (_resampled(gain[mask], rng) for mask in masks)
    means = _means(end, groups)
    return TradeOffRow(
        name=name,
        overall=float(np.nanmean(end)),
        overall_change=_change(everyone),
        by_group=means,
        trade_off=-sign * everyone[0] / abs(float(np.nanmean(start))),
        worst_change=_change(worst),
        best_change=_change(best),
        worst_gain=_change((sign * worst[0], sign * worst[1])),
        gap=sign * (means[gap.best] - means[gap.worst]),
        gap_change=_change((sign * (best[0] - worst[0]), sign * (best[1] - worst[1]))),
        matched=matched_difference(sign * end, *masks, liked).value,
        matched_change=matched_difference(sign * gain, *masks, liked),
        note=note,
    )


def _means(values: np.ndarray, groups: Groups) -> dict[str, float]:
    return {label: float(np.nanmean(values[groups.mask(label)])) for label in groups.sizes}


def _resampled(values: np.ndarray, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Return the mean of `values` and of each bootstrap resample of them, [draws]."""
    measured = values[~np.isnan(values)]
    return float(measured.mean()), resample(len(measured), rng) @ measured / len(measured)


def _change(mean_and_draws: tuple[float, np.ndarray]) -> Change:
    low, high = np.quantile(mean_and_draws[1], [0.025, 0.975])
    return Change(value=mean_and_draws[0], low=float(low), high=float(high))

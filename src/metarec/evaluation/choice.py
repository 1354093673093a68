"""Whether the evidence supports the model that `fit` makes by default, where single meta-learners
were evaluated beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metarec.evaluation.comparison import DifferenceAt, compare_with_baselines, events_of
from metarec.evaluation.curve import CurveTable
from metarec.evaluation.measure import METRICS
from metarec.evaluation.significance import Difference, paired_difference


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Comparison of one model with single meta-learners, on the same users."""

    model: str
    single: str
    """The best single learner by the mean over all numbers of events, chosen with hindsight."""
    overall: Difference
    """`model` minus `single`: each user's mean over all numbers of events."""
    differences: list[DifferenceAt]
    """`model` against the best single learner at each number of events, chosen with hindsight."""
    metric: str
    is_default: bool
    """Whether `model` is fitted with fit's default settings."""

    @property
    def supported(self) -> str:
        """The single learner if it is clearly better overall, else the model: a tie is no reason to
        change.
        """
        return self.single if self.overall.high < 0 else self.model

    @property
    def sentence(self) -> str:
        """The choice, whether it is fit's default, and the numbers of events at which another is
        better.
        """
        label = METRICS[self.metric].label
        what = (
            "which is fit's default"
            if self.is_default
            else "fitted with other settings than fit's default"
        )
        d = (
            self.overall
            if METRICS[self.metric].higher_is_better is not False
            else self.overall.turned
        )  # as `DifferenceAt.amount` tells it
        amount = (
            f"{d.mean:+.3f} {label} [{d.low:+.3f}, {d.high:+.3f}] over all numbers of known items"
        )
        if self.supported == self.model:
            clear = "" if self.overall.is_clear else ", which is no clear difference"
            text = (
                f"The evidence supports {self.model}, {what}: {amount} against the best single "
                f"meta-learner, {self.single}{clear}."
            )
        else:
            text = f"The evidence supports {self.single}, not {self.model}, {what}: {amount}."
        lines = []
        for outcome in ("better", "even", "worse"):
            differences = [s for s in self.differences if s.outcome == outcome]
            names = (
                f" ({', '.join(f'{s.best} {s.amount(label)}' for s in differences)})"
                if outcome == "worse"
                else ""
            )
            lines += [f"{outcome} at {events_of(differences)}{names}"] if differences else []
        return (
            f"{text} Against the best one at each number, with hindsight, it is {', '.join(lines)}."
        )

    def __str__(self) -> str:
        return self.sentence


def choose(
    curve: CurveTable,
    model: str,
    learners: Sequence[str],
    metric: str = "ndcg@10",
    *,
    is_default: bool = True,
) -> Choice:
    """Compare `model` with single learners.

    Raises:
        BadInput: if no learner was measured by `metric`, or `model` is among them.
    """
    differences = compare_with_baselines(curve, model, learners, metric).differences
    higher = METRICS[metric].higher_is_better is not False
    able = [name for name in learners if curve.has(name, metric)]
    single = (max if higher else min)(
        able, key=lambda name: float(np.mean(curve.mean(name, metric)))
    )
    each = {name: np.nanmean(curve.per_user[name][metric], axis=0) for name in (model, single)}
    overall = paired_difference(each[model], each[single], curve.weights, higher_is_better=higher)
    return Choice(
        model=model,
        single=single,
        overall=overall,
        differences=differences,
        metric=metric,
        is_default=is_default,
    )

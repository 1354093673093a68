"""The sentence that says whether meta-learning is worth it on these data.

The reference is the best simple baseline *at each number of events*, chosen with hindsight on the
very users evaluated: higher than any one baseline could reach. A difference counts only where its
95% interval excludes zero and a paired t-test rejects zero too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metarec.data.schema import BadInput
from metarec.evaluation.curve import CurveTable
from metarec.evaluation.measure import METRICS
from metarec.evaluation.significance import Difference, holm

MIN_USERS = 20
"""With this many users or more a comparison needs no warning."""


@dataclass(frozen=True, kw_only=True)
class DifferenceAt:
    """The model against the best baseline at one number of events."""

    events: int
    """Number of items known of each user; repeated events on an item count once."""
    ours: float
    """Mean of the model."""
    best: str
    """The best baseline at this number of events."""
    theirs: float
    """Mean of the best baseline."""
    difference: Difference
    """Paired difference, above 0 where the model is better."""
    p_corrected: float
    """Holm-corrected over the numbers of events."""
    higher_is_better: bool = True

    def amount(self, label: str) -> str:
        """Return the model's mean minus the baseline's with its interval, in the metric's own
        direction: `-0.012 MAE [-0.020, -0.004]` is fewer errors.
        """
        d = self.difference if self.higher_is_better else self.difference.turned
        return f"{d.mean:+.3f} {label} [{d.low:+.3f}, {d.high:+.3f}]"

    @property
    def outcome(self) -> str:
        """`better`, `worse`, or `even` where the difference is not clear."""
        return (
            "even"
            if not self.difference.is_clear
            else "better"
            if self.difference.low > 0
            else "worse"
        )


@dataclass(frozen=True, kw_only=True)
class BaselineComparison:
    """Comparison of a model with the best baselines, for the owner of the data."""

    model: str
    metric: str
    differences: list[DifferenceAt]
    users: int
    """Number of users evaluated."""

    @property
    def crossover(self) -> int | None:
        """The smallest number of events at which the model is clearly better, and clearly worse at
        none after it; None if there is no such number.
        """
        start = None
        for difference in self.differences:
            if difference.outcome == "worse":
                start = None
            elif difference.outcome == "better" and start is None:
                start = difference.events
        return start

    @property
    def sentence(self) -> str:
        """One or two sentences with numbers and intervals, and a warning where few users were
        evaluated.
        """
        if self.users >= MIN_USERS:
            return self._crossover_sentence
        who = f"{self.users} users were" if self.users > 1 else "1 user was"
        return (
            f"{self._crossover_sentence} Only {who} evaluated, which shows large differences at "
            "best."
        )

    @property
    def _crossover_sentence(self) -> str:
        label = METRICS[self.metric].label
        worse = [s for s in self.differences if s.outcome == "worse"]
        if self.crossover is None:
            return _never_better(self.differences, worse, label)
        first = next(s for s in self.differences if s.events == self.crossover)
        text = (
            f"Worth it {_from(first.events)}: {first.amount(label)} against the best simple "
            f"baseline there, {first.best}"
            f"{_at_the_end(first, self.differences[-1], label)}."
        )
        even = [s for s in self.differences if s.outcome == "even" and s.events > first.events]
        if even:
            text += f" At {events_of(even)} it is even with the best baseline."
        early = [s for s in self.differences if s.events < first.events]
        if worse:
            text += f" Not before: {_worse(worse, label)}."
        elif early:
            text += f" Before that ({events_of(early)}) {early[0].best} does as well."
        return text

    def __str__(self) -> str:
        return self.sentence


def compare_with_baselines(
    curve: CurveTable, model: str, baselines: Sequence[str], metric: str = "ndcg@10"
) -> BaselineComparison:
    """Compare `model` with the best of `baselines` at each number of events.

    Raises:
        BadInput: if no baseline was measured by `metric`, or `model` is one of them.
    """
    if model in baselines:
        raise BadInput(f"{model} cannot be its own baseline")
    best = curve.best(metric, baselines)
    differences = [curve.differences(model, other, metric)[n] for n, other in enumerate(best)]
    corrected = holm(np.array([d.p_value for d in differences]))
    return BaselineComparison(
        model=model,
        metric=metric,
        users=len(curve.user_ids),
        differences=[
            DifferenceAt(
                events=k,
                ours=float(curve.mean(model, metric)[n]),
                best=best[n],
                theirs=float(curve.mean(best[n], metric)[n]),
                difference=differences[n],
                p_corrected=float(corrected[n]),
                higher_is_better=bool(METRICS[metric].higher_is_better),
            )
            for n, k in enumerate(curve.support_sizes)
        ],
    )


def _never_better(differences: list[DifferenceAt], worse: list[DifferenceAt], label: str) -> str:
    last = differences[-1]
    if worse:
        return f"Not worth it here: {_worse(worse, label)}."
    better = [s for s in differences if s.outcome == "better"]
    assert not better, "a model clearly better somewhere and nowhere worse is worth it"
    sentence = f"{last.best} does as well ({last.amount(label)} at {_known_items(last.events)}"
    others = ", and no clear difference at any other number" if len(differences) > 1 else ""
    return f"Not worth it here: {sentence}{others})."


def _worse(worse: list[DifferenceAt], label: str) -> str:
    worst = min(worse, key=lambda s: s.difference.mean)
    return (
        f"at {events_of(worse)} a simple baseline is better ({worst.best}: "
        f"{worst.amount(label)} at {worst.events})"
    )


def _at_the_end(first: DifferenceAt, last: DifferenceAt, label: str) -> str:
    return (
        ""
        if first.events == last.events
        else f"; {last.amount(label)} at {_known_items(last.events)}, against {last.best}"
    )


def _from(events: int) -> str:
    return "from the start, before any event" if events == 0 else f"from {_known_items(events)}"


def _known_items(items: int) -> str:
    return f"{items} known item{'' if items == 1 else 's'}"


def events_of(differences: Sequence[DifferenceAt]) -> str:
    """Return the numbers of known items as words: `0, 1 and 3 known items`."""
    numbers = [str(s.events) for s in differences]
    listed = numbers[0] if len(numbers) == 1 else f"{', '.join(numbers[:-1])} and {numbers[-1]}"
    return f"{listed} known item{'s' if numbers != ['1'] else ''}"

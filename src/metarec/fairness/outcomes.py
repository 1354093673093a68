"""Metrics and lists of a model for each user at each number of events: the input of every audit and
every trade-off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metarec.data.schema import BadInput
from metarec.evaluation.interface import Scores
from metarec.evaluation.measure import EvaluationSet, measure
from metarec.runtime.rng import derive


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """Results of one model on the new users of one evaluation set."""

    evaluation_set: EvaluationSet
    support_sizes: tuple[int, ...]
    """Numbers of events shown, ascending."""
    per_user: Mapping[str, np.ndarray]
    """Metric -> [support_sizes, B], NaN for users without a value."""
    ranked: np.ndarray
    """[support_sizes, B, 20] item indexes of the evaluation set's vocabulary, best first, -1 for
    none.
    """

    def values(self, metric: str, n_support: int | None = None) -> np.ndarray:
        """Return [B] values of a metric after `n_support` events, or each user's mean over the
        curve where None.

        Raises:
            BadInput: for a metric or a number of events that was not measured.
        """
        if metric not in self.per_user:
            raise BadInput(
                f"metric {metric!r} was not measured; there are: {', '.join(self.per_user)}"
            )
        table = self.per_user[metric]
        if n_support is None:
            return np.asarray(table.mean(axis=0))
        if n_support not in self.support_sizes:
            raise BadInput(
                f"nothing was measured after {n_support} events, only after "
                f"{', '.join(map(str, self.support_sizes))}"
            )
        return np.asarray(table[self.support_sizes.index(n_support)])


def evaluate(
    model: Scores, evaluation_set: EvaluationSet, support_sizes: Sequence[int], *, seed: int = 0
) -> Outcomes:
    """Measure all metrics of `evaluation`, for each user, after each number of events.

    Args:
        seed: seed that orders equal scores.

    Raises:
        BadInput: if `support_sizes` is empty.
    """
    if not support_sizes:
        raise BadInput("say after how many events to evaluate, for example support_sizes=(0, 5)")
    steps = tuple(sorted(set(support_sizes)))
    measured = [measure(model, evaluation_set, k, derive(seed, "ties", k)) for k in steps]
    return Outcomes(
        evaluation_set=evaluation_set,
        support_sizes=steps,
        ranked=np.stack([m.ranked for m in measured]),
        per_user={
            name: np.stack([m.per_user[name] for m in measured]) for name in measured[0].per_user
        },
    )

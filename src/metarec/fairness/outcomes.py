"""Metrics and lists of a model for each user at each number of events: the input of every audit and
every trade-off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metarec.data.schema import BadInput
from metarec.evaluation.interface import Scores
from metarec.evaluation.measure import Trial, measure
from metarec.runtime.rng import derive


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """Results of one model on the new users of one trial."""

    trial: Trial
    shots: tuple[int, ...]
    """Numbers of events shown, ascending."""
    per_user: Mapping[str, np.ndarray]
    """Metric -> [shots, B], NaN for users without a value."""
    ranked: np.ndarray
    """[shots, B, 20] item indexes of the trial's vocabulary, best first, -1 for none."""

    def values(self, metric: str, shots: int | None = None) -> np.ndarray:
        """Return [B] values of a metric after `shots` events, or each user's mean over the curve
        where None.

        Raises:
            BadInput: for a metric or a number of events that was not measured.
        """
        if metric not in self.per_user:
            raise BadInput(
                f"metric {metric!r} was not measured; there are: {', '.join(self.per_user)}"
            )
        table = self.per_user[metric]
        if shots is None:
            return np.asarray(table.mean(axis=0))
        if shots not in self.shots:
            raise BadInput(
                f"nothing was measured after {shots} events, only after "
                f"{', '.join(map(str, self.shots))}"
            )
        return np.asarray(table[self.shots.index(shots)])


def evaluate(model: Scores, trial: Trial, shots: Sequence[int], *, seed: int = 0) -> Outcomes:
    """Measure all metrics of `evaluation`, for each user, after each number of events.

    Args:
        seed: seed that orders equal scores.

    Raises:
        BadInput: if `shots` is empty.
    """
    if not shots:
        raise BadInput("say after how many events to evaluate, for example shots=(0, 5)")
    steps = tuple(sorted(set(shots)))
    measured = [measure(model, trial, k, derive(seed, "ties", k)) for k in steps]
    return Outcomes(
        trial=trial,
        shots=steps,
        ranked=np.stack([m.ranked for m in measured]),
        per_user={
            name: np.stack([m.per_user[name] for m in measured]) for name in measured[0].per_user
        },
    )

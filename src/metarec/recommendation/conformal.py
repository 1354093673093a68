"""Honest intervals of predicted values: widened until they cover what they say, at every number of
events.

Split conformal prediction (Vovk et al. 2005; Lei et al. 2018, arXiv:1604.04173) with the model's
own spread as the measure of doubt: on held-out newcomers the error of each value is divided by its
spread, and the quantile of that ratio says by how much spreads must be stretched. Newcomers, not
ratings, are exchangeable, so each newcomer counts the same and the finite-sample correction counts
newcomers (hierarchical conformal prediction, Lee et al. 2023, arXiv:2306.06342).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scipy.special import ndtri

from metarec.data.newcomers import Newcomer
from metarec.data.schema import BadInput
from metarec.models.rating import HeldOutErrors
from metarec.recommendation.slate import Request
from metarec.runtime.knots import Knots


class Doubting(Protocol):
    """A recommender that predicts values and says how sure it is."""

    def rate(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """Predicted values, one array per request."""

    def rate_spread(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """Predictive standard deviations, one array per request."""


@dataclass(frozen=True, kw_only=True)
class Conformal:
    """How much to stretch spreads after each number of events, so that `level` intervals cover
    `level` of the values.
    """

    shots: tuple[int, ...]
    """Numbers of events calibrated at, ascending; between them the stretch is interpolated, beyond
    them kept.
    """
    stretch: tuple[float, ...]
    """Factor on the model's spread at each of them; above 1 the model was too sure of itself."""
    level: float = 0.9
    """Coverage in (0, 1) of the interval `predicted +- z(level) * stretch * spread`."""
    newcomers: int = 0
    """People it was calibrated on."""

    @classmethod
    def of_errors(cls, errors: HeldOutErrors, level: float = 0.9) -> Conformal:
        """Calibrate on errors already measured on people the model was not fitted on.

        Raises:
            BadInput: if they are too few for the level (the interval would have to be infinite).
        """
        needed = newcomers_needed(level)
        if errors.people < needed:
            raise BadInput(
                f"{level:.0%} intervals need at least {needed} newcomers with values to check, got "
                f"{errors.people}; hold more people out or ask for a lower level"
            )
        unit = float(ndtri(0.5 + level / 2))
        stretch = tuple(
            _person_quantile(ratio, errors.owners, errors.people, level) / unit
            for ratio in errors.ratios
        )
        return cls(shots=errors.shots, stretch=stretch, level=level, newcomers=errors.people)

    def __post_init__(self) -> None:
        if (
            not self.shots
            or len(self.shots) != len(self.stretch)
            or list(self.shots) != sorted(set(self.shots))
        ):
            raise BadInput(
                f"shots must be ascending with one stretch each, got {self.shots} and "
                f"{self.stretch}"
            )
        if not 0.0 < self.level < 1.0:
            raise BadInput(f"level must lie between 0 and 1, got {self.level}")

    def factor(self, shots: np.ndarray | int) -> np.ndarray:
        """Stretch after `shots` events, of the same shape; interpolated in log(1 + shots)."""
        return self._by_events.after(shots)

    @cached_property
    def _by_events(self) -> Knots:
        return Knots.between(self.shots, np.array(self.stretch))

    def widen(self, spread: np.ndarray, shots: np.ndarray | int) -> np.ndarray:
        """The spread whose normal interval covers what it says."""
        return np.asarray(spread * self.factor(shots))

    def interval(
        self,
        predicted: np.ndarray,
        spread: np.ndarray,
        shots: np.ndarray | int,
        value_range: tuple[float, float] = (-np.inf, np.inf),
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the `level` interval, inside the scale of values."""
        return normal_interval(predicted, self.widen(spread, shots), self.level, value_range)

    def to_json(self) -> dict[str, Any]:
        """Plain values, read back by `Conformal(**...)`."""
        return {
            "shots": list(self.shots),
            "stretch": list(self.stretch),
            "level": self.level,
            "newcomers": self.newcomers,
        }

    @classmethod
    def of_json(cls, saved: dict[str, Any]) -> Conformal:
        """What `to_json` wrote."""
        return cls(**{**saved, "shots": tuple(saved["shots"]), "stretch": tuple(saved["stretch"])})


def calibrate(
    model: Doubting,
    newcomers: Sequence[Newcomer],
    *,
    shots: Sequence[int],
    value_range: tuple[float, float],
    level: float = 0.9,
) -> Conformal:
    """Find the stretch on newcomers the model was not fitted on.

    Args:
        shots: numbers of events to calibrate at.
        value_range: predictions are clipped to it first, as everywhere else.

    Raises:
        BadInput: if there are too few newcomers for the level (the interval would have to be
            infinite).
    """
    judged = [person for person in newcomers if person.rated]
    asked = [[item_id for item_id, _ in person.rated] for person in judged]
    actual = np.array([value for person in judged for _, value in person.rated])
    steps = tuple(sorted(set(shots)))
    ratios = np.zeros((len(steps), len(actual)))
    for row, events in enumerate(steps if judged else ()):
        requests = [
            Request(history=person.first(events), profile=person.profile) for person in judged
        ]
        predicted = np.clip(np.concatenate(model.rate(requests, asked)), *value_range)
        ratios[row] = np.abs(actual - predicted) / np.maximum(
            np.concatenate(model.rate_spread(requests, asked)), 1e-12
        )
    owners = np.repeat(np.arange(len(judged)), [len(ids) for ids in asked])
    return Conformal.of_errors(
        HeldOutErrors(shots=steps, ratios=ratios, owners=owners, people=len(judged)), level
    )


def normal_interval(
    predicted: np.ndarray,
    spread: np.ndarray,
    level: float,
    value_range: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the `level` interval of a normal distribution, inside the scale of values."""
    half = ndtri(0.5 + level / 2) * spread
    low, high = value_range
    return np.minimum(np.maximum(predicted - half, low), high), np.minimum(
        np.maximum(predicted + half, low), high
    )


def newcomers_needed(level: float) -> int:
    """The fewest people a `level` interval can be calibrated on: n with (n + 1) level <= n."""
    return int(np.ceil(level / (1 - level) - 1e-9))


def _person_quantile(ratio: np.ndarray, owner: np.ndarray, people: int, level: float) -> float:
    """The `level (people + 1) / people` quantile of `ratio`, every person counting the same."""
    weight = 1.0 / np.bincount(owner, minlength=people)[owner]
    order = np.argsort(ratio, kind="stable")
    covered = np.cumsum(weight[order])
    return float(
        ratio[order][
            min(int(np.searchsorted(covered, level * (people + 1) - 1e-9)), len(ratio) - 1)
        ]
    )

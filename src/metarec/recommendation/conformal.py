"""Calibrated intervals of predicted values: widened until they have their nominal coverage at every
support size.

Split conformal prediction (Vovk et al. 2005; Lei et al. 2018, arXiv:1604.04173), normalized by the
model's predicted standard deviation: on held-out new users, the error of each value is divided by
its standard deviation, and the quantile of that ratio gives the factor on standard deviations. New
users, not ratings, are exchangeable, so each new user has the same weight and the finite-sample
correction counts new users (hierarchical conformal prediction, Lee et al. 2023, arXiv:2306.06342).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from scipy.special import ndtri

from metarec.data.schema import BadInput
from metarec.models.rating.rehearsal import HeldOutErrors
from metarec.runtime.interpolation import Interpolation
from metarec.runtime.old_names import (
    SAVED,
    FormerNames,
    init_takes_former_keywords,
    with_current_names,
)


@init_takes_former_keywords
@dataclass(frozen=True, kw_only=True)
class Conformal(FormerNames):
    """Factors on predicted standard deviations at each support size, such that `level` intervals
    cover a share `level` of the values.
    """

    support_sizes: tuple[int, ...]
    """Support sizes of the calibration, ascending; between them the factor is interpolated, beyond
    them constant.
    """
    stretch: tuple[float, ...]
    """Factor on the model's standard deviation at each of them; above 1 the model is
    overconfident.
    """
    level: float = 0.9
    """Coverage in (0, 1) of the interval `predicted +- z(level) * stretch * spread`."""
    cold_users: int = 0
    """Number of users of the calibration."""

    @classmethod
    def of_errors(cls, errors: HeldOutErrors, level: float = 0.9) -> Conformal:
        """Calibrate on errors measured on users that the model was not fitted on.

        Raises:
            BadInput: if they are too few for the level (the interval would have to be infinite).
        """
        needed = cold_users_needed(level)
        if errors.users < needed:
            raise BadInput(
                f"{level:.0%} intervals need at least {needed} new users with values to check, got "
                f"{errors.users}; hold more users out or ask for a lower level"
            )
        unit = _standard_half(level)
        stretch = tuple(
            _user_quantile(ratio, errors.owners, errors.users, level) / unit
            for ratio in errors.ratios
        )
        return cls(
            support_sizes=errors.support_sizes,
            stretch=stretch,
            level=level,
            cold_users=errors.users,
        )

    def __post_init__(self) -> None:
        if (
            not self.support_sizes
            or len(self.support_sizes) != len(self.stretch)
            or list(self.support_sizes) != sorted(set(self.support_sizes))
        ):
            raise BadInput(
                f"support_sizes must be ascending with one stretch each, got {self.support_sizes} "
                f"and {self.stretch}"
            )
        if not 0.0 < self.level < 1.0:
            raise BadInput(f"level must lie between 0 and 1, got {self.level}")

    def factor(self, n_support: np.ndarray | int) -> np.ndarray:
        """Return the factors after `n_support` events, of the same shape; interpolated in log(1 +
        n_support).
        """
        return self._by_events.after(n_support)

    @cached_property
    def _by_events(self) -> Interpolation:
        return Interpolation.between(self.support_sizes, np.array(self.stretch))

    def widen(self, spread: np.ndarray, n_support: np.ndarray | int) -> np.ndarray:
        """Return calibrated standard deviations, whose normal intervals have their nominal
        coverage.
        """
        return np.asarray(spread * self.factor(n_support))

    def interval(
        self,
        predicted: np.ndarray,
        spread: np.ndarray,
        n_support: np.ndarray | int,
        value_range: tuple[float, float] = (-np.inf, np.inf),
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of the `level` interval, clipped to the range of values."""
        ends = normal_interval(predicted, self.widen(spread, n_support), self.level, value_range)
        return ends[..., 0], ends[..., 1]

    def to_json(self) -> dict[str, Any]:
        """Return plain values, read back by `Conformal.of_json`."""
        return {
            "support_sizes": list(self.support_sizes),
            "stretch": list(self.stretch),
            "level": self.level,
            "cold_users": self.cold_users,
        }

    @classmethod
    def of_json(cls, saved: dict[str, Any]) -> Conformal:
        """Rebuild from `to_json()`."""
        saved = with_current_names(saved, SAVED)
        lists = {name: tuple(saved[name]) for name in ("support_sizes", "stretch")}
        return cls(**{**saved, **lists})


def normal_interval(
    predicted: np.ndarray,
    spread: np.ndarray,
    level: float,
    value_range: tuple[float, float] = (-np.inf, np.inf),
) -> np.ndarray:
    """[..., 2] ends of the `level` interval of normal distributions, clipped to the range of
    values.
    """
    half = _standard_half(level) * np.array([-1.0, 1.0])
    low, high = value_range
    ends = predicted[..., None] + spread[..., None] * half
    return np.asarray(np.minimum(np.maximum(ends, low), high))


@lru_cache
def _standard_half(level: float) -> float:
    """Half the width of the `level` interval of a standard normal distribution."""
    return float(ndtri(0.5 + level / 2))


def cold_users_needed(level: float) -> int:
    """Return the minimum number of users to calibrate a `level` interval: n with (n + 1) level <=
    n.
    """
    return int(np.ceil(level / (1 - level) - 1e-9))


def _user_quantile(ratio: np.ndarray, owner: np.ndarray, users: int, level: float) -> float:
    """The `level (users + 1) / users` quantile of `ratio`, with equal weight for every user."""
    weight = 1.0 / np.bincount(owner, minlength=users)[owner]
    order = np.argsort(ratio, kind="stable")
    covered = np.cumsum(weight[order])
    return float(
        ratio[order][min(int(np.searchsorted(covered, level * (users + 1) - 1e-9)), len(ratio) - 1)]
    )

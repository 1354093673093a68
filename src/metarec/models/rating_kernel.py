"""How the kernel of predicted ratings is fitted: offsets, and factors of what they leave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.models.config import ModelConfig, setting
from metarec.models.offsets import Offsets
from metarec.models.ridge_rows import ridge_rows

SPREAD = 1.12
"""Standard deviation of ratings at which the defaults below were set (that of MovieLens, 1 to 5):
ratings are brought to it, so that their unit changes nothing.
"""


@dataclass(frozen=True, kw_only=True)
class RatingConfig(ModelConfig):
    """Hyper-parameters of predicted ratings (`models.rating`)."""

    dim: int = setting(12, least=1, tried=(4, 32))
    """Factors of everyone's residuals (1 or more)."""
    item_damping: tuple[float, ...] = setting((4.0, 2.0, 8.0, 16.0), least=0)
    """Events' worth of pull of an item's offset towards zero (0 or more): the one of least error on
    users held out is taken, the first where nobody can be.
    """
    user_damping: float = setting(8.0, least=0, tried=(2, 30))
    """The same of users' offsets (0 or more)."""
    rounds: int = setting(5, least=1)
    """Times item and user offsets are found in turn (1 or more)."""
    factor_regularization: float = setting(3.0, above=0, tried=(0.5, 20))
    """Pull of the factors towards zero (above 0)."""
    sweeps: int = setting(8, least=1)
    """Times factors of users and of items are found in turn (1 or more)."""
    noise: float = setting(0.75, above=0, tried=(0.2, 3))
    """Variance of a rating around its expectation (above 0)."""
    offset_variance: tuple[float, ...] = setting((0.1, 0.3), above=0)
    """Variance of users' offsets (above 0); the one of least error on users held out is taken."""
    content_scale: float = setting(0.3, least=0, tried=(0.03, 3))
    """Weight of an item's content beside its factors (0 or more)."""
    profile_regularization: tuple[float, ...] = setting((300.0, 1000.0, 3000.0), above=0)
    """Pull of what a profile says towards nothing (above 0): the one of least error between halves
    of the users is taken; profiles are read only where these gain clearly.
    """
    profile_directions: int = setting(64, least=1)
    """Directions of profiles that are read, the widest (1 or more)."""
    newest: int = setting(200, least=1)
    """Support events that the process sees, the newest (1 or more): bounds the solve."""
    held_out: int = setting(1500, least=1)
    """Users held out at once at most (1 or more)."""
    folds: int = setting(5, least=2)
    """Parts of the users that are held out in turn (2 or more), where events are few."""
    few_events: int = setting(100_000, least=0)
    """Events up to which they are few (0 or more); above, the kernel is fitted twice only, and a
    third of the users is held out once.
    """


def folds_of(
    behaviour: Behaviour, rng: np.random.Generator, config: RatingConfig
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Users learned from and users held out who have something to be asked; one fold of them where
    they are many.
    """
    lengths = behaviour.histories.lengths
    users = np.flatnonzero((lengths > behaviour.pools) & (lengths >= behaviour.horizon.min_events))
    rng.shuffle(users)
    everyone = np.arange(len(lengths))
    if len(behaviour.histories.items) > config.few_events:
        most = min(config.held_out, max(1, len(users) // 3))
        parts = [users[:most]] if len(users) else []
    else:
        parts = [part for part in np.array_split(users, config.folds) if len(part)]
    folds = [(np.setdiff1d(everyone, part), part) for part in parts or [everyone[:1]]]
    return [(rest if len(rest) else everyone, part) for rest, part in folds]


def unit_of(behaviour: Behaviour) -> float:
    """Ratings for one step of the head's scale; 1 where all are the same."""
    values = behaviour.histories.values
    weights = behaviour.weights_of(behaviour.histories.owners)
    mean = np.average(values, weights=weights)
    return float(np.sqrt(np.average((values - mean) ** 2, weights=weights))) / SPREAD or 1.0


def choose_damping(
    behaviour: Behaviour, folds: list[tuple[np.ndarray, np.ndarray]], config: RatingConfig
) -> float:
    """Of `item_damping` the one whose item offsets are nearest to what users held out rate, beside
    offsets of their own.
    """
    unit, tried = unit_of(behaviour), config.item_damping
    errors = np.zeros(len(tried))
    for rest, part in folds:
        known = behaviour.users(rest)
        asked = behaviour.histories.users(part).after(behaviour.pools[part])
        if not len(asked.items):
            return tried[0]
        for place, damping in enumerate(tried):
            left = offsets_of_ratings(known, damping, unit, config).residuals(asked)
            size = np.abs(left) / np.maximum(asked.lengths, 1)[asked.owners]
            errors[place] += float(behaviour.weights_of(part)[asked.owners] @ size)
    return tried[int(errors.argmin())]


def offsets_of_ratings(
    behaviour: Behaviour, damping: float, unit: float, config: RatingConfig
) -> Offsets:
    """Of the training users, by their weights."""
    histories = behaviour.histories
    return Offsets.of(
        histories,
        behaviour.n_items,
        item_damping=damping,
        user_damping=config.user_damping,
        rounds=config.rounds,
        weights=behaviour.weights_of(histories.owners),
        unit=unit,
    )


def factors_of(
    histories: Histories,
    residual: np.ndarray,
    n_items: int,
    rng: np.random.Generator,
    config: RatingConfig,
) -> np.ndarray:
    """[N, dim] item factors of the residuals, users' factors drawn to unit variance, by alternating
    ridge solves.
    """
    by_item, order = histories.transposed(n_items)
    items = rng.normal(0.0, 0.1, (n_items, config.dim)).astype(np.float32)
    ones = np.ones(len(residual), np.float32)
    ridge = config.factor_regularization * np.eye(config.dim, dtype=np.float32)
    users = items
    for _ in range(config.sweeps):
        users = ridge_rows(histories, ones, residual, items, ridge)
        items = ridge_rows(by_item, ones, residual[order], users, ridge)
    _, spread = np.linalg.eigh(np.cov(users, rowvar=False) + 1e-9 * np.eye(config.dim))
    rotated = items @ spread
    return np.asarray(rotated * (users @ spread).std(0), np.float32)

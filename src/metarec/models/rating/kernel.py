"""Fitting of the rating kernel: offsets, and factors of the residuals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_matrix

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.config import ModelConfig, setting
from metarec.models.offsets import Offsets

SPREAD = 1.12
"""Standard deviation of ratings for which the defaults below were chosen (that of MovieLens, 1 to
5): ratings are scaled to it, so that their unit has no effect.
"""
ROWS_AT_ONCE = 2048
"""Users, and items, processed at a time: bounds memory."""


@dataclass(frozen=True, kw_only=True)
class RatingConfig(ModelConfig):
    """Hyper-parameters of rating prediction (`models.rating`)."""

    dim: int = setting(12, at_least=1, search_range=(4, 32))
    """Item factors of the residuals (1 or more)."""
    item_damping: tuple[float, ...] = setting((4.0, 2.0, 8.0, 16.0), at_least=0)
    """Shrinkage of an item's offset towards zero, in events (0 or more): the value of least error
    on held-out users is used, the first where no user can be held out.
    """
    user_damping: float = setting(8.0, at_least=0, search_range=(2, 30))
    """Shrinkage of a user's offset towards zero, in events (0 or more)."""
    rounds: int = setting(5, at_least=1)
    """Alternating updates of item and user offsets (1 or more)."""
    content_pull: float = setting(10.0, above=0, search_range=(1, 100))
    """Ridge penalty of the regression from content to item offsets, in items (above 0)."""
    factor_regularization: float = setting(25.0, above=0, search_range=(5, 100))
    """Regularization of the factors (above 0)."""
    sweeps: int = setting(8, at_least=1)
    """Expectation-maximization steps of the factors (1 or more)."""
    noise: float = setting(0.75, above=0, search_range=(0.2, 3))
    """Variance of a rating around its expectation (above 0)."""
    offset_variance: tuple[float, ...] = setting((0.1, 0.3), above=0)
    """Variance of users' offsets (above 0): the one of least error on held-out users is used."""
    content_scale: float = setting(0.3, at_least=0, search_range=(0.03, 3))
    """Weight of an item's content beside its factors (0 or more)."""
    profile_regularization: tuple[float, ...] = setting((300.0, 1000.0, 3000.0), above=0)
    """Ridge penalty of the profile prior (above 0): the value of least error, cross-fitted between
    halves of the users, is used; profiles are ignored where the gain is not clear.
    """
    profile_directions: int = setting(64, at_least=1)
    """Principal directions of the profiles that are used (1 or more)."""
    choice_regularization: tuple[float, ...] = setting((30.0, 100.0, 300.0, 1000.0), above=0)
    """Ridge penalty of the choice prior (above 0), chosen like that of the profile prior."""
    choice_directions: int = setting(16, at_least=1)
    """Principal directions of users' choices that are used (1 or more)."""
    newest: int = setting(200, at_least=1)
    """Newest support events that the process uses (1 or more): bounds the solve."""
    held_out: int = setting(1500, at_least=1)
    """Maximum of users held out above `few_events` (1 or more)."""
    held_out_ratings: int = setting(100_000, at_least=1)
    """Maximum number of ratings to which coefficients and curves are fitted (1 or more): users
    count alike, so that those with the most ratings give equally many.
    """
    folds: int = setting(5, at_least=2)
    """Cross-fitting folds of the users (2 or more), up to `few_events`."""
    few_events: int = setting(100_000, at_least=0)
    """Events up to which cross-fitting is used (0 or more); above, up to a third of the users is
    held out once, so that the kernel is fitted only twice.
    """


def folds_of(
    behavior: Behavior, rng: np.random.Generator, config: RatingConfig
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return training and held-out users of each fold; held-out users have events after their cut.
    A single fold where there are more than `few_events` events.
    """
    lengths = behavior.histories.lengths
    users = np.flatnonzero((lengths > behavior.pools) & (lengths >= behavior.horizon.min_events))
    rng.shuffle(users)
    everyone = np.arange(len(lengths))
    if len(behavior.histories.items) > config.few_events:
        n_held_out = min(config.held_out, max(1, len(users) // 3))
        parts = [users[:n_held_out]] if len(users) else []
    else:
        parts = [part for part in np.array_split(users, config.folds) if len(part)]
    folds = [(np.setdiff1d(everyone, part), part) for part in parts or [everyone[:1]]]
    return [(training if len(training) else everyone, part) for training, part in folds]


def unit_of(behavior: Behavior) -> float:
    """Return the length of one step in units of the rating scale; 1 where all ratings are equal."""
    values = behavior.histories.values
    weights = behavior.weights_of(behavior.histories.owners)
    mean = np.average(values, weights=weights)
    return float(np.sqrt(np.average((values - mean) ** 2, weights=weights))) / SPREAD or 1.0


def choose_damping(
    behavior: Behavior, folds: list[tuple[np.ndarray, np.ndarray]], config: RatingConfig
) -> float:
    """Return the `item_damping` with the least absolute error of held-out users' ratings, predicted
    by item offsets and the users' own offsets.
    """
    unit, dampings = unit_of(behavior), config.item_damping
    errors = np.zeros(len(dampings))
    for users, part in folds:
        training = behavior.users(users)
        query = behavior.histories.users(part).after(behavior.pools[part])
        if not len(query.items):
            return dampings[0]
        for place, damping in enumerate(dampings):
            left = offsets_of_ratings(training, damping, unit, config).residuals(query)
            size = np.abs(left) / np.maximum(query.lengths, 1)[query.owners]
            errors[place] += float(behavior.weights_of(part)[query.owners] @ size)
    return dampings[int(errors.argmin())]


def offsets_of_ratings(
    behavior: Behavior, damping: float, unit: float, config: RatingConfig
) -> Offsets:
    """Fit the offsets on the training users, by their sample weights."""
    histories = behavior.histories
    return Offsets.of(
        histories,
        behavior.n_items,
        item_damping=damping,
        user_damping=config.user_damping,
        rounds=config.rounds,
        weights=behavior.weights_of(histories.owners),
        unit=unit,
    )


def started_by_content(
    behavior: Behavior, offsets: Offsets, damping: float, config: RatingConfig
) -> tuple[Offsets, np.ndarray]:
    """Return the offsets with those of items shrunk towards a prediction from their content instead
    of towards zero, and the coefficients [C + 1] of content and of a constant.

    A ridge regression over items, each weighted by the reliability of its mean, n / (n + damping).
    The log count is a further column for items with ratings only: the others are new, not
    unpopular.
    """
    histories, content = behavior.histories, behavior.content
    weights, n_items = behavior.weights_of(histories.owners), len(content)
    left = offsets.above_items(histories) - offsets.users(histories)[histories.owners]
    counts = np.bincount(histories.items, weights, n_items)
    sums = np.bincount(histories.items, weights * left, n_items) + counts * offsets.items
    has_ratings, damped = counts > 0, np.maximum(counts + damping, 1e-12)
    columns = np.column_stack([content[has_ratings], np.log(counts[has_ratings])])
    middle = counts[has_ratings] @ columns / max(counts.sum(), 1e-12)
    columns = np.column_stack([columns - middle, np.ones(len(columns))])
    confidence = (counts / damped)[has_ratings, None]
    gram = columns.T @ (columns * confidence) + config.content_pull * np.eye(columns.shape[1])
    solved = np.linalg.solve(gram, columns.T @ (sums / damped)[has_ratings])
    by_content = np.append(solved[:-2], -middle[:-1] @ solved[:-2]).astype(np.float32)
    start = content @ by_content[:-1] + by_content[-1]
    start[has_ratings] += columns[:, -2:] @ solved[-2:]
    return replace(offsets, items=(sums + damping * start) / damped), by_content


def factors_of(
    histories: Histories,
    residual: np.ndarray,
    n_items: int,
    rng: np.random.Generator,
    config: RatingConfig,
) -> np.ndarray:
    """Return item factors [N, dim] of the residuals, for user vectors from a standard normal prior,
    by expectation maximization: the posterior variance of a user counts beside the mean, or the
    factors would overfit users with few ratings (Tipping and Bishop 1999, section 3.2, with a ridge
    penalty; users' offsets are estimated jointly).
    """
    chosen = histories.matrix(n_items)
    values = histories.matrix(n_items, residual)
    factors = rng.normal(0.0, 0.1, (n_items, config.dim)).astype(np.float32)
    for _ in range(config.sweeps):
        factors = _maximized(chosen, values, factors, config)
    return factors


def _maximized(
    chosen: csr_matrix, values: csr_matrix, factors: np.ndarray, config: RatingConfig
) -> np.ndarray:
    """Run one step of expectation maximization from `factors`; the new factors are rotated and
    scaled so that the users have unit covariance.
    """
    n_items, dim = factors.shape
    offset = np.float32(config.offset_variance[0] ** 0.5)
    rows = np.column_stack([factors, np.full(n_items, offset)])
    first, second = np.triu_indices(dim + 1)
    products = rows[:, first] * rows[:, second]
    unit = np.eye(dim + 1)
    moments, targets = np.zeros_like(products), np.zeros_like(rows)
    total = np.zeros(len(first))
    for start in range(0, chosen.shape[0], ROWS_AT_ONCE):
        users = slice(start, start + ROWS_AT_ONCE)
        is_rated, rated = chosen[users], values[users]
        variance = np.linalg.inv(unit + _square(is_rated @ products, dim + 1) / config.noise)
        mean = np.einsum("ufg,ug->uf", variance, rated @ rows) / config.noise
        likely = variance[:, first, second] + mean[:, first] * mean[:, second]
        moments += is_rated.T @ likely.astype(np.float32)
        targets += rated.T @ mean.astype(np.float32)
        total += likely.sum(0)
    pull = config.factor_regularization * np.eye(dim)
    for start in range(0, n_items, ROWS_AT_ONCE):
        items = slice(start, start + ROWS_AT_ONCE)
        grams = _square(moments[items], dim + 1)
        left = targets[items, :dim] - offset * grams[:, :dim, dim]
        rows[items, :dim] = np.linalg.solve(grams[:, :dim, :dim] + pull, left[..., None])[..., 0]
    spread = _square(total[None] / chosen.shape[0], dim + 1)[0, :dim, :dim]
    return np.asarray(rows[:, :dim] @ np.linalg.cholesky(spread), np.float32)


def _square(halves: np.ndarray, dim: int) -> np.ndarray:
    """Return symmetric matrices [M, dim, dim] from their upper triangles [M, dim (dim + 1) / 2]."""
    first, second = np.triu_indices(dim)
    matrices = np.empty((len(halves), dim, dim), np.float64)
    matrices[:, first, second] = halves
    matrices[:, second, first] = halves
    return matrices

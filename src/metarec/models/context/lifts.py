"""Lifts: how much more often an item is taken under a circumstance. Counts are shrunk towards a
prior from content and from axes of correspondence analysis (see `models/context/model.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve

from metarec.features.training_context import Acts


def users_and_items(acts: Acts) -> np.ndarray:
    """[A] int64 number of the pair of user and item of each event, in order of users."""
    return np.asarray(acts.owners * (acts.items.max(initial=0) + 1) + acts.items)


def _weights(acts: Acts) -> np.ndarray:
    """[A] weight of each event, summing to 1 over all events of a user on an item."""
    _, place, often = np.unique(users_and_items(acts), return_inverse=True, return_counts=True)
    return np.asarray(1.0 / often[place])


def popularity_of(acts: Acts, n_items: int) -> np.ndarray:
    """[N] float32 share of each item in all events, smoothed."""
    counts = np.bincount(acts.items, _weights(acts), minlength=n_items) + 0.5
    return np.asarray(counts / counts.sum(), np.float32)


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the lifts of a column are shrunk."""

    damping: float
    """Pseudo-count of events that shrinks lifts towards the prior ratios."""
    content_damping: float | None = None
    """Pseudo-count of events that shrinks the regression on content; None: content is not used."""
    by_axes: bool = False
    """Whether the prior uses axes of correspondence analysis."""

    @property
    def prior(self) -> tuple[float | None, bool]:
        """The prior: damping of the regression on content, None without it, and whether by axes."""
        return self.content_damping, self.by_axes


def lifts_of(
    tables: list[np.ndarray], content: np.ndarray, ways: list[Way | None], least: float
) -> tuple[np.ndarray, np.ndarray]:
    """[S, N] float32 shrunk log P(value | item) / P(value) of all columns, each shrunk in its way
    (0 without one), and the weights `by_content` [C + 1, S].
    """
    if not tables:
        return np.zeros((0, len(content)), np.float32), np.zeros((1, 0), np.float32)
    lifts = [np.zeros(table.shape, np.float32) for table in tables]
    weights = [np.zeros((1, len(table)), np.float32) for table in tables]
    for prior in dict.fromkeys(way.prior for way in ways if way is not None):
        by_content, ratios = ratios_towards(prior, tables, content, least)
        for column, way in enumerate(ways):
            if way is not None and way.prior == prior:
                weights[column] = by_content[column]
                lifts[column] = np.log(shrunk(tables[column], ratios[column], way.damping))
    wide = max(len(one) for one in weights)
    padded = [np.pad(one, ((wide - len(one), 0), (0, 0))) for one in weights]
    return np.concatenate(lifts, dtype=np.float32), np.concatenate(padded, axis=1)


def ratios_towards(
    prior: tuple[float | None, bool], tables: list[np.ndarray], content: np.ndarray, least: float
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For each column its weights `by_content`, and [size, N] P(value | item) / P(value) by a
    `Way.prior`.
    """
    damping, by_axes = prior
    weights = by_content_of(tables, content, damping)
    ratios = [ratios_of(content, one, least) for one in weights]
    return weights, ratios_by_axes(tables, ratios, least) if by_axes else ratios


def by_content_of(
    tables: list[np.ndarray], content: np.ndarray, damping: float | None
) -> list[np.ndarray]:
    """For each column, ridge regression weights [C + 1, size] from content to P(value | item) /
    P(value) - 1, with equal weight for each event; the intercept is last.
    """
    if damping is None:
        return [np.zeros((1, len(table)), np.float32) for table in tables]
    regressions = []
    for table in tables:
        acts, share = table.sum(0), _share_of(table)
        middle = acts @ content / max(acts.sum(), 1.0)
        centered = content - middle
        spread = max(float(acts @ (centered**2).sum(1)) / max(acts.sum(), 1.0), 1e-9)
        products = centered.T @ (centered * acts[:, None])
        products[np.diag_indices_from(products)] += damping * spread
        excess = (table - share[:, None] * acts) @ centered / share[:, None]
        weights = solve(products, excess.T, assume_a="pos")
        regressions.append(np.concatenate([weights, -middle[None] @ weights]).astype(np.float32))
    return regressions


def ratios_of(content: np.ndarray, by_content: np.ndarray, least: float) -> np.ndarray:
    """[S, N] P(value | item) / P(value) predicted from content, at least `least`."""
    weights, constant = by_content[:-1], by_content[-1]
    predicted = content[:, : len(weights)] @ weights + constant
    return np.asarray(np.maximum(1.0 + predicted.T.astype(np.float64), least))


def tables_of(acts: Acts, sizes: np.ndarray, n_items: int) -> list[np.ndarray]:
    """For each column, weighted counts [size, N] of events on an item under each code; code 0 is
    unknown and has none.
    """
    tables, weights = [], _weights(acts)
    for column, size in enumerate(sizes):
        codes = acts.codes[:, column]
        is_known = codes > 0
        cells = codes[is_known] * n_items + acts.items[is_known]
        counts = np.bincount(cells, weights[is_known], minlength=int(size) * n_items)
        tables.append(counts.reshape(int(size), n_items))
    return tables


def ratios_by_axes(
    tables: list[np.ndarray], ratios: list[np.ndarray], least: float
) -> list[np.ndarray]:
    """For each column [size, N] P(value | item) / P(value), at least `least`: `ratios`, corrected
    by the leading axes of what they leave unexplained in all columns together.
    """
    expected = np.concatenate(
        [_share_of(t)[:, None] * t.sum(0) * r for t, r in zip(tables, ratios, strict=True)]
    )
    roots = np.sqrt(np.maximum(expected, 1e-9))
    residuals = np.where(expected > 0, (np.concatenate(tables) - expected) / roots, 0.0)
    squares, axes = np.linalg.eigh(residuals @ residuals.T)
    kept = _above_noise(np.sqrt(np.maximum(squares, 0.0)), residuals.shape)
    beyond = 1.0 + (axes * kept) @ (axes.T @ residuals) / np.maximum(roots, 1.0)
    corrected = np.concatenate(ratios) * beyond
    cuts = np.cumsum([len(table) for table in tables])[:-1]
    return np.split(np.maximum(corrected, least), cuts)


def _above_noise(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[S] factor by which each singular value of a matrix with noise of variance 1 is shrunk; 0
    below the noise level.
    """
    longer, ratio = max(shape), min(shape) / max(shape)
    scaled = values**2 / longer
    inside = np.maximum((scaled - ratio - 1.0) ** 2 - 4.0 * ratio, 0.0)
    is_above = scaled > (1.0 + np.sqrt(ratio)) ** 2
    return np.where(is_above, np.sqrt(inside) / np.maximum(scaled, 1e-9), 0.0)


def _share_of(table: np.ndarray) -> np.ndarray:
    """[size] smoothed P(value)."""
    return np.asarray((table.sum(1) + 0.5) / (table.sum() + 0.5 * len(table)))


def shrunk(table: np.ndarray, ratio: np.ndarray, damping: float) -> np.ndarray:
    """P(value | item) / P(value) [size, N] of a column, shrunk towards `ratio` with a pseudo-count
    of `damping` events; 1 for the unknown code.
    """
    share = _share_of(table)[:, None]
    lifts = (table + damping * share * ratio) / (table.sum(0) + damping) / share
    lifts[0] = 1.0
    return np.asarray(lifts)

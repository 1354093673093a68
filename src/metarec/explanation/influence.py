"""Influence of each event of a history on an item's relative score.

Two faithful methods, both computed with the model itself and not with a surrogate:

- *leave one out*: the relative score minus the relative score without the event. Adaptation is
  stateless and closed-form heads are solved again, so this is exact for every head, and all events
  of all requests are scored in one batch.
- *Shapley values* (Shapley 1953; Strumbelj and Kononenko 2014, doi:10.1007/s10115-013-0679-x): the
  event's mean effect over all orders of arrival. They add up exactly to relative score(all events)
  - relative score(no event), which leave-one-out effects do not when events are redundant.

For predicted ratings, `rating_contributions` gives a sum over events that a user can check by hand,
exact for a linear head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any, Protocol

import numpy as np

from metarec.explanation.relative_score import (
    Explained,
    columns_of,
    relative_scores,
    with_events,
    without,
)
from metarec.features.events import parts_of
from metarec.recommendation.slate import Request

MAX_EXACT = 8
"""Histories up to this length get exact Shapley values (2^8 = 256 requests); for longer ones they
are sampled.
"""


def leave_one_out(
    model: Explained, requests: Sequence[Request], targets: Sequence[Sequence[str]]
) -> list[np.ndarray]:
    """Return the effect of every event on every target: one [L, T] array per request, L its events,
    T its targets.

    Args:
        targets: item ids, the same number for every request.

    Returns:
        Positive where the event raises the item. An empty history gives an array without rows.
    """
    columns = (
        np.stack([columns_of(model, ids) for ids in targets])
        if targets
        else np.zeros((0, 0), dtype=np.int64)
    )
    owners = np.repeat(np.arange(len(requests)), [len(r.history) for r in requests])
    variants = [*requests, *(without(r, [row]) for r in requests for row in range(len(r.history)))]
    relative = relative_scores(model, variants, np.concatenate([columns, columns[owners]]))
    full, lacking = relative[: len(requests)], relative[len(requests) :]
    return (
        np.split(full[owners] - lacking, np.cumsum([len(r.history) for r in requests])[:-1])
        if requests
        else []
    )


def shapley(
    model: Explained,
    request: Request,
    item_ids: Sequence[str],
    *,
    rng: np.random.Generator,
    permutations: int = 32,
    most_exact: int = MAX_EXACT,
) -> np.ndarray:
    """[L, T] Shapley value of every event for every item; columns add up to relative score(all) -
    relative score(none).

    Exact up to `most_exact` events; beyond, the mean over `permutations` random orders, each with
    its reverse (the antithetic pair of Mitchell et al. 2022, arXiv:2104.12199), which still adds up
    exactly.
    """
    length, columns = len(request.history), columns_of(model, item_ids)
    if not length:
        return np.zeros((0, len(columns)))
    if length <= most_exact:
        return _exact_shapley(model, request, columns)
    half = np.stack([rng.permutation(length) for _ in range((permutations + 1) // 2)])
    orders = np.concatenate([half, half[:, ::-1]])
    variants = [
        with_events(request, list(order[:size])) for order in orders for size in range(length + 1)
    ]
    value = relative_scores(model, variants, np.tile(columns, (len(variants), 1))).reshape(
        len(orders), length + 1, -1
    )
    gained = np.zeros((len(orders), length, len(columns)))
    np.put_along_axis(gained, orders[:, :, None], np.diff(value, axis=1), axis=1)
    return np.asarray(gained.mean(axis=0))


def _exact_shapley(model: Explained, request: Request, columns: np.ndarray) -> np.ndarray:
    """[L, T] Shapley values from the scores of all subsets of events."""
    length = len(request.history)
    sets = np.arange(2**length)
    holds = (sets[:, None] >> np.arange(length)) & 1 == 1
    variants = [with_events(request, list(np.flatnonzero(row))) for row in holds]
    value = relative_scores(model, variants, np.tile(columns, (len(variants), 1)))
    weight = np.array([1.0 / (length * comb(length - 1, size)) for size in range(length)])
    effects = []
    for event in range(length):
        lacking = sets[~holds[:, event]]
        gain = value[lacking | (1 << event)] - value[lacking]
        effects.append((weight[holds[lacking].sum(axis=1)][:, None] * gain).sum(axis=0))
    return np.stack(effects)


class Rater(Protocol):
    """The method of `Recommender` that predicts values on the data's own scale."""

    def rate(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """Return one array of predicted values per request."""


@dataclass(frozen=True, kw_only=True)
class RatingContributions:
    """A predicted rating as a sum over events: `start + sum(by_event) + remainder = predicted`."""

    predicted: float
    start: float
    """Prediction if the user had rated each event's item as expected of an anonymous user."""
    by_event: np.ndarray
    """[L] points of the rating scale added by each event's value, compared with the expected
    one.
    """
    expected: np.ndarray
    """[L] value expected of an anonymous user for each event's item."""
    remainder: float
    """Remainder of the sum: zero (to rounding) for a head linear in the values; for others the
    effect of their nonlinearity (`models/rating/curve.py`, `models/rating/columns.py`).
    """


def rating_contributions(model: Rater, request: Request, item_id: str) -> RatingContributions:
    """Split a predicted rating into the contributions of each event's value.

    A Bayesian ridge or Gaussian-process head is linear in the values once the rated items are
    fixed. So starting with all values as expected, restoring one value y_s at a time adds exactly
    `w_s (y_s - expected_s)`.
    """
    length = len(request.history)
    anonymous = replace(request, history=[])
    seen = [str(event[0]) for event in request.history]
    expected = model.rate([anonymous], [seen])[0].astype(np.float64) if seen else np.zeros(0)
    as_expected = request
    for row in range(length):
        if parts_of(request.history[row])[1] is not None:
            as_expected = _with_value(as_expected, row, float(expected[row]))
    restored = [
        replace(
            as_expected,
            history=[
                *as_expected.history[:row],
                request.history[row],
                *as_expected.history[row + 1 :],
            ],
        )
        for row in range(length)
    ]
    variants = [request, as_expected, *restored]
    rated = np.array([float(r[0]) for r in model.rate(variants, [[item_id]] * len(variants))])
    by_event = rated[2:] - rated[1]
    return RatingContributions(
        predicted=float(rated[0]),
        start=float(rated[1]),
        by_event=by_event,
        expected=expected,
        remainder=float(rated[0] - rated[1] - by_event.sum()),
    )


def _with_value(request: Request, row: int, value: float) -> Request:
    event: tuple[Any, ...] = request.history[row]
    moved = (event[0], value, *event[2:])
    return replace(request, history=[*request.history[:row], moved, *request.history[row + 1 :]])

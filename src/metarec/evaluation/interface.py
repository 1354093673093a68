"""Interfaces of what can be evaluated: anything that scores a catalog for requests, from this
package or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from metarec.data.arguments import shown
from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.extensions import broken, call, is_added
from metarec.data.schema import BadInput, Vocabulary
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.slate import Request


@runtime_checkable
class Scores(Protocol):
    """Scores a catalog: all that measuring needs. A fitted `Recommender` does."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column of `score`."""
        ...

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """Score the whole catalog for each request: float32 `[B, N]`, higher is better, in
        vocabulary order.
        """
        ...


@runtime_checkable
class Evaluated(Scores, Protocol):
    """A named recommender that learns from some users and is then evaluated on others it has never
    seen.
    """

    name: str
    """Name in tables and plots."""

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Learn from `train`; choose settings on `validation`, whose users are not in `train`."""
        ...


def check_unfitted(model: Any) -> None:
    """Refuse what cannot be evaluated: a class, or a model that is already fitted and may have seen
    the test users.

    Raises:
        BadInput: naming what to give instead.
    """
    if isinstance(model, FittedModel):
        raise BadInput(
            f"models takes unfitted recommenders, and {shown(model)} is fitted, perhaps on the "
            "users to evaluate; give metarec.evaluation.adapters.OwnRecommender(preset='tiny'), "
            "or run `metarec evaluate DATA --model FOLDER` for users it never met"
        )
    lacking = [n for n in ("name", "fit", "score") if not hasattr(model, n)]
    if lacking or isinstance(model, type):
        raise BadInput(
            f"models takes recommenders with name, fit and score, and {shown(model)} is none; "
            "see docs/guide/extending.md"
        )


KIND = "baseline"


def fit_one(
    model: Evaluated, train: Dataset, validation: list[ColdUser], rng: np.random.Generator
) -> None:
    """Fit any recommender.

    Raises:
        BrokenPart: if one of another package fails, or has no vocabulary afterwards.
    """
    if not is_added(model):
        model.fit(train, validation, rng)
        return
    call(KIND, model, "fit", train, list(validation), rng)
    if not isinstance(getattr(model, "vocabulary", None), Vocabulary):
        fault = "has no vocabulary after fit; set self.vocabulary = train.items.vocabulary there"
        raise broken(KIND, model, fault)


def scores_of(model: Scores, requests: Sequence[Request]) -> np.ndarray:
    """Return the scores [B, N] of any recommender, one column for each item of its vocabulary.

    Raises:
        BrokenPart: if one of another package fails, or its scores have another shape, or NaN.
    """
    if not is_added(model):
        return model.score(requests)
    scores: Any = call(KIND, model, "score", requests)
    if not isinstance(scores, np.ndarray) or scores.dtype.kind not in "fiub":
        fault = f"gave scores of type {type(scores).__name__}; give a NumPy array of numbers"
        raise broken(KIND, model, fault)
    expected_shape = (len(requests), len(model.vocabulary))
    if scores.shape != expected_shape:
        raise broken(
            KIND,
            model,
            f"gave scores of shape {scores.shape} for {expected_shape[0]} requests and "
            f"{expected_shape[1]} items of its vocabulary; give {expected_shape}",
        )
    if np.isnan(scores).any():
        raise broken(KIND, model, "gave NaN as scores; give numbers, -inf for what never to list")
    return scores


@runtime_checkable
class Rates(Protocol):
    """A recommender that also predicts values on the data's own scale."""

    def rate(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """Return the predicted values of each request's items, one array per request."""
        ...


@runtime_checkable
class PredictsUncertainty(Protocol):
    """A recommender that also states the uncertainty of each predicted value."""

    def rate_std(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """Return predictive standard deviations, one array per request."""
        ...


def ratings_of(
    model: Rates, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
) -> list[np.ndarray]:
    """Return the predicted values of each request's items by any recommender that predicts them.

    Raises:
        BrokenPart: if one of another package fails, or does not give a finite number for each
            item.
    """
    if not is_added(model):
        return model.rate(requests, item_ids)
    return _values(model, "rate", requests, item_ids)


def deviations_of(
    model: PredictsUncertainty, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
) -> list[np.ndarray]:
    """Return the predictive standard deviations of any recommender that states them.

    Raises:
        BrokenPart: if one of another package fails, or does not give a finite number, at least 0,
            for each item.
    """
    if not is_added(model):
        return model.rate_std(requests, item_ids)
    deviations = _values(model, "rate_std", requests, item_ids)
    if any((row < 0).any() for row in deviations):
        message = "gave a standard deviation below 0 from rate_std; give numbers, at least 0"
        raise broken(KIND, model, message)
    return deviations


def _values(
    model: Any, method: str, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
) -> list[np.ndarray]:
    """Return what a method of an added recommender gives for each request's items, checked."""
    values: Any = call(KIND, model, method, requests, item_ids)
    way_out = "give a list of one NumPy array of numbers for each request"
    if not isinstance(values, list) or len(values) != len(item_ids):
        type_given = f"{len(values)} arrays" if isinstance(values, list) else type(values).__name__
        message = f"gave {type_given} from {method} for {len(item_ids)} requests; {way_out}"
        raise broken(KIND, model, message)
    for row, ids in zip(values, item_ids, strict=True):
        if not isinstance(row, np.ndarray) or row.dtype.kind not in "fiub":
            message = f"gave {type(row).__name__} from {method} for a request; {way_out}"
            raise broken(KIND, model, message)
        if row.shape != (len(ids),):
            message = f"gave an array of shape {row.shape} from {method} for {len(ids)} items"
            raise broken(KIND, model, f"{message}; {way_out}")
        if not np.isfinite(row).all():
            message = (
                f"gave NaN or infinite values from {method}; give a finite number for each item"
            )
            raise broken(KIND, model, message)
    return values


def requests_at(cold_users: Sequence[ColdUser], n_support: int) -> list[Request]:
    """Return the request of each new user after `n_support` events: the first support events and
    the profile, and before any event the time of the first one.
    """
    return [
        Request(
            history=n.first(n_support),
            profile=n.profile,
            at=_arrival(n) if n_support == 0 else None,
        )
        for n in cold_users
    ]


def _arrival(cold_user: ColdUser) -> float | None:
    """Return the time of the first event, Unix seconds; None where unknown."""
    first = next(iter(cold_user.pool), ())
    return None if len(first) < 4 or first[3] is None else float(first[3])

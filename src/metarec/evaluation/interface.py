"""What can be evaluated: anything that scores a catalog for requests, ours or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from metarec.data.arguments import shown
from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput, Vocabulary
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.slate import Request


@runtime_checkable
class Scores(Protocol):
    """Orders a catalog: all that measuring needs. A fitted `Recommender` is one."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Which item each column of `score` is."""
        ...

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """Score the whole catalog for each request: float32 `[B, N]`, higher is better, in
        vocabulary order.
        """
        ...


@runtime_checkable
class Evaluated(Scores, Protocol):
    """A recommender with a name that learns from some users and is then asked about others it has
    never seen.
    """

    name: str
    """What tables and plots call it."""

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Learn from `train`; choose settings on `validation`, which holds users outside of
        `train`.
        """
        ...


def check_unfitted(model: Any) -> None:
    """Refuse what cannot be evaluated: a class, or a model that is fitted already and may know the
    users it would be asked about.

    Raises:
        BadInput: with what to give instead.
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


@runtime_checkable
class Rates(Protocol):
    """Also predicts values on the data's own scale."""

    def rate(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """Predicted values of each request's items, one array per request."""
        ...


@runtime_checkable
class KnowsItsUncertainty(Protocol):
    """Also says how sure each predicted value is."""

    def rate_std(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """Predictive standard deviations, one array per request."""
        ...


def requests_at(cold_users: Sequence[ColdUser], shots: int) -> list[Request]:
    """What a model sees of each new user after `shots` events: the first of the pool, the profile,
    and when they come.
    """
    return [
        Request(history=n.first(shots), profile=n.profile, at=_arrival(n) if shots == 0 else None)
        for n in cold_users
    ]


def _arrival(cold_user: ColdUser) -> float | None:
    """Seconds of the first event; None where its time is unknown."""
    first = next(iter(cold_user.pool), ())
    return None if len(first) < 4 or first[3] is None else float(first[3])

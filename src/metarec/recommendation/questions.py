"""Which items to ask users about first, of those that a model knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from metarec.data.arguments import check_whole, ids_of, shown
from metarec.data.errors import BadInput
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.onboarding import (
    Questions,
    chance_known,
    chance_known_to,
    choose_questions,
)
from metarec.recommendation.score import log_scores
from metarec.recommendation.slate import Request, checked_requests

N_COMMON = 500
"""Items that may be asked about, the best known; the rest would slow the search for nothing."""


def ask(
    model: FittedModel,
    requests: Sequence[Request],
    k: int,
    exclude: Sequence[Sequence[str]] = (),
) -> Questions:
    """Up to `k` questions for each user, as many for each; `exclude`: items not to ask about."""
    checked_requests(requests)
    check_whole("k", k, 1)
    exclude = _excluded(requests, exclude)
    k = min(k, len(model.catalog))
    if not requests:
        return Questions(items=np.zeros((0, k), np.int64), worth=np.zeros((0, k)))
    knows = chance_known(
        np.bincount(
            model.vocabulary.indexes(model.trained_on["item_id"]), minlength=len(model.catalog)
        ),
        model.trained_on["user_id"].n_unique(),
    )
    common = np.argsort(-knows, kind="stable")[:N_COMMON]
    users, _ = model.users(requests)
    may_ask = _may_ask(model, requests, users, exclude)[:, common]
    all_requests = [Request(), *requests]
    scores = log_scores(model, all_requests, model.users(all_requests)[0])
    vectors = model.item_embeddings.astype(np.float64)
    found = choose_questions(
        vectors[common],
        _covariances(vectors, common, users.support),
        1.0,
        chance_known_to(knows, scores[0], scores[1:])[:, common],
        min(
            k, int(may_ask.sum(1).min(initial=k))
        ),  # who knows all but two items can be asked about two
        may_ask=may_ask,
    )
    return Questions(items=common[found.items], worth=found.worth)


def _excluded(requests: Sequence[Request], exclude: Sequence[Sequence[str]]) -> list[list[str]]:
    """Ids not to ask about for each request; none for those that it does not reach."""
    given: Any = exclude
    is_list = isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping)
    if not is_list or len(exclude) > len(requests) or any(isinstance(i, str) for i in exclude):
        raise BadInput(f"exclude holds a list of items for each request, got {shown(exclude)}")
    return [ids_of("exclude", ids) for ids in exclude]


def _may_ask(
    model: FittedModel,
    requests: Sequence[Request],
    users: UserBatch,
    exclude: Sequence[Sequence[str]],
) -> np.ndarray:
    """[B, N] whether the policy allows the item and its user has neither met nor excluded it."""
    may_ask = model.policy_check.allowed(requests)
    for known in (users.support, users.refused):
        may_ask[known.owners, known.items] = False
    for row, ids in enumerate(exclude):
        columns = model.vocabulary.indexes(ids)
        may_ask[row, columns[columns >= 0]] = False
    return may_ask


def _covariances(vectors: np.ndarray, common: np.ndarray, support: Histories) -> np.ndarray:
    """[B, D, D] covariance of each user's weights after their events."""
    scale = 1.0 / max(float((vectors[common] ** 2).sum(1).mean()), 1e-9)
    prior = np.eye(vectors.shape[1]) / scale
    return np.stack(
        [
            np.linalg.inv(prior + vectors[items].T @ vectors[items])
            for items in np.split(support.items, support.offsets[1:-1])
        ]
    )

"""Onboarding: which items to ask a new user about first.

The gain of a question is the expected reduction of the summed variance of our predictions, times
the probability that the user knows the item and can answer. This is active learning by expected
variance reduction (Cohn, Ghahramani and Jordan 1996, JAIR); for a Bayesian linear head the
reduction has a closed form and does not depend on the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarec.data.arguments import check_whole, ids_of, shown
from metarec.data.errors import BadInput
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.slate import Request, checked_requests
from metarec.recommendation.stages.score import log_scores
from metarec.runtime.old_names import FormerNames

N_COMMON = 500
"""Number of best-known items that may be asked about; further items would only slow the search."""


@dataclass(frozen=True, kw_only=True)
class Questions(FormerNames):
    """Items to ask about, the most informative first."""

    items: np.ndarray
    """[B, Q] item indexes."""
    uncertainty_reduction: np.ndarray
    """[B, Q] expected share, in [0, 1], of the remaining variance that the question removes,
    including the probability that the user knows the item.
    """


def choose_for(
    model: FittedModel,
    requests: Sequence[Request],
    k: int,
    exclude: Sequence[Sequence[str]] = (),
) -> Questions:
    """Return up to `k` questions per user, the same number for all; `exclude`: items not to ask
    about.
    """
    checked_requests(requests)
    check_whole("k", k, 1)
    exclude = _excluded(requests, exclude)
    k = min(k, len(model.catalog))
    if not requests:
        return Questions(items=np.zeros((0, k), np.int64), uncertainty_reduction=np.zeros((0, k)))
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
    questions = choose_questions(
        vectors[common],
        _covariances(vectors, common, users.support),
        1.0,
        chance_known_to(knows, scores[0], scores[1:])[:, common],
        min(
            k, int(may_ask.sum(1).min(initial=k))
        ),  # a user who has acted on all but two items can be asked about two
        may_ask=may_ask,
    )
    return Questions(
        items=common[questions.items], uncertainty_reduction=questions.uncertainty_reduction
    )


def chance_known(events_per_item: np.ndarray, n_users: int) -> np.ndarray:
    """[N] probability that a random user knows each item: the share of users with an event on it,
    with add-one smoothing.
    """
    return np.asarray((events_per_item + 1.0) / (n_users + 2.0))


def chance_known_to(knows: np.ndarray, anonymous: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """[B, N] probability that each user knows each item: that of a random user, multiplied by the
    ratio of the item's softmax probability for this user to that for an anonymous user, 1 at most.

    Args:
        knows: [N] probability that a random user knows the item.
        anonymous: [N] log-scores for an anonymous user.
        scores: [B, N] log-scores for each user.
    """
    lift = (scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)) - (
        anonymous - np.logaddexp.reduce(anonymous)
    )
    return np.asarray(np.minimum(knows * np.exp(lift), 1.0))


def choose_questions(
    item_vectors: np.ndarray,
    covariance: np.ndarray,
    noise: float,
    knows: np.ndarray,
    n_questions: int,
    *,
    may_ask: np.ndarray | None = None,
    importance: np.ndarray | None = None,
) -> Questions:
    """Choose questions greedily, each given that the earlier ones are answered.

    Args:
        item_vectors: [N, D] item vectors; an answer is linear in them with the user's weights.
        covariance: [D, D], or [B, D, D] for several users: current posterior covariance of a user's
            weights.
        noise: variance of an answer around its prediction.
        knows: [N] or [B, N] probability in [0, 1] that the user knows the item.
        n_questions: number of questions to choose.
        may_ask: bool [N] or [B, N]; False for items already answered or not to be asked about.
        importance: [N] weight of each item's variance in the sum that is reduced; all equal unless
            given.

    Raises:
        ValueError: if fewer than `n_questions` items may be asked about.
    """
    uncertain = np.array(covariance, dtype=np.float64, ndmin=3)
    vectors = np.asarray(item_vectors, dtype=np.float64)
    weight = np.ones(len(vectors)) if importance is None else np.asarray(importance, np.float64)
    # [D, D]: the summed variance of all items is trace(spread @ covariance)
    spread = (vectors * weight[:, None]).T @ vectors
    shape = (len(uncertain), len(vectors))
    chance = np.broadcast_to(np.asarray(knows, dtype=np.float64), shape)
    free = np.ones(shape, dtype=bool) if may_ask is None else np.broadcast_to(may_ask, shape).copy()
    if free.sum(1).min() < n_questions:
        raise ValueError(
            f"{n_questions} questions asked for, but only {int(free.sum(1).min())} items may be "
            f"asked about"
        )
    rows, items, reductions = np.arange(len(uncertain)), [], []
    for _ in range(n_questions):
        answers = _Answers.of(vectors, uncertain, spread, noise)
        gain = np.where(free, chance * answers.reduction, -np.inf)
        best = gain.argmax(1)
        total = np.einsum("de,bed->b", spread, uncertain)
        items.append(best)
        reductions.append(gain[rows, best] / np.maximum(total, 1e-300))
        free[rows, best] = False
        uncertain = answers.given(uncertain, rows, best)
    if not n_questions:
        return Questions(
            items=np.zeros((len(rows), 0), np.int64), uncertainty_reduction=np.zeros((len(rows), 0))
        )
    return Questions(items=np.stack(items, 1), uncertainty_reduction=np.stack(reductions, 1))


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """Effect of an answer about each item on the variance."""

    moved: np.ndarray
    """[B, N, D] covariance of each item's value with the user's weights."""
    variance: np.ndarray
    """[B, N] variance of an answer."""
    reduction: np.ndarray
    """[B, N] reduction of the summed variance of all items by an answer."""

    @classmethod
    def of(
        cls, vectors: np.ndarray, uncertain: np.ndarray, spread: np.ndarray, noise: float
    ) -> _Answers:
        moved = np.einsum("nd,bde->bne", vectors, uncertain)
        variance = np.einsum("bne,ne->bn", moved, vectors) + noise
        reduction = np.einsum("bnd,de,bne->bn", moved, spread, moved, optimize=True) / variance
        return cls(moved=moved, variance=variance, reduction=reduction)

    def given(self, uncertain: np.ndarray, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """[B, D, D] posterior covariance of the weights after each user has answered about one
        item.
        """
        column = self.moved[rows, items]
        products = column[:, :, None] * column[:, None, :]
        return np.asarray(uncertain - products / self.variance[rows, items][:, None, None])


def _excluded(requests: Sequence[Request], exclude: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the ids not to ask about for the first requests; none for requests beyond its
    length.
    """
    lists: Any = exclude
    is_list = isinstance(lists, Iterable) and not isinstance(lists, str | bytes | Mapping)
    if not is_list or len(exclude) > len(requests) or any(isinstance(i, str) for i in exclude):
        raise BadInput(f"exclude holds a list of items for each request, got {shown(exclude)}")
    return [ids_of("exclude", ids) for ids in exclude]


def _may_ask(
    model: FittedModel,
    requests: Sequence[Request],
    users: UserBatch,
    exclude: Sequence[Sequence[str]],
) -> np.ndarray:
    """[B, N] whether the policy allows the item and the user has no event on it and does not
    exclude it.
    """
    may_ask = model.policy_check.allowed(requests)
    for histories in (users.support, users.refused):
        may_ask[histories.owners, histories.items] = False
    for row, ids in enumerate(exclude):
        columns = model.vocabulary.indexes(ids)
        may_ask[row, columns[columns >= 0]] = False
    return may_ask


def _covariances(vectors: np.ndarray, common: np.ndarray, support: Histories) -> np.ndarray:
    """[B, D, D] posterior covariance of each user's weights after their events."""
    scale = 1.0 / max(float((vectors[common] ** 2).sum(1).mean()), 1e-9)
    prior = np.eye(vectors.shape[1]) / scale
    return np.stack(
        [
            np.linalg.inv(prior + vectors[items].T @ vectors[items])
            for items in np.split(support.items, support.offsets[1:-1])
        ]
    )

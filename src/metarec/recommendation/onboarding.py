"""Onboarding: which items to ask a new user about first.

A question is worth the variance its answer is expected to take out of our predictions, times the
chance that the user knows the item and can answer. The idea is active learning by expected
variance reduction (Cohn, Ghahramani and Jordan 1996, JAIR); for a Bayesian linear head the
reduction has a closed form and does not depend on the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What to ask, most useful first."""

    items: np.ndarray
    """[B, Q] item indexes."""
    worth: np.ndarray
    """[B, Q] expected share, in [0, 1], of the remaining variance that asking takes away (chance of
    knowing included).
    """


def chance_known(events_per_item: np.ndarray, n_users: int) -> np.ndarray:
    """[N] chance that somebody knows each item: the share of users who met it, smoothed by one who
    did and one who did not.
    """
    return np.asarray((events_per_item + 1.0) / (n_users + 2.0))


def chance_known_to(knows: np.ndarray, anonymous: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """[B, N] chance that each user knows each item, given what they answered: that of anybody,
    times how much likelier the scores hold it than for an anonymous user.

    Args:
        knows: [N] chance that somebody knows the item.
        anonymous user: [N] log-scores for somebody of whom nothing is known.
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
    """Choose questions one after another, each given that those before it are answered.

    Args:
        item_vectors: [N, D] what the head multiplies a user's weights with.
        covariance: [D, D], or [B, D, D] for several users: of a user's weights as known so far.
        noise: variance of an answer around its prediction.
        knows: [N] or [B, N] chance in [0, 1] that the user knows the item.
        n_questions: how many to choose.
        may_ask: bool [N] or [B, N]; False for items already answered or not to be asked about.
        importance: [N] weight of each item's variance in the sum that is reduced; all alike unless
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
    rows, items, worth = np.arange(len(uncertain)), [], []
    for _ in range(n_questions):
        answers = _Answers.of(vectors, uncertain, spread, noise)
        gain = np.where(free, chance * answers.reduction, -np.inf)
        best = gain.argmax(1)
        total = np.einsum("de,bed->b", spread, uncertain)
        items.append(best)
        worth.append(gain[rows, best] / np.maximum(total, 1e-300))
        free[rows, best] = False
        uncertain = answers.given(uncertain, rows, best)
    if not n_questions:
        return Questions(items=np.zeros((len(rows), 0), np.int64), worth=np.zeros((len(rows), 0)))
    return Questions(items=np.stack(items, 1), worth=np.stack(worth, 1))


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """What answers about each item would tell."""

    moved: np.ndarray
    """[B, N, D] covariance of each item's value with the weights."""
    variance: np.ndarray
    """[B, N] of an answer."""
    reduction: np.ndarray
    """[B, N] summed variance of all items that an answer takes away."""

    @classmethod
    def of(
        cls, vectors: np.ndarray, uncertain: np.ndarray, spread: np.ndarray, noise: float
    ) -> _Answers:
        moved = np.einsum("nd,bde->bne", vectors, uncertain)
        variance = np.einsum("bne,ne->bn", moved, vectors) + noise
        reduction = np.einsum("bnd,de,bne->bn", moved, spread, moved, optimize=True) / variance
        return cls(moved=moved, variance=variance, reduction=reduction)

    def given(self, uncertain: np.ndarray, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """[B, D, D] what is left open of the weights when each user has answered about one item."""
        column = self.moved[rows, items]
        told = column[:, :, None] * column[:, None, :]
        return np.asarray(uncertain - told / self.variance[rows, items][:, None, None])

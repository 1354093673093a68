"""Losses over padded tasks: what ranking and rating mean to a learner."""

from __future__ import annotations

import torch
from torch import Tensor

from metarec.metalearning.tasks import Query, Support


def task_mean(values: Tensor, is_real: Tensor) -> Tensor:
    """[B, T] -> [B]: the mean of each task's real entries, 0 for a task without any."""
    return (values * is_real).sum(-1) / is_real.sum(-1).clamp(min=1)


def ranking_loss(scores: Tensor, query: Query, log_weights: Tensor | None = None) -> Tensor:
    """Softmax over the candidates, a mean over all liked events of the batch, in nats.

    Each event counts the same, so that people who like more weigh more: on newcomers' NDCG this
    beats equal people.

    Args:
        scores: [B, N].
        query: indexes into the N scored items.
        log_weights: [N] log of how many items each scored one stands for, where they are a sample.
    """
    whole = scores if log_weights is None else scores + log_weights
    if query.is_candidate is not None:
        whole = whole.masked_fill(~query.is_candidate, -torch.inf)
    surprise = torch.logsumexp(whole, dim=-1, keepdim=True) - scores.gather(1, query.items)
    return (surprise * query.is_real).sum() / query.is_real.sum().clamp(min=1)


def rating_loss(scores: Tensor, query: Query) -> Tensor:
    """Squared error of the query's own scores [B, Q], a mean over each task's events and then over
    tasks that have any.
    """
    errors = task_mean((scores - query.values).square(), query.is_real)
    return errors.sum() / query.is_real.any(-1).sum().clamp(min=1)


def support_ranking_loss(
    scores: Tensor,
    anchor_scores: Tensor,
    anchor_weights: Tensor,
    support: Support,
    strength: Tensor,
) -> Tensor:
    """[B] how surprising each task's support is among the anchors: softmax, each event by its
    strength.

    Args:
        scores: [B, S] of the support.
        anchor_scores: [B, M], or [B, S, M] where each event was expected by a state of its own.
        anchor_weights: [M] log of how many items each stands for.
        strength: [B, S], 0 or more.
    """
    whole = torch.logsumexp(anchor_scores + anchor_weights, dim=-1)
    whole = whole if whole.ndim == 2 else whole.unsqueeze(-1)
    # The event itself joins the anchors, so that its chance stays below 1.
    return task_mean((torch.logaddexp(whole, scores) - scores) * strength, support.is_real)


def support_rating_loss(scores: Tensor, support: Support) -> Tensor:
    """[B] mean squared error on the support."""
    return task_mean((scores - support.values).square(), support.is_real)

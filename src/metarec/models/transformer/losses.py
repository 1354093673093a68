"""Ranking losses: full and sampled softmax, LambdaLoss.

Shape letters: B users, N items, P positives, K sampled items, D width. Softmax losses are means in
nats.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from metarec.runtime.device import in_memory, on_device
from metarec.runtime.gains import discounts


def softmax_loss(scores_BN: Tensor, targets: Tensor, *, allowed_BN: Tensor | None = None) -> Tensor:
    """Return the full softmax loss over the catalog.

    Args:
        scores_BN: one score for each item.
        targets: [B] index of one positive each, or [B, N] weights of several (a row without any is
            ignored).
        allowed_BN: False for items excluded from the softmax (those already seen); positives must
            be allowed.
    """
    if allowed_BN is not None:
        scores_BN = scores_BN.masked_fill(~allowed_BN, torch.finfo(scores_BN.dtype).min)
    if targets.dim() == 1:
        return F.cross_entropy(scores_BN, targets)
    log_chances = torch.log_softmax(scores_BN, dim=-1)
    weighed = torch.where(targets > 0, log_chances * targets, torch.zeros_like(log_chances))
    return -weighed.sum() / targets.sum().clamp(min=1e-9)


def sampled_softmax_loss(
    users_BD: Tensor,
    items_ND: Tensor,
    targets: Tensor,
    sampled_K: Tensor,
    log_chance_N: Tensor,
    *,
    bias_N: Tensor | None = None,
    left_out_BN: Tensor | None = None,
    weights_B: Tensor | None = None,
) -> Tensor:
    """Return the softmax loss over each positive and K shared samples (`samples_loss`); the cost is
    B x K instead of B x N.

    Args:
        targets: [B] index of one positive each, or [B, P] of several.
        log_chance_N: log of each item's probability in one draw.
        left_out_BN: True for excluded items (already seen).
        weights_B: as for `samples_loss`.
    """
    bias_N = users_BD.new_zeros(len(items_ND)) if bias_N is None else bias_N
    targets_BP = targets if targets.dim() == 2 else targets[:, None]
    positive_BP = (items_ND[targets_BP] @ users_BD[:, :, None])[..., 0] + bias_N[targets_BP]
    negative_BK = users_BD @ items_ND[sampled_K].T + bias_N[sampled_K]
    left_out_BPK = sampled_K == targets_BP[..., None]
    if left_out_BN is not None:
        left_out_BPK = left_out_BPK | left_out_BN[:, sampled_K][:, None]
    return samples_loss(positive_BP, negative_BK, log_chance_N[sampled_K], left_out_BPK, weights_B)


def samples_loss(
    positive_BP: Tensor,
    negative_BK: Tensor,
    log_chance_K: Tensor,
    left_out_BPK: Tensor,
    weights_B: Tensor | None = None,
) -> Tensor:
    """Return the softmax loss of each positive against the same K sampled scores, corrected for
    sampling bias.

    Yi et al. 2019, "Sampling-bias-corrected neural modeling", RecSys: the log of its sampling
    probability is subtracted from every sample's score, so that the expected gradient tends to the
    full softmax's as K grows. For that, a user's other positives must stay among the samples, as
    they stay in the full softmax.

    Args:
        positive_BP: scores of P positives each.
        log_chance_K: log of each sample's probability in one draw.
        left_out_BPK: True where a sample is excluded for a positive: it is the same item, or
            already seen.
        weights_B: weight of each row; equal by default. Where positives are drawn from many, give
            their number, by which the full softmax weights a row.
    """
    corrected_BK = negative_BK - log_chance_K - math.log(negative_BK.shape[1])
    rest_BP = torch.logsumexp(
        corrected_BK[:, None].masked_fill(left_out_BPK, torch.finfo(negative_BK.dtype).min), dim=-1
    )
    losses_B = F.softplus(rest_BP - positive_BP).mean(dim=1)
    return losses_B.mean() if weights_B is None else (losses_B * weights_B).sum() / weights_B.sum()


def lambda_loss(scores_BN: Tensor, wanted_BN: Tensor, *, places: int, reach: int) -> Tensor:
    """Return the LambdaLoss of NDCG (Wang et al. 2018, "The LambdaLoss framework for ranking metric
    optimization"): a logistic loss of pairs, each weighted by the NDCG that swapping it would
    change.

    Pairs are taken from the `reach` top items of each user; the gate's loss of the same name
    (`recommendation/ensemble/gate_training.py`) is over sampled candidates and includes Recall.

    Args:
        wanted_BN: True for the items that a user wants; a row without any is ignored.
        places: cutoff of the NDCG.
        reach: number of top items of each user from which pairs are taken.
    """
    top_BP = scores_BN.detach().topk(min(reach, scores_BN.shape[1]), dim=1).indices
    scores_BP, wanted_BP = scores_BN.gather(1, top_BP), wanted_BN.gather(1, top_BP)
    gains = discounts(places)
    worth_P = np.pad(gains, (0, max(0, top_BP.shape[1] - places)))[: top_BP.shape[1]]
    best = np.cumsum(gains)[np.clip(in_memory(wanted_BN.sum(1)), 1, places) - 1]
    worth_BP = on_device((worth_P[None] / best[:, None]).astype(np.float32))
    # Only pairs of a wanted item and another one count: one row for each wanted item.
    user, at = wanted_BP.nonzero(as_tuple=True)
    swap = (worth_BP[user, at, None] - worth_BP[user]).abs() * ~wanted_BP[user]
    lost = swap * F.softplus(scores_BP[user] - scores_BP[user, at, None])
    return lost.sum() / wanted_BN.any(1).sum().clamp(min=1)

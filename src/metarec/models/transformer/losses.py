"""What a recommender is trained on: full and sampled softmax, LambdaLoss.

Shape letters: B users, N items, P positives, K sampled items, D width. Every loss is a mean over
what is real, in nats (or squared units of the values).
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
    """Full softmax over the catalog.

    Args:
        scores_BN: one score for each item.
        targets: [B] the index of one positive each, or [B, N] weights of several (a row without any
            counts for nothing).
        allowed_BN: False where an item takes no part (those already seen); positives must be
            allowed.
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
    """Softmax over each positive and K shared samples (`samples_loss`); costs B x K instead of B x
    N.

    Args:
        targets: [B] the index of one positive each, or [B, P] of several.
        log_chance_N: log of each item's chance in one draw.
        left_out_BN: True where an item takes no part (already seen).
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
    """Softmax of each positive against the same K sampled scores, corrected for how often each item
    is sampled.

    Yi et al. 2019, "Sampling-bias-corrected neural modeling", RecSys: the log of its sampling
    chance is taken off every sample's score, so that the expected gradient tends to the full
    softmax's as K grows. For that, a user's other positives must stay among the samples, as they
    stay in the full softmax.

    Args:
        positive_BP: scores of P positives each.
        log_chance_K: log of each sample's chance in one draw.
        left_out_BPK: True where a sample may not stand against a positive: it is the same item, or
            takes no part.
        weights_B: how much each row counts; all the same by default. Where positives are drawn from
            many, the full softmax counts a row by how many there are.
    """
    corrected_BK = negative_BK - log_chance_K - math.log(negative_BK.shape[1])
    rest_BP = torch.logsumexp(
        corrected_BK[:, None].masked_fill(left_out_BPK, torch.finfo(negative_BK.dtype).min), dim=-1
    )
    losses_B = F.softplus(rest_BP - positive_BP).mean(dim=1)
    return losses_B.mean() if weights_B is None else (losses_B * weights_B).sum() / weights_B.sum()


def lambda_loss(scores_BN: Tensor, wanted_BN: Tensor, *, places: int, reach: int) -> Tensor:
    """LambdaLoss of NDCG (Wang et al. 2018, "The LambdaLoss framework for ranking metric
    optimization"): each pair in the wrong order costs what swapping it would gain.

    Pairs are made of the `reach` best items of each user; the gate's loss of the same name
    (`recommendation/ensemble/gate_training.py`) is of sampled candidates and of Recall too.

    Args:
        wanted_BN: True where a user wants the item; a row without any counts for nothing.
        places: of the NDCG.
        reach: best items of each user of which pairs are made.
    """
    top_BP = scores_BN.detach().topk(min(reach, scores_BN.shape[1]), dim=1).indices
    scores_BP, wanted_BP = scores_BN.gather(1, top_BP), wanted_BN.gather(1, top_BP)
    gains = discounts(places)
    worth_P = np.pad(gains, (0, max(0, top_BP.shape[1] - places)))[: top_BP.shape[1]]
    best = np.cumsum(gains)[np.clip(in_memory(wanted_BN.sum(1)), 1, places) - 1]
    worth_BP = on_device((worth_P[None] / best[:, None]).astype(np.float32))
    # Only pairs of a wanted item and another one count: a row for each wanted one.
    user, at = wanted_BP.nonzero(as_tuple=True)
    swap = (worth_BP[user, at, None] - worth_BP[user]).abs() * ~wanted_BP[user]
    lost = swap * F.softplus(scores_BP[user] - scores_BP[user, at, None])
    return lost.sum() / wanted_BN.any(1).sum().clamp(min=1)

"""What a recommender is trained on: full and sampled softmax, binary cross-entropy, squared error.

Shape letters: B users, N items, K sampled items, D width. Every loss is a mean over what is real, in nats (or squared
units of the values).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def softmax_loss(scores_BN: Tensor, targets: Tensor, *, allowed_BN: Tensor | None = None) -> Tensor:
    """Full softmax over the catalog.

    Args:
        scores_BN: one score for each item.
        targets: [B] the index of one positive each, or [B, N] weights of several (a row without any counts for nothing).
        allowed_BN: False where an item takes no part (those already seen); positives must be allowed.
    """
    if allowed_BN is not None:
        scores_BN = scores_BN.masked_fill(~allowed_BN, torch.finfo(scores_BN.dtype).min)
    if targets.dim() == 1:
        return F.cross_entropy(scores_BN, targets)
    log_chances = torch.log_softmax(scores_BN, dim=-1)
    weighed = torch.where(targets > 0, log_chances * targets, torch.zeros_like(log_chances))
    return -weighed.sum() / targets.sum().clamp(min=1e-9)


def sampled_softmax_loss(users_BD: Tensor, items_ND: Tensor, targets_B: Tensor, sampled_K: Tensor, log_chance_N: Tensor,
                         *, bias_N: Tensor | None = None, left_out_BN: Tensor | None = None) -> Tensor:
    """Softmax over the positive and K shared samples, corrected for how often each item is sampled.

    Yi et al. 2019, "Sampling-bias-corrected neural modeling", RecSys: the log of its sampling chance is taken off every
    sample's score, so that the expected gradient tends to the full softmax's as K grows. A sample that happens to be the
    positive is left out. Costs B x K instead of B x N.

    Args:
        log_chance_N: log of each item's chance in one draw.
        left_out_BN: True where an item may not serve as a negative (liked too, or already seen).
    """
    def scores(index: Tensor) -> Tensor:
        plain = users_BD @ items_ND[index].T
        return (plain if bias_N is None else plain + bias_N[index]) - log_chance_N[index]

    positive_B1 = ((users_BD * items_ND[targets_B]).sum(-1) + (0.0 if bias_N is None else bias_N[targets_B]))[:, None]
    negative_BK = scores(sampled_K) - torch.log(torch.tensor(float(len(sampled_K)), dtype=users_BD.dtype))
    left_out_BK = sampled_K[None, :] == targets_B[:, None]
    if left_out_BN is not None:
        left_out_BK = left_out_BK | left_out_BN[:, sampled_K]
    negative_BK = negative_BK.masked_fill(left_out_BK, torch.finfo(users_BD.dtype).min)
    return F.cross_entropy(torch.cat([positive_B1, negative_BK], dim=1), torch.zeros_like(targets_B))


def bce_loss(scores: Tensor, labels: Tensor, is_real: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of `sigmoid(score)` against labels in [0, 1]; a mean over real entries."""
    return _mean(F.binary_cross_entropy_with_logits(scores, labels.to(scores.dtype), reduction="none"), is_real)


def mse_loss(predicted: Tensor, values: Tensor, is_real: Tensor | None = None) -> Tensor:
    """Mean squared error over real entries."""
    return _mean((predicted - values).square(), is_real)


def _mean(losses: Tensor, is_real: Tensor | None) -> Tensor:
    if is_real is None:
        return losses.mean()
    weights = is_real.to(losses.dtype)
    return (losses * weights).sum() / weights.sum().clamp(min=1)

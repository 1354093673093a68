"""The inner loop made visible: where a gradient learner's parameters and scores stand after each
event and each step.

Adaptation is stateless, so "after step s" is the learner adapting again with s steps; all prefixes
of the history are tasks of one batch. Step 0 is the prior itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from metarec.data.schema import BadInput
from metarec.explanation.relative_score import relative_to_shown
from metarec.models.few_shot.functional import Params
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.learner import Prior
from metarec.models.few_shot.learners.gradient import GradientLearner
from metarec.models.few_shot.tasks import Support


@dataclass(frozen=True, kw_only=True)
class InnerTrace:
    """How one user was learned: first index events seen (0 .. L), second index inner steps taken
    (0 .. S).
    """

    learner: str
    item: int
    """Index of the item followed."""
    relative_score: list[list[float]]
    """[L+1, S+1] its score minus the mean over items, weighted by how popular they are."""
    rank: list[list[int]]
    """[L+1, S+1] its place among all items, from 1; seen items are not left out."""
    moves: dict[str, list[list[float]]]
    """Module -> [L+1, S+1] Euclidean distance of its parameters from the prior."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@torch.no_grad()
def follow_steps(
    learner: GradientLearner, prior: Prior, support: Support, items: ItemFeatures, item: int
) -> InnerTrace:
    """Adapt to every prefix of one user's events with every number of inner steps.

    Args:
        support: one task, B = 1.
        item: index of the item followed.

    Raises:
        BadInput: if `support` holds more than one user, or `item` is no item.
    """
    if len(support) != 1:
        raise BadInput(f"the inner loop is followed for one user at a time, got {len(support)}")
    if not 0 <= item < len(items):
        raise BadInput(f"item must be an index below {len(items)}, got {item}")
    prefixes = _prefixes(support)
    weights = torch.softmax(items.bias, dim=0).double().numpy()
    relative_score, rank, moves = [], [], []
    for steps in range(learner.adaptation.inner_steps + 1):
        fewer = replace(learner, adaptation=replace(learner.adaptation, inner_steps=steps))
        params = fewer.adapt(prior, prefixes, items)
        scores = fewer.score(prior, params, items)
        relative_score.append(relative_to_shown(scores.numpy(), weights)[:, item].tolist())
        rank.append((1 + (scores > scores[:, item, None]).sum(dim=1)).tolist())
        moves.append(_moved(prior, params))
    return InnerTrace(
        learner=learner.name,
        item=item,
        relative_score=_transposed(relative_score),
        rank=_transposed(rank),
        moves={module: _transposed([step[module] for step in moves]) for module in moves[-1]},
    )


def _prefixes(support: Support) -> Support:
    """Tasks of the first 0, 1, ..., L real events."""
    length = int(support.is_real.sum())
    shown = torch.arange(support.items.shape[1])[None, :] < torch.arange(length + 1)[:, None]
    profile = None if support.profile is None else support.profile.expand(length + 1, -1)
    return Support(
        items=support.items * shown,
        values=support.values * shown,
        is_real=support.is_real & shown,
        profile=profile,
    )


def _moved(prior: Prior, params: Params) -> dict[str, list[float]]:
    """Module (the name up to its last dot) -> distance from the prior of each task."""
    squares: dict[str, Tensor] = {}
    for name, value in params.items():
        if name not in prior:
            continue
        module = name.rpartition(".")[0] or name
        distance = (value - prior[name]).flatten(1).square().sum(dim=1)
        squares[module] = squares[module] + distance if module in squares else distance
    return {module: total.sqrt().tolist() for module, total in squares.items()}


def _transposed(rows: list[list[Any]]) -> list[list[Any]]:
    """[S+1][L+1] -> [L+1][S+1]."""
    return [list(column) for column in zip(*rows, strict=True)]

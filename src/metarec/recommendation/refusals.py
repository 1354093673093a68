"""How much a refusal takes away from what is like it, learned on held-out users.

Held-out users are known by their pool and by what they refused until then; of several weights the
one that ranks what they took afterwards best is kept, where that is clear. Someone who hides a
topic wants less of it; someone who sells a fund may well buy another of its class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.recommendation.gate import Gate
from metarec.recommendation.gate_tasks import GateTasks
from metarec.recommendation.gate_training import SLATE
from metarec.runtime.gains import ndcg_of_scores

REFUSAL = 1.0
"""What a refusal takes away, beside what the same act as an acceptance would add, where data do not
say better.
"""
WEIGHTS = (0.5, 0.75, REFUSAL, 1.5, 2.0, 3.0)
"""Weights that are tried; a refusal always lowers its like."""
MIN_USERS = 30
"""Held-out users with refusals that can tell."""
MIN_T = 2.0
"""Standard errors by which a weight must be better than `REFUSAL`."""


@dataclass(frozen=True, kw_only=True)
class Refusers:
    """Held-out users who refused something before the end of their pool."""

    users: np.ndarray
    """[T] among the training users, ascending."""
    refused: Histories
    """What each of them had refused."""

    @classmethod
    def of(cls, behaviour: Behaviour, held_out: np.ndarray) -> Refusers:
        """Those of `held_out`; without a clock every refusal counts as known."""
        pool, refused = behaviour.pool.users(held_out), behaviour.refused.users(held_out)
        ends = np.full(len(held_out), -np.inf)
        np.maximum.at(ends, pool.owners, np.nan_to_num(pool.times, nan=np.inf))
        before = refused.where(~(refused.times > ends[refused.owners]))
        able = np.flatnonzero((before.lengths > 0) & (pool.lengths > 0))
        return cls(users=held_out[able], refused=before.users(able))


def weight_note(weight: float) -> str:
    """What was learned, in words; nothing where it is the default."""
    if weight == REFUSAL:
        return ""
    return (
        f"refusals: one takes away {weight:g} times what an acceptance adds, as held-out users say"
    )


def learned_weight(gate: Gate, tasks: GateTasks, known: np.ndarray, refused: np.ndarray) -> float:
    """The weight by which held-out users are ranked best; `REFUSAL` where none is clearly better.

    Args:
        gate: between the models of history and profile.
        tasks: of T users; `shares` are those by what each accepted, then by what each refused.
        known: [T] events that each accepted.
        refused: [T] events that each refused.
    """
    if len(known) < MIN_USERS:
        return REFUSAL
    half, models = tasks.shares.shape[2] // 2, len(gate.names)
    popularity = tasks.popularity.numpy()
    at = gate.at(known)
    base = at["popularity_weight"][:, None] * np.log(popularity)
    base += np.einsum("tcs,ts->tc", tasks.item_statistics.numpy(), at["statistics_weight"])
    base += _lifts(gate, tasks.shares[..., :models].numpy(), popularity, known)
    against = _lifts(gate, tasks.shares[..., half : half + models].numpy(), popularity, refused)
    found = np.stack([_ndcg(base - np.float32(w) * against, tasks) for w in WEIGHTS])
    return _clearly_best(found)


def _clearly_best(found: np.ndarray) -> float:
    """Of weights [W, T] that are as good as the best, the one nearest to the default."""
    error, plain = np.sqrt(found.shape[1]), WEIGHTS.index(REFUSAL)
    best = int(found.mean(1).argmax())
    gain = found[best] - found[plain]
    if gain.mean() <= max(MIN_T * gain.std() / error, 1e-9):
        return REFUSAL
    behind = found[best] - found
    close = np.flatnonzero(behind.mean(1) <= behind.std(1) / error + 1e-9)
    return WEIGHTS[int(min(close, key=lambda row: abs(np.log(WEIGHTS[row]))))]


def _lifts(
    gate: Gate, shares: np.ndarray, popularity: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """[T, C] what models add, the formula of `Gate.parts`."""
    at = gate.at(lengths)
    ratio = shares / (at["smoothing"][:, None, :] * popularity[..., None])
    return np.asarray((at["weight"][:, None, :] * np.log1p(ratio)).sum(2), np.float32)


def _ndcg(scores: np.ndarray, tasks: GateTasks) -> np.ndarray:
    """[T] NDCG@10 among the candidates of each task."""
    scores = np.where(tasks.is_real.numpy(), scores, -np.inf)
    return ndcg_of_scores(scores, tasks.is_relevant.numpy(), SLATE)

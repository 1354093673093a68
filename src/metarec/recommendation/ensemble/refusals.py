"""How much a refusal takes away from what is like it, learned on held-out users.

Held-out users are known by their pool and by what they refused until then; of several weights the
one that ranks what they took afterwards best is kept, where that is clear. Someone who hides a
topic wants less of it; someone who sells a fund may well buy another of its class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.config import ModelConfig, setting
from metarec.recommendation.ensemble.gate import Gate
from metarec.recommendation.ensemble.gate_tasks import GateTasks
from metarec.runtime.gains import ndcg_of_scores

PLACES = 10
"""Places of the NDCG that chooses."""
REFUSAL = 1.0
"""The unit: a refusal takes away what the same act as an acceptance would add. It holds where data
do not say better.
"""


@dataclass(frozen=True, kw_only=True)
class RefusalsConfig(ModelConfig):
    """Hyper-parameters of what refusals take away (`recommendation.ensemble.refusals`)."""

    weights: tuple[float, ...] = setting((0.5, 0.75, 1.5, 2.0, 3.0), above=0)
    """Weights that are tried beside 1 (above 0): a refusal always lowers its like."""
    min_users: int = setting(30, least=2)
    """Held-out users with refusals that can tell (2 or more)."""
    max_users: int = setting(400, least=1)
    """Users of a fold who are asked at most (1 or more)."""
    min_t: float = setting(2.0, least=0)
    """Standard errors by which a weight must be better than 1 (0 or more)."""

    @property
    def tried(self) -> tuple[float, ...]:
        """All weights in their order."""
        return tuple(sorted({REFUSAL, *self.weights}))


@dataclass(frozen=True, kw_only=True)
class Refusers:
    """Held-out users who refused something before the end of their pool."""

    users: np.ndarray
    """[T] among the training users, ascending."""
    refused: Histories
    """What each of them had refused."""

    @classmethod
    def of(cls, behavior: Behavior, held_out: np.ndarray) -> Refusers:
        """Those of `held_out`; without a clock every refusal counts as known."""
        pool, refused = behavior.pool.users(held_out), behavior.refused.users(held_out)
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


def learned_weight(
    gate: Gate,
    tasks: GateTasks,
    known: np.ndarray,
    refused: np.ndarray,
    config: RefusalsConfig,
) -> float:
    """The weight by which held-out users are ranked best; `REFUSAL` where none is clearly better.

    Args:
        gate: between the models of history and profile.
        tasks: of T users; `shares` are those by what each accepted, then by what each refused.
        known: [T] events that each accepted.
        refused: [T] events that each refused.
    """
    if len(known) < config.min_users:
        return REFUSAL
    half, models = tasks.shares.shape[2] // 2, len(gate.names)
    popularity = tasks.popularity.numpy()
    at = gate.at(known)
    base = at["popularity_weight"][:, None] * np.log(popularity)
    base += np.einsum("tcs,ts->tc", tasks.item_statistics.numpy(), at["statistics_weight"])
    base += _lifts(gate, tasks.shares[..., :models].numpy(), popularity, known)
    against = _lifts(gate, tasks.shares[..., half : half + models].numpy(), popularity, refused)
    found = np.stack([_ndcg(base - np.float32(w) * against, tasks) for w in config.tried])
    return _clearly_best(found, config)


def _clearly_best(found: np.ndarray, config: RefusalsConfig) -> float:
    """Of weights [W, T] that are as good as the best, the one nearest to the default."""
    weights, error = config.tried, np.sqrt(found.shape[1])
    plain = weights.index(REFUSAL)
    best = int(found.mean(1).argmax())
    gain = found[best] - found[plain]
    if gain.mean() <= max(config.min_t * gain.std() / error, 1e-9):
        return REFUSAL
    behind = found[best] - found
    close = np.flatnonzero(behind.mean(1) <= behind.std(1) / error + 1e-9)
    return weights[int(min(close, key=lambda row: abs(np.log(weights[row]))))]


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
    return ndcg_of_scores(scores, tasks.is_relevant.numpy(), PLACES)

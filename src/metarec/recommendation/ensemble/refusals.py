"""The weight of refusals: how much they lower the scores of similar items, learned on held-out
users.

Held-out users are known by their support and by what they refused until its end. Of several
weights, the one that ranks the items they took afterwards best is kept, where it is clearly better.
A user who hides a topic wants less of it; a user who sells a fund may well buy another of its
class.
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
"""Cutoff k of the NDCG@k that chooses the weight."""
REFUSAL = 1.0
"""Default weight: a refusal subtracts what the same act as an acceptance would add. Kept unless
data clearly prefer another weight.
"""


@dataclass(frozen=True, kw_only=True)
class RefusalsConfig(ModelConfig):
    """Hyper-parameters of the weight of refusals (`recommendation.ensemble.refusals`)."""

    weights: tuple[float, ...] = setting((0.5, 0.75, 1.5, 2.0, 3.0), above=0)
    """Weights that are tried beside 1 (above 0): a refusal always lowers the scores of similar
    items.
    """
    min_users: int = setting(30, at_least=2)
    """Minimum number of held-out users with refusals to learn the weight (2 or more)."""
    max_users: int = setting(400, at_least=1)
    """Maximum number of users of a fold (1 or more)."""
    min_t: float = setting(2.0, at_least=0)
    """Minimum t statistic of the gain over the weight 1 (0 or more)."""

    @property
    def tried(self) -> tuple[float, ...]:
        """All weights in ascending order."""
        return tuple(sorted({REFUSAL, *self.weights}))


@dataclass(frozen=True, kw_only=True)
class Refusers:
    """Held-out users who refused something before the end of their support."""

    users: np.ndarray
    """[T] indexes among the training users, ascending."""
    refused: Histories
    """Items that each of them had refused by then."""

    @classmethod
    def of(cls, behavior: Behavior, held_out: np.ndarray) -> Refusers:
        """Select them from `held_out`; without a clock all refusals count as known."""
        pool, refused = behavior.pool.users(held_out), behavior.refused.users(held_out)
        ends = np.full(len(held_out), -np.inf)
        np.maximum.at(ends, pool.owners, np.nan_to_num(pool.times, nan=np.inf))
        before = refused.where(~(refused.times > ends[refused.owners]))
        able = np.flatnonzero((before.lengths > 0) & (pool.lengths > 0))
        return cls(users=held_out[able], refused=before.users(able))


def weight_note(weight: float) -> str:
    """Return the learned weight as a sentence for users; empty for the default."""
    if weight == REFUSAL:
        return ""
    return (
        f"refusals: one takes away {weight:g} times what an acceptance adds, as held-out users say"
    )


def learned_weight(
    gate: Gate,
    tasks: GateTasks,
    n_accepted: np.ndarray,
    n_refused: np.ndarray,
    config: RefusalsConfig,
) -> float:
    """Return the weight that ranks held-out users best; `REFUSAL` where none is clearly better.

    Args:
        gate: between the models of history and profile.
        tasks: of T users; `shares` hold the evidence from accepted items, then from refused items.
        n_accepted: [T] number of events that each accepted.
        n_refused: [T] number of events that each refused.
    """
    if len(n_accepted) < config.min_users:
        return REFUSAL
    half, models = tasks.shares.shape[2] // 2, len(gate.names)
    popularity = tasks.popularity.numpy()
    at = gate.at(n_accepted)
    base = at["popularity_weight"][:, None] * np.log(popularity)
    base += np.einsum("tcs,ts->tc", tasks.item_statistics.numpy(), at["statistics_weight"])
    base += _lifts(gate, tasks.shares[..., :models].numpy(), popularity, n_accepted)
    against = _lifts(gate, tasks.shares[..., half : half + models].numpy(), popularity, n_refused)
    ndcg = np.stack([_ndcg(base - np.float32(w) * against, tasks) for w in config.tried])
    return _clearly_best(ndcg, config)


def _clearly_best(ndcg: np.ndarray, config: RefusalsConfig) -> float:
    """Return the weight nearest to the default among those as good as the best, given the NDCG [W,
    T] of each weight and user.
    """
    weights, error = config.tried, np.sqrt(ndcg.shape[1])
    plain = weights.index(REFUSAL)
    best = int(ndcg.mean(1).argmax())
    gain = ndcg[best] - ndcg[plain]
    if gain.mean() <= max(config.min_t * gain.std() / error, 1e-9):
        return REFUSAL
    behind = ndcg[best] - ndcg
    close = np.flatnonzero(behind.mean(1) <= behind.std(1) / error + 1e-9)
    return weights[int(min(close, key=lambda row: abs(np.log(weights[row]))))]


def _lifts(
    gate: Gate, shares: np.ndarray, popularity: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """[T, C] sum of the models' lifts, by the formula of `Gate.score_components`."""
    at = gate.at(lengths)
    ratio = shares / (at["smoothing"][:, None, :] * popularity[..., None])
    return np.asarray((at["weight"][:, None, :] * np.log1p(ratio)).sum(2), np.float32)


def _ndcg(scores: np.ndarray, tasks: GateTasks) -> np.ndarray:
    """[T] NDCG@10 among the candidates of each task."""
    scores = np.where(tasks.is_real.numpy(), scores, -np.inf)
    return ndcg_of_scores(scores, tasks.is_relevant.numpy(), PLACES)

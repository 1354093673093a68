"""Selection of the held-out users that teach the gates, and of the context that each task
reveals.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from metarec.data.errors import BadInput
from metarec.features.behavior import Behavior
from metarec.models.registry import READ_CONTEXT, model_class
from metarec.recommendation.ensemble.gate_config import GateConfig
from metarec.recommendation.ensemble.held_out_tasks import is_ended

MAX_ASKED = 240_000_000
"""Bound on the scores of each model at one support size while the gate learns; it lowers the number
of held-out users for catalogs of more than 300,000 items.
"""


def held_out_of(n_items: int, config: GateConfig) -> int:
    """Return the number of users held out once, for a catalog of this size."""
    return max(config.min_held_out, min(config.held_out, MAX_ASKED // n_items))


def is_asked_once(able: int, n_items: int, config: GateConfig) -> bool:
    """Whether there are enough eligible users to hold one part out once, instead of cross-fitting
    in folds.
    """
    held_out = held_out_of(n_items, config)
    return able > config.many or (held_out < config.held_out and able > 2 * held_out)


def folds_of(behavior: Behavior, rng: np.random.Generator, config: GateConfig) -> list[np.ndarray]:
    """Return the folds of held-out users, as ascending indexes of training users that have targets
    after the support, and the same share of those who ended there (`is_ended`).

    Raises:
        BadInput: if no user has any.
    """
    able = _able(behavior)
    if not len(able):
        raise BadInput(
            "no user likes anything that is a target after their first events, so nothing teaches "
            "what to recommend; give users who did more, or name more kinds as targets in [kinds]"
        )
    rng.shuffle(able)
    ended = rng.permutation(np.flatnonzero(is_ended(behavior)))
    if is_asked_once(len(able), behavior.n_items, config):
        held_out = able[: held_out_of(behavior.n_items, config)]
        share = len(held_out) / len(able)
        return [np.sort(np.concatenate([held_out, ended[: int(share * len(ended))]]))]
    folds = min(config.folds, max(2, len(able)))
    parts = zip(np.array_split(able, folds), np.array_split(ended, folds), strict=True)
    return [np.sort(np.concatenate([part, more])) for part, more in parts if len(part)]


def _able(behavior: Behavior) -> np.ndarray:
    """Indexes of training users that have targets after the support, only those with long enough
    histories where there are any.
    """
    has_targets = behavior.targets.lengths > 0
    long = has_targets & (behavior.histories.lengths >= behavior.horizon.min_events)
    return np.flatnonzero(long if long.any() else has_targets)


def located_share(behavior: Behavior, config: GateConfig) -> float:
    """Return the share of the held-out users whose location is revealed, so that they are about
    `GateConfig.max_located`.
    """
    able = len(_able(behavior))
    if is_asked_once(able, behavior.n_items, config):
        able = held_out_of(behavior.n_items, config)
    return min(1.0, config.max_located / able)


def revealed_to(
    names: tuple[str, ...],
    users: np.ndarray,
    chance: float = GateConfig.revealed,
    located: float = 1.0,
) -> dict[str, np.ndarray]:
    """Return masks [B] of the users whose context is revealed to each model of `READ_CONTEXT`,
    without models to which all are revealed. With several kinds of context, each task reveals a
    random subset, so that the gate learns the weight of each alone; models that read the same input
    share a mask.

    Args:
        chance: probability that an input is revealed, where models read several different ones.
        located: share of the users whose location is revealed.
    """
    readers = {name: _reads(name) for name in names if name in READ_CONTEXT}
    what = list(dict.fromkeys(readers.values()))
    is_revealed = np.ones((len(users), len(what)), bool)
    if len(what) > 1:
        is_revealed = _drawn(0, users, len(what)) < chance
        none = ~is_revealed.any(1)
        is_revealed[none, users[none] % len(what)] = True
    needs_place = np.array(["location" in reads for reads in what], np.bool_)
    is_revealed &= ~needs_place | (_drawn(1, users, 1) < located)
    masks = {name: is_revealed[:, what.index(reads)] for name, reads in readers.items()}
    return {name: mask for name, mask in masks.items() if not mask.all()}


def _drawn(seed: int, users: np.ndarray, columns: int) -> np.ndarray:
    """[B, C] random numbers in [0, 1), a function of the seed and the user's index."""
    shape = int(users.max(initial=0)) + 1, columns
    return np.asarray(np.random.default_rng(seed).random(shape)[users])


def _reads(name: str) -> frozenset[str]:
    return cast("frozenset[str]", model_class(name).reads)

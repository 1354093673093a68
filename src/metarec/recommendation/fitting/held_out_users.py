"""Which training users teach the gates, and what models hear of each."""

from __future__ import annotations

from typing import cast

import numpy as np

from metarec.data.errors import BadInput
from metarec.features.behavior import Behavior
from metarec.models.registry import READ_CONTEXT, model_class
from metarec.recommendation.ensemble.gate_config import GateConfig

MAX_ASKED = 240_000_000
"""Bound: scores of each model at one support size that teach the gate; a catalog of more than
200,000 items holds fewer users out.
"""


def held_out_of(n_items: int, config: GateConfig) -> int:
    """Users who teach the gate where there are many, for a catalog of this size."""
    return max(config.min_held_out, min(config.held_out, MAX_ASKED // n_items))


def is_asked_once(able: int, n_items: int, config: GateConfig) -> bool:
    """Whether so many users are enough to hold one part of them out once."""
    held_out = held_out_of(n_items, config)
    return able > config.many or (held_out < config.held_out and able > 2 * held_out)


def folds_of(behavior: Behavior, rng: np.random.Generator, config: GateConfig) -> list[np.ndarray]:
    """Held-out parts of the training users that have something to be evaluated on.

    Raises:
        BadInput: if none has.
    """
    able = _able(behavior)
    if not len(able):
        raise BadInput(
            "no user likes anything that is a target after their first events, so nothing teaches "
            "what to recommend; give users who did more, or name more kinds as targets in [kinds]"
        )
    rng.shuffle(able)
    if is_asked_once(len(able), behavior.n_items, config):
        return [np.sort(able[: held_out_of(behavior.n_items, config)])]
    parts = np.array_split(able, min(config.folds, max(2, len(able))))
    return [np.sort(part) for part in parts if len(part)]


def _able(behavior: Behavior) -> np.ndarray:
    """Training users that have something to be evaluated on, those of long enough histories where
    there are any.
    """
    asked = behavior.targets.lengths > 0
    long = asked & (behavior.histories.lengths >= behavior.horizon.min_events)
    return np.flatnonzero(long if long.any() else asked)


def placed_share(behavior: Behavior, config: GateConfig) -> float:
    """Share of the users of all folds whose places are told: `GateConfig.max_placed` of them."""
    able = len(_able(behavior))
    if is_asked_once(able, behavior.n_items, config):
        able = held_out_of(behavior.n_items, config)
    return min(1.0, config.max_placed / able)


def told_to(
    names: tuple[str, ...],
    users: np.ndarray,
    chance: float = GateConfig.told,
    placed: float = 1.0,
) -> dict[str, np.ndarray]:
    """Which models of `READ_CONTEXT` hear something of each user while the gate learns: of several
    a part only, so that it knows what each is worth alone; models that read the same hear the same.

    Args:
        chance: that a model hears something, where there are several that read different things.
        placed: share of the users whose places models hear of.
    """
    readers = {name: _reads(name) for name in names if name in READ_CONTEXT}
    what = list(dict.fromkeys(readers.values()))
    heard = np.ones((len(users), len(what)), bool)
    if len(what) > 1:
        heard = _drawn(0, users, len(what)) < chance
        none = ~heard.any(1)
        heard[none, users[none] % len(what)] = True
    needs_place = np.array(["location" in reads for reads in what], np.bool_)
    heard &= ~needs_place | (_drawn(1, users, 1) < placed)
    found = {name: heard[:, what.index(reads)] for name, reads in readers.items()}
    return {name: hears for name, hears in found.items() if not hears.all()}


def _drawn(seed: int, users: np.ndarray, columns: int) -> np.ndarray:
    """[B, C] random numbers, each user's own."""
    shape = int(users.max(initial=0)) + 1, columns
    return np.asarray(np.random.default_rng(seed).random(shape)[users])


def _reads(name: str) -> frozenset[str]:
    return cast("frozenset[str]", model_class(name).reads)

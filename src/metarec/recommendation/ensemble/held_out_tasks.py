"""Which tasks held-out users give a gate: at each support size, and as users known for long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from metarec.data.cold_users import MEDIUM
from metarec.features.behaviour import Behaviour, pools_of
from metarec.features.histories import Histories
from metarec.recommendation.ensemble.gate_config import GateConfig
from metarec.recommendation.ensemble.gate_tasks import (
    Answers,
    GateTasks,
    candidates,
    chosen_candidates,
    drawn_candidates,
    joined,
)

MIN_LONGER, MIN_LONGER_SHARE = 300, 0.2
"""Users, and their share of all, with events enough for more support sizes than those of a short
horizon, at least.
"""
MAX_AT_ONCE, SCORES_AT_ONCE = 64, 4_000_000
"""Users of whom models are asked at a time, and scores that each gives at a time: bounds memory
where the catalog is large.
"""


Ask = Callable[[int, np.ndarray], Answers]
"""(support size, users) -> answers of what has not seen these users."""


AskOf = Callable[[Behaviour, int, np.ndarray], Answers]
"""The same of users as a behaviour cuts their histories."""


Rate = Callable[[int, np.ndarray, Histories], np.ndarray]
"""(support size, users, items asked of each) -> [E] predicted ratings, in steps from the mean."""


def gather_tasks(
    behaviour: Behaviour,
    users: np.ndarray,
    ask: Ask,
    rng: np.random.Generator,
    *,
    rate: Rate | None = None,
    config: GateConfig | None = None,
) -> tuple[list[GateTasks], list[GateTasks], list[GateTasks]]:
    """Tasks of the held-out `users` at each support size of the horizon: over the whole catalog,
    and from the same answers between few given candidates, drawn from it, and, where `rate`
    says what they would be rated, chosen by the users themselves.
    """
    made: tuple[list[GateTasks], list[GateTasks], list[GateTasks]] = ([], [], [])
    batch, aside = users_at_once(behaviour.n_items), rng.spawn(1)[0]
    for shots in behaviour.horizon.shots:
        parts: list[list[GateTasks]] = [[], [], []]
        for some in (users[start : start + batch] for start in range(0, len(users), batch)):
            answers = ask(shots, some)
            parts[0].append(candidates(behaviour, some, answers, rng, config=config))
            parts[1].append(drawn_candidates(behaviour, some, answers, aside))
            if rate is not None:
                rated = partial(rate, shots, some)
                parts[2].append(chosen_candidates(behaviour, some, answers, rated, aside))
        for tasks, found in zip(made, parts, strict=True):
            tasks += [joined(found)] if found else []
    return made


def longer_tasks(
    behaviour: Behaviour,
    users: np.ndarray,
    ask: AskOf,
    rng: np.random.Generator,
    config: GateConfig | None = None,
) -> list[GateTasks]:
    """Tasks of those of the held-out `users` who have events enough at each of `longer_shots`."""
    if not longer_shots(behaviour):
        return []
    longer, able = as_longer(behaviour), able_longer(behaviour, users)
    return gather_tasks(longer, able, partial(ask, longer), rng, config=config)[0]


def longer_shots(behaviour: Behaviour) -> tuple[int, ...]:
    """Support sizes beyond a short horizon at which enough users can teach the gate: between its
    last one and that of a user known for long there is else nothing but interpolation.
    """
    if behaviour.horizon.pool >= MEDIUM.pool:
        return ()
    is_able = behaviour.histories.lengths >= MEDIUM.min_events
    if is_able.sum() < max(MIN_LONGER, MIN_LONGER_SHARE * len(is_able)):
        return ()
    return tuple(shots for shots in MEDIUM.shots if shots > behaviour.horizon.pool)


def able_longer(behaviour: Behaviour, users: np.ndarray) -> np.ndarray:
    """Those of the `users` who have events enough to be asked after the longest of
    `longer_shots`.
    """
    return np.asarray(users[behaviour.histories.lengths[users] >= MEDIUM.min_events])


def as_longer(behaviour: Behaviour) -> Behaviour:
    """The same users with a longer pool."""
    pools = np.maximum(pools_of(behaviour.histories.lengths, MEDIUM), behaviour.pools)
    horizon = replace(MEDIUM, shots=longer_shots(behaviour))
    return replace(behaviour, horizon=horizon, cut=pools)


def known_tasks(
    behaviour: Behaviour,
    users: np.ndarray,
    ask: Ask,
    rng: np.random.Generator,
    config: GateConfig | None = None,
) -> GateTasks:
    """Tasks of the held-out `users` as users known for long: all that came before the last thing
    they wanted is shown, and that is asked.
    """
    longer, most = as_known(behaviour), int(behaviour.histories.lengths.max(initial=0))
    batch = users_at_once(behaviour.n_items)
    starts = range(0, len(users), batch)
    return joined(
        [
            candidates(longer, some, ask(most, some), rng, config=config)
            for some in (users[start : start + batch] for start in starts)
        ]
    )


def users_at_once(n_items: int) -> int:
    """Users of whom all models are asked at a time about a catalog of this size."""
    return max(1, min(MAX_AT_ONCE, SCORES_AT_ONCE // n_items))


def as_known(behaviour: Behaviour) -> Behaviour:
    """The same users with everything before the last thing they wanted as their pool."""
    histories, targets = behaviour.histories, behaviour.is_wanted(behaviour.histories)
    cut = np.zeros(len(histories), np.int64)
    np.maximum.at(cut, histories.owners[targets], histories.positions[targets])
    return replace(behaviour, cut=np.maximum(cut, behaviour.pools))


def known_length(behaviour: Behaviour) -> int:
    """Events of a user known for long, as the gate's last support size: the middle of them, more
    than the pool.
    """
    pools = as_known(behaviour).pools
    longer = pools[pools > behaviour.horizon.pool]
    last = max(behaviour.horizon.pool, *longer_shots(behaviour), 0)
    return int(max(np.median(longer) if len(longer) else 0, last + 1))

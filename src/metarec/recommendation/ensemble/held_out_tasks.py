"""Which tasks held-out users give a gate: at each support size, and as users known for long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from metarec.data.cold_users import MEDIUM
from metarec.features.behavior import Behavior, pools_of
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


AskOf = Callable[[Behavior, int, np.ndarray], Answers]
"""The same of users as a behavior cuts their histories."""


Rate = Callable[[int, np.ndarray, Histories], np.ndarray]
"""(support size, users, items asked of each) -> [E] predicted ratings, in steps from the mean."""


def gather_tasks(
    behavior: Behavior,
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
    batch, aside = users_at_once(behavior.n_items), rng.spawn(1)[0]
    for shots in behavior.horizon.shots:
        parts: list[list[GateTasks]] = [[], [], []]
        for some in (users[start : start + batch] for start in range(0, len(users), batch)):
            answers = ask(shots, some)
            parts[0].append(candidates(behavior, some, answers, rng, config=config))
            parts[1].append(drawn_candidates(behavior, some, answers, aside))
            if rate is not None:
                rated = partial(rate, shots, some)
                parts[2].append(chosen_candidates(behavior, some, answers, rated, aside))
        for tasks, found in zip(made, parts, strict=True):
            tasks += [joined(found)] if found else []
    return made


def longer_tasks(
    behavior: Behavior,
    users: np.ndarray,
    ask: AskOf,
    rng: np.random.Generator,
    config: GateConfig | None = None,
) -> list[GateTasks]:
    """Tasks of those of the held-out `users` who have events enough at each of `longer_shots`."""
    if not longer_shots(behavior):
        return []
    longer, able = as_longer(behavior), able_longer(behavior, users)
    return gather_tasks(longer, able, partial(ask, longer), rng, config=config)[0]


def longer_shots(behavior: Behavior) -> tuple[int, ...]:
    """Support sizes beyond a short horizon at which enough users can teach the gate: between its
    last one and that of a user known for long there is else nothing but interpolation.
    """
    if behavior.horizon.pool >= MEDIUM.pool:
        return ()
    is_able = behavior.histories.lengths >= MEDIUM.min_events
    if is_able.sum() < max(MIN_LONGER, MIN_LONGER_SHARE * len(is_able)):
        return ()
    return tuple(shots for shots in MEDIUM.shots if shots > behavior.horizon.pool)


def able_longer(behavior: Behavior, users: np.ndarray) -> np.ndarray:
    """Those of the `users` who have events enough to be asked after the longest of
    `longer_shots`.
    """
    return np.asarray(users[behavior.histories.lengths[users] >= MEDIUM.min_events])


def as_longer(behavior: Behavior) -> Behavior:
    """The same users with a longer pool."""
    pools = np.maximum(pools_of(behavior.histories.lengths, MEDIUM), behavior.pools)
    horizon = replace(MEDIUM, shots=longer_shots(behavior))
    return replace(behavior, horizon=horizon, cut=pools)


def known_tasks(
    behavior: Behavior,
    users: np.ndarray,
    ask: Ask,
    rng: np.random.Generator,
    config: GateConfig | None = None,
) -> GateTasks:
    """Tasks of the held-out `users` as users known for long: all that came before the last thing
    they wanted is shown, and that is asked.
    """
    longer, most = as_known(behavior), int(behavior.histories.lengths.max(initial=0))
    batch = users_at_once(behavior.n_items)
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


def as_known(behavior: Behavior) -> Behavior:
    """The same users with everything before the last thing they wanted as their pool."""
    histories, targets = behavior.histories, behavior.is_wanted(behavior.histories)
    cut = np.zeros(len(histories), np.int64)
    np.maximum.at(cut, histories.owners[targets], histories.positions[targets])
    return replace(behavior, cut=np.maximum(cut, behavior.pools))


def known_length(behavior: Behavior) -> int:
    """Events of a user known for long, as the gate's last support size: the middle of them, more
    than the pool.
    """
    pools = as_known(behavior).pools
    longer = pools[pools > behavior.horizon.pool]
    last = max(behavior.horizon.pool, *longer_shots(behavior), 0)
    return int(max(np.median(longer) if len(longer) else 0, last + 1))

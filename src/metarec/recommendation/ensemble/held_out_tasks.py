"""Gate tasks of held-out users: at each support size of the horizon, and with long histories."""

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
    GateTasks,
    ScorerOutput,
    candidates,
    chosen_candidates,
    drawn_candidates,
    joined,
)

MIN_LONGER, MIN_LONGER_SHARE = 300, 0.2
"""Minimum number of users, and minimum share of all users, with enough events to learn the gate at
larger support sizes than those of a short horizon.
"""
MAX_AT_ONCE, SCORES_AT_ONCE = 64, 4_000_000
"""Maximum number of users per batch, and of scores per model and batch; bounds memory where the
catalog is large.
"""


ScoreUsers = Callable[[int, np.ndarray], ScorerOutput]
"""(support size, users) -> output of models that were not fitted on these users."""


ScoreUsersOf = Callable[[Behavior, int, np.ndarray], ScorerOutput]
"""Like `ScoreUsers`, with the behavior that says where each user's history is cut."""


PredictRatings = Callable[[int, np.ndarray, Histories], np.ndarray]
"""(support size, users, candidate items of each) -> [E] predicted ratings, as steps from the
mean.
"""


def gather_tasks(
    behavior: Behavior,
    users: np.ndarray,
    score: ScoreUsers,
    rng: np.random.Generator,
    *,
    rate: PredictRatings | None = None,
    config: GateConfig | None = None,
) -> tuple[list[GateTasks], list[GateTasks], list[GateTasks]]:
    """Return three lists of tasks of the held-out `users`, one entry for each support size of the
    horizon, all from the same scores: candidates from the whole catalog; few given candidates
    drawn at random from it; and, where `rate` predicts ratings, few given candidates that the users
    chose themselves.
    """
    by_kind: tuple[list[GateTasks], list[GateTasks], list[GateTasks]] = ([], [], [])
    batch, aside = users_at_once(behavior.n_items), rng.spawn(1)[0]
    for n_support in behavior.horizon.support_sizes:
        parts: list[list[GateTasks]] = [[], [], []]
        for some in (users[start : start + batch] for start in range(0, len(users), batch)):
            output = score(n_support, some)
            parts[0].append(candidates(behavior, some, output, rng, config=config))
            parts[1].append(drawn_candidates(behavior, some, output, aside))
            if rate is not None:
                rated = partial(rate, n_support, some)
                parts[2].append(chosen_candidates(behavior, some, output, rated, aside))
        for tasks, of_batches in zip(by_kind, parts, strict=True):
            tasks += [joined(of_batches)] if of_batches else []
    return by_kind


def longer_tasks(
    behavior: Behavior,
    users: np.ndarray,
    score: ScoreUsersOf,
    rng: np.random.Generator,
    config: GateConfig | None = None,
) -> list[GateTasks]:
    """Return tasks at each of `longer_support_sizes`, of those held-out `users` who have enough
    events.
    """
    if not longer_support_sizes(behavior):
        return []
    longer, able = as_longer(behavior), able_longer(behavior, users)
    return gather_tasks(longer, able, partial(score, longer), rng, config=config)[0]


def longer_support_sizes(behavior: Behavior) -> tuple[int, ...]:
    """Return the support sizes beyond a short horizon at which enough users can teach the gate.
    Without them, the gate between the horizon's last size and that of a long history is only
    interpolated.
    """
    if behavior.horizon.pool >= MEDIUM.pool:
        return ()
    is_able = behavior.histories.lengths >= MEDIUM.min_events
    if is_able.sum() < max(MIN_LONGER, MIN_LONGER_SHARE * len(is_able)):
        return ()
    return tuple(
        n_support for n_support in MEDIUM.support_sizes if n_support > behavior.horizon.pool
    )


def able_longer(behavior: Behavior, users: np.ndarray) -> np.ndarray:
    """Return those of `users` who have enough events for the largest of `longer_support_sizes`."""
    return np.asarray(users[behavior.histories.lengths[users] >= MEDIUM.min_events])


def as_longer(behavior: Behavior) -> Behavior:
    """Return the same users with more events before the cut, as in `longer_tasks`."""
    pools = np.maximum(pools_of(behavior.histories.lengths, MEDIUM), behavior.pools)
    horizon = replace(MEDIUM, support_sizes=longer_support_sizes(behavior))
    return replace(behavior, horizon=horizon, cut=pools)


def is_ended(behavior: Behavior) -> np.ndarray:
    """[U] whether each user has one target event after the events of a short horizon, and then
    nothing more.

    Nobody is evaluated as a new user on so little, but many users end there: without them, the
    gate at the end of a short horizon learned only from users who went on, and trusted the order
    of events too little (docs/experiments).
    """
    horizon, lengths = behavior.horizon, behavior.histories.lengths
    is_short = (lengths > horizon.pool) & (lengths < horizon.min_events)
    goes_on = (lengths >= horizon.min_events) & (behavior.targets.lengths > 0)
    if horizon.pool >= MEDIUM.pool or not goes_on.any():
        return np.zeros(len(lengths), bool)
    at_end = as_known(behavior)
    return np.asarray(is_short & (at_end.pools == horizon.pool) & (at_end.targets.lengths > 0))


def known_tasks(
    behavior: Behavior,
    users: np.ndarray,
    score: ScoreUsers,
    rng: np.random.Generator,
    config: GateConfig | None = None,
) -> GateTasks:
    """Return tasks of the held-out `users` with long supports (`with_long_support`)."""
    longer, longest = with_long_support(behavior), int(behavior.histories.lengths.max(initial=0))
    batch = users_at_once(behavior.n_items)
    starts = range(0, len(users), batch)
    return joined(
        [
            candidates(longer, some, score(longest, some), rng, config=config)
            for some in (users[start : start + batch] for start in starts)
        ]
    )


def users_at_once(n_items: int) -> int:
    """Return the number of users per batch for a catalog of this size."""
    return max(1, min(MAX_AT_ONCE, SCORES_AT_ONCE // n_items))


def as_known(behavior: Behavior) -> Behavior:
    """Return the same users, each history cut right before its last target event."""
    histories, targets = behavior.histories, behavior.is_wanted(behavior.histories)
    cut = np.zeros(len(histories), np.int64)
    np.maximum.at(cut, histories.owners[targets], histories.positions[targets])
    return replace(behavior, cut=np.maximum(cut, behavior.pools))


def with_long_support(behavior: Behavior) -> Behavior:
    """Return the same users, each history cut where the gate learns what to do with a long one.

    Beyond a short horizon, few events are left to ask about: the query is the last target event
    (`as_known`). Beyond a long one, it is all target events of the second half, as at all smaller
    support sizes it is all that comes later; at least the last one. A gate taught by the last event
    alone trusted the order of events so much that after 50 and 100 events it ranked what users
    liked later worse than its own `item_knn` did (docs/experiments).
    """
    known = as_known(behavior)
    if behavior.horizon.pool < MEDIUM.pool:
        return known
    half = np.maximum(behavior.histories.lengths // 2, behavior.pools)
    return replace(behavior, cut=np.minimum(half, known.pools))


def known_length(behavior: Behavior) -> int:
    """Return the support size that stands for a long history, the gate's last: the median support
    size of `with_long_support`, and more than all other support sizes.
    """
    pools = with_long_support(behavior).pools
    longer = pools[pools > behavior.horizon.pool]
    last = max(behavior.horizon.pool, *longer_support_sizes(behavior), 0)
    return int(max(np.median(longer) if len(longer) else 0, last + 1))

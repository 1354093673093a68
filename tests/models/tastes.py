"""Two tastes as a `Behavior`: what fitted learners and models of cold items are tested on; and
where items stand and whom users know.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from episodes import histories_of
from metarec.data.cold_users import Horizon
from metarec.features.behavior import Behavior
from metarec.features.context_columns import ContextColumns
from metarec.features.training_context import Acts, TrainingContext

TASTE = 8
"""Items of each of two tastes; user n withholds item n of theirs."""


def two_tastes(users: int = 32, seed: int = 0) -> Behavior:
    """Two tastes; users like all of their own but one and dislike three of the other; content and
    profile tell the taste.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(users):
        taste = n % 2
        own = [taste * TASTE + i for i in range(TASTE) if i != (n // 2) % TASTE]
        other = (1 - taste) * TASTE + rng.choice(TASTE, 3, replace=False)
        events = [(i, float(rng.integers(4, 6))) for i in own] + [
            (int(i), float(rng.integers(1, 3))) for i in other
        ]
        rows.append([events[e] for e in rng.permutation(len(events))])
    content = np.eye(2, dtype=np.float32)[
        np.arange(2 * TASTE) // TASTE
    ] + 0.1 * rng.standard_normal((2 * TASTE, 2)).astype(np.float32)
    return Behavior(
        histories=histories_of(rows),
        profiles=np.eye(2, dtype=np.float32)[np.arange(users) % 2],
        content=content,
        relevant_from=4.0,
        horizon=Horizon(support_sizes=(0, 1, 3), pool=3, min_events=5),
    )


def likes(taste: int, withheld: int) -> list[tuple[int, float]]:
    return [(taste * TASTE + i, 5.0) for i in range(TASTE) if i != withheld][:4]


def context_at(places: np.ndarray, friends: sp.csr_matrix) -> TrainingContext:
    """Items stand at `places` [N, 2], users know `friends` [U, U]; nothing else is told."""
    users, nothing = friends.shape[0], np.zeros(0, np.int64)
    return TrainingContext(
        members=np.arange(users),
        friends=friends,
        places=places,
        homes=np.full((users, 2), np.nan),
        columns=ContextColumns(categories={}, edges={}),
        acts=Acts(
            owners=nothing,
            items=nothing,
            times=np.zeros(0),
            codes=np.zeros((0, 0), np.int64),
            locations=np.zeros((0, 2)),
        ),
        queries=[()] * users,
    )

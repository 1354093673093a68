"""What was refused again and again comes last; what a few refused by chance does not."""

from __future__ import annotations

import numpy as np

from metarec.data.cold_users import SHORT
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.recommendation.ensemble.blend import REFUSED_ITEM
from metarec.recommendation.ensemble.item_statistics import acceptance_of

USERS, ITEMS = 400, 100


def acts(refusing: np.ndarray, seed: int = 0) -> Behavior:
    """Users who each take ten items, and refuse each of them with the chance of the item."""
    rng = np.random.default_rng(seed)
    taken = [rng.choice(ITEMS, 10, replace=False) for _ in range(USERS)]
    no = [rng.random(10) < refusing[items] for items in taken]
    kept, refused = (
        Histories.of_indexes([items[is_no == said] for items, is_no in zip(taken, no, strict=True)])
        for said in (False, True)
    )
    return Behavior(
        histories=kept,
        refused=refused,
        profiles=np.zeros((USERS, 0), np.float32),
        content=np.zeros((ITEMS, 0), np.float32),
        relevant_from=1.0,
        horizon=SHORT,
    )


def test_refusals_by_chance_say_nothing_of_an_item() -> None:
    for share in (0.1, 0.3):
        found = REFUSED_ITEM * acceptance_of(acts(np.full(ITEMS, share)))
        assert found.min() > -0.1  # and not -1: as much as friends or places say


def test_what_nearly_everybody_refuses_comes_last() -> None:
    chances = np.full(ITEMS, 0.2)
    chances[7] = 1.0
    found = REFUSED_ITEM * acceptance_of(acts(chances))
    assert found[7] < -5.0
    assert np.delete(found, 7).min() > -0.5


def test_items_that_differ_are_told_apart() -> None:
    chances = np.where(np.arange(ITEMS) < 50, 0.05, 0.5)
    found = REFUSED_ITEM * acceptance_of(acts(chances))
    right = 4.0 * np.log(0.5 / (1.0 - chances.mean()))
    assert abs(found[50:].mean() - right) < 0.4
    assert found[:50].min() > -0.4


def test_where_nobody_refused_or_nobody_kept_nothing_is_said() -> None:
    for share in (0.0, 1.0):
        assert not acceptance_of(acts(np.full(ITEMS, share))).any()

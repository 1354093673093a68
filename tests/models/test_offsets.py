"""Offsets of items and users are those that made the ratings."""

import numpy as np
import pytest

from metarec.features.histories import Histories
from metarec.models.offsets import Offsets

USERS, ITEMS, EACH = 80, 30, 15


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(4)
    items = np.concatenate([rng.permutation(ITEMS)[:EACH] for _ in range(USERS)])
    of_user, of_item = rng.normal(0, 1, USERS), rng.normal(0, 1, ITEMS)
    values = 3 + np.repeat(of_user, EACH) + of_item[items]
    histories = Histories(
        offsets=np.arange(0, USERS * EACH + 1, EACH), items=items, values=values.astype(np.float32)
    )
    return histories, of_user, of_item


def found(histories, *, unit=1.0, damping=0.0, weights=None):
    return Offsets.of(
        histories,
        ITEMS,
        item_damping=damping,
        user_damping=damping,
        rounds=10,
        unit=unit,
        weights=weights,
    )


@pytest.mark.parametrize("unit", [1.0, 2.0])
def test_offsets_are_those_that_made_the_ratings(made, unit):
    histories, of_user, of_item = made
    offsets = found(histories, unit=unit)
    assert np.corrcoef(offsets.items, of_item)[0, 1] > 0.99
    assert np.corrcoef(offsets.users(histories), of_user)[0, 1] > 0.99
    said = offsets.mean + unit * (
        offsets.items[histories.items] + offsets.users(histories)[histories.owners]
    )
    assert said == pytest.approx(histories.values, abs=0.15)
    assert offsets.residuals(histories) * unit == pytest.approx(histories.values - said, abs=1e-5)


def test_damping_pulls_offsets_towards_zero_and_nothing_is_known_of_nobody(made):
    histories, _, _ = made
    free, pulled = found(histories), found(histories, damping=10.0)
    assert np.abs(pulled.items).sum() < 0.9 * np.abs(free.items).sum()
    nobody = Histories.of_indexes([np.zeros(0, np.int64)])
    assert pulled.users(nobody).tolist() == [0.0]


def test_an_event_that_weighs_nothing_says_nothing_of_its_item(made):
    histories, _, _ = made
    weights = np.ones(len(histories.items))
    weights[histories.items == 3] = 0.0
    assert found(histories, damping=1.0, weights=weights).items[3] == 0.0

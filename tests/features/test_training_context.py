"""What users took under the circumstances of one of their acts, beside a literal count."""

from __future__ import annotations

import numpy as np

from context_world import context_world
from metarec.data.places import home_of
from metarec.features.histories import Histories
from metarec.features.training_context import TrainingContext


def test_what_was_taken_then_is_counted_for_the_users_asked_alone() -> None:
    data = context_world()
    frame = data.interactions.frame
    ids = frame["user_id"].unique(maintain_order=True).to_list()
    context = TrainingContext.of(data, data.items, ids)
    asked = Histories.of_indexes(
        [np.unique(context.acts.items[context.acts.owners == user])[:5] for user in range(len(ids))]
    )
    acts, users = context.asked_acts(asked), np.array([7, 3, 40])
    found = context.taken_then(users, asked, acts)
    for row, user in enumerate(users):
        own = np.flatnonzero(context.acts.owners == user)
        wanted = asked.items[asked.owners == user]
        then = context.acts.codes[acts[user]]
        taken = [i for i in own if (context.acts.codes[i] == then).all()]
        assert acts[user] in own
        items = {int(context.acts.items[i]) for i in taken} & set(wanted.tolist())
        assert set(np.flatnonzero(found[row]).tolist()) == items
        assert items


def test_a_home_is_a_pair_of_degrees_that_can_be() -> None:
    homes = home_of(
        [
            {"latitude": "52.5", "longitude": 13},
            {"latitude": 95.0, "longitude": 13.0},
            {"latitude": 52.5},
            {"latitude": "north", "longitude": 13.0},
            {},
        ]
    )
    np.testing.assert_array_equal(homes[0], [52.5, 13.0])
    assert np.isnan(homes[1:]).all()

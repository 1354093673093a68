from __future__ import annotations

import numpy as np
import pytest

from metarec.data.cold_users import Horizon
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.cold_items.config import ColdItemsConfig
from metarec.models.cold_items.reorder import NewItemPlaces

GROUPS, EACH, NEW = 4, 20, 3
"""Groups of items, items of each that users have met, and of each that nobody has."""
N_MET = GROUPS * EACH


def world(each: int = EACH) -> tuple[Behavior, np.ndarray]:
    """Users like one group each; the last items of the catalog, `NEW` of each group, are met by
    nobody.
    """
    rng = np.random.default_rng(0)
    group_of = np.concatenate(
        [np.repeat(np.arange(GROUPS), each), np.repeat(np.arange(GROUPS), NEW)]
    )
    content = np.eye(GROUPS, dtype=np.float32)[group_of]
    text = (
        content @ rng.standard_normal((GROUPS, 12)) + 0.1 * rng.standard_normal((len(content), 12))
    ).astype(np.float16)
    users = 80
    taken = [user % GROUPS * each + rng.permutation(each)[:10] for user in range(users)]
    histories = Histories(
        offsets=10 * np.arange(users + 1),
        items=np.concatenate(taken),
        values=np.ones(10 * users, np.float32),
    )
    return Behavior(
        histories=histories,
        profiles=np.zeros((users, 0), np.float32),
        content=content,
        relevant_from=0.0,
        horizon=Horizon(pool=5, min_events=8, support_sizes=(0, 1, 5)),
    ), text


@pytest.fixture(scope="module")
def places() -> NewItemPlaces:
    behavior, text = world()
    fitted = NewItemPlaces.fit(behavior, text, np.random.default_rng(0))
    assert fitted is not None
    return fitted


def users_of(*groups: int) -> Histories:
    """A user for each group, who took three of its items."""
    return Histories.of_indexes([EACH * group + np.arange(3) for group in groups])


def test_who_likes_a_group_is_given_its_new_items_first_and_nothing_else_moves(places):
    before = (
        np.random.default_rng(1).standard_normal((GROUPS, N_MET + GROUPS * NEW)).astype(np.float32)
    )
    after = before.copy()
    places.reorder(after, users_of(*range(GROUPS)))
    np.testing.assert_array_equal(after[:, :N_MET], before[:, :N_MET])
    np.testing.assert_array_equal(
        np.sort(after[:, N_MET:], axis=1), np.sort(before[:, N_MET:], axis=1)
    )
    best = np.argsort(-after[:, N_MET:], axis=1)[:, :NEW]
    np.testing.assert_array_equal(best // NEW, np.arange(GROUPS)[:, None].repeat(NEW, axis=1))


def test_the_part_is_what_dealing_adds(places):
    before = np.random.default_rng(2).standard_normal((2, N_MET + GROUPS * NEW)).astype(np.float32)
    after = before.copy()
    places.reorder(after, users_of(0, 3))
    added = places.score_component(before, users_of(0, 3))
    np.testing.assert_allclose(before + added, after, atol=1e-6)
    assert np.abs(added[:, N_MET:]).max() > 0.0


def test_items_added_later_are_given_places_too_and_a_file_keeps_all_of_it(places):
    content = np.concatenate([places.content, np.eye(GROUPS, dtype=np.float32)[[1, 1]]])
    text = np.concatenate([places.text, places.text[[EACH, EACH]]])  # worded like items of group 1
    grown = places.with_content(content, text)
    scores = np.random.default_rng(3).standard_normal((1, len(content))).astype(np.float32)
    again, reordered = scores.copy(), scores.copy()
    known = Histories.of_indexes(
        [np.array([EACH, EACH + 1, len(content) - 1])]
    )  # one of them has been met already
    grown.reorder(reordered, known)
    assert set(np.argsort(-reordered[0, N_MET:])[: NEW + 2]) == {
        NEW,
        NEW + 1,
        NEW + 2,
        GROUPS * NEW,
        GROUPS * NEW + 1,
    }
    NewItemPlaces.from_arrays(grown.arrays(), content, text).reorder(again, known)
    np.testing.assert_array_equal(again, reordered)


def test_too_few_items_teach_nothing():
    behavior, text = world(each=8 * ColdItemsConfig().min_likers // GROUPS - 1)
    assert NewItemPlaces.fit(behavior, text, np.random.default_rng(0)) is None


def test_a_catalog_without_new_items_is_left_as_it_is(places):
    met = places.from_arrays(
        {**places.arrays(), "rows": np.zeros(0, np.int64)}, places.content, places.text
    )
    scores = np.random.default_rng(4).standard_normal((1, len(places.content))).astype(np.float32)
    reordered = scores.copy()
    met.reorder(reordered, users_of(2))
    np.testing.assert_array_equal(reordered, scores)
    assert not met.is_needed

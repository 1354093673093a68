"""What item-to-item models count by blocks is what the plain product gives; what is too much is cut
and told.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from metarec.data.cold_users import Horizon
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models import gram, ridge_rows
from metarec.models.ease.model import Ease
from metarec.models.item_knn import ItemKnn
from metarec.models.sparse_rows import strongest
from metarec.models.support_ridge import dual as dual_ridge
from metarec.models.support_ridge import model as support_ridge
from metarec.models.support_ridge.model import SupportRidge

USERS, ITEMS = 60, 40


def world(longest: int = 15) -> Behavior:
    rng = np.random.default_rng(0)
    taste = rng.integers(0, 4, USERS)
    histories = Histories.of_indexes(
        [
            np.unique((rng.integers(0, ITEMS // 4, rng.integers(6, longest)) * 4 + own) % ITEMS)
            for own in taste
        ]
    )
    return Behavior(
        histories=histories,
        profiles=np.zeros((USERS, 0), np.float32),
        content=np.zeros((ITEMS, 0), np.float32),
        relevant_from=0.0,
        horizon=Horizon(pool=4, min_events=6, support_sizes=(0, 1, 4)),
    )


def test_blocks_of_the_gram_matrix_are_the_rows_of_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = world().whole.matrix(ITEMS)
    monkeypatch.setattr(gram, "BLOCK_ENTRIES", 200)
    blocks = list(gram.gram_blocks(events))
    assert len(blocks) > 5
    assert [start for start, _ in blocks] == list(
        np.cumsum([0, *(block.shape[0] for _, block in blocks)])[:-1]
    )
    whole = sp.vstack([block for _, block in blocks])
    assert (whole != (events.T @ events).tocsr()).nnz == 0


@pytest.mark.parametrize("model", [ItemKnn, Ease])
def test_models_fitted_by_blocks_are_the_same_to_the_bit(
    model: type[ItemKnn] | type[Ease], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = model.fit(world(), np.random.default_rng(0)).arrays()
    monkeypatch.setattr(gram, "BLOCK_ENTRIES", 200)
    blocks = model.fit(world(), np.random.default_rng(0)).arrays()
    for name, array in whole.items():
        np.testing.assert_array_equal(blocks[name], array)


@pytest.mark.parametrize("model", [ItemKnn, Ease])
def test_too_many_pairs_leave_out_the_oldest_events_of_the_longest_histories_and_say_so(
    model: type[ItemKnn] | type[Ease], monkeypatch: pytest.MonkeyPatch
) -> None:
    behavior = world()
    assert not model.fit(behavior, np.random.default_rng(0)).note
    pairs = (behavior.whole.lengths**2).sum()
    monkeypatch.setattr(gram, "MAX_PAIRS", int(0.7 * pairs))
    most = gram.longest_compared(behavior.whole.lengths)
    compared = gram.newest(behavior.whole, behavior.whole.matrix(ITEMS))
    kept = np.diff(compared.indptr)
    assert (kept == np.minimum(behavior.whole.lengths, most)).all()
    assert (
        (kept**2).sum() <= 0.7 * pairs < (np.minimum(behavior.whole.lengths, most + 1) ** 2).sum()
    )
    longest = int(behavior.whole.lengths.argmax())
    own = behavior.whole.users(np.array([longest])).items
    np.testing.assert_array_equal(compared[[longest]].indices, own[-most:])
    fitted = model.fit(behavior, np.random.default_rng(0))
    left = int((behavior.whole.lengths - kept).sum())
    assert f"{left:,} oldest events" in fitted.note
    assert model.from_arrays(fitted.arrays()).note == fitted.note


def test_fewer_entries_are_kept_where_items_are_many() -> None:
    assert gram.kept_of(1000, 20_000) == 1000
    assert gram.kept_of(1000, 200_000) == 200
    assert gram.kept_of(1000, 10_000_000) == gram.MIN_KEPT
    assert gram.kept_of(20, 10_000_000) == 20


def test_the_strongest_are_those_of_a_stable_sort_equal_ones_included() -> None:
    matrix = sp.random(50, 80, density=0.4, random_state=0, format="csr")
    matrix.data = np.round(matrix.data, 1) - 0.5
    for row, kept in zip(matrix, strongest(matrix, 7), strict=True):
        order = np.sort(np.argsort(-np.abs(row.data), kind="stable")[:7])
        np.testing.assert_array_equal(kept.indices, row.indices[order])
        np.testing.assert_array_equal(kept.data, row.data[order].astype(np.float32))


def test_groups_of_similar_lengths_fill_the_room_and_hold_every_row_once() -> None:
    lengths = np.random.default_rng(0).integers(0, 30, 200)
    groups = list(ridge_rows.similar_lengths(lengths, 8, 400))
    assert sorted(np.concatenate(groups)) == sorted(np.flatnonzero(lengths))
    order = np.concatenate(groups)
    start = 0
    for group in groups:
        width = lengths[group].max()
        assert len(group) == 1 or len(group) * width * 8 <= 400
        following = order[start + len(group) : start + len(group) + 1]
        if len(following):
            assert (len(group) + 1) * lengths[following[0]] * 8 > 400
        start += len(group)


def test_the_ridge_solved_by_steps_without_a_dense_table_is_the_ridge_solved_at_one_blow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    behavior = world(longest=30)
    whole = SupportRidge.fit(behavior, np.random.default_rng(0))
    monkeypatch.setattr(dual_ridge, "MAX_SOLVED", 0)
    steps = SupportRidge.fit(behavior, np.random.default_rng(0))
    np.testing.assert_allclose(steps.weights, whole.weights, atol=1e-5)


def test_sparse_targets_heed_the_weights_of_users() -> None:
    rng = np.random.default_rng(0)
    targets = sp.random(30, 50, density=0.2, random_state=0, format="csr", dtype=np.float32)
    roots = np.sqrt(rng.uniform(0.5, 2.0, 30))
    mean = support_ridge._mean(targets, roots)
    left, strength, right = dual_ridge.leading(targets, mean, roots, 40, 0)
    centered = roots[:, None] * (targets.toarray() - mean)
    assert np.linalg.norm(left * strength @ right - centered) < 0.05 * np.linalg.norm(centered)


@pytest.mark.parametrize(("scale", "ridge"), [(1.0, 1e-2), (100.0, 10.0), (0.0, 1.0)])
def test_the_ridge_solved_by_steps_holds_however_strong_the_dense_columns(
    scale: float, ridge: float
) -> None:
    """With a weak penalty the weights were NaN, and the model said nothing."""
    rng = np.random.default_rng(0)
    block = (rng.normal(size=(3000, 40)) + 5.0) * scale
    items = sp.random(3000, 400, 0.02, format="csr", random_state=1, dtype=np.float64)
    targets = rng.normal(size=(3000, 5))

    by_steps = dual_ridge.dual_ridge(block, items, targets, None, ridge)

    both = np.concatenate([block, items.toarray()], axis=1)
    exact = np.linalg.solve(both.T @ both + ridge * np.eye(440), both.T @ targets)
    assert np.abs(by_steps - exact).max() < 0.05 * np.abs(exact).max()

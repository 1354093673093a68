"""What models do otherwise where a catalog is large gives the same numbers."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.als import Als, AlsConfig
from metarec.models.base import LARGE, by_columns
from metarec.models.sparse_rows import grown, sparse_answers
from metarec.models.support_ridge.model import SupportRidge

SUPPORT = Histories.of_indexes([np.array([4, 9, LARGE - 1]), np.zeros(0, int), np.array([9])])


def test_sums_of_rows_are_the_product() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.repeat([4, 9, 77, LARGE - 1], 50), rng.integers(0, LARGE, 200)
    shape = (LARGE, LARGE)
    matrix = sp.csr_matrix((rng.random(200, np.float32), (rows, columns)), shape=shape)
    weights = np.float32([0.5, 1.0, 2.0, 0.3])
    found = sparse_answers(SUPPORT, weights, matrix)
    wanted = SUPPORT.matrix(LARGE, weights) @ matrix
    assert found.has_canonical_format and found.nnz == wanted.nnz
    assert abs(found - wanted).max() < 1e-6
    larger = grown(matrix, LARGE + 3)
    assert larger.shape == (LARGE + 3, LARGE + 3)
    assert np.shares_memory(larger.data, matrix.data)
    assert abs(larger[:LARGE, :LARGE] - matrix).max() == 0.0


def test_factors_of_users_are_found_from_their_own_items() -> None:
    items = np.random.default_rng(0).normal(size=(LARGE, 8)).astype(np.float32)
    model = Als.of_factors(items, -np.inf, AlsConfig())
    few = SUPPORT.where(SUPPORT.items < 10)
    small = Als.of_factors(items[:10], -np.inf, AlsConfig())
    object.__setattr__(small, "gram", model.gram)
    np.testing.assert_allclose(model.fold_in(few), small.fold_in(few), atol=1e-6)


def test_users_without_any_events_are_folded_in_together() -> None:
    items = np.random.default_rng(0).normal(size=(LARGE, 8)).astype(np.float32)
    nobody = Histories.of_indexes([np.zeros(0, int)] * 3)
    assert not Als.of_factors(items, -np.inf, AlsConfig()).fold_in(nobody).any()


def test_new_items_of_a_large_catalog_are_no_targets_of_the_ridge() -> None:
    rng = np.random.default_rng(0)
    place = np.full(LARGE, -1, np.int64)
    place[[4, 9]] = [0, 1]
    directions = np.zeros((2, LARGE), np.float32)
    directions[:, [3, 9, LARGE - 1]] = rng.normal(size=(2, 3))
    model = SupportRidge(
        points=np.array([0, 2]),
        weights=rng.normal(size=(2, 1 + 2 + 4, 2)).astype(np.float32),
        directions=directions,
        mean=rng.random(LARGE, np.float32) * (directions[0] != 0),
        tastes=rng.normal(size=(2, 1)).astype(np.float32),
        place=place,
        relevant_from=-np.inf,
    )
    users, more = UserBatch(support=SUPPORT, profiles=np.zeros((3, 0), np.float32)), LARGE + 5
    items = np.array([3, 9, 100, LARGE - 1])
    before = model.evidence(users)
    np.testing.assert_allclose(model.evidence_of(users, items), before[:, items], atol=1e-6)
    larger = model.with_content(np.zeros((more, 0), np.float32), np.ones(more, np.float32))
    np.testing.assert_array_equal(larger.evidence(users)[:, :LARGE], before)
    assert not larger.evidence(users)[:, LARGE:].any()
    asked = np.append(items, LARGE + 2)
    found = larger.evidence_of(users, asked)
    np.testing.assert_allclose(found, larger.evidence(users)[:, asked], atol=1e-6)


def test_no_second_copy_of_what_is_known_of_each_item() -> None:
    rng = np.random.default_rng(0)
    items = rng.normal(size=(LARGE, 8)).astype(np.float32)
    assert np.shares_memory(by_columns(items), items)
    few = by_columns(items[:100])
    assert few.flags.c_contiguous and not np.shares_memory(few, items)
    np.testing.assert_array_equal(few, items[:100].T)
    model = Als.of_factors(items, -np.inf, AlsConfig())
    users = UserBatch(support=SUPPORT, profiles=np.zeros((3, 0), np.float32))
    some = np.array([3, 9, LARGE - 1])
    found = model.evidence(users)[:, some]
    np.testing.assert_allclose(found, model.evidence_of(users, some), atol=1e-6)

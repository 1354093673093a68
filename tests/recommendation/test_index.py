from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metarec.recommendation.index import ItemIndex, recall
from metarec.recommendation.rank import rank

pytest.importorskip("usearch")


def clustered(n_items: int, dim: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(40, dim))
    lengths = rng.uniform(0.5, 2.0, size=(n_items, 1))  # inner products, not angles, must decide
    return (
        (centres[rng.integers(40, size=n_items)] + 0.5 * rng.normal(size=(n_items, dim))) * lengths
    ).astype(np.float32)


def test_finds_the_largest_inner_products_and_survives_the_disk(tmp_path: Path) -> None:
    items, queries = clustered(3000, 16, 0), clustered(40, 16, 1)
    exact, _ = rank(queries @ items.T, 20, np.random.default_rng(0))
    index = ItemIndex.build(items, threads=1)
    found = index.search(queries, 100)
    assert recall(found, exact) >= 0.99
    index.save(tmp_path / "items.usearch")
    assert np.array_equal(ItemIndex.load(tmp_path / "items.usearch").search(queries, 100), found)


def test_a_few_items_of_great_length_do_not_hide_the_others() -> None:
    """Factors of popular items are many times as long as those of the rest."""
    rng = np.random.default_rng(2)
    items = clustered(6000, 64, 0) * rng.pareto(1.5, size=(6000, 1)).astype(np.float32)
    queries = clustered(40, 64, 1)
    exact, _ = rank(queries @ items.T, 10, np.random.default_rng(0))
    assert recall(ItemIndex.build(items, threads=1).search(queries, 100), exact) >= 0.99


def test_asks_for_more_than_there_is_and_for_another_width() -> None:
    index = ItemIndex.build(np.eye(4, dtype=np.float32), threads=1)
    assert sorted(index.search(np.ones((1, 4)), 9)[0].tolist()) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="width 3 asked of an index of width 4"):
        index.search(np.ones((1, 3)), 2)


def test_recall_by_hand() -> None:
    assert recall(np.array([[1, 2, -1]]), np.array([[2, 3]])) == 0.5
    assert recall(np.array([[1, 2]]), np.array([[2, -1]])) == 1.0

"""What reads alike: the nearest by text, by hand."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from metarec.models.markov import alike
from metarec.models.markov.alike import Alike


def test_chances_are_those_of_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "BLOCK", 4)
    rng = np.random.default_rng(0)
    text, counts = rng.normal(size=(12, 5)), rng.integers(1, 9, 12)
    found = Alike.of(text, counts, 3)
    assert found is not None
    unit = text / np.linalg.norm(text, axis=1, keepdims=True)
    cosines = unit @ unit.T - 9 * np.eye(12)
    expected = np.zeros((12, 12))
    for item, near in enumerate(np.argsort(-cosines, axis=1)[:, :3]):
        chance = np.exp(10.0 * cosines[item, near]) * counts[near] ** 0.5
        expected[item, near] = chance / chance.sum()
    assert found.chances(counts, 10.0, 0.5).toarray() == pytest.approx(expected, rel=1e-4)


def test_items_without_text_or_events_are_like_none() -> None:
    text = np.eye(6, 3, dtype=np.float32) + 0.1
    text[1] = 0.0
    counts = np.array([3, 3, 3, 0, 2, 2])
    found = Alike.of(text, counts, 100)
    assert found is not None
    chances = found.chances(counts, 10.0, 0.5).toarray()
    assert not chances[[1, 3]].any() and not chances[:, [1, 3]].any()
    assert chances[[0, 2, 4, 5]].sum(1) == pytest.approx(1.0)
    assert not np.diag(chances).any()


def test_one_item_with_text_is_like_none_and_of_many_the_ones_with_most_events_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Alike.of(np.array([[1.0], [0.0]]), np.array([2, 2]), 9) is None
    assert Alike.of(np.zeros((4, 0)), np.full(4, 2), 9) is None
    monkeypatch.setattr(alike, "MAX_COMPARED", 3)
    found = Alike.of(np.ones((5, 2)), np.array([1, 5, 4, 1, 3]), 9)
    assert found is not None
    assert found.compared.tolist() == [1, 2, 4]


def test_the_order_of_all_items_is_not_held_for_each_block():
    text = np.random.default_rng(0).standard_normal((4000, 4)).astype(np.float32)
    tracemalloc.start()
    found = Alike.of(text, np.ones(len(text), int), 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is not None
    assert peak < 4000 * 4000 * 8  # all orders at once

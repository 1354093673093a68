from __future__ import annotations

import numpy as np
import pytest

from metarec.evaluation.metrics import diversity
from metarec.recommendation.ordering.diversity import Diversity
from metarec.recommendation.ordering.rerank import Reranker, chosen

# Items 0 to 3 point one way, 4 and 5 another.
EMBEDDINGS = np.array([[1, 0], [2, 0.01], [1, 0.02], [3, 0.0], [0, 1], [0.01, 2]], dtype=np.float32)
CANDIDATES = np.array([[0, 1, 2, 3, 4, 5], [4, 5, 0, -1, -1, -1]])
SCORES = np.array([[5, 4.9, 4.8, 4.7, 4.0, 3.9], [2, 1, 0, -np.inf, -np.inf, -np.inf]])
RNG = np.random.default_rng(0)


def slates(weight: float, k: int = 3) -> list[list[int]]:
    reranker: Reranker = Diversity(embeddings=EMBEDDINGS, weight=weight)
    return chosen(CANDIDATES, reranker.rerank(CANDIDATES, SCORES, k, RNG)).tolist()


def test_no_weight_keeps_the_ranking() -> None:
    assert slates(0.0, k=6) == [[0, 1, 2, 3, 4, 5], [4, 5, 0, -1, -1, -1]]


def test_weight_brings_the_other_kind_in_and_keeps_the_best_first() -> None:
    assert slates(0.6) == [[0, 4, 1], [4, 0, 5]]
    assert slates(1.0)[0][:2] in ([0, 4], [0, 5])


def test_newness_is_to_the_whole_slate_and_not_to_its_last_item() -> None:
    axes = np.eye(3)[[0, 0, 1, 2]]
    reranker = Diversity(embeddings=axes, weight=0.7)
    assert reranker.rerank(
        np.arange(4)[None], np.array([[1.0, 0.9, 0.8, 0.0]]), 3, RNG
    ).tolist() == [[0, 2, 3]]


def test_more_weight_gives_more_diverse_slates() -> None:
    rng = np.random.default_rng(3)
    embeddings, scores = rng.normal(size=(60, 8)), -np.sort(-rng.normal(size=(20, 60)), axis=1)
    candidates = np.argsort(rng.normal(size=(20, 60)), axis=1)
    spread = []
    for weight in (0.0, 0.3, 0.7):
        positions = Diversity(embeddings=embeddings, weight=weight).rerank(
            candidates, scores, 10, RNG
        )
        spread.append(diversity(chosen(candidates, positions), 10, embeddings).mean())
    assert spread[0] < spread[1] < spread[2]


def test_weight_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"diversity must lie in \[0, 1\], got 1.5"):
        Diversity(embeddings=EMBEDDINGS, weight=1.5)

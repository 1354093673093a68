"""The same data and seed give the same model, twice in one process too."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from metarec import Recommender, Request
from metarec.models.few_shot.factors import collaborative_factors
from world import World


def test_a_model_of_all_parts_is_the_same_twice_in_one_process(rated_world: World) -> None:
    asked = [Request(history=rated_world.history("space", known)) for known in (0, 1, 3)]
    first, second = (
        Recommender.fit(rated_world.data, preset="small", encoder="none", seed=0) for _ in range(2)
    )
    np.testing.assert_array_equal(first.score(asked), second.score(asked))
    learned, again = first.ensemble.arrays(), second.ensemble.arrays()
    assert learned.keys() == again.keys()
    differ = [name for name, array in learned.items() if not np.array_equal(array, again[name])]
    assert not differ


def test_factors_are_the_leading_singular_vectors_of_small_and_large_matrices() -> None:
    rng = np.random.default_rng(0)
    for shape in ((30, 20), (20, 30), (300, 40), (400, 500)):
        matrix = sp.csr_matrix((rng.random(shape) < 0.2).astype(np.float32))
        counts = np.asarray((matrix != 0).sum(0)).ravel()
        scaled = matrix.toarray() / np.sqrt(counts + 20.0)
        _, singular, right = np.linalg.svd(scaled, full_matrices=False)
        found = collaborative_factors(matrix, 8, rng=rng)
        expected = right[:8].T * np.sqrt(singular[:8])
        np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)

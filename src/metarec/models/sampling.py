"""Sampling of the catalog with importance weights, for softmax losses over large catalogs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def stand_ins(
    n_items: int, always: Int[np.ndarray, "some"], others: int, rng: np.random.Generator
) -> tuple[Int[np.ndarray, "columns"], Float[np.ndarray, "columns"]]:
    """Sample the catalog: all items of `always`, then `others` of the remaining items, drawn
    uniformly without replacement and sorted. Also return the log of the importance weight of each,
    float32: 0 for `always`, the log of the number of items that a drawn one represents for the
    rest.
    """
    remaining = np.setdiff1d(np.arange(n_items), always)
    drawn = np.sort(rng.choice(remaining, min(others, len(remaining)), replace=False))
    stands_for = np.log(len(remaining) / len(drawn)) if len(drawn) else 0.0
    log_weights = np.concatenate([np.zeros(len(always)), np.full(len(drawn), stands_for)])
    return np.concatenate([always, drawn]).astype(np.int64), log_weights.astype(np.float32)

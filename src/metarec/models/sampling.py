"""A sample of the catalog that stands for the whole: what a softmax over a large catalog is worked
out on.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def stand_ins(
    n_items: int, always: Int[np.ndarray, "some"], others: int, rng: np.random.Generator
) -> tuple[Int[np.ndarray, "columns"], Float[np.ndarray, "columns"]]:
    """Items `always` there, then `others` of the rest, each with the same chance, in the order of
    the catalog; and the log of how many items each stands for, float32.
    """
    rest = np.setdiff1d(np.arange(n_items), always)
    drawn = np.sort(rng.choice(rest, min(others, len(rest)), replace=False))
    stands_for = np.log(len(rest) / len(drawn)) if len(drawn) else 0.0
    log_weights = np.concatenate([np.zeros(len(always)), np.full(len(drawn), stands_for)])
    return np.concatenate([always, drawn]).astype(np.int64), log_weights.astype(np.float32)

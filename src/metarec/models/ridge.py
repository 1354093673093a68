"""Multi-output ridge regression, and predictions from content for cold items.

Regressions on each user's own events are in `ridge_rows`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

FREE = 1e-6
"""Guard: near-zero penalty of the intercept, which is not to be shrunk."""


def ridge(
    inputs: Float[np.ndarray, "rows columns"],
    outputs: Float[np.ndarray, "rows targets"],
    penalty: float | Float[np.ndarray, "columns"],
) -> Float[np.ndarray, "columns targets"]:
    """The weights W that minimize |inputs W - outputs|^2 + penalty |W|^2.

    Args:
        penalty: one for all columns, or one for each column.
    """
    pulls = penalty if isinstance(penalty, np.ndarray) else inputs.dtype.type(penalty)
    gram = inputs.T @ inputs + np.diag(np.broadcast_to(pulls, inputs.shape[1:]))
    return np.asarray(np.linalg.solve(gram, inputs.T @ outputs))


def from_content(
    content: Float[np.ndarray, "items columns"],
    targets: Float[np.ndarray, "items targets"],
    penalty: float,
) -> Float[np.ndarray, "weights targets"]:
    """[C + 1, K] weights of a ridge regression from content, with an unpenalized intercept last, to
    the `targets` of items.
    """
    pulls = np.append(np.full(content.shape[1], penalty), FREE)
    return ridge(with_one(content), targets, pulls)


def with_one(content: Float[np.ndarray, "items columns"]) -> Float[np.ndarray, "items more"]:
    """[N, C + 1] content with a constant column appended."""
    return np.concatenate([content, np.ones((len(content), 1), content.dtype)], axis=1)

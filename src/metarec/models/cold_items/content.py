"""Content of cold items: centered text embeddings, and the likes that content predicts."""

from __future__ import annotations

import numpy as np

from metarec.features.behavior import Behavior


def read_content(content: np.ndarray, texts: np.ndarray | None, center: np.ndarray) -> np.ndarray:
    """[items, C or C + E] float32 content of each item, followed by its text embedding (unit
    length, minus `center`) where items have texts.
    """
    return (
        content if texts is None else np.concatenate([content, unit_rows(texts) - center], axis=1)
    )


def normalized(texts: np.ndarray, center: np.ndarray) -> np.ndarray:
    """[items, E] text embeddings centered at `center` and scaled to unit length."""
    return unit_rows(unit_rows(texts) - center)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to unit length; a row of zeros stays zero."""
    return np.asarray(
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), np.float32
    )


def expected_likes(behavior: Behavior, is_known: np.ndarray) -> np.ndarray:
    """[C + 1] ridge regression from content to the log of likes over the items in the mask
    `is_known`, intercept last; generalized cross-validation chooses the penalty.
    """
    likes = np.bincount(
        behavior.histories.items[behavior.is_liked(behavior.histories)],
        minlength=behavior.n_items,
    )
    rows = is_known & (np.bincount(behavior.histories.items, minlength=behavior.n_items) > 0)
    x, y = behavior.content[rows].astype(np.float64), np.log(likes[rows] + 0.5)
    mean_x, mean_y = x.mean(0), y.mean()
    x -= mean_x
    squares, turn = np.linalg.eigh(
        x.T @ x
    )  # equals a singular value decomposition of x, which takes many times as long
    squares = np.maximum(squares, 0.0)
    turned = x @ turn
    along = turned.T @ (y - mean_y)

    def misfit(penalty: float) -> float:
        residual = y - mean_y - turned @ (along / (squares + penalty))
        return float(
            (residual**2).mean()
            / (1 - ((squares / (squares + penalty)).sum() + 1) / max(len(y), 2)) ** 2
        )

    best = min(np.geomspace(0.1, 1000.0, 13), key=misfit)
    weights = turn @ (along / (squares + best))
    return np.append(weights, mean_y - mean_x @ weights).astype(np.float32)


def with_expected(content: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """[items, C + 1] content, with the expected log of likes as the last column."""
    return np.concatenate([content, content @ expected[:-1, None] + expected[-1]], axis=1).astype(
        np.float32
    )

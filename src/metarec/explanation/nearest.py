"""Items of the history that are most similar to the recommended one, by the model's item
embeddings.

They are shown as similar items, not as causes: similarity is no proof of influence, and
`faithfulness` measures how far the two agree.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from metarec.explanation.relative_score import Explained, columns_of
from metarec.recommendation.slate import Request


class Embedded(Explained, Protocol):
    """A model with one embedding per item."""

    @property
    def item_embeddings(self) -> np.ndarray:
        """Float [N, D], in vocabulary order."""


def item_similarities(model: Embedded, request: Request, item_id: str) -> np.ndarray:
    """[L] cosine in [-1, 1] of each event's item with `item_id`; 0 where either embedding is
    zero.
    """
    item_row = int(columns_of(model, [item_id])[0])
    events = columns_of(model, [str(event[0]) for event in request.history])
    vectors = np.asarray(model.item_embeddings)[np.concatenate([[item_row], events])].astype(
        np.float64
    )
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return np.asarray(unit[1:] @ unit[0])


def nearest(
    model: Embedded, request: Request, item_id: str, *, k: int = 3
) -> list[tuple[int, float]]:
    """Return (position in the history, cosine) of the events most similar to the item, best
    first.
    """
    cosines = item_similarities(model, request, item_id)
    return [(int(row), float(cosines[row])) for row in np.argsort(-cosines, kind="stable")[:k]]

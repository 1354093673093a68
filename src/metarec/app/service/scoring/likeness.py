"""Similarity of items: by embeddings and texts, or by the users they have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from metarec.recommender import Recommender

_ROWS = 8192
"""Rows converted to float32 at a time: text embeddings are stored in 16 bits, and a float32 copy of
all would take as much memory as a model.
"""


Likeness = Literal["taste", "also_viewed", "bought_together"]
"""Measure of similarity: embeddings and texts, common users by views, or by target events."""


@dataclass(frozen=True)
class ItemLikeness:
    """Similarities of a model's items; each measure is prepared on first use."""

    model: Recommender

    @cached_property
    def _lengths(self) -> np.ndarray:
        return _lengths(self.model.item_embeddings)

    @cached_property
    def _text_lengths(self) -> np.ndarray:
        return _lengths(self.model.text)

    @cached_property
    def _met_together(self) -> dict[str, csr_matrix]:
        """Measure -> [users, N] matrix with 1 / sqrt(users of the item) where a user has such an
        event on the item, so that the product of two columns is the cosine of their users.
        `bought_together` counts target events, `also_viewed` other positive ones.
        """
        events = self.model.training.interactions
        acts = events.frame.with_columns(events.acts().select("sign", "is_target"))
        acts = acts.filter(pl.col("sign") > 0)
        return {
            "also_viewed": self._users_in_common(acts.filter(~pl.col("is_target"))),
            "bought_together": self._users_in_common(acts.filter(pl.col("is_target"))),
        }

    def _users_in_common(self, events: pl.DataFrame) -> csr_matrix:
        pairs = events.select("user_id", "item_id").unique()
        users = pairs["user_id"].rank("dense").to_numpy().astype(np.int64) - 1
        items = self.model.vocabulary.indexes(pairs["item_id"])
        shape = (int(users.max()) + 1 if len(users) else 0, len(self.model.vocabulary))
        interactions = csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=shape)
        norm = 1.0 / np.sqrt(np.maximum(np.asarray(interactions.sum(0)).ravel(), 1.0))
        return csr_matrix(interactions.multiply(norm[None, :]))

    def closeness(self, row: int, by: Likeness) -> np.ndarray:
        """[N] similarity of each item to the one at `row`. For `taste` the cosine of the item
        embeddings, where the item has a text the mean of it and the cosine of the texts; else the
        cosine of the items' users, -inf where they have none in common.
        """
        if by != "taste":
            interactions = self._met_together[by]
            together = np.asarray(
                (interactions.T @ interactions[:, [row]]).todense(), np.float32
            ).ravel()
            together[together <= 0.0] = -np.inf
            return together
        closeness, text = _cosines(self.model.item_embeddings, self._lengths, row), self.model.text
        if text.shape[1] and text[row].any():
            closeness += _cosines(text, self._text_lengths, row)
            closeness /= 2.0
        return closeness


def _pieces(vectors: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows [n, d] as float32 in chunks, so that no copy of all is held."""
    for start in range(0, len(vectors), _ROWS):
        yield np.asarray(vectors[start : start + _ROWS], dtype=np.float32)


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """[n] float32 Euclidean norm of each row, at least 1e-12."""
    lengths = [np.linalg.norm(piece, axis=1) for piece in _pieces(vectors)]
    return np.asarray(np.maximum(np.concatenate([np.zeros(0, np.float32), *lengths]), 1e-12))


def _cosines(vectors: np.ndarray, lengths: np.ndarray, row: int) -> np.ndarray:
    """[n] cosine of each row with the one at `row`."""
    vector = np.asarray(vectors[row], np.float32) / lengths[row]
    cosines = np.empty(len(lengths), np.float32)
    start = 0
    for piece in _pieces(vectors):
        np.matmul(piece, vector, out=cosines[start : start + len(piece)])
        start += len(piece)
    cosines /= lengths
    return cosines

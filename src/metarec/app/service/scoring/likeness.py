"""Which items are alike: by taste and text, or met by the same users."""

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
"""Vectors compared at once: texts are kept in 16 bits, and widening all of them would take as much
memory as a model.
"""


Likeness = Literal["taste", "also_viewed", "bought_together"]
"""By what items are alike."""


@dataclass(frozen=True)
class ItemLikeness:
    """How alike the items of a model are; each way is counted when it is first asked for."""

    model: Recommender

    @cached_property
    def _lengths(self) -> np.ndarray:
        return _lengths(self.model.item_embeddings)

    @cached_property
    def _text_lengths(self) -> np.ndarray:
        return _lengths(self.model.text)

    @cached_property
    def _met_together(self) -> dict[str, csr_matrix]:
        """Way -> [N, N] users who met both items that way, over the geometric mean of those who met
        each: buying together, and viewing where nothing was bought.
        """
        events = self.model.training.interactions
        said = events.frame.with_columns(events.acts().select("sign", "is_target"))
        said = said.filter(pl.col("sign") > 0)
        return {
            "also_viewed": self._users_in_common(said.filter(~pl.col("is_target"))),
            "bought_together": self._users_in_common(said.filter(pl.col("is_target"))),
        }

    def _users_in_common(self, events: pl.DataFrame) -> csr_matrix:
        pairs = events.select("user_id", "item_id").unique()
        users = pairs["user_id"].rank("dense").to_numpy().astype(np.int64) - 1
        items = self.model.vocabulary.indexes(pairs["item_id"])
        shape = (int(users.max()) + 1 if len(users) else 0, len(self.model.vocabulary))
        met = csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=shape)
        norm = 1.0 / np.sqrt(np.maximum(np.asarray(met.sum(0)).ravel(), 1.0))
        return csr_matrix(met.multiply(norm[None, :]))

    def closeness(self, row: int, by: Likeness) -> np.ndarray:
        """[N] how close each item is to the one at `row`; not above 0 where it is not at all."""
        if by != "taste":
            met = self._met_together[by]
            together = np.asarray((met.T @ met[:, [row]]).todense(), np.float32).ravel()
            together[together <= 0.0] = -np.inf
            return together
        closeness, text = _cosines(self.model.item_embeddings, self._lengths, row), self.model.text
        if text.shape[1] and text[row].any():
            closeness += _cosines(text, self._text_lengths, row)
            closeness /= 2.0
        return closeness


def _pieces(vectors: np.ndarray) -> Iterator[np.ndarray]:
    """Rows [n, d] as float32, some at a time, so that no second copy of all is held."""
    for start in range(0, len(vectors), _ROWS):
        yield np.asarray(vectors[start : start + _ROWS], dtype=np.float32)


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """[n] float32 length of each row, never 0."""
    found = [np.linalg.norm(piece, axis=1) for piece in _pieces(vectors)]
    return np.asarray(np.maximum(np.concatenate([np.zeros(0, np.float32), *found]), 1e-12))


def _cosines(vectors: np.ndarray, lengths: np.ndarray, row: int) -> np.ndarray:
    """[n] cosine of each row with one of them."""
    asked = np.asarray(vectors[row], np.float32) / lengths[row]
    found = np.empty(len(lengths), np.float32)
    start = 0
    for piece in _pieces(vectors):
        np.matmul(piece, asked, out=found[start : start + len(piece)])
        start += len(piece)
    found /= lengths
    return found

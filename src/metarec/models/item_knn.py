"""Items that users choose together: item-to-item similarity, the plainest collaborative evidence.

Sarwar et al. 2001, "Item-based collaborative filtering recommendation algorithms", with shrinkage;
kept sparse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.base import EVENTS, LARGE, event_weights
from metarec.models.config import ModelConfig, setting
from metarec.models.gram import Choices, gram_blocks, kept_of, note_of


@dataclass(frozen=True, kw_only=True)
class ItemKnnConfig(ModelConfig):
    """Hyper-parameters of item k-NN."""

    shrinkage: float = setting(20.0, least=0, tried=(1, 200))
    """Added to the geometric mean of two items' event counts (0 or more): rare pairs count less.
    """
    neighbors: int = setting(1000, least=1, tried=(50, 2000))
    """Most similar items kept for each item (1 or more)."""


@dataclass(frozen=True, kw_only=True)
class ItemKnn:
    """Evidence = sum of similarities to the items of the support."""

    similarity: sp.csr_matrix
    """[N, N], row = the item seen, column = the item it speaks for."""
    relevant_from: float
    config: ItemKnnConfig = ItemKnnConfig()
    reads: ClassVar[frozenset[str]] = EVENTS
    left_out: int = 0
    """Oldest events of the longest histories that were compared with no others, see
    `gram.newest`.
    """

    @property
    def note(self) -> str:
        """What was thinned; empty where nothing was."""
        return note_of("item k-NN", self.left_out)

    @classmethod
    def fit(
        cls, behaviour: Behaviour, rng: np.random.Generator, config: ItemKnnConfig | None = None
    ) -> ItemKnn:
        """Cosine of the items' event vectors with shrinkage."""
        config, choices = config or cls.config, Choices.of(behaviour)
        norms = np.sqrt(np.asarray(choices.events.power(2).sum(0)).ravel())
        most = kept_of(config.neighbors, int((norms > 0).sum()))
        blocks = []
        for start, together in gram_blocks(choices.compared):
            rows, lengths = np.arange(start, start + together.shape[0]), np.diff(together.indptr)
            scale = norms[together.indices]
            scale *= np.repeat(norms[rows], lengths)
            scale += config.shrinkage
            together.data /= scale
            together.data[together.indices == np.repeat(rows, lengths)] = 0.0
            together.eliminate_zeros()
            blocks.append(strongest(together, most))
        return cls(
            similarity=sp.vstack(blocks, format="csr"),
            relevant_from=behaviour.relevant_from,
            config=config,
            left_out=choices.left_out,
        )

    def thinned(self, neighbors: int) -> ItemKnn:
        """The same model with only so many neighbors of each item, as if fitted so."""
        config = replace(self.config, neighbors=neighbors)
        return replace(self, similarity=strongest(self.similarity, neighbors), config=config)

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> sp.csr_matrix:
        """[B, N], sparse."""
        weights = event_weights(users.support, self.relevant_from)
        return spoken_for(users.support, weights, self.similarity)

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> ItemKnn:
        """New items are known to nobody yet."""
        return replace(self, similarity=grown(self.similarity, len(content)))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Rows of the similarity and the liking threshold."""
        return {
            **sparse_arrays(self.similarity),
            "relevant_from": np.array([self.relevant_from], np.float32),
            **({"left_out": np.array([self.left_out], np.int64)} if self.left_out else {}),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: ItemKnnConfig | None = None
    ) -> ItemKnn:
        """From `arrays()`."""
        return cls(
            similarity=sparse_from(arrays),
            relevant_from=float(arrays["relevant_from"][0]),
            config=config or cls.config,
            left_out=int(arrays["left_out"][0]) if "left_out" in arrays else 0,
        )


def spoken_for(support: Histories, weights: np.ndarray, matrix: sp.csr_matrix) -> sp.csr_matrix:
    """[B, N] the rows of `matrix` [N, N] of each user's events, times the `weights` [E], summed up.

    SciPy's product clears an array as wide as the catalog first, which of a large one costs more
    than the sum.
    """
    n_items = matrix.shape[1]
    if n_items < LARGE:
        return support.matrix(n_items, weights) @ matrix
    first = matrix.indptr[support.items]
    lengths = matrix.indptr[support.items + 1] - first
    before = np.repeat(np.cumsum(lengths) - lengths, lengths)
    at = np.repeat(first, lengths) + np.arange(len(before)) - before
    data = np.repeat(weights.astype(np.float32), lengths) * matrix.data[at]
    owners = np.repeat(support.owners, lengths)
    return sp.csr_matrix((data, (owners, matrix.indices[at])), shape=(len(support), n_items))


def strongest(matrix: sp.csr_matrix, most: int) -> sp.csr_matrix:
    """Keep the `most` largest entries by size of each row, of equal ones those of the first
    columns.
    """
    lengths = np.diff(matrix.indptr)
    if lengths.max(initial=0) <= most:
        return matrix.astype(np.float32)
    size, kept = np.abs(matrix.data), np.ones(matrix.nnz, bool)
    for row in np.flatnonzero(lengths > most):
        inside = slice(matrix.indptr[row], matrix.indptr[row + 1])
        own = size[inside]
        least = np.partition(own, len(own) - most)[len(own) - most]
        larger, equal = own > least, np.flatnonzero(own == least)
        wanted = most - int(larger.sum())
        if len(equal) > wanted:
            equal = equal[np.argsort(matrix.indices[inside][equal])[:wanted]]
        larger[equal] = True
        kept[inside] = larger
    ends = np.concatenate([[0], np.cumsum(np.minimum(lengths, most))])
    return sp.csr_matrix(
        (matrix.data[kept].astype(np.float32), matrix.indices[kept], ends), shape=matrix.shape
    )


def grown(matrix: sp.csr_matrix, n_items: int) -> sp.csr_matrix:
    """The same matrix with empty rows and columns up to `n_items`."""
    if matrix.shape == (n_items, n_items):
        return matrix
    if n_items >= LARGE:  # what is known of others is shared
        ends = np.append(matrix.indptr, np.repeat(matrix.indptr[-1:], n_items - matrix.shape[0]))
        return sp.csr_matrix((matrix.data, matrix.indices, ends), shape=(n_items, n_items))
    larger = matrix.copy()
    larger.resize((n_items, n_items))
    return larger


def sparse_arrays(matrix: sp.csr_matrix) -> dict[str, np.ndarray]:
    """A sparse matrix as plain arrays."""
    return {
        "data": matrix.data.astype(np.float32),
        "indices": matrix.indices.astype(np.int32),
        "indptr": matrix.indptr.astype(np.int64),
        "shape": np.int64(matrix.shape),
    }


def sparse_from(arrays: Mapping[str, np.ndarray]) -> sp.csr_matrix:
    """The matrix that `sparse_arrays` described."""
    rows, columns = (int(n) for n in arrays["shape"])
    return sp.csr_matrix(
        (arrays["data"], arrays["indices"], arrays["indptr"]), shape=(rows, columns)
    )

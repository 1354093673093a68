"""Item k-NN: item-to-item similarity by the users who chose both items.

Sarwar et al. 2001, "Item-based collaborative filtering recommendation algorithms", with shrinkage
and a sparse similarity matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from metarec.features.behavior import Behavior
from metarec.features.users import UserBatch
from metarec.models.base import EVENTS, EventsConfig, Evidence, event_weights
from metarec.models.config import setting
from metarec.models.gram import Choices, gram_blocks, kept_of, note_of
from metarec.models.sparse_rows import (
    answers,
    grown,
    plain_where_full,
    sparse_arrays,
    sparse_from,
    strongest,
)


@dataclass(frozen=True, kw_only=True)
class ItemKnnConfig(EventsConfig):
    """Hyper-parameters of item k-NN."""

    shrinkage: float = setting(20.0, at_least=0, search_range=(1, 200))
    """Added to the geometric mean of two items' event counts (0 or more), so that rare pairs count
    less.
    """
    neighbors: int = setting(1000, at_least=1, search_range=(50, 2000))
    """Most similar items kept for each item (1 or more)."""


@dataclass(frozen=True, kw_only=True)
class ItemKnn:
    """Evidence = weighted sum of the similarities to the items of the support."""

    similarity: sp.csr_matrix
    """[N, N], row = item of the support, column = item that is scored."""
    relevant_from: float
    """Value from which an event counts as liked."""
    config: ItemKnnConfig = ItemKnnConfig()
    reads: ClassVar[frozenset[str]] = EVENTS
    left_out: int = 0
    """Number of events, the oldest of the longest histories, that are not compared with others; see
    `gram.newest`.
    """

    @property
    def note(self) -> str:
        """Note on events that were left out; empty if there are none."""
        return note_of("item k-NN", self.left_out)

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: ItemKnnConfig | None = None
    ) -> ItemKnn:
        """Compute cosines of the items' event vectors, with shrinkage."""
        config = config or cls.config
        choices = Choices.of(behavior, config)
        norms = np.sqrt(np.asarray(choices.events.power(2).sum(0)).ravel())
        n_kept = kept_of(config.neighbors, int((norms > 0).sum()))
        blocks = []
        for start, together in gram_blocks(choices.compared):
            rows, lengths = np.arange(start, start + together.shape[0]), np.diff(together.indptr)
            scale = norms[together.indices]
            scale *= np.repeat(norms[rows], lengths)
            scale += config.shrinkage
            together.data /= scale
            together.data[together.indices == np.repeat(rows, lengths)] = 0.0
            together.eliminate_zeros()
            blocks.append(strongest(together, n_kept))
        return cls(
            similarity=sp.vstack(blocks, format="csr"),
            relevant_from=behavior.relevant_from,
            config=config,
            left_out=choices.left_out,
        )

    def thinned(self, neighbors: int) -> ItemKnn:
        """Return the model with only `neighbors` neighbors of each item, as if fitted with that
        number.
        """
        config = replace(self.config, neighbors=neighbors)
        return replace(self, similarity=strongest(self.similarity, neighbors), config=config)

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> Evidence:
        """[B, N] evidence for every item, sparse if few items have any."""
        weights = event_weights(users.support, self.relevant_from, self.config)
        return answers(users.support, weights, self._served, out)

    @cached_property
    def _served(self) -> sp.csr_matrix | np.ndarray:
        """The similarity, as a plain array where it is nearly full."""
        return plain_where_full(self.similarity)

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> ItemKnn:
        """Return the model for a larger catalog; new items have no neighbors."""
        return replace(self, similarity=grown(self.similarity, len(content)))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The similarity matrix and the threshold of liked values."""
        return {
            **sparse_arrays(self.similarity),
            "relevant_from": np.array([self.relevant_from], np.float32),
            **({"left_out": np.array([self.left_out], np.int64)} if self.left_out else {}),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: ItemKnnConfig | None = None
    ) -> ItemKnn:
        """Restore the model from `arrays()`."""
        return cls(
            similarity=sparse_from(arrays),
            relevant_from=float(arrays["relevant_from"][0]),
            config=config or cls.config,
            left_out=int(arrays["left_out"][0]) if "left_out" in arrays else 0,
        )

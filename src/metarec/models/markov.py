"""What people choose next: directed co-occurrence, the newest event speaking loudest.

A first-order Markov chain with a short window (Rendle et al. 2010 factorise the same counts);
silent where order carries no meaning, which the gate finds out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from metarec.features.behaviour import Behaviour
from metarec.features.users import UserBatch
from metarec.models.base import event_weights, training_weights
from metarec.models.item_knn import grown, sparse_arrays, sparse_from, strongest

WINDOW = 10
"""An event speaks for this many events that follow it."""
RECENCY = 0.8
"""Each step back in the support counts this much less; so does each step ahead in the window."""
SHRINK = 10.0
KEPT = 500


@dataclass(frozen=True, kw_only=True)
class Transitions:
    """Evidence = recency-weighted sum over the support of what tends to follow each event."""

    following: sp.csr_matrix
    """[N, N], row = the item seen, column = what follows it."""
    relevant_from: float

    @classmethod
    def fit(cls, behaviour: Behaviour, rng: np.random.Generator) -> Transitions:
        """Count what follows what within the window, divided by how often each side occurs."""
        histories, n_items = behaviour.whole, behaviour.n_items
        weights = training_weights(behaviour)
        counts = sp.csr_matrix((n_items, n_items), dtype=np.float32)
        for step in range(1, WINDOW + 1):
            same = histories.owners[:-step] == histories.owners[step:]
            first, then = histories.items[:-step][same], histories.items[step:][same]
            data = (RECENCY ** (step - 1) * weights[step:][same]).astype(np.float32)
            counts = counts + sp.csr_matrix((data, (first, then)), shape=(n_items, n_items))
        total = np.bincount(
            histories.items, behaviour.weights_of(histories.owners), n_items
        ).astype(np.float32)
        rows = np.repeat(np.arange(n_items), np.diff(counts.indptr))
        counts.data /= np.sqrt(total[rows] * total[counts.indices]) + SHRINK
        return cls(following=strongest(counts, KEPT), relevant_from=behaviour.relevant_from)

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> sp.csr_matrix:
        """[B, N], sparse."""
        support = users.support
        age = np.repeat(support.lengths, support.lengths) - 1 - support.positions
        weights = event_weights(support, self.relevant_from) * RECENCY**age
        return support.matrix(self.following.shape[0], weights) @ self.following

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Transitions:
        """New items follow nothing yet."""
        return replace(self, following=grown(self.following, len(content)))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The counts and the liking threshold."""
        return {
            **sparse_arrays(self.following),
            "relevant_from": np.array([self.relevant_from], np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Transitions:
        """From `arrays()`."""
        return cls(following=sparse_from(arrays), relevant_from=float(arrays["relevant_from"][0]))

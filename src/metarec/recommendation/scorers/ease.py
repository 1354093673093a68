"""Item-to-item weights that regress everyone's choices on each other.

Steck 2019, "Embarrassingly shallow autoencoders for sparse data", arXiv:1905.03375. Here over the most popular items
only (a dense solve is cubic), the weights then kept sparse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.recommendation.scorers.base import event_weights
from metarec.recommendation.scorers.neighbors import grown, sparse_arrays, sparse_from, strongest

REGULARISATION = 500.0
MOST_ITEMS = 8000
"""Dense weights are found among this many of the most popular items: 256 MB of float32."""
KEPT = 1000


@dataclass(frozen=True, kw_only=True)
class Ease:
    """Evidence = the support times the weights, cut at zero."""

    weights: sp.csr_matrix
    """[N, N], row = the item seen, column = the item it speaks for."""
    relevant_from: float

    @classmethod
    def fit(cls, behaviour: Behaviour, rng: np.random.Generator) -> Ease:  # noqa: ARG003  # nothing is drawn
        """Closed form: B = I - P diag(1 / diag P), P = (X'X + lambda I)^-1."""
        events = behaviour.histories.matrix(behaviour.n_items, event_weights(behaviour.histories, behaviour.relevant_from))
        counts = np.asarray(events.sum(0)).ravel()
        kept = np.sort(np.argsort(-counts, kind="stable")[:MOST_ITEMS])
        kept = kept[counts[kept] > 0]
        gram = torch.from_numpy((events[:, kept].T @ events[:, kept]).toarray())
        gram.diagonal().add_(REGULARISATION)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram)).numpy()
        weights = inverse / -np.diag(inverse)[None, :]
        np.fill_diagonal(weights, 0.0)
        rows, columns, data = _largest(weights, KEPT)
        sparse = sp.csr_matrix((data, (kept[rows], kept[columns])), shape=(behaviour.n_items, behaviour.n_items))
        return cls(weights=strongest(sparse, KEPT), relevant_from=behaviour.relevant_from)

    def evidence(self, support: Histories, profiles: np.ndarray) -> np.ndarray:  # noqa: ARG002  # profiles say nothing here
        """[B, N]."""
        weights = event_weights(support, self.relevant_from)
        scores = np.asarray((support.matrix(self.weights.shape[0], weights) @ self.weights).todense(), np.float32)
        return np.maximum(scores, 0.0, out=scores)

    def with_content(self, content: np.ndarray, popularity: np.ndarray) -> Ease:  # noqa: ARG002  # weights come from events alone
        """New items are known to nobody yet."""
        return replace(self, weights=grown(self.weights, len(content)))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The weights and the liking threshold."""
        return {**sparse_arrays(self.weights), "relevant_from": np.array([self.relevant_from], np.float32)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Ease:
        """From `arrays()`."""
        return cls(weights=sparse_from(arrays), relevant_from=float(arrays["relevant_from"][0]))


def _largest(dense: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and value of the `most` largest entries by size of each row of a dense matrix."""
    if dense.shape[1] <= most:
        rows, columns = np.nonzero(dense)
    else:
        columns = np.argpartition(-np.abs(dense), most, axis=1)[:, :most].ravel()
        rows = np.repeat(np.arange(len(dense)), most)
    return rows, columns, dense[rows, columns]

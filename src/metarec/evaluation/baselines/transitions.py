"""Counted transitions plus cosine: the simplest recommender that uses the order of events.

It is none of `metarec.models`: the Markov chain there is a regression on a user's whole history
with tuned constants; here pairs are counted, as in the sequential rules of Ludewig and Jannach 2018
(arXiv:1803.09587). The cosine is that of ItemKNN.

The score sums, over the support, the decayed count of followers within ten events divided by the
damped geometric mean of both items' counts, plus the cosine of ItemKNN; newer support events weigh
more. Constants are fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.schema import Vocabulary
from metarec.evaluation.baselines.table import TrainingTable
from metarec.evaluation.baselines.tuned import fitted
from metarec.models.item_knn import ItemKnn, ItemKnnConfig
from metarec.recommendation.slate import Request

WINDOW, DECAY, RECENCY, SHRINK, COSINE_SHRINK = 10, 0.8, 0.6, 10.0, 20.0


@dataclass(kw_only=True)
class TransitionsAndCosine:
    """Scores = recency-weighted support times (transitions + cosine)."""

    name: str = "Transitions+Cosine"
    table: TrainingTable | None = field(default=None, init=False)
    votes: sp.csr_matrix | None = field(default=None, init=False)
    """[N, N], row = the support item, column = the item that it scores."""

    def fit(
        self,
        train: Dataset,
        validation: list[ColdUser],  # noqa: ARG002  # unused: nothing is tuned
        rng: np.random.Generator,
    ) -> None:
        """Count transitions and compute cosines."""
        self.table = TrainingTable.of(train, 0)
        config = ItemKnnConfig(
            shrinkage=COSINE_SHRINK, neighbors=max(len(self.table.vocabulary), 1)
        )
        cosine = ItemKnn.fit(self.table.behavior_of(only_liked=False), rng, config).similarity
        self.votes = count_followers(self.table) + cosine

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return fitted(self.name, self.table).vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`, higher is better."""
        supports = [self._newest_first(request) for request in requests]
        ages = [np.arange(len(support)) for support in supports]
        offsets = np.concatenate([[0], np.cumsum([len(support) for support in supports])])
        recency = np.concatenate([*(RECENCY**age for age in ages), np.zeros(0)]).astype(np.float32)
        items = np.concatenate([*supports, np.zeros(0)]).astype(np.int64)
        shape = (len(requests), len(self.vocabulary))
        scores = sp.csr_matrix((recency, items, offsets), shape=shape) @ self.votes
        return np.asarray(scores.toarray(), np.float32)

    def _newest_first(self, request: Request) -> np.ndarray:
        """Return the known items of the history, each once, newest first."""
        items = self.vocabulary.indexes(str(event[0]) for event in reversed(request.history))
        _, first = np.unique(items, return_index=True)
        kept = items[np.sort(first)]
        return np.asarray(kept[kept >= 0])


def count_followers(table: TrainingTable) -> sp.csr_matrix:
    """Return [N, N] float32 damped counts of the items that follow each item."""
    rows, items = table.events.rows, table.events.items
    n_items = len(table.vocabulary)
    counts = sp.csr_matrix((n_items, n_items), dtype=np.float32)
    for step in range(1, WINDOW + 1):
        same = rows[:-step] == rows[step:]
        weights = np.full(int(same.sum()), DECAY ** (step - 1), np.float32)
        pairs = (items[:-step][same], items[step:][same])
        counts = counts + sp.csr_matrix((weights, pairs), shape=counts.shape)
    total = np.bincount(items, minlength=n_items).astype(np.float32)
    first = np.repeat(np.arange(n_items), np.diff(counts.indptr))
    counts.data /= np.sqrt(total[first] * total[counts.indices]) + np.float32(SHRINK)
    return counts

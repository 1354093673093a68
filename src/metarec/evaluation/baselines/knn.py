"""ItemKNN: what users who liked your items also liked.

Cosine between columns of the matrix of likes, damped for rare pairs (Sarwar et al. 2001; Deshpande
and Karypis 2004): `count(i, j) / (sqrt(count(i) count(j)) + shrink)`. Each item of the support
votes for its nearest neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_matrix

from metarec.evaluation.baselines.table import TrainingTable
from metarec.evaluation.baselines.tuned import ScoreAll, TunedRanker, Variant
from metarec.models.item_knn import strongest

EVERY = 0
"""Neighbours: no limit."""


def item_knn() -> TunedRanker:
    """Neighbours, shrinkage, and whether disliked items vote too, chosen on validation
    new users.
    """
    return TunedRanker(name="ItemKNN", variants=_variants)


def _variants(table: TrainingTable) -> Iterator[Variant]:
    together = count_together(table.events.liked)
    for shrink in (20.0, 100.0, 5.0):
        similarity = cosine(together, shrink)
        for neighbours in (200, 50, EVERY):
            votes = strongest(similarity, neighbours) if neighbours else similarity
            for voters in ("liked", "seen") if table.data.interactions.has_values else ("liked",):
                yield Variant(
                    settings={
                        "neighbours": neighbours or "all",
                        "shrink": shrink,
                        "voters": voters,
                    },
                    score_all=_voting(votes, voters),
                )


def _voting(votes: csr_matrix, voters: str) -> ScoreAll:
    return lambda support: (getattr(support, voters) @ votes).toarray()


def count_together(users: csr_matrix) -> csr_matrix:
    """How many users have both items, float32 `[N, N]`; the diagonal counts each item alone."""
    return (users.T @ users).tocsr()


def cosine(together: csr_matrix, shrink: float) -> csr_matrix:
    """Damped cosine of every pair that occurs, `[N, N]` in [0, 1), zero diagonal."""
    length = np.sqrt(together.diagonal())
    similarity = together.tocoo(copy=True)
    similarity.data = similarity.data / (
        length[similarity.row] * length[similarity.col] + np.float32(shrink)
    )
    similarity.data[similarity.row == similarity.col] = 0.0
    similarity.eliminate_zeros()
    return similarity.tocsr()

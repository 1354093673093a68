"""ItemKNN: `metarec.models.item_knn` learned from likes alone, its settings chosen on validation
users.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from metarec.evaluation.baselines.table import Events, TrainingTable
from metarec.evaluation.baselines.tuned import ScoreAll, TunedRanker, Variant
from metarec.models.base import dense
from metarec.models.item_knn import ItemKnn, ItemKnnConfig


def item_knn() -> TunedRanker:
    """Return ItemKNN; the number of neighbors, the shrinkage and whether disliked items vote too
    are chosen on validation users.
    """
    return TunedRanker(name="ItemKNN", variants=_variants)


def _variants(table: TrainingTable) -> Iterator[Variant]:
    every = len(table.vocabulary)
    for shrinkage in (20.0, 100.0, 5.0):
        config = ItemKnnConfig(shrinkage=shrinkage, neighbors=every)
        model = ItemKnn.fit(table.behavior, np.random.default_rng(0), config)
        for neighbors in (200, 50, every):
            thinned = model.thinned(neighbors)
            for voters in ("liked", "seen") if table.data.interactions.has_values else ("liked",):
                yield Variant(
                    settings={
                        "neighbors": neighbors if neighbors < every else "all",
                        "shrinkage": shrinkage,
                        "voters": voters,
                    },
                    score_all=_voting(thinned, only_liked=voters == "liked"),
                )


def _voting(model: ItemKnn, *, only_liked: bool) -> ScoreAll:
    def score_all(support: Events) -> np.ndarray:
        return dense(model.evidence(support.users(only_liked=only_liked)))

    return score_all

"""iALS: `metarec.models.als` learned from likes alone (Hu, Koren and Volinsky 2008), its settings
chosen on validation users. Factors are initialized small, as Rendle et al. 2022 (arXiv:2110.14037)
advise.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from metarec.evaluation.baselines.table import LIKED, TrainingTable
from metarec.evaluation.baselines.tuned import ScoreAll, TunedRanker, Variant
from metarec.models.als import Als, AlsConfig

SWEEPS = 8
"""Alternating updates of user and item factors."""


def ials() -> TunedRanker:
    """Return iALS; regularization and confidence are chosen at 32 factors first, then the number of
    factors.
    """
    return TunedRanker(
        name="iALS", variants=_variants, refine=(_more_factors, _still_more_or_fewer)
    )


def _variants(table: TrainingTable) -> Iterator[Variant]:
    for confidence, regularization in product((20.0, 1.0), (50.0, 10.0, 1.0)):
        yield _fit(table, 32, regularization, confidence)


def _more_factors(table: TrainingTable, best: dict[str, Any]) -> Iterator[Variant]:
    yield _fit(table, 64, best["regularization"], best["confidence"])


def _still_more_or_fewer(table: TrainingTable, best: dict[str, Any]) -> Iterator[Variant]:
    dim = 128 if best["dim"] == 64 else 16
    yield _fit(table, dim, best["regularization"], best["confidence"])


def _fit(table: TrainingTable, dim: int, regularization: float, confidence: float) -> Variant:
    """Fit iALS with one setting."""
    config = AlsConfig(
        dim=dim,
        regularization=regularization,
        confidence=confidence,
        start=0.1 / float(np.sqrt(dim)),
        sweeps=SWEEPS,
    )
    model = Als.fit(table.behavior, np.random.default_rng(0), config)
    settings = {"dim": dim, "regularization": regularization, "confidence": confidence}
    return Variant(settings=settings, score_all=folding_in(model))


def folding_in(model: Als) -> ScoreAll:
    """Return a function that folds users' liked items into the item factors and scores the
    catalog.
    """
    return lambda support: model.fold_in(support.plain()) @ model.items.T


def folding_into(items: np.ndarray, regularization: float, confidence: float) -> ScoreAll:
    """Return a function that folds users into fixed item factors [N, D] not learned from
    behavior.
    """
    config = AlsConfig(dim=items.shape[1], regularization=regularization, confidence=confidence)
    return folding_in(Als.of_factors(items, LIKED, config))

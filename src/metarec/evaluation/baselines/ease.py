"""EASE: `metarec.models.ease.model` as published (Steck 2019, arXiv:1905.03375), learned from likes
alone, its penalty chosen on validation users.

The EASE model of the recommender learns from as many events as a new user has, and cuts its scores
at zero; the baseline learns from whole histories, and its raw scores are used.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from metarec.evaluation.baselines.table import Events, TrainingTable
from metarec.evaluation.baselines.tuned import ScoreAll, TunedRanker, Variant
from metarec.models.base import dense
from metarec.models.ease.config import EaseConfig
from metarec.models.ease.model import Ease

PENALTIES = (1600.0, 400.0, 6400.0, 100.0)
"""Ridge penalties to try, the default first."""
LARGE = 6000
"""With this many users and items only two penalties are tried: one inversion takes a minute."""


def ease() -> TunedRanker:
    """Return EASE with the ridge penalty chosen on validation users."""
    return TunedRanker(name="EASE", variants=_variants)


def _variants(table: TrainingTable) -> Iterator[Variant]:
    penalties = PENALTIES if min(table.events.shape) < LARGE else PENALTIES[:2]
    for penalty in penalties:
        config = EaseConfig(
            regularization=penalty,
            whole_histories=True,
            min_events=1,
            kept=max(len(table.vocabulary), 1),
        )
        model = Ease.fit(table.behavior, np.random.default_rng(0), config)
        yield Variant(settings={"regularization": penalty}, score_all=_answering(model))


def _answering(model: Ease) -> ScoreAll:
    def score_all(support: Events) -> np.ndarray:
        ((_, scores),) = model.answers(support.plain())
        return dense(scores)

    return score_all

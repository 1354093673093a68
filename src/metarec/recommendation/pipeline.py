"""From requests to slates: retrieve (score -> restrict) -> order -> reserve -> annotate.

One value goes down through the stages; each returns it with what it found out, and none goes back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metarec.recommendation.annotate import annotate
from metarec.recommendation.cold_share import reserve
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.order import order
from metarec.recommendation.ranking import SlateOptions
from metarec.recommendation.retrieve import retrieve
from metarec.recommendation.slate import Request, Slate
from metarec.runtime.rng import derive


def recommend(
    model: FittedModel,
    requests: Sequence[Request],
    options: SlateOptions,
    rng: np.random.Generator | None = None,
) -> list[Slate]:
    """One slate for each request; unless `rng` is given, chance is seeded by the model's seed."""
    if not requests:
        return []
    rng = rng or derive(model.settings.seed, "slates")
    ranking = retrieve(model, requests, options)
    ranking = order(model, ranking, options, rng)
    ranking = reserve(model, ranking, options, rng)
    return annotate(model, ranking)

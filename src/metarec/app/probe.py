"""Can a model serve? A first slate says so, before it is promoted and before anybody asks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metarec.recommendation.slate import Request
from metarec.recommender import Recommender
from metarec.runtime.artifacts import BrokenArtifact


def warm(model: Recommender) -> Recommender:
    """The model after a first slate: what loads late has loaded, so nobody waits for it; a model
    that cannot do this cannot serve.
    """
    request = Request(history=[(model.vocabulary.ids[0], model.value_range[1])])
    [slate] = model.recommend([request], k=1)
    if not np.isfinite(slate.scores).all():
        raise BrokenArtifact("a slate of the model has scores that are no numbers; fit again")
    return model


def can_serve(folder: Path) -> None:
    """Load a model and ask it for a slate, as a service would.

    Raises:
        BrokenArtifact: if it cannot be loaded.
        Exception: whatever keeps it from answering.
    """
    warm(Recommender.load(folder))

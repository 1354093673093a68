"""Check that a model can serve, by a first slate before it is promoted or gets requests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metarec.recommendation.slate import Request
from metarec.recommender import Recommender
from metarec.runtime.artifacts import BrokenArtifact


def warm(model: Recommender) -> Recommender:
    """Make a first slate with a model and return the model. This loads its lazy parts, so that no
    request waits for them.

    Raises:
        BrokenArtifact: if a score is not finite.
    """
    request = Request(history=[(model.vocabulary.ids[0], model.value_range[1])])
    [slate] = model.recommend([request], k=1)
    if not np.isfinite(slate.scores).all():
        raise BrokenArtifact("a slate of the model has scores that are no numbers; fit again")
    return model


def can_serve(folder: Path) -> None:
    """Load a model and make a slate with it, as the service does.

    Raises:
        BrokenArtifact: if it cannot be loaded, or a score is not finite.
        Exception: any other error of loading it or of making the slate.
    """
    warm(Recommender.load(folder))

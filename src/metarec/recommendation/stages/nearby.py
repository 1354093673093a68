"""Filter by distance: items farther away than `Request.within_km` are not shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metarec.data.errors import BadInput
from metarec.data.places import is_placed, km_between
from metarec.recommendation.slate import Request


def hide_far(
    scores: np.ndarray, requests: Sequence[Request], here: np.ndarray, places: np.ndarray
) -> None:
    """Set scores to -inf, in place, for items beyond `Request.within_km` or without coordinates.

    Args:
        scores: [B, N].
        here: [B, 2] degrees, the assumed location of each user; NaN where unknown.
        places: [N, 2] degrees of items.

    Raises:
        BadInput: if the items have no coordinates, or the location of a user is unknown.
    """
    for row, request in enumerate(requests):
        if request.within_km is None:
            continue
        if not is_placed(places).any():
            raise BadInput(
                "the items of this model have no coordinates, so within_km cannot be heeded; leave "
                "it out"
            )
        if np.isnan(here[row]).any():
            raise BadInput(
                "within_km needs to know where the user is: tell a location, or latitude and "
                "longitude among their attributes"
            )
        km = km_between(here[row : row + 1], places)
        scores[row, ~(km <= request.within_km)] = -np.inf


def nothing_near(request: Request, here: np.ndarray, places: np.ndarray) -> str:
    """Return the note for an empty slate of a user at `here` [2], degrees."""
    nearest = float(np.nanmin(km_between(here[None], places)))
    return (
        f"nothing that may be shown lies within {request.within_km:g} km; the nearest item is "
        f"{nearest:.1f} km away"
    )

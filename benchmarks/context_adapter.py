"""Adapter of metarec to the evaluation protocol of new users with profiles, context and friends.

    python judge.py --model context_adapter:Model --data lastfm-hetrec2011 foursquare-places

(from the protocol's folder, with this one on PYTHONPATH; `METAREC_PRESET` chooses the preset, and
`METAREC_PLACES` the coordinates of items: `true`, `shuffled` among items, or `none`.)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from metarec import Dataset, Recommender, Request
from metarec.data.relations import Relations

BATCH = 128
"""Number of requests answered at a time."""


class Model:
    """A recommender with the same settings for every data set."""

    def __init__(self, preset: str | None = None, seed: int = 0, encoder: str = "auto") -> None:
        self.preset = preset or os.environ.get("METAREC_PRESET", "small")
        self.seed, self.encoder = seed, encoder

    def fit(self, task: Any) -> None:
        """Fit on the training users of a `protocol.Task`."""
        train = task.train.rename({"order": "timestamp"}).drop("value")
        # Items are those of the training events: what nobody took is never asked about.
        data = Dataset(
            interactions=train,
            items=standing(
                task.items.join(train.select("item_id").unique(), on="item_id", how="semi"),
                os.environ.get("METAREC_PLACES", "true"),
            ),
            users=task.users,
            relations=Relations.of(friends=task.friends),
            name=task.name,
        )
        self.model = Recommender.fit(data, preset=self.preset, seed=self.seed, encoder=self.encoder)

    def recommend(
        self, requests: Sequence[dict[str, Any]], k_top: int, exclude: Sequence[Sequence[str]]
    ) -> list[list[str]]:
        """Return the best items for each request."""
        asked = [_request(request, items) for request, items in zip(requests, exclude, strict=True)]
        return [
            slate.item_ids
            for start in range(0, len(asked), BATCH)
            for slate in self.model.recommend(asked[start : start + BATCH], k=k_top)
        ]


def standing(items: pl.DataFrame, places: str) -> pl.DataFrame:
    """Return items with their coordinates (`true`), those of another item (`shuffled`), or none
    (`none`).
    """
    if places not in ("true", "shuffled", "none"):
        raise SystemExit(f"METAREC_PLACES must be true, shuffled or none, got {places!r}")
    columns = [name for name in ("latitude", "longitude") if name in items.columns]
    if places == "none":
        return items.drop(columns)
    if places == "shuffled":
        order = np.random.default_rng(0).permutation(len(items))
        return items.with_columns(items.select(columns)[order])
    return items


def _request(request: dict[str, Any], exclude: Sequence[str]) -> Request:
    return Request(
        history=[(item,) for item, _, _ in request["history"]],
        profile=request["profile"],
        context=request["context"],
        location=request["location"],
        friends=request["friends"],
        exclude=list(exclude),
    )

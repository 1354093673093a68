"""metarec behind the interface of the neutral newcomer protocol.

    python judge.py --model newcomer_adapter:Model --data ml-100k        (from the protocol's folder, this one on PYTHONPATH)

The protocol hands over indexes; here they become ids again, so that what is judged is what a user of `metarec` gets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from metarec import Dataset, Recommender, Request

BATCH = 256
"""Newcomers scored at a time."""


class Model:
    """One default setting for every data set."""

    def __init__(self, preset: str = "small", seed: int = 0, encoder: str = "auto") -> None:
        self.preset, self.seed, self.encoder = preset, seed, encoder

    def fit(self, train: pl.DataFrame, items: pl.DataFrame, users: pl.DataFrame) -> None:
        """Fit on training users; row i of `items` is item i, row u of `users` is user u."""
        events = train.select(pl.col("user").cast(pl.Utf8).alias("user_id"), pl.col("item").cast(pl.Utf8).alias("item_id"),
                              pl.col("rating").alias("value"), "timestamp")
        catalog = items.drop("item_id").rename({"item": "item_id"}).with_columns(pl.col("item_id").cast(pl.Utf8))
        profiles = users.drop("user_id").rename({"user": "user_id"}).with_columns(pl.col("user_id").cast(pl.Utf8))
        data = Dataset(interactions=events, items=catalog, users=profiles, name="newcomer")
        self.model = Recommender.fit(data, preset=self.preset, seed=self.seed, encoder=self.encoder)
        self.items = self.model.vocabulary.indexes(str(item) for item in range(len(catalog)))

    def recommend(self, requests: list[Any], k_top: int, exclude: list[np.ndarray]) -> np.ndarray:
        """[n, k_top] items of the training catalog, best first, without the excluded."""
        warm = np.zeros(len(self.items), bool)
        warm[self.model.vocabulary.indexes(self.model.trained_on["item_id"].unique())] = True
        place = np.argsort(self.items)
        ranked = []
        for start in range(0, len(requests), BATCH):
            scores = self.model.score([_request(r) for r in requests[start:start + BATCH]])
            scores[:, ~warm] = -np.inf
            for row, banned in enumerate(exclude[start:start + BATCH]):
                scores[row, self.items[banned]] = -np.inf
            top = np.argpartition(-scores, k_top, axis=1)[:, :k_top]
            order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
            ranked.append(place[np.take_along_axis(top, order, 1)])
        return np.concatenate(ranked)

    def predict(self, requests: list[Any], queries: list[np.ndarray]) -> list[np.ndarray]:
        """Predicted ratings of each query."""
        return self.model.rate([_request(r) for r in requests], [[str(item) for item in query] for query in queries])


def _request(given: tuple[np.ndarray, np.ndarray, dict[str, Any]]) -> Request:
    items, values, profile = given
    return Request(history=[(str(i), float(v)) for i, v in zip(items, values, strict=True)],
                   profile={name: value for name, value in profile.items() if value is not None})

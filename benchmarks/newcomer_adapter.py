"""metarec behind the interface of the neutral new-user protocol.

    python judge.py --model newcomer_adapter:Model --data ml-100k        (from the protocol's
    folder, this one on PYTHONPATH)

The protocol hands over indexes; here they become ids again, so that what is evaluated is what a
user of `metarec` gets. `item_knn`, `ease` and `ials` put our tuned baselines there, for sets
without peers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from metarec import Dataset, Recommender, Request
from metarec.data.cold_users import split_cold_users
from metarec.data.schema import Catalog, Profiles
from metarec.evaluation.baselines import BASELINES

BATCH = 256
"""New users scored at a time."""


class Ranked:
    """Ranks the protocol's items with whatever was fitted."""

    def _fitted(self, model: Any, data: Dataset) -> None:
        self.model, self.seen = model, data.interactions.frame["item_id"].unique()
        self.items = model.vocabulary.indexes(str(item) for item in range(len(data.items)))

    def recommend(self, requests: list[Any], k_top: int, exclude: list[np.ndarray]) -> np.ndarray:
        """[n, k_top] items of the training catalog, best first, without the excluded."""
        warm = np.zeros(len(self.model.vocabulary), bool)
        warm[self.model.vocabulary.indexes(self.seen)] = True
        place = np.full(len(warm), -1)
        place[self.items[self.items >= 0]] = np.flatnonzero(self.items >= 0)
        ranked = []
        for start in range(0, len(requests), BATCH):
            scores = self.model.score([_request(r) for r in requests[start : start + BATCH]])
            scores[:, ~warm] = -np.inf
            for row, banned in enumerate(exclude[start : start + BATCH]):
                columns = self.items[banned]
                scores[row, columns[columns >= 0]] = -np.inf
            top = np.argpartition(-scores, k_top, axis=1)[:, :k_top]
            order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
            ranked.append(place[np.take_along_axis(top, order, 1)])
        return np.concatenate(ranked)


class Model(Ranked):
    """One default setting for every data set."""

    def __init__(self, preset: str = "small", seed: int = 0, encoder: str = "auto") -> None:
        self.preset, self.seed, self.encoder = preset, seed, encoder

    def fit(self, train: pl.DataFrame, items: pl.DataFrame, users: pl.DataFrame) -> None:
        """Fit on training users; row i of `items` is item i, row u of `users` is user u."""
        data = _data(train, items, users)
        self._fitted(
            Recommender.fit(data, preset=self.preset, seed=self.seed, encoder=self.encoder), data
        )

    def predict(self, requests: list[Any], queries: list[np.ndarray]) -> list[np.ndarray]:
        """Predicted ratings of each query."""
        return self.model.rate(
            [_request(r) for r in requests], [[str(item) for item in query] for query in queries]
        )


class Baseline(Ranked):
    """One of our tuned baselines, its settings chosen on new users held out of the training
    users.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def fit(self, train: pl.DataFrame, items: pl.DataFrame, users: pl.DataFrame) -> None:
        """Tune on held-out training users, at most 300 of them."""
        data = _data(train, items, users)
        split = split_cold_users(
            data, rng=np.random.default_rng(0), test=0.0, validation=0.1, most=300
        )
        model = BASELINES[self.name]()
        model.fit(split.train, split.validation, np.random.default_rng(0))
        self._fitted(model, split.train)


def item_knn() -> Baseline:
    """Tuned ItemKNN with a popularity prior."""
    return Baseline("ItemKNN")


def ease() -> Baseline:
    """Tuned EASE with a popularity prior."""
    return Baseline("EASE")


def ials() -> Baseline:
    """Tuned iALS fold-in with a popularity prior."""
    return Baseline("iALS")


def _data(train: pl.DataFrame, items: pl.DataFrame, users: pl.DataFrame) -> Dataset:
    """The protocol's frames with indexes written as ids."""
    events = train.select(
        pl.col("user").cast(pl.Utf8).alias("user_id"),
        pl.col("item").cast(pl.Utf8).alias("item_id"),
        pl.col("rating").alias("value"),
        "timestamp",
    )
    catalog = (
        items.drop("item_id")
        .rename({"item": "item_id"})
        .with_columns(pl.col("item_id").cast(pl.Utf8))
    )
    profiles = (
        users.drop("user_id")
        .rename({"user": "user_id"})
        .with_columns(pl.col("user_id").cast(pl.Utf8))
    )
    return Dataset(
        interactions=events, items=Catalog.of(catalog), users=Profiles.of(profiles), name="new-user"
    )


def _request(given: tuple[np.ndarray, np.ndarray, dict[str, Any]]) -> Request:
    items, values, profile = given
    return Request(
        history=[(str(i), float(v)) for i, v in zip(items, values, strict=True)],
        profile={name: value for name, value in profile.items() if value is not None},
    )

"""Adapter of metarec to the evaluation protocol of new users.

    python judge.py --model newcomer_adapter:Model --data ml-100k        (from the protocol's
    folder, with this one on PYTHONPATH)

The protocol uses indexes; here they become ids, so that the public interface of `metarec` is
evaluated. `item_knn`, `ease` and `ials` are our tuned baselines, for data sets without others.
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
"""Number of new users scored at a time."""


class Ranked:
    """Rank the protocol's items by a fitted model."""

    def _fitted(self, model: Any, data: Dataset) -> None:
        self.model, self.seen = model, data.interactions.frame["item_id"].unique()
        self.items = model.vocabulary.indexes(str(item) for item in range(len(data.items)))

    def recommend(self, requests: list[Any], k_top: int, exclude: list[np.ndarray]) -> np.ndarray:
        """Return items of the training catalog without the excluded ones, best first, [n,
        k_top].
        """
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
    """A recommender with the same settings for every data set."""

    def __init__(self, preset: str = "small", seed: int = 0, encoder: str = "auto") -> None:
        self.preset, self.seed, self.encoder = preset, seed, encoder

    def fit(self, train: pl.DataFrame, items: pl.DataFrame, users: pl.DataFrame) -> None:
        """Fit on training users; row i of `items` is item i, row u of `users` is user u."""
        data = _data(train, items, users)
        self._fitted(
            Recommender.fit(data, preset=self.preset, seed=self.seed, encoder=self.encoder), data
        )

    def predict(self, requests: list[Any], queries: list[np.ndarray]) -> list[np.ndarray]:
        """Return the predicted ratings of each query set."""
        return self.model.rate(
            [_request(r) for r in requests], [[str(item) for item in query] for query in queries]
        )


class Baseline(Ranked):
    """One of our baselines, tuned on held-out training users."""

    def __init__(self, name: str) -> None:
        self.name = name

    def fit(self, train: pl.DataFrame, items: pl.DataFrame, users: pl.DataFrame) -> None:
        """Tune on at most 300 held-out training users."""
        data = _data(train, items, users)
        split = split_cold_users(
            data, rng=np.random.default_rng(0), test=0.0, validation=0.1, max_users=300
        )
        model = BASELINES[self.name]()
        model.fit(split.train, split.validation, np.random.default_rng(0))
        self._fitted(model, split.train)


def item_knn() -> Baseline:
    """Return item k-NN, tuned, with a popularity prior."""
    return Baseline("ItemKNN")


def ease() -> Baseline:
    """Return EASE, tuned, with a popularity prior."""
    return Baseline("EASE")


def ials() -> Baseline:
    """Return iALS with fold-in, tuned, with a popularity prior."""
    return Baseline("iALS")


def _data(train: pl.DataFrame, items: pl.DataFrame, users: pl.DataFrame) -> Dataset:
    """Return the protocol's frames as a data set, with indexes written as ids."""
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

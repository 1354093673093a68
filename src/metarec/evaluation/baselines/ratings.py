"""Baselines that predict values: biases, and neighbours of what they leave unexplained (content is
in `ridge`).

Each is chosen by the mean absolute error on validation new users. Its order is the predicted value
plus a weighted log popularity (chosen by NDCG@10), since a list by predicted value alone is led by
items hardly anyone met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from scipy.sparse import csr_matrix

from metarec.data.cold_users import ColdUser
from metarec.data.schema import Dataset
from metarec.evaluation.baselines.knn import count_together
from metarec.evaluation.baselines.table import Events, TrainingTable
from metarec.evaluation.baselines.tuned import Tuned, Variant, choose_ranker, fitted, prepare
from metarec.recommendation.slate import Request

ROUNDS = 10
"""Times item and user offsets are found in turn."""


@dataclass(kw_only=True)
class TunedRater(Tuned):
    """A baseline that predicts values."""

    variants: Callable[[TrainingTable], Iterator[Variant]]
    """Fitted settings to choose from, the default first; their `score_all` predicts values."""
    predict: Variant | None = field(default=None, init=False)

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Fit every setting on `train` and keep the one with the least error on `validation`."""
        self.table, asked = prepare(train, validation, rng)
        variants = self.variants(self.table)
        if asked is None:
            self.predict = next(variants)
        else:
            within = train.interactions.value_range
            self.predict = min(
                variants, key=lambda v: asked.mae(v.score_all(asked.support), within)
            )
        every = np.ones(len(self.table.events.rows), bool)
        logs = {
            name: 2.0 * np.log1p(self.table.count(counted))
            for name, counted in (("log events", every), ("log later events", self.table.later))
            if name == "log events" or self.table.knows_later
        }
        self.chosen = choose_ranker([self.predict], logs, asked)

    def rate(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """Predicted values on the data's scale; an item outside the catalog gets the mean of all
        values.
        """
        table = fitted(self.name, self.table)
        values = fitted(self.name, self.predict).score_all(table.support(requests))
        low, high = table.data.interactions.value_range
        items = [self.vocabulary.indexes(ids) for ids in item_ids]
        return [
            np.clip(np.where(i >= 0, row[i], table.events.values.mean()), low, high)
            for row, i in zip(values, items, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class Biases:
    """`mean + item offset + user offset`, each offset pulled towards zero."""

    mean: float
    item: np.ndarray
    """[N]"""
    damp_user: float

    @classmethod
    def of(cls, table: TrainingTable, damp_item: float, damp_user: float) -> Biases:
        """Offsets of the training events, found in turn: an item met mostly by harsh users is
        better than its mean says.
        """
        events, count = table.events, len(table.vocabulary)
        mean = float(events.values.mean())
        met = np.bincount(events.items, minlength=count) + damp_item
        user = np.zeros(events.shape[0])
        for _ in range(ROUNDS):
            left = events.values - mean - user[events.rows]
            found = cls(
                mean=mean,
                item=np.bincount(events.items, weights=left, minlength=count) / met,
                damp_user=damp_user,
            )
            user = found.user(events)
        return found

    def user(self, events: Events) -> np.ndarray:
        """[users] offsets; 0 for a user without events."""
        residual = events.values - self.mean - self.item[events.items]
        users = events.shape[0]
        return np.bincount(events.rows, weights=residual, minlength=users) / (
            np.bincount(events.rows, minlength=users) + self.damp_user
        )

    def residuals(self, events: Events) -> csr_matrix:
        """What the biases leave unexplained, float32 `[users, N]`."""
        return events.matrix(
            events.values - self.mean - self.item[events.items] - self.user(events)[events.rows]
        )

    def predict(self, events: Events) -> np.ndarray:
        """[users, N] values."""
        return np.asarray(
            self.mean + self.item[None, :] + self.user(events)[:, None], dtype=np.float32
        )


def item_mean_user_offset() -> TunedRater:
    """The damped mean of the item plus the damped offset of the user: the floor of every rating
    predictor.
    """
    return TunedRater(name="ItemMean+UserOffset", variants=_bias_variants)


def _bias_variants(table: TrainingTable) -> Iterator[Variant]:
    for damp_item, damp_user in product((2.0, 5.0, 1.0, 10.0), (5.0, 20.0, 2.0)):
        yield Variant(
            settings={"damp_item": damp_item, "damp_user": damp_user},
            score_all=Biases.of(table, damp_item, damp_user).predict,
        )


def rating_knn() -> TunedRater:
    """Item neighbours of what biases leave unexplained (Koren 2010).

    Similarity is the cosine of residual columns times `together / (together + shrink)`; the
    user's residuals are averaged by it, with `pull` added to the sum of weights.
    """
    return TunedRater(name="RatingKNN", variants=_knn_variants)


def _knn_variants(table: TrainingTable) -> Iterator[Variant]:
    together = count_together(table.events.seen)
    for damp_item, damp_user in ((2.0, 5.0), (2.0, 20.0)):
        biases = Biases.of(table, damp_item, damp_user)
        residuals = biases.residuals(table.events)
        products = (residuals.T @ residuals).tocsr()
        length = np.sqrt(np.maximum(products.diagonal(), 1e-9))
        for shrink in (100.0, 20.0):
            similarity = _damped(products, together, length, shrink)
            for pull in (3.0, 1.0):
                yield Variant(
                    settings={
                        "damp_item": damp_item,
                        "damp_user": damp_user,
                        "shrink": shrink,
                        "pull": pull,
                    },
                    score_all=_neighbour_predictor(biases, similarity, pull),
                )


def _damped(
    products: csr_matrix, together: csr_matrix, length: np.ndarray, shrink: float
) -> csr_matrix:
    similarity, counts = products.tocoo(copy=True), together.copy()
    counts.data = counts.data / (counts.data + shrink)
    similarity.data = similarity.data / (length[similarity.row] * length[similarity.col])
    similarity.data[similarity.row == similarity.col] = 0.0
    return similarity.tocsr().multiply(counts).tocsr().astype(np.float32)


def _neighbour_predictor(
    biases: Biases, similarity: csr_matrix, pull: float
) -> Callable[[Events], np.ndarray]:
    strength = abs(similarity)

    def predict(support: Events) -> np.ndarray:
        moved = (biases.residuals(support) @ similarity).toarray()
        return np.asarray(
            biases.predict(support)
            + moved / ((support.seen @ strength).toarray() + np.float32(pull))
        )

    return predict

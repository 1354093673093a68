"""Baselines that predict values: offsets, and item k-NN on the residuals (content is in `ridge`).
RatingKNN (Koren 2010) is none of `metarec.models`: it compares residuals, not choices.

Settings are chosen by the mean absolute error on validation users. The ranking score is the
predicted value plus a weighted log popularity (weight chosen by NDCG@10), since a ranking by
predicted value alone is led by items with very few events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import numpy as np
from scipy.sparse import csr_matrix

from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.evaluation.baselines.table import Events, TrainingTable
from metarec.evaluation.baselines.tuned import (
    ScoreAll,
    Tuned,
    Variant,
    choose_ranker,
    fitted,
    prepare,
)
from metarec.models.offsets import Offsets
from metarec.recommendation.slate import Request

ROUNDS = 10
"""Alternating updates of item and user offsets."""


@dataclass(kw_only=True)
class TunedRater(Tuned):
    """A baseline that predicts values."""

    variants: Callable[[TrainingTable], Iterator[Variant]]
    """Yields the fitted settings to choose from, the default first; their `score_all` predicts
    values.
    """
    predict: Variant | None = field(default=None, init=False)
    """The chosen setting, which predicts values."""

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Fit every setting on `train` and keep the one with the least error on `validation`."""
        self.table, held_out = prepare(train, validation, rng)
        variants = self.variants(self.table)
        if held_out is None:
            self.predict = next(variants)
        else:
            within = train.interactions.value_range
            self.predict = min(
                variants, key=lambda v: held_out.mae(v.score_all(held_out.support), within)
            )
        every = np.ones(len(self.table.events.rows), bool)
        logs = {
            name: 2.0 * np.log1p(self.table.count(counted))
            for name, counted in (("log events", every), ("log later events", self.table.later))
            if name == "log events" or self.table.knows_later
        }
        self.chosen = choose_ranker([self.predict], logs, held_out)

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


def offsets_of(table: TrainingTable, item_damping: float, user_damping: float) -> Offsets:
    """Return item and user offsets of the training events."""
    return Offsets.of(
        table.events.accepted,
        len(table.vocabulary),
        item_damping=item_damping,
        user_damping=user_damping,
        rounds=ROUNDS,
    )


def offset_values(offsets: Offsets, events: Events) -> np.ndarray:
    """Return [B, N] values predicted from the offsets alone."""
    users = offsets.users(events.accepted)
    return np.asarray(offsets.mean + offsets.items[None, :] + users[:, None], dtype=np.float32)


def residual_matrix(offsets: Offsets, events: Events) -> csr_matrix:
    """Return [B, N] residuals of the offsets, float32."""
    return events.matrix(offsets.residuals(events.accepted))


def item_mean_user_offset() -> TunedRater:
    """Return the damped item mean plus the damped user offset: the floor of every rating
    predictor.
    """
    return TunedRater(name="ItemMean+UserOffset", variants=_bias_variants)


def _bias_variants(table: TrainingTable) -> Iterator[Variant]:
    for damp_item, damp_user in product((2.0, 5.0, 1.0, 10.0), (5.0, 20.0, 2.0)):
        yield Variant(
            settings={"damp_item": damp_item, "damp_user": damp_user},
            score_all=partial(offset_values, offsets_of(table, damp_item, damp_user)),
        )


def rating_knn() -> TunedRater:
    """Return item k-NN on the residuals of the offsets (Koren 2010).

    Similarity is the cosine of residual columns times `together / (together + shrink)`, where
    `together` counts users with both items. The prediction averages the user's residuals weighted
    by similarity, with `pull` added to the sum of weights.
    """
    return TunedRater(name="RatingKNN", variants=_knn_variants)


def _knn_variants(table: TrainingTable) -> Iterator[Variant]:
    together = (table.events.seen.T @ table.events.seen).tocsr()
    for damp_item, damp_user in ((2.0, 5.0), (2.0, 20.0)):
        offsets = offsets_of(table, damp_item, damp_user)
        residuals = residual_matrix(offsets, table.events)
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
                    score_all=_neighbor_predictor(offsets, similarity, pull),
                )


def _damped(
    products: csr_matrix, together: csr_matrix, length: np.ndarray, shrink: float
) -> csr_matrix:
    similarity, counts = products.tocoo(copy=True), together.copy()
    counts.data = counts.data / (counts.data + shrink)
    similarity.data = similarity.data / (length[similarity.row] * length[similarity.col])
    similarity.data[similarity.row == similarity.col] = 0.0
    return similarity.tocsr().multiply(counts).tocsr().astype(np.float32)


def _neighbor_predictor(offsets: Offsets, similarity: csr_matrix, pull: float) -> ScoreAll:
    """Return a function that adds the similarity-weighted mean residual to the offsets."""
    strength = abs(similarity)

    def predict(support: Events) -> np.ndarray:
        moved = (residual_matrix(offsets, support) @ similarity).toarray()
        return np.asarray(
            offset_values(offsets, support)
            + moved / ((support.seen @ strength).toarray() + np.float32(pull))
        )

    return predict

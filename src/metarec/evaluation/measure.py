"""Every metric of every user, for one recommender at one number of events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from metarec.data.arguments import shown
from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.frames import id_order
from metarec.data.schema import BadInput, Vocabulary
from metarec.evaluation import metrics
from metarec.evaluation.interface import (
    PredictsUncertainty,
    Rates,
    Scores,
    deviations_of,
    ratings_of,
    requests_at,
    scores_of,
)
from metarec.evaluation.metrics.slates import popularity_share
from metarec.runtime.old_names import by_former_name

LIST_LENGTH = 20
"""Length of each ranked list; metrics look at the first 10 or all 20 places."""
SCORES_AT_ONCE = 16_000_000
"""Scores held at once: bounds memory for any catalog."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A column of the tables."""

    name: str
    label: str
    meaning: str
    """Meaning for a reader who has never heard of the metric."""
    higher_is_better: bool | None
    """None where neither end is better by itself."""


METRICS = {
    m.name: m
    for m in (
        Metric(
            name="ndcg@10",
            label="NDCG@10",
            meaning="how near the top the liked items come",
            higher_is_better=True,
        ),
        Metric(
            name="gain_ndcg@10",
            label="NDCG@10, gains by strength",
            meaning="how near the top what was liked most comes: a strong act gains more",
            higher_is_better=True,
        ),
        Metric(
            name="recall@20",
            label="Recall@20",
            meaning="share of liked items among the first 20",
            higher_is_better=True,
        ),
        Metric(
            name="precision@10",
            label="Precision@10",
            meaning="share of the first 10 that are liked",
            higher_is_better=True,
        ),
        Metric(
            name="f1@10",
            label="F1@10",
            meaning="precision and recall in one number",
            higher_is_better=True,
        ),
        Metric(
            name="accuracy@10",
            label="Accuracy@10",
            meaning="share of the catalog put on the right side; near 1 for any slate",
            higher_is_better=True,
        ),
        Metric(
            name="hit_rate@10",
            label="HitRate@10",
            meaning="chance that at least one of the first 10 is liked",
            higher_is_better=True,
        ),
        Metric(
            name="mrr@20",
            label="MRR@20",
            meaning="one over the rank of the first liked item",
            higher_is_better=True,
        ),
        Metric(
            name="map@10",
            label="MAP@10",
            meaning="precision averaged over the ranks of liked items",
            higher_is_better=True,
        ),
        Metric(
            name="auc",
            label="AUC",
            meaning="chance that a liked item outscores another",
            higher_is_better=True,
        ),
        Metric(
            name="coverage@10",
            label="Coverage@10",
            meaning="share of the catalog shown to anyone",
            higher_is_better=None,
        ),
        Metric(
            name="novelty@10",
            label="Novelty@10",
            meaning="how little known the shown items are, in bits",
            higher_is_better=None,
        ),
        Metric(
            name="diversity@10",
            label="Diversity@10",
            meaning="how different from each other shown items are",
            higher_is_better=None,
        ),
        Metric(
            name="mae",
            label="MAE",
            meaning="mean error of a predicted value",
            higher_is_better=False,
        ),
        Metric(
            name="rmse",
            label="RMSE",
            meaning="the same, large errors counting more",
            higher_is_better=False,
        ),
        Metric(
            name="graded_ndcg@5",
            label="Graded NDCG@5",
            meaning="order of the user's own evaluated items by predicted value",
            higher_is_better=True,
        ),
        Metric(
            name="covered@90",
            label="In 90% interval",
            meaning="share of values inside the stated 90% interval; 0.90 is honest",
            higher_is_better=None,
        ),
    )
}


def check_metric(metric: str) -> None:
    """Refuse a name that is no metric.

    Raises:
        BadInput: naming the metrics there are.
    """
    if not isinstance(metric, str) or metric not in METRICS:
        raise BadInput(f"there is no metric {shown(metric)}; there are {', '.join(METRICS)}")


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """Test users and candidate items: the same for every recommender of a comparison."""

    cold_users: Sequence[ColdUser]
    train: Dataset
    """Training data."""
    vocabulary: Vocabulary
    """Candidate items; an item in a user's support pool is never listed, whatever the number of
    events shown.
    """
    item_embeddings: np.ndarray | None = None
    """[N, D] content of each item of `vocabulary`, the same for all recommenders; None leaves out
    diversity.
    """

    @classmethod
    def of(
        cls,
        cold_users: Sequence[ColdUser],
        train: Dataset,
        *,
        candidates: Sequence[str] | None = None,
        item_embeddings: np.ndarray | None = None,
    ) -> EvaluationSet:
        """Evaluate `cold_users` on `candidates`: the items of the training events unless given.

        Raises:
            BadInput: if there are no users to evaluate or no candidate items.
        """
        if not cold_users:
            raise BadInput(
                "there is no new user to evaluate; give more events or a larger share for the test"
            )
        ids = (
            candidates
            if candidates is not None
            else (
                train.interactions.frame.select("item_id")
                .unique()
                .sort(id_order("item_id"))["item_id"]
                .to_list()
            )
        )
        if not ids:
            raise BadInput("there is no item to list: the training events are empty")
        return cls(
            cold_users=list(cold_users),
            train=train,
            vocabulary=Vocabulary(ids),
            item_embeddings=item_embeddings,
        )

    @cached_property
    def popularity(self) -> np.ndarray:
        """[N] smoothed share of training users with each item."""
        events = self.train.interactions.frame
        counts = events.group_by("item_id").agg(pl.col("user_id").n_unique())
        rows = self.vocabulary.indexes(counts["item_id"])
        per_item = np.zeros(len(self.vocabulary))
        per_item[rows[rows >= 0]] = counts["user_id"].to_numpy()[rows >= 0]
        return popularity_share(per_item, events["user_id"].n_unique())

    @cached_property
    def pool_cells(self) -> tuple[np.ndarray, np.ndarray]:
        """(user, item) index pairs of all support pools and unlisted items, left out of every
        list.
        """
        return self._cells(
            [[*(item_id for item_id, *_ in n.pool), *n.unlisted] for n in self.cold_users]
        )

    @cached_property
    def relevant_cells(self) -> tuple[np.ndarray, np.ndarray]:
        """(user, item) index pairs of all liked query items."""
        return self._cells([n.relevant for n in self.cold_users])

    def _cells(self, item_ids: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
        owner = np.repeat(np.arange(len(item_ids)), [len(row) for row in item_ids])
        items = self.vocabulary.indexes(i for row in item_ids for i in row)
        return owner[items >= 0], items[items >= 0]

    def masks(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return candidates and liked items of users `start .. stop - 1`, two bool
        `[stop - start, N]`.
        """
        shape = (stop - start, len(self.vocabulary))
        candidates, liked = np.ones(shape, bool), np.zeros(shape, bool)
        for mask, (owner, items), value in (
            (candidates, self.pool_cells, False),
            (liked, self.relevant_cells, True),
        ):
            first, last = np.searchsorted(owner, [start, stop])
            mask[owner[first:last] - start, items[first:last]] = value
        return candidates, liked

    @cached_property
    def has_gains(self) -> bool:
        """Whether the query events differ in strength."""
        return len({n.strengths.get(i) for n in self.cold_users for i in n.relevant}) > 1

    def gains(self, start: int, stop: int) -> np.ndarray:
        """Return [stop - start, N] float32 strengths of the liked items of users
        `start .. stop - 1`, 0 for others.
        """
        users = self.cold_users[start:stop]
        gains_BN = np.zeros((len(users), len(self.vocabulary)), np.float32)
        for row, user in enumerate(users):
            items = self.vocabulary.indexes(user.relevant)
            gains = [user.strengths.get(item, 1.0) for item in user.relevant]
            gains_BN[row, items[items >= 0]] = np.array(gains, np.float32)[items >= 0]
        return gains_BN

    def chunks(self) -> Iterator[tuple[int, int]]:
        """Return ranges of users small enough to hold their scores."""
        step = max(1, SCORES_AT_ONCE // len(self.vocabulary))
        return (
            (start, min(start + step, len(self.cold_users)))
            for start in range(0, len(self.cold_users), step)
        )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Results of one recommender at one number of events."""

    per_user: dict[str, np.ndarray]
    """Metric name -> `[users]`."""
    coverage: float
    """Share of the catalog in the first ten of any user."""
    ranked: np.ndarray
    """[users, 20] item indexes of the evaluation set's vocabulary, best first, -1 for none."""


def measure(
    model: Scores, evaluation_set: EvaluationSet, n_support: int, rng: np.random.Generator
) -> Measured:
    """Return every metric of `model` for each user of `evaluation_set` after `n_support` events."""
    requests = requests_at(evaluation_set.cold_users, n_support)
    columns = model.vocabulary.indexes(evaluation_set.vocabulary.ids)
    parts = []
    for start, stop in evaluation_set.chunks():
        scores = _in_order(
            scores_of(model, requests[start:stop]),
            columns,
            stop - start,
            getattr(model, "name", type(model).__name__),
        )
        candidates, liked = evaluation_set.masks(start, stop)
        ranked, values = _of_lists(scores, candidates, liked, evaluation_set, rng)
        if evaluation_set.has_gains:
            gains = evaluation_set.gains(start, stop)
            values["gain_ndcg@10"] = metrics.gain_ndcg(ranked, gains, 10)
        parts.append((ranked, values))
    per_user = {name: np.concatenate([values[name] for _, values in parts]) for name in parts[0][1]}
    ranked = np.concatenate([lists for lists, _ in parts])
    is_rated = any(user.rated for user in evaluation_set.cold_users)
    if evaluation_set.train.interactions.has_values and is_rated and isinstance(model, Rates):
        per_user |= _of_ratings(model, evaluation_set, n_support, rng)
    return Measured(
        per_user=per_user,
        ranked=ranked,
        coverage=metrics.coverage(ranked, 10, len(evaluation_set.vocabulary)),
    )


def _in_order(scores: np.ndarray, columns: np.ndarray, users: int, name: str) -> np.ndarray:
    """Return scores in the order of the evaluation set's items, -inf for unknown ones."""
    if scores.ndim != 2 or len(scores) != users:
        raise BadInput(
            f"{name} gave scores of shape {scores.shape} for {users} requests; expected "
            f"[{users}, items]"
        )
    if np.array_equal(columns, np.arange(scores.shape[1])):
        return scores
    return np.where(columns >= 0, scores[:, np.maximum(columns, 0)], -np.inf)


def _of_lists(
    scores: np.ndarray,
    candidates: np.ndarray,
    liked: np.ndarray,
    evaluation_set: EvaluationSet,
    rng: np.random.Generator,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the ranked lists [B, 20] and the metrics of ranking, novelty and diversity."""
    ranked = metrics.rank(scores, LIST_LENGTH, rng, candidates)
    hits, relevant = metrics.find_hits(ranked, liked), liked.sum(axis=1)
    values = {
        "ndcg@10": metrics.ndcg(hits, relevant, 10),
        "recall@20": metrics.recall(hits, relevant, 20),
        "precision@10": metrics.precision(hits, 10),
        "f1@10": metrics.f1(hits, relevant, 10),
        "accuracy@10": metrics.accuracy(hits, relevant, candidates.sum(axis=1), 10),
        "hit_rate@10": metrics.hit_rate(hits, 10),
        "mrr@20": metrics.mrr(hits, 20),
        "map@10": metrics.average_precision(hits, relevant, 10),
        "auc": metrics.auc(scores, liked, candidates),
        "novelty@10": metrics.novelty(ranked, 10, evaluation_set.popularity),
    }
    if evaluation_set.item_embeddings is not None:
        values["diversity@10"] = metrics.diversity(ranked, 10, evaluation_set.item_embeddings)
    return ranked, values


def _of_ratings(
    model: Rates, evaluation_set: EvaluationSet, n_support: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return the metrics of predicted values, of all users of the evaluation set."""
    cold_users, users = evaluation_set.cold_users, len(evaluation_set.cold_users)
    requests = requests_at(cold_users, n_support)
    item_ids = [[item_id for item_id, _ in user.rated] for user in cold_users]
    owner = np.repeat(np.arange(users), [len(row) for row in item_ids])
    actual = np.array([value for user in cold_users for _, value in user.rated])
    predicted = np.clip(
        np.concatenate(ratings_of(model, requests, item_ids)),
        *evaluation_set.train.interactions.value_range,
    )
    values = {
        "mae": metrics.mae(predicted, actual, owner, users),
        "rmse": metrics.rmse(predicted, actual, owner, users),
        "graded_ndcg@5": metrics.graded_ndcg(predicted, actual, owner, users, 5, rng),
    }
    if isinstance(model, PredictsUncertainty):
        spread = np.concatenate(deviations_of(model, requests, item_ids))
        covered = metrics.interval_coverage(predicted, spread, actual, owner, users, 0.9)
        values["covered@90"] = covered
    return values


if not TYPE_CHECKING:  # type checkers know the current names alone
    __getattr__ = by_former_name(globals())

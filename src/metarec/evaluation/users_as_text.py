"""Users written as text: the quality of the text route alone, and what it adds to the recommender.

`u* = encoder(u)` from profile and recent history in words (the scorer `user_text`) is evaluated in
the same table as the model over item tokens, so that the report says which of the two helped, at
each number of events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput, Vocabulary
from metarec.evaluation.baselines.tuned import fitted
from metarec.evaluation.interface import requests_at
from metarec.evaluation.metrics import find_hits, ndcg, rank
from metarec.evaluation.own_recommender import OwnRecommender
from metarec.evaluation.significance import interval
from metarec.models.user_text import NO_ENCODER, UserText, no_reader_error
from metarec.recommendation.slate import Request
from metarec.runtime.rng import derive

if TYPE_CHECKING:
    from metarec.evaluation.evaluate import Evaluation
    from metarec.recommender import Recommender

WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Weights tried for the text route's log score when added to the recommender's log score; one is
chosen for each number of events.
"""
FLOOR = 1e-6
"""Added to scores before the logarithm."""


@dataclass(kw_only=True)
class TextRoute:
    """The text route alone: the scorer that `fit --learner user_text` adds, on a recommender fitted
    before on the same users.
    """

    beside: OwnRecommender
    name: str = "users as text"
    scorer: UserText | None = field(default=None, init=False)

    # The fitted recommender has the training data
    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Fit the scorer on the behavior that the fitted recommender learned from."""
        self.scorer = UserText.fit(self.model.behavior(), rng)

    @property
    def settings(self) -> dict[str, Any]:
        """Encoder, note on the training users, and ridge penalty of the map to items."""
        scorer = fitted(self.name, self.scorer)
        return {
            "reads_with": self.model.item_inputs.encoder.name,
            "users": scorer.note,
            "ridge": scorer.tower.ridge,
        }

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return self.model.vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`, log of the scorer's scores."""
        evidence = fitted(self.name, self.scorer).evidence(self.model.users(requests)[0])
        return np.log(evidence + FLOOR).astype(np.float32)

    @property
    def model(self) -> Recommender:
        """The fitted recommender, whose encoder reads users too."""
        if self.beside.model is None:
            raise BadInput(
                f"{self.beside.name!r}, whose encoder reads the users, is not fitted yet; fit it "
                f"first"
            )
        return self.beside.model


@dataclass(kw_only=True)
class WithUserText:
    """A recommender plus the weighted text route; the weight at each number of events is chosen on
    validation users.
    """

    text: TextRoute
    name: str = "both"
    weights: dict[int, float] = field(default_factory=dict, init=False)
    """Number of events -> weight of the text route; 0 where it did not help."""

    # Both routes are already fitted
    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Choose the weights; both routes are already fitted."""
        seed = int(rng.integers(2**31))
        for n_support in self.text.model.horizon.support_sizes:
            requests = requests_at(validation, n_support)
            if not requests:
                self.weights[n_support] = 0.0
                continue
            ours, by_text = self._ours(requests), self.text.score(requests)
            pools = [user.pool for user in validation]
            known = self.text.model.reader.accepted(pools, self.vocabulary)
            open_BN = known.matrix(len(self.vocabulary)).toarray() == 0
            liked_BN = np.zeros_like(open_BN)
            for row, user in enumerate(validation):
                places = self.vocabulary.indexes(user.relevant)
                liked_BN[row, places[places >= 0]] = True
            reached = {
                weight: _ndcg(ours + weight * by_text, open_BN, liked_BN, derive(seed, "ties"))
                for weight in WEIGHTS
            }
            self.weights[n_support] = max(reached, key=reached.__getitem__)

    @property
    def settings(self) -> dict[str, Any]:
        """The weights chosen."""
        return {
            "text_weights": {str(n_support): weight for n_support, weight in self.weights.items()}
        }

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return self.text.vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`."""
        sizes = np.array(sorted(self.weights))
        lengths = np.array([len(request.history) for request in requests])
        weights = np.array([self.weights[int(s)] for s in sizes])[
            np.abs(lengths[:, None] - sizes).argmin(axis=1)
        ]
        scores = self._ours(requests)
        if weights.any():
            scores = scores + weights[:, None].astype(np.float32) * self.text.score(requests)
        return scores

    def _ours(self, requests: Sequence[Request]) -> np.ndarray:
        return self.text.model.score(requests)


def with_user_text(own: OwnRecommender) -> list[TextRoute | WithUserText]:
    """Return two more rows for a table whose first row is `own`: the text route alone, and both
    together.

    Raises:
        BadInput: before anything is fitted, if there is no encoder to read users with.
    """
    if own.encoder == NO_ENCODER:
        raise no_reader_error(own.encoder)
    text = TextRoute(beside=own)
    return [text, WithUserText(text=text)]


def compare_text_routes(
    evaluation: Evaluation, rows: Sequence[TextRoute | WithUserText]
) -> dict[str, Any]:
    """Return paired differences in NDCG@10 to the first model at each number of events, with a
    sentence that says which route helped.
    """
    text, both = rows
    curve, own = evaluation.curve, evaluation.models[0]
    report: dict[str, Any] = {"support_sizes": list(curve.support_sizes)}
    for name in (text.name, both.name):
        differences = curve.per_user[name]["ndcg@10"] - curve.per_user[own]["ndcg@10"]
        spans = zip(
            np.nanmean(differences, axis=1), *interval(differences, curve.weights), strict=True
        )
        report[name] = [
            {"mean": float(mean), "low": float(low), "high": float(high)}
            for mean, low, high in spans
        ]
    report["sentence"] = (
        f"Users written as text, NDCG@10 to {own}: alone {_places(report, text.name)}; together "
        f"with it "
        f"{_places(report, both.name)}."
    )
    return report


def _places(report: dict[str, Any], name: str) -> str:
    """Return the mean difference of a row, and the numbers of events at which it is clear, in
    words.
    """
    better = [
        str(k)
        for k, cell in zip(report["support_sizes"], report[name], strict=True)
        if cell["low"] > 0
    ]
    worse = [
        str(k)
        for k, cell in zip(report["support_sizes"], report[name], strict=True)
        if cell["high"] < 0
    ]
    mean = float(np.mean([cell["mean"] for cell in report[name]]))
    sentences = [
        f"clearly {how} at {', '.join(places)} known items" if places else ""
        for how, places in (("better", better), ("worse", worse))
    ]
    return f"{mean:+.3f} on average, " + (
        " and ".join(part for part in sentences if part)
        or "nothing clear of chance at any number of known items"
    )


def _ndcg(
    scores: np.ndarray, open_BN: np.ndarray, liked_BN: np.ndarray, rng: np.random.Generator
) -> float:
    listed = rank(scores, 10, rng, open_BN)
    return float(np.nanmean(ndcg(find_hits(listed, liked_BN), liked_BN.sum(axis=1), 10)))

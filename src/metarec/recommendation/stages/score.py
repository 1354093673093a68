"""First stage: log-scores of all items for each user."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from metarec.features.encoders.encode import read_queries
from metarec.features.users import UserBatch
from metarec.models.cold_items.reorder import COLD_ITEMS
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.notes import query_words
from metarec.recommendation.queries.pseudo_events import query_scores
from metarec.recommendation.queries.unwanted import put_last
from metarec.recommendation.ranking import Ranking
from metarec.recommendation.slate import Request
from metarec.runtime.scratch import Scratch

PREDICTED = "predicted_rating"
"""Name of the score component from predicted ratings."""
WISH_WEIGHT = 1.5
"""Score added for an item that fits the query in words one standard deviation better."""
_SCRATCH = Scratch()


def score(model: FittedModel, requests: Sequence[Request]) -> Ranking:
    """Return the requests with their scores, in a buffer that the next call on this thread
    overwrites.
    """
    users, unknown = model.users(requests)
    scores = _SCRATCH.array("scores", (len(requests), len(model.vocabulary)))
    log_scores(model, requests, users, scores)
    return Ranking(requests=requests, users=users, unknown=unknown, scores=scores)


def log_scores(
    model: FittedModel,
    requests: Sequence[Request],
    users: UserBatch,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """[B, N] float32 log-scores of the whole catalog, seen items included."""
    scores = model.ensemble.score(users, out)
    predicted = _predicted(model, users)
    if predicted is not None:
        scores += predicted
    if model.new_items is not None:
        model.new_items.reorder(scores, users.support)
    for row, request in enumerate(requests):
        added = part_of_words(model, request)
        if added is not None:
            scores[row] += added
    return scores


def part_of_words(model: FittedModel, request: Request) -> np.ndarray | None:
    """[N] score component of the query in words; None where the request has none."""
    words = query_words(request, model.ensemble.scorers)
    return WISH_WEIGHT * _fit_to_words(model, words) if words else None


def score_components(model: FittedModel, requests: Sequence[Request]) -> dict[str, np.ndarray]:
    """Return the components of `log_scores` by name, each [B, N]."""
    users, _ = model.users(requests)
    components = model.ensemble.score_components(users)
    predicted = _predicted(model, users)
    if predicted is not None:
        components[PREDICTED] = predicted
    if model.new_items is not None and model.new_items.is_needed:
        components[COLD_ITEMS] = model.new_items.score_component(
            np.sum(list(components.values()), axis=0), users.support
        )
    words = [query_words(request, model.ensemble.scorers) for request in requests]
    if any(words):
        components["wish"] = WISH_WEIGHT * np.stack(
            [_fit_to_words(model, query) for query in words]
        )
    return components


def _predicted(model: FittedModel, users: UserBatch) -> np.ndarray | None:
    """[B, N] score component from predicted ratings, where users choose between few given items; 0
    for all other items, None where it does not apply to any user.
    """
    predicted = predicted_of_given(model, users)
    if predicted is None:
        return None
    part, given = np.zeros((len(users), len(model.catalog)), np.float32), users.given
    part[given.owners, given.items] = predicted
    return part


def predicted_of_given(model: FittedModel, users: UserBatch) -> np.ndarray | None:
    """[E] the same component, only for the items of `users.given`."""
    weights = model.ensemble.rating_weights(users)
    if model.ratings is None or not weights.any():
        return None
    steps, _ = model.ratings.steps(users.support, users.given, users.profiles)
    return np.asarray(weights[users.given.owners] * steps)


def _fit_to_words(model: FittedModel, words: str | None) -> np.ndarray:
    """[N] z-scores of how well each item's text fits the query in words, with items that contain
    unwanted phrases last; 0 without a query.
    """
    fit = np.zeros(len(model.catalog), np.float32)
    if not words:
        return fit
    if model.text.shape[1]:
        read = partial(read_queries, model.item_inputs.encoder)
        fit = query_scores(words, model.text.astype(np.float32), read)
    return put_last(fit, words, model.item_words)

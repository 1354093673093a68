"""First stages for a large catalog: restrict, then retrieve candidates and score them.

Restrictions are applied before retrieval, so that a filter cannot remove all candidates: they are
chosen among the items that may be shown, and where few items remain, all of them are scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from metarec.features.behavior import Behavior
from metarec.features.users import UserBatch
from metarec.models.cold_items.reorder import NewItemPlaces
from metarec.recommendation.candidates.retrieval import SIZES, Retrieval, each_once, joined
from metarec.recommendation.candidates.some_items import SubsetScorer
from metarec.recommendation.ensemble.blend import Ensemble
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.notes import query_words
from metarec.recommendation.ranking import Ranking, SlateOptions
from metarec.recommendation.slate import Request
from metarec.recommendation.stages.restrict import hide, restrict
from metarec.recommendation.stages.score import predicted_of_given, score

FEW = 10_000
"""Maximum number of remaining items at which all of them are scored."""
USERS, PLACES = 60, 10
"""Number of training users on whom retrieval is compared with the exact ranking, and the cutoff k
of that comparison.
"""
WANTED = 0.99
"""Target overlap of the top k with the exact top k; the number of candidates grows until it is
reached.
"""


def retrieve(model: FittedModel, requests: Sequence[Request], options: SlateOptions) -> Ranking:
    """Return a ranking with the scores of all items that may be shown, or of candidates among
    them.
    """
    words = any(query_words(request, model.ensemble.scorers) for request in requests)
    if model.retrieval is None or not model.retrieval.is_near or words:
        return restrict(model, score(model, requests), options)
    users, unknown = model.users(requests)
    hidden = np.zeros((len(requests), len(model.catalog)), bool)
    hide(model, hidden, requests, users, options)
    pins = model.vocabulary.indexes(options.rules.pin)
    always = np.union1d(model.retrieval.always, pins[pins >= 0])
    retrieval = replace(model.retrieval, always=always) if len(pins) else model.retrieval
    rankings = []
    for row in range(len(requests)):
        one_user = users.rows(np.array([row]))
        predicted, allowed = predicted_of_given(model, one_user), ~hidden[row]
        items, scores = candidates(
            model.ensemble, model.new_items, retrieval, one_user, allowed, predicted
        )
        rankings.append((items[allowed[items]], scores[allowed[items]]))
    # At least one column, so that an empty slate has a valid shape.
    items = each_once([np.zeros(1, np.int64), *(items_of_user for items_of_user, _ in rankings)])
    scores = np.full((len(requests), len(items)), -np.inf, np.float32)
    for row, (items_of_user, own_scores) in enumerate(rankings):
        scores[row, np.searchsorted(items, items_of_user)] = own_scores
    return Ranking(requests=requests, users=users, unknown=unknown, scores=scores, items=items)


def candidates(
    ensemble: Ensemble,
    new_items: NewItemPlaces | None,
    retrieval: Retrieval,
    user: UserBatch,
    allowed: np.ndarray,
    predicted: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return candidates for one user, ascending, and their log-scores; cold items that are reranked
    are among them, whether allowed or not.

    Args:
        allowed: [N] bool, items that may be shown.
        predicted: score that predicted ratings add to each item of `user.given`.
    """
    scorer = SubsetScorer.of(ensemble, user, retrieval.stand_ins)
    if np.count_nonzero(allowed) <= FEW:
        items = np.flatnonzero(allowed)
        scores = scorer.scores(items)[0]
    else:
        items, scores = retrieval.candidates(scorer, allowed)
    if predicted is not None:
        at = np.minimum(np.searchsorted(items, user.given.items), max(len(items) - 1, 0))
        is_there = items[at] == user.given.items if len(items) else np.zeros(len(at), bool)
        scores[at[is_there]] += predicted[is_there]
    if new_items is None or not new_items.is_needed:
        return items, scores
    more = np.setdiff1d(new_items.reordered, items)
    items, scores = joined(items, scores, more, scorer.scores(more)[0])
    new_items.reorder_among(scores[None, :], items, user.support)
    return items, scores


def fit_retrieval(model: FittedModel, behavior: Behavior, rng: np.random.Generator) -> Retrieval:
    """Return retrieval with the fewest candidates that give nearly the exact slates (`WANTED`) for
    a sample of training users.
    """
    retrieval = Retrieval.of(model.ensemble, rng)
    sample = _some_users(behavior, rng)
    users = [sample.rows(np.array([row])) for row in range(len(sample))]
    exact = [_scores_of_all(model, user) for user in users]
    for size in SIZES:
        resized = replace(retrieval, size=size)
        best = [_best_of_candidates(model, resized, user) for user in users]
        near = [_share_of_best(*both) for both in zip(exact, best, strict=True)]
        retrieval = replace(resized, overlap=float(np.mean(near)), users=len(users))
        if retrieval.overlap >= WANTED:
            break
    return retrieval


def _some_users(behavior: Behavior, rng: np.random.Generator) -> UserBatch:
    """Sample training users, with supports of the sizes of the horizon in turn."""
    drawn = rng.permutation(np.flatnonzero(behavior.histories.lengths > 0))[:USERS]
    n_support = np.resize(behavior.horizon.support_sizes, len(drawn))
    return behavior.batch_of(drawn, behavior.histories.users(drawn).first(n_support))


def _scores_of_all(model: FittedModel, user: UserBatch) -> np.ndarray:
    """[N] exact log-scores of one user; -inf for items of the support."""
    scores = model.ensemble.score(user)
    if model.new_items is not None:
        model.new_items.reorder(scores, user.support)
    scores[0, user.support.items] = -np.inf
    return np.asarray(scores[0])


def _share_of_best(scores: np.ndarray, items: np.ndarray) -> float:
    """Return the share of `items` that are among the exact top by `scores` of all items; ties at
    the border count as hits.
    """
    border = np.partition(scores, -PLACES)[-PLACES]
    return float((scores[items] >= border - 1e-4).mean())


def _best_of_candidates(model: FittedModel, retrieval: Retrieval, user: UserBatch) -> np.ndarray:
    """Return the top `PLACES` items of one user among candidates, without items of the support."""
    allowed = np.ones(len(model.catalog), bool)
    allowed[user.support.items] = False
    items, scores = candidates(model.ensemble, model.new_items, retrieval, user, allowed)
    scores = np.where(allowed[items], scores, -np.inf)
    return items[np.argsort(-scores, kind="stable")[:PLACES]]

"""First stages of a large catalog: candidates and their log-scores, and which may be shown.

What may be shown is known first, so that no filter takes all candidates away: of what it leaves
they are chosen, and where it leaves few items all of them are asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from metarec.features.behavior import Behavior
from metarec.features.users import UserBatch
from metarec.models.cold_items.reorder import NewItemPlaces
from metarec.recommendation.candidates.retrieval import SIZES, Retrieval, each_once, joined
from metarec.recommendation.candidates.some_items import Asking
from metarec.recommendation.ensemble.blend import Ensemble
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.notes import words_asked
from metarec.recommendation.ranking import Ranking, SlateOptions
from metarec.recommendation.slate import Request
from metarec.recommendation.stages.restrict import hide, restrict
from metarec.recommendation.stages.score import predicted_of_given, score

FEW = 10_000
"""Items that are all asked about where no more may be shown."""
USERS, PLACES = 60, 10
"""Training users on whom candidates are compared with the whole catalog, and places compared."""
WANTED = 0.99
"""Share of those places that must be equal: candidates grow in number until it is reached."""


def retrieve(model: FittedModel, requests: Sequence[Request], options: SlateOptions) -> Ranking:
    """Requests with the scores of what may be shown: of all items, or of candidates."""
    words = any(words_asked(request, model.ensemble.scorers) for request in requests)
    if model.retrieval is None or not model.retrieval.is_near or words:
        return restrict(model, score(model, requests), options)
    users, unknown = model.users(requests)
    hidden = np.zeros((len(requests), len(model.catalog)), bool)
    hide(model, hidden, requests, users, options)
    pins = model.vocabulary.indexes(options.rules.pin)
    always = np.union1d(model.retrieval.always, pins[pins >= 0])
    retrieval = replace(model.retrieval, always=always) if len(pins) else model.retrieval
    found = []
    for row in range(len(requests)):
        asking = users.rows(np.array([row]))
        predicted, allowed = predicted_of_given(model, asking), ~hidden[row]
        items, scores = candidates(
            model.ensemble, model.new_items, retrieval, asking, allowed, predicted
        )
        found.append((items[allowed[items]], scores[allowed[items]]))
    # One column at least, so that a slate of nothing is a slate
    items = each_once([np.zeros(1, np.int64), *(own for own, _ in found)])
    scores = np.full((len(requests), len(items)), -np.inf, np.float32)
    for row, (own, told) in enumerate(found):
        scores[row, np.searchsorted(items, own)] = told
    return Ranking(requests=requests, users=users, unknown=unknown, scores=scores, items=items)


def candidates(
    ensemble: Ensemble,
    new_items: NewItemPlaces | None,
    retrieval: Retrieval,
    user: UserBatch,
    allowed: np.ndarray,
    predicted: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Items for one user, ascending, and their log-scores; new items that are reordered are
    among them, allowed or not.

    Args:
        predicted: what predicted ratings add to each item of `user.given`.
    """
    asking = Asking.of(ensemble, user, retrieval.stand_ins)
    if np.count_nonzero(allowed) <= FEW:
        items = np.flatnonzero(allowed)
        scores = asking.scores(items)[0]
    else:
        items, scores = retrieval.candidates(asking, allowed)
    if predicted is not None:
        at = np.minimum(np.searchsorted(items, user.given.items), max(len(items) - 1, 0))
        is_there = items[at] == user.given.items if len(items) else np.zeros(len(at), bool)
        scores[at[is_there]] += predicted[is_there]
    if new_items is None or not new_items.is_needed:
        return items, scores
    more = np.setdiff1d(new_items.reordered, items)
    items, scores = joined(items, scores, more, asking.scores(more)[0])
    new_items.reorder_among(scores[None, :], items, user.support)
    return items, scores


def fit_retrieval(model: FittedModel, behavior: Behavior, rng: np.random.Generator) -> Retrieval:
    """As few candidates as give the exact slates of some training users."""
    retrieval = Retrieval.of(model.ensemble, rng)
    asked = _some_users(behavior, rng)
    users = [asked.rows(np.array([row])) for row in range(len(asked))]
    exact = [_scores_of_all(model, user) for user in users]
    for size in SIZES:
        found = replace(retrieval, size=size)
        best = [_best_of_candidates(model, found, user) for user in users]
        near = [_share_of_best(*both) for both in zip(exact, best, strict=True)]
        retrieval = replace(found, overlap=float(np.mean(near)), users=len(users))
        if retrieval.overlap >= WANTED:
            break
    return retrieval


def _some_users(behavior: Behavior, rng: np.random.Generator) -> UserBatch:
    """Training users after as many events as new users have, each support size in turn."""
    drawn = rng.permutation(np.flatnonzero(behavior.histories.lengths > 0))[:USERS]
    shots = np.resize(behavior.horizon.shots, len(drawn))
    return behavior.batch_of(drawn, behavior.histories.users(drawn).first(shots))


def _scores_of_all(model: FittedModel, user: UserBatch) -> np.ndarray:
    scores = model.ensemble.score(user)
    if model.new_items is not None:
        model.new_items.reorder(scores, user.support)
    scores[0, user.support.items] = -np.inf
    return np.asarray(scores[0])


def _share_of_best(scores: np.ndarray, items: np.ndarray) -> float:
    """The share of `items` that are among the best by `scores` of all; of equal ones any is."""
    border = np.partition(scores, -PLACES)[-PLACES]
    return float((scores[items] >= border - 1e-4).mean())


def _best_of_candidates(model: FittedModel, retrieval: Retrieval, user: UserBatch) -> np.ndarray:
    allowed = np.ones(len(model.catalog), bool)
    allowed[user.support.items] = False
    items, scores = candidates(model.ensemble, model.new_items, retrieval, user, allowed)
    scores = np.where(allowed[items], scores, -np.inf)
    return items[np.argsort(-scores, kind="stable")[:PLACES]]

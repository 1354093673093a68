"""Second stage: items that may not be shown leave the ranking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metarec.data.schema import Catalog, Vocabulary
from metarec.features.users import UserBatch
from metarec.recommendation.filters import filter_mask
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.ranking import Ranking, SlateOptions
from metarec.recommendation.slate import Request
from metarec.recommendation.stages.nearby import hide_far


def restrict(model: FittedModel, ranking: Ranking, options: SlateOptions) -> Ranking:
    """With -inf, written in place, for what filter, rules, request, policy or a refusal hide."""
    hide(model, ranking.scores, ranking.requests, ranking.users, options)
    return ranking


def hide(
    model: FittedModel,
    scores: np.ndarray,
    requests: Sequence[Request],
    users: UserBatch,
    options: SlateOptions,
) -> None:
    """Write -inf, in place, where one of `scores` [B, N] may not be shown. To an array of bool
    that is True, so one of False becomes what is hidden.
    """
    hide_items(scores, requests, model.catalog, options)
    hide_far(scores, requests, users.context.location, model.request_reader.places)
    model.policy_check.hide(scores, requests, (users.support.owners, users.support.items))
    scores[users.refused.owners, users.refused.items] = -np.inf


def hide_items(
    scores: np.ndarray, requests: Sequence[Request], catalog: Catalog, options: SlateOptions
) -> None:
    """Set to -inf, in place, what a user may not be shown, of `scores` [B, N] in the order of the
    catalog.

    Raises:
        BadInput: if the filter cannot be read.
    """
    vocabulary = catalog.vocabulary
    if options.filter and options.filter.strip():
        scores[:, ~filter_mask(options.filter, catalog.frame)] = -np.inf
    if options.rules.ban:
        banned = vocabulary.indexes(options.rules.ban)
        scores[:, banned[banned >= 0]] = -np.inf
    if any(request.exclude for request in requests):
        scores[_pairs([request.exclude for request in requests], vocabulary)] = -np.inf
    limited = [row for row, request in enumerate(requests) if request.allow is not None]
    if limited:
        owner, items = _pairs([requests[row].allow or () for row in limited], vocabulary)
        only = np.full((len(limited), len(vocabulary)), -np.inf, scores.dtype)
        only[owner, items] = scores[np.array(limited)[owner], items]
        scores[limited] = only


def _pairs(ids: Sequence[Sequence[str]], vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """(user, item) index pairs of lists of ids; unknown ids are left out."""
    owner = np.repeat(np.arange(len(ids)), [len(row) for row in ids])
    items = vocabulary.indexes(str(item_id) for row in ids for item_id in row)
    return owner[items >= 0], items[items >= 0]

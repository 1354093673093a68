"""Second stage: hide the items that may not be shown."""

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
    """Set scores to -inf, in place, where filter, rules, request, policy or a refusal hide an
    item.
    """
    hide(model, ranking.scores, ranking.requests, ranking.users, options)
    return ranking


def hide(
    model: FittedModel,
    scores: np.ndarray,
    requests: Sequence[Request],
    users: UserBatch,
    options: SlateOptions,
) -> None:
    """Set `scores` [B, N] to -inf, in place, where an item may not be shown. With a boolean array
    instead of scores, hidden items become True.
    """
    hide_items(scores, requests, model.catalog, options)
    hide_far(scores, requests, users.context.location, model.request_reader.places)
    model.policy_check.hide(scores, requests, (users.support.owners, users.support.items))
    scores[users.refused.owners, users.refused.items] = -np.inf


def hide_items(
    scores: np.ndarray, requests: Sequence[Request], catalog: Catalog, options: SlateOptions
) -> None:
    """Set `scores` [B, N] to -inf, in place, for items hidden by the filter, bans, or the request's
    `exclude` and `allow`.

    Raises:
        BadInput: if the filter is malformed.
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
    """Return (user, item) index pairs of lists of item ids; unknown ids are dropped."""
    owner = np.repeat(np.arange(len(ids)), [len(row) for row in ids])
    items = vocabulary.indexes(str(item_id) for row in ids for item_id in row)
    return owner[items >= 0], items[items >= 0]

"""Predicted values and their standard deviations, on the data's scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from metarec.data.arguments import ids_of, shown
from metarec.data.schema import BadInput
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.rating.head import RatingHead
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.slate import Request


def predict_ratings(
    model: FittedModel, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return predicted values and standard deviations of each request's items.

    Raises:
        BadInput: if the training values are not ratings.
    """
    if model.ratings is None:
        raise BadInput(
            "this model was trained on events without ratings, so it ranks but does not rate"
        )
    users = model.users(requests)[0]
    lists: Any = item_ids
    is_list = isinstance(lists, Sequence | np.ndarray) and not isinstance(lists, str | bytes)
    if not is_list or len(lists) != len(requests) or any(isinstance(i, str) for i in lists):
        raise BadInput(
            f"item_ids holds a list of items for each request ({len(requests)} here), such as "
            f"[['item1', 'item2']]; got {shown(item_ids)}"
        )
    index = [model.vocabulary.indexes(ids_of("item_ids", ids)) for ids in item_ids]
    values, spread = predict_at(model, model.ratings, users, Histories.of_indexes(index))
    cuts = np.cumsum([len(row) for row in index])[:-1]
    return list(zip(np.split(values, cuts), np.split(spread, cuts), strict=True))


def predict_at(
    model: FittedModel, ratings: RatingHead, users: UserBatch, query: Histories
) -> tuple[np.ndarray, np.ndarray]:
    """Return predicted values and standard deviations [E] of items by index; -1 is an unknown item,
    for which the mean is predicted.
    """
    unknown = query.items < 0
    readable = replace(query, items=np.maximum(query.items, 0)) if unknown.any() else query
    values, spread = ratings.predict(users.support, readable, users.profiles)
    values[unknown], spread[unknown] = ratings.mean, ratings.noise[0]
    if model.intervals is not None:
        spread = spread * model.intervals.factor(users.support.lengths)[query.owners]
    return values, spread

"""Pipeline from requests to slates: retrieve (score -> restrict) -> order -> annotate.

One `Ranking` is passed through the stages; each returns it with its results, and none calls an
earlier one. Cold items for reserved positions are set aside before the order, and drawn after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from metarec.data.arguments import shown
from metarec.data.errors import BadInput
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.ranking import Ranking, SlateOptions
from metarec.recommendation.slate import Request, Slate, checked_requests
from metarec.recommendation.stages.annotate import annotate
from metarec.recommendation.stages.cold_share import reserved_cold_items
from metarec.recommendation.stages.order import order
from metarec.recommendation.stages.restrict import restrict
from metarec.recommendation.stages.retrieve import retrieve
from metarec.recommendation.stages.score import score
from metarec.runtime.rng import derive

FirstStages: TypeAlias = Callable[[FittedModel, Sequence[Request], SlateOptions], Ranking]
"""Function that returns the scores of the items that may be shown, as `retrieve` does."""


def recommend(
    model: FittedModel,
    requests: Sequence[Request],
    options: SlateOptions,
    rng: np.random.Generator | None = None,
) -> list[Slate]:
    """Return one slate per request; randomness is seeded by the model's seed unless `rng` is
    given.
    """
    checked_requests(requests)
    if not isinstance(rng, np.random.Generator | None):
        raise BadInput(f"rng is a numpy Generator (np.random.default_rng(5)), got {shown(rng)}")
    return recommend_each(model, requests, [options] * len(requests), rng)


def recommend_each(
    model: FittedModel,
    requests: Sequence[Request],
    options: Sequence[SlateOptions],
    rng: np.random.Generator | None = None,
    first: FirstStages = retrieve,
) -> list[Slate]:
    """Return one slate per request, each with its own options. Where the whole catalog is scored,
    all requests are scored in one batch; requests that share the same options object are ordered in
    one batch.
    """
    rng = rng or derive(model.settings.seed, "slates")
    groups: dict[int, list[int]] = {}
    for row, shared in enumerate(options):
        groups.setdefault(id(shared), []).append(row)
    is_whole = first is retrieve and (model.retrieval is None or not model.retrieval.is_near)
    scored = score(model, requests) if is_whole and len(groups) > 1 else None
    slates: dict[int, Slate] = {}
    for rows in groups.values():
        shared = options[rows[0]]
        ranking = (
            first(model, [requests[row] for row in rows], shared)
            if scored is None
            else restrict(model, scored.rows(rows), shared)
        )
        slates.update(zip(rows, _finished(model, ranking, shared, rng), strict=True))
    return [slates[row] for row in range(len(requests))]


def _finished(
    model: FittedModel, ranking: Ranking, options: SlateOptions, rng: np.random.Generator
) -> list[Slate]:
    reserve = reserved_cold_items(model, ranking, options)
    if reserve is None:
        return annotate(model, order(model, ranking, options, rng), options)
    ordered = order(model, reserve.hidden(ranking), options, rng).ordered
    return annotate(model, replace(ranking, ordered=reserve.drawn(ordered, rng)), options)

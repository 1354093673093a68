"""Last stage: the slates' scores, uncertainty, predicted values, intervals and notes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from metarec.data.unicode_forms import form_notes
from metarec.features.histories import Histories, offsets_of
from metarec.models.registry import LOCATION, SEARCH
from metarec.models.search import Search
from metarec.recommendation.conformal import normal_interval
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.notes import (
    columns_read,
    context_notes,
    home_notes,
    ignored_notes,
    query_words,
    scale_notes,
    value_notes,
)
from metarec.recommendation.predicted_ratings import predict_at
from metarec.recommendation.queries.unwanted import unread_notes, unwanted_notes
from metarec.recommendation.ranking import Ranking, SlateOptions
from metarec.recommendation.slate import Request, Slate
from metarec.recommendation.stages.nearby import nothing_near

LEVEL = 0.9
"""Target coverage of the intervals of predicted values, as a share of new users' values."""


def annotate(model: FittedModel, ranking: Ranking, options: SlateOptions) -> list[Slate]:
    """Return the finished slates."""
    shown = _filled_positions(ranking)
    columns = _columns(model, ranking, shown)
    names = model.vocabulary.names(shown.items.tolist())
    n_known = (ranking.users.support.lengths + ranking.users.refused.lengths).tolist()
    slates = []
    for row, (start, end) in enumerate(
        zip(shown.offsets[:-1].tolist(), shown.offsets[1:].tolist(), strict=True)
    ):
        slates.append(
            Slate(
                item_ids=names[start:end],
                model_version=model.version,
                n_known=n_known[row],
                notes=_notes(model, ranking, row, shown.items[start:end].tolist()),
                **{name: column[start:end] for name, column in columns.items()},
            )
        )
    for row, slate in enumerate(slates):
        if options.rules.pin:
            slate.notes.extend(_pin_notes(model, ranking.requests[row], slate, options))
        if not slate.item_ids:
            slate.notes.append(_why_empty(model, ranking, row, options))
    return slates


def _filled_positions(ranking: Ranking) -> Histories:
    """Return the filled positions of all slates as flat histories, user by user."""
    is_filled = ranking.ordered.items >= 0
    items = ranking.ordered.items[is_filled]
    values = np.ones(len(items), np.float32)
    return Histories(offsets=offsets_of(is_filled.sum(1)), items=items, values=values)


def _columns(model: FittedModel, ranking: Ranking, shown: Histories) -> dict[str, np.ndarray]:
    """Return the columns of the slates, each [E] or [E, 2], over all filled positions."""
    is_filled, support = ranking.ordered.items >= 0, ranking.users.support
    columns = {
        "scores": ranking.scores[shown.owners, ranking.columns(shown.items)],
        "propensity": ranking.ordered.propensity[is_filled],
    }
    if model.ratings is None:
        items = np.maximum(ranking.ordered.items, 0)
        spread = model.posterior_std(support, items)
        return {**columns, "uncertainty": spread[is_filled]}
    predicted, spread = predict_at(model, model.ratings, ranking.users, shown)
    return {
        **columns,
        "uncertainty": spread,
        "predicted": predicted,
        "interval": normal_interval(predicted, spread, LEVEL, model.value_range),
    }


def _notes(model: FittedModel, ranking: Ranking, row: int, shown: list[int]) -> list[str]:
    """Return notes on what was ignored or assumed for the user at `row`, whose slate holds the
    items `shown`.
    """
    request, unknown = ranking.requests[row], ranking.unknown[row]
    notes = [*ranking.ordered.notes]
    if unknown:
        notes.append(
            "1 event named an item that is not in the catalog and was ignored"
            if unknown == 1
            else f"{unknown} events named items that are not in the catalog and were ignored"
        )
        notes += form_notes((event[0] for event in request.history), model.vocabulary)
    events = model.request_reader.events
    notes += scale_notes(events.off_scale(request.history), events.low, events.high)
    if unlisted := _unlisted(model, request):
        notes.append(
            "1 of the allowed items is not in the catalog and was ignored"
            if unlisted == 1
            else f"{unlisted} of the allowed items are not in the catalog and were ignored"
        )
    if request.wish and not model.text.shape[1]:
        notes.append("this catalog has no text, so the wish was ignored")
    if words := query_words(request, model.ensemble.scorers):
        notes += unread_notes(words, model.item_inputs.encoder)
    if request.wish:
        notes += unwanted_notes(request.wish, model.item_words, model.item_inputs.encoder.name)
    more = [*_profile_notes(model, request), *ignored_in(model, request)]
    return [*notes, *more, *model.policy_notes(request, shown)]


def _pin_notes(
    model: FittedModel, request: Request, slate: Slate, options: SlateOptions
) -> list[str]:
    """Return notes that say why pinned items are not shown."""
    pins, shown = dict.fromkeys(options.rules.pin), set(slate.item_ids)
    notes = [f"there is no item {pin!r} to pin" for pin in pins if pin not in model.vocabulary]
    for pin in list(pins)[: options.k]:
        if pin in shown or pin not in model.vocabulary:
            continue
        banned = ["it is banned too"] if pin in options.rules.ban else []
        why = "; ".join([*banned, *model.policy_check.reasons(request, pin)])
        why = why or "it was seen or excluded, or filter, allow or a quota leave it out"
        notes.append(f"{pin!r} is pinned but may not be shown: {why}")
    return notes


def _why_empty(model: FittedModel, ranking: Ranking, row: int, options: SlateOptions) -> str:
    """Return the note of an empty slate."""
    request = ranking.requests[row]
    if request.within_km is not None:
        here = ranking.users.context.location[row]
        return nothing_near(request, here, model.request_reader.places)
    if options.filter:
        return f"no item that may be shown passes the filter {options.filter!r}"
    if request.allow is not None:
        return "none of the allowed items may be shown"
    return (
        "no item is left that may be shown: this user has had, refused or excludes all others, or "
        "the policy or a rule hides them"
    )


def _unlisted(model: FittedModel, request: Request) -> int:
    """Return the number of allowed items that are not in the catalog."""
    allowed = {str(item_id) for item_id in request.allow or ()}
    return int((model.vocabulary.indexes(allowed) < 0).sum()) if allowed else 0


def _profile_notes(model: FittedModel, request: Request) -> list[str]:
    """Return the note on profile attributes that neither the model nor the policy reads."""
    if model.reads_users or not request.profile:
        return []
    unread = model.profile_inputs.unread(request.profile)
    return ignored_notes(
        {n: v for n, v in unread.items() if n not in model.policy_check.heeds(unread)}
    )


def ignored_in(model: FittedModel, request: Request) -> list[str]:
    """Return notes on context, friends, location and searches that were ignored."""
    context = request.context, request.friends, request.searches
    reads_places = LOCATION in model.ensemble.scorers
    is_home = request.location is None and reads_places and request.profile
    home = home_notes(request.profile) if is_home else []
    if (request.location is None or reads_places) and not any(map(len, context)):
        return home
    read = columns_read(model.ensemble.scorers)
    heeded = model.policy_check.heeds(request.context)
    unread = {name: value for name, value in request.context.items() if name not in heeded}
    unknown = model.request_reader.unknown_values(unread, read)
    return home + context_notes(
        replace(request, context=unread),
        model.ensemble.scorers,
        {name: value for name, value in unread.items() if name not in read},
        model.request_reader.unknown_friends(request),
        value_notes(model.context_columns, unread, read, {*unknown}),
        _unknown_searches(model, request),
        reads_text=bool(model.text.shape[1]),
    )


def _unknown_searches(model: FittedModel, request: Request) -> list[str]:
    """Return the searches of which the model of searches knows no word."""
    scorer = model.ensemble.scorers.get(SEARCH)
    if not isinstance(scorer, Search):
        return []
    return [query for query in dict.fromkeys(request.searches) if scorer.unknown(query)]

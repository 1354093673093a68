"""Notes of a slate on the context of its request that the model could not use."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from metarec.data.errors import BadInput
from metarec.data.places import LATITUDE, LONGITUDE, home_of, is_placed, location_of
from metarec.data.policies import nearest
from metarec.features.context_columns import ContextColumns
from metarec.models.context.model import Context
from metarec.models.registry import CONTEXT, FRIENDS, LOCATION, REPEAT, SEARCH
from metarec.models.repeat.model import Repeat
from metarec.recommendation.slate import Request

NEAR = 0.6
"""Minimum similarity of an unknown column to a known one for the known one to be suggested."""


def columns_read(scorers: Mapping[str, Any]) -> list[str]:
    """Return the context columns that tell which new item is taken, or which known one again."""
    context, repeat = scorers.get(CONTEXT), scorers.get(REPEAT)
    if not isinstance(context, Context):
        return []
    read = {*context.read_columns}
    if isinstance(repeat, Repeat):
        read.update(repeat.circumstances.read_columns)
    return [name for name in context.names if name in read]


def columns_note(scorers: Mapping[str, Any], columns: ContextColumns) -> str:
    """Return the note on the context columns that are read, with the number of their values where
    not all are, and on those that are not; empty where no model reads any.
    """
    context, read = scorers.get(CONTEXT), columns_read(scorers)
    if not isinstance(context, Context):
        return ""
    unread = [name for name in context.names if name not in read]
    names = ", ".join(map(columns.named, read)) or "none"
    if not unread:
        return f"context read: {names}"
    return f"context read: {names}; not used, since it tells nothing: {', '.join(unread)}"


def context_notes(
    request: Request,
    models: Collection[str],
    unread: Mapping[str, Any],
    unknown_friends: int,
    value_notes: Sequence[str],
    unknown_searches: Sequence[str],
    *,
    reads_text: bool,
) -> list[str]:
    """Return one sentence for each part of a request that was ignored.

    Args:
        models: names of the scorers.
        unread: entries of `request.context` that the model did not learn from.
        unknown_friends: number of friends who are not among the training users.
        value_notes: notes on values of columns that are read.
        unknown_searches: searches of which the model that reads them knows no word.
        reads_text: whether searches can be matched with the items' texts.
    """
    notes = []
    if request.friends and FRIENDS not in models:
        notes.append("this model learned from data without friends, so friends were ignored")
    elif unknown_friends:
        notes.append(
            "1 friend is not among the training users and was ignored"
            if unknown_friends == 1
            else f"{unknown_friends} friends are not among the training users and were ignored"
        )
    if request.location is not None and LOCATION not in models:
        notes.append("the items of this model have no coordinates, so the location was ignored")
    if request.context and CONTEXT not in models:
        notes.append("this model learned from data without context, so the context was ignored")
    else:
        notes += ignored_notes(unread)
    notes += value_notes
    if request.searches and SEARCH not in models and not reads_text:
        notes.append("this model has neither searches nor texts, so the searches were ignored")
    notes += [
        f"neither items nor earlier searches have a word of {query!r}, so it was ignored"
        for query in unknown_searches
    ]
    return notes


def value_notes(
    columns: ContextColumns, context: Mapping[str, Any], read: Collection[str], unknown: set[str]
) -> list[str]:
    """Return notes on values of the circumstances `context` in the columns `read`: those that no or
    too few training events have (`unknown` columns), and numbers beyond those of training.
    """
    stated = {name: value for name, value in context.items() if name in read and value is not None}
    rare = {n: v for n, v in stated.items() if n in unknown and columns.too_rare(n, v)}
    never = {n: v for n, v in stated.items() if n in unknown and n not in rare}
    notes = []
    if never:
        notes.append(f"no training event has {_listed(never)}, so it was ignored")
    if rare:
        notes.append(f"too few training events have {_listed(rare)}, so it was ignored")
    for name, value in stated.items():
        if ends := columns.beyond(name, value):
            low, high = ends
            notes.append(
                f"{_listed({name: value})} lies outside the {low:g} to {high:g} that the model "
                f"learned from and counts as the nearer end"
            )
    return notes


def home_notes(profile: Mapping[str, Any]) -> list[str]:
    """Return the note on a home that cannot be: degrees swapped, out of range, or one alone."""
    degrees = tuple(profile.get(name) for name in (LATITUDE, LONGITUDE))
    if {*degrees} <= {None, ""} or is_placed(home_of([profile])).all():
        return []
    try:
        location_of(degrees)
    except BadInput as error:
        return [f"the home among the attributes was ignored: {error}"]
    return []


def scale_notes(n_off: int, low: float, high: float) -> list[str]:
    """Return the note on ratings outside the scale of the training data."""
    if not n_off:
        return []
    ends = f"outside the {low:g} to {high:g} that the model learned from"
    if n_off == 1:
        return [f"1 rating lies {ends} and counts as the nearer end"]
    return [f"{n_off} ratings lie {ends} and count as the nearer end"]


def ignored_notes(unread: Mapping[str, Any]) -> list[str]:
    """Return the note on attributes or circumstances that the model did not learn from."""
    if not unread:
        return []
    return [f"the model learned nothing of {_listed(unread)}, so it was ignored"]


def refuse_unknown_context(
    columns: ContextColumns, context: Mapping[str, Any], heeded: Collection[str]
) -> None:
    """Refuse circumstances that are not columns of the training events, where these have context
    columns: a misspelled name would otherwise be ignored unnoticed. Attributes that the policy
    reads (`heeded`) are known too.

    Raises:
        BadInput: naming the column and the nearest known one.
    """
    for name in context:
        if columns.names and name not in columns.names and name not in heeded:
            near = nearest(name, columns.names, NEAR)
            hint = f"did you mean {near!r}? " if near else ""
            raise BadInput(
                f"context {name!r} is not known; {hint}known are {', '.join(columns.names)}"
            )


def _listed(context: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in context.items())


def query_words(request: Request, models: Sequence[str] | Collection[str]) -> str | None:
    """Return the words to match with the items' texts: the request's `wish`; else the newest search
    query, where no model of the ensemble reads searches.
    """
    if request.wish or SEARCH in models or not request.searches:
        return request.wish
    return request.searches[-1]

"""A request in the words of the command line: what a user did, likes and says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metarec.app.commands.options import (
    number_of,
    pairs_of,
)

if TYPE_CHECKING:
    from metarec.recommendation.slate import Request
    from metarec.recommender import Recommender


def request_of(
    model: Recommender,
    like: list[str] | None,
    dislike: list[str] | None,
    profile: list[str] | None,
    wish: str | None,
    *,
    bought: list[str] | None = None,
    viewed: list[str] | None = None,
    did: list[str] | None = None,
) -> Request:
    """A user as the command line describes them.

    Raises:
        BadInput: if an item is not in the catalog, a value cannot be read, or an attribute looks
            like one of the policy's, misspelled.
    """
    from metarec.recommendation.slate import Request

    given = (("like", like), ("purchase", bought), ("view", viewed), ("dislike", dislike))
    history = [_event(text, kind, model) for kind, texts in given for text in texts or ()]
    history += [
        _event(text, _kind(kind, model), model) for kind, text in pairs_of(did, "--did", "KIND=ID")
    ]
    known_items(model, [item_id for item_id, *_ in history])
    stated = {name: _read(value) for name, value in pairs_of(profile, "--profile")}
    model.policy_check.refuse_misspelled(stated)
    return Request(history=history, wish=wish, profile=stated)


def known_items(model: Recommender, item_ids: Sequence[str]) -> Sequence[str]:
    """The ids as they are: one that is no item's is a slip of the pen, and a ban of it would ban
    nothing.

    Raises:
        BadInput: naming the first that is not in the catalog.
    """
    from metarec.data.schema import BadInput

    for item_id in item_ids:
        if item_id not in model.vocabulary:
            raise BadInput(
                f"item {item_id!r} is not in the catalog ({len(model.vocabulary):,} items)"
            )
    return item_ids


def with_context(
    model: Recommender,
    request: Request,
    friend: list[str] | None,
    near: str | None,
    context: list[str] | None,
    search: list[str] | None,
    within_km: float | None = None,
) -> Request:
    """The same user with friends, place, circumstances and searches.

    Raises:
        BadInput: if a value cannot be read, or the model knows no such circumstance.
    """
    from dataclasses import replace

    from metarec.data.places import location_of
    from metarec.recommendation.notes import refuse_unknown_context

    told = {name: _read(value) for name, value in pairs_of(context, "--context")}
    refuse_unknown_context(model.context_columns, told, model.policy_check.heeds(told))
    return replace(
        request,
        within_km=within_km,
        friends=friend or (),
        location=None if near is None else location_of(near.split(",")),
        context=told,
        searches=search or (),
    )


def titles_of(model: Recommender, item_ids: list[str]) -> list[str]:
    """What to call each item."""
    titles = model.catalog.titles()
    return [titles[row] for row in model.vocabulary.indexes(item_ids)]


def _event(text: str, kind: str, model: Recommender) -> tuple[str, float | None, str]:
    """`ID`, or `ID=VALUE` for a stated rating or amount; an id that holds a `=` itself is known by
    the catalog.
    """
    item_id, sign, stated = text.rpartition("=")
    if sign and text not in model.vocabulary:
        return item_id, number_of(stated, f"--{kind}"), "rating" if kind == "like" else kind
    if kind == "like" and model.has_values:
        return text, model.value_range[1], "rating"
    return text, None, kind


def _kind(name: str, model: Recommender) -> str:
    """A kind that the model's table has.

    Raises:
        BadInput: naming the nearest, if it has none of this name.
    """
    from metarec.data.schema import BadInput

    kinds = model.training.interactions.kinds
    if not kinds.known(name):
        near = kinds.nearest(name)
        hint = f"; did you mean {near!r}?" if near else ""
        raise BadInput(f"--did: kind {name!r} is not known{hint}")
    return name


def _read(text: str) -> Any:
    """A number where it reads as one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

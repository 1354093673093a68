"""What is wrong with a request, in one sentence: the most fitting of all that the framework finds
wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from metarec.app.service.schemas.fields import NO_CONTROL

Place = tuple[str | int, ...]
_OF_KIND = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "list_type": "a list",
}
"""What pydantic says of a value that is of another kind, and what it should have been."""
_KIND = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}
_PLAIN = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "string_too_long": "may have {max_length:,} letters, got {length:,}",
    "string_too_short": "must have {min_length:,} or more letters",
    "value_error": "{error}",
    "model_attributes_type": "must be an object, got {kind}",
    "greater_than": "must be above {gt}, got {given}",
    "greater_than_equal": "must be {ge} or more, got {given}",
    "less_than": "must be below {lt}, got {given}",
    "less_than_equal": "must be {le} or less, got {given}",
    "finite_number": "must be a finite number",
    "literal_error": "must be {expected}, got {given}",
    "too_short": "must have {min_length:,} or more, got {actual_length:,}",
    "too_long": "may have {max_length:,}, got {actual_length:,}",
    "json_invalid": "is no JSON: {error} at character {at}",
}
_OF_PATTERN = {NO_CONTROL: "may hold no control characters"}
MAX_SHOWN = 60
"""Letters of a value that a sentence shows."""


def validation_message(
    errors: Sequence[Any], body: Any, content_type: str | None, fields: Sequence[str] = ()
) -> str:
    """One sentence on all errors of a request.

    Args:
        errors: as pydantic gives them, in order.
        body: the body as read; bytes where it was not taken for JSON.
        content_type: the header.
        fields: what a body may hold, where that is one shape.
    """
    first = errors[0]
    if tuple(first["loc"]) == ("body",) and (
        isinstance(body, bytes) or (first["type"] == "missing" and content_type is None)
    ):
        got = f"got {content_type!r}" if content_type else "got none"
        return (
            f"a body must be JSON and say so with the header `content-type: application/json`, "
            f"{got}"
        )
    families: list[list[tuple[Place, Any]]] = []
    for error in errors:
        place = _place(error, body)
        if families and place[: len(families[-1][0][0])] == families[-1][0][0]:
            families[-1].append(
                (place, error)
            )  # one value that is of none of the kinds allowed there
        else:
            families.append([(place, error)])
    more = f" (and {len(families) - 1} more)" if len(families) > 1 else ""
    return f"{_of_one(families[0], fields)}{more}"


def _place(error: Any, body: Any) -> Place:
    """Where in the request; without the kinds that pydantic tried there, which nobody sent."""
    whole: Place = tuple(error["loc"])
    if error["type"] == "json_invalid":
        return whole[:1]
    if whole[0] != "body" or not isinstance(body, dict | list):
        return whole
    place: list[str | int] = ["body"]
    value: Any = body
    for number, part in enumerate(whole[1:], start=2):
        if part in (
            value
            if isinstance(value, dict)
            else range(len(value))
            if isinstance(value, list)
            else ()
        ):
            value = value[part]
        elif (error["type"] != "missing" or number < len(whole)) and part != "[key]":
            continue
        place.append(part)
    return tuple(place)


def _of_one(family: Sequence[tuple[Place, Any]], fields: Sequence[str]) -> str:
    """The sentence on one value: a bound it breaks tells more than the kinds it is not of; deeper
    tells more than shallower.
    """
    place = max((place for place, _ in family), key=len)
    there = [error for at, error in family if at == place]
    fitting = next((error for error in there if error["type"] not in _OF_KIND), there[0])
    where = ".".join(map(str, place))
    if fitting["type"] in _OF_KIND:
        wanted = dict.fromkeys(_OF_KIND[error["type"]] for error in there)
        *kinds, last = [
            kind for kind in wanted if kind != "a whole number" or "a number" not in wanted
        ]
        return (
            f"{where}: must be {', '.join(kinds)}{' or ' if kinds else ''}{last}, got "
            f"{_kind(fitting['input'])}"
        )
    if fitting["type"] == "extra_forbidden" and len(place) == 2 and fields:
        near = get_close_matches(str(place[1]), fields, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(fields)}"
        return f"{where}: is not known here; {hint}"
    return f"{where}: {_sentence(fitting)}"


def _sentence(error: Any) -> str:
    """What is wrong with a value, in our words where we have some for it."""
    given, bounds = error.get("input"), error.get("ctx", {})
    about = {
        **{name: _whole(bound) for name, bound in bounds.items()},
        "kind": _kind(given),
        "given": repr(_whole(given))[:MAX_SHOWN],
        "length": len(given) if isinstance(given, str) else 0,
        "at": error["loc"][-1],
    }
    plain = _OF_PATTERN.get(bounds.get("pattern")) or _PLAIN.get(error["type"])
    return error["msg"] if plain is None else plain.format(**about)


def _whole(value: Any) -> Any:
    """A number without the `.0` that nobody wrote; anything else as it is, so `1e308`, too."""
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if is_whole else value


def _kind(value: Any) -> str:
    return _KIND.get(type(value), "something else")

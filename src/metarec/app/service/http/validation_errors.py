"""What is wrong with a request, in one sentence: the most fitting of all that the framework finds
wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
}


def validation_message(errors: Sequence[Any], body: Any, content_type: str | None) -> str:
    """One sentence on all errors of a request.

    Args:
        errors: as pydantic gives them, in order.
        body: the body as read; bytes where it was not taken for JSON.
        content_type: the header.
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
    return f"{_of_one(families[0])}{more}"


def _place(error: Any, body: Any) -> Place:
    """Where in the request; without the kinds that pydantic tried there, which nobody sent."""
    whole: Place = tuple(error["loc"])
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


def _of_one(family: Sequence[tuple[Place, Any]]) -> str:
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
    given = fitting.get("input")
    about = {
        **fitting.get("ctx", {}),
        "kind": _kind(given),
        "length": len(given) if isinstance(given, str) else 0,
    }
    return f"{where}: {_PLAIN.get(fitting['type'], '{msg}').format(msg=fitting['msg'], **about)}"


def _kind(value: Any) -> str:
    return _KIND.get(type(value), "something else")

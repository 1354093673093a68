"""Message on an invalid request, in one sentence: of all errors that pydantic reports, the most
helpful one.
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
"""Error type of pydantic for a value of a wrong type -> the type that was expected."""
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
    "int_parsing": "must be a whole number, got {given}",
    "int_parsing_size": "must be a whole number, got {given}",
    "float_parsing": "must be a number, got {given}",
    "bool_parsing": "must be true or false, got {given}",
    "string_unicode": "must be a text in Unicode, without half a surrogate pair",
    "finite_number": "must be a finite number",
    "literal_error": "must be {expected}, got {given}",
    "too_short": "must have {min_length:,} or more, got {actual_length:,}",
    "too_long": "may have {max_length:,}, got {actual_length:,}",
    "json_invalid": "is no JSON: {error} at character {at}",
}
_OF_PATTERN = {NO_CONTROL: "may hold no control characters"}
MAX_SHOWN = 60
"""Number of characters of a value that a message shows."""


def validation_message(
    errors: Sequence[Any], body: Any, content_type: str | None, fields: Sequence[str] = ()
) -> str:
    """Return one sentence on the errors of a request: the first value with an error, and the number
    of others.

    Args:
        errors: errors of pydantic, in its order.
        body: the body as read; bytes where it was not read as JSON.
        content_type: the header of this name.
        fields: names of the body's fields, where it has one shape.
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
            families[-1].append((place, error))  # the same value, of none of the allowed types
        else:
            families.append([(place, error)])
    more = f" (and {len(families) - 1} more)" if len(families) > 1 else ""
    return f"{_of_one(families[0], fields)}{more}"


def _place(error: Any, body: Any) -> Place:
    """Return the path of the value in the request, without the types that pydantic tried for it."""
    full_path: Place = tuple(error["loc"])
    if error["type"] == "json_invalid":
        return full_path[:1]
    if full_path[0] != "body" or not isinstance(body, dict | list):
        return full_path
    place: list[str | int] = ["body"]
    value: Any = body
    for number, part in enumerate(full_path[1:], start=2):
        if part in (
            value
            if isinstance(value, dict)
            else range(len(value))
            if isinstance(value, list)
            else ()
        ):
            value = value[part]
        elif (error["type"] != "missing" or number < len(full_path)) and part != "[key]":
            continue
        place.append(part)
    return tuple(place)


def _of_one(family: Sequence[tuple[Place, Any]], fields: Sequence[str]) -> str:
    """Return the sentence on one value. A violated bound tells more than a type that it is not; an
    error deeper in the value tells more than a shallower one.
    """
    place = max((place for place, _ in family), key=len)
    there = [error for at, error in family if at == place]
    fitting = next((error for error in there if error["type"] not in _OF_KIND), there[0])
    where = ".".join(map(str, place))
    if fitting["type"] in _OF_KIND:
        expected = dict.fromkeys(_OF_KIND[error["type"]] for error in there)
        *kinds, last = [
            kind for kind in expected if kind != "a whole number" or "a number" not in expected
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
    """Return what is wrong with a value; pydantic's own message where there is no other here."""
    value, bounds = error.get("input"), error.get("ctx", {})
    about = {
        **{name: _without_fraction(bound) for name, bound in bounds.items()},
        "kind": _kind(value),
        "given": repr(_without_fraction(value))[:MAX_SHOWN],
        "length": len(value) if isinstance(value, str) else 0,
        "at": error["loc"][-1],
    }
    plain = _OF_PATTERN.get(bounds.get("pattern")) or _PLAIN.get(error["type"])
    return error["msg"] if plain is None else plain.format(**about)


def _without_fraction(value: Any) -> Any:
    """Convert a float without fraction to an int, so that no `.0` is shown that was not sent; other
    values, and those from 2**53, stay as they are.
    """
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if is_whole else value


def _kind(value: Any) -> str:
    return _KIND.get(type(value), "something else")

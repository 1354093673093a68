"""Values that options state as text: `NAME=VALUE` and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable

MAX_WHOLE = 2**31 - 1
"""Largest whole number stated in a text."""


def pairs_of(
    texts: Iterable[str] | None, option: str, form: str = "NAME=VALUE"
) -> list[tuple[str, str]]:
    """Split each text at its last `=`; with the form `KIND=ID` at its first, because an id may
    contain one.

    Raises:
        BadInput: if a text has none, which says what the option takes; if a name or value is empty,
            or but for `KIND=ID` a name stated twice, of which one value would count.
    """
    from metarec.data.schema import BadInput

    is_kind = form == "KIND=ID"
    given = list(texts or ())
    cut = str.partition if is_kind else str.rpartition
    pairs = [(left, right) for left, _, right in (cut(text, "=") for text in given)]
    for text, (name, value) in zip(given, pairs, strict=True):
        if "=" not in text or not name.strip():
            raise BadInput(f"{option} takes {form}, got {text!r}")
        if not value.strip():
            raise BadInput(f"{option} {name.strip()}= is empty; give a value, or leave it out")
    names = [name.strip() for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1 and not is_kind]:
        raise BadInput(f"{option} states {twice[0]!r} twice; once is enough")
    return pairs


def number_of(text: str, option: str) -> float:
    """Return the number given to an option.

    Raises:
        BadInput: if it is not a finite number.
    """
    from metarec.data.schema import BadInput

    try:
        number = float(text)
    except ValueError as error:
        raise BadInput(f"{option}: {text!r} is not a number") from error
    if not math.isfinite(number):
        raise BadInput(f"{option}: {text!r} is not a finite number")
    return number


def whole_number_of(text: str, option: str) -> int:
    """Return the whole number given to an option.

    Raises:
        BadInput: if it is none, of which 1.5 would count as 1, or one of more than 31 bits.
    """
    from metarec.data.schema import BadInput

    number = number_of(text, option)
    if not number.is_integer():
        raise BadInput(f"{option} must be a whole number, got {text!r}")
    if abs(number) > MAX_WHOLE:
        raise BadInput(f"{option} must be {MAX_WHOLE} or less, got {text}")
    return int(number)

"""Checks of arguments of the Python interface; each error is one line that says what is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from numbers import Integral, Real
from typing import Any
from uuid import UUID

import numpy as np
import polars as pl

from metarec.data.errors import BadInput

MAX_ID = 256
"""Letters of the longest id that a service takes."""
CONTROL = r"[\x00-\x1f\x7f]"
"""Characters that an id in a request may not hold."""
MAX_SHOWN = 80
"""Characters of a wrong value that a message repeats."""


def shown(value: Any) -> str:
    """Return the repr of a value on one line, cut at `MAX_SHOWN` characters, for error messages."""
    line = " ".join(repr(value).split())
    kind = type(value).__name__
    return line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}... ({kind})"


def check_type(name: str, value: Any, kinds: Any, expected: str) -> None:
    """Refuse a value of another type.

    Args:
        name: name of the argument.
        kinds: accepted type, or several as `int | str`.
        expected: what the argument should be and how to get it, such as "a Dataset (metarec.read
            reads one)".

    Raises:
        BadInput: naming the argument, what it should be, and the value.
    """
    if not isinstance(value, kinds):
        raise refused(name, value, expected)


def refused(name: str, value: Any, expected: str) -> BadInput:
    """Return the error for an argument of the wrong type."""
    return BadInput(f"{name} takes {expected}, got {shown(value)}")


def check_call(name: str, value: Any, expected: str) -> None:
    """Refuse a value that is not callable.

    Raises:
        BadInput: naming the argument.
    """
    if not callable(value):
        raise refused(name, value, expected)


def check_whole(name: str, value: Any, at_least: int, at_most: int | None = None) -> None:
    """Refuse a value that is not an integer, or is under `at_least` or over `at_most`.

    Raises:
        BadInput: naming the argument.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise BadInput(f"{name} must be a whole number, got {shown(value)}")
    if int(value) < at_least:
        raise BadInput(f"{name} must be {at_least} or more, got {value}")
    if at_most is not None and int(value) > at_most:
        raise BadInput(f"{name} must be {at_most} or less, got {shown(value)}")


def ids_of(name: str, ids: Any) -> list[str]:
    """Convert a list, column or array of ids to texts.

    Raises:
        BadInput: if it is not a list, or one of its values is not an id.
    """
    if isinstance(ids, str | bytes | Mapping | pl.DataFrame) or not isinstance(ids, Iterable):
        raise BadInput(f"{name} is a list, got {shown(ids)}; write [{shown(ids)}] for one")
    return [one if type(one) is str else id_text(name, one) for one in ids]


def id_text(name: str, value: Any) -> str:
    """Convert an id to text: 5 and 5.0 (pandas makes integers floats where cells are missing) are
    both "5".

    Raises:
        BadInput: if it is neither a text nor a finite number.
    """
    if isinstance(value, str | UUID):
        return str(value)
    if isinstance(value, bool | np.bool_):
        raise BadInput(f"{name}: an id is a text or a whole number, got {shown(value)}")
    if isinstance(value, int | float | np.integer | np.floating | Decimal) and isfinite(value):
        return str(int(value)) if value == int(value) else str(value)
    raise BadInput(f"{name}: an id is a text or a whole number, got {shown(value)}")


MAX_SECONDS = 1e11
"""Seconds since 1970 of the year 5138: a larger time is in milliseconds or finer."""


def check_seconds(name: str, seconds: float) -> None:
    """Refuse a time in milliseconds, which would be read as seconds in the far future.

    Raises:
        BadInput: naming the time.
    """
    if seconds >= MAX_SECONDS:
        raise BadInput(f"{name} is in milliseconds; give seconds since 1970, got {shown(seconds)}")


def seconds_of(moment: Any) -> float:
    """Convert a moment to seconds since 1970. Numbers stay as they are; a date or datetime without
    a time zone is in UTC, as in tables; NaT becomes NaN.

    Raises:
        TypeError, ValueError, OverflowError: if the value is not a moment.
    """
    if isinstance(moment, np.datetime64):
        moment = moment.astype("datetime64[us]").item()
        return float("nan") if moment is None else seconds_of(moment)
    if isinstance(moment, datetime):
        return float((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if isinstance(moment, date):
        return datetime.combine(moment, time.min, UTC).timestamp()
    return float(moment)


def check_plain(name: str, mapping: Mapping[Any, Any]) -> None:
    """Refuse values that a table cannot hold: an arbitrary object would be stored as its address.

    Raises:
        BadInput: if a key is not a text, or naming the key of such a value.
    """
    for key, value in mapping.items():
        if not isinstance(key, str):
            raise BadInput(f"{name} maps names to values, and {shown(key)} is no name")
        if not _is_plain(value):
            raise BadInput(
                f"{name} {key!r} takes a text, a number, a date or a list of these, got "
                f"{shown(value)}"
            )


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple | set | frozenset | np.ndarray | pl.Series):
        return all(_is_one(one) for one in value)
    return _is_one(value)


def _is_one(value: Any) -> bool:
    kinds = str | Real | Decimal | date | time | timedelta | np.generic | UUID | None
    return isinstance(value, kinds)

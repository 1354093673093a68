"""Arguments of the Python interface: of the type that is read, or one line with the way out."""

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

MAX_SHOWN = 80
"""Characters of a wrong value that a message repeats."""


def shown(value: Any) -> str:
    """A value in one short line: a table of a thousand rows is not printed into an error."""
    line = " ".join(repr(value).split())
    kind = type(value).__name__
    return line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}... ({kind})"


def check_type(name: str, value: Any, kinds: Any, wanted: str) -> None:
    """Refuse a value of another type.

    Args:
        name: of the argument.
        kinds: a type, or several as `int | str`.
        wanted: what it should be, with the way to one, such as "a Dataset (metarec.read reads
            one)".

    Raises:
        BadInput: naming the argument, what it should be, and the value.
    """
    if not isinstance(value, kinds):
        raise refused(name, value, wanted)


def refused(name: str, value: Any, wanted: str) -> BadInput:
    """The error of an argument that is not what it should be."""
    return BadInput(f"{name} takes {wanted}, got {shown(value)}")


def check_call(name: str, value: Any, wanted: str) -> None:
    """Refuse what cannot be called.

    Raises:
        BadInput: naming the argument.
    """
    if not callable(value):
        raise refused(name, value, wanted)


def check_whole(name: str, value: Any, at_least: int, at_most: int | None = None) -> None:
    """Refuse what is no whole number, or too small a one.

    Raises:
        BadInput: naming the argument.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise BadInput(f"{name} must be a whole number, got {shown(value)}")
    if int(value) < at_least:
        raise BadInput(f"{name} must be {at_least} or more, got {value}")
    if at_most is not None and int(value) > at_most:
        raise BadInput(f"{name} must be {at_most} or less, got {shown(value)}")


def ids_of(name: str, given: Any) -> list[str]:
    """Ids as text, from any list, column or array of them.

    Raises:
        BadInput: if it is no list, or holds what is no id.
    """
    if isinstance(given, str | bytes | Mapping | pl.DataFrame) or not isinstance(given, Iterable):
        raise BadInput(f"{name} is a list, got {shown(given)}; write [{shown(given)}] for one")
    return [one if type(one) is str else id_text(name, one) for one in given]


def id_text(name: str, given: Any) -> str:
    """An id as text: 5 and 5.0, as pandas writes whole numbers beside gaps, are "5".

    Raises:
        BadInput: if it is no id.
    """
    if isinstance(given, str | UUID):
        return str(given)
    if isinstance(given, bool | np.bool_):
        raise BadInput(f"{name}: an id is a text or a whole number, got {shown(given)}")
    if isinstance(given, int | float | np.integer | np.floating | Decimal) and isfinite(given):
        return str(int(given)) if given == int(given) else str(given)
    raise BadInput(f"{name}: an id is a text or a whole number, got {shown(given)}")


MAX_SECONDS = 1e11
"""Seconds since 1970 of the year 5138: a larger time is in milliseconds or finer."""


def check_seconds(name: str, seconds: float) -> None:
    """Refuse a time in milliseconds, which would count as one in a far future.

    Raises:
        BadInput: naming the time.
    """
    if seconds >= MAX_SECONDS:
        raise BadInput(f"{name} is in milliseconds; give seconds since 1970, got {shown(seconds)}")


def seconds_of(moment: Any) -> float:
    """A moment as seconds since 1970: a number as it is; a date or datetime without a zone is of
    UTC, as in tables. NaN where there is none (NaT).

    Raises:
        TypeError, ValueError, OverflowError: if it is no moment.
    """
    if isinstance(moment, np.datetime64):
        moment = moment.astype("datetime64[us]").item()
        return float("nan") if moment is None else seconds_of(moment)
    if isinstance(moment, datetime):
        return float((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if isinstance(moment, date):
        return datetime.combine(moment, time.min, UTC).timestamp()
    return float(moment)


def check_plain(name: str, given: Mapping[Any, Any]) -> None:
    """Refuse values that no table holds: what was meant by an object would be its address.

    Raises:
        BadInput: naming the key.
    """
    for key, value in given.items():
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

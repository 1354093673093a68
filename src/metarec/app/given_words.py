"""Words of a command line that cannot be heeded: an empty or blank value, which is mostly a
variable of the shell that is not set, a second value of an option that takes one, and a value that
is no number, which typer refuses without naming it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args

from metarec.data.errors import BadInput

MAX_WHOLE = 2**63 - 1
"""Largest whole number of an option: tables and generators hold 64 bits."""


def check_words(command: Any, words: Sequence[str]) -> None:
    """Check the words of a command line.

    Args:
        command: the command of typer that has all others.
        words: the command line, without the program.

    Raises:
        BadInput: naming the option that is empty or blank, no number or given twice; of two values
            typer would take the last, and forget one of two users, say.
    """
    names = list(words)
    while names and names[0] in getattr(command, "commands", {}):
        command = command.commands[names.pop(0)]
    options = {name: one for one in command.params for name in one.opts if name.startswith("-")}
    seen: set[str] = set()
    left = iter(names)
    for word in left:
        if word == "--":
            return
        name, sign, value = word.partition("=")
        option = options.get(name)
        if option is None and word == "":
            raise BadInput("an argument is empty; is a variable of the shell not set?")
        if option is None or option.is_flag:
            continue
        given = value if sign else next(left, None)
        if given is not None and not given.strip():
            _refuse_blank(name, given, is_required=option.required)
        if option.name in seen and not option.multiple:
            raise BadInput(f"{name} is given twice; it takes one value")
        seen.add(option.name)
        if given is not None:
            _check_number(name, given, _type_of(option))


def _refuse_blank(name: str, text: str, *, is_required: bool) -> None:
    """Refuse an empty or blank value of an option: it would, say, filter nothing.

    Raises:
        BadInput: naming the option.
    """
    if is_required:
        raise BadInput(
            f"{name} is blank; give a value" if text else f"{name} is empty; give a value"
        )
    if text:
        raise BadInput(f"{name} is blank; give a value, or leave the option out")
    raise BadInput(f"{name} is empty; give a value, or leave the option out")


def _type_of(option: Any) -> Any:
    """Return the type of an option's values, of each where it may be repeated."""
    described = getattr(option, "type_descriptor", None)
    if described is None:  # typer before 0.27 has the types of click
        kinds = {"integer": int, "float": float}
        return kinds.get(getattr(getattr(option, "type", None), "name", ""))
    return next(iter(get_args(described.annotation)), described.annotation)


def _check_number(name: str, text: str, kind: Any) -> None:
    """Check that an option of numbers has one.

    Raises:
        BadInput: naming option and value.
    """
    if kind not in (int, float):
        return
    try:
        number = kind(text)
    except ValueError:
        number = math.nan
    if kind is int and abs(number) > MAX_WHOLE:
        raise BadInput(f"{name} must be {MAX_WHOLE} or less, got {text}")
    if math.isnan(number) or number in (math.inf, -math.inf):
        wanted = "a whole number" if kind is int else "a number"
        raise BadInput(f"{name} must be {wanted}, got {text!r}")

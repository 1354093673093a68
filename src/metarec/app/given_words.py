"""Words of a command line that typer accepts and that cannot be heeded: an empty value, which is
mostly a variable of the shell that is not set, and a second value of an option that takes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metarec.data.errors import BadInput


def check_words(command: Any, words: Sequence[str]) -> None:
    """Check the words of a command line.

    Args:
        command: the command of typer that has all others.
        words: the command line, without the program.

    Raises:
        BadInput: naming the option that is empty or given twice; typer would take the last value,
            and forget one of two users, say.
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
        if (value if sign else next(left, None)) == "":
            if option.required:
                raise BadInput(f"{name} is empty; give a value")
            raise BadInput(f"{name} is empty; give a value, or leave the option out")
        if option.name in seen and not option.multiple:
            raise BadInput(f"{name} is given twice; it takes one value")
        seen.add(option.name)

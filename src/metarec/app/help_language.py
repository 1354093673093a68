"""`--help` in the user's language: texts of commands and options from a table, with lines broken by
the width of characters on a terminal.
"""

from __future__ import annotations

import inspect
import re
from functools import partial
from typing import Any

from metarec.runtime.language import ENGLISH, HELP, broken, display_width, translated

AS_IT_IS = "\b"
"""Marks a paragraph whose line breaks are kept."""
OF_OPTION, OF_COMMAND, OF_TERMINAL = 44, 74, 80
"""Width of a line: beside the names of options, of a text, of the whole page."""
SHOW_AND_EXIT = "Show this message and exit."
HEADINGS = ("Usage:", "Options:", "Commands:", "Arguments:", "[OPTIONS]", "COMMAND [ARGS]...")
_EXTRA = re.compile(r"\s*\[(required|default: [^\]]*)\]$")


def translate_help(command: Any, language: str) -> None:
    """Translate the help of a command and of its subcommands."""
    if language == ENGLISH:
        return
    say = partial(translated_help, language=language)
    first = inspect.cleandoc(command.help or "").split("\n\n")[0]
    command.short_help = say(command.short_help) if command.short_help else _begin(say(first))
    command.help = _paragraphs(command.help, say)
    command.epilog = _paragraphs(command.epilog, say)
    for parameter in command.params:
        if getattr(parameter, "help", None):
            parameter.help = _lines(say(parameter.help), OF_OPTION)
    command.get_help = partial(_with_headings, command.get_help, language=language)
    for inner in getattr(command, "commands", {}).values():
        translate_help(inner, language)


def translated_help(text: str, language: str) -> str:
    """Translate a text of help, whatever its line breaks."""
    return translated(" ".join(text.split()), language, HELP)


def _begin(text: str) -> str:
    """Return the text before the first stop, for a list of commands."""
    return re.split("[：；。]", text, maxsplit=1)[0]


def _paragraphs(text: str | None, say: Any) -> str | None:
    if not text:
        return text
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(_lines(say(one), OF_COMMAND) for one in paragraphs)


def _lines(text: str, width: int) -> str:
    return "\n".join([AS_IT_IS, *broken(text, width)])


def _with_headings(get_help: Any, context: Any, *, language: str) -> str:
    """Return the whole page with translated headings; a mark such as the default gets a line of its
    own where it does not fit.
    """
    page = get_help(context)
    for heading in HEADINGS:
        page = page.replace(heading, translated(heading, language, HELP))
    page = page.replace(SHOW_AND_EXIT, translated(SHOW_AND_EXIT, language, HELP))
    return "\n".join(_marked(line, language) for line in page.split("\n"))


def _marked(line: str, language: str) -> str:
    extra = _EXTRA.search(line)
    if extra is None:
        return line
    mark = "[required]" if extra[1] == "required" else f"[{extra[1]}]"
    label = translated("[required]", language, HELP)
    if mark != "[required]":
        label = mark.replace("default: ", translated("default: ", language, HELP))
    before = line[: extra.start()]
    if display_width(f"{before}  {label}") <= OF_TERMINAL:
        return f"{before}  {label}"
    names = re.match(r"\s*(?:-\S+(?: / -\S+)?(?: \S+)?|\S+ \S+)\s{2,}|\s*", before)
    indent = len(names[0]) if names else 0
    return f"{before}\n{' ' * indent}{label}"

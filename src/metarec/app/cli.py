"""The command line: parses arguments, calls the command and prints. Exit codes: 0 done, 1 failed, 2
bad input, with one clear line on stderr.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from dis import opname
from errno import EDQUOT, ENOSPC, EROFS
from typing import Any

import typer

from metarec.app.commands import (
    ab,
    audit,
    data,
    demo,
    domains,
    evaluate,
    explain,
    fit,
    live,
    recommend,
    reproduce,
    store,
    study,
)
from metarec.app.commands.options import colored, command_language, fitted, note
from metarec.app.given_words import check_words
from metarec.app.help_language import translate_help
from metarec.runtime.device import ENVIRONMENT as DEVICE
from metarec.runtime.device import named_device
from metarec.runtime.environment import HOME, ONLINE, TRACEBACK, home, online, shows_traceback
from metarec.runtime.language import ENGLISH, ERRORS, SAID, UnknownLanguage, translated
from metarec.runtime.language import ENVIRONMENT as LANGUAGE
from metarec.runtime.old_names import current_option

READ_BY_ALL = {LANGUAGE, DEVICE, HOME, ONLINE, TRACEBACK}
OF_A_PLACE = {
    FileNotFoundError: "there is nothing at {}; check the path",
    IsADirectoryError: "{} is a folder; name a file",
    NotADirectoryError: "{} lies in what is a file, not a folder; name another place",
    FileExistsError: "{} exists and is no folder; name another place",
    PermissionError: "{} may not be read or written by this user",
}
"""Error of the system about a path -> message."""
OF_A_DISK = {
    EDQUOT: "the share of the disk is used up{}; make room and run it again",
    ENOSPC: "the disk is full{}; make room and run it again",
    EROFS: "the disk is read-only{}; make it writable or name another place",
}
"""Error of the system about a disk -> message, with the path where it is known."""

app = typer.Typer(
    name="metarec",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="metarec is a cold-start recommender: large models, "
    "meta-learning, honest evaluation for new users.",
    epilog="Every command takes --json, and exits 0 when done, 1 when it failed, 2 for bad input. "
    "Begin with: metarec demo",
)
app.command("demo", short_help="The whole journey on real data.")(demo.demo)
app.add_typer(data.app, name="data", short_help="Get public data, list it, examine yours.")
app.command("domains", short_help="What is known of a field.")(domains.domains)
app.command("fit", short_help="Train a recommender and save it.")(fit.fit)
app.command("evaluate", short_help="Evaluate recommenders on cold-start users.")(evaluate.evaluate)
app.command("reproduce", short_help="Published tables on their own files.")(reproduce.reproduce)
app.command("study", short_help="Many evaluations in one table.")(study.study)
app.command("recommend", short_help="Recommend to one user, or to all.")(recommend.recommend)
app.command("explain", short_help="Say why an item, for one user.")(explain.explain)
app.command("audit", short_help="Say for whom a model works.")(audit.audit)
app.command("serve", short_help="Serve a model over HTTP, with a page.")(live.serve)
app.command("import", short_help="Import events of users into the store.")(live.import_)
app.command("retrain", short_help="Champion against challenger.")(live.retrain)
app.command("forget", short_help="Delete what is kept of a user.")(live.forget)
app.add_typer(ab.app, name="ab", short_help="Compare models and settings on users (A/B).")
app.add_typer(store.app, name="store", short_help="Look after an event store.")


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    """Say the version, or go on to the command."""
    if version:
        from metarec import __version__

        typer.echo(__version__)
        raise typer.Exit


def main(args: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    warnings.showwarning = _show_warning
    # Waiting threads sleep instead of spinning, which took several times as long on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    is_traced = False
    try:
        _check_environment()
        is_traced = shows_traceback()
        words = _with_current_options(sys.argv[1:] if args is None else args)
        command = typer.main.get_command(app)
        translate_help(command, command_language())
        check_words(command, words)
        code = command(args=words, standalone_mode=False)
    # All errors: users see a traceback only where they asked for it.
    except BaseException as error:
        code, line = explain_failure(error)
        if line:
            message = fitted(f"metarec: {_in_language(line, error)}", sys.stderr)
            name = colored("metarec:", "red", sys.stderr)
            typer.echo(message.replace("metarec:", name, 1), err=True)
        if is_traced:
            traceback.print_exception(error)
    raise SystemExit(code or 0)


def _check_environment() -> None:
    """Check all variables before anything is done, also those that the command does not read: else
    the next command would use them and, say, compute on another device than intended.
    """
    for check in (command_language, named_device, home, online, shows_traceback):
        check()
    if any(name.startswith("METAREC_") for name in os.environ.keys() - READ_BY_ALL):
        from metarec.app.service.settings_sources import refuse_misspelled

        refuse_misspelled(os.environ)


def _with_current_options(words: Sequence[str]) -> list[str]:
    """Replace the names that options had in earlier versions, and note the current names."""
    current = [current_option(word) for word in words]
    for old, new in zip(words, current, strict=True):
        if old != new:
            names = [word.partition("=")[0] for word in (old, new)]
            note(f"metarec: note: {names[0]} is now {names[1]}")
    return current


def explain_failure(error: BaseException) -> tuple[int, str]:
    """Return the exit code of an error and the line to show; an empty line where nothing more is to
    be said.
    """
    if hasattr(error, "format_message"):  # typer raises these for a wrong command line
        return _of_the_command_line(error)
    text = " ".join(str(error).split())
    match error:
        case typer.Exit():
            return error.exit_code, ""
        case SystemExit():  # a server that cannot start has logged the reason
            return int(bool(error.code)), error.code if isinstance(error.code, str) else ""
        case KeyboardInterrupt() | typer.Abort():
            return 130, "interrupted"
        case BrokenPipeError():
            return 1, ""
        case ImportError() if "pip install" in text:
            return 1, text
        case OSError() if isinstance(error, tuple(OF_A_PLACE)):
            return 2, _of_a_place(error) or text
        case ValueError() if _is_ours(error):
            return 2, text
        case OSError() if error.errno in OF_A_DISK:
            place = "" if error.filename is None else f" at {str(error.filename)!r}"
            return 1, OF_A_DISK[error.errno].format(place)
        case OSError() | MemoryError():
            return 1, text or type(error).__name__
    unexpected = f"unexpected {type(error).__name__}: {text}"
    return 1, f"{unexpected}; set {TRACEBACK}=1 to see where, and please report it"


def _of_the_command_line(error: Any) -> tuple[int, str]:
    """Return typer's message on a command line. A missing command prints the help; the class of
    that error is private to typer.
    """
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message())
        return 0, ""
    return 2, " ".join(error.format_message().split()).rstrip(".") + "; see --help"


def _of_a_place(error: OSError) -> str:
    """Return the message on a path, with a way out; empty where metarec raised the error itself."""
    if error.errno is None or error.filename is None:
        return ""
    return OF_A_PLACE.get(type(error), "").format(repr(str(error.filename)))


def _in_language(line: str, error: BaseException) -> str:
    language = ENGLISH if isinstance(error, UnknownLanguage) else command_language()
    return translated(line, language, ERRORS, SAID)


def _is_ours(error: BaseException) -> bool:
    """Return whether metarec raised an error on purpose, by a `raise`. A ValueError of Python or a
    library is a fault of the program, not of the user.
    """
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None:
        return False
    step = opname[place.tb_frame.f_code.co_code[place.tb_lasti]]
    module = str(place.tb_frame.f_globals.get("__name__", ""))
    return module.startswith("metarec.") and step == "RAISE_VARARGS"


def _show_warning(
    message: Warning | str, category: type[Warning], *_: object, **__: object
) -> None:
    """Show warnings about the data as one line; warnings of libraries are not for the user."""
    if category.__name__ == "DataWarning":
        note(f"metarec: note: {message}")


if __name__ == "__main__":
    main()

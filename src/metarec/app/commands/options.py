"""Options that several commands share, and functions that print results."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, Protocol, TextIO, get_type_hints

import typer

from metarec.runtime.language import (
    ENVIRONMENT,
    OUTPUT,
    SAID,
    broken,
    display_width,
    language_of,
    translated_answer,
    translated_lines,
    translated_page,
)

MAX_WIDTH = 80
"""Width of a line of notes on a terminal."""
_DRIVES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def _seed(value: int) -> int:
    """Return a seed unchanged.

    Raises:
        BadInput: if it is negative, which no generator takes.
    """
    if value < 0:
        from metarec.data.errors import BadInput

        raise BadInput(f"--seed must be 0 or more, got {value}")
    return value


Seed = Annotated[
    int,
    typer.Option(
        help="Seed of everything random: the same seed gives the same result.", callback=_seed
    ),
]
Source = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="A data folder, a file of events, a TOML file, or a database URL."
    ),
]
Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A model folder, as written by `metarec fit`.")
]
Like = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ID",
        help="An item the user liked, oldest first; may be repeated. ID=VALUE states a rating.",
    ),
]
Dislike = Annotated[
    list[str] | None,
    typer.Option(metavar="ID", help="An item the user disliked; may be repeated."),
]
Bought = Annotated[
    list[str] | None,
    typer.Option(metavar="ID", help="An item the user bought (kind purchase); may be repeated."),
]
Viewed = Annotated[
    list[str] | None,
    typer.Option(metavar="ID", help="An item the user viewed; may be repeated."),
]
Did = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND=ID",
        help="An event of any kind that the data have: complete=C12; may be repeated.",
    ),
]
Profile = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="What is known of the user; may be repeated."),
]
Wish = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", help='What they ask for in words: "slow science fiction, no gore".'
    ),
]
Friend = Annotated[
    list[str] | None,
    typer.Option(metavar="ID", help="A training user whom they know; may be repeated."),
]
Near = Annotated[
    str | None,
    typer.Option(metavar="LAT,LON", help="Where they are, in degrees: 52.5,13.4."),
]
WithinKm = Annotated[
    float | None,
    typer.Option(metavar="KM", help="Only items so near to --near, or to the user's home."),
]
Context = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE", help="Circumstances: hour=22, weather=rain; may be repeated."
    ),
]
Search = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="What they searched for, oldest first; may be repeated."),
]
Preset = Annotated[str, typer.Option(help="Size of the model: tiny or small.")]
Encoder = Annotated[
    str,
    typer.Option(
        help="Text encoder: auto, none, tfidf, textcnn, gru, minilm, smollm2, "
        "or the name or folder of any pretrained model."
    ),
]

Device = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Where networks and encoders are computed: cpu, cuda, mps, or auto for the first "
        "accelerator there is; METAREC_DEVICE says it for all commands.",
    ),
]

Domain = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Field whose column names are understood and whose policy slates must heed: "
        "education, health, ...; see docs/guide/policies.md.",
    ),
]
Prior = Annotated[
    Path | None,
    typer.Option(
        metavar="MODEL",
        help="A model fitted on other data, where this one starts; used only where it helps "
        "held-out users.",
    ),
]
ItemTemplate = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="How an item is written for the text encoder, naming columns of "
        'the items: "{title} by {authors}. {text}".',
    ),
]
UserTemplate = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help='How a user is written for user_text: "{profile}. Likes {liked}, not {disliked}".',
    ),
]
Pictures = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder of the items' pictures: named by the column `image`, or "
        "ITEM_ID.jpg; see docs/guide/which-large-model.md.",
    ),
]
PictureEncoder = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="What reads the pictures: auto, efficientnet-lite0, colors, or the name "
        "or folder of any ViT-like model.",
    ),
]

Workers = Annotated[int, typer.Option(help="Processes at once.")]
Backend = Annotated[
    str,
    typer.Option(help="Where workers run: here, or ray (the cluster that RAY_ADDRESS names)."),
]


class Command(Protocol):
    """A command whose options are the fields of its dataclass. Each option is written once, and the
    methods of the command read it from there.
    """

    def run(self) -> None:
        """Run the command."""
        ...


def command_of(options: type[Command]) -> Callable[..., None]:
    """Return the function that typer calls. Its parameters are the fields in their order, required
    ones first.
    """
    hints = get_type_hints(options, include_extras=True)
    named = fields(options)  # type: ignore[arg-type]  # a protocol cannot ask for a dataclass
    ordered = sorted(named, key=lambda one: one.default is not MISSING)
    takes = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.default is MISSING else one.default,
            annotation=hints[one.name],
        )
        for one in ordered
    ]

    def command(**given: Any) -> None:
        options(**given).run()

    # Typer reads the signature from this attribute, which mypy does not know.
    command.__signature__ = inspect.Signature(takes)  # type: ignore[attr-defined]
    command.__doc__ = options.__doc__
    return command


def show(result: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print a result, as JSON or as text."""
    if not as_json:
        typer.echo(translated_lines(visible(text), command_language(), OUTPUT, SAID))
        return
    typer.echo(as_json_text(translated_answer(result, command_language())))


def as_json_text(result: dict[str, Any]) -> str:
    """Return a result as JSON, with null for NaN, which stands for unknown numbers."""
    import json

    known = json.loads(json.dumps(result, default=_plain), parse_constant=_unknown)
    return json.dumps(known, indent=1, ensure_ascii=False, allow_nan=False)


def _unknown(constant: str) -> None:
    """Return null for NaN; other constants that JSON does not have are faults of the program."""
    assert constant == "NaN", constant


def note(line: str) -> None:
    """Print a line on stderr, so that stdout has the result alone."""
    typer.echo(
        fitted(translated_lines(visible(line), command_language(), OUTPUT, SAID), sys.stderr),
        err=True,
    )


def fitted(text: str, stream: TextIO) -> str:
    """Break a text into lines of at most 80 columns where the stream is a terminal; else return it
    unchanged, because programs read one line.
    """
    if not stream.isatty():
        return text
    width = min(MAX_WIDTH, shutil.get_terminal_size().columns)
    return "\n".join(part for line in text.split("\n") for part in broken(line, width) or [""])


def colored(text: str, color: str, stream: TextIO) -> str:
    """Return the text in a color where the stream is a terminal and NO_COLOR is not set."""
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return typer.style(text, fg=color, bold=True)


def write_page(file: Path, option: str, page: str) -> None:
    """Write a page in the language of the command line.

    Raises:
        BadInput: as `check_page`.
    """
    check_page(file, option)
    file.write_text(translated_page(page, command_language()), encoding="utf-8")


def check_page(file: Path | None, option: str) -> None:
    """Check that a page is written to a file that is named as one: another name may be that of a
    table, whose content would be lost.

    Raises:
        BadInput: if it is not.
    """
    from metarec.data.schema import BadInput

    if file is not None and not file.is_dir() and file.suffix.lower() not in (".html", ".htm"):
        raise BadInput(f"{option} writes a page, so FILE ends in .html; got {file}")


@contextmanager
def shown_anyway(result: dict[str, Any], text: str, *, as_json: bool) -> Iterator[None]:
    """Show a result also where writing its page fails, as on a full disk: it may have taken
    hours.
    """
    try:
        yield
    except OSError:
        show(result, text, as_json=as_json)
        raise


def command_language() -> str:
    """Return the language of the command line: METAREC_LANG."""
    return language_of(os.environ.get(ENVIRONMENT, ""))


def choose_device(name: str | None) -> None:
    """Compute networks on the device of `--device`, if it was given."""
    from metarec.runtime.device import use_device

    if name is not None:
        use_device(name)


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a table as text, with words aligned to the left and numbers to the right."""
    rows = [[_on_one_line(cell) for cell in row] for row in rows]
    columns = list(zip(header, *rows, strict=True))
    laid = []
    for head, *cells in columns:
        width, is_number = (
            max(map(display_width, (head, *cells))),
            all(cell[:1] in "0123456789+-" for cell in cells),
        )
        laid.append([_padded(cell, width, is_number=is_number) for cell in (head, *cells)])
    return "\n".join("  ".join(line).rstrip() for line in zip(*laid, strict=True))


def _on_one_line(text: str) -> str:
    """Return the text of a cell without line ends, which would begin a row of its own."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def visible(text: str) -> str:
    """Return a text of lines with control characters, other line ends and marks that turn the
    direction of writing as escapes: ids and titles may hold them, and would drive the terminal.
    """
    return _DRIVES.sub(lambda found: repr(found[0])[1:-1], text)


def _padded(cell: str, width: int, *, is_number: bool) -> str:
    space = " " * (width - display_width(cell))
    return space + cell if is_number else cell + space


def _plain(value: Any) -> Any:
    """Convert dataclasses, NumPy arrays and other values to JSON values."""
    from dataclasses import asdict, is_dataclass

    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def check_pictures(pictures: Path | None, encoder: str) -> None:
    """Refuse a picture encoder without pictures.

    Raises:
        BadInput: naming the encoder and the way out.
    """
    from metarec.data.errors import BadInput

    if pictures is None and encoder != "auto":
        raise BadInput(
            f"--picture-encoder {encoder} would read pictures, and none are given; add --pictures "
            "FOLDER"
        )

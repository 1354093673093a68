"""Options that several commands share, spelled once, and how results are printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random: the same seed gives the same result.")]
Source = Annotated[str, typer.Argument(metavar="DATA", help="A data folder, a file of events, a TOML file, or a database URL.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder, as written by `metarec fit`.")]
Like = Annotated[list[str] | None, typer.Option(metavar="ID", help="An item the person liked, oldest first; may be repeated. "
                                               "ID=VALUE states a rating.")]
Dislike = Annotated[list[str] | None, typer.Option(metavar="ID", help="An item the person disliked; may be repeated.")]
Profile = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="What is known of the person; may be repeated.")]
Wish = Annotated[str | None, typer.Option(metavar="TEXT", help='What they ask for in words: "slow science fiction, no gore".')]
Preset = Annotated[str, typer.Option(help="Size of the model: tiny, small or base.")]


def show(result: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print a result for a program or for a person."""
    if not as_json:
        typer.echo(text)
        return
    import json

    typer.echo(json.dumps(result, indent=1, ensure_ascii=False, default=_plain, allow_nan=False))


def table(header: list[str], rows: list[list[str]]) -> str:
    """A table in plain text: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = [[cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(zip(row, widths, strict=True))]
             for row in [header, *rows]]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def _plain(value: Any) -> Any:
    """NumPy numbers and arrays, paths and data classes as JSON's own kinds."""
    from dataclasses import asdict, is_dataclass

    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)

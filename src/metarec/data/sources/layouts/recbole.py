"""Read RecBole's atomic files: `name.inter`, `name.item` and `name.user`, with a header of
`name:type`.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from metarec.data.events.rows import Place, RawTable
from metarec.data.schema import BadInput
from metarec.data.sources.canonical_tables import Reading, tables_of
from metarec.data.sources.text.delimited import first_line, read_delimited
from metarec.data.tables import Tables

TYPES = ("token", "token_seq", "float", "float_seq")


def read_recbole(folder: Path, reading: Reading) -> Tables:
    """Read a folder of atomic files. Sequences of tokens become tags, `a|b`, where their tokens
    recur.

    Raises:
        BadInput: if there is no `.inter` file, two files have the same suffix, or a header has no
            types.
    """
    events = _only(folder, ".inter")
    if events is None:
        raise BadInput(f"{folder} holds no .inter file")
    items, users = _only(folder, ".item"), _only(folder, ".user")
    return tables_of(
        _atomic(events),
        None if items is None else _atomic(items),
        None if users is None else _atomic(users),
        reading,
        events.stem,
    )


def _only(folder: Path, suffix: str) -> Path | None:
    """Return the file with a suffix; None without one.

    Raises:
        BadInput: if several files have it.
    """
    files = sorted(folder.glob(f"*{suffix}"))
    if len(files) > 1:
        raise BadInput(
            f"{folder} holds {len(files)} {suffix} files ({', '.join(p.name for p in files[:4])}); "
            "give a folder with one of them"
        )
    return files[0] if files else None


def _atomic(path: Path) -> RawTable:
    """Return the raw table of an atomic file."""
    fields = [f.strip() for f in first_line(path).rstrip("\r\n").split("\t")]
    types = dict(f.rsplit(":", 1) for f in fields if ":" in f)
    if len(types) != len(fields):
        raise BadInput(
            f"{path}: the header of an atomic file says name:type for each column, got {fields[:4]}"
        )
    table, place, findings = read_delimited(path, separator="\t")
    table = table.rename({f: f.rsplit(":", 1)[0] for f in fields})
    _refuse_odd_types(path, types)
    tags = [
        name for name, kind in types.items() if kind == "token_seq" and _is_tags(table[name], name)
    ]
    return (
        table.with_columns(pl.col(tags).str.replace_all(" ", "|", literal=True)),
        Place(place.name, "line", 2),
        findings,
    )


def _is_tags(column: pl.Series, name: str) -> bool:
    """Whether a sequence of tokens is a set of tags rather than text: tags recur, words of titles
    rarely do.
    """
    if name in ("title", "movie_title", "name", "item_name", "description", "text"):
        return False
    tokens = column.drop_nulls().str.split(" ").explode()
    return len(tokens) > 0 and tokens.n_unique() <= max(30, 0.1 * len(tokens))


def _refuse_odd_types(path: Path, types: dict[str, str]) -> None:
    odd = [f"{name}:{kind}" for name, kind in types.items() if kind not in TYPES]
    if odd:
        raise BadInput(f"{path}: {odd[0]!r} has no type of an atomic file ({', '.join(TYPES)})")

"""Read the three layouts of MovieLens: `u.data` (100K), `ratings.dat` (1M, 10M), `ratings.csv` (20M
and later).
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from metarec.data.events.rows import Place, RawTable
from metarec.data.schema import BadInput
from metarec.data.sources.canonical_tables import Reading, tables_of
from metarec.data.sources.files.single_file import read_table
from metarec.data.sources.text.delimited import read_delimited
from metarec.data.sources.text.separators import first_line_of
from metarec.data.tables import Tables

GENRES_100K = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
OCCUPATIONS_1M = (
    "other",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)
EVENTS = ("user_id", "item_id", "value", "timestamp")
LAYOUTS = ("u.data", "ratings.dat", "ratings.csv")
"""Name of the file of events in each layout."""
_FIRST_LINE = {
    "ratings.dat": re.compile(r"[^:]+::[^:]+::[\d.]+(::|$)"),
    "ratings.csv": re.compile(r"\ufeff?\"?userId\"?,\"?movieId\"?,"),
}
"""Pattern of the first line of files of events with names that other data sets use too."""


def is_movielens(path: Path) -> bool:
    """Whether a file holds the events of such a layout, by its name and, where other data sets use
    the name too, its first line.
    """
    if path.name not in LAYOUTS or not path.is_file():
        return False
    form = _FIRST_LINE.get(path.name)
    return form is None or form.match(first_line_of(path)) is not None


def read_movielens(folder: Path, reading: Reading) -> Tables:
    """Read a folder as unpacked from an archive of MovieLens.

    Raises:
        BadInput: if the folder has none of the three layouts.
    """
    reader = next(
        (
            r
            for name, r in zip(LAYOUTS, (_read_100k, _read_dat, _read_csv), strict=True)
            if is_movielens(folder / name)
        ),
        None,
    )
    if reader is None:
        raise BadInput(f"{folder} holds none of {', '.join(LAYOUTS)}")
    events, items, users = reader(folder)
    frame, place, findings = events
    return tables_of(
        (frame.with_columns(pl.lit("rating").alias("kind")), place, findings),
        items,
        users,
        reading,
        folder.resolve().name,
    )


def _read_100k(folder: Path) -> tuple[RawTable, RawTable | None, RawTable | None]:
    events = read_delimited(folder / "u.data", "\t", EVENTS)
    items = users = None
    if (folder / "u.item").is_file():
        frame, place, findings = _utf8_or_latin(
            folder / "u.item", "|", ("item_id", "title", "released", "video", "url", *GENRES_100K)
        )
        genres = (
            pl.concat_list(pl.when(pl.col(g) == "1").then(pl.lit(g)) for g in GENRES_100K)
            .list.drop_nulls()
            .list.join("|")
        )
        items = (
            with_year(frame.select("item_id", "title", genres.alias("categories"))),
            place,
            findings,
        )
    if (folder / "u.user").is_file():
        users = read_delimited(
            folder / "u.user", "|", ("user_id", "age", "gender", "occupation", "zip_code")
        )
    return events, items, users


def _read_dat(folder: Path) -> tuple[RawTable, RawTable | None, RawTable | None]:
    events = _double_colon(folder / "ratings.dat", EVENTS)
    items = users = None
    if (folder / "movies.dat").is_file():
        frame, place, findings = _double_colon(
            folder / "movies.dat", ("item_id", "title", "categories")
        )
        items = (with_year(frame), place, findings)
    if (folder / "users.dat").is_file():
        frame, place, findings = _double_colon(
            folder / "users.dat", ("user_id", "gender", "age", "occupation", "zip_code")
        )
        codes = [str(code) for code in range(len(OCCUPATIONS_1M))]
        job = pl.col("occupation").replace_strict(
            codes, list(OCCUPATIONS_1M), default=pl.col("occupation")
        )
        users = (frame.with_columns(job), place, findings)
    return events, items, users


def _read_csv(folder: Path) -> tuple[RawTable, RawTable | None, RawTable | None]:
    items = None
    if (folder / "movies.csv").is_file():
        frame, place, findings = read_table(folder / "movies.csv")
        if {"movieId", "title", "genres"} <= set(frame.columns):
            none = pl.col("genres") == "(no genres listed)"
            frame = with_year(
                frame.select(
                    pl.col("movieId").alias("item_id"),
                    "title",
                    pl.when(~none).then("genres").alias("categories"),
                )
            )
        items = (frame, place, findings)
    return read_table(folder / "ratings.csv"), items, None


def with_year(items: pl.DataFrame) -> pl.DataFrame:
    """Split titles such as `Toy Story (1995)` into title and year; a `(V)` after the year marks a
    video.
    """
    title, year = pl.col("title").str.strip_chars(), r"\s*\((\d{4})\)(?:\s*\(V\))?$"
    return items.with_columns(
        title.str.replace(year, "").alias("title"),
        title.str.extract(year).cast(pl.Int64).alias("year"),
    )


def _utf8_or_latin(path: Path, separator: str, columns: tuple[str, ...]) -> RawTable:
    """Read a table in UTF-8 or Latin-1. Older archives are in Latin-1, copies of them may be in
    UTF-8.
    """
    rows = [line.split(separator) for line in _text(path).splitlines() if line.strip()]
    padded = [(row + [None] * len(columns))[: len(columns)] for row in rows]
    frame = pl.DataFrame(padded, schema=dict.fromkeys(columns, pl.Utf8), orient="row")
    return frame, Place(path.name, "line"), []


def _double_colon(path: Path, columns: tuple[str, ...]) -> RawTable:
    """Read a table with cells separated by `::`; polars separates by single characters only."""
    lines = pl.Series("line", _text(path).splitlines())
    parts = lines.filter(lines.str.len_chars() > 0).str.splitn("::", len(columns)).struct.unnest()
    return (
        parts.rename(dict(zip(parts.columns, columns, strict=True))),
        Place(path.name, "line"),
        [],
    )


def _text(path: Path) -> str:
    """Return the text of a file in UTF-8 or Latin-1.

    Raises:
        BadInput: if the file is empty.
    """
    raw = path.read_bytes()
    if not raw.strip():
        raise BadInput(f"{path} is empty")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")

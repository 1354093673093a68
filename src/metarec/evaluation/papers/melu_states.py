"""MeLU's files of MovieLens 1M (Lee et al. 2019): which users and items are new, and the attributes
of both. The programs of MeLU and of HIRE read them.
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from metarec.data.cleaning_config import OFF
from metarec.data.dataset import Dataset
from metarec.evaluation.papers.files import cells_of, ratings_of

FILES = "the folder movielens/ml-1m of github.com/hoyeoplee/MeLU, states and attributes"
WARM = "warm_state"
"""State of known users and items: the training data."""
NEW = {
    "new items, known users": "item_cold_state",
    "known items, new users": "user_cold_state",
    "new items, new users": "user_and_item_cold_state",
}
"""Scenario -> the state that holds its ratings."""
FILMS = ("item_id", "title", "year", "rate", "genres", "directors", "actors")
"""Columns of the films, in the order of `FILM_PLACES`."""
FILM_PLACES = (0, 1, 2, 3, 5, 6, 8)
"""Places of these columns in a line of the file."""
PROFILE = ("user_id", "gender", "age", "occupation")
"""Columns of the users' file."""
State = dict[str, dict[str, float]]
"""User -> item -> rating."""


def is_melu(folder: Path) -> bool:
    """Whether a folder holds MeLU's own split."""
    return (folder / f"{WARM}.json").exists()


def state_of(folder: Path, name: str) -> State:
    """Read one of the states.

    Raises:
        BadInput: if its two files do not hold the same ratings.
    """
    return ratings_of(folder / f"{name}.json", folder / f"{name}_y.json")


def warm_data(folder: Path, name: str) -> Dataset:
    """Return the ratings of the warm state, with the attributes of all films and users."""
    return Dataset(
        interactions=rows_of(state_of(folder, WARM)),
        items=_films(folder / "movies_extrainfos.dat"),
        users=_profiles(folder / "users.dat"),
        name=name,
        cleaning=OFF,
    )


def rows_of(state: State, value: str = "rating") -> pl.DataFrame:
    """Return a state as a table of ratings; the rating column is called `value`."""
    rows = [(user, item, rating) for user, row in state.items() for item, rating in row.items()]
    schema = {"user_id": pl.Utf8, "item_id": pl.Utf8, value: pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _films(file: Path) -> pl.DataFrame:
    """Read the films' attributes that MeLU's authors collected; lists in the form that the catalog
    reads.
    """
    rows = [
        [re.sub(r"\s*\([^()]*\)", "", row[place]) for place in FILM_PLACES]
        for row in cells_of(file, max(FILM_PLACES) + 1)
    ]
    films = pl.DataFrame(rows, schema={name: pl.Utf8 for name in FILMS}, orient="row")
    lists = pl.col("genres", "directors", "actors").str.replace_all(", ", "|")
    return films.with_columns(lists, pl.col("year").cast(pl.Float64, strict=False))


def _profiles(file: Path) -> pl.DataFrame:
    rows = [row[: len(PROFILE)] for row in cells_of(file, len(PROFILE))]
    return pl.DataFrame(rows, schema={name: pl.Utf8 for name in PROFILE}, orient="row")

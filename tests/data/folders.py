"""Small sources on disk for the tests of stage 1."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import polars as pl

DAY = 86_400.0
START = 1_600_000_000.0


def events(users: int = 12, per_user: int = 8, items: int = 20, *, seed: int = 0) -> pl.DataFrame:
    """Ratings of users who act at human pace over two years; every item is rated at least once by
    the first users together.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        times = START + np.cumsum(rng.exponential(5 * DAY, per_user)) + user * 30 * DAY
        for place, item in enumerate(rng.permutation(items)[:per_user]):
            rows.append(
                (
                    f"u{user:02d}",
                    f"i{item:02d}",
                    float(np.floor(times[place])),
                    float(rng.integers(1, 6)),
                )
            )
    return pl.DataFrame(
        rows, schema=["user_id", "item_id", "timestamp", "value"], orient="row"
    ).with_columns(kind=pl.lit("rating"))


def item_table(items: int = 20) -> pl.DataFrame:
    """A title and categories for each item."""
    ids, titles = [f"i{n:02d}" for n in range(items)], [f"Item {n}" for n in range(items)]
    return pl.DataFrame(
        {
            "item_id": ids,
            "title": titles,
            "categories": ["odd|all" if n % 2 else "even|all" for n in range(items)],
            "price": [0.5 + n for n in range(items)],
        }
    )


def user_table(users: int = 12) -> pl.DataFrame:
    """Age and a code that looks like a number."""
    return pl.DataFrame(
        {
            "user_id": [f"u{n:02d}" for n in range(users)],
            "age": [20 + n for n in range(users)],
            "zip": [f"0{n:04d}" for n in range(users)],
        }
    )


def write(folder: Path, form: str = "csv", **tables: pl.DataFrame) -> Path:
    """A data folder in one of the forms."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        path = folder / f"{name}.{form}"
        {"csv": table.write_csv, "parquet": table.write_parquet, "jsonl": table.write_ndjson}[form](
            path
        )
    return folder


def digest(folder: Path) -> dict[str, str]:
    """Checksum of every file below a folder."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }

"""One export of another program on disk, and what is read and told of it."""

from __future__ import annotations

from pathlib import Path

from metarec.data.cleaning import read_clean
from metarec.data.dataset import Dataset
from metarec.data.findings import Finding


def one_file(
    folder: Path, text: str | bytes, name: str = "interactions.csv"
) -> tuple[Dataset, list[Finding]]:
    """What is read of a folder's one file, and what is told."""
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    data, report = read_clean(folder / name)
    return data, report.findings


def titles(data: Dataset) -> dict[str, str | None]:
    frame = data.items.frame
    return dict(zip(frame["item_id"], frame["title"], strict=True))


def told(findings: list[Finding], rule: str) -> list[int]:
    """Rows of each finding of a rule."""
    return [f.rows for f in findings if f.rule == rule]


def rows_of(names: str, *cells: str, users: int = 4) -> str:
    """A table in which each user has a row for each item's cells."""
    rows = [f"u{user}{cell[0]}x{n}{cell}" for user in range(users) for n, cell in enumerate(cells)]
    return "\n".join([names, *rows]) + "\n"

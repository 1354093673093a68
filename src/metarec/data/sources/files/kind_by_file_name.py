"""Find the kind of events by the name of their file, such as `purchases.csv`."""

from __future__ import annotations

from pathlib import Path

from metarec.data.kinds import Kinds


def name_of(path: Path) -> str:
    """Return the name of a file without folder and suffixes."""
    return path.name.split(".")[0]


def kind_of_name(name: str | None, kinds: Kinds) -> str | None:
    """Return the name, without a plural `s` if possible, if it is a known kind; else None."""
    names = [n for n in ((name or "").removesuffix("s"), name) if n and kinds.known(n)]
    return names[0] if names else None


def refusing(name: str, kinds: Kinds) -> str | None:
    """Return the name of a file if it is a negative kind (`dislikes`), then the kind of its events;
    None for other names, which say little where there is only one file.
    """
    kind = kind_of_name(name, kinds)
    return name if kind is not None and kinds.of(kind).sign == "negative" else None

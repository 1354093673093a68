"""What files of events are called: like what was done (`purchases.csv`), or not."""

from __future__ import annotations

from pathlib import Path

from metarec.data.kinds import Kinds


def name_of(path: Path) -> str:
    """Without folder and endings."""
    return path.name.split(".")[0]


def kind_called(name: str | None, kinds: Kinds) -> str | None:
    """The known kind that a name says, in the singular or plural."""
    names = [n for n in ((name or "").removesuffix("s"), name) if n and kinds.known(n)]
    return names[0] if names else None


def refusing(name: str, kinds: Kinds) -> str | None:
    """The name of a lone file that is called like acts that say no (`dislikes`), which is the kind
    of its events then; that of any other says little.
    """
    kind = kind_called(name, kinds)
    return name if kind is not None and kinds.of(kind).sign == "negative" else None

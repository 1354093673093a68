"""Parts that others add by name: registered in Python, or found as entry points of installed
packages when a name is looked up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, Generic, TypeVar

from metarec.data.arguments import shown
from metarec.data.errors import BadInput

T = TypeVar("T")
GUIDE = "docs/guide/extending.md"
_NAME = re.compile(r"[A-Za-z][\w+.-]*")


@dataclass(frozen=True, kw_only=True)
class Extensions(Generic[T]):
    """One kind of part by name, which others may add to."""

    kind: str
    """What a part is called, such as `model`; its entry points are the group `metarec.models`."""
    table: dict[str, T]
    """Name -> part; our own to begin with."""
    needs: tuple[str, ...] = ()
    """What a part must offer."""
    reserved: frozenset[str] = frozenset()
    """Names that mean something else."""
    made: Callable[[T], Any] = lambda part: part
    """What is asked for `needs`: the part itself unless given."""
    read: list[EntryPoint] = field(default_factory=list, init=False)
    """Entry points that were looked up already."""

    def register(self, name: str, part: T) -> None:
        """Add a part.

        Raises:
            BadInput: if the name is taken or no name, or the part lacks a method.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise BadInput(
                f"the name of a {self.kind} has letters, digits and _, got {shown(name)}"
            )
        if name in self.table or name in self.reserved:
            raise BadInput(f"the name {name!r} is taken; choose another one for the {self.kind}")
        offered = self.made(part)
        lacking = [need for need in self.needs if not hasattr(offered, need)]
        if lacking:
            raise BadInput(
                f"the {self.kind} {name!r} lacks {', '.join(lacking)}; a {self.kind} has "
                f"{', '.join(self.needs)} (see {GUIDE})"
            )
        self.table[name] = part

    def has(self, name: str) -> bool:
        """Whether there is such a part, here or in an installed package."""
        if name not in self.table:
            self._load(only=name)
        return name in self.table

    def find(self, name: str) -> T:
        """The part of this name.

        Raises:
            BadInput: if there is none.
        """
        if self.has(name):
            return self.table[name]
        there = dict.fromkeys([*self.table, *(point.name for point in self._offered())])
        near = get_close_matches(str(name), there, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise BadInput(f"there is no {self.kind} {name!r}{hint}; there are {', '.join(there)}")

    def load(self) -> None:
        """Register what installed packages offer and was not registered yet.

        Raises:
            BadInput: if an entry point cannot be loaded.
        """
        self._load()

    def _load(self, only: str | None = None) -> None:
        """All of them, or those of one name, so that a broken package stops nobody else's part."""
        for point in self._offered():
            if point not in self.read and only in (None, point.name):
                self.read.append(point)
                self.register(point.name, _loaded(point))

    def _offered(self) -> EntryPoints:
        return entry_points(group=f"metarec.{self.kind.split('-')[-1]}s")


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:  # whatever another package raises is told in one line
        raise BadInput(
            f"the entry point {point.group}: {point.name} = {point.value} cannot be loaded "
            f"({type(error).__name__}: {error}); mend or uninstall its package"
        ) from error

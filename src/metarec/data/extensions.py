"""Registry of parts (models, learners, encoders, ...) that other packages add by name: registered
in Python, or found as entry points of installed packages when a name is looked up.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from traceback import walk_tb
from typing import Any, Generic, TypeVar

from metarec.data.arguments import shown
from metarec.data.errors import BadInput, BrokenPart, DataWarning

T = TypeVar("T")
GUIDE = "docs/guide/extending.md"
_NAME = re.compile(r"[A-Za-z][\w+.-]*")


@dataclass(frozen=True, kw_only=True)
class Extensions(Generic[T]):
    """Parts of one kind by name; other packages can register further ones."""

    kind: str
    """Name of the kind, such as `model`; its entry points are in the group `metarec.models`."""
    table: dict[str, T]
    """Name -> part; holds metarec's own parts at first."""
    needs: tuple[str, ...] = ()
    """Attributes and methods that a part must have."""
    reserved: frozenset[str] = frozenset()
    """Names that no part may take because they mean something else."""
    made: Callable[[T], Any] = lambda part: part
    """Function of a part that returns the object checked for `needs`; by default the part."""
    read: list[EntryPoint] = field(default_factory=list, init=False)
    """Entry points already loaded, each at most once."""
    own: list[str] = field(default_factory=list, init=False)
    """Names of metarec's own parts, until entry points of these names were warned of."""

    def __post_init__(self) -> None:
        self.own.extend(self.table)

    def register(self, name: str, part: T) -> None:
        """Add a part.

        Raises:
            BadInput: if the name is taken, reserved or malformed, or the part lacks one of
                `needs`.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise BadInput(
                f"the name of a {self.kind} has letters, digits and _, got {shown(name)}"
            )
        if name in self.table or name in self.reserved:
            raise BadInput(f"the name {name!r} is taken; choose another one for the {self.kind}")
        offered = call_made(self.kind, name, self.made, part)
        lacking = [need for need in self.needs if not hasattr(offered, need)]
        if lacking:
            raise BadInput(
                f"the {self.kind} {name!r} lacks {', '.join(lacking)}; a {self.kind} has "
                f"{', '.join(self.needs)} (see {GUIDE})"
            )
        self.table[name] = part

    def has(self, name: str) -> bool:
        """Whether a part of this name is registered or offered by an installed package."""
        if name not in self.table:
            self._load(only=name)
        return name in self.table

    def find(self, name: str) -> T:
        """Return the part of this name.

        Raises:
            BadInput: if there is none; the message lists the names.
        """
        if self.has(name):
            self._warn_of_taken()
            return self.table[name]
        there = dict.fromkeys([*self.table, *(point.name for point in self._offered())])
        near = get_close_matches(str(name), there, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise BadInput(f"there is no {self.kind} {name!r}{hint}; there are {', '.join(there)}")

    def load(self) -> None:
        """Register the parts of installed packages that are not registered yet.

        Raises:
            BadInput: if an entry point cannot be loaded.
        """
        self._load()

    def _load(self, only: str | None = None) -> None:
        """Register all entry points, or only those called `only`: a broken package must not block
        the parts of others.
        """
        for point in self._offered():
            if point not in self.read and only in (None, point.name):
                self.read.append(point)
                self.register(point.name, _loaded(point))

    def _warn_of_taken(self) -> None:
        """Warn, once, of entry points with the name of an own part: they are never used."""
        for point in self._offered() if self.own else ():
            if point.name in self.own:
                warnings.warn(
                    f"the entry point {point.group}: {point.name} = {point.value} is not used: "
                    f"the name {point.name!r} is that of a {self.kind} of metarec; rename it",
                    DataWarning,
                    stacklevel=4,
                )
        self.own.clear()

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


def is_added(part: object) -> bool:
    """Whether a part, or a class of parts, is defined outside this package."""
    of = part if isinstance(part, type) else type(part)
    return not of.__module__.startswith("metarec.")


def name_of(part: object) -> str:
    """Return the name of a part's class, for messages."""
    return (part if isinstance(part, type) else type(part)).__name__


def broken(kind: str, part: object, fault: str) -> BrokenPart:
    """Return the error for a part that breaks its interface: `the model Mine <said>`."""
    return BrokenPart(f"the {kind} {name_of(part)} {fault} (see {GUIDE})")


def call(kind: str, part: object, method: str, *given: Any, **named: Any) -> Any:
    """Call a method of an added part.

    Raises:
        BrokenPart: if it raises; the message names the class, the method, the error and the line.
    """
    try:
        return getattr(part, method)(*given, **named)
    except Exception as error:  # whatever an added part raises is told in one line
        if isinstance(error, MemoryError) or not is_added(error):  # our own, such as a stop
            raise
        raise broken(kind, part, f"failed in {method}: {_error_text(error)}") from error


def call_made(kind: str, name: str, make: Callable[[Any], Any], part: Any) -> Any:
    """Make the object of an added part that is checked when it is registered.

    Raises:
        BrokenPart: if making it raises.
    """
    try:
        return make(part)
    except BadInput:
        raise
    except Exception as error:  # as in `call`
        raise BrokenPart(
            f"the {kind} {name!r} cannot be made: {_error_text(error)} (see {GUIDE})"
        ) from (error)


def _error_text(error: Exception) -> str:
    """Return the error in words, with its line in the file of the method that was called."""
    frames = [(frame, line) for frame, line in walk_tb(error.__traceback__)][1:]
    own = [(f, n) for f, n in frames if f.f_code.co_filename == frames[0][0].f_code.co_filename]
    at = f", {Path(own[-1][0].f_code.co_filename).name} line {own[-1][1]}" if own else ""
    return f"{type(error).__name__}: {error}{at}"

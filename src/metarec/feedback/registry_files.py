"""Reading the files of the registry: model folders, lines of its history, and locks."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metarec.data.errors import BadInput
from metarec.runtime.artifacts import (
    BrokenArtifact,
    read_whole_config,
    reading_whole,
)
from metarec.runtime.folders import take_lock


class CannotServe(BadInput):
    """A model with intact files that still cannot make a slate."""


def check_with_probe(version: str, place: Path, probe: Callable[[Path], object]) -> None:
    """Check that a model can make a slate.

    Raises:
        CannotServe: if it cannot.
    """
    try:
        with reading_whole(place):
            probe(place)
    except BrokenArtifact as error:
        raise CannotServe(f"model version {version!r} cannot serve: {error}") from error


def is_readable(folder: Path) -> bool:
    """Return whether the folder holds a complete model."""
    try:
        read_whole_config(folder)
    except (BrokenArtifact, FileNotFoundError):
        return False
    return True


def is_name(version: object) -> bool:
    """Return whether `version` can be a version: a plain name of a folder."""
    return (
        isinstance(version, str)
        and 0 < len(version) <= 200
        and version.isprintable()
        and Path(version).name == version
        and not version.startswith(".")
    )


def promotion_of(line: str) -> dict[str, Any] | None:
    """Parse one line of the history; None if it is no promotion."""
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_one = (
        isinstance(read, dict)
        and {"timestamp", "from", "to", "reason"} <= set(read)
        and isinstance(read["timestamp"], int | float)
        and isinstance(read["reason"], str)
        and is_name(read["from"])
        and is_name(read["to"])
    )
    return read if is_one else None


@contextmanager
def locked(path: Path, *, wait: float) -> Iterator[bool]:
    """Hold a lock file; yields whether it could be taken within `wait` seconds."""
    until = time.monotonic() + wait
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        while not (is_held := take_lock(handle, wait=False)) and time.monotonic() < until:
            time.sleep(0.02)
        yield is_held
    finally:
        os.close(handle)

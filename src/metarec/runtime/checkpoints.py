"""Checkpoints of a running fit: one file, always whole, so that a killed run goes on where it
was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metarec.runtime.artifacts import BrokenArtifact, read_arrays, write_arrays


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where a run stood."""

    arrays: dict[str, np.ndarray]
    """Weights and optimizer state by name."""
    facts: dict[str, Any]
    """Step, best score, settings: what JSON can hold."""


def write_checkpoint(path: str | Path, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Replace the checkpoint at `path` in one step."""
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(place, arrays, facts)


def read_checkpoint(path: str | Path, *, of: Mapping[str, Any] | None = None) -> Checkpoint | None:
    """The checkpoint at `path`, or None if there is none to go on from.

    Args:
        of: facts that must agree (settings, a fingerprint of the data); a checkpoint of another run
            counts as none.

    Raises:
        BrokenArtifact: if the file is there but cannot be read.
    """
    place = Path(path)
    if not place.exists():
        return None
    try:
        arrays, facts = read_arrays(place)
    except BrokenArtifact as error:
        raise BrokenArtifact(f"{error}; delete it to start from the beginning") from error
    if any(facts.get(name) != value for name, value in (of or {}).items()):
        return None
    return Checkpoint(arrays=arrays, facts=facts)

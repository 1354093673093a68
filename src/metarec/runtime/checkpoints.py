"""Checkpoints of a running fit: one file, replaced atomically, so that a killed run can resume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metarec.runtime.artifacts import BrokenArtifact, read_arrays, write_arrays


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """State of a run."""

    arrays: dict[str, np.ndarray]
    """Weights and optimizer state by name."""
    facts: dict[str, Any]
    """Step, best score, settings, serializable as JSON."""


def write_checkpoint(path: str | Path, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Replace the checkpoint at `path` atomically."""
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(place, arrays, facts)


def read_checkpoint(path: str | Path, *, of: Mapping[str, Any] | None = None) -> Checkpoint | None:
    """Return the checkpoint at `path`, or None if there is none to resume from.

    Args:
        of: facts that must match (settings, a fingerprint of the data); a checkpoint of another run
            is ignored.

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

"""Protocol of text encoders, their saved state and their training targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from metarec.runtime.progress import Progress, silent

STAGE = "encode texts"
"""Name of this stage in progress reports."""


@dataclass(frozen=True, kw_only=True)
class EncoderState:
    """An encoder as plain data, as it is saved with a model."""

    settings: dict[str, Any]
    """Settings for JSON; `kind` names the class."""
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Target vectors from behavior, which a trained encoder learns to predict from texts
    (`collaborative_targets`).
    """

    vectors: np.ndarray
    """[n, d] targets; only their direction matters, and rows of zeros are ignored."""
    weights: np.ndarray
    """[n] sample weights, such as the evidence behind each target."""


@runtime_checkable
class TextEncoder(Protocol):
    """Maps each text to a vector of unit length, the empty text to zeros."""

    @property
    def name(self) -> str:
        """Display name."""
        ...

    @property
    def dim(self) -> int:
        """Width of a vector."""
        ...

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """Return float32 vectors [n, dim]."""
        ...

    def state(self) -> EncoderState:
        """Return plain data from which `encoder_from_state` makes an equal encoder."""
        ...


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Return rows scaled to unit length, float32; rows of zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)

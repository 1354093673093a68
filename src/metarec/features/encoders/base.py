"""What every text encoder is, and what encoding gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from metarec.runtime.progress import Progress, silent

STAGE = "encode texts"
"""What progress calls this work."""


@dataclass(frozen=True, kw_only=True)
class EncoderState:
    """An encoder as plain data: what a saved model keeps of it."""

    settings: dict[str, Any]
    """Fit for JSON; `kind` names the class."""
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What behavior says of each text; a trained encoder learns to say it from the words
    (`collaborative_targets`).
    """

    vectors: np.ndarray
    """[n, d]; only directions count, and a row of zeros says nothing."""
    weights: np.ndarray
    """[n] how much evidence stands behind each."""


@runtime_checkable
class TextEncoder(Protocol):
    """Text in, one vector of unit length each out; the empty text gives zeros."""

    @property
    def name(self) -> str:
        """What to call it in front of a user."""
        ...

    @property
    def dim(self) -> int:
        """Width of a vector."""
        ...

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """float32 [n, dim]."""
        ...

    def state(self) -> EncoderState:
        """Plain data from which `encoder_from_state` makes an encoder giving the same vectors."""
        ...


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to unit length, float32; rows of zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)

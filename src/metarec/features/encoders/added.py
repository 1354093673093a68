"""Checks of text encoders that other packages add; those of this package are not checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metarec.data.extensions import broken, call, is_added
from metarec.features.encoders.base import EncoderState, TextEncoder

KIND = "encoder"
_SAMPLE = 32
"""Texts on which an encoder is compared with the one restored from its state."""
_SLACK = 1e-2
"""Error of a unit length, as of vectors kept in half precision."""


def vectors_of(encoder: TextEncoder, texts: Sequence[str], **named: Any) -> np.ndarray:
    """Return the vectors [n, dim] of texts by any encoder.

    Raises:
        BrokenPart: if an added encoder fails, or its vectors have another shape, are not finite, or
            are of another length than 1, or 0 for the empty text.
    """
    if not is_added(encoder):
        return encoder.encode(texts, **named)
    vectors: Any = call(KIND, encoder, "encode", texts, **named)
    if not isinstance(vectors, np.ndarray) or vectors.dtype.kind != "f":
        message = f"gave vectors of type {type(vectors).__name__}; give a NumPy array of float32"
        raise broken(KIND, encoder, message)
    expected_shape = (len(texts), encoder.dim)
    if vectors.shape != expected_shape:
        raise broken(
            KIND,
            encoder,
            f"gave vectors of shape {vectors.shape} for {expected_shape[0]} texts, and its dim is "
            f"{expected_shape[1]}; give {expected_shape}",
        )
    if not np.isfinite(vectors).all():
        raise broken(KIND, encoder, "gave NaN or infinite values as vectors; give finite numbers")
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    wrong = np.flatnonzero((np.abs(lengths - 1) > _SLACK) & (lengths > 0))
    if len(wrong):
        raise broken(
            KIND,
            encoder,
            f"gave a vector of length {lengths[wrong[0]]:.3g}; give unit lengths "
            "(metarec.features.encoders.base.unit_rows)",
        )
    return vectors.astype(np.float32, copy=False)


def restored(encoder: Any, state: EncoderState) -> TextEncoder:
    """Restore an added encoder of this class.

    Raises:
        BrokenPart: if it fails.
    """
    again: TextEncoder = call(KIND, encoder, "from_state", state)
    return again


def state_of(encoder: TextEncoder) -> EncoderState:
    """Return the state of any encoder.

    Raises:
        BrokenPart: if an added encoder fails, or its state cannot be saved: settings that are no
            JSON, or arrays that are not of numbers.
    """
    if not is_added(encoder):
        return encoder.state()
    state: Any = call(KIND, encoder, "state")
    if not isinstance(state, EncoderState):
        message = f"gave a state of type {type(state).__name__}; give an EncoderState"
        raise broken(KIND, encoder, message)
    arrays = state.arrays
    if not isinstance(arrays, Mapping) or not all(
        isinstance(name, str) and isinstance(array, np.ndarray) and array.dtype.kind in "fiub"
        for name, array in arrays.items()
    ):
        raise broken(KIND, encoder, "gave a state whose arrays are no NumPy arrays of numbers")
    try:
        saved = json.loads(json.dumps(state.settings))
    except (TypeError, ValueError) as error:
        message = (
            f"gave settings in its state that are no JSON ({error}); use numbers, text and lists"
        )
        raise broken(KIND, encoder, message) from error
    return EncoderState(settings=saved, arrays=dict(arrays))


def check(encoder: TextEncoder, texts: Sequence[str]) -> None:
    """Check a fitted encoder on some texts.

    Raises:
        BrokenPart: as `vectors_of` and `state_of`; and if the empty text has a vector, a text has
            another vector beside other texts, or the encoder restored from its state gives other
            vectors.
    """
    some = [*texts[:_SAMPLE], ""]
    before = vectors_of(encoder, some)
    if before[-1].any():
        raise broken(KIND, encoder, "gave a vector for the empty text; give zeros")
    if not _same(vectors_of(encoder, some[:1]), before[:1]):
        message = "gives a text another vector beside other texts; encode each text by itself"
        raise broken(KIND, encoder, message)
    again = restored(type(encoder), state_of(encoder))
    if not isinstance(again, type(encoder)):
        message = f"gave {type(again).__name__} from from_state; return the encoder"
        raise broken(KIND, encoder, message)
    if not _same(vectors_of(again, some), before):
        message = "gives other vectors after from_state(state()); keep all it learned in the state"
        raise broken(KIND, encoder, message)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-3, atol=1e-5)

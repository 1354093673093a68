"""Texts read in one call, with all there is to say about the encoder that read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metarec.features.encoders import TextEncoder, fit_text_encoder


@dataclass(frozen=True, kw_only=True)
class EncodedTexts:
    """What `encode_texts` gives back."""

    vectors: np.ndarray
    """float32 [n, d], each of unit length, or zeros where there is nothing to read."""
    has_text: np.ndarray
    """bool [n]: False where the text was empty (or said nothing this encoder knows)."""
    name: str
    """Which encoder made them."""
    reason: str
    """Why this encoder, in one sentence."""
    encoder: TextEncoder
    """The fitted encoder: `encoder.encode(new_texts)` for items that come later."""
    notes: list[str] = field(default_factory=list)
    """What was cut or assumed, in plain sentences."""


def encode_texts(texts: Sequence[str], encoder: str = "auto", **options: Any) -> EncodedTexts:
    """Fit an encoder on texts and encode them; options as for `fit_text_encoder`."""
    fitted, reason = fit_text_encoder(texts, encoder, **options)
    vectors = fitted.encode(texts)
    return EncodedTexts(
        vectors=vectors,
        has_text=(vectors != 0).any(axis=1) if vectors.shape[1] else np.zeros(len(texts), bool),
        name=fitted.name,
        reason=reason,
        encoder=fitted,
        notes=list(getattr(fitted, "notes", ())),
    )

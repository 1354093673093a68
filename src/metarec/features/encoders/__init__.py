"""Large and small models that turn text into vectors, behind one function: `encode_texts`."""

from metarec.features.encoders.base import EncodedTexts, Targets, TextEncoder
from metarec.features.encoders.encode import encode_texts, encoder_from_state, fit_text_encoder

__all__ = [
    "EncodedTexts",
    "Targets",
    "TextEncoder",
    "encode_texts",
    "encoder_from_state",
    "fit_text_encoder",
]

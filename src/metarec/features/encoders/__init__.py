"""Large and small models that turn text into vectors, behind one function: `fit_text_encoder`."""

from metarec.features.encoders.base import Targets, TextEncoder
from metarec.features.encoders.encode import encoder_from_state, fit_text_encoder

__all__ = [
    "Targets",
    "TextEncoder",
    "encoder_from_state",
    "fit_text_encoder",
]

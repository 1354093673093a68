"""Encoders of text and pictures, large and small.

`text/` and `images/` hold the encoders. `fit_text_encoder` of `encode.py` makes a text encoder by
name, or the one that `choose.py` selects for the content.
"""

from metarec.features.encoders.base import Targets, TextEncoder
from metarec.features.encoders.encode import encoder_from_state, fit_text_encoder

__all__ = [
    "Targets",
    "TextEncoder",
    "encoder_from_state",
    "fit_text_encoder",
]

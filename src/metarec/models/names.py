"""What models were called before: the one table of old names, for folders and commands written
then.
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
}
"""Old id of a model -> its id."""
REMOVED = {"history_maml": "decoder_lora"}
"""Id of a model that is no more -> what to take instead."""

V = TypeVar("V")


def current_id(name: str) -> str:
    """The id of a model that was perhaps given under an old one, of which a note tells.

    Raises:
        BadInput: if the model is no more.
    """
    current_ids([name])
    return RENAMED.get(name, name)


def current_ids(names: Sequence[str]) -> tuple[str, ...]:
    """The ids of models that were perhaps given under old ones, of which one note tells.

    Raises:
        BadInput: if a model is no more.
    """
    for name in names:
        if name in REMOVED:
            raise BadInput(f"{name!r} was removed; fit again with {REMOVED[name]!r} in its place")
    old = [f"{name!r} is now {RENAMED[name]!r}" for name in names if name in RENAMED]
    if old:
        warnings.warn(f"models have other names since: {', '.join(old)}", DataWarning, stacklevel=3)
    return tuple(RENAMED.get(name, name) for name in names)


def under_current_ids(arrays: Mapping[str, V]) -> dict[str, V]:
    """`MODEL/array` by name, with the model's id in place of an old one."""
    found = {}
    for name, array in arrays.items():
        model, slash, rest = name.partition("/")
        found[f"{RENAMED.get(model, model)}{slash}{rest}" if slash else name] = array
    return found

"""Scorers rebuilt from arrays that are named `scorer/array`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from metarec.models.added import restored
from metarec.models.base import Model
from metarec.models.config import ModelConfig
from metarec.models.registry import model_class


def under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays named `prefix/...`, with the prefix removed from their names."""
    return {
        key[len(prefix) + 1 :]: array
        for key, array in arrays.items()
        if key.startswith(f"{prefix}/")
    }


def scorers_of(
    configs: Mapping[str, ModelConfig | None], arrays: Mapping[str, np.ndarray]
) -> dict[str, Model]:
    """Rebuild scorers by name, each from its arrays (`scorer/array`) and its config."""
    return {
        name: restored(model_class(name), under(name, arrays), config)
        for name, config in configs.items()
    }

"""Scorers from named arrays, each under its name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from metarec.models.base import Model
from metarec.models.config import ModelConfig
from metarec.models.registry import model_class


def under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays named `prefix/...`, without that."""
    return {
        key[len(prefix) + 1 :]: array
        for key, array in arrays.items()
        if key.startswith(f"{prefix}/")
    }


def scorers_of(
    configs: Mapping[str, ModelConfig | None], arrays: Mapping[str, np.ndarray]
) -> dict[str, Model]:
    """Scorers by name, from `scorer/array` by name and the config of each."""
    return {
        name: model_class(name).from_arrays(under(name, arrays), config)
        for name, config in configs.items()
    }

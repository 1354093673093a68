"""Integrated gradients through a differentiable part of a model, by captum.

Sundararajan et al. 2017, arXiv:1703.01365: the gradient, integrated along the straight line from a
baseline to the input. The attributions add up to value(input) - value(baseline); the error of the
numerical integral is returned with them, so that it can be checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from metarec.runtime.device import in_memory
from metarec.runtime.extras import require

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class AttributionInput:
    """A differentiable function of one user's inputs."""

    function: Callable[[Tensor], Tensor]
    """[B, ...] inputs -> [B] numbers."""
    inputs: Tensor
    """[...] this user's inputs; the first axis has one entry per name."""
    baseline: Tensor
    """[...] inputs without information."""
    names: Sequence[str]
    """Display name of each entry of the first axis."""


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Effect of each named input, by its gradient along the path."""

    names: list[str]
    effects: np.ndarray
    """[F] in the order of `names`."""
    remainder: float
    """value(input) - value(baseline) - sum(effects); small if `steps` were enough."""


def integrated_gradients(input: AttributionInput, *, steps: int = 64) -> Attribution:
    """Attribute the value at `input.inputs` to its named inputs, with `steps` points of the
    integral.

    Raises:
        MissingExtra: if captum is not installed (`pip install 'metarec[explain]'`).
    """
    attr = require("captum.attr", "explain")
    method = attr.IntegratedGradients(input.function)
    attributions, remainder = method.attribute(
        input.inputs[None],
        baselines=input.baseline[None],
        n_steps=steps,
        return_convergence_delta=True,
    )
    effects = in_memory(attributions[0].reshape(len(input.names), -1).sum(dim=1))
    return Attribution(names=list(input.names), effects=effects, remainder=-float(remainder[0]))

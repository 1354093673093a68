"""One line for a model whose training diverged, instead of a model of NaN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from metarec.data.errors import BadInput


@contextmanager
def no_divergence(name: str) -> Iterator[None]:
    """Let the training in this block end in one line where it diverges.

    Args:
        name: id of the model, which is also its table `[models.NAME]` in `metarec.toml`.

    Raises:
        BadInput: if a loss is not finite, or a matrix of a closed form has no factorization.
    """
    try:
        yield
    except (FloatingPointError, np.linalg.LinAlgError) as error:
        raise diverged(name, str(error)) from error
    except RuntimeError as error:
        if type(error).__name__ != "_LinAlgError":  # torch's own; its class has no public name
            raise
        raise diverged(name, "a matrix is not positive definite") from error


def diverged(name: str, symptom: str) -> BadInput:
    """Return the error for a model whose training diverged."""
    return BadInput(
        f"the training of {name} diverged ({symptom.rstrip('.')}); lower its step sizes (settings "
        f"such as lr, outer_lr, inner_lr and learning_rate in [models.{name}]), or leave them out"
    )

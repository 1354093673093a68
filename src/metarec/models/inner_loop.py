"""The inner loop of one task, to be batched over tasks by `torch.func.vmap`: for networks that are
modules (`models/few_shot/adapt.py` does the same for networks that are functions of stacked
parameters, whose weights it keeps in factors).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.func import grad

Params = dict[str, Tensor]


def descend(
    loss: Callable[[Params], Tensor],
    own: Params,
    *,
    steps: int,
    rate: Callable[[str, int], Tensor | float],
    first_order: bool = False,
) -> Params:
    """Parameters after `steps` gradient steps on the support's loss; `own` is left as it was.

    Finn et al. 2017, arXiv:1703.03400, algorithm 1, lines 5 to 6.

    Args:
        loss: of the task's support under these parameters, a single number.
        rate: step size of a parameter at a step.
        first_order: treat gradients as constants (section 5.2 there).
    """
    for step in range(steps):
        slopes = grad(loss)(own)
        if first_order:
            slopes = {name: slope.detach() for name, slope in slopes.items()}
        own = {name: value - rate(name, step) * slopes[name] for name, value in own.items()}
    return own

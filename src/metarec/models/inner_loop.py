"""The inner loop of one task, for networks that are torch modules; batched over tasks by
`torch.func.vmap`. `models/few_shot/adapt.py` is its counterpart for networks that are functions of
stacked parameters and keep their weights in low-rank form.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.func import grad

Params = dict[str, Tensor]


def descend(
    loss: Callable[[Params], Tensor],
    params: Params,
    *,
    steps: int,
    rate: Callable[[str, int], Tensor | float],
    first_order: bool = False,
) -> Params:
    """Parameters after `steps` gradient steps on the support loss; `params` itself is not changed.

    Finn et al. 2017, arXiv:1703.03400, algorithm 1, lines 5 to 6.

    Args:
        loss: support loss of the task under the given parameters, a scalar.
        params: parameters where the steps start.
        rate: step size, given the name of a parameter and the number of the step.
        first_order: treat gradients as constants (section 5.2 there).
    """
    for step in range(steps):
        slopes = grad(loss)(params)
        if first_order:
            slopes = {name: slope.detach() for name, slope in slopes.items()}
        params = {name: value - rate(name, step) * slopes[name] for name, value in params.items()}
    return params

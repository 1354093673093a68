"""Reptile: follow where adapting goes."""

from metarec.metalearning.adapt import AdaptConfig
from metarec.metalearning.bodies import MLPBody
from metarec.metalearning.learner import Objective
from metarec.metalearning.learners.gradient import GradientLearner


def reptile(
    *, objective: Objective = "ranking", inner_steps: int = 5, inner_lr: float = 0.03
) -> GradientLearner:
    """The prior moves towards the mean of the adapted weights; no query, no second derivatives
    (Nichol et al. 2018, arXiv:1803.02999).

    The outer optimiser is AdamW on that direction, where the paper interpolates. As it asks no
    query it never learns that early events differ from later ones, so steps are short and a few
    events count little (`kappa`).
    """
    return GradientLearner(
        name="reptile",
        objective=objective,
        body=MLPBody(),
        outer="reptile",
        kappa=100.0,
        adaptation=AdaptConfig(inner_steps=inner_steps, inner_lr=inner_lr, first_order=True),
    )

"""Reptile: follow where adapting goes."""

from metarec.metalearning.adapt import AdaptConfig
from metarec.metalearning.bodies import MLPBody
from metarec.metalearning.learner import Objective
from metarec.metalearning.learners.gradient import GradientLearner


def reptile(*, objective: Objective = "ranking", inner_steps: int = 5, inner_lr: float = 0.1) -> GradientLearner:
    """The prior moves towards the mean of the adapted weights; no query, no second derivatives (Nichol et al. 2018, arXiv:1803.02999).

    The outer optimiser is AdamW on that direction, where the paper interpolates.
    """
    return GradientLearner(name="reptile", objective=objective, body=MLPBody(), outer="reptile",
                           adaptation=AdaptConfig(inner_steps=inner_steps, inner_lr=inner_lr, first_order=True))

"""Meta-SGD: the direction and length of every step are learned."""

from metarec.metalearning.adapt import AdaptConfig
from metarec.metalearning.bodies import MLPBody
from metarec.metalearning.learner import Objective
from metarec.metalearning.learners.gradient import GradientLearner


def meta_sgd(
    *, objective: Objective = "ranking", inner_steps: int = 1, inner_lr: float = 0.1
) -> GradientLearner:
    """A step size for each weight, learned with the prior; one inner step (Li et al. 2017,
    arXiv:1707.09835).
    """
    return GradientLearner(
        name="meta_sgd",
        objective=objective,
        body=MLPBody(),
        adaptation=AdaptConfig(inner_steps=inner_steps, inner_lr=inner_lr, rates="per_weight"),
    )

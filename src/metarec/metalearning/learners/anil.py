"""Almost no inner loop: only the head adapts."""

from metarec.metalearning.adapt import AdaptConfig
from metarec.metalearning.bodies import TwoTowerBody
from metarec.metalearning.learner import Objective
from metarec.metalearning.learners.gradient import GradientLearner


def anil(
    *, objective: Objective = "ranking", inner_steps: int = 3, inner_lr: float = 0.3
) -> GradientLearner:
    """The user vector adapts, the item tower is shared (Raghu et al. 2020, arXiv:1909.09157): cheap
    to serve at any scale.
    """
    return GradientLearner(
        name="anil",
        objective=objective,
        body=TwoTowerBody(),
        adaptation=AdaptConfig(
            inner_steps=inner_steps,
            inner_lr=inner_lr,
            rates="per_step",
            adapts=("user_0", "offset", "bias_scale"),
        ),
    )

"""Model-agnostic meta-learning, with exact second derivatives."""

from metarec.metalearning.adapt import AdaptConfig
from metarec.metalearning.bodies import MLPBody
from metarec.metalearning.learner import Objective
from metarec.metalearning.learners.gradient import GradientLearner


def maml(
    *, objective: Objective = "ranking", inner_steps: int = 3, inner_lr: float = 0.1
) -> GradientLearner:
    """Every weight adapts; the prior learns through the inner steps (Finn et al. 2017,
    arXiv:1703.03400).

    The step sizes are learned for each tensor and step (MAML++, Antoniou et al. 2019,
    arXiv:1810.09502).
    """
    return GradientLearner(
        name="maml",
        objective=objective,
        body=MLPBody(),
        adaptation=AdaptConfig(inner_steps=inner_steps, inner_lr=inner_lr, rates="per_step"),
    )

"""First-order MAML."""

from metarec.metalearning.adapt import AdaptConfig
from metarec.metalearning.bodies import MLPBody
from metarec.metalearning.learner import Objective
from metarec.metalearning.learners.gradient import GradientLearner


def fomaml(
    *, objective: Objective = "ranking", inner_steps: int = 3, inner_lr: float = 0.1
) -> GradientLearner:
    """MAML that treats the inner steps as constants (Finn et al. 2017, arXiv:1703.03400, section
    5.2): cheaper, and biased.
    """
    return GradientLearner(
        name="fomaml",
        objective=objective,
        body=MLPBody(),
        adaptation=AdaptConfig(inner_steps=inner_steps, inner_lr=inner_lr, first_order=True),
    )

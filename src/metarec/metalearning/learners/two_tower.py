"""The classic two towers under MAML: `r_ij = sigmoid(W_r [u_i* . v_j*])`, squared error."""

from metarec.metalearning.adapt import AdaptConfig
from metarec.metalearning.bodies import TwoTowerBody
from metarec.metalearning.learner import Objective
from metarec.metalearning.learners.gradient import GradientLearner


def two_tower(
    *, objective: Objective = "rating", inner_steps: int = 3, inner_lr: float = 1.0
) -> GradientLearner:
    """The user vector and the relation `W_r` adapt to the support's squared error, the item tower
    is shared (arXiv:1703.03400).
    """
    return GradientLearner(
        name="two_tower",
        objective=objective,
        body=TwoTowerBody(sigmoid=True),
        adaptation=AdaptConfig(
            inner_steps=inner_steps,
            inner_lr=inner_lr,
            rates="per_step",
            adapts=("user_0", "relation", "offset"),
        ),
    )

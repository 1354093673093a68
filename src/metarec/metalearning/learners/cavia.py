"""CAVIA: a context vector adapts, the network does not."""

from metarec.metalearning.adapt import AdaptConfig
from metarec.metalearning.bodies import MLPBody
from metarec.metalearning.learner import Objective
from metarec.metalearning.learners.gradient import GradientLearner


def cavia(
    *,
    objective: Objective = "ranking",
    inner_steps: int = 3,
    inner_lr: float = 1.0,
    context: int = 16,
) -> GradientLearner:
    """A context of `context` numbers joins every item's columns and adapts alone (Zintgraf et al.
    2019, arXiv:1810.03642).
    """
    return GradientLearner(
        name="cavia",
        objective=objective,
        body=MLPBody(context=context),
        adaptation=AdaptConfig(
            inner_steps=inner_steps, inner_lr=inner_lr, rates="per_step", adapts=("context",)
        ),
    )

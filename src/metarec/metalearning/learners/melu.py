"""MeLU: the meta-learned user preference estimator."""

from metarec.metalearning.adapt import AdaptConfig
from metarec.metalearning.bodies import MLPBody
from metarec.metalearning.learner import Objective
from metarec.metalearning.learners.gradient import GradientLearner


def melu(
    *, objective: Objective = "rating", inner_steps: int = 1, inner_lr: float = 5e-3
) -> GradientLearner:
    """Content and profile through shared embeddings; the decision layers adapt to a person's
    ratings (Lee et al. 2019, arXiv:1908.00413).

    Second order, as the paper writes (its code cuts that path). Attributes are embedded together
    instead of one by one. The published step size, 5e-6, leaves the prior where it is; pass it to
    reproduce that.
    """
    return GradientLearner(
        name="melu",
        objective=objective,
        body=MLPBody(hidden=(64, 64), embed=128),
        adaptation=AdaptConfig(
            inner_steps=inner_steps, inner_lr=inner_lr, adapts=("mlp.*", "context_in.*", "out.*")
        ),
    )

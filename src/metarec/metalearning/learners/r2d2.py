"""R2-D2: ridge regression as the adapting head."""

from metarec.metalearning.learner import Objective
from metarec.metalearning.learners.ridge import RidgeLearner


def r2d2(*, objective: Objective = "ranking", dim: int = 32) -> RidgeLearner:
    """A differentiable ridge solution from zero on learned features (Bertinetto et al. 2019,
    arXiv:1805.08136).
    """
    return RidgeLearner(name="r2d2", learns_mean=False, objective=objective, dim=dim)

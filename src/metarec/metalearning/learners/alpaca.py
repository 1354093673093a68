"""ALPaCA: Bayesian ridge regression with a learned prior."""

from metarec.metalearning.learner import Objective
from metarec.metalearning.learners.ridge import RidgeLearner


def bayesian_ridge(*, objective: Objective = "ranking", dim: int = 32) -> RidgeLearner:
    """Features, prior mean and noise learned by the likelihood of later events (Harrison et al.
    2018, arXiv:1807.08912).
    """
    return RidgeLearner(name="bayesian_ridge", objective=objective, dim=dim)

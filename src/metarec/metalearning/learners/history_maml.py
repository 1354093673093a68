"""MAML over a Transformer user tower."""

from metarec.metalearning.adapt import AdaptConfig
from metarec.metalearning.bodies import HistoryBody
from metarec.metalearning.learner import Objective
from metarec.metalearning.learners.gradient import GradientLearner


def history_maml(
    *,
    objective: Objective = "ranking",
    inner_steps: int = 1,
    inner_lr: float = 0.1,
    adapts: tuple[str, ...] = ("*.down", "*.up", "user_0", "offset"),
) -> GradientLearner:
    """A causal Transformer reads the history; its low-rank factors (LoRA, arXiv:2106.09685) adapt
    to the person.

    Finn et al. 2017, arXiv:1703.03400, over parameters chosen by `adapts`: `("*",)` is everything,
    `("block.0.*",)` one block.
    """
    return GradientLearner(
        name="history_maml",
        objective=objective,
        body=HistoryBody(lora=4),
        adaptation=AdaptConfig(
            inner_steps=inner_steps, inner_lr=inner_lr, rates="per_step", adapts=adapts
        ),
    )

"""Hyper-parameters of the model that reranks cold items."""

from __future__ import annotations

from dataclasses import dataclass

from metarec.models.config import setting
from metarec.models.few_shot.inputs_config import InputsConfig
from metarec.models.few_shot.training import Training


@dataclass(frozen=True, kw_only=True)
class ColdItemsConfig(InputsConfig):
    """Hyper-parameters of the model that reranks cold items (`models.cold_items`)."""

    folds: int = setting(8, at_least=2)
    """Number of folds of items (2 or more): users are described without the items of the fold from
    which a meta-batch is drawn, as the raters of a new item will be.
    """
    max_raters: int = setting(10, at_least=1)
    """Raters in the support of an item, at most (1 or more)."""
    no_raters: float = setting(0.4, at_least=0, at_most=1)
    """Share of tasks without raters (in [0, 1])."""
    new_users: float = setting(0.5, at_least=0, at_most=1)
    """Share of users (in [0, 1]) whose histories are cut as short as those of new users."""
    evidence: float = setting(5.0, at_least=0)
    """Number of events at which the description of a user has half its full size (0 or more): a
    short history says less.
    """
    disliked: float = setting(-0.3)
    """Weight of a disliked event in the description of a user, beside 1 for a liked one."""
    max_held_out: int = setting(2000, at_least=2)
    """Held-out items, and users for whom they are ranked, at most (2 or more)."""
    confident_at: float = setting(2.0, above=0)
    """Number of raters (above 0) at which the weights of an item are half way from those without
    raters to those with many.
    """
    shrinkage: float = setting(1e-3, at_least=0)
    """L2 penalty that shrinks the weights towards the learner alone (0 or more), added to a loss in
    nats.
    """
    learners: int = setting(3, at_least=1)
    """Number of learners whose scores are summed (1 or more). Each holds out another random fold of
    items for early stopping and for its weights.
    """
    max_users: int = setting(10_000, at_least=1)
    """Training users, at most (1 or more)."""
    min_likers: int = setting(8, at_least=1)
    """Number of liked items for each fold (1 or more) from which on learners are fitted."""
    outer_steps: int = setting(400, at_least=1)
    """Updates of a learner's prior (1 or more)."""
    tasks_per_step: int = setting(96, at_least=2)
    """Items in each meta-batch (2 or more)."""
    outer_lr: float = setting(3e-3, above=0)
    """Peak step size of AdamW (above 0)."""
    weight_decay: float = setting(1e-2, at_least=0)
    """Weight decay of matrices (0 or more)."""
    dropout: float = setting(0.1, at_least=0, below=1)
    """Share of input entries dropped in each step, in [0, 1)."""
    evaluate_every: int = setting(100, at_least=1)
    """Steps between evaluations on held-out items (1 or more); the best prior is kept."""

    @property
    def training(self) -> Training:
        """Settings of the outer loop of each learner."""
        return Training(
            outer_steps=self.outer_steps,
            tasks_per_step=self.tasks_per_step,
            outer_lr=self.outer_lr,
            weight_decay=self.weight_decay,
            dropout=self.dropout,
            evaluate_every=self.evaluate_every,
        )

"""Hyper-parameters of what orders cold items."""

from __future__ import annotations

from dataclasses import dataclass

from metarec.models.config import setting
from metarec.models.few_shot.inputs_config import InputsConfig
from metarec.models.few_shot.training import Training


@dataclass(frozen=True, kw_only=True)
class ColdItemsConfig(InputsConfig):
    """Hyper-parameters of what orders cold items (`models.cold_items`)."""

    folds: int = setting(8, least=2)
    """Parts of the items (2 or more): users are described without the items of the fold a
    meta-batch is drawn from, as a new item's raters will be.
    """
    max_raters: int = setting(10, least=1)
    """Raters of an item that are learned from (1 or more)."""
    no_raters: float = setting(0.4, least=0, most=1)
    """Share of tasks that show no rater (in [0, 1])."""
    new_users: float = setting(0.5, least=0, most=1)
    """Share of users (in [0, 1]) of whom as little is shown as of new users."""
    evidence: float = setting(5.0, least=0)
    """Events of a user that count half (0 or more): a short history says less of them."""
    disliked: float = setting(-0.3)
    """Weight of a disliked event in the description of a user."""
    max_held_out: int = setting(2000, least=2)
    """Held-out items, and users asked about them, at most (2 or more)."""
    confident_at: float = setting(2.0, above=0)
    """Raters of an item (above 0) that move its weights half way from those of none to those of
    many.
    """
    shrinkage: float = setting(1e-3, least=0)
    """Of the weights towards the learner alone (0 or more), beside a loss in nats."""
    learners: int = setting(3, least=1)
    """Learners whose scores are added up (1 or more): which items they are kept from, to learn when
    to stop and what to trust, is drawn by lot.
    """
    max_users: int = setting(10_000, least=1)
    """Training users that are learned from at most (1 or more)."""
    min_likers: int = setting(8, least=1)
    """Items with likes in each fold (1 or more) from which on there is something to learn of items.
    """
    outer_steps: int = setting(400, least=1)
    """Updates of a learner's prior (1 or more)."""
    tasks_per_step: int = setting(96, least=2)
    """Items in each meta-batch (2 or more)."""
    outer_lr: float = setting(3e-3, above=0)
    """Peak step size of AdamW (above 0)."""
    weight_decay: float = setting(1e-2, least=0)
    """Of matrices (0 or more)."""
    dropout: float = setting(0.1, least=0, below=1)
    """Share of entries hidden in each step, in [0, 1)."""
    evaluate_every: int = setting(100, least=1)
    """Steps between two looks at held-out items (1 or more); the best prior seen is kept."""

    @property
    def training(self) -> Training:
        """How the prior of each learner is learned."""
        return Training(
            outer_steps=self.outer_steps,
            tasks_per_step=self.tasks_per_step,
            outer_lr=self.outer_lr,
            weight_decay=self.weight_decay,
            dropout=self.dropout,
            evaluate_every=self.evaluate_every,
        )

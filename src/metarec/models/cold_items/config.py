"""Hyper-parameters of what orders cold items."""

from __future__ import annotations

from dataclasses import dataclass

from metarec.models.config import ModelConfig, setting


@dataclass(frozen=True, kw_only=True)
class ColdItemsConfig(ModelConfig):
    """Hyper-parameters of what orders cold items (`models.cold_items`)."""

    folds: int = setting(8, least=2)
    """Parts of the items (2 or more): users are described without the items of the fold a
    meta-batch is drawn from, as a new item's raters will be.
    """
    max_raters: int = setting(10, least=1)
    """Raters of an item that are learned from (1 or more)."""
    no_raters: float = setting(0.4, least=0, most=1)
    """Share of tasks that show no rater (in [0, 1])."""
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

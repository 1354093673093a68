"""Hyper-parameters of the gates: the users and candidates they learn from, and how they are
trained.
"""

from __future__ import annotations

from dataclasses import dataclass

from metarec.models.config import ModelConfig, setting


@dataclass(frozen=True, kw_only=True)
class GateConfig(ModelConfig):
    """Hyper-parameters of the gate between models, and of the gate that also weighs models that
    read context (`ensemble.gate`).
    """

    folds: int = setting(3, at_least=2)
    """Cross-fitting folds (2 or more), used where few training users can be held out."""
    many: int = setting(2500, at_least=2)
    """Number of eligible training users above which one part is held out once instead (2 or
    more).
    """
    held_out: int = setting(800, at_least=1)
    """Size of that part (1 or more)."""
    min_held_out: int = setting(300, at_least=1)
    """Minimum size of that part where a large catalog limits it (1 or more)."""
    top: int = setting(100, at_least=1)
    """Best items of each model that become candidates (1 or more)."""
    sampled: int = setting(150, at_least=1)
    """Further candidates, drawn at random, each weighted by the number of items it stands for (1 or
    more).
    """
    relevant: int = setting(100, at_least=1)
    """Maximum number of relevant items of a task (1 or more): a single user with a thousand would
    make the padded tasks of all users as wide.
    """
    revealed: float = setting(0.5, above=0, at_most=1)
    """Probability that a task reveals the input of a model that reads context, where there are
    several such inputs (above 0, 1 at most).
    """
    max_located: int = setting(400, at_least=1)
    """Maximum number of users whose location is revealed (1 or more): distances to all items are
    most of the cost of a task, and more users did not improve the gate (docs/experiments).
    """
    likelihood_steps: int = setting(40, at_least=0)
    """Training steps that maximize the likelihood of liked items (0 or more)."""
    ranking_steps: int = setting(120, at_least=1)
    """Training steps that then maximize NDCG and Recall (1 or more)."""
    batch: int = setting(48, at_least=1)
    """Tasks of each support size in a training step (1 or more)."""
    lr: float = setting(0.05, above=0)
    """Initial learning rate (above 0); it falls linearly to a tenth."""
    smoothness: float = setting(0.003, at_least=0, search_range=(3e-4, 0.03))
    """Penalty on differences between neighboring support sizes (0 or more)."""
    shrinkage: float = setting(1e-3, at_least=0, search_range=(1e-4, 0.01))
    """Penalty on the distance of the popularity weight from 1 and of all other weights from 0 (0 or
    more).
    """
    reach: int = setting(100, at_least=2)
    """Number of top positions of the current ranking within which pairs are compared (2 or
    more).
    """
    near: int = setting(200, at_least=2)
    """Candidates kept for the ranking steps (2 or more): the best after the likelihood steps, and
    relevant ones before others, up to half of these.
    """
    ndcg_places: int = setting(10, at_least=1)
    """Cutoff k of the NDCG@k that is maximized (1 or more)."""
    recall_places: int = setting(20, at_least=1)
    """Cutoff k of the Recall@k that is maximized with it (1 or more)."""
    context_steps: int = setting(60, at_least=1)
    """Ranking steps of the gate that also weighs context (1 or more): it starts from the other
    gate.
    """
    context_batch: int = setting(64, at_least=1)
    """Tasks of each support size in such a step (1 or more); raised, up to twice as many, where
    each task would otherwise be drawn fewer than ten times.
    """
    min_revealed: int = setting(20, at_least=1)
    """Minimum number of tasks at a support size to learn the weights of context (1 or more)."""
    scaling_rounds: int = setting(2, at_least=0)
    """Rounds of the final tuning, which scales parameters where that improves NDCG (0 or more)."""
    scaling_min_t: float = setting(1.5, at_least=0)
    """Minimum t statistic of the gain for a scaled parameter to be kept (0 or more)."""
    prior_pull: float = setting(2.0, at_least=0)
    """Penalty on the distance to a prior's gate, divided by the number of users that teach this one
    (0 or more).
    """
    prior_min_t: float = setting(1.5, at_least=0)
    """Minimum t statistic of the gain on held-out users for a prior to be used (0 or more)."""


@dataclass(frozen=True, kw_only=True)
class GivenConfig(ModelConfig):
    """Hyper-parameters of the gates for few given candidates (`ensemble.given`)."""

    likelihood_steps: int = setting(15, at_least=0)
    """Training steps that maximize the likelihood of liked items (0 or more): these gates start
    from that of the whole catalog, so a third of its work is enough.
    """
    ranking_steps: int = setting(35, at_least=1)
    """Training steps that then maximize NDCG and Recall (1 or more)."""
    batch: int = setting(48, at_least=1)
    """Tasks of each support size in a training step (1 or more)."""
    min_t: float = setting(2.0, at_least=0)
    """Minimum t statistic of the gain in NDCG for such a gate to be kept (0 or more)."""
    min_tasks: int = setting(50, at_least=2)
    """Minimum number of tasks at each support size to learn and compare such a gate (2 or more)."""
    nearly_all: float = setting(0.95, above=0, at_most=1)
    """Quantile of the popularity of users' own lists up to which given candidates count as chosen
    by users (above 0, 1 at most).
    """

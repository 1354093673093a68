"""Hyper-parameters of the gates: who teaches them, on which candidates, and how they learn."""

from __future__ import annotations

from dataclasses import dataclass

from metarec.models.config import ModelConfig, setting


@dataclass(frozen=True, kw_only=True)
class GateConfig(ModelConfig):
    """Hyper-parameters of the gate between models, and of the one that also hears what models of
    context say (`ensemble.gate`).
    """

    folds: int = setting(3, least=2)
    """Cross-fitting folds (2 or more) where training new users are few."""
    many: int = setting(2500, least=2)
    """Training new users from which on one part of them is held out once (2 or more)."""
    held_out: int = setting(1200, least=1)
    """Size of that part (1 or more)."""
    min_held_out: int = setting(300, least=1)
    """Its size at least, where the catalog is so large that fewer are asked (1 or more)."""
    top: int = setting(100, least=1)
    """Best items of each model that become candidates (1 or more)."""
    sampled: int = setting(150, least=1)
    """Further candidates, drawn at random and weighed for all they stand for (1 or more)."""
    told: float = setting(0.5, above=0, most=1)
    """Chance that a task tells what a model of context reads, where there are several (above 0, 1
    at most).
    """
    max_placed: int = setting(400, least=1)
    """Of those users whose places are told (1 or more): distances to all items cost most of what
    they teach, and more users teach no more (docs/experiments).
    """
    likelihood_steps: int = setting(60, least=0)
    """Steps that raise the likelihood of what users liked (0 or more)."""
    ranking_steps: int = setting(120, least=1)
    """Steps that then raise NDCG and Recall (1 or more)."""
    batch: int = setting(128, least=1)
    """Tasks of each support size in a step (1 or more)."""
    lr: float = setting(0.05, above=0)
    """Step size at first (above 0); it falls to a tenth."""
    smoothness: float = setting(0.003, least=0, tried=(3e-4, 0.03))
    """Pull of neighboring support sizes towards each other (0 or more)."""
    shrinkage: float = setting(1e-3, least=0, tried=(1e-4, 0.01))
    """Pull of weights towards 0, and of popularity's towards 1 (0 or more)."""
    reach: int = setting(100, least=2)
    """Places of the current order within which pairs are compared (2 or more)."""
    near: int = setting(300, least=2)
    """Candidates that the ranking steps ask, beside what is relevant: the best after the likelihood
    steps (2 or more).
    """
    ndcg_places: int = setting(10, least=1)
    """Places of the NDCG that is raised (1 or more)."""
    recall_places: int = setting(20, least=1)
    """Places of the Recall that is raised with it (1 or more)."""
    context_steps: int = setting(60, least=1)
    """Ranking steps of the gate that hears context too (1 or more): it goes on from the other."""
    context_batch: int = setting(64, least=1)
    """Tasks of each support size in such a step (1 or more); up to `batch` where there are so many
    that each would be asked fewer than ten times.
    """
    min_told: int = setting(20, least=1)
    """Tasks at a support size that can teach what context is worth (1 or more)."""
    scaling_rounds: int = setting(2, least=0)
    """Times its numbers are scaled at last where that raises NDCG (0 or more)."""
    scaling_min_t: float = setting(1.5, least=0)
    """Standard errors by which scaling a number must help (0 or more)."""
    prior_pull: float = setting(2.0, least=0)
    """Pull towards a prior's gate over the number of users that teach this one (0 or more)."""
    prior_min_t: float = setting(1.5, least=0)
    """Standard errors by which a prior must help held-out users (0 or more)."""


@dataclass(frozen=True, kw_only=True)
class GivenConfig(ModelConfig):
    """Hyper-parameters of the gates between few given candidates (`ensemble.given`)."""

    likelihood_steps: int = setting(15, least=0)
    """Steps that raise the likelihood of what users liked (0 or more): the gates go on from that of
    the whole catalog, so a seventh of its work is enough.
    """
    ranking_steps: int = setting(35, least=1)
    """Steps that then raise NDCG and Recall (1 or more)."""
    batch: int = setting(64, least=1)
    """Tasks of each support size in a step (1 or more)."""
    min_t: float = setting(2.0, least=0)
    """Standard errors by which lists must be ranked better (0 or more)."""
    min_tasks: int = setting(50, least=2)
    """Tasks at each support size that can tell whether a gate is better (2 or more)."""
    nearly_all: float = setting(0.95, above=0, most=1)
    """Share of users whose own lists are no more popular than a list of chosen items may be (above
    0, 1 at most).
    """

"""Exposure gained, and quality lost, by a share of places reserved for cold items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from metarec.evaluation import metrics
from metarec.evaluation.interface import requests_at
from metarec.evaluation.measure import EvaluationSet
from metarec.recommendation.slate import Request, Slate
from metarec.recommender import Recommender
from metarec.runtime.rng import derive

K = 10
MAX_USERS = 500
"""Maximum number of users, which bounds the time of an audit."""


@dataclass(frozen=True, kw_only=True)
class ColdExposure:
    """Comparison of slates of ten without and with reserved places, after one number of events."""

    n_support: int
    share: float
    """Share of places that are reserved."""
    cold_items: int
    """Number of cold items in the catalog: items with fewer than 5 training events."""
    places: tuple[float, float]
    """Share of places with cold items: without and with the reserved places."""
    items: tuple[int, int]
    """Distinct cold items shown: without and with."""
    ndcg: tuple[float, float]
    """NDCG@10: without and with; the difference is the cost."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    def to_text(self) -> str:
        """Return the comparison as one sentence for a terminal."""
        (bare, reserved), (few, many), (before, after) = self.places, self.items, self.ndcg
        return (
            f"Cold items ({self.cold_items:,} of the catalog) at {self.n_support} known items of "
            f"each user: with a share of {self.share:g} of places reserved for them, "
            f"{reserved:.1%} of places show one ({bare:.1%} without), and {many:,} of them are "
            f"shown ({few:,} without); NDCG@10 changes by {after - before:+.4f}, from {before:.4f} "
            f"to {after:.4f}."
        )


def cold_exposure(
    model: Recommender,
    evaluation_set: EvaluationSet,
    support_sizes: Sequence[int],
    *,
    share: float = 0.05,
    seed: int = 0,
) -> ColdExposure | None:
    """Measure at the middle of the numbers of events `support_sizes`; None if no item is cold."""
    if not len(model.cold_items):
        return None
    middle, users = (
        sorted(support_sizes)[len(support_sizes) // 2],
        evaluation_set.cold_users[:MAX_USERS],
    )
    requests = [
        replace(request, exclude=[event[0] for event in user.pool])
        for request, user in zip(requests_at(users, middle), users, strict=True)
    ]
    liked = [set(user.relevant) for user in users]
    bare, reserved = (_slates(model, requests, of, seed) for of in (0.0, share))
    cold = set(model.vocabulary.names(model.cold_items.tolist()))
    shown = [[item for slate in slates for item in slate.item_ids] for slates in (bare, reserved)]
    return ColdExposure(
        n_support=middle,
        share=share,
        cold_items=len(cold),
        places=_pair(shown, lambda items: float(np.mean([item in cold for item in items]))),
        items=_pair(shown, lambda items: len(cold & set(items))),
        ndcg=_pair([bare, reserved], lambda slates: _ndcg(slates, liked)),
    )


def _slates(
    model: Recommender, requests: Sequence[Request], share: float, seed: int
) -> list[Slate]:
    return model.recommend(requests, k=K, cold_share=share, rng=derive(seed, "cold exposure"))


def _ndcg(slates: Sequence[Slate], liked: Sequence[set[str]]) -> float:
    hits = np.zeros((len(slates), K), bool)
    for row, (slate, liked_by_user) in enumerate(zip(slates, liked, strict=True)):
        hits[row, : len(slate.item_ids)] = [item in liked_by_user for item in slate.item_ids]
    return float(
        metrics.ndcg(hits, np.array([len(liked_by_user) for liked_by_user in liked]), K).mean()
    )


def _pair(two: Sequence[Any], of: Any) -> tuple[Any, Any]:
    return of(two[0]), of(two[1])

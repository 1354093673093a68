"""Comparison of all mitigations on one split, with their trade-offs: those before training fit
again, those after it reuse the fitted model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from metarec.data.cleaning import clean
from metarec.data.cold_users import ColdUserSplit
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.evaluation.interface import Scores
from metarec.evaluation.measure import EvaluationSet
from metarec.fairness.groups import (
    ACTIVITY,
    category_matrix,
    group_items_by_popularity,
    group_users,
)
from metarec.fairness.mitigation.augment import augment_with_gan
from metarec.fairness.mitigation.debiasing import PopularityDebiased
from metarec.fairness.mitigation.gan import GanConfig
from metarec.fairness.mitigation.gan_checks import GanReport
from metarec.fairness.mitigation.own_model import OwnModel
from metarec.fairness.mitigation.prior import GroupPrior
from metarec.fairness.mitigation.reranking import Calibrated, ExposureBounded, Reranked, taste_of
from metarec.fairness.mitigation.reweighting import inverse_propensity, reweigh
from metarec.fairness.mitigation.trade_off import AS_IS, TradeOffTable, trade_off
from metarec.fairness.mitigation.upsampling import upsample
from metarec.fairness.outcomes import Outcomes, evaluate
from metarec.recommendation.slate import Request
from metarec.runtime.old_names import takes_former_keywords
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

Fit = Callable[[Dataset, dict[str, float] | None], Scores]
"""Function (training data, user weights or None) -> a fitted recommender."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """The table of trade-offs, and the results behind it."""

    table: TradeOffTable
    before: Outcomes
    """Outcomes of the model without mitigation."""
    after: dict[str, Outcomes]
    """Mitigation -> outcomes."""
    gan: GanReport | None = None
    """Report on the synthetic users; None if there are none."""

    def to_text(self) -> str:
        """Return the table, followed by the report on synthetic users."""
        return "\n".join(
            [self.table.to_text(), *([self.gan.to_text()] if self.gan is not None else [])]
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data: `trade_offs`, and `synthetic` if there are synthetic users."""
        checks = {} if self.gan is None else {"synthetic": self.gan.to_json()}
        return {"trade_offs": self.table.to_json(), **checks}


@takes_former_keywords
def compare_mitigations(
    fit: Fit,
    split: ColdUserSplit,
    by: str,
    *,
    support_sizes: Sequence[int] | None = None,
    metric: str = "ndcg@10",
    pair: frozenset[str] | None = None,
    seed: int = 0,
    only: Sequence[str] | None = None,
    gan: GanConfig | None = None,
    progress: Progress = silent,
) -> Tried:
    """Fit once without mitigation, then try each mitigation for the groups of `by`, and compare
    them.

    Args:
        fit: fits a recommender; called once, and once more for each mitigation of training.
        by: profile attribute whose groups should be served more evenly, or `activity`: then only
            mitigations that need not know the group of the user they serve, since the future
            activity of a new user is unknown.
        support_sizes: numbers of events; those of the split's horizon where None.
        metric: metric to compare; mitigations that do not affect it (rerankers, where values are
            predicted) are left out.
        pair: the two groups of the gap, as named by an audit; the widest gap where None.
        only: names of mitigations to try; all where None.

    Raises:
        BadInput: for an unknown mitigation, an attribute that no user states or that has no two
            groups large enough, or a metric that was not measured.
    """
    steps = tuple(support_sizes or split.horizon.support_sizes)
    evaluation_set = EvaluationSet.of(split.test, split.train)
    groups = group_users(split.test, by)
    model = fit(split.train, None)
    ways = Ways(fit=fit, model=model, split=split, by=by, seed=seed, gan=gan or GanConfig())
    chosen = _chosen(dict(ways.all()), only)
    before = evaluate(model, evaluation_set, steps, seed=seed)
    trade_off(
        before, {}, [groups], derive(seed, "price"), metric=metric, pair=pair
    )  # fails before the work if there is no gap
    after: dict[str, Outcomes] = {}
    notes: dict[str, str] = {}
    for n, (name, way) in enumerate(chosen.items()):
        progress("trying mitigations", n / len(chosen), name)
        mitigated, note = way()
        outcomes = (
            before if mitigated is model else evaluate(mitigated, evaluation_set, steps, seed=seed)
        )
        notes |= {name: note} if note else {}
        if metric in outcomes.per_user:
            after[name] = outcomes
    progress("trying mitigations", 1.0, "")
    rng = derive(seed, "price")
    table = trade_off(before, after, [groups], rng, metric=metric, pair=pair, notes=notes)
    return Tried(table=table, before=before, after=after, gan=ways.report)


Way = Callable[[], tuple[Scores, str]]
"""Makes the mitigated recommender, and a note on it (empty without one)."""


def _chosen(ways: dict[str, Way], only: Sequence[str] | None) -> dict[str, Way]:
    names = list(ways) if only is None else list(only)
    for name in names:
        if name not in ways:
            raise BadInput(f"{name!r} is no mitigation; there are: {', '.join(ways)}")
    return {name: ways[name] for name in names}


@dataclass(kw_only=True)
class Ways:
    """All mitigations: each method makes the mitigated recommender and a note on it, lazily."""

    fit: Fit
    model: Scores
    split: ColdUserSplit
    by: str
    seed: int
    gan: GanConfig
    report: GanReport | None = None
    """Report on the synthetic users, once there are some."""

    def all(self) -> Iterator[tuple[str, Way]]:
        """Yield the mitigations that suit the groups and the data, with their names."""
        yield "cleaning", self._cleaned
        yield "reweighting", lambda: (self._reweighted, "")
        yield "inverse propensity", self._by_propensity
        if self.by != ACTIVITY:
            yield "upsampling", self._upsampled
            yield "GAN augmentation", self._augmented
            yield "group prior", self._with_prior
            yield "own model", self._own_model
        yield "popularity debiasing", self._debiased
        yield "exposure bounds", self._with_bounds
        try:
            categories, _ = category_matrix(self.split.train.items, self.model.vocabulary)
        except BadInput:  # calibration needs categories
            return
        yield "calibration", lambda: (_calibrated(self.model, self.split, categories), "")

    def _cleaned(self) -> tuple[Scores, str]:
        kept, _ = clean(self.split.train)
        if len(kept.interactions) < len(self.split.train.interactions):
            return self.fit(kept, None), ""
        return self.model, "nothing to take out"

    @cached_property
    def _reweighted(self) -> Scores:
        return self.fit(self.split.train, reweigh(self.split.train, self.by))

    def _by_propensity(self) -> tuple[Scores, str]:
        return self.fit(self.split.train, inverse_propensity(self.split.train)), ""

    def _upsampled(self) -> tuple[Scores, str]:
        more = upsample(self.split.train, self.by, derive(self.seed, "upsample"))
        return self.fit(more, None), ""

    def _augmented(self) -> tuple[Scores, str]:
        rng = derive(self.seed, "gan")
        augmented = augment_with_gan(self.split.train, self.by, rng, config=self.gan)
        self.report = augmented.report
        safe, unsafe = "copies are safe", "NOT SAFE: synthetic users resemble real ones"
        return self.fit(augmented.data, None), safe if augmented.report.is_safe else unsafe

    def _with_prior(self) -> tuple[Scores, str]:
        mitigated = GroupPrior(model=self.model, by=self.by)
        mitigated.fit(self.split.train, self.split.validation, derive(self.seed, "prior"))
        used = ", ".join(
            f"{label} {weight:g}" for label, weight in mitigated.weights.items() if weight
        )
        if not used:
            return mitigated, "helped nobody on validation new users, so it is not used"
        return mitigated, f"weights {used}"

    def _own_model(self) -> tuple[Scores, str]:
        mitigated = OwnModel(
            models={AS_IS: self.model, "reweighting": self._reweighted},
            by=self.by,
            support_sizes=self.split.horizon.support_sizes,
        )
        mitigated.fit(self.split.train, self.split.validation, derive(self.seed, "own model"))
        return mitigated, ", ".join(f"{label}: {name}" for label, name in mitigated.chosen.items())

    def _debiased(self) -> tuple[Scores, str]:
        mitigated = PopularityDebiased(model=self.model)
        mitigated.fit(self.split.train, self.split.validation, derive(self.seed, "debiasing"))
        return mitigated, f"strength {mitigated.strength:g}"

    def _with_bounds(self) -> tuple[Scores, str]:
        return _bounded(self.model, self.split), "rare items get 10% of attention"


def _bounded(model: Scores, split: ColdUserSplit, min_share: float = 0.1) -> Scores:
    """Return the model with at least a share `min_share` of attention for rare items."""
    rare = group_items_by_popularity(split.train, model.vocabulary).mask("rare")
    return Reranked(
        model=model,
        name="exposure bounds",
        reranker=lambda _: ExposureBounded(protected=rare, min_share=min_share),
    )


def _calibrated(
    model: Scores, split: ColdUserSplit, categories: np.ndarray, weight: float = 0.3
) -> Scores:
    """Return the model with slates calibrated to the categories of each user's history."""
    liked_from = split.train.interactions.relevant_from

    def reranker(requests: Sequence[Request]) -> Calibrated:
        return Calibrated(
            categories=categories,
            weight=weight,
            wanted=taste_of(requests, model.vocabulary, categories, liked_from),
        )

    return Reranked(model=model, name="calibration", reranker=reranker)

"""Every mitigation on one split, with its price: those before training fit again, those after it
use the model as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from metarec.data.cleaning import clean
from metarec.data.cold_users import ColdUserSplit
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.evaluation.interface import Scores
from metarec.evaluation.measure import Trial
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
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

Fit = Callable[[Dataset, dict[str, float] | None], Scores]
"""(training data, user weights or None) -> a fitted recommender."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """The price table, and the results behind it for whoever wants another look."""

    table: TradeOffTable
    before: Outcomes
    after: dict[str, Outcomes]
    gan: GanReport | None = None
    """The checks of the users made up; None if nobody was."""

    def to_text(self) -> str:
        """The table, and under it what the checks say of users made up."""
        return "\n".join(
            [self.table.to_text(), *([self.gan.to_text()] if self.gan is not None else [])]
        )


def compare_mitigations(
    fit: Fit,
    split: ColdUserSplit,
    by: str,
    *,
    shots: Sequence[int] | None = None,
    metric: str = "ndcg@10",
    pair: frozenset[str] | None = None,
    seed: int = 0,
    only: Sequence[str] | None = None,
    gan: GanConfig | None = None,
    progress: Progress = silent,
) -> Tried:
    """Fit once as it is, then try each mitigation for the groups of `by`, and lay them beside each
    other.

    Args:
        fit: fits a recommender; called once, and once more for each mitigation of training.
        by: profile attribute whose groups should be served more evenly, or `activity`: then only
            ways that need not know the group of whom they serve, for nobody knows how much a
            new user will do.
        shots: numbers of events; those of the split's horizon where None.
        metric: what is compared; ways that do not touch it (rerankers, where values are predicted)
            are left out.
        pair: the two groups whose gap is looked at, as an audit named them; the widest where None.
        only: names of mitigations to try; all where None.

    Raises:
        BadInput: for a name that is no mitigation, an attribute nobody states or without two groups
            large enough, or a metric that was not measured.
    """
    steps = tuple(shots or split.horizon.shots)
    trial = Trial.of(split.test, split.train)
    groups = group_users(split.test, by)
    model = fit(split.train, None)
    reports: list[GanReport] = []
    ways = dict(_ways(fit, model, split, by, seed, gan or GanConfig(), reports))
    names = list(ways) if only is None else list(only)
    unknown = [name for name in names if name not in ways]
    if unknown:
        raise BadInput(f"{unknown[0]!r} is no mitigation; there are: {', '.join(ways)}")
    before = evaluate(model, trial, steps, seed=seed)
    trade_off(
        before, {}, [groups], derive(seed, "price"), metric=metric, pair=pair
    )  # what has no gap is refused here, before the work
    after: dict[str, Outcomes] = {}
    notes: dict[str, str] = {}
    for n, name in enumerate(names):
        progress("trying mitigations", n / len(names), name)
        mitigated, notes[name] = ways[name]()
        found = before if mitigated is model else evaluate(mitigated, trial, steps, seed=seed)
        if metric in found.per_user:
            after[name] = found
    progress("trying mitigations", 1.0, "")
    table = trade_off(
        before,
        after,
        [groups],
        derive(seed, "price"),
        metric=metric,
        pair=pair,
        notes={n: text for n, text in notes.items() if text},
    )
    return Tried(table=table, before=before, after=after, gan=reports[0] if reports else None)


Way = Callable[[], tuple[Scores, str]]


def _ways(
    fit: Fit,
    model: Scores,
    split: ColdUserSplit,
    by: str,
    seed: int,
    gan: GanConfig,
    reports: list[GanReport],
) -> Iterator[tuple[str, Way]]:
    """(name, how to make the mitigated recommender and a note); nothing is made before it is asked
    for.

    Args:
        reports: takes the report on users made up.
    """
    train = split.train

    def cleaned() -> tuple[Scores, str]:
        kept, _ = clean(train)
        return (
            (fit(kept, None), "")
            if len(kept.interactions) < len(train.interactions)
            else (model, "nothing to take out")
        )

    @cache
    def reweighted() -> Scores:
        return fit(train, reweigh(train, by))

    def own() -> tuple[Scores, str]:
        mitigated = OwnModel(
            models={AS_IS: model, "reweighting": reweighted()}, by=by, shots=split.horizon.shots
        )
        mitigated.fit(train, split.validation, derive(seed, "own model"))
        return mitigated, ", ".join(f"{label}: {name}" for label, name in mitigated.chosen.items())

    def synthetic() -> tuple[Scores, str]:
        found = augment_with_gan(train, by, derive(seed, "gan"), config=gan)
        reports.append(found.report)
        return (
            fit(found.data, None),
            "copies are safe"
            if found.report.is_safe
            else "NOT SAFE: synthetic users resemble real ones",
        )

    def with_prior() -> tuple[Scores, str]:
        mitigated = GroupPrior(model=model, by=by)
        mitigated.fit(train, split.validation, derive(seed, "prior"))
        used = ", ".join(
            f"{label} {weight:g}" for label, weight in mitigated.weights.items() if weight
        )
        return (
            mitigated,
            f"weights {used}"
            if used
            else "helped nobody on validation new users, so it is not used",
        )

    def debiased() -> tuple[Scores, str]:
        mitigated = PopularityDebiased(model=model)
        mitigated.fit(train, split.validation, derive(seed, "debiasing"))
        return mitigated, f"strength {mitigated.strength:g}"

    yield "cleaning", cleaned
    yield "reweighting", lambda: (reweighted(), "")
    yield "inverse propensity", lambda: (fit(train, inverse_propensity(train)), "")
    if by != ACTIVITY:
        yield "upsampling", lambda: (fit(upsample(train, by, derive(seed, "upsample")), None), "")
        yield "GAN augmentation", synthetic
        yield "group prior", with_prior
        yield "own model", own
    yield "popularity debiasing", debiased
    yield "exposure bounds", lambda: (_bounded(model, split), "rare items get 10% of attention")
    try:
        categories, _ = category_matrix(train.items, model.vocabulary)
    except BadInput:  # items without categories cannot be calibrated
        return
    yield "calibration", lambda: (_calibrated(model, split, categories), "")


def _bounded(model: Scores, split: ColdUserSplit, least: float = 0.1) -> Scores:
    rare = group_items_by_popularity(split.train, model.vocabulary).mask("rare")
    return Reranked(
        model=model,
        name="exposure bounds",
        reranker=lambda _: ExposureBounded(protected=rare, least=least),
    )


def _calibrated(
    model: Scores, split: ColdUserSplit, categories: np.ndarray, weight: float = 0.3
) -> Scores:
    liked_from = split.train.interactions.relevant_from

    def reranker(requests: Sequence[Request]) -> Calibrated:
        return Calibrated(
            categories=categories,
            weight=weight,
            wanted=taste_of(requests, model.vocabulary, categories, liked_from),
        )

    return Reranked(model=model, name="calibration", reranker=reranker)

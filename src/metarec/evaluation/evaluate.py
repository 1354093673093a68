"""Evaluation on one data set: split, fit everything on the same users, evaluate, compare, and
report.

`evaluate(data, models=[my_recommender])` returns an `Evaluation`; `report.to_text` prints it in a
terminal, `to_json()` is for a program, and `report.write_report` makes a page of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from metarec.data.arguments import check_call, check_type, check_whole, ids_of, refused
from metarec.data.cleaning import cleaned
from metarec.data.cold_users import Horizon
from metarec.data.dataset import Dataset, check_accepts, check_data
from metarec.data.domains import domain
from metarec.data.schema import BadInput
from metarec.evaluation.adaptation import adaptations
from metarec.evaluation.adapters import UNADAPTED, LearnerRecommender
from metarec.evaluation.baselines import baselines_for
from metarec.evaluation.baselines.content import describe_items
from metarec.evaluation.baselines.table import TrainingTable
from metarec.evaluation.choice import Choice, choose
from metarec.evaluation.comparison import BaselineComparison, compare_with_baselines
from metarec.evaluation.curve import CurveTable, learning_curve
from metarec.evaluation.examples import ShownUser, show_cold_users
from metarec.evaluation.interface import (
    Evaluated,
    check_unfitted,
    fit_one,
    requests_at,
    scores_of,
)
from metarec.evaluation.measure import EvaluationSet, check_metric
from metarec.evaluation.own_recommender import OwnRecommender
from metarec.evaluation.scenarios import Scenario, Setting, prepare
from metarec.evaluation.tables import html, latex
from metarec.runtime.old_names import takes_former_keywords
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

Gains = Literal["binary", "strength"]
"""Gains of liked items: 1 for all, or also the strength of the event."""
GAIN_METRIC = "gain_ndcg@10"
MAX_EVALUATED = 2000
"""Test users evaluated, at most; more narrow the intervals little and cost much."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Time that one recommender took."""

    fit_seconds: float
    """Wall seconds to fit, tuning included."""
    fit_cpu_seconds: float
    """CPU seconds of this process to fit, tuning included."""
    ms_per_cold_user: float
    """Milliseconds to read the longest support set and score the whole catalog, in a batch."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings that tuning chose; empty for a recommender without `settings`."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results of several recommenders on one data set."""

    data: str
    """Name of the data set."""
    scenario: Scenario
    facts: dict[str, int]
    """Numbers of training users and events, of items ranked (`items_listed`), of test users, of
    validation users (`chosen_by`), and of users held out who like nothing (`left_out`).
    """
    models: list[str]
    """Recommenders that are not baselines; the first is the one the comparison is about."""
    baselines: list[str]
    curves: dict[str, CurveTable]
    """By candidates: `all`, and `cold` where items are hidden from training."""
    costs: dict[str, Cost]
    shown: list[ShownUser]
    """Examples of test users, served by the first model (or the best baseline without one)."""
    shown_by: str
    """Recommender that made the examples in `shown`."""
    has_values: bool
    """Whether the data have stated values."""
    seed: int
    learners: list[str] = field(default_factory=list)
    """Those of `models` that are single meta-learners."""
    is_default: bool = False
    """Whether the first model is fitted with fit's default settings."""
    gains: Gains = "binary"
    """Gain of a liked item where events differ in strength: 1 for all, or the strength of the
    event; see `gain_ndcg@10`.
    """
    domain: str | None = None
    """Domain named by the data; the metric of the domain is reported too."""

    def __repr__(self) -> str:
        evaluated = ", ".join(self.curve.models)
        return f"Evaluation({self.data}, {self.scenario}, {self.facts}, of {evaluated})"

    def _repr_html_(self) -> str:
        return html(self.curve)

    def frame(self) -> pl.DataFrame:
        """Return one row for each recommender, metric and number of events, with 95% intervals."""
        return self.curve.frame()

    def latex(self, metric: str = "ndcg@10", digits: int = 3) -> str:
        """Return a booktabs table of one metric, the best of each column in bold.

        Raises:
            BadInput: for a metric that was not measured.
        """
        return latex(self.curve, metric, digits)

    @property
    def domain_metric(self) -> tuple[str, str] | None:
        """The domain's main metric and the reason for it; None without a domain."""
        if self.domain is None:
            return None
        pack = domain(self.domain)
        return pack.metric_name, pack.metric_why

    @property
    def knows_users(self) -> bool:
        """Whether the test users were trained on, and their whole history is known."""
        return self.scenario in ("warm", "item-cold")

    @property
    def ordering(self) -> tuple[str, ...]:
        """Ranking metrics to look at first."""
        return ("ndcg@10",) if self.gains == "binary" else (GAIN_METRIC, "ndcg@10")

    @property
    def curve(self) -> CurveTable:
        """The main table: over cold items where some are hidden, else over the whole catalog."""
        return self.curves.get("cold", self.curves["all"])

    def comparison(
        self, metric: str = "ndcg@10", model: str | None = None
    ) -> BaselineComparison | None:
        """Compare a model (the first unless named) with the baselines; None where there is nothing
        to compare or it was not measured.
        """
        check_metric(metric)
        model = next(iter(self.models), None) if model is None else self.curve.known(model)
        measured = [one for one in self.baselines if self.curve.has(one, metric)]
        if model is None or not measured or not self.curve.has(model, metric):
            return None
        return compare_with_baselines(self.curve, model, measured, metric)

    def choice(self, metric: str = "ndcg@10") -> Choice | None:
        """Whether the evidence supports the first model or a single meta-learner; None where only
        one kind was evaluated.
        """
        check_metric(metric)
        model = next((m for m in self.models if m not in self.learners), None)
        if (
            model is None
            or not self.curve.has(model, metric)
            or not any(self.curve.has(name, metric) for name in self.learners)
        ):
            return None
        return choose(self.curve, model, self.learners, metric, is_default=self.is_default)

    def to_json(self) -> dict[str, Any]:
        """Return all results as plain values."""
        comparisons = {
            metric: comparison
            for metric in (*self.ordering, "mae", *(self.domain_metric or ())[:1])
            if (comparison := self.comparison(metric)) is not None
        }
        return {
            "data": self.data,
            "domain": self.domain,
            "domain_metric": None
            if self.domain_metric is None
            else dict(zip(("name", "why"), self.domain_metric, strict=True)),
            "scenario": self.scenario,
            "gains": self.gains,
            "facts": self.facts,
            "models": self.models,
            "baselines": self.baselines,
            "seed": self.seed,
            "curves": {name: curve.to_json() for name, curve in self.curves.items()},
            "costs": {name: asdict(cost) for name, cost in self.costs.items()},
            "comparisons": {
                metric: {
                    "sentence": v.sentence,
                    "crossover": v.crossover,
                    "differences": [asdict(s) | {"outcome": s.outcome} for s in v.differences],
                }
                for metric, v in comparisons.items()
            },
            "adaptation": [asdict(one) for one in adaptations(self.curve)],
            "choice": None
            if (choice := self.choice()) is None
            else asdict(choice) | {"supported": choice.supported, "sentence": choice.sentence},
            "new_users": [asdict(user) for user in self.shown],
        }


@takes_former_keywords
def evaluate(
    data: Dataset,
    *,
    models: Sequence[Evaluated] = (),
    baselines: Sequence[str] | None = None,
    scenario: Scenario = "user-cold",
    seed: int = 0,
    horizon: Horizon | None = None,
    max_users: int = MAX_EVALUATED,
    setting: Setting | None = None,
    gains: Gains = "binary",
    progress: Progress = silent,
) -> Evaluation:
    """Fit `models` and the baselines on the same training users and evaluate all on the same test
    users.

    Args:
        data: everything known; cleaned first, as `metarec evaluate` does, unless `setting` is
            given.
        models: unfitted recommenders; the comparison is about the first.
        baselines: names from `BASELINES`; all that suit the data where None, none where empty.
        scenario: who and what is cold.
        seed: seed of the split and of everything that is random.
        horizon: numbers of events evaluated at; chosen from the data where None.
        max_users: test users evaluated, at most.
        setting: a split of `data` made before; None splits by `scenario`.
        gains: `strength` also measures NDCG with events' strengths as gains; the target kinds must
            differ in strength.
        progress: called after each fit and each evaluation.

    Raises:
        BadInput: if there are no test users, no recommenders, or two recommenders share a name.
    """
    _check(data, models, seed, max_users, setting, gains, progress)
    names = None if baselines is None else ids_of("baselines", baselines)
    data = cleaned(data) if setting is None else data
    setting = setting or prepare(data, scenario, seed=seed, horizon=horizon, max_users=max_users)
    _check_gains(gains, setting, data.name)
    simple = baselines_for(setting.split.train, names) if names is None or names else []
    if not models and not simple:
        raise BadInput("there is nothing to evaluate; give models or baselines")
    return Evaluation(
        data=data.name,
        scenario=setting.scenario,
        models=[model.name for model in models],
        baselines=[baseline.name for baseline in simple],
        **_measured(models, simple, setting, seed, progress),
        facts=_facts(setting),
        has_values=data.interactions.has_values,
        gains=gains,
        domain=None if data.policy is None else data.policy.domain,
        seed=seed,
        learners=_learners(models),
        is_default=bool(models) and isinstance(models[0], OwnRecommender) and models[0].is_default,
    )


def _measured(
    models: Sequence[Evaluated],
    baselines: Sequence[Evaluated],
    setting: Setting,
    seed: int,
    progress: Progress,
) -> dict[str, Any]:
    """Return costs, curves, and examples served by the first model or the best baseline; all are
    fitted before any is measured.
    """
    evaluated = [*models, *baselines]
    costs = {
        model.name: _fit(model, setting, seed, progress, (n + 1) / len(evaluated))
        for n, model in enumerate(evaluated)
    }
    evaluation_sets = _with_content(setting)
    curves = {
        name: learning_curve(
            evaluated, setting.split, evaluation_set=evaluation_set, seed=seed, progress=progress
        )
        for name, evaluation_set in evaluation_sets.items()
    }
    shows = models[0] if models else _best(baselines, curves.get("cold", curves["all"]))
    evaluation_set = evaluation_sets.get("cold", evaluation_sets["all"])
    sizes = setting.split.horizon.support_sizes
    shown = show_cold_users(shows, evaluation_set, sizes, derive(seed, "shown"))
    return {"costs": costs, "curves": curves, "shown": shown, "shown_by": shows.name}


def _check_gains(gains: Gains, setting: Setting, name: str) -> None:
    if gains != "binary" and not all(one.has_gains for one in setting.evaluation_sets.values()):
        raise BadInput(
            f"gains by strength need targets of several strengths, and those of {name} have "
            "one; say others in [kinds] of a TOML file, or evaluate with binary gains"
        )


def _best(baselines: Sequence[Evaluated], curve: CurveTable) -> Evaluated:
    """Return the baseline with the highest mean NDCG@10 over the whole curve."""
    return max(baselines, key=lambda baseline: curve.mean(baseline.name, "ndcg@10").mean())


def _learners(models: Sequence[Evaluated]) -> list[str]:
    """Return the names of the meta-learners that adapt."""
    return [m.name for m in models if isinstance(m, LearnerRecommender) and m.name != UNADAPTED]


def _check(
    data: Any,
    models: Any,
    seed: Any,
    max_users: Any,
    setting: Any,
    gains: Any,
    progress: Any,
) -> None:
    """Refuse arguments of wrong types before anything is fitted."""
    check_data(data)
    check_accepts(data)
    if isinstance(models, str | bytes | Mapping) or not isinstance(models, Iterable):
        raise refused("models", models, "a list of unfitted recommenders")
    for model in models:
        check_unfitted(model)
    check_whole("seed", seed, 0)
    check_whole("max_users", max_users, 1)
    check_type("setting", setting, Setting | None, "a Setting (evaluation.scenarios.prepare)")
    if not isinstance(gains, str) or gains not in get_args(Gains):
        raise refused("gains", gains, " or ".join(get_args(Gains)))
    check_call("progress", progress, "a function of (stage, done, note)")


def _fit(model: Evaluated, setting: Setting, seed: int, progress: Progress, done: float) -> Cost:
    """Fit one recommender, and measure the time of its fit and of scoring at most 256 users."""
    wall, cpu = time.perf_counter(), time.process_time()
    rng = derive(seed, "fit", model.name)
    fit_one(model, setting.split.train, setting.split.validation, rng)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    progress("fitting", done, f"{model.name} in {wall:.1f} s")
    few = requests_at(setting.split.test[:256], max(setting.split.horizon.support_sizes))
    scores_of(model, few[:1])  # work done on first use is not counted
    started = time.perf_counter()
    scores_of(model, few)
    return Cost(
        fit_seconds=wall,
        fit_cpu_seconds=cpu,
        ms_per_cold_user=1000 * (time.perf_counter() - started) / len(few),
        settings=dict(getattr(model, "settings", {}) or {}),
    )


def _with_content(setting: Setting) -> dict[str, EvaluationSet]:
    """Return the evaluation sets with item content, so that diversity is measured alike for all."""
    table = TrainingTable.of(setting.split.train, setting.split.horizon.pool)
    content = describe_items(table)
    if not content.any():
        return setting.evaluation_sets
    return {
        name: replace(
            evaluation_set,
            item_embeddings=content[table.vocabulary.indexes(evaluation_set.vocabulary.ids)],
        )
        for name, evaluation_set in setting.evaluation_sets.items()
    }


def _facts(setting: Setting) -> dict[str, int]:
    events = setting.split.train.interactions.frame
    main: EvaluationSet = setting.evaluation_sets.get("cold", setting.evaluation_sets["all"])
    return {
        "training_users": events["user_id"].n_unique(),
        "training_events": events.height,
        "items_listed": len(main.vocabulary),
        "test_users": len(main.cold_users),
        "chosen_by": len(setting.split.validation),
        "left_out": setting.split.left_out,
        "liked_per_user": int(np.median([len(n.relevant) for n in main.cold_users])),
    }

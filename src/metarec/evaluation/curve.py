"""The cold-start learning curve: quality by number of events, for every recommender on the same
users.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from metarec.data.arguments import check_type, ids_of, shown
from metarec.data.cold_users import ColdUserSplit
from metarec.data.schema import BadInput
from metarec.evaluation.interface import Evaluated
from metarec.evaluation.measure import METRICS, EvaluationSet, Measured, check_metric, measure
from metarec.evaluation.significance import Difference, holm, interval, paired_difference, resample
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive


@dataclass(frozen=True, kw_only=True)
class CurveTable:
    """Every metric of every user, at every number of events, for every recommender evaluated."""

    support_sizes: tuple[int, ...]
    """Numbers of events shown, ascending."""
    user_ids: list[str]
    """User of each column of `per_user`."""
    per_user: dict[str, dict[str, np.ndarray]]
    """Recommender -> metric -> `[support sizes, users]`."""
    coverage: dict[str, np.ndarray]
    """Recommender -> `[support sizes]`, share of the catalog in the first ten of any user."""
    seconds: dict[str, np.ndarray] = field(default_factory=dict)
    """Recommender -> `[support sizes]`, wall seconds to score, rank and evaluate all users."""
    seed: int = 0
    """Seed of the bootstrap."""
    left_out: int = 0
    """Test users who are in no column, since they like no item that could be asked about; told by
    cross-validation.
    """

    @property
    def models(self) -> list[str]:
        """Recommenders, in the order evaluated."""
        return list(self.per_user)

    @property
    def metrics(self) -> list[str]:
        """Metrics that at least one recommender has, in the order of `METRICS`."""
        return [
            m
            for m in METRICS
            if m == "coverage@10" or any(m in values for values in self.per_user.values())
        ]

    @cached_property
    def weights(self) -> np.ndarray:
        """Bootstrap weights `[draws, users]`, the same for all recommenders, so that comparisons
        are paired.
        """
        return resample(len(self.user_ids), derive(self.seed, "bootstrap"))

    def has(self, model: str, metric: str) -> bool:
        """Whether `model` was measured by `metric`."""
        _check_name(metric)
        return metric == "coverage@10" or metric in self.per_user[self.known(model)]

    def mean(self, model: str, metric: str) -> np.ndarray:
        """Return the mean over users at each number of events, `[support sizes]`.

        Raises:
            BadInput: for a recommender or metric that is not in the table.
        """
        if _check_name(metric) == "coverage@10":
            return self.coverage[self.known(model)]
        return np.asarray(np.nanmean(self._values(model, metric), axis=1))

    def interval(self, model: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the 95% bootstrap interval over users at each number of events, two `[support
        sizes]`; for coverage, which has no value per user, both ends are the value itself.
        """
        if _check_name(metric) == "coverage@10":
            return self.coverage[self.known(model)], self.coverage[model]
        return interval(self._values(model, metric), self.weights)

    def differences(self, model: str, other: str, metric: str) -> list[Difference]:
        """Return `model` minus `other` on the same users, one difference for each number of
        events.
        """
        check_metric(metric)
        higher = METRICS[metric].higher_is_better
        if higher is None:
            raise BadInput(f"{metric} has no better end, so recommenders cannot be compared by it")
        pairs = zip(self._values(model, metric), self._values(other, metric), strict=True)
        return [
            paired_difference(ours, theirs, self.weights, higher_is_better=higher)
            for ours, theirs in pairs
        ]

    def rise(self, model: str, metric: str, start: int, end: int) -> Difference:
        """Return `model` at the number of events with index `end` minus itself at index `start`."""
        values = self._values(model, metric)
        return paired_difference(values[end], values[start], self.weights)

    def best(self, metric: str, among: Iterable[str]) -> list[str]:
        """Return the best of `among` at each number of events, chosen with hindsight."""
        able = [m for m in ids_of("among", among) if self.has(m, metric)]
        if not able:
            raise BadInput(f"none of the recommenders was measured by {metric}")
        means = np.stack([self.mean(m, metric) for m in able])
        best = (
            means.argmin(axis=0)
            if METRICS[metric].higher_is_better is False
            else means.argmax(axis=0)
        )
        return [able[b] for b in best]

    def compare_all(self, model: str, metric: str) -> pl.DataFrame:
        """Compare `model` with every other recommender at every number of events; `p_holm` is
        corrected over all rows.
        """
        self.known(model)
        rows = [
            {
                "other": other,
                "events": k,
                "mean": d.mean,
                "low": d.low,
                "high": d.high,
                "p": d.p_value,
            }
            for other in self.models
            if other != model and self.has(other, metric)
            for k, d in zip(self.support_sizes, self.differences(model, other, metric), strict=True)
        ]
        if not rows:
            raise BadInput(f"there is nothing to compare {model} with by {metric}")
        table = pl.DataFrame(rows)
        return table.with_columns(pl.Series("p_holm", holm(table["p"].to_numpy())))

    def frame(self) -> pl.DataFrame:
        """Return one row for each recommender, metric and number of events:
        `model, metric, events, mean, low, high`.
        """
        rows = []
        for model in self.models:
            for metric in (m for m in self.metrics if self.has(model, m)):
                columns = zip(
                    self.support_sizes,
                    self.mean(model, metric),
                    *self.interval(model, metric),
                    strict=True,
                )
                rows += [
                    {
                        "model": model,
                        "metric": metric,
                        "events": k,
                        "mean": float(m),
                        "low": float(low),
                        "high": float(high),
                    }
                    for k, m, low, high in columns
                ]
        return pl.DataFrame(rows)

    def to_json(self) -> dict[str, Any]:
        """Return means, intervals and the values of each user as plain values."""
        return {
            "support_sizes": list(self.support_sizes),
            "users": self.user_ids,
            "table": self.frame().to_dicts(),
            "per_user": {
                model: {metric: np.round(v, 6).tolist() for metric, v in values.items()}
                for model, values in self.per_user.items()
            },
        }

    def known(self, model: str) -> str:
        """Return `model` itself, checked.

        Raises:
            BadInput: if no recommender of this name was evaluated.
        """
        if not isinstance(model, str) or model not in self.per_user:
            raise BadInput(
                f"{shown(model)} was not evaluated; the table has {', '.join(self.models)}"
            )
        return model

    def _values(self, model: str, metric: str) -> np.ndarray:
        _check_name(metric)
        values = self.per_user[self.known(model)]
        if metric not in values:
            raise BadInput(f"{model} was not measured by {metric!r}; it has {', '.join(values)}")
        return values[metric]


def _check_name(metric: str) -> str:
    check_type("metric", metric, str, "the name of a metric such as 'ndcg@10'")
    return metric


def learning_curve(
    evaluated: Sequence[Evaluated],
    split: ColdUserSplit,
    *,
    evaluation_set: EvaluationSet | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> CurveTable:
    """Evaluate fitted recommenders on the test users of `split` at each of its numbers of events.

    Every recommender sees the same users, the same first events and the same candidates: the items
    of the training events without the whole support pool of each user, whatever the number of
    events shown.

    Args:
        evaluated: recommenders already fitted on `split.train`.
        split: test users and numbers of events.
        evaluation_set: users and candidate items, if not the test users on the training items.
        seed: orders equal scores and draws the bootstrap.
        progress: called after each recommender.

    Raises:
        BadInput: if two recommenders share a name, or there are no users to evaluate.
    """
    names = [m.name for m in evaluated]
    if len(set(names)) < len(names):
        raise BadInput(
            f"recommenders evaluated beside each other need different names, got {', '.join(names)}"
        )
    evaluation_set = evaluation_set or EvaluationSet.of(split.test, split.train)
    support_sizes = split.horizon.support_sizes
    measured: dict[str, list[Measured]] = {}
    seconds: dict[str, np.ndarray] = {}
    for n, model in enumerate(evaluated):
        started = time.perf_counter()
        taken: list[float] = []
        measured[model.name] = []
        for k in support_sizes:
            measured[model.name].append(measure(model, evaluation_set, k, derive(seed, "ties", k)))
            taken.append(time.perf_counter() - started - sum(taken))
        seconds[model.name] = np.array(taken)
        progress("evaluating users", (n + 1) / len(evaluated), model.name)
    return CurveTable(
        support_sizes=support_sizes,
        user_ids=[n.user_id for n in evaluation_set.cold_users],
        seconds=seconds,
        seed=seed,
        per_user={
            name: {
                metric: np.stack([m.per_user[metric] for m in steps])
                for metric in steps[0].per_user
            }
            for name, steps in measured.items()
        },
        coverage={name: np.array([m.coverage for m in steps]) for name, steps in measured.items()},
    )

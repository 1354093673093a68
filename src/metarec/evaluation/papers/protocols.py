"""Evaluation by the protocols of published papers, so that their figures can be reproduced and
compared with trivial baselines.

MeLU and TaNP rank only items that the user rated (10 of them in MeLU's), which is far easier than
full ranking, and the mean rating of each item is hard to beat there: its row and that of chance are
always printed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from metarec.data.cold_users import ColdUser
from metarec.data.schema import BadInput, Vocabulary
from metarec.evaluation import metrics
from metarec.evaluation.interface import Evaluated, Rates, fit_one, ratings_of, scores_of
from metarec.evaluation.papers.baselines import Chance, ItemMean
from metarec.evaluation.papers.splits import Published, melu_split, tanp_split
from metarec.evaluation.papers.tanp_scores import tanp_scores
from metarec.evaluation.significance import interval, resample
from metarec.recommendation.slate import Request
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

PROTOCOLS: dict[str, Callable[..., Published]] = {"melu": melu_split, "tanp": tanp_split}
"""Protocol -> function that splits any data by its rules."""


@dataclass(frozen=True, kw_only=True)
class ProtocolRow:
    """Results of one recommender in one scenario."""

    scenario: str
    model: str
    users: int
    means: dict[str, float]
    """Metric -> mean over users' lists; a user has one list, except in HIRE's contexts."""
    intervals: dict[str, tuple[float, float]]
    """Metric -> 95% bootstrap interval over users."""


def evaluate_by_protocol(
    published: Published, models: Sequence[Evaluated], *, seed: int = 0, progress: Progress = silent
) -> list[ProtocolRow]:
    """Fit `models`, chance and the item mean on the protocol's training users, and evaluate them in
    its scenarios.

    Raises:
        BadInput: if there are no users to evaluate.
    """
    if not published.scenarios:
        raise BadInput(
            f"nobody is left to evaluate on the protocol {published.name!r}: too few users with "
            f"enough events"
        )
    evaluated: list[Evaluated] = [Chance(), ItemMean(), *models]
    rows = []
    for n, model in enumerate(evaluated):
        rng = derive(seed, "fit", model.name)
        fit_one(model, published.train, published.validation, rng)
        for scenario, cold_users in published.scenarios.items():
            rows.append(
                _row(
                    scenario,
                    model,
                    cold_users,
                    published,
                    derive(seed, "ties", scenario),
                )
            )
        progress(f"protocol {published.name}", (n + 1) / len(evaluated), model.name)
    return sorted(rows, key=lambda row: list(published.scenarios).index(row.scenario))


def describe_rows(rows: Sequence[ProtocolRow]) -> str:
    """Return a table for each scenario, for a terminal."""
    lines: list[str] = []
    for scenario in dict.fromkeys(row.scenario for row in rows):
        part = [row for row in rows if row.scenario == scenario]
        names = list(dict.fromkeys(name for row in part for name in row.means))
        lines += [
            "",
            f"{scenario}: {part[0].users:,} users",
            f"{'':<22}" + "".join(f"{name:>16}" for name in names),
        ]
        for row in part:
            cells = [
                f"{row.means[name]:.3f} "
                f"±{(row.intervals[name][1] - row.intervals[name][0]) / 2:.3f}"
                if name in row.means
                else "-"
                for name in names
            ]
            lines.append(f"{row.model:<22}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines[1:])


def _row(
    scenario: str,
    model: Evaluated,
    cold_users: list[ColdUser],
    published: Published,
    rng: np.random.Generator,
) -> ProtocolRow:
    """Measure one recommender in one scenario, with 95% bootstrap intervals over users."""
    lists = measure_queries(model, cold_users, published, rng)
    users = Vocabulary(list(dict.fromkeys(user.user_id for user in cold_users)))
    owner = users.indexes(user.user_id for user in cold_users)
    weights = resample(len(users), derive(0, "bootstrap", scenario))
    bounds = {
        name: tuple(float(np.squeeze(b)) for b in interval(values[None], weights, owner=owner))
        for name, values in lists.items()
    }
    return ProtocolRow(
        scenario=scenario,
        model=model.name,
        users=len(users),
        means={name: float(np.nanmean(values)) for name, values in lists.items()},
        intervals={name: (low, high) for name, (low, high) in bounds.items()},
    )


def measure_queries(
    model: Evaluated, cold_users: list[ColdUser], published: Published, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return metric -> [users]. Each user's query items are ranked among themselves: by predicted
    value where the training data have values and the model predicts them, else by score.
    """
    queries, users = _Queries.of(cold_users), len(cold_users)
    values_of: dict[str, np.ndarray] = {}
    owner, actual = queries.owner, queries.actual
    if published.train.interactions.has_values and isinstance(model, Rates):
        predicted = queries.values(model, published.train.interactions.value_range)
        is_query = ~queries.is_shown if published.asks_shown else np.ones(len(actual), bool)
        predicted = np.where(is_query, predicted, actual)
        values_of["mae"] = metrics.mae(
            predicted[is_query], actual[is_query], owner[is_query], users
        )
    else:
        predicted = queries.scores(model)
    if published.is_graded:
        return values_of | {
            f"ndcg@{k}": metrics.graded_ndcg(predicted, actual, owner, users, k, rng)
            for k in published.cuts
        }
    is_linear = published.asks_shown
    return values_of | tanp_scores(
        predicted, actual, owner, users, published.cuts, rng, is_linear=is_linear
    )


@dataclass(frozen=True, kw_only=True)
class _Queries:
    """Query items of all users, flat, and their ratings."""

    requests: list[Request]
    item_ids: list[list[str]]
    owner: np.ndarray
    """[Q] index of the user of each query item."""
    actual: np.ndarray
    """[Q] stated values."""
    is_shown: np.ndarray
    """[Q] whether each query item is in its user's support."""

    @classmethod
    def of(cls, cold_users: list[ColdUser]) -> _Queries:
        """Take everything in the query that these users rated, requested after their support."""
        item_ids = [[item_id for item_id, _ in user.rated] for user in cold_users]
        pools = [{item_id for item_id, *_ in user.pool} for user in cold_users]
        lists = zip(pools, item_ids, strict=True)
        return cls(
            requests=[Request(history=user.pool, profile=user.profile) for user in cold_users],
            item_ids=item_ids,
            owner=np.repeat(np.arange(len(cold_users)), list(map(len, item_ids))),
            actual=np.array([value for user in cold_users for _, value in user.rated]),
            is_shown=np.array([one in pool for pool, ids in lists for one in ids], bool),
        )

    def values(self, model: Rates, value_range: tuple[float, float]) -> np.ndarray:
        """Return [Q] predicted values on the data's scale."""
        rated = np.concatenate(ratings_of(model, self.requests, self.item_ids))
        return np.asarray(np.clip(rated, *value_range))

    def scores(self, model: Evaluated) -> np.ndarray:
        """Return [Q] scores with the query items as the only candidates, -inf for unknown items."""
        pairs = zip(self.requests, self.item_ids, strict=True)
        scores = scores_of(model, [replace(request, allow=ids) for request, ids in pairs])
        columns = model.vocabulary.indexes(one for ids in self.item_ids for one in ids)
        return np.where(columns >= 0, scores[self.owner, np.maximum(columns, 0)], -np.inf)


def as_json(rows: Sequence[ProtocolRow]) -> list[dict[str, Any]]:
    """Return the rows as plain values."""
    return [
        {
            "scenario": row.scenario,
            "model": row.model,
            "users": row.users,
            "metrics": {
                name: {"mean": mean, "low": row.intervals[name][0], "high": row.intervals[name][1]}
                for name, mean in row.means.items()
            },
        }
        for row in rows
    ]

"""The protocols of two papers, so that their figures can be reproduced and seen beside what costs
nothing.

Both rank only the items a user rated in the end (10 of them in MeLU's), which is far easier than
finding them in a catalog, and there the mean rating of each item is hard to beat: its row and that
of chance are always printed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from metarec.data.cold_users import ColdUser
from metarec.data.schema import BadInput, Vocabulary
from metarec.evaluation import metrics
from metarec.evaluation.interface import Evaluated, Rates
from metarec.evaluation.papers.baselines import Chance, ItemMean
from metarec.evaluation.papers.splits import Published, melu_split, tanp_split
from metarec.evaluation.papers.tanp_scores import tanp_scores
from metarec.evaluation.significance import interval, resample
from metarec.recommendation.slate import Request
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

PROTOCOLS: dict[str, Callable[..., Published]] = {"melu": melu_split, "tanp": tanp_split}


@dataclass(frozen=True, kw_only=True)
class ProtocolRow:
    """One recommender in one scenario."""

    scenario: str
    model: str
    users: int
    means: dict[str, float]
    """Metric -> mean over users' lists, one each but for HIRE's contexts."""
    intervals: dict[str, tuple[float, float]]
    """Metric -> 95% bootstrap interval over users."""


def evaluate_by_protocol(
    published: Published, models: Sequence[Evaluated], *, seed: int = 0, progress: Progress = silent
) -> list[ProtocolRow]:
    """Fit `models`, chance and the item mean on the protocol's training users, and evaluate them in
    its scenarios.

    Raises:
        BadInput: if nobody is left to evaluate.
    """
    if not published.scenarios:
        raise BadInput(
            f"nobody is left to evaluate on the protocol {published.name!r}: too few users with "
            f"enough events"
        )
    evaluated: list[Evaluated] = [Chance(), ItemMean(), *models]
    rows = []
    for n, model in enumerate(evaluated):
        model.fit(published.train, published.validation, derive(seed, "fit", model.name))
        for scenario, cold_users in published.scenarios.items():
            rows.append(
                _row(
                    scenario,
                    model,
                    cold_users,
                    published,
                    derive(seed, "ties", model.name, scenario),
                )
            )
        progress(f"protocol {published.name}", (n + 1) / len(evaluated), model.name)
    return sorted(rows, key=lambda row: list(published.scenarios).index(row.scenario))


def describe_rows(rows: Sequence[ProtocolRow]) -> str:
    """A table for each scenario, for a terminal."""
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
    """Metric -> [users], each user's query ranked among itself: by predicted value where the
    training data are rated and the model predicts one, else by its score between given candidates.
    """
    requests = [Request(history=n.pool, profile=n.profile) for n in cold_users]
    asked = [[item_id for item_id, _ in n.rated] for n in cold_users]
    owner = np.repeat(np.arange(len(cold_users)), [len(ids) for ids in asked])
    actual = np.array([value for n in cold_users for _, value in n.rated])
    found: dict[str, np.ndarray] = {}
    is_asked = np.ones(len(actual), bool)
    if published.train.interactions.has_values and isinstance(model, Rates):
        predicted = np.clip(
            np.concatenate(model.rate(requests, asked)), *published.train.interactions.value_range
        )
        if published.asks_shown:
            is_asked = ~np.concatenate([_is_shown(user) for user in cold_users])
            predicted = np.where(is_asked, predicted, actual)
        found["mae"] = metrics.mae(
            predicted[is_asked], actual[is_asked], owner[is_asked], len(cold_users)
        )
    else:
        few = [replace(r, allow=ids) for r, ids in zip(requests, asked, strict=True)]
        scores = model.score(few)
        columns = model.vocabulary.indexes(item_id for ids in asked for item_id in ids)
        predicted = np.where(columns >= 0, scores[owner, np.maximum(columns, 0)], -np.inf)
    if published.is_graded:
        return found | {
            f"ndcg@{k}": metrics.graded_ndcg(predicted, actual, owner, len(cold_users), k, rng)
            for k in published.cuts
        }
    return found | tanp_scores(
        predicted,
        actual,
        owner,
        len(cold_users),
        published.cuts,
        rng,
        is_linear=published.asks_shown,
    )


def _is_shown(user: ColdUser) -> np.ndarray:
    """[Q] whether each asked item is of the pool."""
    pool = {item_id for item_id, *_ in user.pool}
    return np.array([item_id in pool for item_id, _ in user.rated])


def as_json(rows: Sequence[ProtocolRow]) -> list[dict[str, Any]]:
    """Rows as plain values."""
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

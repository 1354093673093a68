"""Permutation importance of columns: the quality that new users lose when one column is shuffled.

A user column is shuffled among the evaluated users, an item column among the items, which keeps its
values and breaks their assignment (Breiman 2001, doi:10.1023/A:1010933404324). The model is not
fitted again, so columns with the same information can substitute for each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from metarec.evaluation.interface import Scores
from metarec.evaluation.measure import EvaluationSet
from metarec.evaluation.significance import Difference, paired_difference, resample
from metarec.fairness.outcomes import evaluate
from metarec.recommender import Recommender
from metarec.runtime.rng import derive

METRIC = "ndcg@10"
NOT_CONTENT = ("item_id", "image", "image_url", "url")
"""Item columns that are not shuffled."""


@dataclass(frozen=True, kw_only=True)
class ColumnWorth:
    """Importance of one column."""

    of: str
    """`users` or `items`."""
    column: str
    loss: Difference
    """NDCG@10 without shuffling minus that with the column shuffled, mean over numbers of
    events.
    """


@dataclass(frozen=True, kw_only=True)
class FeatureAudit:
    """Importance of every column, the largest first."""

    columns: list[ColumnWorth]
    users: int

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        rows = [{"of": c.of, "column": c.column, **asdict(c.loss)} for c in self.columns]
        return {"metric": METRIC, "users": self.users, "columns": rows}

    def to_text(self) -> str:
        """Return one line for each column."""
        head = f"what {self.users:,} users lose of NDCG@10 when a column is shuffled [95%]"
        if not self.columns:
            return f"{head}: there is no column to shuffle"
        return "\n".join(
            [
                head,
                *(
                    f"  {c.of}: {c.column:<24} {c.loss.mean:+.4f} "
                    f"[{c.loss.low:+.4f}, {c.loss.high:+.4f}]"
                    + ("" if c.loss.low > 0 or c.loss.high < 0 else "  no clear difference")
                    for c in self.columns
                ),
            ]
        )


def audit_features(
    model: Recommender,
    evaluation_set: EvaluationSet,
    support_sizes: Sequence[int],
    *,
    seed: int = 0,
) -> FeatureAudit:
    """Shuffle each column in turn, and evaluate the model again."""
    before = evaluate(model, evaluation_set, support_sizes, seed=seed).values(METRIC)
    weights = resample(len(before), derive(seed, "features", "bootstrap"))
    losses = [
        ColumnWorth(
            of=of,
            column=column,
            loss=paired_difference(
                before,
                evaluate(shuffled_model, shown, support_sizes, seed=seed).values(METRIC),
                weights,
            ),
        )
        for of, column, shuffled_model, shown in _shuffled(
            model, evaluation_set, derive(seed, "features")
        )
    ]
    return FeatureAudit(
        columns=sorted(losses, key=lambda one: -one.loss.mean), users=len(evaluation_set.cold_users)
    )


def _shuffled(
    model: Recommender, evaluation_set: EvaluationSet, rng: np.random.Generator
) -> Iterator[tuple[str, str, Scores, EvaluationSet]]:
    """Yield (`users` or `items`, column, model, evaluation set) with each column shuffled in
    turn.
    """
    users = evaluation_set.cold_users
    for name in dict.fromkeys(name for user in users for name in user.profile):
        order = rng.permutation(len(users))
        profiles = [
            {**user.profile, name: users[other].profile.get(name)}
            for user, other in zip(users, order, strict=True)
        ]
        mixed = [replace(u, profile=p) for u, p in zip(users, profiles, strict=True)]
        yield "users", name, model, replace(evaluation_set, cold_users=mixed)
    frame = model.catalog.frame
    for name in (column for column in frame.columns if column not in NOT_CONTENT):
        if frame[name].n_unique() > 1:
            order = rng.permutation(frame.height)
            mixed_items = frame.with_columns(pl.Series(name, frame[name].gather(order)))
            yield "items", name, model.with_items(mixed_items), evaluation_set

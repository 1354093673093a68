"""A new domain in its first weeks: models fitted on few of its users, with and without a prior from
another domain, evaluated on the same users, new to both.

Candidates are the items of all training users, so that items without events of the few users can be
recommended too. Baselines choose their settings on the validation users of the whole data set,
which favors them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from metarec.data.cold_users import ColdUserSplit, Horizon, split_cold_users
from metarec.data.dataset import Dataset
from metarec.data.frames import id_order
from metarec.data.schema import BadInput
from metarec.evaluation.baselines import baselines_for
from metarec.evaluation.curve import CurveTable, learning_curve
from metarec.evaluation.interface import fit_one
from metarec.evaluation.measure import EvaluationSet
from metarec.evaluation.own_recommender import OwnRecommender
from metarec.evaluation.significance import Difference
from metarec.recommender import Recommender
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

FIRST_WEEKS = (20, 50, 200)
"""Default numbers of training users of the target domain."""
BASELINES = ("Popular", "ContentRidge", "ItemKNN")
"""Baselines compared with, unless others are named."""
WITH, WITHOUT = "with prior", "without"
METRIC = "ndcg@10"


@dataclass(frozen=True, kw_only=True)
class FirstWeeks:
    """Result for one number of training users of the target domain."""

    users: int
    """Number of training users."""
    curve: CurveTable
    notes: list[str]
    """What the fit reports on its use of the prior."""

    @property
    def differences(self) -> list[Difference]:
        """With the prior minus without, on the same users, at each number of events."""
        return self.curve.differences(WITH, WITHOUT, METRIC)

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "users": self.users,
            "support_sizes": list(self.curve.support_sizes),
            METRIC: {m: self.curve.mean(m, METRIC).tolist() for m in self.curve.models},
            "differences": [asdict(one) for one in self.differences],
            "prior": self.notes,
        }


def evaluate_domain_cold(
    data: Dataset,
    prior: Recommender,
    *,
    users: Sequence[int] = FIRST_WEEKS,
    preset: str = "small",
    encoder: str = "auto",
    baselines: Sequence[str] | None = None,
    horizon: Horizon | None = None,
    seed: int = 0,
    max_users: int = 1000,
    progress: Progress = silent,
) -> list[FirstWeeks]:
    """Fit and evaluate at each number of training users.

    Raises:
        BadInput: if a number of users is below 2 or above that of the training users.
    """
    split = split_cold_users(
        data, rng=np.random.default_rng(seed), horizon=horizon, max_users=max_users
    )
    there = split.train.interactions.frame["user_id"].n_unique()
    wrong = next((n for n in users if not 2 <= n <= there), None)
    if wrong is not None:
        raise BadInput(
            f"--users takes numbers from 2 to {there}, the training users of {data.name}, "
            f"got {wrong}"
        )
    names = [n for n in BASELINES if n != "ContentRidge" or len(data.items.frame.columns) > 1]
    requested = list(baselines) if baselines is not None else names
    weeks = []
    for number in sorted(users):
        few = replace(split, train=_few(split.train, number, seed))
        evaluated = [
            OwnRecommender(name=WITH, preset=preset, encoder=encoder, prior=prior),
            OwnRecommender(name=WITHOUT, preset=preset, encoder=encoder),
        ]
        weeks.append(_evaluated(few, split.train, evaluated, requested, number, seed, progress))
    return weeks


def _evaluated(
    few: ColdUserSplit,
    data: Dataset,
    ours: list[OwnRecommender],
    baselines: list[str],
    number: int,
    seed: int,
    progress: Progress,
) -> FirstWeeks:
    """Fit all models on the few users, and evaluate them on the items of the whole data."""
    models = [*ours, *baselines_for(few.train, baselines)]
    for place, model in enumerate(models):
        rng = derive(seed, "fit", number)  # the same draws with and without the prior
        fit_one(model, few.train, few.validation, rng)
        progress("fitting", (place + 1) / len(models), f"{model.name}, {number} users")
    items = data.interactions.frame.select("item_id").unique()
    listed = items.sort(id_order("item_id"))["item_id"].to_list()
    evaluation_set = EvaluationSet.of(few.test, few.train, candidates=listed)
    curve = learning_curve(models, few, evaluation_set=evaluation_set, seed=seed)
    notes = list(ours[0].model.transfer) if ours[0].model is not None else []
    return FirstWeeks(users=number, curve=curve, notes=notes)


def _few(train: Dataset, number: int, seed: int) -> Dataset:
    """Return the data of `number` users, with the whole catalog; a smaller sample is a subset of a
    larger.
    """
    events = train.interactions.frame
    users = events.select("user_id").unique().sort(id_order("user_id"))["user_id"]
    chosen = users.gather(derive(seed, "few").permutation(len(users))[:number])
    listed = events.select("item_id").unique().join(train.items.frame, on="item_id", how="anti")
    catalog = pl.concat([train.items.frame, listed], how="diagonal")
    kept = train.with_interactions(events.filter(pl.col("user_id").is_in(chosen.implode())))
    return replace(kept, items=replace(kept.items, frame=catalog))


def to_text(weeks: Sequence[FirstWeeks]) -> str:
    """Return a table for each number of users, and what the fit reports on the prior."""
    lines = []
    for one in weeks:
        lines.append(f"{one.users} users of the target; NDCG@10 by known items of each user")
        lines.append(f"{'':<14}" + "".join(f"{k:>9}" for k in one.curve.support_sizes))
        for model in one.curve.models:
            means = one.curve.mean(model, METRIC)
            lines.append(f"{model:<14}" + "".join(f"{mean:>9.3f}" for mean in means))
        cells = (f"{d.mean:+.3f} [{d.low:+.3f}, {d.high:+.3f}]" for d in one.differences)
        lines += ["with prior - without: " + ", ".join(cells), *one.notes, ""]
    return "\n".join(lines)

"""Overfitting: how much better a model serves its training users than new users, beside a plain
Transformer on the same users.

Training users and new users are evaluated on the same task. Both models are fitted on a tenth,
three tenths and all of the training users; a smaller share is a subset of a larger one, so that the
evaluated training users are the same each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from metarec.data.cold_users import ColdUser, ColdUserSplit, cold_users_of, split_cold_users
from metarec.data.dataset import Dataset
from metarec.data.frames import id_order
from metarec.data.schema import BadInput
from metarec.evaluation.adapters import LearnerInputs, ModelAlone
from metarec.evaluation.interface import Evaluated
from metarec.evaluation.measure import EvaluationSet, measure
from metarec.evaluation.own_recommender import OwnRecommender
from metarec.evaluation.significance import interval, resample
from metarec.features.items import tags_by_item
from metarec.models.transformer.scorer import TransformerConfig
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

SHARES = (0.1, 0.3, 1.0)
"""Shares of the training users to fit on."""
MAX_USERS = 400
"""Users evaluated of each group, at most."""
METRIC = "ndcg@10"
TRAINING, NEW, ELSEWHERE = "training users", "new users", "new users, another category"
PLAIN = TransformerConfig(id_dropout=0.0, dropout=0.1, held_out=0.0)
"""The plain Transformer: usual regularization, all training steps, no held-out users for early
stopping.
"""


@dataclass(frozen=True, kw_only=True)
class Served:
    """One model fitted on one share of the training users."""

    model: str
    share: float
    """Share of the training users fitted on, in (0, 1]."""
    users: int
    """Number of training users fitted on."""
    means: dict[str, float]
    """Group of users -> NDCG@10, mean over users and numbers of events."""
    gap: tuple[float, float, float]
    """NDCG@10 of training users minus that of new users, and its 95% bootstrap interval."""


@dataclass(frozen=True, kw_only=True)
class Overfitting:
    """Results for both models and all shares."""

    rows: list[Served]
    asked: dict[str, int]
    """Group of users -> number of users evaluated."""
    notes: list[str]

    @property
    def sentence(self) -> str:
        """The gaps with all training users, as a sentence."""
        ours, plain = (row for row in self.rows if row.share == SHARES[-1])
        lines = (
            f"Fitted on all {ours.users:,} training users, {ours.model} serves them "
            f"{ours.gap[0]:+.3f} NDCG@10 beside new users, {plain.model} {plain.gap[0]:+.3f}"
        )
        if plain.gap[0] <= 0:
            return f"{lines}: the latter does not overfit here."
        return f"{lines}: {max(0.0, ours.gap[0]) / plain.gap[0]:.0%} of its gap."

    def lines(self) -> list[str]:
        """Return a table for a terminal."""
        sorts = list(self.asked)
        head = f"{'NDCG@10':<22}{'fitted on':>12}" + "".join(f"{sort:>30}" for sort in sorts)
        body = [
            f"{row.model:<22}{row.users:>12,}"
            + "".join(f"{row.means[sort]:>30.3f}" for sort in sorts)
            + f"   gap {row.gap[0]:+.3f} [{row.gap[1]:+.3f}, {row.gap[2]:+.3f}]"
            for row in self.rows
        ]
        counts = ", ".join(f"{count:,} {sort}" for sort, count in self.asked.items())
        return [head, *body, f"asked: {counts}", *self.notes, self.sentence]

    def to_dict(self) -> dict[str, Any]:
        """Return the results as plain values."""
        rows = [asdict(row) for row in self.rows]
        return {
            "rows": rows,
            "asked": self.asked,
            "notes": self.notes,
            "sentence": self.sentence,
        }


def measure_overfitting(
    data: Dataset,
    *,
    preset: str = "small",
    encoder: str = "auto",
    plain: TransformerConfig = PLAIN,
    seed: int = 0,
    progress: Progress = silent,
) -> Overfitting:
    """Fit metarec and a plain Transformer on shares of the training users and evaluate training and
    new users.

    Raises:
        BadInput: if a tenth of the training users is too few to evaluate.
    """
    split = split_cold_users(data, rng=derive(seed, "split"), max_users=MAX_USERS)
    parts = [_share(split.train, share, seed) for share in SHARES]
    catalog = parts[0].interactions.frame.select("item_id").unique().sort(id_order("item_id"))
    counts, notes = _users_to_evaluate(data, split, parts[0], catalog)
    rows = []
    for share, part in zip(SHARES, parts, strict=True):
        for model in (
            OwnRecommender(preset=preset, encoder=encoder),
            ModelAlone(
                name="plain Transformer",
                model="decoder",
                config=plain,
                read=partial(LearnerInputs.of, encoder=encoder),
            ),
        ):
            model.fit(part, split.validation, derive(seed, "fit", f"{share:g}"))
            each = {
                sort: _per_user(
                    model, part, users, catalog["item_id"], split.horizon.support_sizes, seed
                )
                for sort, users in counts.items()
            }
            rows.append(_row(model.name, share, part, each))
            progress("overfitting", len(rows) / (2 * len(SHARES)), f"{model.name}, {share:.0%}")
    return Overfitting(
        rows=rows, asked={sort: len(users) for sort, users in counts.items()}, notes=notes
    )


def _share(train: Dataset, share: float, seed: int) -> Dataset:
    """Return the events of a share of the users; a smaller share is a subset of a larger."""
    events = train.interactions.frame
    users = events.select("user_id").unique().sort(id_order("user_id"))["user_id"]
    order = derive(seed, "share").permutation(len(users))
    kept = users.gather(order[: max(2, round(share * len(users)))])
    return train.with_interactions(events.filter(pl.col("user_id").is_in(kept.implode())))


def _users_to_evaluate(
    data: Dataset, split: ColdUserSplit, smallest: Dataset, catalog: pl.DataFrame
) -> tuple[dict[str, list[ColdUser]], list[str]]:
    """Return the users to evaluate, by group, and notes. Only items of `catalog` count: those of
    the smallest share's events, so that they are the same for all fits.
    """
    training_ids = smallest.interactions.frame["user_id"].unique().sort()
    training_users = cold_users_of(data, training_ids, catalog, split.horizon)[:MAX_USERS]
    new_ids = pl.Series([user.user_id for user in split.test], dtype=pl.Utf8)
    new = cold_users_of(data, new_ids, catalog, split.horizon)
    if min(len(training_users), len(new)) < 2:
        raise BadInput(
            f"--overfitting asks users with {split.horizon.min_events} items or more of a tenth of "
            f"the training users, and there are {len(training_users)}; give more events"
        )
    users = {TRAINING: training_users, NEW: new}
    elsewhere = _elsewhere(data, new)
    if len(elsewhere) < 2:
        return users, ["no categories of items, so nobody is asked about another one"]
    return users | {ELSEWHERE: elsewhere}, []


def _elsewhere(data: Dataset, users: Sequence[ColdUser]) -> list[ColdUser]:
    """Return the users with one category removed from the support set and only that category in the
    query set: the category they like most of those that leave at least half of the support. What
    they like beside is not ranked.
    """
    tags = tags_by_item(data.items.frame)
    return [elsewhere for user in users if (elsewhere := _without_category(user, tags)) is not None]


def _without_category(user: ColdUser, tags: dict[str, set[str]]) -> ColdUser | None:
    liked = Counter(tag for item in user.relevant for tag in tags.get(item, ()))
    for tag, _ in sorted(liked.items(), key=lambda pair: (-pair[1], pair[0])):
        pool = [event for event in user.pool if tag not in tags.get(event[0], ())]
        if 2 * len(pool) >= len(user.pool):
            of_it = [item for item in user.relevant if tag in tags.get(item, ())]
            known = {*(event[0] for event in user.pool), *user.relevant}
            beside = known - {*(event[0] for event in pool), *of_it}
            return replace(user, pool=pool, relevant=of_it, unlisted=sorted(beside))
    return None


def _row(model: str, share: float, part: Dataset, each: dict[str, np.ndarray]) -> Served:
    return Served(
        model=model,
        share=share,
        users=part.interactions.frame["user_id"].n_unique(),
        means={sort: float(np.nanmean(values)) for sort, values in each.items()},
        gap=_gap(each[TRAINING], each[NEW]),
    )


def _per_user(
    model: Evaluated,
    part: Dataset,
    users: list[ColdUser],
    catalog: pl.Series,
    support_sizes: Sequence[int],
    seed: int,
) -> np.ndarray:
    """Return [users] NDCG@10 among the items of `catalog`, mean over numbers of events."""
    evaluation_set = EvaluationSet.of(users, part, candidates=catalog.to_list())
    rows = [
        measure(model, evaluation_set, k, derive(seed, "ties", k)).per_user[METRIC]
        for k in support_sizes
    ]
    return np.asarray(np.nanmean(np.stack(rows), axis=0))


def _gap(known: np.ndarray, new: np.ndarray) -> tuple[float, float, float]:
    """Return the difference of two means over different users, with a bootstrap interval over
    both.
    """
    both = np.concatenate([known / len(known), -new / len(new)])
    draws = np.concatenate(
        [
            resample(len(known), derive(0, "gap", "training")),
            resample(len(new), derive(0, "gap", "new")),
        ],
        axis=1,
    )
    low, high = interval(both, draws)
    scale = len(both)  # `interval` averages, the gap is a sum
    return float(both.sum()), float(low) * scale, float(high) * scale

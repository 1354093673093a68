"""Leave-last-out: known users are evaluated on their last event over the whole catalog.

The protocol of papers on sequential recommenders (SASRec, S3-Rec, eSASRec): a model learns from
everything but each user's last new item, and then scores that user's whole history. Every item of
the catalog is ranked (no sampled negatives) except those of the history. The cut is by user, not by
date, so that a model sees later events of other users: figures compare models with each other and
with published tables, and do not predict quality in production.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from metarec.data.cold_users import ColdUser, as_cold_users, preference_events
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.evaluation import metrics
from metarec.evaluation.baselines import BASELINES, registered_baselines
from metarec.evaluation.baselines.transitions import TransitionsAndCosine
from metarec.evaluation.interface import Evaluated, fit_one, scores_of
from metarec.evaluation.papers.protocols import ProtocolRow
from metarec.evaluation.papers.splits import Published
from metarec.evaluation.significance import interval, resample
from metarec.recommendation.slate import Request
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

NAME = "leave-last-out"
PLACES = 10
VALIDATION_SHARE, MAX_VALIDATION = 0.1, 300
"""Share and maximum number of validation users for the baselines, which then do not train on
them.
"""
BATCH = 256
"""Users scored at a time."""
COMPARED: dict[str, Callable[[], Evaluated]] = {
    **{name: BASELINES[name] for name in ("Popular", "ItemKNN", "EASE")},
    "Transitions+Cosine": TransitionsAndCosine,
}
"""Baselines of this protocol."""


def leave_last_out_split(data: Dataset) -> Published:
    """Split off each user's last new item as the query; everything before it is training data and
    support.

    A repeated event on an item is no new item, and only events of target kinds
    (`Interactions.target_kinds`) are queries, whatever their rating.

    Raises:
        BadInput: if events have no order, or no user has two items.
    """
    if not data.interactions.has_time:
        raise BadInput(
            f"the protocol {NAME!r} asks for each user's last event, and events of {data.name} "
            f"have no order; give a column timestamp (or seq_pos)"
        )
    train, users = _without_last(data)
    if not users:
        raise BadInput(f"the protocol {NAME!r} needs users with two items at least; there are none")
    return Published(
        name=NAME,
        train=train,
        validation=[],
        scenarios={"last event, known users": users},
        cuts=(PLACES,),
        is_graded=False,
    )


def evaluate_last_out(
    published: Published,
    models: Sequence[Evaluated],
    *,
    baselines: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> list[ProtocolRow]:
    """Fit `models` and the `baselines` (all of `COMPARED` and registered ones unless named), and
    rank the whole catalog for every user.

    Raises:
        BadInput: for a name that is no baseline of this protocol.
    """
    table = COMPARED | registered_baselines()
    for name in baselines or ():
        if name not in table:
            raise BadInput(
                f"the protocol {NAME!r} has no baseline {name!r}; there are {', '.join(table)}"
            )
    compared = [table[name]() for name in baselines or table]
    fewer, validation = _validation(published.train, derive(seed, "validation"))
    rows = []
    for n, model in enumerate([*compared, *models]):
        tuned = n < len(compared)
        fit_one(
            model,
            fewer if tuned else published.train,
            validation if tuned else [],
            derive(seed, "fit", model.name),
        )
        rows += [
            _row(scenario, model, queries, derive(seed, "ties"))
            for scenario, queries in published.scenarios.items()
        ]
        progress(f"protocol {NAME}", (n + 1) / (len(compared) + len(models)), model.name)
    return rows


def measure_last(
    model: Evaluated, users: Sequence[ColdUser], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return metric -> [users]; an item that the model does not know is a miss."""
    hits = np.concatenate(
        [_hits(model, users[start : start + BATCH], rng) for start in range(0, len(users), BATCH)]
    )
    one = np.ones(len(users), np.int64)
    return {
        f"hit_rate@{PLACES}": np.asarray(hits.any(1), np.float64),
        f"ndcg@{PLACES}": np.asarray(metrics.ndcg(hits, one, PLACES)),
    }


def _hits(model: Evaluated, users: Sequence[ColdUser], rng: np.random.Generator) -> np.ndarray:
    """Return [B, PLACES] whether each place holds the query item."""
    scores = scores_of(model, [Request(history=n.pool, profile=n.profile) for n in users])
    vocabulary = model.vocabulary
    candidates = np.ones(scores.shape, bool)
    owner = np.repeat(np.arange(len(users)), [len(n.pool) for n in users])
    seen = vocabulary.indexes(str(event[0]) for n in users for event in n.pool)
    candidates[owner[seen >= 0], seen[seen >= 0]] = False
    target = vocabulary.indexes(n.query[0][0] for n in users)
    ranked = metrics.rank(scores, PLACES, rng, candidates)
    return np.asarray((ranked == target[:, None]) & (target >= 0)[:, None])


def _without_last(data: Dataset) -> tuple[Dataset, list[ColdUser]]:
    """Return the data before each user's last new item, and the users with that item as the
    query.
    """
    row = pl.int_range(pl.len()).alias("row")
    acts = preference_events(
        data.interactions.keep(data.interactions.frame.with_columns(row))
    ).with_columns(is_new=pl.struct("user_id", "item_id").is_first_distinct())
    is_asked = (pl.col("sign") > 0) & pl.col("is_target") & pl.col("is_new")
    last = acts.filter(is_asked & (pl.col("row") > pl.col("row").min().over("user_id")))
    last = last.group_by("user_id", maintain_order=True).last()
    cut = last.select("user_id", pl.col("row").alias("last_row"))
    users = as_cold_users(
        data, _before(acts, cut).filter(pl.col("last_row").is_not_null()), last, -np.inf
    )
    events = _before(data.interactions.frame.with_columns(row), cut)
    return data.with_interactions(events.drop("row", "last_row")), users


def _before(events: pl.DataFrame, cut: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of each user before `last_row`; all rows of users without one."""
    joined = events.join(cut, on="user_id", how="left", maintain_order="left")
    return joined.filter((pl.col("row") < pl.col("last_row")) | pl.col("last_row").is_null())


def _validation(train: Dataset, rng: np.random.Generator) -> tuple[Dataset, list[ColdUser]]:
    """Return training data without the validation users, and these users with their last event as
    the query.
    """
    _, users = _without_last(train)
    many = min(int(VALIDATION_SHARE * len(users)), MAX_VALIDATION)
    chosen = [users[place] for place in sorted(rng.choice(len(users), many, replace=False))]
    ids = pl.Series([n.user_id for n in chosen], dtype=pl.Utf8)
    frame = train.interactions.frame
    return train.with_interactions(frame.filter(~pl.col("user_id").is_in(ids.implode()))), chosen


def _row(
    scenario: str, model: Evaluated, users: list[ColdUser], rng: np.random.Generator
) -> ProtocolRow:
    """Measure one recommender, with 95% bootstrap intervals over users."""
    values = measure_last(model, users, rng)
    weights = resample(len(users), derive(0, "bootstrap", scenario))
    bounds = {name: interval(ndcg[None], weights) for name, ndcg in values.items()}
    return ProtocolRow(
        scenario=scenario,
        model=model.name,
        users=len(users),
        means={name: float(ndcg.mean()) for name, ndcg in values.items()},
        intervals={name: (float(low[0]), float(high[0])) for name, (low, high) in bounds.items()},
    )

"""Health of the arms of an experiment: number of slates, latency, failures, and catalog coverage.

Each process keeps its own counts and adds them to the store from time to time.
"""

from __future__ import annotations

from collections import Counter

import polars as pl
import sqlalchemy as sa

from metarec.feedback.experiments.experiment import Experiment
from metarec.feedback.store import tables
from metarec.feedback.store.event_store import Store

FAILED = -1
"""Latency bucket of slates that could not be made."""
ANONYMOUS = ""
"""Arm under which requests without a user are counted: they are outside the experiment."""


def bucket_of(seconds: float) -> int:
    """Return the latency bucket of a slate: the first, 0, ends at 0.1 ms, each later one at 1.2
    times the end of the one before; the last is 80.
    """
    bucket, edge = 0, 1e-4
    while seconds > edge and bucket < 80:
        bucket, edge = bucket + 1, edge * 1.2
    return bucket


def seconds_of(bucket: int) -> float:
    """Return the upper end of a bucket, seconds."""
    return float(1e-4 * 1.2**bucket)


def add_answers(store: Store, experiment: str, answers: Counter[tuple[str, int]]) -> None:
    """Add counts of slates by `(arm, bucket)` to the store.

    Raises:
        StoreUnavailable: if the store cannot write now.
    """
    rows = [
        {"experiment": experiment, "arm": arm, "bucket": bucket, "answers": number}
        for (arm, bucket), number in sorted(answers.items())
    ]
    store.call(lambda connection: connection.execute(_ANSWERED, rows)).result()


_ANSWERED = sa.text(
    "INSERT INTO arm_answers (experiment, arm, bucket, answers) "
    "VALUES (:experiment, :arm, :bucket, :answers) "
    "ON CONFLICT (experiment, arm, bucket) DO UPDATE "
    "SET answers = arm_answers.answers + excluded.answers"
)


def answers_of(store: Store, experiment: str) -> dict[str, Counter[int]]:
    """Return arm -> bucket -> number of slates."""
    columns = tables.arm_answers.c
    query = sa.select(columns.arm, columns.bucket, columns.answers)
    answers: dict[str, Counter[int]] = {}
    with store.reading() as connection:
        for arm, bucket, number in connection.execute(
            query.where(columns.experiment == experiment)
        ):
            answers.setdefault(arm, Counter())[int(bucket)] = int(number)
    return answers


def coverage_ratios(store: Store, experiment: Experiment, least: int) -> dict[str, float]:
    """Return arm -> distinct items in its latest slates divided by those in as many of the
    control's, 1,000 at most; arms with fewer than `least` slates are left out.
    """
    latest = {arm.name: _latest(store, experiment.name, arm.name) for arm in experiment.arms}
    control, ratios = latest[experiment.control.name], {}
    for arm, slates in latest.items():
        equally = min(len(slates), len(control))
        if equally >= max(1, least):
            both = [_different(lists[:equally]) for lists in (slates, control)]
            ratios[arm] = both[0] / max(1, both[1])
    return ratios


def _latest(store: Store, experiment: str, arm: str) -> list[str]:
    """Return the contents of an arm's latest 1,000 slates, as JSON."""
    columns = tables.slates.c
    of_arm = (columns.experiment == experiment) & (columns.arm == arm)
    latest = sa.select(columns.shown).where(of_arm).order_by(columns.timestamp.desc())
    with store.reading() as connection:
        return list(connection.execute(latest.limit(1_000)).scalars())


def _different(slates: list[str]) -> int:
    lists = pl.Series(slates, dtype=pl.Utf8).str.json_decode(
        pl.Struct({"item_ids": pl.List(pl.Utf8)})
    )
    return lists.struct.field("item_ids").explode().drop_nulls().n_unique()

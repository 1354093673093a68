"""How the arms of an experiment answer: how many slates, how fast, how many failed, and how much of
the catalog they show.

Each process counts for itself and adds to the store's numbers now and then.
"""

from __future__ import annotations

from collections import Counter

import polars as pl
import sqlalchemy as sa

from metarec.feedback import tables
from metarec.feedback.experiments import Experiment
from metarec.feedback.store import Store

FAILED = -1
"""Bucket of slates that could not be made."""
ANONYMOUS = ""
"""Arm under which requests without a user are counted: they are outside."""


def bucket_of(seconds: float) -> int:
    """Bucket of the time that a slate took: each reaches to 1.2 times the one before, the first to
    a tenth of a millisecond.
    """
    bucket, edge = 0, 1e-4
    while seconds > edge and bucket < 80:
        bucket, edge = bucket + 1, edge * 1.2
    return bucket


def seconds_of(bucket: int) -> float:
    """The longest time of a bucket."""
    return float(1e-4 * 1.2**bucket)


def add_answers(store: Store, experiment: str, answers: Counter[tuple[str, int]]) -> None:
    """Add to the numbers of slates answered by `(arm, bucket)`.

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
    """Arm -> bucket -> slates."""
    columns = tables.arm_answers.c
    query = sa.select(columns.arm, columns.bucket, columns.answers)
    found: dict[str, Counter[int]] = {}
    with store.reading() as connection:
        for arm, bucket, number in connection.execute(
            query.where(columns.experiment == experiment)
        ):
            found.setdefault(arm, Counter())[int(bucket)] = int(number)
    return found


def different_items(store: Store, experiment: Experiment, most: int = 1_000) -> dict[str, int]:
    """Arm -> different items among the latest slates of each, equally many of every arm that has
    some; `most` at most.
    """
    columns = tables.slates.c
    shown: dict[str, list[str]] = {}
    with store.reading() as connection:
        for arm in experiment.arms:
            of_arm = (columns.experiment == experiment.name) & (columns.arm == arm.name)
            latest = sa.select(columns.shown).where(of_arm).order_by(columns.timestamp.desc())
            shown[arm.name] = list(connection.execute(latest.limit(most)).scalars())
    equally = min((len(slates) for slates in shown.values() if slates), default=0)
    lists = pl.Struct({"item_ids": pl.List(pl.Utf8)})
    return {
        arm: pl.Series(slates[:equally], dtype=pl.Utf8)
        .str.json_decode(lists)
        .struct.field("item_ids")
        .explode()
        .n_unique()
        for arm, slates in shown.items()
        if slates
    }

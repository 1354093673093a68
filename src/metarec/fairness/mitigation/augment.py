"""Training data with synthetic users of small groups added, and a report on whether they may be
used.

The GAN generates *which* items; values, order and other attributes are sampled from users of the
same group: a value from the group's ratings of that item, the position in time from the positions
at which users have it, each further attribute independently from the group's (so that no real
combination is copied; attributes with mostly unique values are left empty).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from metarec.data.dataset import Dataset
from metarec.data.schema import EVENT_COLUMNS, BadInput
from metarec.fairness.groups import NOT_STATED, Groups
from metarec.fairness.mitigation.gan import GanConfig, generate_users, train_gan
from metarec.fairness.mitigation.gan_checks import GanReport, check
from metarec.fairness.mitigation.reweighting import training_groups
from metarec.fairness.mitigation.upsampling import missing_users, with_users

SYNTHETIC = "made up"
"""Ids of synthetic users have the form `made up:N`, so that they can be recognized and removed."""
HELD_OUT = 0.2
"""Share of real users held out from the GAN, with whom the checks compare."""
MAX_ALONE = 0.5
"""Share of unique values from which an attribute (a zip code) is left empty."""


@dataclass(frozen=True, kw_only=True)
class Augmented:
    """The data with synthetic users, and the report on them."""

    data: Dataset
    synthetic: dict[str, int]
    """Group -> number of users added."""
    report: GanReport


def augment_with_gan(
    train: Dataset,
    by: str,
    rng: np.random.Generator,
    *,
    strength: float = 1.0,
    config: GanConfig | None = None,
) -> Augmented:
    """Add synthetic users to smaller groups until all groups are as large as the largest.

    Args:
        by: profile attribute.
        strength: share in [0, 1] of the missing users to add.

    Raises:
        BadInput: if no training user states the attribute, or groups are already of equal size.
    """
    users, groups = training_groups(train, by)
    lacking = {label: count for label, count in missing_users(groups, strength).items() if count}
    if not lacking:
        raise BadInput(
            f"groups by {by!r} are even already ({groups.sizes}); there is nobody to make up"
        )
    vectors, item_ids = interaction_vectors(train, users)
    names = [label for label in groups.sizes if label != NOT_STATED]
    stated = groups.labels != NOT_STATED
    vectors, labels = (
        vectors[stated],
        np.array([names.index(label) for label in groups.labels[stated]]),
    )
    is_held_out = rng.random(len(vectors)) < HELD_OUT
    drawing = torch.Generator().manual_seed(int(rng.integers(2**63)))
    generator = train_gan(
        vectors[~is_held_out], labels[~is_held_out], config or GanConfig(), drawing
    )
    group_of_new = np.repeat([names.index(label) for label in lacking], list(lacking.values()))
    seen = vectors[~is_held_out]
    lengths = np.array(
        [rng.choice(seen[labels[~is_held_out] == label].sum(axis=1)) for label in group_of_new]
    )
    made = generate_users(generator, group_of_new, lengths, len(names), drawing)
    small = np.isin(labels, np.unique(group_of_new))
    report = check(vectors[~is_held_out & small], vectors[is_held_out & small], made, rng)
    events = _events(
        train, users, groups, [names[label] for label in group_of_new], made, item_ids, rng
    )
    profiles = _profiles(train, users, groups, by, [names[label] for label in group_of_new], rng)
    return Augmented(data=with_users(train, events, profiles), synthetic=lacking, report=report)


def interaction_vectors(data: Dataset, users: list[str]) -> tuple[np.ndarray, list[str]]:
    """Return bool [U, N], whether each user has an event on each item, and the ids of the N items,
    those with at least one event.
    """
    frame = data.interactions.frame
    item_ids = frame["item_id"].unique(maintain_order=True).to_list()
    row, column = ({name: n for n, name in enumerate(ids)} for ids in (users, item_ids))
    vectors = np.zeros((len(users), len(item_ids)), dtype=bool)
    vectors[[row[u] for u in frame["user_id"]], [column[i] for i in frame["item_id"]]] = True
    return vectors, item_ids


def _events(
    train: Dataset,
    users: list[str],
    groups: Groups,
    labels: list[str],
    made: np.ndarray,
    item_ids: list[str],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return events of synthetic users: value and kind of a random real event on the item in the
    group, or on the item at all if the group has none.
    """
    of_user = pl.DataFrame({"user_id": users, "group": groups.labels.tolist()})
    real = train.interactions.frame.join(of_user, on="user_id").with_columns(
        ((pl.int_range(pl.len()) + 0.5) / pl.len()).over("user_id").alias("place")
    )
    rows, columns = np.nonzero(made)
    drawn_events = pl.DataFrame(
        {
            "user": rows,
            "item_id": [item_ids[c] for c in columns],
            "group": [labels[r] for r in rows],
            "draw": rng.random(len(rows)),
        }
    )
    drawn = _drawn(drawn_events, real)
    starts = real.group_by("user_id").agg(pl.col("timestamp").min())["timestamp"].to_numpy()
    order = _in_time(drawn, rng.choice(starts, size=made.shape[0]))
    context = [c for c in train.interactions.frame.columns if c not in EVENT_COLUMNS]
    empty = [pl.lit(None, dtype=train.interactions.frame.schema[c]).alias(c) for c in context]
    return order.with_columns(empty).select(train.interactions.frame.columns)


def _drawn(synthetic: pl.DataFrame, real: pl.DataFrame) -> pl.DataFrame:
    """Return each wanted event with value, kind and place of the real event that its `draw`
    picks.
    """
    of_group, of_all = (
        real.group_by(keys).agg("value", "kind", "place")
        for keys in (["item_id", "group"], ["item_id"])
    )
    drawn = synthetic.join(of_group, on=["item_id", "group"], how="left").join(
        of_all, on="item_id", how="left", suffix="_any"
    )
    picked = [pl.coalesce(column, f"{column}_any") for column in ("value", "kind", "place")]
    drawn = drawn.with_columns(picked).with_columns(
        (pl.col("draw") * pl.col("value").list.len()).floor().cast(pl.Int64).alias("which")
    )
    return drawn.with_columns(pl.col("value", "kind", "place").list.get(pl.col("which")))


def _in_time(drawn: pl.DataFrame, start: np.ndarray) -> pl.DataFrame:
    """Return events in the order of their places, one second apart from each user's start."""
    order = drawn.sort("user", "place", "draw").with_columns(
        pl.int_range(pl.len()).over("user").alias("step")
    )
    return order.with_columns(
        pl.format(f"{SYNTHETIC}:{{}}", "user").alias("user_id"),
        (pl.col("step") + pl.Series(start).gather(order["user"]))
        .cast(pl.Float64)
        .alias("timestamp"),
        pl.col("value").cast(pl.Float32),
    )


def _profiles(
    train: Dataset,
    users: list[str],
    groups: Groups,
    by: str,
    labels: list[str],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return profile rows of synthetic users: each attribute is sampled independently from the real
    users of the group.
    """
    real = pl.DataFrame({"user_id": users}).join(
        train.users.frame, on="user_id", how="left", maintain_order="left"
    )
    label_of_new = np.array(labels)
    columns: dict[str, pl.Series] = {
        "user_id": pl.Series([f"{SYNTHETIC}:{n}" for n in range(len(labels))])
    }
    for name in train.users.attributes:
        values = real[name]
        alone = int(values.drop_nulls().is_unique().sum()) / max(1, values.drop_nulls().len())
        source = np.zeros(len(labels), dtype=np.int64)
        for label in np.unique(label_of_new):
            source[label_of_new == label] = rng.choice(
                np.flatnonzero(groups.mask(label)), size=int((label_of_new == label).sum())
            )
        drawn = values.gather(source)
        columns[name] = (
            drawn
            if name == by or alone < MAX_ALONE
            else pl.Series([None] * len(labels), dtype=values.dtype)
        )
    made = pl.DataFrame(columns).with_columns(
        pl.lit(None).alias(name) for name in train.users.moments
    )  # synthetic users have no times of their own
    return made.select(pl.col(name).cast(dtype) for name, dtype in train.users.frame.schema.items())

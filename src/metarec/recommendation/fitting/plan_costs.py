"""Estimated CPU seconds of one fit of the more expensive models, from counts of the data.

The rates are for one core, measured on eight public data sets of 875 to 188,209 events
(docs/scale.md).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from metarec.models.als import AlsConfig
from metarec.models.deep_set.network import MAX_LOGITS, DeepSetConfig
from metarec.models.ease.config import EaseConfig
from metarec.models.ease.fit import points_of
from metarec.models.ease.model import ORDERED_REGULARIZATION, REGULARIZATION
from metarec.models.few_shot.training import Training

CUBE_SECONDS, SQUARE_SECONDS = 1.4e-11, 2.7e-8
"""EASE at one support size: per cube and per square of the number of items it regresses."""
ENTRY_SECONDS, COMPARED_SECONDS = 2.4e-8, 5e-9
"""EASE: per pair of items with a common user at one support size; per pair of events."""
FACTORS_SECONDS, EVENT_SECONDS = 1.5e-6, 4e-7
"""One sweep of ALS with 64 factors: per user or item; per event."""
STEP_SECONDS, SHOWN_SECONDS, SCORED_SECONDS = 0.0105, 9.8e-4, 5.7e-6
"""One training step of the deep-set network (64 users, five support sizes): fixed cost; per support
event; per scored item.
"""
TABLE_SECONDS, TABLE_POWER = 7.6e-3, 1.32
"""Its cost for an embedding table of 10,000 items, and the power with which it grows: a larger
table no longer fits into the core's cache.
"""
OUTER_SECONDS, TASK_EVENT_SECONDS = 2.4e-3, 8e-5
"""One outer step of a meta-learner with 32 tasks: fixed cost; per support event."""
FEATURES_SECONDS, ASKED_SECONDS = 8.3e-7, 1e-6
"""Its cost per item whose features are computed, and per query item."""


def head_of(acts: pl.DataFrame, config: EaseConfig, *, has_time: bool) -> int:
    """Estimate the number of items that EASE regresses on each other.

    Args:
        acts: `user_id` and `item_id`, each pair once.
    """
    if acts.is_empty():
        return 0
    ridge = config.regularization or (ORDERED_REGULARIZATION if has_time else REGULARIZATION)
    beside = pl.len().over("user_id").cast(pl.Int64) - 1
    items = acts.with_columns(beside=beside).group_by("item_id").agg(pl.len(), pl.sum("beside"))
    able = items["len"] >= config.min_events
    if not config.whole_histories:
        able &= items["beside"] >= config.min_coupling * (items["len"] + ridge)
    return min(int(able.sum()), config.max_items)


def ease(config: EaseConfig, *, pool: int, head: int, entries: float, pairs: float) -> float:
    """Return the CPU seconds of EASE.

    Args:
        pool: largest support size of a new user.
        head: number of items that are regressed on each other.
        entries: number of pairs of items with a common user.
        pairs: number of pairs of events that are compared.
    """
    points = 1 if config.whole_histories else len(points_of(pool))
    each = CUBE_SECONDS * head**3 + SQUARE_SECONDS * head**2 + ENTRY_SECONDS * entries
    return points * each + COMPARED_SECONDS * pairs


def als(config: AlsConfig, *, events: float, rows: int) -> float:
    """Return the CPU seconds of ALS; `rows` is the number of users and items together."""
    width = config.dim / 64
    once = FACTORS_SECONDS * rows * width**2 + EVENT_SECONDS * events * width
    return config.sweeps * once


def deep_set(config: DeepSetConfig, *, users: int, pool: int, n_items: int, later: float) -> float:
    """Return the CPU seconds of the deep-set network; `later` is the mean number of a user's items
    after the support.
    """
    targets = config.users_per_step * later / 2  # the rest is not liked, or shared between users
    scored = n_items if n_items <= MAX_LOGITS else min(config.sampled + targets, n_items)
    width, of_users = config.dim / 64, config.users_per_step / 64
    step = STEP_SECONDS + SHOWN_SECONDS * pool * of_users * width
    step += SCORED_SECONDS * scored * of_users * config.prefixes / 5 * width
    step += TABLE_SECONDS * float(np.power(n_items / 10_000, TABLE_POWER)) * width
    return config.steps_for(users) * step


def learned(config: Training, *, pool: int, n_items: int) -> float:
    """Return the CPU seconds of a meta-learner that adapts in closed form."""
    of_tasks = config.tasks_per_step / 32
    step = OUTER_SECONDS + TASK_EVENT_SECONDS * pool * of_tasks + FEATURES_SECONDS * n_items
    step += ASKED_SECONDS * min(n_items, config.candidates_most) * of_tasks
    return config.outer_steps * step

"""Data of one round of retraining: old and new events, split by users into training data and
holdout users.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass

import polars as pl

from metarec.app.items import items_frame, upserted
from metarec.app.retraining.beside import known_relations, with_circumstances
from metarec.app.retraining.compare import HoldoutUsers, as_holdout_users
from metarec.data.cleaning import clean
from metarec.data.cleaning.report import DataReport
from metarec.data.cold_users import Horizon, choose_horizon
from metarec.data.dataset import Dataset
from metarec.data.errors import NothingToDo
from metarec.data.events.times import HOURS_FROM_UTC
from metarec.data.findings import Finding
from metarec.data.opening import open_tables
from metarec.data.schema import Catalog, Interactions, Profiles
from metarec.feedback.copies import without_known
from metarec.feedback.forgetting import user_digest, without_forgotten
from metarec.feedback.merging import with_merges
from metarec.feedback.outcomes import (
    ValueScale,
    as_training_rows,
    teaching_weights,
    with_propensity,
)
from metarec.feedback.promotion import Guardrails
from metarec.feedback.store.event_store import Store
from metarec.recommender import Recommender

log = logging.getLogger("metarec.retrain")

HOLDOUT_SHARE = 5
"""One in this number of new users is never trained on, in any round, so that every champion and
challenger can be evaluated on them.
"""
OWN_CHOICE = 0.5
"""Users with at least this weight in training chose most items by themselves; the lengths of their
histories set the horizon. See `teaching_weights`.
"""


@dataclass(frozen=True, kw_only=True)
class NewEvents:
    """What became of the stored events that the old data do not have: numbers of events."""

    learned: int
    """Trained on."""
    of_holdout: int
    """Kept out of training, of users on whom both models are evaluated."""
    left_out: int
    """Left out by the cleaning, or of users who asked to be forgotten."""


@dataclass(frozen=True, kw_only=True)
class RoundData:
    """Data of one round, read when it began."""

    stored: pl.DataFrame
    """All events of the store, with their `propensity`."""
    train: Dataset
    test_users: HoldoutUsers
    """Users on whom neither model is trained."""
    profiles: dict[str, dict[str, object]]
    new: NewEvents
    report: DataReport
    """Report of the cleaning."""


def gather(
    store: Store, champion: Recommender, data: str | Dataset | None, rails: Guardrails
) -> RoundData:
    """Read the old data and the new events, and split them by users.

    Args:
        store: event store with the new events.
        champion: the served model.
        data: the old data; the champion's training data where not given.
        rails: has the number of holdout users needed.

    Raises:
        NothingToDo: if there is nothing new.
        BadInput: if the old data cannot be read.
    """
    tables = open_tables(data) if data is not None and not isinstance(data, Dataset) else None
    given_data = Dataset.of(tables) if tables else data if isinstance(data, Dataset) else None
    trained = with_merges(store, champion.training_data())
    old = trained if given_data is None else with_merges(store, given_data)
    stored = with_propensity(store.as_frame(), store.slates())
    new = without_known(as_training_rows(stored, scale_of(champion)), old.interactions.frame)
    log.info("events read", extra={"old": len(old.interactions), "new": new.height})
    both, unread = joined(store, old, new, champion)
    cleaned, report = clean(
        both,
        tables.rules if tables else None,
        (*(tables.findings if tables else ()), *unread),
    )
    for finding in unread:
        log.warning("circumstances not read", extra={"reason": finding.why})
    if not new.height and not tells_more(cleaned, trained, champion.catalog):
        raise _nothing_new(stored.height)
    judging, learning = split_holdout_users(store, trained, cleaned.interactions.frame, offered=old)
    profiles = {**_profiles_of(old, judging), **_profiles(store)}
    test_users = as_holdout_users(
        cleaned.with_interactions(by_own_choice(judging, stored, rails.min_cold_users)),
        profiles,
        champion.vocabulary.ids,
        scale_of(champion).relevant_from,
    )
    return RoundData(
        stored=stored,
        train=cleaned.with_interactions(learning.cast({"value": pl.Float32})),
        test_users=test_users,
        profiles=profiles,
        new=_became(new, judging=judging, learning=learning),
        report=report,
    )


def _became(new: pl.DataFrame, *, judging: pl.DataFrame, learning: pl.DataFrame) -> NewEvents:
    """Count, and log, what became of new events once the cleaned data are split."""
    not_learned = without_known(new, learning)
    left_out = without_known(not_learned, judging).height
    became = NewEvents(
        learned=new.height - not_learned.height,
        of_holdout=not_learned.height - left_out,
        left_out=left_out,
    )
    log.info("new events split", extra=asdict(became))
    return became


def tells_more(data: Dataset, trained: Dataset, catalog: Catalog) -> bool:
    """Return whether users, items, friends or searches differ from those a model was trained on."""
    pairs = (
        (data.users.frame, trained.users.frame),
        (data.items.frame, catalog.frame),
        (data.relations.friends, trained.relations.friends),
        (data.relations.searches, trained.relations.searches),
    )
    return any(_rows_of(now) != _rows_of(before) for now, before in pairs)


def _rows_of(frame: pl.DataFrame) -> set[str]:
    """Return each row as text, without empty cells and whatever the order of columns."""
    names = sorted(frame.columns)
    rows = frame.select(names).iter_rows()
    return {
        repr([(name, value) for name, value in zip(names, row, strict=True) if value is not None])
        for row in rows
    }


def _nothing_new(events: int) -> NothingToDo:
    if events:
        return NothingToDo(
            f"the store holds nothing new: all its {events:,} events were learned from already, "
            "and attributes, friends and searches are as they were; retrain when users have done "
            "more"
        )
    return NothingToDo(
        "the store holds no events to learn from; serve first, or check the store's url"
    )


def scale_of(model: Recommender) -> ValueScale:
    """Return the scale of values and kinds that a model was trained with."""
    return ValueScale.of(model.training.interactions)


def split_holdout_users(
    store: Store, trained: Dataset, events: pl.DataFrame, *, offered: Dataset | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split events into those of holdout users and those to train on.

    Holdout users are chosen by their keyed digest among users the champion was not trained on, so
    that they are the same in every round. Users of the data `offered` to it who were kept out of
    its training are all holdout users, unless they are more than one in `HOLDOUT_SHARE` of that
    data.
    """
    trained_users = trained.interactions.frame.select("user_id").unique()
    cold_users = events.select("user_id").unique().join(trained_users, on="user_id", how="anti")
    kept_out: set[str] = set()
    if offered is not None:
        users = offered.interactions.frame.select("user_id").unique()
        aside = users.join(trained_users, on="user_id", how="anti")
        kept_out = set(aside["user_id"]) if aside.height * HOLDOUT_SHARE <= users.height else set()
    chosen = pl.DataFrame(
        {
            "user_id": [
                user
                for user in cold_users["user_id"].to_list()
                if user in kept_out or int(user_digest(store, user)[:8], 16) % HOLDOUT_SHARE == 0
            ]
        },
        schema={"user_id": pl.Utf8},
    )
    return (
        events.join(chosen, on="user_id", how="semi", maintain_order="left"),
        events.join(chosen, on="user_id", how="anti", maintain_order="left"),
    )


def how_to_learn(
    train: Dataset, stored: pl.DataFrame
) -> tuple[dict[str, float] | None, Horizon | None]:
    """Return the weight of each user in training, and the horizon; None for both where no event
    answers a slate.

    Args:
        train: the training data.
        stored: events of the store with their `propensity`.
    """
    frame = train.interactions.frame
    answers = (
        stored.drop_nulls("propensity")
        .group_by("user_id", "item_id")
        .agg(pl.col("propensity").min())
    )
    events = (
        frame.select("user_id", "item_id")
        .unique()
        .join(answers, on=["user_id", "item_id"], how="left")
    )
    if not events["propensity"].count():
        return None, None
    weights = teaching_weights(events)
    own_choices = events.filter(
        pl.col("user_id").is_in([user for user, weight in weights.items() if weight >= OWN_CHOICE])
    )
    lengths = own_choices.group_by("user_id").len()["len"].to_numpy()
    return weights, choose_horizon(lengths) if len(lengths) else None


def by_own_choice(judging: pl.DataFrame, stored: pl.DataFrame, least: int) -> pl.DataFrame:
    """Return the events of holdout users that answer no slate, where at least `least` users have
    two or more of them; else all events.

    Answers are only about items that the champion, or one before it, chose to show. The champion
    ranks these high, so they show neither what it misses nor a challenger that narrows the choice
    further.
    """
    answers = stored.drop_nulls("propensity").select("user_id", "item_id").unique()
    own_choices = judging.join(
        answers, on=["user_id", "item_id"], how="anti", maintain_order="left"
    )
    # Two events are needed: one for the support set and one for the query set.
    able = own_choices.group_by("user_id").len().filter(pl.col("len") > 1).height
    return own_choices if able >= least else judging


def joined(
    store: Store, old: Dataset, new: pl.DataFrame, champion: Recommender
) -> tuple[Dataset, list[Finding]]:
    """Return old and new events, items and users as one data set, without forgotten users, and
    findings on circumstances of new events that could not be read.
    """
    before = without_forgotten(store, old.interactions.frame).cast({"value": pl.Float32})
    with_context, unread = with_circumstances(new, store.contexts(), before.schema)
    if HOURS_FROM_UTC in with_context.columns and HOURS_FROM_UTC not in before.columns:
        # Old times without an offset were written as those of the place
        before = before.with_columns(pl.lit(0.0).alias(HOURS_FROM_UTC))
    rows = pl.concat(
        [before, with_context.with_columns(pl.col("value").cast(pl.Float32))],
        how="diagonal_relaxed",
    )
    items = champion.catalog.frame  # the old items and those added while serving up to its fit
    added = [(item_id, attributes) for item_id, attributes, _ in store.items_since(0)]
    if added:
        items = upserted(items, items_frame(added, items.schema)[0])
    users = pl.concat(
        [without_forgotten(store, old.users.frame), store.profiles()], how="diagonal_relaxed"
    ).unique("user_id", keep="last", maintain_order=True)
    events = Interactions.of(rows, kinds=champion.training.interactions.kinds)
    data = Dataset(
        interactions=events,
        items=Catalog.of(items),
        users=Profiles.of(users),
        name=old.name,
        policy=old.policy,
        relations=known_relations(store, old.relations),
    )
    return data, unread


def _profiles_of(data: Dataset, events: pl.DataFrame) -> dict[str, dict[str, object]]:
    users = events["user_id"].unique(maintain_order=True).to_list()
    return dict(zip(users, data.users.of_users(users), strict=True))


def _profiles(store: Store) -> dict[str, dict[str, object]]:
    return {
        row.pop("user_id"): {k: v for k, v in row.items() if v is not None}
        for row in store.profiles().iter_rows(named=True)
    }

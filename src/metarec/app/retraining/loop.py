"""The loop closed: a challenger is trained on old plus new data, evaluated beside the champion, and
promoted or refused with the table.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Protocol

import polars as pl

from metarec.app.items import items_frame, upserted
from metarec.app.jobs import RETRAINING, recorded
from metarec.app.probe import can_serve
from metarec.app.reports import DATA, keep_report
from metarec.app.retraining.beside import known_relations, with_circumstances
from metarec.app.retraining.compare import as_holdout_users, compare
from metarec.app.retraining.compare_logged import compare_on_log, read_log
from metarec.data.cleaning import clean
from metarec.data.cold_users import Horizon, choose_horizon
from metarec.data.dataset import Dataset
from metarec.data.opening import open_tables
from metarec.data.relations import Relations
from metarec.data.schema import BadInput, Catalog, Interactions, Profiles
from metarec.feedback import open_store
from metarec.feedback.copies import without_known
from metarec.feedback.erasing import free_space
from metarec.feedback.experiments import versions_in_use
from metarec.feedback.forgetting import mark_left_model, user_digest, without_forgotten
from metarec.feedback.forgotten_rows import clean_folder, edges_without_forgotten, tidy
from metarec.feedback.merging import with_merges
from metarec.feedback.outcomes import (
    ValueScale,
    as_training_rows,
    teaching_weights,
    with_propensity,
)
from metarec.feedback.promotion import Decision, Guardrails, decide, too_few
from metarec.feedback.registry import KEEP_VERSIONS, Registry
from metarec.feedback.store import Store
from metarec.recommender import Recommender
from metarec.runtime.logs import LoggedProgress

log = logging.getLogger("metarec.retrain")

HOLDOUT_SHARE = 5
"""One in so many new users is never trained on, in any round, so that every champion and challenger
can be evaluated by them.
"""
OWN_CHOICE = 0.5
"""Users whose weight in training reaches this chose by themselves, and say how long a history is;
see `teaching_weights`.
"""


class Fit(Protocol):
    """Makes a recommender from data."""

    def __call__(
        self, data: Dataset, *, user_weights: Mapping[str, float] | None, horizon: Horizon | None
    ) -> Recommender:
        """The recommender; for the two others see `Recommender.fit`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """What came of one round."""

    champion: str
    challenger: str
    promoted: bool
    decision: Decision
    events_new: int
    """Stored events that the challenger was trained on, beside the old data."""
    test_users: int
    """Users whom both were evaluated by."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "decision": self.decision.as_dict()}


def retrain(
    model: str,
    store: str,
    *,
    data: str | Dataset | None = None,
    fit: Fit | None = None,
    seed: int = 0,
    rails: Guardrails | None = None,
    force: bool = False,
    keep: int = KEEP_VERSIONS,
) -> Retrained:
    """Train a challenger, evaluate it, promote it if it is not worse; the champion serves until
    then, and after a refusal.

    Args:
        model: folder of the model that serves.
        store: event store with what happened since.
        data: what the first model was fitted on, cleaned with the new events as when fitting; what
            the model itself keeps where not given. Users of it who were kept out of the first
            model (`metarec fit --hold-out`) evaluate.
        fit: makes a recommender from data; with the champion's own preset, encoder and policy where
            not given.
        seed: of fitting and evaluating.
        rails: how much worse is still not worse.
        force: promote whatever was measured.
        keep: how many retrained versions stay, the newest ones; the one that serves and the one
            before it stay anyway.

    Raises:
        BadInput: if there is nothing new, too few users to evaluate on (and no `force`), or another
            retraining runs.
    """
    registry = Registry(model)
    with registry.retraining():
        opened = open_store(store, create=False)
        try:
            tidy(opened, registry)
            with recorded(registry.folder, RETRAINING) as job:
                done = _round(registry, opened, data, fit, seed, rails or Guardrails(), force)
                said = "promoted" if done.promoted else "refused"
                job.outcome = f"model {done.challenger} was {said}: {done.decision.reason}"
                _put_away(registry, opened, keep)
            return done
        finally:
            opened.close()


def _put_away(registry: Registry, store: Store, keep: int) -> None:
    """Remove old versions that no experiment shows, and let a server use the space of deleted rows
    again.
    """
    with registry.changing():
        if gone := registry.prune(keep, versions_in_use(store)):
            log.info("old versions removed", extra={"versions": gone})
    free_space(store)


def _round(
    registry: Registry,
    store: Store,
    data: str | Dataset | None,
    fit: Fit | None,
    seed: int,
    rails: Guardrails,
    force: bool,
) -> Retrained:
    began, champion = time.time(), Recommender.load(registry.place_of(registry.current()))
    tables = open_tables(data) if data is not None and not isinstance(data, Dataset) else None
    old = (
        data
        if isinstance(data, Dataset)
        else Dataset.of(tables)
        if tables
        else champion.training_data()
    )
    old, trained = with_merges(store, old), with_merges(store, champion.training_data())
    scale = scale_of(champion)
    stored = with_propensity(store.as_frame(), store.slates())
    new = without_known(as_training_rows(stored, scale), old.interactions.frame)
    if not new.height:
        if stored.height:
            raise BadInput(
                f"the store holds nothing new: all its {stored.height:,} events were learned from "
                "already; retrain when users have done more"
            )
        raise BadInput(
            "the store holds no events to learn from; serve first, or check the store's url"
        )
    log.info("events read", extra={"old": len(old.interactions), "new": new.height})
    whole, report = clean(
        joined(store, old, new, champion),
        tables.rules if tables else None,
        tables.findings if tables else (),
    )
    judging, learning = split_holdout_users(
        store,
        trained,
        whole.interactions.frame,
        offered=old,
    )
    profiles = {**_profiles_of(old, judging), **_profiles(store)}
    test_users = as_holdout_users(
        whole.with_interactions(by_own_choice(judging, stored, rails.min_cold_users)),
        profiles,
        champion.vocabulary.ids,
        scale.relevant_from,
    )
    if not force and (refused := too_few(len(test_users.cold_users), rails)):
        raise BadInput(f"not retrained: {refused}, or promote whatever comes of it with --force")
    train = whole.with_interactions(learning.cast({"value": pl.Float32}))
    fit = fit or partial(champion.fit_like, seed=seed, progress=LoggedProgress())
    weights, horizon = how_to_learn(train, stored)
    challenger = fit(train, user_weights=weights, horizon=horizon)
    if challenger.version == champion.version:
        raise BadInput(
            f"the data and settings are those of model {champion.version}, which serves; there is "
            f"nothing new to learn"
        )
    place = registry.place_of(challenger.version)
    with registry.changing():  # who is forgotten now is taken out here, or by those who forget
        _without_forgotten(challenger, store).save(place)
        keep_report(place, DATA, report.to_dict(), by="metarec retrain")
    log.info("challenger trained", extra={"challenger": challenger.version})
    comparisons = [
        *compare(champion, challenger, test_users, train, seed),
        *compare_on_log(champion, challenger, read_log(store, scale, profiles)),
    ]
    decision = decide(comparisons, cold_users=len(test_users.cold_users), rails=rails)
    registry.note_decision(challenger.version, decision.as_dict())
    promoted = decision.promote or force
    if promoted:
        with registry.changing():
            clean_folder(store, place)
        registry.promote(
            challenger.version,
            "forced: " + decision.reason if force and not decision.promote else decision.reason,
            probe=can_serve,
        )
        mark_left_model(store, asked_before=began)
    log.info(
        "retrained",
        extra={
            "champion": champion.version,
            "challenger": challenger.version,
            "promoted": promoted,
            "reason": decision.reason,
        },
    )
    return Retrained(
        champion=champion.version,
        challenger=challenger.version,
        promoted=promoted,
        decision=decision,
        events_new=learning.join(new, on=["user_id", "item_id", "timestamp"], how="semi").height,
        test_users=len(test_users.cold_users),
    )


def _without_forgotten(model: Recommender, store: Store) -> Recommender:
    """A model whose training data hold nobody who asked to be forgotten while it was trained."""
    data = model.training
    events = without_forgotten(store, data.interactions.frame)
    users = without_forgotten(store, data.users.frame)
    back = set(events["user_id"].unique())
    return replace(
        model,
        training=replace(
            data,
            interactions=data.interactions.keep(events),
            users=Profiles.of(users),
            relations=Relations(
                friends=edges_without_forgotten(store, data.relations.friends, but=back),
                searches=without_forgotten(store, data.relations.searches),
            ),
        ),
    )


def scale_of(model: Recommender) -> ValueScale:
    """What acts and values meant when a model was trained."""
    return ValueScale.of(model.training.interactions)


def split_holdout_users(
    store: Store, trained: Dataset, events: pl.DataFrame, *, offered: Dataset | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events of the users who evaluate, and of those to learn from.

    Evaluates are chosen among users the champion was not trained on by their keyed digest: the same
    users in every round, and nobody's choice. Users of the data `offered` to it who were kept out
    of it all evaluate, as long as they are a fair share of that data.
    """
    known = trained.interactions.frame.select("user_id").unique()
    cold_users = events.select("user_id").unique().join(known, on="user_id", how="anti")
    kept_out: set[str] = set()
    if offered is not None:
        users = offered.interactions.frame.select("user_id").unique()
        aside = users.join(known, on="user_id", how="anti")
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
    """How much each user counts in training, and the histories to learn for; None for both where
    nobody answered slates.

    Args:
        train: what will be learned from.
        stored: the store's events with their `propensity`.
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
    own = events.filter(
        pl.col("user_id").is_in([user for user, weight in weights.items() if weight >= OWN_CHOICE])
    )
    lengths = own.group_by("user_id").len()["len"].to_numpy()
    return weights, choose_horizon(lengths) if len(lengths) else None


def by_own_choice(judging: pl.DataFrame, stored: pl.DataFrame, least: int) -> pl.DataFrame:
    """The holdout users' events that answered no slate, where at least so many evaluates have some;
    else all of them.

    Answers are all about items that the champion, or one before it, chose to show, which the
    champion ranks high: they cannot see what it misses, nor a challenger that narrows it further.
    """
    answers = stored.drop_nulls("propensity").select("user_id", "item_id").unique()
    own = judging.join(answers, on=["user_id", "item_id"], how="anti", maintain_order="left")
    able = (
        own.group_by("user_id").len().filter(pl.col("len") > 1).height
    )  # one event to show and one to ask for
    return own if able >= least else judging


def joined(store: Store, old: Dataset, new: pl.DataFrame, champion: Recommender) -> Dataset:
    """Old and new events, items and users as one data set, without forgotten users."""
    before = without_forgotten(store, old.interactions.frame).cast({"value": pl.Float32})
    told = with_circumstances(new, store.contexts(), before.schema)
    rows = pl.concat([before, told.with_columns(pl.col("value").cast(pl.Float32))], how="diagonal")
    items = champion.catalog.frame  # holds the old items and those added while serving up to now
    added = [(item_id, attributes) for item_id, attributes, _ in store.items_since(0)]
    if added:
        items = upserted(items, items_frame(added, items.schema)[0])
    users = pl.concat(
        [without_forgotten(store, old.users.frame), store.profiles()], how="diagonal_relaxed"
    ).unique("user_id", keep="last", maintain_order=True)
    events = Interactions.of(rows, kinds=champion.training.interactions.kinds)
    return Dataset(
        interactions=events,
        items=Catalog.of(items),
        users=Profiles.of(users),
        name=old.name,
        policy=old.policy,
        relations=known_relations(store, old.relations),
    )


def _profiles_of(data: Dataset, events: pl.DataFrame) -> dict[str, dict[str, object]]:
    users = events["user_id"].unique(maintain_order=True).to_list()
    return dict(zip(users, data.users.of_users(users), strict=True))


def _profiles(store: Store) -> dict[str, dict[str, object]]:
    return {
        row.pop("user_id"): {k: v for k, v in row.items() if v is not None}
        for row in store.profiles().iter_rows(named=True)
    }

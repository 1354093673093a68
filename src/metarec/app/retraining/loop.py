"""One round of retraining: a challenger is trained on old and new data, compared with the champion,
and promoted or refused by the comparison.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Protocol

from metarec.app.jobs import RETRAINING, recorded
from metarec.app.probe import can_serve
from metarec.app.reports import DATA, keep_report
from metarec.app.retraining.compare import compare
from metarec.app.retraining.compare_logged import compare_on_log, read_log
from metarec.app.retraining.round_data import RoundData, gather, how_to_learn, scale_of
from metarec.data.cold_users import Horizon
from metarec.data.dataset import Dataset
from metarec.data.errors import NothingToDo
from metarec.data.relations import Relations
from metarec.data.schema import Profiles
from metarec.feedback import open_store
from metarec.feedback.erasing import free_space
from metarec.feedback.experiments.experiment import versions_in_use
from metarec.feedback.forgetting import mark_left_model, without_forgotten
from metarec.feedback.forgotten_rows import clean_folder, edges_without_forgotten, remove_leftovers
from metarec.feedback.promotion import Decision, Guardrails, decide, too_few
from metarec.feedback.registry import KEEP_VERSIONS, Registry
from metarec.feedback.store.event_store import Store
from metarec.recommender import Recommender
from metarec.runtime.logs import LoggedProgress

log = logging.getLogger("metarec.retrain")


class Fit(Protocol):
    """Fits a recommender on data."""

    def __call__(
        self, data: Dataset, *, user_weights: Mapping[str, float] | None, horizon: Horizon | None
    ) -> Recommender:
        """Return the recommender; `Recommender.fit` describes the two other arguments."""
        ...


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """Result of one round."""

    champion: str
    challenger: str
    promoted: bool
    decision: Decision
    events_new: int
    """Stored events that the challenger was trained on, beside the old data."""
    events_of_holdout: int
    """New stored events kept out of training, of users on whom both models were evaluated."""
    events_left_out: int
    """New stored events left out by the cleaning, or of users who asked to be forgotten."""
    test_users: int
    """Number of users on whom both models were evaluated."""

    @property
    def is_forced(self) -> bool:
        """Whether the challenger was promoted although the decision refuses it."""
        return self.promoted and not self.decision.promote

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
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
    """Train a challenger, compare it, and promote it if it is not worse. The champion is served
    until then, and after a refusal.

    Args:
        model: folder of the served model.
        store: event store with the new events.
        data: the data of the first model, cleaned with the new events as when fitting; the model's
            own training data where not given. Users in it who were kept out of the first model
            (`metarec fit --hold-out`) are holdout users.
        fit: fits a recommender on data; with the champion's preset, encoder and policy where not
            given.
        seed: seed of fitting and evaluation.
        rails: how much worse still counts as not worse.
        force: promote the challenger whatever was measured.
        keep: number of retrained versions kept, the newest ones; the served version and the one
            before it are always kept.

    Raises:
        NothingToDo: if there is nothing new, or there are too few holdout users (without `force`).
        BadInput: if the data cannot be read, or another retraining runs.
    """
    registry = Registry(model)
    with registry.retraining():
        opened = open_store(store, create=False)
        try:
            remove_leftovers(opened, registry)
            with recorded(registry.folder, RETRAINING) as job:
                done = Round(
                    began=time.time(),
                    registry=registry,
                    store=opened,
                    champion=Recommender.load(registry.place_of(registry.current())),
                    rails=rails or Guardrails(),
                    seed=seed,
                    force=force,
                ).run(data, fit)
                outcome = "promoted" if done.promoted else "refused"
                outcome = "promoted by force" if done.is_forced else outcome
                job.outcome = f"model {done.challenger} was {outcome}: {done.decision.reason}"
                _put_away(registry, opened, keep)
            return done
        finally:
            opened.close()


def _put_away(registry: Registry, store: Store, keep: int) -> None:
    """Delete old versions that no experiment uses, and let a server reuse the space of deleted
    rows.
    """
    with registry.changing():
        if gone := registry.prune(keep, versions_in_use(store)):
            log.info("old versions removed", extra={"versions": gone})
    free_space(store)


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round: the champion, and the settings of the comparison."""

    began: float
    """Time before the champion was read, seconds since 1970: users forgotten later may be in it."""
    registry: Registry
    store: Store
    champion: Recommender
    rails: Guardrails
    seed: int
    force: bool
    """Promote the challenger whatever was measured."""

    def run(self, data: str | Dataset | None, fit: Fit | None) -> Retrained:
        """Train a challenger, compare it, and promote or refuse it."""
        data_of_round = gather(self.store, self.champion, data, self.rails)
        test_users = data_of_round.test_users
        if not self.force and (refused := too_few(len(test_users.cold_users), self.rails)):
            raise NothingToDo(
                f"not retrained: {refused}, or promote whatever comes of it with --force"
            )
        challenger = self._trained(data_of_round, fit)
        comparisons = [
            *compare(self.champion, challenger, test_users, data_of_round.train, self.seed),
            *compare_on_log(
                self.champion,
                challenger,
                read_log(self.store, scale_of(self.champion), data_of_round.profiles),
            ),
        ]
        decision = decide(comparisons, cold_users=len(test_users.cold_users), rails=self.rails)
        self.registry.note_decision(challenger.version, decision.as_dict())
        if promoted := decision.promote or self.force:
            self._promote(challenger.version, decision)
        done = Retrained(
            champion=self.champion.version,
            challenger=challenger.version,
            promoted=promoted,
            decision=decision,
            events_new=data_of_round.new.learned,
            events_of_holdout=data_of_round.new.of_holdout,
            events_left_out=data_of_round.new.left_out,
            test_users=len(test_users.cold_users),
        )
        log.info(
            "retrained",
            extra={
                "champion": done.champion,
                "challenger": done.challenger,
                "promoted": promoted,
                "reason": decision.reason,
            },
        )
        return done

    def _trained(self, data_of_round: RoundData, fit: Fit | None) -> Recommender:
        """Train a challenger and save it beside the champion.

        Raises:
            NothingToDo: if it is the same as the champion.
        """
        fit = fit or partial(self.champion.fit_like, seed=self.seed, progress=LoggedProgress())
        weights, horizon = how_to_learn(data_of_round.train, data_of_round.stored)
        challenger = fit(data_of_round.train, user_weights=weights, horizon=horizon)
        if challenger.version == self.champion.version:
            raise NothingToDo(
                f"the data and settings are those of model {self.champion.version}, which serves; "
                f"there is nothing new to learn"
            )
        place = self.registry.place_of(challenger.version)
        # A user forgotten meanwhile is removed here, or by the process that forgets them.
        with self.registry.changing():
            _without_forgotten(challenger, self.store).save(place)
            keep_report(place, DATA, data_of_round.report.to_dict(), by="metarec retrain")
        log.info("challenger trained", extra={"challenger": challenger.version})
        return challenger

    def _promote(self, version: str, decision: Decision) -> None:
        with self.registry.changing():
            clean_folder(self.store, self.registry.place_of(version))
        is_forced = self.force and not decision.promote
        reason = "forced: " + decision.reason if is_forced else decision.reason
        self.registry.promote(version, reason, probe=can_serve)
        mark_left_model(self.store, asked_before=self.began)


def _without_forgotten(model: Recommender, store: Store) -> Recommender:
    """Return the model without training data of users who were forgotten while it was trained."""
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

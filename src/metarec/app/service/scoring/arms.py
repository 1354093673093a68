"""The running experiment in one worker: the models of its arms, the counts of their answers, and
the guardrails that stop them.

All state is in the store and read from there repeatedly, so that workers and restarts agree.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from metarec.app.service.scoring.live_model import LiveModel, Served
from metarec.app.service.security import audit_log
from metarec.app.service.settings import ServiceSettings
from metarec.feedback.events import Exposure, StoreUnavailable
from metarec.feedback.experiments.arm_health import ANONYMOUS, FAILED, add_answers, bucket_of
from metarec.feedback.experiments.counts import count_users
from metarec.feedback.experiments.experiment import (
    Arm,
    ArmSettings,
    Experiment,
    ExperimentConflict,
    experiment_named,
    running_experiment,
    settings_in_effect,
    stop,
)
from metarec.feedback.experiments.results import Results, broken_guardrails, results
from metarec.feedback.store.event_store import Store

log = logging.getLogger("metarec.service")
EVERY_SECONDS = 2.0
"""Least number of seconds between two counts."""
MAX_TIME = 0.05
"""Largest share of a worker's time spent on counting."""
MAX_BATCHES = 20
"""Largest number of batches of users counted before the worker's other tasks run."""


@dataclass(frozen=True, kw_only=True)
class ArmAssignment:
    """Model and settings of a slate."""

    served: Served
    settings: ArmSettings
    """Settings where a request gives none; all but the filter have a value."""
    experiment: Experiment | None = None
    arm: str | None = None
    """None outside the experiment; `ANONYMOUS` without a user id."""

    def exposure(self, n_support: int, at: float) -> Exposure | None:
        """Return the exposure to store with a slate made from `n_support` events of its user, at
        `at` seconds since 1970; None outside an arm.
        """
        if self.experiment is None or not self.arm:
            return None
        return Exposure(
            experiment=self.experiment.name,
            arm=self.arm,
            is_new=n_support < self.experiment.new_below,
            closes_at=at + 3_600.0 * self.experiment.window_hours,
        )


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What this worker knows of the experiment; immutable."""

    running: Experiment | None = None
    models: Mapping[str, Served] = field(default_factory=dict)
    """Version -> model, of every arm; an experiment is served once all are loaded."""
    settings: ArmSettings
    """Settings outside the experiment where a request gives none."""
    of_arm: Mapping[str, ArmSettings] = field(default_factory=dict)
    """Settings of each arm where a request gives none."""


class Arms:
    """The arms of the running experiment: which user gets which, and how they perform."""

    def __init__(self, store: Store, live: LiveModel, settings: ServiceSettings) -> None:
        self._store, self._live, self._settings = store, live, settings
        self._known = _Known(settings=_over(ArmSettings(), settings))
        self._answers: Counter[tuple[str, int]] = Counter()
        self._lock, self._looking, self._refreshing = (threading.Lock() for _ in range(3))
        self._results: tuple[str, Results] | None = None
        self._next = 0.0
        """Time of the next count, on the monotonic clock."""

    @property
    def running(self) -> Experiment | None:
        """The experiment that this worker serves."""
        return self._known.running

    @property
    def settings(self) -> ArmSettings:
        """Settings outside experiments where a request gives none."""
        return self._known.settings

    def outside(self) -> ArmAssignment:
        """Return model and settings outside experiments."""
        return ArmAssignment(served=self._live.served, settings=self.settings)

    def place(self, user_id: str | None) -> ArmAssignment:
        """Return model and settings of a user: those of their arm, else those outside
        experiments.
        """
        arms = self._known
        if arms.running is None:
            return self.outside()
        if user_id is None:
            return replace(self.outside(), experiment=arms.running, arm=ANONYMOUS)
        try:
            canonical = self._store.id_now(user_id)
        except StoreUnavailable:
            canonical = user_id
        arm = arms.running.arm_of(canonical)
        if arm is None:
            return self.outside()
        return ArmAssignment(
            served=arms.models[arm.model],
            settings=arms.of_arm[arm.name],
            experiment=arms.running,
            arm=arm.name,
        )

    def answered(self, placed: ArmAssignment, seconds: float | None) -> None:
        """Count a slate by its time in seconds; None where it failed."""
        if placed.arm is not None:
            bucket = FAILED if seconds is None else bucket_of(seconds)
            with self._lock:
                self._answers[placed.arm, bucket] += 1

    def follow(self) -> None:
        """Load changes of experiments, and count the events of their users where a count is due.

        Raises:
            StoreUnavailable: if the store does not answer.
        """
        self.refresh()
        if self.running is not None and self._next <= time.monotonic():
            self.look()

    def refresh(self) -> None:
        """Load what was started, stopped or promoted, with the models it needs."""
        with self._refreshing:
            before, running = self._known, running_experiment(self._store)
            if before.running is not None and (
                running is None or running.name != before.running.name
            ):
                self._count(before.running, time.time())  # the last count of what has ended
            models: dict[str, Served] = {}
            while running is not None and (arm := _without_model(running, models)) is not None:
                try:
                    models[arm.model] = self._model(arm.model, before)
                except Exception as error:  # any error stops this arm only
                    why = f"{arm.model} could not be loaded"
                    running = _if_running(self._stop(running, arm.name, why, error))
            promoted = settings_in_effect(self._store)
            arms = () if running is None else running.arms
            self._known = _Known(
                running=running,
                models=models,
                settings=_over(promoted, self._settings),
                of_arm={arm.name: _over(arm.settings, self._settings, promoted) for arm in arms},
            )

    def _model(self, version: str, before: _Known) -> Served:
        if version == self._live.serving:
            return self._live.served
        held = before.models.get(version)
        return self._live.load(version) if held is None else self._live.renewed(held)

    def look(self, now: float | None = None) -> Results | None:
        """Count the events of users, stop arms that violate a guardrail, and return the results;
        the latest ones where a count is not due, unless `now` (seconds since 1970) is given. None
        where no experiment runs.
        """
        with self._looking:
            running = self.running
            if running is None:
                return None
            began = time.monotonic()
            is_old = now is not None or self._next <= began
            if is_old or self._results is None or self._results[0] != running.name:
                self._results = running.name, self._counted(running, now or time.time())
                took = time.monotonic() - began
                self._next = began + max(EVERY_SECONDS, took / MAX_TIME)
            return self._results[1]

    def _counted(self, running: Experiment, now: float) -> Results:
        self._count(running, now)
        counted = results(self._store, running, now)
        for arm, reason in broken_guardrails(running, counted).items():
            if running.status == "running":
                running = self._stop(running, arm, reason)
        return counted

    def _count(self, running: Experiment, now: float) -> None:
        with self._lock:
            answers, self._answers = self._answers, Counter()
        if answers:
            add_answers(self._store, running.name, answers)
        for _ in range(MAX_BATCHES):
            if not count_users(self._store, running, self._live.served.scale, now):
                break

    def _stop(
        self, running: Experiment, arm: str, reason: str, error: Exception | None = None
    ) -> Experiment:
        """Stop an arm automatically, and log it."""
        facts = {"experiment": running.name, "arm": arm, "reason": reason}
        log.error("an arm is stopped", extra={**facts, "problem": str(error or "")})
        try:
            stopped = stop(self._store, running.name, reason, arm=arm)
        except ExperimentConflict:  # another worker, or an operator, was quicker
            now = experiment_named(self._store, running.name)
            return replace(running, status="stopped") if now is None else now
        audit_log.note_by_itself("experiment", **facts)
        return stopped


def _without_model(running: Experiment, models: Mapping[str, Served]) -> Arm | None:
    """Return an arm that is not stopped and whose model is not among these; None where there is
    none.
    """
    for arm in running.arms:
        if arm.name not in running.stopped and arm.model not in models:
            return arm
    return None


def _if_running(experiment: Experiment) -> Experiment | None:
    return experiment if experiment.status == "running" else None


def _over(
    first: ArmSettings, service: ServiceSettings, then: ArmSettings | None = None
) -> ArmSettings:
    """Return the first value given of each setting: by `first`, by `then`, by the service. The
    filter is that of `first`, else of `then`, in addition to the service's own.
    """

    def first_given(name: str) -> float:
        for one in (first, then or ArmSettings()):
            if (value := getattr(one, name)) is not None:
                return float(value)
        return float(getattr(service, name, 0.0))

    only = first.filter if first.filter is not None or then is None else then.filter
    service_filter = service.filter
    both = f"({service_filter}) and ({only})" if service_filter and only else service_filter or only
    return ArmSettings(
        diversity=first_given("diversity"),
        explore=first_given("explore"),
        cold_share=first_given("cold_share"),
        filter=both,
    )

"""Measurements for the operator, repeated and cached: drift, reasons to retrain, outcomes of
slates.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, field, replace
from typing import cast

import polars as pl

from metarec.app.service.monitoring.alerts import Alert, Alerts, rule_of
from metarec.app.service.monitoring.metrics import Metrics
from metarec.app.service.scoring.live_model import LiveModel
from metarec.app.service.settings import ServiceSettings
from metarec.feedback.daily import Day, by_day
from metarec.feedback.drift import Drift, advise_retraining, measure_drift
from metarec.feedback.exposure import Exposure, measure_exposure, slates_with_answers
from metarec.feedback.forgetting import waiting_in_model
from metarec.feedback.outcomes import as_training_rows, join_outcomes
from metarec.feedback.store import tables
from metarec.feedback.store.event_store import Store

EVERY_SECONDS = 2.0
"""Least number of seconds between two measurements."""
MAX_TIME = 0.05
"""Largest share of a worker's time spent on measurements; over millions of events one takes
seconds.
"""
DAY = 86_400.0
MAX_SLATES, MAX_EVENTS = 10_000, 20_000
"""Numbers of latest slates and events measured, so that the time does not grow with traffic."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The latest measurements."""

    at: float = 0.0
    """Seconds since 1970."""
    drift: Drift | None = None
    reasons: list[str] = field(default_factory=list)
    """Reasons to retrain, in sentences."""
    outcomes: dict[str, float] = field(default_factory=dict)
    days: list[Day] = field(default_factory=list)
    """Slates of each of the last 14 days."""
    alerts: list[Alert] = field(default_factory=list)


class Monitor:
    """Measures the store repeatedly, less often the longer a measurement takes."""

    def __init__(
        self, settings: ServiceSettings, store: Store, live: LiveModel, metrics: Metrics
    ) -> None:
        self._store, self._live, self._metrics = store, live, metrics
        self.rule = rule_of(settings)
        """Thresholds of drift."""
        self._alerts = Alerts(settings, store, live, metrics)
        self._lock = threading.Lock()
        self._last = Measured()
        self._next = 0.0
        """Time of the next measurement, on the monotonic clock."""
        self._days: list[Day] = []
        self._next_days = 0.0
        self._exposing = threading.Lock()
        self._exposed: Exposure | None = None
        self._next_exposed = 0.0

    def look(self, now: float | None = None) -> Measured:
        """Return the latest measurements; new ones if those are too old, or as of `now` (seconds
        since 1970) if it is given.
        """
        with self._lock:
            began = time.monotonic()
            if now is not None or self._next <= began:
                self._last = self._measure(time.time() if now is None else now)
                took = time.monotonic() - began
                self._next = began + max(EVERY_SECONDS, took / MAX_TIME)
            return self._last

    def _measure(self, now: float) -> Measured:
        served = self._live.served
        trained = served.model.trained_on
        drift = self._drift(trained, served.model.new_from)
        forgotten = waiting_in_model(self._store)
        reasons = (
            advise_retraining(
                drift, trained_events=trained.height, forgotten=forgotten, rule=self.rule
            )
            if drift
            else []
        )
        for name, value in (asdict(drift) if drift else {}).items():
            self._metrics.drift.labels(name).set(value)
        return Measured(
            at=now,
            drift=drift,
            reasons=reasons,
            outcomes=self._outcomes(now),
            days=self._by_day(now),
            alerts=self._alerts.look(drift, now),
        )

    def exposure(self) -> Exposure:
        """Return how often items were shown lately; measured on request, and again once that is too
        old.

        Raises:
            StoreUnavailable: if the store does not answer.
        """
        with self._exposing:
            began = time.monotonic()
            if self._exposed is None or self._next_exposed <= began:
                scale = self._live.served.scale
                self._exposed = measure_exposure(self._store, scale, time.time())
                took = time.monotonic() - began
                self._next_exposed = began + max(EVERY_SECONDS, took / MAX_TIME)
            return self._exposed

    def _by_day(self, now: float) -> list[Day]:
        """Count the slates of the last 14 days, less often than other measurements, because there
        are many.
        """
        began = time.monotonic()
        if self._next_days <= began:
            self._days = by_day(self._store, self._live.served.scale, now)
            took = time.monotonic() - began
            self._next_days = began + max(EVERY_SECONDS, 5 * took / MAX_TIME)
        return self._days

    def _drift(self, trained: pl.DataFrame, since: float) -> Drift | None:
        """Measure drift on the latest events, without answers to experiments, because these show
        what the served model would not. `events` of the result counts all such events.
        """
        looked_at = self._store.as_frame(since=since, latest=MAX_EVENTS, in_experiments=False)
        events = as_training_rows(looked_at, self._live.served.scale)
        if not events.height or not trained.height:
            return None
        drift = measure_drift(trained, events)
        if looked_at.height < MAX_EVENTS:
            return drift
        return replace(drift, events=self._store.count_acts(since, in_experiments=False))

    def _outcomes(self, now: float) -> dict[str, float]:
        n_slates = self._store.count(tables.slates, now - DAY)
        if not n_slates:
            return {"slates": 0.0}
        slates, answers = slates_with_answers(
            self._store, now - DAY, max_slates=MAX_SLATES, max_events=MAX_EVENTS
        )
        joined = join_outcomes(slates, answers, self._live.served.scale)
        by_slate = joined.group_by("slate_id").agg(
            pl.col("outcome").max(), pl.col("n_support").first()
        )
        shares = {
            "liked_share": by_slate["outcome"].mean(),
            "liked_share_of_new_users": by_slate.filter(pl.col("n_support") < 5)["outcome"].mean(),
        }
        return {
            "slates": float(n_slates),
            "slates_measured": float(by_slate.height),
            # A share of no slates is left out
            **{name: cast("float", x) for name, x in shares.items() if x is not None},
        }

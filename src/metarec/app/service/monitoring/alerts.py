"""Alerts: signals beyond the thresholds of the settings."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from metarec.app.jobs import FAILED, LOST, RETRAINING, jobs_of
from metarec.app.service.monitoring.metrics import Counted, Metrics
from metarec.app.service.scoring.live_model import LiveModel
from metarec.app.service.settings import ServiceSettings
from metarec.feedback.drift import Drift, RetrainRule, crossed_marks
from metarec.feedback.retention import imported_at
from metarec.feedback.store import tables
from metarec.feedback.store.event_store import Store

WINDOW = 600.0
"""Seconds over which answers are counted."""
MIN_ANSWERS = 100
"""Smallest number of answers, or slates, from which a share is computed."""
DAY, HOUR = 86_400.0, 3_600.0
NAMES = (
    "errors",
    "slow_slates",
    "rows_waiting",
    "no_events",
    "old_model",
    "popularity_psi",
    "cold_item_share",
    "value_shift",
    "model_refused",
    "retraining_failed",
)


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One signal beyond its threshold."""

    name: str
    """One of `NAMES`."""
    sentence: str
    value: float
    mark: float
    since: float = 0.0
    """Time at which this worker first saw it, seconds since 1970."""


def rule_of(settings: ServiceSettings) -> RetrainRule:
    """Return the drift thresholds of the settings; they raise alerts and advise retraining."""
    return RetrainRule(
        psi_above=settings.alert_psi,
        cold_items_above=settings.alert_cold_items,
        value_shift_above=settings.alert_value_shift,
    )


class Alerts:
    """Alerts of one worker."""

    def __init__(
        self, settings: ServiceSettings, store: Store, live: LiveModel, metrics: Metrics
    ) -> None:
        self._settings, self._store, self._live = settings, store, live
        self._metrics = metrics
        self._counted: deque[tuple[float, Counted]] = deque([(time.monotonic(), metrics.counted())])
        self._since: dict[str, float] = {}

    def look(self, drift: Drift | None, now: float) -> list[Alert]:
        """Return the signals that are beyond their thresholds now, and set the metric of alerts.

        Args:
            drift: the latest measurement; None where there is none.
            now: seconds since 1970.

        Raises:
            StoreUnavailable: if the store does not answer.
        """
        raised = {
            alert.name: alert
            for alert in (
                *self._of_answers(),
                *self._of_store(now),
                *self._of_model(now),
                *self._of_drift(drift),
            )
        }
        self._since = {name: self._since.get(name, now) for name in raised}
        for name in NAMES:
            self._metrics.alerts.labels(name).set(float(name in raised))
        return [
            Alert(
                name=one.name,
                sentence=one.sentence,
                value=one.value,
                mark=one.mark,
                since=self._since[one.name],
            )
            for one in raised.values()
        ]

    def _of_answers(self) -> Iterator[Alert]:
        """Yield the alerts on the answers of the last 10 minutes, of all workers."""
        at, now = time.monotonic(), self._metrics.counted()
        while len(self._counted) > 1 and self._counted[1][0] <= at - WINDOW:
            self._counted.popleft()
        before = self._counted[0][1]
        self._counted.append((at, now))
        answers, mark = now.answers - before.answers, self._settings.alert_errors
        share = (now.failures - before.failures) / answers if answers > 0 else 0.0
        if answers >= MIN_ANSWERS and 0.0 < mark < share:
            message = f"{share:.1%} of the answers of the last 10 minutes failed (mark {mark:.1%})"
            yield Alert(name="errors", sentence=message, value=share, mark=mark)
        slowest, mark = slow_end(before, now), self._settings.alert_slate_seconds
        if 0.0 < mark <= slowest:  # the slates counted took longer than the edge
            message = (
                f"one in a hundred slates of the last 10 minutes took {slowest:g} seconds or more "
                f"(mark {mark:g})"
            )
            yield Alert(name="slow_slates", sentence=message, value=slowest, mark=mark)

    def _of_store(self, now: float) -> Iterator[Alert]:
        rows, mark = self._store.waiting, self._settings.alert_rows_waiting
        if 0 < mark < rows:
            message = f"{rows:,} rows wait to be written (mark {mark:,})"
            yield Alert(name="rows_waiting", sentence=message, value=rows, mark=mark)
        hours = self._settings.alert_quiet_hours
        if hours and self._is_quiet(now - hours * HOUR, now + self._settings.future_seconds):
            message = f"no event came in the last {hours:g} hours"
            yield Alert(name="no_events", sentence=message, value=hours, mark=hours)

    def _is_quiet(self, since: float, until: float) -> bool:
        """Return whether no event of this time is stored and none was imported in it, though there
        are others. Events from after `until` are of a clock that was ahead, and say nothing.
        """
        if self._store.count(tables.events, since, until):
            return False
        imported = imported_at(self._store)
        if imported is not None and since <= imported <= until:
            return False
        return self._store.count(tables.events, 0.0) > 0

    def _of_model(self, now: float) -> Iterator[Alert]:
        days, mark = (now - self._live.made_at) / DAY, self._settings.alert_model_days
        if 0.0 < mark < days:
            message = f"the serving model was made {days:.0f} days ago (mark {mark:g})"
            yield Alert(name="old_model", sentence=message, value=days, mark=mark)
        if self._live.refused:
            message = (
                f"the promoted model {self._live.refused} could not be loaded; "
                f"{self._live.serving} keeps serving"
            )
            yield Alert(name="model_refused", sentence=message, value=1.0, mark=0.0)
        rounds = [job for job in jobs_of(self._live.registry.folder) if job.kind == RETRAINING]
        if rounds and rounds[0].state in (FAILED, LOST):
            message = (
                f"the last retraining did not end well: {rounds[0].outcome or rounds[0].state}"
            )
            yield Alert(name="retraining_failed", sentence=message, value=1.0, mark=0.0)

    def _of_drift(self, drift: Drift | None) -> Iterator[Alert]:
        for one in crossed_marks(drift, rule_of(self._settings)) if drift else ():
            yield Alert(name=one.signal, sentence=one.sentence, value=one.value, mark=one.mark)


def slow_end(before: Counted, now: Counted) -> float:
    """Return a time in seconds that more than one slate in a hundred exceeded: the largest bucket
    edge that fewer than 99 in 100 stayed within; 0 with fewer than `MIN_ANSWERS` slates.
    """
    within = {
        edge: number - before.slates_within.get(edge, 0)
        for edge, number in sorted(now.slates_within.items())
    }
    total = within.get(float("inf"), 0)
    if total < MIN_ANSWERS:
        return 0.0
    return max((edge for edge, number in within.items() if number < 0.99 * total), default=0.0)

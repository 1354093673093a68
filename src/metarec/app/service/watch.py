"""What an operator looks at, measured now and then and kept: drift, reasons to retrain, outcomes of
what was shown.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, field

import polars as pl

from metarec.app.service.live import LiveModel
from metarec.app.service.meters import Meters
from metarec.feedback.drift import Drift, RetrainRule, advise_retraining, measure_drift
from metarec.feedback.forgetting import waiting_in_model
from metarec.feedback.outcomes import as_training_rows, join_outcomes
from metarec.feedback.store import Store

EVERY_SECONDS = 2.0
"""Between two looks, at least."""
MOST_TIME = 0.05
"""Share of a worker's time that looking may take: over millions of events one look takes seconds.
"""
DAY = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Watched:
    """The last look."""

    at: float = 0.0
    """Seconds since 1970."""
    drift: Drift | None = None
    reasons: list[str] = field(default_factory=list)
    """To retrain."""
    outcomes: dict[str, float] = field(default_factory=dict)


class Watch:
    """Looks at the store now and then, the more seldom the longer a look takes."""

    def __init__(
        self, store: Store, live: LiveModel, meters: Meters, rule: RetrainRule | None = None
    ) -> None:
        self._store, self._live, self._meters, self._rule = (
            store,
            live,
            meters,
            rule or RetrainRule(),
        )
        self._lock = threading.Lock()
        self._last = Watched()
        self._took = 0.0

    def look(self, now: float | None = None) -> Watched:
        """The last look, or a new one if that is too old."""
        now = time.time() if now is None else now
        with self._lock:
            if now - self._last.at >= max(EVERY_SECONDS, self._took / MOST_TIME):
                began = time.perf_counter()
                self._last = self._measure(now)
                self._took = time.perf_counter() - began
            return self._last

    def _measure(self, now: float) -> Watched:
        served = self._live.served
        trained = served.model.trained_on
        events = as_training_rows(
            self._store.as_frame(since=served.model.trained_until), served.scale
        )
        drift = measure_drift(trained, events) if events.height and trained.height else None
        forgotten = waiting_in_model(self._store)
        reasons = (
            advise_retraining(
                drift, trained_events=trained.height, forgotten=forgotten, rule=self._rule
            )
            if drift
            else []
        )
        for name, value in (asdict(drift) if drift else {}).items():
            self._meters.drift.labels(name).set(value)
        return Watched(at=now, drift=drift, reasons=reasons, outcomes=self._outcomes(now))

    def _outcomes(self, now: float) -> dict[str, float]:
        slates = self._store.slates(since=now - DAY)
        if not slates.height:
            return {"slates": 0.0}
        joined = join_outcomes(
            slates, self._store.as_frame(since=now - DAY), self._live.served.scale
        )
        by_slate = joined.group_by("slate_id").agg(pl.col("outcome").max(), pl.col("shots").first())
        newcomers = by_slate.filter(pl.col("shots") < 5)["outcome"].mean()
        return {
            "slates": float(slates.height),
            "liked_share": float(by_slate["outcome"].mean() or 0.0),  # type: ignore[arg-type]
            "liked_share_of_newcomers": float(newcomers or 0.0),  # type: ignore[arg-type]
        }  # polars types mean() as any literal

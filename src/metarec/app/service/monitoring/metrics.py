"""Prometheus metrics of one worker, or of all workers where a shared folder is set up before they
start.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of prometheus_client: each worker writes its numbers to this folder, and any
worker answers for all.
"""
PROBES = {"/healthz", "/readyz"}
"""Routes of supervisors, whose 503 ("not yet") does not count as a failure."""
SLATES = "/v1/recommendations"
_SIZES = (1, 2, 4, 8, 16, 32, 64)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Counts since the service started."""

    answers: int = 0
    failures: int = 0
    """Answers with status 500 or higher."""
    slates_within: dict[float, int] = field(default_factory=dict)
    """Time in seconds -> number of slates answered within it."""


class Metrics:
    """The metrics of the service. Labels are routes and outcomes, never users."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        counter = partial(Counter, registry=self._registry)
        gauge = partial(Gauge, registry=self._registry)
        histogram = partial(Histogram, registry=self._registry)
        self.requests = counter("metarec_requests", "Requests answered.", ["route", "status"])
        self.seconds = histogram(
            "metarec_request_seconds", "Time to answer.", ["route"], buckets=_SECONDS
        )
        self.batch = histogram("metarec_batch_size", "Requests scored together.", buckets=_SIZES)
        self.events = counter("metarec_events", "Events received.", ["outcome"])
        self.impressions_lost = counter(
            "metarec_impressions_lost", "Slates whose impression could not be stored."
        )
        self.swaps = counter(
            "metarec_model_swaps", "Times this service took up another model.", ["outcome"]
        )
        self.shards_missed = counter(
            "metarec_shards_missed",
            "Times a shard of the catalog did not answer and its items were scored here (Ray).",
        )
        self.items_added = counter(
            "metarec_items_taken_up", "Items added or changed while serving."
        )
        self.waiting = gauge(
            "metarec_store_rows_waiting", "Rows queued to be written.", multiprocess_mode="livesum"
        )
        self.drift = gauge(
            "metarec_drift",
            "How recent events differ from those trained on.",
            ["signal"],
            multiprocess_mode="mostrecent",
        )
        self.alerts = gauge(
            "metarec_alert",
            "1 where an alert is raised, as /v1/status tells it.",
            ["alert"],
            multiprocess_mode="livemax",
        )
        self._of_answer: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one answer. The counters of each route and status are looked up once."""
        counters = self._of_answer.get((route, status))
        if counters is None:  # few in all: routes are templates, and there are few statuses
            counters = self._of_answer[route, status] = (
                self.requests.labels(route, str(status)),
                self.seconds.labels(route),
            )
        counters[0].inc()
        counters[1].observe(seconds)

    def page(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._of_all_workers())

    def counted(self) -> Counted:
        """Return the answers counted so far, of all workers where they share a folder."""
        answers = failures = 0
        buckets: dict[float, int] = {}
        for family in self._of_all_workers().collect():
            for name, labels, value, *_ in family.samples:
                if name == "metarec_requests_total" and labels["route"] not in PROBES:
                    answers += int(value)
                    failures += int(value) if labels["status"].startswith("5") else 0
                elif name == "metarec_request_seconds_bucket" and labels["route"] == SLATES:
                    buckets[float(labels["le"])] = int(value)
        return Counted(answers=answers, failures=failures, slates_within=buckets)

    def _of_all_workers(self) -> CollectorRegistry:
        if SHARED_FOLDER not in os.environ:
            return self._registry
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return together

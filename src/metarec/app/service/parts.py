"""The parts of one running service, which every route holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from metarec.app.service.conversion.requests import ScoreRequest
from metarec.app.service.monitoring.metrics import Metrics
from metarec.app.service.monitoring.monitor import Monitor
from metarec.app.service.processes.retraining import StartedHere
from metarec.app.service.scoring.arms import Arms
from metarec.app.service.scoring.batching import Batcher
from metarec.app.service.scoring.live_model import LiveModel
from metarec.app.service.scoring.thread_pools import Pools
from metarec.app.service.security.authentication import ApiKeys
from metarec.app.service.settings import ServiceSettings
from metarec.feedback.store.event_store import Store
from metarec.recommendation.slate import Slate

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Service:
    """The parts of one running service."""

    settings: ServiceSettings
    store: Store
    live: LiveModel
    metrics: Metrics
    keys: ApiKeys
    scorer: Batcher[ScoreRequest, Slate]
    pools: Pools
    monitor: Monitor
    arms: Arms
    started_here: StartedHere
    answer: Callable[[Sequence[ScoreRequest], np.random.Generator], list[Slate]]
    """Slates for several requests at once, scored here or by shards."""
    forgotten_at: dict[str, float] = field(default_factory=dict)
    """Users forgotten here a moment ago, and when: slates asked for before are not remembered."""

    async def read(self, fetch: Callable[[], T]) -> T:
        """Read from the store: at once from a local file, in a thread from a server, whose answers
        the loop must not wait for.
        """
        return fetch() if self.store.is_sqlite else await asyncio.to_thread(fetch)

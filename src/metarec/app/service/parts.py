"""`Service`: the objects of one running service that its routes share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from metarec.app.service.conversion.requests import ScoreRequest
from metarec.app.service.monitoring.metrics import Metrics
from metarec.app.service.monitoring.monitor import Monitor
from metarec.app.service.processes.retraining import LocalRetrainings
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
    """The objects of one running service that its routes share."""

    settings: ServiceSettings
    store: Store
    live: LiveModel
    metrics: Metrics
    keys: ApiKeys
    scorer: Batcher[ScoreRequest, Slate]
    pools: Pools
    monitor: Monitor
    arms: Arms
    started_here: LocalRetrainings
    answer: Callable[[Sequence[ScoreRequest], np.random.Generator], list[Slate]]
    """Makes the slates of several requests at once, with scores computed here or by shards."""
    forgotten_at: dict[str, float] = field(default_factory=dict)
    """User id -> time of forgetting in seconds since 1970, of users forgotten here lately: a slate
    requested before that time is not stored.
    """

    async def read(self, fetch: Callable[[], T]) -> T:
        """Read from the store: directly where it is a local file, in a thread where it is a server,
        so that the event loop does not wait for the server.
        """
        return fetch() if self.store.is_sqlite else await asyncio.to_thread(fetch)

"""Both sides of a catalog in shards: processes that score one slice each, and the worker that calls
them and merges their offers.

No slate depends on the state of the shards. A shard that died, does not answer in time or has
another version of the model is counted, and the worker, which has the model too, scores its slice
itself; the shard is called again some seconds later.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from metarec.app.service.monitoring.metrics import Metrics
from metarec.app.service.processes.set_up import set_up_worker
from metarec.app.service.scoring.live_model import LiveModel, Served, warm_text
from metarec.app.service.settings import ServiceSettings
from metarec.feedback import open_store
from metarec.feedback.registry import Registry
from metarec.recommendation.candidates.some_items import Sums
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.pipeline import FirstStages
from metarec.recommendation.ranking import Ranking, SlateOptions
from metarec.recommendation.shards import Offer, Shard, ShardRequest, merged
from metarec.recommendation.slate import Request

log = logging.getLogger("metarec.service")
ANSWER_SECONDS = 5.0
"""Seconds that a shard has to answer; after them the worker scores its slice itself."""
LOOK_AGAIN = 3.0
"""Seconds for which a shard that did not answer is not called."""
PROBE_SECONDS = 1.0
"""Seconds to answer for a shard that did not answer the last time."""
KEPT = 64
"""Number of questions whose scores a shard keeps until their second call."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Requests for which all shards are called."""

    token: str
    """Id of the question."""
    version: str
    """Version of the model that must score."""
    items_version: int
    """Version of the store's items that the model must have."""
    requests: Sequence[Request]

    @classmethod
    def of(cls, served: Served, requests: Sequence[Request]) -> Question:
        """Create a question for the served model."""
        return cls(
            token=secrets.token_hex(8),
            version=served.model.version,
            items_version=served.items_version,
            requests=list(requests),
        )


class ShardServer:
    """A process that scores one slice of the catalog; it follows the current model and the items of
    the store.
    """

    def __init__(self, settings: str, number: int, n_shards: int) -> None:
        """Load the model, with its text encoder, so that no request waits for it.

        Args:
            settings: settings of the service, as JSON.
            number: number of the slice, from 0.
            n_shards: number of slices.
        """
        shard_settings = ServiceSettings.from_json(settings)
        set_up_worker(shard_settings)
        self._number, self._n_shards, self._every = number, n_shards, shard_settings.watch_seconds
        self._live = LiveModel(
            Registry(shard_settings.model),
            open_store(shard_settings.store_url),
            shard_settings.filter,
        )
        warm_text(self._live.served.model)
        self._asked: OrderedDict[str, ShardRequest] = OrderedDict()
        threading.Thread(target=self._follow, name="metarec-follow", daemon=True).start()

    def sums(self, question: Question) -> Sums | None:
        """Return the slice's share of the sums over the catalog; None where this shard has another
        model.
        """
        scored = self._question(question)
        return None if scored is None else scored.sums

    def offers(self, question: Question, options: SlateOptions, sums: Sums) -> list[Offer] | None:
        """Return the candidates of the slice for each user; None where this shard has another
        model.
        """
        scored = self._question(question)
        return None if scored is None else scored.offers(options, sums)

    def _question(self, question: Question) -> ShardRequest | None:
        """Return the scored slice; scored again where another process of this shard had the first
        call.
        """
        scored = self._asked.get(question.token)
        if scored is not None:
            return scored
        served = self._live.served
        if (served.model.version, served.items_version) != (
            question.version,
            question.items_version,
        ):
            return None
        scored_anew = Shard.of(served.model, self._number, self._n_shards).with_requests(
            question.requests
        )
        self._asked[question.token] = scored_anew
        while len(self._asked) > KEPT:
            self._asked.popitem(last=False)
        return scored_anew

    def _follow(self) -> None:
        """Load new items and promoted models, as workers do."""
        while True:
            time.sleep(self._every)
            try:
                self._live.refresh_items()
                self._live.refresh_model()
            except Exception as error:  # such as an unavailable store: tried again
                log.error("taking up changes failed", extra={"kind": type(error).__name__})


class ShardCalls(Protocol):
    """A shard, as the process that calls it sees it."""

    def call(self, method: str, *args: Any) -> Callable[[float], Any]:
        """Start a call and return a function that waits for its result, at most the given seconds.

        Raises:
            ShardAway: by the returned function, if there is no result in time.
        """
        ...


class ShardAway(Exception):
    """A shard has died or does not answer."""


class OtherShards:
    """Calls the shards; the slices of those that do not answer are scored in this process."""

    def __init__(self, shards: Sequence[ShardCalls], metrics: Metrics) -> None:
        self._shards, self._metrics = shards, metrics
        self._away_until = [0.0] * len(shards)
        self._was_away = [False] * len(shards)

    def stages_of(self, served: Served) -> FirstStages:
        """Return the first stages of a slate, computed by shards of the served model."""
        return partial(self._ranking, served)

    def _ranking(
        self,
        served: Served,
        model: FittedModel,
        requests: Sequence[Request],
        options: SlateOptions,
    ) -> Ranking:
        n, question = len(self._shards), Question.of(served, requests)
        here: dict[int, ShardRequest] = {}

        def own(number: int) -> ShardRequest:
            if number not in here:
                self._metrics.shards_missed.inc()
                here[number] = Shard.of(model, number, n).with_requests(requests)
            return here[number]

        sums_of_shards = self._each("sums", question)
        sums = Sums.of_all(
            [own(at).sums if one is None else one for at, one in enumerate(sums_of_shards)]
        )
        offered = self._each("offers", question, options, sums, but=here)
        offers = [
            own(at).offers(options, sums) if one is None else one for at, one in enumerate(offered)
        ]
        return merged(model, requests, options, offers)

    def _each(self, method: str, *args: Any, but: Sequence[int] | dict[int, Any] = ()) -> list[Any]:
        """Return the result of each shard, all called at the same time; None for those that do not
        answer.
        """
        now = time.monotonic()
        begun = {
            number: shard.call(method, *args)
            for number, shard in enumerate(self._shards)
            if number not in but and self._away_until[number] <= now
        }
        return [
            self._result(number, begun[number]) if number in begun else None
            for number in range(len(self._shards))
        ]

    def _result(self, number: int, result: Callable[[float], Any]) -> Any:
        patience = PROBE_SECONDS if self._was_away[number] else ANSWER_SECONDS
        try:
            value = result(patience)
        except ShardAway as error:
            log.warning(
                "a shard does not answer", extra={"shard": number, "problem": str(error)[:200]}
            )
            self._away_until[number] = time.monotonic() + LOOK_AGAIN
            self._was_away[number] = True
            return None
        self._was_away[number] = False
        return value

"""Answers a request for a slate: reads the user, finds their arm, computes the slate, builds the
answer and stores the slate as shown.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import HTTPException

from metarec.app.service import schemas
from metarec.app.service.conversion.events import unknown_kinds
from metarec.app.service.conversion.explanations import short_reasons
from metarec.app.service.conversion.requests import (
    Known,
    ScoreRequest,
    older_items,
    options_of,
    request_from,
    request_of,
)
from metarec.app.service.parts import Service
from metarec.app.service.scoring.arms import ArmAssignment
from metarec.app.service.scoring.live_model import Served
from metarec.app.service.scoring.request_cost import IN_LOOP, cost_of, pieces, weight_of
from metarec.feedback.events import Exposure, Impression, StoreUnavailable
from metarec.recommendation.notes import query_words
from metarec.recommendation.slate import Request, Slate

log = logging.getLogger("metarec.service")
LOOK_AGAIN = 1.0
"""Seconds for which slates are made without the store after it did not answer."""
WITHOUT_STORE = (
    "what is kept of this user cannot be read just now; the slate is made from what was sent along"
)
IS_REMEMBERED: ContextVar[bool] = ContextVar("IS_REMEMBERED", default=True)
"""Whether slates made in this context are stored as shown."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A request for a slate that was read and checked."""

    body: schemas.RecommendationRequest
    by: ArmAssignment
    score_request: ScoreRequest
    cost: float
    """In units of one plain slate."""
    began: float
    """Time of the request, seconds since 1970."""
    without_store: bool
    other_form: str | None
    """The user's id in another Unicode form of which there are events, where it has none itself."""

    @property
    def weight(self) -> float:
        """Cost within a batch, in units of one plain slate."""
        return weight_of(self.cost, len(self.score_request.request.history))


class SlateAnswers:
    """Answers the requests for slates of one service."""

    def __init__(self, service: Service) -> None:
        """Create it for a service."""
        self.service, self._asked_again_at = service, 0.0

    async def as_request(self, body: schemas.UserInput, served: Served, **more: Any) -> Request:
        """Convert a body into a request of the model, with what the store has of the user."""
        last = self.service.settings.history_length
        if body.user_id is None:
            return request_of(body, served, None, last, **more)
        known = await self.service.read(lambda: Known.of(body, served, self.service.store, last))
        is_long = known.has_older(body, served, last)
        older = (
            await asyncio.to_thread(older_items, body, served, self.service.store)
            if is_long
            else None
        )
        return request_from(body, served, known, older, last, **more)

    async def _known_or_not(
        self, body: schemas.UserInput, served: Served, **more: Any
    ) -> tuple[Request, bool]:
        """Return the request, and whether it was made without an unavailable store. After a failure
        the store is not tried again for `LOOK_AGAIN` seconds.
        """
        if body.user_id is None or time.monotonic() >= self._asked_again_at:
            try:
                return await self.as_request(body, served, **more), False
            except StoreUnavailable as error:
                self._asked_again_at = time.monotonic() + LOOK_AGAIN
                log.warning("slates are made without the store", extra={"problem": str(error)})
        return request_of(body, served, None, self.service.settings.history_length, **more), True

    async def placed(self, user_id: str | None) -> ArmAssignment:
        """Return the model and settings for a user's slate. Only slates that are stored as shown
        belong to an experiment.
        """
        arms = self.service.arms
        if arms.running is None or not self.service.settings.log_slates or not IS_REMEMBERED.get():
            return arms.outside()
        return await self.service.read(lambda: arms.place(user_id))

    async def prepared(self, body: schemas.RecommendationRequest) -> Prepared:
        """Read a request with the arm of its user; a failure counts for the arm."""
        by = await self.placed(body.user_id)
        try:
            return await self._prepared_by(by, body)
        except Exception:  # counted for the arm and raised again, whatever it was
            self.service.arms.answered(by, None)
            raise

    async def _prepared_by(
        self, by: ArmAssignment, body: schemas.RecommendationRequest
    ) -> Prepared:
        options = options_of(body, by.settings)
        cost = cost_of(body, options.explore, self.service.settings.max_cost)
        if body.offset and options.explore:
            raise HTTPException(
                422, "body.offset: pages of an explored slate differ; ask with explore 0"
            )
        began, served = time.time(), by.served
        request, without_store = await self._known_or_not(
            body,
            served,
            exclude=body.exclude,
            allow=body.allow,
            within_km=body.within_km,
            basket=body.basket,
        )
        if query_words(request, served.model.ensemble.scorers):
            await self.service.live.warmed()
        return Prepared(
            body=body,
            by=by,
            score_request=ScoreRequest(served, request, options),
            cost=cost,
            began=began,
            without_store=without_store,
            other_form=None if without_store else await self._other_form(body.user_id, request),
        )

    async def _other_form(self, user_id: str | None, request: Request) -> str | None:
        """Return the user's id in another Unicode form, where events lie under that one alone."""
        if user_id is None or user_id.isascii() or request.history:
            return None
        return await self.service.read(lambda: self.service.store.other_form_of(user_id))

    async def scored(self, prepared: Prepared) -> Slate:
        """Compute the slate: in a batch with others or, where it is costly, in a thread."""
        if prepared.cost <= IN_LOOP:
            return await self.service.scorer.answer(prepared.score_request)
        rng = np.random.default_rng()
        return (
            await self.service.pools.heavy.run(self.service.answer, [prepared.score_request], rng)
        )[0]

    async def in_pieces(self, prepared: Sequence[Prepared]) -> list[Slate]:
        """Compute the slates of a batch piece by piece, so that other requests are answered in
        between.
        """
        slates: list[Slate] = []
        for piece in pieces([one.weight for one in prepared]):
            slates += await asyncio.gather(*(self.scored(one) for one in prepared[piece]))
        return slates

    async def slate_for(self, prepared: Prepared, slate: Awaitable[Slate]) -> dict[str, Any]:
        """Return the answer once the slate is computed; the time it took counts for the arm."""
        started = time.perf_counter()
        try:
            answer = await self._as_json(prepared, await slate)
        except Exception:  # counted for the arm and raised again, whatever it was
            self.service.arms.answered(prepared.by, None)
            raise
        self.service.arms.answered(prepared.by, time.perf_counter() - started)
        return answer

    async def _as_json(self, prepared: Prepared, slate: Slate) -> dict[str, Any]:
        body, by, began = prepared.body, prepared.by, prepared.began
        served, request = prepared.score_request.served, prepared.score_request.request
        slate = slate.after(body.offset) if body.offset else slate
        slate_id = secrets.token_hex(16)
        if body.user_id is not None and self.service.settings.log_slates and IS_REMEMBERED.get():
            exposure = by.exposure(slate.n_known, began)
            _remember(self.service, slate_id, body.user_id, slate, began, exposure)
        reasons = (
            await self.service.pools.heavy.run(short_reasons, served, request, slate)
            if body.explain
            else []
        )
        answer = {
            "slate_id": slate_id,
            "model_version": slate.model_version,
            "n_known": slate.n_known,
            "items": _items_shown(served, slate, reasons),
            "notes": _notes(prepared, slate),
            "without_store": prepared.without_store,
            "arm": by.arm or None,
        }
        return _with_fields(served, body.fields, answer)


def _notes(prepared: Prepared, slate: Slate) -> list[str]:
    """Return the notes of the slate, on quotas without items, on ignored events, on an id in
    another Unicode form, and on an unavailable store.
    """
    body, served = prepared.body, prepared.score_request.served
    notes = list(slate.notes)
    if (other := prepared.other_form) is not None:
        notes.append(
            f"user {body.user_id!r} has no events, but the same id in another Unicode form has; "
            f"send {ascii(other)}, or merge the two: POST /v1/users/{{id}}/merge"
        )
    notes += [
        f"no item is of the category {category!r}, so its quota changes nothing"
        for category in (served.absent(list(body.quota)) if body.quota else ())
    ]
    notes += _unsaid(body, served)
    return [*notes, WITHOUT_STORE] if prepared.without_store else notes


def _remember(
    service: Service,
    slate_id: str,
    user_id: str,
    slate: Slate,
    began: float,
    exposure: Exposure | None,
) -> None:
    """Queue an impression, with the time of its request. The answer does not wait for it, and one
    that cannot be stored is counted.
    """
    if began <= service.forgotten_at.get(user_id, 0.0):
        return
    impression = Impression(
        slate_id=slate_id,
        user_id=user_id,
        item_ids=slate.item_ids,
        scores=slate.scores.tolist(),
        propensity=slate.propensity.tolist(),
        model_version=slate.model_version,
        timestamp=began,
        n_support=slate.n_known,
        exposure=exposure,
    )

    def counted(done: Future[int]) -> None:
        if done.cancelled() or done.exception() is not None:
            service.metrics.impressions_lost.inc()

    try:
        service.store.show([impression]).add_done_callback(counted)
    except StoreUnavailable:
        service.metrics.impressions_lost.inc()


def _with_fields(served: Served, fields: list[str], answer: dict[str, Any]) -> dict[str, Any]:
    """Add the requested columns to the items of an answer."""
    if not fields:
        return answer
    rows = served.model.vocabulary.indexes(item["item_id"] for item in answer["items"]).tolist()
    for item, attributes in zip(answer["items"], served.attributes_of(rows, fields), strict=True):
        item["attributes"] = attributes
    return answer


def _unsaid(body: schemas.UserInput, served: Served) -> list[str]:
    """Return a sentence on events sent along whose kind says nothing about preference, and one on
    each unknown kind.
    """
    named = [event.kind for event in body.events]
    return [*_silent(named, served), *unknown_kinds(named, served.scale.kinds)]


def _silent(named: list[str], served: Served) -> list[str]:
    preference_kinds = served.scale.preference_kinds(named)
    silent = [kind for kind in named if kind not in preference_kinds]
    if not silent:
        return []
    return [
        f"{len(silent)} of the events sent along say nothing and were ignored: "
        f"{', '.join(map(repr, dict.fromkeys(silent)))} is neither positive nor negative for this "
        "model"
    ]


def _items_shown(served: Served, slate: Slate, reasons: list[list[str]]) -> list[dict[str, Any]]:
    """Return the items of a slate, with their reasons where these were requested."""
    nothing = [None] * len(slate.item_ids)
    predicted = nothing if slate.predicted is None else slate.predicted.tolist()
    intervals = nothing if slate.interval is None else slate.interval.tolist()
    items: list[dict[str, Any]] = [
        {
            "item_id": item_id,
            "title": title,
            "score": score,
            "uncertainty": uncertainty,
            "predicted": value,
            "interval": interval,
            "propensity": chance,
            "reasons": None,
        }
        for item_id, title, score, uncertainty, value, interval, chance in zip(
            slate.item_ids,
            served.titles_of(slate.item_ids),
            slate.scores.tolist(),
            slate.uncertainty.tolist(),
            predicted,
            intervals,
            slate.propensity.tolist(),
            strict=True,
        )
    ]
    for item, reason in zip(items, reasons, strict=False):
        item["reasons"] = reason
    return items

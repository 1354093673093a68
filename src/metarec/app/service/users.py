"""Routes for users: slates, events, explanations, what to ask, what is kept, forgetting."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Path, Query

from metarec.app.service import schemas
from metarec.app.service.arms import Placed
from metarec.app.service.catalog import Stated, described
from metarec.app.service.event_conversion import as_events
from metarec.app.service.http import IdRoute, Json, Service, answers
from metarec.app.service.live_model import Served
from metarec.app.service.reasons import explain_one, short_reasons
from metarec.app.service.request_conversion import (
    Known,
    ScoreRequest,
    answer_all,
    older_items,
    options_of,
    request_from,
    request_of,
    stated_user,
)
from metarec.app.service.request_cost import IN_LOOP, check_batch, cost_of, pieces, weight_of
from metarec.feedback.events import EventConflict, Exposure, Impression, StoreUnavailable
from metarec.feedback.forgetting import forget
from metarec.recommendation.notes import words_asked
from metarec.recommendation.slate import Request, Slate

log = logging.getLogger("metarec.service")
LOOK_AGAIN = 1.0
"""Seconds for which slates do without a store that did not answer, before it is asked again."""
FORGOTTEN_SECONDS = 600.0
"""A slate takes less."""
WITHOUT_STORE = (
    "what is kept of this user cannot be read just now; the slate is made from what was sent along"
)
IS_REMEMBERED: ContextVar[bool] = ContextVar("IS_REMEMBERED", default=True)
"""Whether slates made here are kept as shown."""
UserId = Annotated[schemas.IdText, Path(description="The user's id; write a `/` in it as %2F.")]


def user_routes(service: Service) -> APIRouter:
    """Routes of this file."""
    router = APIRouter(route_class=IdRoute)
    read, write, admin = (service.keys.needs(role) for role in ("read", "write", "admin"))
    store, settings, metrics = service.store, service.settings, service.metrics
    asked_again_at = 0.0

    async def as_request(body: schemas.UserInput, served: Served, **more: Any) -> Request:
        last = settings.history_length
        if body.user_id is None:
            return request_of(body, served, None, last, **more)
        known = await service.read(lambda: Known.of(body, served, store, last))
        is_long = known.has_older(body, served, last)
        older = await asyncio.to_thread(older_items, body, served, store) if is_long else None
        return request_from(body, served, known, older, last, **more)

    async def known_or_not(
        body: schemas.UserInput, served: Served, **more: Any
    ) -> tuple[Request, bool]:
        """The request, and whether it had to be made without a store that is away; for a while
        nobody waits for it again.
        """
        nonlocal asked_again_at
        if body.user_id is None or time.monotonic() >= asked_again_at:
            try:
                return await as_request(body, served, **more), False
            except StoreUnavailable as error:
                asked_again_at = time.monotonic() + LOOK_AGAIN
                log.warning("slates are made without the store", extra={"problem": str(error)})
        return request_of(body, served, None, settings.history_length, **more), True

    async def placed(user_id: str | None) -> Placed:
        """By what a user's slate is made; only what is remembered belongs to an experiment."""
        arms = service.arms
        if arms.running is None or not settings.log_slates or not IS_REMEMBERED.get():
            return arms.outside()
        return await service.read(lambda: arms.place(user_id))

    async def prepared(body: schemas.RecommendationRequest) -> _Prepared:
        by = await placed(body.user_id)
        try:
            return await prepared_by(by, body)
        except Exception:  # whatever it was, the control has its share of such
            service.arms.answered(by, None)
            raise

    async def prepared_by(by: Placed, body: schemas.RecommendationRequest) -> _Prepared:
        options = options_of(body, by.settings)
        cost = cost_of(body, options.explore, settings.max_cost)
        if body.offset and options.explore:
            raise HTTPException(
                422, "body.offset: pages of an explored slate differ; ask with explore 0"
            )
        began, served = time.time(), by.served
        request, without_store = await known_or_not(
            body,
            served,
            exclude=body.exclude,
            allow=body.allow,
            within_km=body.within_km,
            basket=body.basket,
        )
        if words_asked(request, served.model.ensemble.scorers):
            await service.live.warmed()
        return _Prepared(
            body=body,
            by=by,
            ask=ScoreRequest(served, request, options),
            cost=cost,
            began=began,
            without_store=without_store,
        )

    async def scored(asked: _Prepared) -> Slate:
        if asked.cost <= IN_LOOP:
            return await service.scorer.ask(asked.ask)
        rng = np.random.default_rng()
        return (await service.pools.heavy.run(answer_all, [asked.ask], rng))[0]

    async def in_pieces(asked: Sequence[_Prepared]) -> list[Slate]:
        """Slates of a batch; between its pieces others have theirs."""
        slates: list[Slate] = []
        for piece in pieces([one.weight for one in asked]):
            slates += await asyncio.gather(*(scored(one) for one in asked[piece]))
        return slates

    async def slate_for(asked: _Prepared, slate: Awaitable[Slate]) -> dict[str, Any]:
        started = time.perf_counter()
        try:
            answer = await told(asked, await slate)
        except Exception:
            service.arms.answered(asked.by, None)
            raise
        service.arms.answered(asked.by, time.perf_counter() - started)
        return answer

    async def told(asked: _Prepared, slate: Slate) -> dict[str, Any]:
        body, by, began = asked.body, asked.by, asked.began
        served, request = asked.ask.served, asked.ask.request
        slate = slate.after(body.offset) if body.offset else slate
        slate_id = secrets.token_hex(16)
        if body.user_id is not None and settings.log_slates and IS_REMEMBERED.get():
            shots = served.known(request)
            exposure = by.exposure(shots, began)
            _remember(service, slate_id, body.user_id, slate, shots, began, exposure)
        reasons = (
            await service.pools.heavy.run(short_reasons, served, request, slate)
            if body.explain
            else None
        )
        notes = (
            [*slate.notes, *_unheeded(body, served, slate, request)]
            if body.pin or body.quota or not slate.item_ids
            else slate.notes
        )
        notes = [*notes, *_unsaid(body, served)]
        return _with_fields(
            served,
            body.fields,
            _shown(
                served,
                slate_id,
                slate,
                served.known(request),
                reasons,
                notes,
                without_store=asked.without_store,
            )
            | {"arm": by.arm or None},
        )

    @router.post(
        "/v1/recommendations",
        tags=["users"],
        dependencies=read,
        summary="A slate for one user",
        **answers(schemas.Recommendations, 501, 503),
    )
    async def recommend(body: schemas.RecommendationRequest) -> Json:
        asked = await prepared(body)
        return Json(await slate_for(asked, scored(asked)))

    @router.post(
        "/v1/recommendations/batch",
        tags=["users"],
        dependencies=read,
        summary="Slates for several users",
        **answers(schemas.SlateBatch, 501, 503),
    )
    async def batch(body: schemas.RecommendationBatch) -> Json:
        asked = [await prepared(one) for one in body.requests]
        check_batch([one.weight for one in asked], settings.max_cost)
        slates = asyncio.ensure_future(in_pieces(asked))
        answers = (slate_for(one, _at(slates, place)) for place, one in enumerate(asked))
        return Json({"slates": await asyncio.gather(*answers)})

    @router.post(
        "/v1/events",
        tags=["users"],
        dependencies=write,
        summary="Store events; 200 means they are on disk",
        **answers(schemas.EventsStored, 409, 503),
    )
    async def append(body: schemas.EventBatch) -> Json:
        events = as_events(
            body,
            service.live.served.scale.kinds,
            now=time.time(),
            future_seconds=settings.future_seconds,
        )
        try:
            done = await asyncio.wrap_future(store.append(events, strict=True))
        except EventConflict as error:
            raise HTTPException(409, str(error)) from error
        metrics.events.labels("accepted").inc(done.accepted)
        metrics.events.labels("duplicate").inc(done.duplicates)
        vocabulary = service.live.served.model.vocabulary
        return Json(
            {
                "accepted": done.accepted,
                "duplicates": done.duplicates,
                "unknown_items": sum(
                    e.query is None and e.item_id not in vocabulary for e in events
                ),
                **({"forgotten": done.forgotten} if done.forgotten else {}),
            }
        )

    @router.post(
        "/v1/explanations",
        tags=["users"],
        dependencies=read,
        summary="Why an item stands where it stands for a user",
        **answers(dict[str, Any], 404, 501, 503),
    )
    async def explain(body: schemas.ExplanationRequest) -> Json:
        served = (await placed(body.user_id)).served
        if served.row_of(body.item_id) < 0:
            raise HTTPException(
                404, f"there is no item {body.item_id!r}; add it with PUT /v1/items/{{id}}"
            )
        request = await as_request(body, served)
        return Json(
            await service.pools.heavy.run(explain_one, served, request, body.item_id, body.k)
        )

    @router.get(
        "/v1/onboarding",
        tags=["users"],
        dependencies=read,
        summary="What to ask a new user, given the answers so far",
        **answers(schemas.Questions, 503),
    )
    async def onboarding(
        user_id: Annotated[schemas.IdText | None, Query()] = None,
        # FastAPI copies it
        like: Annotated[list[schemas.IdText], Query(max_length=100)] = [],  # noqa: B006
        dislike: Annotated[list[schemas.IdText], Query(max_length=100)] = [],  # noqa: B006
        skip: Annotated[
            list[schemas.IdText], Query(max_length=1000, description="Items not to ask about.")
        ] = [],  # noqa: B006
        k: Annotated[int, Query(ge=1, le=50)] = 5,
        profile: Stated = [],  # noqa: B006
    ) -> Json:
        served = service.live.served
        said = [
            schemas.HistoryEvent(item_id=i, kind=kind)
            for kind, ids in (("like", like), ("dislike", dislike))
            for i in ids
        ]
        request = await as_request(stated_user(user_id, profile, history=said), served)
        hidden = np.flatnonzero(~served.passes).tolist()
        asked = {*skip, *like, *dislike, *served.model.vocabulary.names(hidden)}
        chosen = await service.pools.heavy.run(
            lambda: served.model.questions([request], k, exclude=[sorted(asked)])
        )
        rows = [int(row) for row in chosen.items[0] if row >= 0]
        items = [
            {**item, "worth": float(worth)}
            for item, worth in zip(described(served, rows), chosen.worth[0], strict=False)
        ]
        notes = served.model.policy_notes(request, rows)
        return Json({"items": items, "notes": notes, "model_version": served.model.version})

    @router.get(
        "/v1/users",
        tags=["users"],
        dependencies=admin,
        summary="Users of whom events came lately",
        **answers(schemas.RecentUsers, 503),
    )
    async def recent(k: Annotated[int, Query(ge=1, le=200)] = 20) -> Json:
        found = await service.read(lambda: store.recent_users(k))
        return Json(
            {"users": [{"user_id": user, "events": n, "last": at} for user, n, at in found]}
        )

    @router.get(
        "/v1/users/{user_id:id}",
        tags=["users"],
        dependencies=read,
        summary="What is kept of a user",
        **answers(schemas.User, 404, 503),
    )
    async def user(user_id: UserId, last: Annotated[int, Query(ge=1, le=1000)] = 100) -> Json:
        kept = await service.read(lambda: _kept(service, user_id, last))
        if not any(value for name, value in kept.items() if name != "user_id"):
            raise HTTPException(404, "nothing is kept of this user")
        return Json(kept)

    @router.put(
        "/v1/users/{user_id:id}",
        tags=["users"],
        dependencies=write,
        summary="Set a user's attributes; the answer is what is kept of them",
        **answers(schemas.User, 503),
    )
    async def profile(user_id: UserId, body: schemas.Profile) -> Json:
        service.live.served.model.policy_check.refuse_misspelled(body.profile)
        await asyncio.wrap_future(store.put_profile(user_id, body.profile))
        return Json(await service.read(lambda: _kept(service, user_id, 100)))

    @router.delete(
        "/v1/users/{user_id:id}",
        tags=["users"],
        dependencies=admin,
        summary="Forget a user",
        **answers(schemas.Forgotten, 503),
    )
    async def delete(user_id: UserId) -> Json:
        service.forgotten_at[user_id] = math.inf  # until then no slate of theirs is remembered
        try:
            receipt = await asyncio.to_thread(
                forget, store, user_id, models=service.live.registry, data=settings.data
            )
        finally:
            note_forgotten(service, user_id)
        return Json(asdict(receipt))

    return router


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """A request for a slate that was read and may be answered."""

    body: schemas.RecommendationRequest
    by: Placed
    ask: ScoreRequest
    cost: float
    """Plain slates."""
    began: float
    """When it was asked, seconds since 1970."""
    without_store: bool

    @property
    def weight(self) -> float:
        """Plain slates that it counts for in a batch."""
        return weight_of(self.cost, len(self.ask.request.history))


async def _at(slates: Awaitable[list[Slate]], place: int) -> Slate:
    return (await slates)[place]


def _kept(service: Service, user_id: str, last: int) -> dict[str, Any]:
    """What the store holds of a user under the id they have now, with the `last` events; each
    part is empty, or 0, where there is nothing.
    """
    store, served = service.store, service.live.served
    return {
        "user_id": store.id_now(user_id),
        "profile": store.profile_of(user_id),
        "slates": store.slates_of(user_id),
        "friends": len(store.friends_of(user_id)),
        "experiments": store.arms_of(user_id),
        "events": [
            {
                "event_id": e.event_id,
                "item_id": e.item_id or None,
                "query": e.query,
                "kind": e.kind,
                "value": e.value,
                "timestamp": e.timestamp,
                "title": served.title_of(e.item_id),
            }
            for e in store.events_of(user_id, last)
        ],
    }


def note_forgotten(service: Service, user_id: str) -> None:
    """Slates asked for up to now are not remembered; the store knows this of those asked for before
    its tombstone, which is a moment older.
    """
    now = time.time()
    for user, at in list(service.forgotten_at.items()):
        if at < now - FORGOTTEN_SECONDS:
            del service.forgotten_at[user]
    service.forgotten_at[user_id] = now


def _remember(
    service: Service,
    slate_id: str,
    user_id: str,
    slate: Slate,
    shots: int,
    began: float,
    exposure: Exposure | None,
) -> None:
    """Queue an impression, of the moment it was asked for; the answer does not wait for it, and one
    that cannot be kept is counted.
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
        shots=shots,
        exposure=exposure,
    )

    def counted(done: Future[int]) -> None:
        if done.cancelled() or done.exception() is not None:
            service.metrics.impressions_lost.inc()

    try:
        service.store.show([impression]).add_done_callback(counted)
    except StoreUnavailable:
        service.metrics.impressions_lost.inc()


def _unheeded(
    body: schemas.RecommendationRequest, served: Served, slate: Slate, request: Request
) -> list[str]:
    """What was asked for and could not be done, in sentences."""
    vocabulary = served.model.vocabulary
    notes = [
        f"there is no item {item_id!r} to pin" for item_id in body.pin if item_id not in vocabulary
    ]
    notes += [
        f"{item_id!r} is pinned but may not be shown: "
        + (
            "; ".join(served.model.policy_check.reasons(request, item_id))
            or "it was seen or excluded, or filter, allow or a quota leave it out"
        )
        for item_id in dict.fromkeys(body.pin[: body.k])
        if item_id in vocabulary and item_id not in slate.item_ids
    ]
    notes += [
        f"no item is of the category {category!r}, so its quota changes nothing"
        for category in (served.absent(list(body.quota)) if body.quota else ())
    ]
    return [
        *notes,
        *(
            []
            if slate.item_ids
            else [
                "no item may be shown: nothing passes the policy, filter, allow, exclude, quota "
                "and what was seen"
            ]
        ),
    ]


def _with_fields(served: Served, fields: list[str], shown: dict[str, Any]) -> dict[str, Any]:
    """An answer whose items have the columns asked for."""
    if not fields:
        return shown
    rows = served.model.vocabulary.indexes(item["item_id"] for item in shown["items"]).tolist()
    for item, attributes in zip(shown["items"], served.attributes_of(rows, fields), strict=True):
        item["attributes"] = attributes
    return shown


def _unsaid(body: schemas.UserInput, served: Served) -> list[str]:
    """A sentence on events sent along whose kind says nothing of preference."""
    silent = [event.kind for event in body.events if not served.scale.says(event.kind)]
    if not silent:
        return []
    return [
        f"{len(silent)} of the events sent along say nothing and were ignored: "
        f"{', '.join(map(repr, dict.fromkeys(silent)))} is neither positive nor negative for this "
        "model"
    ]


def _shown(
    served: Served,
    slate_id: str,
    slate: Slate,
    shots: int,
    reasons: list[list[str]] | None,
    notes: list[str],
    *,
    without_store: bool,
) -> dict[str, Any]:
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
    for item, said in zip(items, reasons or [], strict=False):
        item["reasons"] = said
    return {
        "slate_id": slate_id,
        "model_version": slate.model_version,
        "shots": shots,
        "items": items,
        "notes": [*notes, WITHOUT_STORE] if without_store else notes,
        "without_store": without_store,
    }

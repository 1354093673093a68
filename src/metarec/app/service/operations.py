"""Routes for operators: health, metrics, status, models, reports."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path
from starlette.responses import Response

from metarec.app.probe import can_serve
from metarec.app.reports import read_report, report_names
from metarec.app.service import schemas
from metarec.app.service.http import Json, Service, answers
from metarec.app.service.settings import ServiceSettings
from metarec.data.schema import BadInput
from metarec.feedback.registry_files import CannotServe

log = logging.getLogger("metarec.service")

Name = Annotated[str, Path(max_length=200)]
LOADS = 0.5
"""Seconds for which readiness waits for what is being loaded before it says no."""


def operations_routes(service: Service) -> APIRouter:
    """Routes of this file."""
    router = APIRouter(tags=["operator"])
    read, admin = service.keys.needs("read"), service.keys.needs("admin")
    store, live, counters = service.store, service.live, service.metrics
    started = time.time()

    @router.get("/healthz", summary="The process lives", **answers(schemas.Health))
    @router.head("/healthz", include_in_schema=False)
    async def health() -> Json:
        return Json({"status": "alive"})

    @router.get(
        "/readyz",
        summary="A model serves, its reader of texts is loaded and the store answers",
        **answers(schemas.Readiness, 503),
    )
    @router.head("/readyz", include_in_schema=False)
    async def ready() -> Json:
        served = live.served
        if not await live.warmed(LOADS):
            raise HTTPException(
                503,
                "what reads texts is still being loaded; slates without a wish are answered",
                {"Retry-After": "1"},
            )
        await service.pools.health.run(store.items_version)
        return Json(
            {
                "status": "ready",
                "model_version": served.model.version,
                "items": len(served.model.vocabulary),
            }
        )

    @router.get(
        "/metrics",
        dependencies=read,
        summary="Metrics as Prometheus reads them",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}},
    )
    async def metrics() -> Response:
        counters.waiting.set(store.waiting)
        return Response(
            await asyncio.to_thread(counters.page), media_type="text/plain; version=0.0.4"
        )

    @router.get(
        "/v1/status",
        dependencies=read,
        summary="What an operator looks at",
        **answers(schemas.Status, 503),
    )
    async def status() -> Json:
        return Json(await asyncio.to_thread(_status))

    def _status() -> dict[str, Any]:
        served, looked, now = live.served, service.monitor.look(), time.time()
        by_minute = store.events_by_minute(now)
        return {
            "model_version": served.model.version,
            "items": len(served.model.vocabulary),
            "items_version": served.items_version,
            "started": started,
            "rows": store.counts(),
            "events_last_minute": by_minute[-1],
            "events_by_minute": by_minute,
            "rows_waiting": store.waiting,
            "drift": asdict(looked.drift) if looked.drift else None,
            "drift_marks": service.monitor.rule.marks,
            "alerts": [asdict(alert) for alert in looked.alerts],
            "retraining_advised": looked.reasons,
            "outcomes": looked.outcomes,
            "days": [asdict(day) for day in looked.days],
            "reports": report_names(live.folder),
        }

    @router.get(
        "/v1/reports/{name}",
        dependencies=read,
        summary="A report kept with the serving model: learning curve, fairness, cleaning",
        **answers(dict[str, Any], 404),
    )
    async def report(name: Name) -> Json:
        try:
            return Json(await asyncio.to_thread(read_report, live.folder, name))
        except BadInput as error:
            raise HTTPException(404, str(error)) from error

    @router.get(
        "/v1/settings",
        dependencies=admin,
        summary="The settings in effect, without keys and passwords",
        **answers(schemas.SettingsInEffect),
    )
    async def settings() -> Json:
        plain = ServiceSettings(model=service.settings.model).in_effect()
        shown = service.settings.in_effect()
        told = [
            {"name": name, "value": value, "is_default": value == plain[name]}
            for name, value in shown.items()
        ]
        return Json({"settings": told})

    @router.get(
        "/v1/models",
        dependencies=read,
        summary="All models and promotions",
        **answers(schemas.Models),
    )
    async def models() -> Json:
        entries = await asyncio.to_thread(live.registry.entries)
        return Json(
            {
                "models": [
                    {
                        "version": e.version,
                        "is_current": e.is_current,
                        "problem": e.problem,
                        "facts": e.config,
                        "decision": e.decision,
                    }
                    for e in entries
                ],
                "promotions": live.registry.promotions(),
                "problems": live.registry.problems,
                "value_range": list(live.served.model.value_range)
                if live.served.model.has_values
                else None,
            }
        )

    @router.post(
        "/v1/models/{version}/promote",
        dependencies=admin,
        summary="Let a model serve; the way back, too",
        **answers(schemas.Promoted, 404, 409),
    )
    async def promote(version: Name, body: schemas.PromotionReason | None = None) -> Json:
        if version not in {
            entry.version for entry in await asyncio.to_thread(live.registry.entries)
        }:
            raise HTTPException(
                404, f"there is no model {version[:100]!r}; GET /v1/models lists them"
            )
        try:
            before = await asyncio.to_thread(
                live.registry.promote,
                version,
                (body or schemas.PromotionReason()).reason,
                probe=can_serve,
            )
        except CannotServe as error:
            # The pointer may have been moved to it by hand
            if live.registry.current() != live.serving:
                live.registry.promote(live.serving, f"{version} could not be loaded")
            log.error("a model was not promoted", extra={"problem": str(error)})
            raise HTTPException(
                409, f"model {version!r} could not be loaded; {live.serving!r} keeps serving"
            ) from error
        except BadInput as error:  # the folder is there, but broken
            raise HTTPException(409, f"{error}; {live.serving!r} keeps serving") from error
        live.retry()
        await asyncio.to_thread(live.refresh_model)
        # What serves decides, not what this call did: the watcher may have tried, and refused, the
        # model a moment before.
        if live.serving != version:
            live.registry.promote(live.serving, f"{version} could not be loaded")
            raise HTTPException(
                409, f"model {version!r} could not be loaded; {live.serving!r} keeps serving"
            )
        return Json({"current": version, "before": before})

    return router

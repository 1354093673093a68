"""Routes for operators: health, metrics, status, models, reports."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import HTTPException, Path
from starlette.responses import Response

from metarec.app.lost_prohibitions import lost_prohibitions
from metarec.app.probe import can_serve
from metarec.app.reports import read_report, report_names
from metarec.app.service import schemas
from metarec.app.service.http.answers import Json, answers
from metarec.app.service.parts import Service
from metarec.app.service.routes.base import Routes, route
from metarec.app.service.settings import ServiceSettings
from metarec.data.schema import BadInput
from metarec.feedback.registry_files import CannotServe

log = logging.getLogger("metarec.service")

Name = Annotated[str, Path(max_length=200)]
LOADS = 0.5
"""Seconds for which the readiness check waits for a running load before it answers no."""


class OperationsRoutes(Routes):
    """Routes for operators: health, metrics, status, models, reports."""

    tags = ("operator",)

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._started = time.time()

    @route("GET", "/healthz", **answers(schemas.Health))
    @route("HEAD", "/healthz", include_in_schema=False)
    async def health(self) -> Json:
        """The process is alive."""
        return Json({"status": "alive"})

    @route("GET", "/readyz", **answers(schemas.Readiness, 503))
    @route("HEAD", "/readyz", include_in_schema=False)
    async def ready(self) -> Json:
        """A model is served, its text encoder is loaded and the store answers."""
        served = self.live.served
        if not await self.live.warmed(LOADS):
            raise HTTPException(
                503,
                "the text encoder is still being loaded; slates without a query in words (wish) "
                "are answered",
                {"Retry-After": "1"},
            )
        await self.service.pools.health.run(self.store.items_version)
        return Json(
            {
                "status": "ready",
                "model_version": served.model.version,
                "items": int(served.is_there.sum()),
            }
        )

    @route(
        "GET",
        "/metrics",
        "read",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}},
    )
    async def metrics(self) -> Response:
        """Metrics in Prometheus' format."""
        counters = self.service.metrics
        counters.waiting.set(self.store.waiting)
        page = await asyncio.to_thread(counters.page)
        return Response(page, media_type="text/plain; version=0.0.4")

    @route("GET", "/v1/status", "read", **answers(schemas.Status, 503))
    async def status(self) -> Json:
        """State of the service for its operator."""
        return Json(await asyncio.to_thread(self._status))

    def _status(self) -> dict[str, Any]:
        served, looked, now = self.live.served, self.service.monitor.look(), time.time()
        by_minute = self.store.events_by_minute(now)
        return {
            "model_version": served.model.version,
            "items": int(served.is_there.sum()),
            "items_version": served.items_version,
            "started": self._started,
            "rows": self.store.counts(),
            "events_last_minute": by_minute[-1],
            "events_by_minute": by_minute,
            "rows_waiting": self.store.waiting,
            "drift": asdict(looked.drift) if looked.drift else None,
            "drift_marks": self.service.monitor.rule.marks,
            "alerts": [asdict(alert) for alert in looked.alerts],
            "retraining_advised": looked.reasons,
            "outcomes": looked.outcomes,
            "days": [asdict(day) for day in looked.days],
            "reports": report_names(self.live.folder),
        }

    @route("GET", "/v1/reports/{name}", "read", **answers(dict[str, Any], 404))
    async def report(self, name: Name) -> Json:
        """A report kept with the served model: learning curve, fairness, cleaning."""
        try:
            return Json(await asyncio.to_thread(read_report, self.live.folder, name))
        except BadInput as error:
            raise HTTPException(404, str(error)) from error

    @route("GET", "/v1/settings", "admin", **answers(schemas.SettingsInEffect))
    async def settings(self) -> Json:
        """The settings in effect, without keys and passwords."""
        plain = ServiceSettings(model=self.service.settings.model).in_effect()
        in_effect = self.service.settings.in_effect()
        settings = [
            {"name": name, "value": value, "is_default": value == plain[name]}
            for name, value in in_effect.items()
        ]
        return Json({"settings": settings})

    @route("GET", "/v1/models", "read", **answers(schemas.Models))
    async def models(self) -> Json:
        """All models and promotions."""
        entries = await asyncio.to_thread(self.live.registry.entries)
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
                "promotions": self.live.registry.promotions(),
                "problems": self.live.registry.problems,
                "value_range": list(self.live.served.model.value_range)
                if self.live.served.model.has_values
                else None,
            }
        )

    @route("POST", "/v1/models/{version}/promote", "admin", **answers(schemas.Promoted, 404, 409))
    async def promote(self, version: Name, body: schemas.PromotionReason | None = None) -> Json:
        """Promote a model, or go back to an earlier one."""
        if version not in {e.version for e in await asyncio.to_thread(self.live.registry.entries)}:
            raise HTTPException(
                404, f"there is no model {version[:100]!r}; GET /v1/models lists them"
            )
        before = await self._point_at(version, (body or schemas.PromotionReason()).reason)
        self.live.retry()
        await asyncio.to_thread(self.live.refresh_model)
        # The served version decides, not the result of this call: the worker's own check for
        # promoted models may have tried, and refused, the model just before.
        if self.live.serving != version:
            self.live.registry.promote(self.live.serving, f"{version} could not be loaded")
            raise HTTPException(409, self._keeps_serving(f"model {version!r} could not be loaded"))
        lost = await asyncio.to_thread(lost_prohibitions, self.live.registry, [version], before)
        return Json({"current": version, "before": before, "notes": lost})

    async def _point_at(self, version: str, reason: str) -> str:
        """Make a version the registry's current one; return the one before."""
        registry = self.live.registry
        try:
            return await asyncio.to_thread(registry.promote, version, reason, probe=can_serve)
        except CannotServe as error:
            # The current version may have been set to it by hand
            if registry.current() != self.live.serving:
                registry.promote(self.live.serving, f"{version} could not be loaded")
            log.error("a model was not promoted", extra={"problem": str(error)})
            problem = f"model {version!r} could not be loaded"
            raise HTTPException(409, self._keeps_serving(problem)) from error
        except BadInput as error:  # the folder is there, but broken
            raise HTTPException(409, self._keeps_serving(str(error))) from error

    def _keeps_serving(self, problem: str) -> str:
        return f"{problem}; {self.live.serving!r} keeps serving"

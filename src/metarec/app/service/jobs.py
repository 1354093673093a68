"""Routes for work that takes minutes: what runs, how far it is, and a retraining started here."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict

from fastapi import APIRouter, HTTPException

from metarec.app.jobs import jobs_of
from metarec.app.service import schemas
from metarec.app.service.http import Json, Service, answers

log = logging.getLogger("metarec.service")


def job_routes(service: Service) -> APIRouter:
    """Routes of this file."""
    router = APIRouter(tags=["operator"])
    registry = service.live.registry

    @router.get(
        "/v1/jobs",
        dependencies=service.keys.needs("read"),
        summary="Retrainings and imports: state, progress and the last lines of their logs",
        **answers(schemas.BackgroundJobs),
    )
    async def jobs() -> Json:
        found = await asyncio.to_thread(jobs_of, registry.folder)
        return Json({"jobs": [asdict(job) for job in found]})

    @router.post(
        "/v1/jobs",
        dependencies=service.keys.needs("admin"),
        summary="Retrain now, in a process beside the service",
        **answers(schemas.JobStarted, 409),
    )
    async def start(body: schemas.JobToStart | None = None) -> Json:
        kind = (body or schemas.JobToStart()).kind
        is_busy = await asyncio.to_thread(registry.is_retraining)
        if is_busy or not await asyncio.to_thread(service.started_here.start):
            raise HTTPException(409, "a retraining runs already; GET /v1/jobs tells how far it is")
        log.info("a retraining was asked for")
        return Json({"kind": kind})

    return router

"""Routes for jobs that take minutes: list them with their progress, start a retraining."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict

from fastapi import HTTPException

from metarec.app.jobs import jobs_of
from metarec.app.service import schemas
from metarec.app.service.http.answers import Json, answers
from metarec.app.service.routes.base import Routes, route

log = logging.getLogger("metarec.service")


class JobRoutes(Routes):
    """Jobs that take minutes: list them with their progress, start a retraining."""

    tags = ("operator",)

    @route("GET", "/v1/jobs", "read", **answers(schemas.BackgroundJobs))
    async def jobs(self) -> Json:
        """Retrainings, imports and slates for all users: state, progress and the last log lines."""
        jobs = await asyncio.to_thread(jobs_of, self.live.registry.folder)
        return Json({"jobs": [asdict(job) for job in jobs]})

    @route("POST", "/v1/jobs", "admin", **answers(schemas.JobStarted, 409))
    async def start(self, body: schemas.JobToStart | None = None) -> Json:
        """Retrain now, in a process of its own."""
        kind = (body or schemas.JobToStart()).kind
        is_busy = await asyncio.to_thread(self.live.registry.is_retraining)
        if is_busy or not await asyncio.to_thread(self.service.started_here.start):
            raise HTTPException(409, "a retraining runs already; GET /v1/jobs tells how far it is")
        log.info("a retraining was asked for")
        return Json({"kind": kind})

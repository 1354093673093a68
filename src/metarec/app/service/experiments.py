"""Routes for A/B experiments: look, start, stop, promote an arm, take it back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path

from metarec.app.experiments import begin, promote_arm, roll_back
from metarec.app.service import experiment_schemas as shapes
from metarec.app.service.http import Json, Service, answers
from metarec.app.service.schemas import PromotionReason
from metarec.feedback.experiment_results import results
from metarec.feedback.experiments import (
    Experiment,
    ExperimentConflict,
    experiment_named,
    experiments,
    stop,
)

Name = Annotated[str, Path(max_length=60)]


def experiment_routes(service: Service) -> APIRouter:
    """Routes of this file."""
    router = APIRouter(tags=["operator"])
    read, admin = service.keys.needs("read"), service.keys.needs("admin")
    store, live, arms = service.store, service.live, service.arms

    async def changed(change: Callable[[], Experiment]) -> Json:
        """The experiment after a change, which holds here at once, elsewhere within seconds."""
        try:
            done = await asyncio.to_thread(change)
        except ExperimentConflict as error:
            raise HTTPException(409, str(error)) from error
        await asyncio.to_thread(live.refresh_model)
        await asyncio.to_thread(arms.refresh)
        return Json(done.as_dict())

    async def found(name: str) -> Experiment:
        one = await asyncio.to_thread(experiment_named, store, name)
        if one is None:
            raise HTTPException(404, f"there is no experiment {name!r}; GET /v1/experiments")
        return one

    @router.get(
        "/v1/experiments",
        dependencies=read,
        summary="All A/B experiments",
        **answers(shapes.Experiments, 503),
    )
    async def every() -> Json:
        known = await asyncio.to_thread(experiments, store)
        told = {"experiments": [one.as_dict() for one in known], "settings": asdict(arms.settings)}
        return Json(told)

    @router.post(
        "/v1/experiments",
        dependencies=admin,
        summary="Start an experiment",
        **answers(shapes.ExperimentState, 409, 503),
    )
    async def start(body: shapes.ExperimentPlan) -> Json:
        if not service.settings.log_slates:
            raise HTTPException(409, "slates are not kept (log_slates), so nothing can be counted")
        planned = _planned(body)
        keep = service.settings.keep_slates_days
        return await changed(lambda: begin(store, live.registry, planned, keep_slates_days=keep))

    @router.get(
        "/v1/experiments/{experiment}",
        dependencies=read,
        summary="An experiment and what it shows so far",
        **answers(shapes.ExperimentWithResults, 404, 503),
    )
    async def one(experiment: Name) -> Json:
        known = await found(experiment)
        is_here = arms.running is not None and arms.running.name == experiment
        told = await asyncio.to_thread(arms.look) if is_here else None
        if told is None:
            told = await asyncio.to_thread(results, store, known, time.time())
        return Json({"experiment": known.as_dict(), "results": told.as_dict()})

    @router.post(
        "/v1/experiments/{experiment}/stop",
        dependencies=admin,
        summary="Stop an experiment, or one of its arms",
        **answers(shapes.ExperimentState, 404, 409, 503),
    )
    async def end(experiment: Name, body: shapes.ArmEnd | None = None) -> Json:
        await found(experiment)
        why = body or shapes.ArmEnd()
        return await changed(lambda: stop(store, experiment, why.reason, arm=why.arm))

    @router.post(
        "/v1/experiments/{experiment}/promote",
        dependencies=admin,
        summary="Let an arm's model and settings serve everybody",
        **answers(shapes.ExperimentState, 404, 409, 503),
    )
    async def promote(experiment: Name, body: shapes.ArmPromotion) -> Json:
        await found(experiment)
        return await changed(
            lambda: promote_arm(store, live.registry, experiment, body.arm, body.reason)
        )

    @router.post(
        "/v1/experiments/{experiment}/roll-back",
        dependencies=admin,
        summary="Take the promotion of an arm back",
        **answers(shapes.ExperimentState, 404, 409, 503),
    )
    async def back(experiment: Name, body: PromotionReason | None = None) -> Json:
        await found(experiment)
        why = (body or PromotionReason()).reason
        return await changed(lambda: roll_back(store, live.registry, experiment, why))

    return router


def _planned(body: shapes.ExperimentPlan) -> Experiment:
    return Experiment.of(body.model_dump())

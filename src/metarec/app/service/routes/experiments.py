"""Routes for A/B experiments: list, start, stop, promote an arm, roll back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

from fastapi import HTTPException, Path

from metarec.app.experiments import begin, promote_arm, roll_back
from metarec.app.lost_prohibitions import lost_prohibitions
from metarec.app.service.http.answers import Json, answers
from metarec.app.service.routes.base import Routes, route
from metarec.app.service.schemas import PromotionReason
from metarec.app.service.schemas import experiments as shapes
from metarec.feedback.experiments.experiment import (
    Experiment,
    ExperimentConflict,
    experiment_named,
    experiments,
    stop,
)
from metarec.feedback.experiments.results import results

Name = Annotated[str, Path(max_length=60)]


class ExperimentRoutes(Routes):
    """A/B experiments: list, start, stop, promote an arm, roll back."""

    tags = ("operator",)

    async def _changed(self, change: Callable[[], Experiment]) -> Json:
        return Json((await self._done(change)).as_dict())

    async def _done(self, change: Callable[[], Experiment]) -> Experiment:
        """Apply a change and return the experiment. This worker follows at once, the others within
        seconds.
        """
        try:
            done = await asyncio.to_thread(change)
        except ExperimentConflict as error:
            raise HTTPException(409, str(error)) from error
        await asyncio.to_thread(self.live.refresh_model)
        await asyncio.to_thread(self.service.arms.refresh)
        return done

    async def _found(self, name: str) -> Experiment:
        one = await asyncio.to_thread(experiment_named, self.store, name)
        if one is None:
            raise HTTPException(404, f"there is no experiment {name!r}; GET /v1/experiments")
        return one

    @route("GET", "/v1/experiments", "read", **answers(shapes.Experiments, 503))
    async def every(self) -> Json:
        """All A/B experiments."""
        listed = await asyncio.to_thread(experiments, self.store)
        settings = asdict(self.service.arms.settings)
        return Json({"experiments": [one.as_dict() for one in listed], "settings": settings})

    @route("POST", "/v1/experiments", "admin", **answers(shapes.ExperimentStarted, 409, 503))
    async def start(self, body: shapes.ExperimentPlan) -> Json:
        """Start an A/B experiment."""
        if not self.service.settings.log_slates:
            raise HTTPException(409, "slates are not kept (log_slates), so nothing can be counted")
        planned = Experiment.of(body.model_dump())
        keep = self.service.settings.keep_slates_days
        begun = await self._done(
            lambda: begin(self.store, self.live.registry, planned, keep_slates_days=keep)
        )
        notes = await asyncio.to_thread(
            lost_prohibitions, self.live.registry, [arm.model for arm in begun.arms]
        )
        return Json({**begun.as_dict(), "notes": notes})

    @route(
        "GET",
        "/v1/experiments/{experiment}",
        "read",
        **answers(shapes.ExperimentWithResults, 404, 503),
    )
    async def one(self, experiment: Name) -> Json:
        """An experiment and its results so far."""
        found_experiment = await self._found(experiment)
        is_here = (
            self.service.arms.running is not None and self.service.arms.running.name == experiment
        )
        counted = await asyncio.to_thread(self.service.arms.look) if is_here else None
        if counted is None:
            counted = await asyncio.to_thread(results, self.store, found_experiment, time.time())
        return Json({"experiment": found_experiment.as_dict(), "results": counted.as_dict()})

    @route(
        "POST",
        "/v1/experiments/{experiment}/stop",
        "admin",
        **answers(shapes.ExperimentState, 404, 409, 503),
    )
    async def end(self, experiment: Name, body: shapes.ArmEnd | None = None) -> Json:
        """Stop an experiment, or one of its arms."""
        await self._found(experiment)
        why = body or shapes.ArmEnd()
        return await self._changed(lambda: stop(self.store, experiment, why.reason, arm=why.arm))

    @route(
        "POST",
        "/v1/experiments/{experiment}/promote",
        "admin",
        **answers(shapes.ExperimentState, 404, 409, 503),
    )
    async def promote(self, experiment: Name, body: shapes.ArmPromotion) -> Json:
        """Serve an arm's model and settings to all users."""
        await self._found(experiment)
        return await self._changed(
            lambda: promote_arm(self.store, self.live.registry, experiment, body.arm, body.reason)
        )

    @route(
        "POST",
        "/v1/experiments/{experiment}/roll-back",
        "admin",
        **answers(shapes.ExperimentState, 404, 409, 503),
    )
    async def back(self, experiment: Name, body: PromotionReason | None = None) -> Json:
        """Roll the promotion of an arm back."""
        await self._found(experiment)
        why = (body or PromotionReason()).reason
        return await self._changed(
            lambda: roll_back(self.store, self.live.registry, experiment, why)
        )

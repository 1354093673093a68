"""The service as a Ray Serve application: processes that answer HTTP, and shards of the catalog.

`metarec serve MODEL --backend ray` runs it on the cluster that RAY_ADDRESS names, or on one that it
starts. On a cluster of your own, this command runs it too:

    serve run metarec.app.service.on_ray:application model=/models/shop shards=4 workers=2
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarec.app.service.processes.set_up import check_can_serve, set_up_worker, stopped_by_signals
from metarec.app.service.settings import ServiceSettings
from metarec.app.service.settings_sources import load_settings
from metarec.data.errors import BadInput
from metarec.runtime.extras import require
from metarec.runtime.jobs import RAY, ray_cluster

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger("metarec.service")
NAME = "metarec"
HEALTH_SECONDS = 1.0
"""Seconds between Ray's checks of a process; a killed process is replaced after this time."""


@dataclass(frozen=True)
class RayShard:
    """A shard called through a handle of Ray Serve."""

    handle: Any

    def call(self, method: str, *args: Any) -> Callable[[float], Any]:
        """Start a call and return a function that waits for its result, at most the given seconds.

        Raises:
            ShardAway: by the returned function, if there is no result in time.
        """
        from metarec.app.service.processes.shards import ShardAway

        task_error = require("ray.exceptions", "ray").RayTaskError
        begun = getattr(self.handle, method).remote(*args)

        def result(seconds: float) -> Any:
            try:
                return begun.result(timeout_s=seconds)
            except task_error as error:
                raise error.cause from error  # the shard's own error, as if it ran here
            except Exception as error:  # Ray has many exceptions for a process that is gone
                raise ShardAway(f"{type(error).__name__}: {error}") from error

        return result


def application(args: Mapping[str, Any]) -> Any:
    """Build the application for `serve run`, from settings of the service by name.

    Raises:
        BadInput: if the settings contradict each other, or there are more shards than items.
        FileNotFoundError, BrokenArtifact: if there is no readable model.
        StoreUnavailable: if the store cannot be opened.
    """
    settings = load_settings(None, **{"backend": RAY, **args})
    check_can_serve(settings)
    return bound(settings)


def bound(settings: ServiceSettings) -> Any:
    """Build the Ray Serve application: `workers` processes that answer HTTP, and `replicas`
    processes of each shard.
    """
    from metarec.app.service.processes.shards import ShardServer

    serve = require("ray.serve", "ray")
    reachable = replace(
        settings,
        model=_from_anywhere(settings.model),
        store=_from_anywhere(settings.store),
        data=_from_anywhere(settings.data),
    )
    handed, without_keys = (each.to_json() for each in (reachable, _without_keys(reachable)))
    common = {
        "ray_actor_options": {"num_cpus": 1},
        "health_check_period_s": HEALTH_SECONDS,
        "graceful_shutdown_timeout_s": settings.shutdown_seconds,
        "max_ongoing_requests": settings.max_connections,
    }
    shards = [
        serve.deployment(
            ShardServer, name=f"shard-{number}", num_replicas=settings.replicas, **common
        ).bind(without_keys, number, settings.shards)
        for number in range(settings.shards)
    ]

    def answering() -> FastAPI:
        return worker(handed)

    ingress = serve.deployment(
        serve.ingress(answering)(), name="service", num_replicas=settings.workers, **common
    )
    return ingress.bind(*shards)


def _from_anywhere(place: str) -> str:
    """Make a path absolute, so that processes with another working folder find it; leave a URL as
    it is.
    """
    return str(Path(place).absolute()) if place and "://" not in place else place


def _without_keys(settings: ServiceSettings) -> ServiceSettings:
    """Return the settings without keys, for processes that only the service itself calls."""
    return replace(settings, keys={}, open_to_all=True)


def worker(settings: str) -> FastAPI:
    """Build the application of one process that answers HTTP, in a replica of Ray Serve."""
    from metarec.app.service.application import create_app

    worker_settings, serve = ServiceSettings.from_json(settings), require("ray.serve", "ray")
    set_up_worker(worker_settings)
    app = serve.get_replica_context().app_name
    handles = [
        serve.get_deployment_handle(f"shard-{n}", app) for n in range(worker_settings.shards)
    ]
    return create_app(worker_settings, shards=[RayShard(handle) for handle in handles])


def run_on_ray(settings: ServiceSettings) -> None:
    """Serve until stopped.

    Raises:
        BadInput: if the cluster has too few CPUs or runs Ray Serve already, or processes cannot
            start.
    """
    serve = require("ray.serve", "ray")
    cpus = settings.workers + settings.shards * settings.replicas
    with ray_cluster(cpus) as ray:
        there = int(ray.cluster_resources().get("CPU", 0))
        if there < cpus:
            raise BadInput(
                f"{settings.shards} shards of {settings.replicas} replicas and "
                f"{settings.workers} workers take {cpus} CPUs, the cluster has {there}; give fewer"
            )
        if serve.status().proxies:
            raise BadInput(
                "Ray Serve runs on this cluster already, at a port of its own; add the service to "
                f"it: serve run metarec.app.service.on_ray:application model={settings.model}"
            )
        serve.start(
            proxy_location="EveryNode",
            http_options={"host": settings.host, "port": settings.port},
        )
        with stopped_by_signals():  # again: Ray has replaced the handler set before
            try:
                serve.run(bound(settings), name=NAME)
                threading.Event().wait()
            except RuntimeError as error:
                raise BadInput(f"Ray could not start the service: {_why(serve, error)}") from error
            finally:
                serve.shutdown()


def _why(serve: Any, error: RuntimeError) -> str:
    """Return the last line that a process which could not start reported."""
    states = serve.status().applications[NAME].deployments.values()
    messages = [state.message for state in states if "FAILED" in str(state.status)] or [str(error)]
    lines = [line.strip() for line in messages[0].splitlines() if line.strip()]
    return lines[-1] if lines else str(error)

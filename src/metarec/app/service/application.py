"""`create_app`: builds the ASGI application of the service."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import numpy as np
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from metarec import __version__
from metarec.app.service.conversion.requests import ScoreRequest, answer_all
from metarec.app.service.http.addresses import refuse_unknown_parameters, register_id_addresses
from metarec.app.service.http.errors import ErrorAnswers
from metarec.app.service.http.middleware import Middleware
from metarec.app.service.http.shortcut import Shortcut
from metarec.app.service.http.translation import Translation
from metarec.app.service.monitoring.metrics import Metrics
from metarec.app.service.monitoring.monitor import DAY, Monitor
from metarec.app.service.parts import Service
from metarec.app.service.processes.retraining import LocalRetrainings
from metarec.app.service.processes.shards import OtherShards, ShardCalls
from metarec.app.service.routes.base import Routes
from metarec.app.service.routes.events import EventRoutes
from metarec.app.service.routes.experiments import ExperimentRoutes
from metarec.app.service.routes.friends import FriendsRoutes
from metarec.app.service.routes.item_rankings import ItemRankingRoutes
from metarec.app.service.routes.item_statistics import ItemStatisticsRoutes
from metarec.app.service.routes.items import CatalogRoutes
from metarec.app.service.routes.jobs import JobRoutes
from metarec.app.service.routes.mcp import McpRoutes
from metarec.app.service.routes.operations import OperationsRoutes
from metarec.app.service.routes.request_inputs import RequestInputsRoutes
from metarec.app.service.routes.slates import SlateRoutes
from metarec.app.service.routes.user_merging import MergeRoutes
from metarec.app.service.routes.users import UserRoutes
from metarec.app.service.scoring.arms import Arms
from metarec.app.service.scoring.batching import Batcher
from metarec.app.service.scoring.live_model import LiveModel, warm_text
from metarec.app.service.scoring.thread_pools import Pools
from metarec.app.service.security.authentication import ApiKeys
from metarec.app.service.settings import ServiceSettings
from metarec.feedback import open_store
from metarec.feedback.events import StoreUnavailable
from metarec.feedback.registry import Registry
from metarec.feedback.retention import remove_old
from metarec.feedback.store.event_store import Store
from metarec.recommendation.slate import Slate
from metarec.runtime.language import language_of

log = logging.getLogger("metarec.service")
RETAIN_SECONDS = 600.0
"""Seconds between two deletions of old rows."""
SUBJECTS: tuple[type[Routes], ...] = (
    FriendsRoutes,
    MergeRoutes,
    RequestInputsRoutes,
    SlateRoutes,
    EventRoutes,
    UserRoutes,
    ItemRankingRoutes,
    CatalogRoutes,
    ItemStatisticsRoutes,
    OperationsRoutes,
    JobRoutes,
    ExperimentRoutes,
)
"""Routes in the order in which they are tried. A class whose addresses end with an id comes after
those whose addresses would match it.
"""
PAGE = Path(__file__).parent.parent / "page"


def create_app(
    settings: ServiceSettings,
    store: Store | None = None,
    shards: Sequence[ShardCalls] = (),
) -> FastAPI:
    """Build the service as an ASGI application, with its model and store opened.

    Args:
        settings: the settings of the service.
        store: an open store to use, which the caller closes; None opens the one of the settings.
        shards: processes that score one slice of the catalog each; without any, this process scores
            the whole catalog.

    Raises:
        BrokenArtifact: if the model cannot be read.
        StoreUnavailable: if the store cannot be opened.
    """
    owned = store is None
    opened = open_store(settings.store_url) if store is None else store
    service = _service_of(settings, opened, shards)
    service.arms.refresh()
    app = FastAPI(
        title="metarec",
        version=__version__,
        lifespan=partial(_lifespan, service, owned=owned),
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,  # they would load scripts from elsewhere; the page has its own
        summary="Recommends well to users and items with few events or none.",
        description="Send what a user did, get what they may like; each event changes the next "
        "slate.",
    )
    routes = _routes_of(service)
    # Not by include_router: its search for a route takes longer than writing the answer's JSON.
    app.router.routes[:0] = routes
    ErrorAnswers(routes, tell_details=service.store.is_sqlite).install(app)
    _serve_page(app)
    app.add_middleware(Shortcut, routes=routes, handlers=app.exception_handlers)
    _add_guards(app, service)
    app.state.service = service
    return app


def _service_of(settings: ServiceSettings, store: Store, shards: Sequence[ShardCalls]) -> Service:
    """Load the model and build everything the routes need."""
    metrics, live = Metrics(), LiveModel(Registry(settings.model), store, settings.filter)
    rng = np.random.default_rng()  # unseeded: exploration must differ between workers and restarts
    elsewhere = OtherShards(shards, metrics)
    answer = partial(answer_all, first_of=elsewhere.stages_of) if shards else answer_all
    scorer: Batcher[ScoreRequest, Slate] = Batcher(
        lambda requests: answer(requests, rng),
        seen=metrics.batch.observe,
        in_thread=lambda: bool(shards) or len(live.served.model.vocabulary) > settings.inline_items,
    )
    return Service(
        settings=settings,
        store=store,
        live=live,
        metrics=metrics,
        keys=ApiKeys(settings.keys),
        scorer=scorer,
        pools=Pools(settings),
        monitor=Monitor(settings, store, live, metrics),
        arms=Arms(store, live, settings),
        started_here=LocalRetrainings(settings),
        answer=answer,
    )


@asynccontextmanager
async def _lifespan(service: Service, _app: FastAPI, *, owned: bool) -> AsyncIterator[None]:
    """Run the background tasks while the application serves; then close the pools and, if it is
    `owned`, the store.
    """
    live = service.live
    live.warming = asyncio.create_task(warm_up(live))
    aside = [asyncio.create_task(follow(service)), asyncio.create_task(retain(service))]
    log.info(
        "ready",
        extra={"model": live.served.model.version, "items": len(live.served.model.vocabulary)},
    )
    if live.served.only and not live.served.passes.any():
        log.warning(
            "no item passes the filter of the service; all slates are empty",
            extra={"filter": live.served.only},
        )
    yield
    live.warming.cancel()
    for task in aside:
        task.cancel()
    service.scorer.close()
    service.pools.close()
    await asyncio.to_thread(service.started_here.stop)
    if owned:
        await asyncio.to_thread(service.store.close)  # writes the rows that wait
    log.info("stopped")


def _routes_of(service: Service) -> list[BaseRoute]:
    """Return all routes, in the order in which they are tried."""
    register_id_addresses()
    routes = [one for subject in SUBJECTS for one in subject(service).all()]
    if service.settings.mcp:
        routes += McpRoutes(service, routes).all()
    refuse_unknown_parameters(routes)
    return routes


def _add_guards(app: FastAPI, service: Service) -> None:
    """Add the middleware; the one added last is the outermost."""
    settings = service.settings
    app.add_middleware(Middleware, settings=settings, metrics=service.metrics)
    app.add_middleware(Translation, default=language_of(settings.lang, asked_by="lang"))
    # Outside of the middleware above: else a browser would hide its refusals from the page.
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["authorization", "content-type", "x-api-key"],
            expose_headers=["retry-after", "x-request-id"],
        )
    if settings.trusted_proxies:  # outermost, so that all others see the client's own address
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))


def _serve_page(app: FastAPI) -> None:
    """Serve the files of the page where they are installed; they have no build step and load
    nothing from elsewhere.
    """
    if (PAGE / "index.html").is_file():
        from starlette.responses import FileResponse
        from starlette.staticfiles import StaticFiles

        app.add_route(
            "/docs", lambda _request: FileResponse(PAGE / "docs.html"), include_in_schema=False
        )
        app.mount("/", StaticFiles(directory=PAGE, html=True), name="page")


async def warm_up(live: LiveModel) -> None:
    """Load the text encoder, which the first slates do not need, in a thread."""
    try:
        await asyncio.to_thread(warm_text, live.served.model)
    except Exception as error:  # such as a library that is missing: who searches in words is told
        log.warning(
            "texts cannot be read", extra={"kind": type(error).__name__, "problem": str(error)}
        )


async def follow(service: Service) -> None:
    """Load new items and promoted models, until the service stops."""
    live, metrics = service.live, service.metrics
    while True:
        await asyncio.sleep(service.settings.watch_seconds)
        try:
            metrics.items_added.inc(await asyncio.to_thread(live.refresh_items))
            swapped = await asyncio.to_thread(live.refresh_model)
            if swapped is not None:
                metrics.swaps.labels("done" if swapped else "refused").inc()
            await asyncio.to_thread(service.arms.follow)
            await asyncio.to_thread(service.monitor.look)
        except StoreUnavailable:
            continue  # /readyz and the routes report it
        except Exception as error:  # one bad item must not end this loop
            log.error("taking up changes failed", extra={"kind": type(error).__name__})
            await asyncio.sleep(5.0)


async def retain(service: Service) -> None:
    """Delete rows older than the settings allow, every `RETAIN_SECONDS`, until the service
    stops.
    """
    keep = service.settings
    if not keep.keep_events_days and not keep.keep_slates_days:
        return
    while True:
        try:
            await asyncio.to_thread(_remove_old, service.store, keep)
        except StoreUnavailable as error:
            log.warning("old rows are not deleted", extra={"problem": str(error)})
        except Exception as error:  # the next deletion may succeed
            log.error("deleting old rows failed", extra={"kind": type(error).__name__})
        await asyncio.sleep(RETAIN_SECONDS)


def _remove_old(store: Store, keep: ServiceSettings) -> None:
    now = time.time()
    events_before, slates_before = (
        now - days * DAY if days else None
        for days in (keep.keep_events_days, keep.keep_slates_days)
    )
    events = slates = 0
    while True:
        removed = remove_old(store, events_before=events_before, slates_before=slates_before)
        events, slates = events + removed.events, slates + removed.slates
        if removed.is_all:
            break
    if events or slates:
        log.info("old rows deleted", extra={"events": events, "slates": slates})

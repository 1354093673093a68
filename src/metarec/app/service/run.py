"""`serve`: starts, supervises and stops one or several worker processes."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from metarec.app.service.monitoring.metrics_folder import metrics_folder
from metarec.app.service.processes.set_up import check_can_serve, set_up_worker, stopped_by_signals
from metarec.app.service.settings import ServiceSettings
from metarec.app.service.settings_sources import load_settings
from metarec.data.schema import BadInput
from metarec.runtime.device import use_device
from metarec.runtime.extras import require
from metarec.runtime.jobs import RAY

if TYPE_CHECKING:
    from fastapi import FastAPI

HANDED_DOWN = "METAREC_SERVICE"
"""Environment variable that carries the settings to worker processes."""


def serve(
    model: str | None = None,
    store: str | None = None,
    *,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
    settings_file: str | None = None,
    checked: Callable[[int], None] = lambda _port: None,
    **more: Any,
) -> None:
    """Serve a saved model over HTTP until stopped by SIGTERM or Ctrl-C; running requests may
    finish.

    Args:
        model: folder of a saved model; None takes it from the settings.
        store: event store; `events.db` in the model's folder unless given.
        settings_file: TOML with fields of `ServiceSettings`; arguments win over the environment,
            and the environment over the file.
        checked: called with the port before the first worker starts, once model and store are known
            to be readable and the port is bound; port 0 of the settings takes a free one.
        more: further fields of `ServiceSettings`.

    Raises:
        BadInput: if the settings contradict each other, or the port is in use.
        FileNotFoundError, BrokenArtifact: if there is no readable model.
        StoreUnavailable: if the store cannot be opened.
        MissingExtra: without the extra `serve`.
    """
    with stopped_by_signals():
        for module in ("fastapi", "uvicorn", "orjson", "httptools"):
            require(module, "serve")
        settings = load_settings(
            settings_file, model=model, store=store, host=host, port=port, workers=workers, **more
        )
        settings.check_keys()
        if settings.backend == RAY:
            require("ray.serve", "ray")
        use_device(settings.device)
        with metrics_folder(settings.workers):  # prometheus_client reads the variable on import
            require("prometheus_client", "serve")
            check_can_serve(settings)
            sockets = listening_at(settings.host, settings.port)
            settings = replace(settings, port=sockets[0].getsockname()[1])
            try:
                checked(settings.port)
                os.environ[HANDED_DOWN] = settings.to_json()
                _set_up(settings)
                with _retraining(settings):
                    if settings.backend == RAY:
                        _run_on_ray(settings, sockets)
                    else:
                        _run(settings, sockets)
            finally:
                for one in sockets:
                    one.close()


def _set_up(settings: ServiceSettings) -> None:
    """Set up the logs of this process, and remove leftovers of killed processes in a thread."""
    from metarec.runtime.logs import setup_logs

    setup_logs(settings.log_level, as_json=settings.log_json)
    threading.Thread(target=_tidy, args=(settings,), name="metarec-tidy", daemon=True).start()


@contextmanager
def _retraining(settings: ServiceSettings) -> Iterator[None]:
    """Retrain every `retrain_hours`, if the settings say so; a running round is ended on
    leaving.
    """
    if not settings.retrain_hours:
        yield
        return
    from metarec.app.service.processes.retraining import retrain_periodically

    stop = threading.Event()
    thread = threading.Thread(
        target=retrain_periodically, args=(settings, stop), name="metarec-retrain", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(settings.shutdown_seconds)


def listening_at(host: str, port: int) -> list[socket.socket]:
    """Bind a socket at each address of `host`. This is done before any worker starts, so that a
    port in use is reported at once.

    Raises:
        BadInput: if the port is in use, or no address of the host is of this machine.
    """
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for family, kind, protocol, _, address in dict.fromkeys(
            socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        ):
            try:
                # Port 0 takes a free one, which is the same at all addresses
                sockets.append(_bound(family, kind, protocol, (address[0], port, *address[2:])))
                port = sockets[0].getsockname()[1]
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                # Such as ::1 of `localhost` where there is no IPv6; another address may work
                absent = error
        if absent and not sockets:
            raise absent
    except OSError as error:
        for one in sockets:
            one.close()
        if error.errno == errno.EADDRINUSE:
            raise BadInput(
                f"port {port} of {host} is in use; stop what listens there, or give another --port"
            ) from error
        raise BadInput(
            f"cannot listen at {host}, port {port} ({error.strerror}); give another --host or "
            f"--port"
        ) from error
    return sockets


def _bound(family: int, kind: int, protocol: int, address: Any) -> socket.socket:
    # With its protocol: asyncio sends small answers without delay only where it knows it.
    one = socket.socket(family, kind, protocol)
    try:
        # On Windows the option would share a port in use; elsewhere it reuses a released one.
        if os.name != "nt":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
        one.set_inheritable(True)
    except OSError:
        one.close()
        raise
    return one


def _run(settings: ServiceSettings, sockets: list[socket.socket]) -> None:
    import uvicorn

    from metarec.app.service.processes.supervisor import run_workers
    from metarec.app.service.security.limits import LimitedServer, Limits, options_of

    options: dict[str, Any] = {
        "factory": True,
        "host": settings.host,
        "port": settings.port,
        "access_log": False,
        "log_level": "warning",
        "log_config": None,  # `setup_logs` has set it: all lines of a log have one form
        "server_header": False,
        "timeout_graceful_shutdown": settings.shutdown_seconds,
        **options_of(settings),
    }
    limits = Limits.of(settings)
    if settings.workers == 1:
        config = uvicorn.Config("metarec.app.service.run:worker", **options)
        LimitedServer(config, limits).run(sockets)
        return
    # A worker that is still importing on a busy machine does not answer the check of its health;
    # the default of 5 seconds would kill it, and each one after it.
    run_workers(
        uvicorn.Config(
            "metarec.app.service.run:worker",
            workers=settings.workers,
            timeout_worker_healthcheck=120,
            **options,
        ),
        sockets,
        limits,
    )


def _run_on_ray(settings: ServiceSettings, sockets: list[socket.socket]) -> None:
    """Serve by processes of Ray, one of which listens at the port."""
    from metarec.app.service.on_ray import run_on_ray

    for one in sockets:
        one.close()
    run_on_ray(settings)


def worker() -> FastAPI:
    """Build the application of one worker process, from the settings that `serve` handed down."""
    from metarec.app.service.application import create_app
    from metarec.runtime.artifacts import BrokenArtifact

    settings = ServiceSettings.from_json(os.environ[HANDED_DOWN])
    set_up_worker(settings)
    try:
        return create_app(settings)
    # Such as a store that is unavailable while a worker is replaced: the next one may find it.
    except (OSError, BrokenArtifact) as error:
        logging.getLogger("metarec.service").error(
            "a worker cannot start", extra={"reason": str(error)}
        )
        time.sleep(1.0)
        raise SystemExit(1) from error


def _tidy(settings: ServiceSettings) -> None:
    """Complete unfinished changes of killed processes in the folder of the models, while the
    service already answers.
    """
    from metarec.feedback import open_store
    from metarec.feedback.forgotten_rows import remove_leftovers
    from metarec.feedback.registry import Registry

    log = logging.getLogger("metarec.service")
    try:
        with closing(open_store(settings.store_url)) as store:
            done = remove_leftovers(store, Registry(settings.model))
    except (BadInput, OSError, ValueError) as error:
        log.warning("the models' folder was not tidied", extra={"reason": str(error)})
        return
    if any(done.values()):
        log.info("tidied the models' folder", extra=done)

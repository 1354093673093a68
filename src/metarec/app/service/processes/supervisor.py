"""Worker processes: started, supervised, and replaced when they end or hang."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import BaseContext
from socket import socket

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from metarec.app.service.monitoring.metrics_folder import remove_metrics_folder
from metarec.app.service.processes.parent_process import end_with_parent
from metarec.app.service.security.limits import LimitedServer, Limits

log = logging.getLogger("metarec.service")
PUT_AWAY = 5.0
"""Seconds that a worker has, in addition to those of running requests, to write waiting rows and
end.
"""
MAX_FOLDER = 70
"""Longest path of the folder of temporary files, in bytes: the address of a socket in it may have
107 in all.
"""


def processes() -> BaseContext:
    """Return how workers are started. On Linux they are forked from a process that has imported the
    service and done nothing else, so that all share the memory of the imports; elsewhere each is
    started by itself. The forking process is called through a socket in the folder of temporary
    files, so a path longer than `MAX_FOLDER` also starts each by itself.
    """
    if sys.platform != "linux" or len(os.fsencode(tempfile.gettempdir())) > MAX_FOLDER:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["metarec.app.service.application"])
    return context


def _started(
    config: uvicorn.Config, target: Callable[[list[socket]], None], sockets: list[socket]
) -> None:
    """Run a worker's process. Objects that it shares are excluded from garbage collection, which
    would copy their memory page by page.
    """
    gc.freeze()
    config.configure_logging()
    with suppress(KeyboardInterrupt):
        target(sockets)


class Worker(Process):
    """A worker whose health is checked without waiting for its answer.

    uvicorn's own check waits for the answer, also of a worker killed meanwhile. While it waits, as
    long as a slow worker may take, no worker is replaced and no signal handled.
    """

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket], limits: Limits | None = None
    ) -> None:
        super().__init__(config, sockets)
        started = {"config": config, "target": self.target, "sockets": sockets}
        ctx = processes()
        # Of either context; typeshed gives only subclasses of BaseContext a Process
        self.process = ctx.Process(target=_started, kwargs=started)  # type: ignore[attr-defined]
        self._limits = limits
        self._asked_at: float | None = None

    @property
    def server(self) -> uvicorn.Server:
        """Uvicorn's server, with limits where there are some."""
        if self._server is None and self._limits is not None:
            self._server = LimitedServer(self.config, self._limits)
        return super().server

    def target(self, sockets: list[socket] | None = None) -> None:
        """Run the worker in this process; it ends with its supervisor, so that the port is
        released.
        """
        grace = float(self.config.timeout_graceful_shutdown or 0) + PUT_AWAY
        end_with_parent(grace, first=remove_metrics_folder)
        super().target(sockets)

    def is_alive(self, timeout: float = 5) -> bool:
        """Return whether the process runs, and has answered within `timeout` seconds of a check."""
        if not self.process.is_alive():
            return False
        try:
            while self.parent_conn.poll(0):
                self.parent_conn.recv()
                self._asked_at = None
            if self._asked_at is None:
                self.parent_conn.send(b"ping")
                self._asked_at = time.monotonic()
        except (OSError, EOFError):
            return False
        return time.monotonic() - self._asked_at < timeout


class Supervisor(Multiprocess):
    """Keeps the number of workers constant; it never waits for any of them."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket], limits: Limits) -> None:
        super().__init__(config, sockets)
        self._limits = limits

    def init_processes(self) -> None:
        """Start all workers."""
        self.processes += [self._started() for _ in range(self.processes_num)]

    def keep_subprocess_alive(self) -> None:
        """Replace workers that ended or hang; called twice a second."""
        for place, worker in enumerate(self.processes):
            if self.should_exit.is_set() or worker.is_alive(self.config.timeout_worker_healthcheck):
                continue
            worker.kill()
            worker.join()
            if worker.exitcode == STARTUP_FAILURE:  # another one would fail too
                log.error("a worker could not start, the service ends")
                self.should_exit.set()
                return
            log.warning("a worker ended, another is started", extra={"exit_code": worker.exitcode})
            self.processes[place] = self._started()

    def _started(self) -> Worker:
        worker = Worker(self.config, self.sockets, self._limits)
        worker.start()
        return worker

    def join_all(self) -> None:
        """Wait for workers told to stop, and kill those that take longer than the time all have."""
        grace = float(self.config.timeout_graceful_shutdown or 0) + PUT_AWAY
        until = time.monotonic() + grace
        for worker in self.processes:
            worker.process.join(max(0.0, until - time.monotonic()))
            if worker.process.is_alive():
                log.warning("a worker did not stop in time and is ended")
                worker.process.kill()
                worker.process.join()


def run_workers(config: uvicorn.Config, sockets: list[socket], limits: Limits) -> None:
    """Serve with `config.workers` processes, which share these bound sockets, until told to
    stop.
    """
    Supervisor(config, sockets, limits).run()

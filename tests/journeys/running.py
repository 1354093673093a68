"""A service as its operator runs it: real processes, real sockets, a saved model."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = """
import json, sys
from metarec.app.service.run import serve
serve(**json.loads(sys.argv[1]))
"""


def free_port() -> int:
    """A port below those that the system gives to connections, or one could take it meanwhile."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", random.SystemRandom().randrange(12_000, 32_000)))
            return probe.getsockname()[1]


def children_of(process: int) -> list[int]:
    """Processes that it started and that run, by its first thread."""
    with contextlib.suppress(OSError):
        return [
            int(n) for n in Path(f"/proc/{process}/task/{process}/children").read_text().split()
        ]
    return []


def command_of(process: int) -> bytes:
    """How a process was started; empty once it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


@dataclass
class Running:
    """A service in a process group of its own."""

    model: Path
    store: str
    workers: int = 1
    port: int = field(default_factory=free_port)
    settings: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    _log: list[bytes] = field(default_factory=list)

    def start(self, wait: float = 240.0, until: str = "/readyz") -> float:
        """Start; gives the seconds until `until` was answered with 200."""
        arguments = {
            "model": str(self.model),
            "store": self.store,
            "workers": self.workers,
            "port": self.port,
            "requests_per_second": 0,
            **self.settings,
        }
        began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(arguments)],
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
        )
        threading.Thread(target=self._read_log, args=(self.process,), daemon=True).start()
        while time.monotonic() - began < wait:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", until, timeout=1.0)[0] == 200:
                    return time.monotonic() - began
            if self.process.poll() is not None:
                raise RuntimeError(f"the service ended: {self.log()}")
            time.sleep(0.05)
        raise RuntimeError(f"the service was not ready in {wait} seconds: {self.log()}")

    def _read_log(self, process: subprocess.Popen[bytes]) -> None:
        with process.stderr as lines:
            self._log.extend(lines)

    def log(self) -> str:
        """Everything on stderr so far, of all starts."""
        return b"".join(self._log).decode(errors="replace")

    def ask(
        self, method: str, path: str, body: Any = None, timeout: float = 30.0
    ) -> tuple[int, Any]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(
                method,
                path,
                None if body is None else json.dumps(body),
                {"content-type": "application/json"},
            )
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if "json" in (
                answer.getheader("content-type") or ""
            ) else text.decode()
        finally:
            connection.close()

    def worker_ids(self) -> list[int]:
        """Process ids of the workers (the one process itself where there is one worker)."""
        if self.workers == 1:
            return [self.process.pid]
        started = [(child, command_of(child)) for child in children_of(self.process.pid)]
        forked = [children_of(child) for child, command in started if b"forkserver" in command]
        return sum(forked, [child for child, command in started if b"spawn_main" in command])

    def wait_for_all_workers(self, most: float = 240.0) -> None:
        """Until every worker has answered; each names itself in the number of its answers."""
        seen: set[str] = set()
        until = time.monotonic() + most
        while len(seen) < self.workers:
            assert time.monotonic() < until, (
                f"only {len(seen)} of {self.workers} workers answer: {self.log()[-2000:]}"
            )
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5.0)
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/healthz")
                worker = connection.getresponse().getheader("x-request-id").split("-")[0]
                if int(worker, 16) in self.worker_ids():
                    seen.add(worker)
            connection.close()
            time.sleep(0.01)

    def kill(self, worker: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)

    def kill_all(self) -> None:
        """The supervisor and every worker, in one blow."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def kill_supervisor(self, most: float = 120.0) -> None:
        """The first process alone; every worker must be gone after a while, and the port free."""
        workers = self.worker_ids()
        self.process.kill()
        self.process.wait(10)
        until = time.monotonic() + most
        while alive := [worker for worker in workers if Path(f"/proc/{worker}/exe").exists()]:
            assert time.monotonic() < until, f"{alive} outlive their supervisor: {self.log()}"
            time.sleep(0.05)

    def stop(self, timeout: float = 60.0) -> int:
        """Ask it to end; gives the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill_all()
        return self.process.returncode

    def __enter__(self) -> Running:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()


@dataclass
class Told:
    """What was sent, and what of it the service acknowledged."""

    acknowledged: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    answered: list[tuple[float, float]] = field(default_factory=list)
    """When each request that was acknowledged began and ended (monotonic)."""
    refused: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Senders:
    """Threads that send events until stopped; what was not acknowledged is sent again with the same
    ids, as clients do.
    """

    def __init__(self, service: Running, threads: int = 3, batch: int = 5) -> None:
        self.service, self.batch, self.told = service, batch, Told()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(number,), daemon=True)
            for number in range(threads)
        ]

    def __enter__(self) -> Senders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(40)

    def _send(self, sender: int) -> None:
        number = 0
        while not self._stop.is_set():
            ids = [f"{sender}-{number}-{n}" for n in range(self.batch)]
            number += 1
            with self.told.lock:
                self.told.sent += ids
            body = {
                "events": [
                    {"event_id": name, "user_id": f"user{sender}", "item_id": "s01", "kind": "like"}
                    for name in ids
                ]
            }
            while not self._try(body, ids):
                if self._stop.wait(0.02):
                    return

    def _try(self, body: dict[str, Any], ids: list[str]) -> bool:
        began = time.monotonic()
        try:
            status, answer = self.service.ask("POST", "/v1/events", body, timeout=10.0)
        except (OSError, http.client.HTTPException):
            return False
        with self.told.lock:
            if status != 200:
                self.told.refused += 1
                return False
            self.told.answered.append((began, time.monotonic()))
            assert answer["accepted"] + answer["duplicates"] == len(ids), answer
            self.told.acknowledged += ids
        return True

    def wait_for_answer(self, after: float, most: float = 240.0) -> float:
        """Seconds from `after` (monotonic) until a request that began later was acknowledged."""
        while time.monotonic() - after < most:
            with self.told.lock:
                later = [ended for began, ended in self.told.answered[-50:] if began > after]
            if later:
                return later[0] - after
            time.sleep(0.02)
        raise AssertionError(
            f"nothing acknowledged within {most} seconds; the log says: "
            f"{self.service.log()[-2000:]}"
        )

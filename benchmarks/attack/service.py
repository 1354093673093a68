"""Shared code of the attacks: a service of their own on loopback, and other clients that they
should not disturb.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FILES, OWN_FILES = 1_024, 4_096
Attack = Callable[..., None]
KEY = "benchmarks-attack-key-of-nobody"


@contextmanager
def serving(
    model: Path | None,
    *,
    items: int = 2_000,
    keyed: bool = True,
    log: Path | None = None,
    **settings: object,
) -> Iterator[tuple[int, subprocess.Popen]]:
    """Yield a service's port and process; its model is fitted on synthetic items unless given."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        if model is None:
            sys.path.insert(0, str(Path(__file__).parent.parent))
            from serve import model_of

            model = model_of(items, Path(folder) / "model", preset="tiny")
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        environment = {
            **os.environ,
            "METAREC_STORE": str(Path(folder) / "events.db"),
            **({"METAREC_KEYS": f"{KEY}:admin"} if keyed else {}),
            **{f"METAREC_{name.upper()}": str(value) for name, value in settings.items()},
        }
        command = [
            sys.executable,
            "-m",
            "metarec.app.cli",
            "serve",
            str(model),
            "--port",
            str(port),
        ]
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (OWN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        )
        with (log or Path(folder) / "log").open("w") as lines:
            process = subprocess.Popen(
                command, env=environment, stdout=lines, stderr=lines, preexec_fn=_few_files
            )
        try:
            _until_ready(port, process)
            yield port, process
        finally:
            process.terminate()
            process.wait(30)


def _few_files() -> None:
    """Limit open files to what most systems allow a process."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))


def _until_ready(port: int, process: subprocess.Popen, seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError):
            if urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).status == 200:
                return
        time.sleep(0.2)
    raise SystemExit("the service did not become ready")


def call(port: int, method: str, path: str, body: Any = None) -> Any:
    """Return the answer to one request with the key."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        None if body is None else json.dumps(body).encode(),
        {"content-type": "application/json", "x-api-key": KEY},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def ask(port: int, path: str = "/v1/recommendations", body: dict | None = None) -> float:
    """Return the seconds of one request of another client, on its own connection."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        None if path == "/healthz" else json.dumps(body or {"k": 10}).encode(),
        {"content-type": "application/json", "x-api-key": KEY},
    )
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()
    return time.perf_counter() - began


class Others:
    """A client that requests slates one after another, and the latency of each."""

    def __init__(self, port: int) -> None:
        self.port, self.seconds, self.failed = port, [], 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Others:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(40)

    def _ask(self) -> None:
        while not self._stop.wait(0.02):
            try:
                self.seconds.append(ask(self.port))
            except OSError:
                self.failed += 1

    def told(self) -> dict[str, float]:
        """Return the median and the 99th percentile of latency in milliseconds, and the number of
        requests without an answer.
        """
        ordered = sorted(self.seconds) or [float("inf")]
        return {
            "asked": len(self.seconds) + self.failed,
            "failed": self.failed,
            "p50_ms": round(1e3 * statistics.median(ordered), 2),
            "p99_ms": round(1e3 * ordered[int(0.99 * (len(ordered) - 1))], 2),
        }


def watched(port: int, attack: Attack, seconds: float) -> dict[str, object]:
    """Return the latency of other clients for some seconds before, and while `attack(port, stop)`
    runs in its own process.
    """
    for _ in range(20):
        ask(port)
    with Others(port) as before:
        time.sleep(seconds)
    apart = multiprocessing.get_context("fork")
    stop = apart.Event()
    attacker = apart.Process(target=attack, args=(port, stop), daemon=True)
    attacker.start()
    time.sleep(1.0)
    with Others(port) as during:
        time.sleep(seconds)
    stop.set()
    attacker.join(10)
    attacker.kill()
    quiet, attacked = before.told(), during.told()
    return {
        "before": quiet,
        "during": attacked,
        "p99_ratio": round(attacked["p99_ms"] / quiet["p99_ms"], 2),
    }


def resident_mb(process: int) -> float:
    """Return the memory of a process in MB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0

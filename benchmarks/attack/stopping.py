"""Check that the service stops: exit codes, the port, child processes and metrics folders.

    python benchmarks/attack/stopping.py [--model MODEL] [--json FILE]

Each case starts a service with two workers that retrains at once, ends it in one way, and reports
what is left after some seconds. Linux only; loopback only.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from bounds import Check, arguments, conclude
from service import serving

WAYS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT, "SIGKILL": signal.SIGKILL}
PATIENCE = 20.0


def children_of(process: int) -> list[int]:
    """Return all descendants of a process."""
    found = [process]
    for above in found:
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                if int(path.read_text().rpartition(")")[2].split()[1]) == above:
                    found.append(int(path.parent.name))
    return found[1:]


def running(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def is_free(port: int) -> bool:
    with suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False


def ended(model: Path | None, workers: int, way: int) -> dict[str, object]:
    """Return what is left of a service after ending it in this way."""
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["TMPDIR"] = temporary
        with serving(model, workers=workers, retrain_hours=0.0003) as (port, process):
            time.sleep(4)
            below = children_of(process.pid)
            process.send_signal(way)
            process.wait(60)
            until = began = time.monotonic()
            while time.monotonic() < began + PATIENCE and (
                any(map(running, below)) or not is_free(port)
            ):
                time.sleep(0.2)
            until = time.monotonic()
            return {
                "exit_code": process.returncode,
                "children": len(below),
                "children_left": sum(map(running, below)),
                "port_is_free": is_free(port),
                "seconds": round(until - began, 1),
                "metrics_folders": len(list(Path(temporary).glob("metarec-metrics-*"))),
            }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    found = {
        f"{name}, {workers} worker{'s' * (workers > 1)}": ended(options.model, workers, way)
        for name, way in WAYS.items()
        for workers in (1, 2)
    }
    conclude([check_of(name, one) for name, one in found.items()], found, options.json)


def check_of(name: str, left: dict[str, object]) -> Check:
    """Return a check that nothing is left, and that a stopped service exits with 0."""
    is_killed = name.startswith("SIGKILL")
    holds = (
        left["children_left"] == 0
        and left["port_is_free"] is True
        and (is_killed or (left["exit_code"] == 0 and left["metrics_folders"] == 0))
    )
    bound = "no children, the port free" + ("" if is_killed else ", exit code 0, no folders")
    return Check(what=name, measured=left, bound=bound, holds=holds)


if __name__ == "__main__":
    main()

"""Attack the service without a key: idle connections, endless URLs, headers and bodies.

    python benchmarks/attack/connections.py [--model MODEL] [--only idle] [--json FILE]

Measured is the latency of other clients before and during each attack. Loopback only; each attack
is bounded in connections, bytes and seconds.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from bounds import Check, arguments, at_most, conclude
from service import serving, watched

IDLE = 1_100
SLOW = 300
MEGABYTES = 200
OTHERS = 4.0
"""Maximum ratio of the latency of other clients during an attack to that before."""


def connected(port: int) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port), timeout=5)
    one.settimeout(5)
    return one


def idle(port: int, stop: threading.Event) -> None:
    """Open more connections than a process may have files; closed ones are opened again."""
    held: list[socket.socket] = []
    while not stop.is_set():
        with suppress(OSError):
            while len(held) < IDLE and not stop.is_set():
                held.append(connected(port))
        held = [one for one in held if not gone(one)]
        stop.wait(0.2)
    for one in held:
        one.close()


def gone(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        return one.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def endless(port: int, stop: threading.Event, start: bytes, piece: bytes) -> None:
    """Open a few connections that each send one endless thing, up to some megabytes."""
    while not stop.is_set():
        with suppress(OSError), connected(port) as one:
            one.sendall(start)
            for _ in range(MEGABYTES * 1_000_000 // len(piece)):
                if stop.is_set():
                    return
                one.sendall(piece)


def endless_url(port: int, stop: threading.Event) -> None:
    endless(port, stop, b"GET /", b"a" * 65_536)


def endless_headers(port: int, stop: threading.Event) -> None:
    endless(port, stop, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"a: b\r\n" * 10_000)


def one_long_header(port: int, stop: threading.Event) -> None:
    endless(port, stop, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\na: ", b"b" * 65_536)


def trickled(port: int, stop: threading.Event, start: bytes) -> None:
    """Send requests one byte at a time."""
    held: list[socket.socket] = []
    while not stop.is_set():
        with suppress(OSError):
            while len(held) < SLOW and not stop.is_set():
                one = connected(port)
                one.sendall(start)
                held.append(one)
        for one in held:
            one.setblocking(False)
            with suppress(OSError):
                one.send(b"x")
        held = [one for one in held if not gone(one)]
        stop.wait(0.5)
    for one in held:
        one.close()


def slow_headers(port: int, stop: threading.Event) -> None:
    trickled(port, stop, b"POST /v1/recommendations HTTP/1.1\r\nHost: 127.0.0.1\r\na: ")


def slow_bodies(port: int, stop: threading.Event) -> None:
    trickled(
        port,
        stop,
        b"POST /v1/recommendations HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: application/json\r\nContent-Length: 900000\r\n\r\n{",
    )


ATTACKS = {
    "idle": idle,
    "url": endless_url,
    "headers": endless_headers,
    "header": one_long_header,
    "slow_headers": slow_headers,
    "slow_bodies": slow_bodies,
}


def all_at_once(port: int, stop: threading.Event) -> None:
    threads = [
        threading.Thread(target=attack, args=(port, stop), daemon=True)
        for attack in ATTACKS.values()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--only", choices=[*ATTACKS, "all"])
    options = parser.parse_args()
    attacks = {**ATTACKS, "all": all_at_once}
    chosen = {options.only: attacks[options.only]} if options.only else attacks
    found = {}
    with serving(options.model) as (port, _):
        for name, attack in chosen.items():
            found[name] = watched(port, attack, options.seconds)
            time.sleep(1.0)
    checks = [check for name, one in found.items() for check in checks_of(name, one)]
    conclude(checks, found, options.json)


def checks_of(name: str, found: dict[str, object]) -> list[Check]:
    """Return checks of other clients' latency, and that all of them were answered."""
    during = found["during"]
    assert isinstance(during, dict)
    return [
        at_most(f"{name}: others' p99 to before", float(str(found["p99_ratio"])), OTHERS),
        at_most(f"{name}: others not answered", during["failed"], 0),
    ]


if __name__ == "__main__":
    main()

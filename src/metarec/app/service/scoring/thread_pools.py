"""Thread pools by purpose, so that no kind of request waits for another kind.

Readiness checks have a thread of their own. Costly requests share a few threads and a bounded queue
with a deadline; a request that cannot be served in time gets 503 with Retry-After.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from fastapi import HTTPException

from metarec.app.service.settings import ServiceSettings

T = TypeVar("T")


class Pool:
    """Threads with a bounded queue, and a deadline for queueing and running together."""

    def __init__(self, name: str, *, threads: int, waiting: int, seconds: float) -> None:
        """Create the pool; threads start on demand.

        Args:
            name: part of the threads' names.
            threads: number of threads.
            waiting: length of the queue.
            seconds: deadline of a call, from its submission to its end.
        """
        self._name, self._places, self._seconds = name, threads + waiting, seconds
        self._taken = 0
        self._threads = ThreadPoolExecutor(threads, f"metarec-{name}")

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Run `work(*args)` in a thread and return its result.

        Raises:
            HTTPException: 503 with Retry-After, if the queue is full or the deadline has passed.
                Work that has not begun by then is cancelled; work that has begun runs to its end
                and keeps its place until then.
        """
        if self._taken >= self._places:
            raise self._busy("too many of these requests wait already")
        self._taken += 1
        loop = asyncio.get_running_loop()
        running = self._threads.submit(work, *args)
        running.add_done_callback(lambda _done: _in_loop(loop, self._give_back))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(running), self._seconds)
        except TimeoutError:
            if _own_timeout(running):
                raise
            raise self._busy(f"this was not done within {self._seconds:g} seconds") from None

    def close(self) -> None:
        """Start no more work, and cancel what has not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _give_back(self) -> None:
        self._taken -= 1

    def _busy(self, why: str) -> HTTPException:
        return HTTPException(
            503, f"{why}; try again in a while", {"Retry-After": str(max(1, round(self._seconds)))}
        )


class Pools:
    """The thread pools of a worker process."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.health = Pool("health", threads=1, waiting=64, seconds=10.0)
        """Readiness checks."""
        self.heavy = Pool(
            "heavy",
            threads=settings.heavy_threads,
            waiting=settings.heavy_waiting,
            seconds=settings.heavy_seconds,
        )
        """Explanations, onboarding, and slates that cost many times a plain one."""

    def close(self) -> None:
        """Start no more work, and cancel what has not begun."""
        self.health.close()
        self.heavy.close()


def _own_timeout(done: Future[Any]) -> bool:
    """Whether the work itself raised a `TimeoutError`, rather than the deadline of the pool."""
    return done.done() and not done.cancelled() and isinstance(done.exception(), TimeoutError)


def _in_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():  # the service may have stopped meanwhile
        loop.call_soon_threadsafe(call)

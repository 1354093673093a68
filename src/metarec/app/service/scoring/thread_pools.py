"""Threads by purpose, so that no kind of request waits for another kind.

Readiness has a thread that nothing else uses. Costly requests share a few threads; so many may
wait, each for so long, and whoever cannot be served in time is told when to come again.
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
    """Some threads, a bounded queue before them, and a deadline for both together."""

    def __init__(self, name: str, *, threads: int, waiting: int, seconds: float) -> None:
        """Prepare; threads start when they are needed.

        Args:
            name: of the threads, and in answers.
            threads: at work at once.
            waiting: that may wait for them.
            seconds: from being asked to being done.
        """
        self._name, self._places, self._seconds = name, threads + waiting, seconds
        self._taken = 0
        self._threads = ThreadPoolExecutor(threads, f"metarec-{name}")

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """What `work(*args)` gives.

        Raises:
            HTTPException: 503 with Retry-After, if too many wait or it took too long. Work that has
                not begun by then is never done; work that has begun ends by itself, and keeps its
                place until then.
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
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _give_back(self) -> None:
        self._taken -= 1

    def _busy(self, why: str) -> HTTPException:
        return HTTPException(
            503, f"{why}; try again in a while", {"Retry-After": str(max(1, round(self._seconds)))}
        )


class Pools:
    """All pools of a worker."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.health = Pool("health", threads=1, waiting=64, seconds=10.0)
        """Readiness."""
        self.heavy = Pool(
            "heavy",
            threads=settings.heavy_threads,
            waiting=settings.heavy_waiting,
            seconds=settings.heavy_seconds,
        )
        """Explanations, onboarding, and slates that cost many plain ones."""

    def close(self) -> None:
        """Begin nothing more."""
        self.health.close()
        self.heavy.close()


def _own_timeout(done: Future[Any]) -> bool:
    """Whether the work itself raised it."""
    return done.done() and not done.cancelled() and isinstance(done.exception(), TimeoutError)


def _in_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():  # the service may have stopped meanwhile
        loop.call_soon_threadsafe(call)

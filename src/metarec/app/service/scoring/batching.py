"""Dynamic batching: requests that arrive while others are being scored are scored together.

No request waits for a batch to fill: an idle service scores after one more turn of its event loop,
some hundredths of a millisecond. Under load, one matrix product serves many users for little more
than the cost of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

ScoreRequest = TypeVar("ScoreRequest")
Answer = TypeVar("Answer")


class Batcher(Generic[ScoreRequest, Answer]):
    """Collects the requests of consecutive turns of the event loop, or those that arrive while the
    previous batch is in its thread, into one batch.
    """

    def __init__(
        self,
        answer_all: Callable[[Sequence[ScoreRequest]], Sequence[Answer]],
        *,
        in_thread: Callable[[], bool],
        max_batch: int = 64,
        seen: Callable[[int], None] = lambda _size: None,
    ) -> None:
        """Create the batcher; nothing runs before the first request.

        Args:
            answer_all: answers several requests at once, in their order.
            in_thread: whether the next batch runs in the thread rather than in the event loop.
            max_batch: largest number of requests in a batch.
            seen: called with the size of each batch.
        """
        self._answer_all, self._in_thread, self._max_batch, self._seen = (
            answer_all,
            in_thread,
            max_batch,
            seen,
        )
        self._waiting: list[tuple[ScoreRequest, asyncio.Future[Answer]]] = []
        self._due = False
        self._known = 0
        self._thread = ThreadPoolExecutor(1, "metarec-scorer")

    async def answer(self, request: ScoreRequest) -> Answer:
        """Return the answer to one request, scored within a batch."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((request, answer))
        if not self._due:
            self._due = True
            loop.call_soon(self._start)  # after all handlers that are ready in this turn
        return await answer

    def close(self) -> None:
        """Shut the thread down without waiting for it."""
        self._thread.shutdown(wait=False)

    def _start(self) -> None:
        # Clients that were answered together send their next requests together, but these are read
        # one after the other: a turn with a new request may be followed by one with more.
        if self._known < len(self._waiting) < self._max_batch:
            self._known = len(self._waiting)
            asyncio.get_running_loop().call_soon(self._start)
            return
        self._known = 0
        batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
        self._seen(len(batch))
        requests = [request for request, _ in batch]
        if not self._in_thread():
            self._finish(batch, self._answers(requests))
            return
        running = asyncio.get_running_loop().run_in_executor(self._thread, self._answers, requests)
        running.add_done_callback(lambda done: self._finish(batch, done.result()))

    def _answers(self, requests: list[ScoreRequest]) -> list[Answer | Exception]:
        """Return an answer or an exception for each request. Where a batch fails, its requests are
        answered one by one, so that only the bad one fails.
        """
        try:
            return list(self._answer_all(requests))
        except Exception as error:  # it is the answer to its request, and the batch must end
            return (
                [error]
                if len(requests) == 1
                else [answer for request in requests for answer in self._answers([request])]
            )

    def _finish(
        self,
        batch: list[tuple[ScoreRequest, asyncio.Future[Answer]]],
        answers: Sequence[Answer | Exception],
    ) -> None:
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():  # the client has disconnected
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self._due = bool(self._waiting)
        if self._due:
            asyncio.get_running_loop().call_soon(self._start)

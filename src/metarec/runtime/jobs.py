"""Run one function over many items: in this process, in several processes, or on Ray, with the same
results in the same order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from metarec.runtime.extras import require

Item = TypeVar("Item")
Result = TypeVar("Result")

HERE, RAY = BACKENDS = ("here", "ray")
AHEAD = 2
"""Items submitted per worker before the first is done: more would only fill memory."""


def run_jobs(
    fn: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int = 1,
    *,
    backend: str = "here",
    on_done: Callable[[int], None] | None = None,
) -> list[Result]:
    """Return `[fn(item) for item in items]`, computed by several workers.

    `fn` and the items must be picklable if `workers` > 1; randomness must come from the item
    (`runtime.rng.derive`), so that results do not depend on the worker. The first failure stops the
    run and names the item. Items are taken from `items` lazily, when a worker is about to be free.

    Args:
        workers: number of processes; 1 uses this one.
        backend: `here`, or `ray` (extra `ray`; uses a running cluster if `RAY_ADDRESS` names one).
            A Ray worker that dies is replaced and its items run again.
        on_done: called with the number of items done.

    Raises:
        ValueError: if `workers` or `backend` is out of range.
    """
    check_backend(workers, backend)
    if backend == "ray":
        return _on_ray(fn, items, workers, on_done)
    if workers == 1 or len(items) < 2:
        results = []
        for position in range(len(items)):
            results.append(_named(fn, position, items[position]))
            if on_done is not None:
                on_done(position + 1)
        return results
    return _in_processes(fn, items, min(workers, len(items)), on_done)


def check_backend(workers: int, backend: str) -> None:
    """Refuse an invalid number of workers or an unknown backend.

    Raises:
        ValueError: if either is out of range.
    """
    if workers < 1:
        raise ValueError(f"workers must be 1 or more, got {workers}")
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")


def _named(fn: Callable[[Item], Result], position: int, item: Item) -> Result:
    try:
        return fn(item)
    except Exception as error:
        error.add_note(f"while running job {position} on {item!r:.200}")
        raise


def _collected(
    submit: Callable[[int], Any],
    n_items: int,
    max_running: int,
    wait: Callable[[list[Any]], list[Any]],
    result: Callable[[Any], Result],
    on_done: Callable[[int], None] | None,
) -> list[Result]:
    """Return results in the order of the items; at most `max_running` run at a time."""
    results: dict[int, Result] = {}
    running: dict[Any, int] = {}
    waiting: Iterator[int] = iter(range(n_items))
    while len(results) < n_items:
        while len(running) < max_running and (position := next(waiting, None)) is not None:
            running[submit(position)] = position
        for handle in wait(list(running)):
            results[running.pop(handle)] = result(handle)
            if on_done is not None:
                on_done(len(results))
    return [results[position] for position in range(n_items)]


def _in_processes(
    fn: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    on_done: Callable[[int], None] | None,
) -> list[Result]:
    """Run the items in several processes of this machine."""
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
    from concurrent.futures import wait as wait_for
    from multiprocessing import get_context

    def first(handles: list[Future[Result]]) -> list[Future[Result]]:
        return list(wait_for(handles, return_when=FIRST_COMPLETED).done)

    # spawn: a forked child of a process that has run torch may hang in its thread pools.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            return _collected(
                lambda position: pool.submit(_named, fn, position, items[position]),
                len(items),
                AHEAD * workers,
                first,
                Future.result,
                on_done,
            )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _on_ray(
    fn: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    on_done: Callable[[int], None] | None,
) -> list[Result]:
    """Run the items on Ray."""
    with ray_cluster(workers) as ray:
        job = ray.remote(_named).options(num_cpus=1, max_retries=2)
        shared = ray.put(fn)
        try:
            return _collected(
                lambda position: job.remote(shared, position, items[position]),
                len(items),
                AHEAD * workers,
                lambda handles: list(ray.wait(handles)[0]),
                ray.get,
                on_done,
            )
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error  # the job's own error, as without Ray


@contextmanager
def ray_cluster(cpus: int) -> Iterator[Any]:
    """Yield Ray, connected to the cluster of this process if there is one, else to the one in
    `RAY_ADDRESS`, else to one with `cpus` CPUs started here; a connection made here is closed at
    the end.

    Raises:
        MissingExtra: without the extra `ray`.
        ValueError: if no cluster answers at `RAY_ADDRESS`.
    """
    ray = require("ray", "ray")
    started = not ray.is_initialized()
    if started:
        address = os.environ.get("RAY_ADDRESS")
        where = {"address": address} if address else {"num_cpus": cpus, "include_dashboard": False}
        try:
            ray.init(**where, log_to_driver=False)
        except ConnectionError as error:
            raise ValueError(
                f"no Ray cluster answers at {address} (RAY_ADDRESS); start it, or unset that for "
                "one on this machine"
            ) from error
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()

"""Run one function over many items: here, in several processes, or on Ray, with the same results in
the same order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from metarec.runtime.extras import require

Item = TypeVar("Item")
Result = TypeVar("Result")

BACKENDS = ("here", "ray")


def run_jobs(
    fn: Callable[[Item], Result], items: Sequence[Item], workers: int = 1, *, backend: str = "here"
) -> list[Result]:
    """`[fn(item) for item in items]`, spread over workers.

    `fn` and the items must be picklable when `workers` > 1; randomness must come from the item
    (`runtime.rng.derive`), so that who runs it does not matter. The first failure stops the run and
    names the item.

    Args:
        workers: processes at once; 1 stays in this one.
        backend: `here`, or `ray` (extra `ray`; uses a running cluster if the environment names
            one).

    Raises:
        ValueError: if `workers` or `backend` is out of range.
    """
    if workers < 1:
        raise ValueError(f"workers must be 1 or more, got {workers}")
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if backend == "ray":
        return _on_ray(fn, items, workers)
    if workers == 1 or len(items) < 2:
        return [_named(fn, position, item) for position, item in enumerate(items)]
    return _in_processes(fn, items, min(workers, len(items)))


def cpu_count() -> int:
    """Cores this process may use, which a container can hold below what the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _named(fn: Callable[[Item], Result], position: int, item: Item) -> Result:
    try:
        return fn(item)
    except Exception as error:
        error.add_note(f"while running job {position} on {item!r:.200}")
        raise


def _in_processes(
    fn: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> list[Result]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # spawn: a forked child of a process that has run torch may hang in its thread pools.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_named, fn, position, item) for position, item in enumerate(items)]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _on_ray(fn: Callable[[Item], Result], items: Sequence[Item], workers: int) -> list[Result]:
    ray = require("ray", "ray")
    started = not ray.is_initialized()
    if started:
        address = os.environ.get("RAY_ADDRESS")
        ray.init(
            **({"address": address} if address else {"num_cpus": workers}),
            include_dashboard=False,
            log_to_driver=False,
        )
    try:
        job = ray.remote(_named).options(num_cpus=1, max_retries=2)
        shared = ray.put(fn)
        waiting = [job.remote(shared, position, item) for position, item in enumerate(items)]
        results: list[Result] = ray.get(waiting)
        return results
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error  # the job's own error, as in-process
    finally:
        if started:
            ray.shutdown()

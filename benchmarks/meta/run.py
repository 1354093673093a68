"""Run the cases, check that all implementations agree, and report tasks per second as ratios within
the run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from benchmarks.meta.cases import TASKS, new_case
from benchmarks.meta.melu import melu_loop, melu_ours, new_melu_case
from benchmarks.meta.memory import keep_freed_memory, peak_memory
from benchmarks.meta.ridge import ridge_loop, ridge_ours, solve_loop, solve_ours
from benchmarks.meta.ways import ways

from metarec.models.few_shot.functional import Params
from metarec.runtime.progress import Progress, silent

AGREE = 1e-10
"""Maximum relative difference of meta-gradients in float64 for implementations to agree."""
ROUNDS = 7
BLOCK = 0.1
"""CPU seconds of each turn; fast implementations are called many times in it, as in training."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Results of one implementation on one case."""

    case: str
    steps: int
    """Inner steps; 0 for a closed form."""
    way: str
    tasks_per_second: float
    """Tasks of a whole meta-gradient per CPU second."""
    ratio: float
    """Ratio to the loop on the same case."""
    error: float
    """Largest difference of the meta-gradient from the loop's in float64, relative to its largest
    entry.
    """
    first_seconds: float
    """CPU seconds of the first call, including compilation."""
    peak_mib: float | None
    """Memory beyond what was held before."""


class Disagreement(AssertionError):
    """Two implementations gave different meta-gradients, so their speeds cannot be compared."""


def bench_meta(*, seed: int = 0, rounds: int = ROUNDS, progress: Progress = silent) -> list[Row]:
    """Time every implementation on every case on one thread, in turns, so that a busy machine slows
    all alike.

    Raises:
        Disagreement: if a meta-gradient differs from that of the loop.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_freed_memory()
    try:
        rows: list[Row] = []
        contests = _contests(seed)
        for n, contest in enumerate(contests):
            rows += _time(contest, rounds)
            progress("timing meta-gradients", (n + 1) / len(contests), contest.name)
        return rows
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True, kw_only=True)
class _Contest:
    """One case and the implementations for it."""

    name: str
    steps: int
    case: Any
    ways: dict[str, Callable[[Any, int], Params]]


def _contests(seed: int) -> list[_Contest]:
    gradient = [
        _Contest(name=f"{name} head", steps=steps, case=new_case(name, seed), ways=dict(ways()))
        for name in ("MLP", "Transformer")
        for steps in (1, 5)
    ]
    closed = [
        _Contest(
            name="closed form",
            steps=0,
            case=new_case("MLP", seed),
            ways={"metarec": ridge_ours, "loop": ridge_loop},
        ),
        _Contest(
            name="its solution",
            steps=0,
            case=new_case("MLP", seed),
            ways={"metarec": solve_ours, "loop": solve_loop},
        ),
    ]
    melu = _Contest(
        name="MeLU's setting",
        steps=1,
        case=new_melu_case(seed),
        ways={"metarec": melu_ours, "loop": melu_loop},
    )
    return [*gradient, *closed, melu]


def _time(contest: _Contest, rounds: int) -> list[Row]:
    case, steps, found = contest.case, contest.steps, contest.ways
    exact = case.double()
    reference = found["loop"](exact, steps)
    errors = {way: _difference(compute(exact, steps), reference) for way, compute in found.items()}
    for way, error in errors.items():
        if not error <= AGREE:
            raise Disagreement(
                f"{way} on {contest.name}, {steps} steps, differs from the loop by {error:.1e} of "
                f"the largest slope"
            )
    first = {way: _seconds(partial(compute, case, steps)) for way, compute in found.items()}
    peaks = {way: peak_memory(partial(compute, case, steps)) for way, compute in found.items()}
    seconds: dict[str, list[float]] = {way: [] for way in found}
    for _ in range(rounds):
        for way, compute in found.items():
            seconds[way].append(_seconds_each(partial(compute, case, steps)))
    typical = {way: statistics.median(taken) for way, taken in seconds.items()}
    return [
        Row(
            case=contest.name,
            steps=steps,
            way=way,
            tasks_per_second=TASKS / typical[way],
            ratio=typical["loop"] / typical[way],
            error=errors[way],
            first_seconds=first[way],
            peak_mib=peaks[way],
        )
        for way in found
    ]


def _seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call, of all threads; libraries may start their own."""
    started = time.process_time()
    work()
    return time.process_time() - started


def _seconds_each(work: Callable[[], object]) -> float:
    """Return the CPU seconds per call of a sequence of calls, as in training."""
    taken: list[float] = []
    while sum(taken) < BLOCK:
        taken.append(_seconds(work))
    return statistics.mean(taken)


def _difference(ours: Params, theirs: Params) -> float:
    assert ours.keys() == theirs.keys(), "ways name weights alike"
    largest = max(float(value.abs().max()) for value in theirs.values())
    return max(float((ours[name] - value).abs().max()) for name, value in theirs.items()) / largest


def describe(rows: Sequence[Row]) -> str:
    """Format the rows as a table for a terminal."""
    head = (
        f"{'case':<18}{'steps':>6}  "
        f"{'way':<10}{'tasks/s':>10}{'x loop':>9}{'error':>10}{'1st call s':>12}{'peak MiB':>10}"
    )
    lines = [
        f"{row.case:<18}{row.steps or '':>6}  "
        f"{row.way:<10}{row.tasks_per_second:>10,.0f}{row.ratio:>9.1f}{row.error:>10.0e}"
        + f"{row.first_seconds:>12.2f}"
        + (f"{row.peak_mib:>10.0f}" if row.peak_mib is not None else f"{'':>10}")
        for row in rows
    ]
    return "\n".join([head, *lines])

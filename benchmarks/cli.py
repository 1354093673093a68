"""Measure the speed of meta-training, as ratios within one run: `python -m benchmarks.cli` in a
clone.
"""

from __future__ import annotations

from dataclasses import asdict

import typer
from benchmarks.meta import bench_meta, describe

from metarec.app.commands.options import Json, Seed, show
from metarec.runtime.progress import on_terminal


def meta(
    rounds: int = typer.Option(7, min=1, help="Timed repetitions; the median counts."),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Time the meta-gradient of 32 tasks: ours, a plain loop, and other libraries where installed.
    All must agree in float64.
    """
    with on_terminal(show=not as_json) as progress:
        rows = bench_meta(seed=seed, rounds=rounds, progress=progress)
    show({"rows": [asdict(row) for row in rows]}, describe(rows), as_json=as_json)


if __name__ == "__main__":
    typer.run(meta)

"""`metarec bench`: speed, as ratios within one run, so that they mean something on any machine."""

from __future__ import annotations

from dataclasses import asdict

import typer

from metarec.app.commands.options import Json, Seed, show

app = typer.Typer(no_args_is_help=True, help="Measure speed on this machine, as ratios within one run.")


@app.command("meta", short_help="Meta-training against a loop over tasks.")
def meta(rounds: int = typer.Option(7, min=1, help="Timed repetitions; the median counts."), seed: Seed = 0, as_json: Json = False) -> None:
    """Time the meta-gradient of 32 tasks: ours, a plain loop, and other libraries where installed; all must agree in float64."""
    from metarec.metalearning.bench import bench_meta, describe
    from metarec.runtime.progress import on_terminal

    with on_terminal(show=not as_json) as progress:
        rows = bench_meta(seed=seed, rounds=rounds, progress=progress)
    show({"rows": [asdict(row) for row in rows]}, describe(rows), as_json=as_json)

"""`metarec bench`: speed, as ratios within one run, so that they mean something on any machine."""

from __future__ import annotations

from dataclasses import asdict

import typer

from metarec.app.commands.options import Json, Seed, show

app = typer.Typer(
    no_args_is_help=True, help="Measure speed on this machine, as ratios within one run."
)


@app.command("meta", short_help="Meta-training against a loop over tasks.")
def meta(
    rounds: int = typer.Option(7, min=1, help="Timed repetitions; the median counts."),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Time the meta-gradient of 32 tasks: ours, a plain loop, and other libraries where installed;
    all must agree in float64.
    """
    from metarec.metalearning.bench import bench_meta, describe
    from metarec.runtime.progress import on_terminal

    with on_terminal(show=not as_json) as progress:
        rows = bench_meta(seed=seed, rounds=rounds, progress=progress)
    show({"rows": [asdict(row) for row in rows]}, describe(rows), as_json=as_json)


@app.command("serve", short_help="The service beside a bare endpoint.")
def serve(
    items: int = typer.Option(10_000, min=100, help="Items in the catalog."), as_json: Json = False
) -> None:
    """Load the service on this machine, beside a bare endpoint of the same bytes and a plain
    matrix-vector product.
    """
    text = _script("serve", "--items", str(items))
    show({"items": items, "output": text.splitlines()}, text, as_json=as_json)


@app.command("ingest", short_help="Reading and cleaning beside a bare scan.")
def ingest(
    rows: int = typer.Option(10_000_000, min=10_000, help="Events to generate and read."),
    as_json: Json = False,
) -> None:
    """Time reading, cleaning and splitting a generated table, beside a bare scan of it."""
    text = _script("ingest", "--rows", str(rows))
    show({"rows": rows, "output": text.splitlines()}, text, as_json=as_json)


def _script(name: str, *words: str) -> str:
    """What a script of the source's `benchmarks/` prints.

    Raises:
        BadInput: if metarec was installed without its source.
        OSError: if the script failed.
    """
    import subprocess
    import sys
    from pathlib import Path

    import metarec
    from metarec.data.schema import BadInput

    path = Path(str(metarec.__file__)).parents[2] / "benchmarks" / f"{name}.py"
    if not path.is_file():
        raise BadInput(
            f"this benchmark comes with the source: run `metarec bench {name}` in a clone that "
            f"`make setup` installed"
        )
    done = subprocess.run(
        [sys.executable, str(path), *words], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise OSError(f"{path.name} failed with exit code {done.returncode}")
    return done.stdout.rstrip()

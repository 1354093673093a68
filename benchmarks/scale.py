"""Measure the cost of a fit as data grow: CPU time and peak memory of each step, relative to
implicit.

    python benchmarks/scale.py --sizes 1e6x2e4 1e7x2e5 --presets tiny --json scale.json
    python benchmarks/scale.py --sizes 1e5x1e6 --presets tiny        # a catalog far larger than its
                                                                     # number of events

Synthetic events: items in 100 latent clusters, popularity and activity by power laws, all seeded.
Every row runs in its own process on one thread, so that peaks are its own; ratios are between CPU
seconds of one run. `implicit` (extra `bench`) is skipped where it is not installed, and the row
says so.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

CLUSTERS, OWN_CLUSTER = 100, 0.8
"""Number of latent clusters of items, and the share of a user's events in their own cluster."""
TAIL = 0.8
"""Exponent of the popularity of items within a cluster."""
ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
}


def events(n_events: int, n_items: int, n_users: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Return user and item indexes of distinct pairs, and seconds, [E]; about `n_events` of
    them.
    """
    rng = np.random.default_rng(seed)
    share = rng.pareto(1.5, n_users) + 0.5
    lengths = np.minimum(rng.poisson(share / share.mean() * n_events / n_users), n_items // 4)
    users = np.repeat(np.arange(n_users), lengths)
    own = rng.integers(0, CLUSTERS, n_users)[users]
    anywhere = rng.random(len(users)) > OWN_CLUSTER
    cluster = np.where(anywhere, rng.integers(0, CLUSTERS, len(users)), own)
    size = max(1, n_items // CLUSTERS)
    weights = (np.arange(size) + 3.0) ** -TAIL
    rank = np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(len(users)))
    items = np.minimum(rank, size - 1) * CLUSTERS + cluster
    _, first = np.unique(users * n_items + items, return_index=True)
    first.sort()
    return users[first], items[first], 1.6e9 + rng.random(len(first)) * 3e7


def write_data(folder: Path, n_events: int, n_items: int, n_users: int) -> None:
    """Write a data folder of these events and a catalog of all items, tagged by cluster."""
    import polars as pl

    folder.mkdir(parents=True, exist_ok=True)
    users, items, seconds = events(n_events, n_items, n_users)
    pl.DataFrame({"user": users, "item": items, "timestamp": seconds}).select(
        pl.format("u{}", "user").alias("user_id"),
        pl.format("i{}", "item").alias("item_id"),
        "timestamp",
    ).write_parquet(folder / "interactions.parquet")
    catalog = pl.DataFrame({"item": np.arange(n_items)}).select(
        pl.format("i{}", "item").alias("item_id"),
        pl.format("c{}", pl.col("item") % CLUSTERS).alias("tags"),
    )
    catalog.write_parquet(folder / "items.parquet")


def peak() -> float:
    """Return the peak memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def high_water() -> float:
    """Return the peak memory of this process in MiB since the last reset, where the kernel reports
    it.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return peak()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def lower_mark() -> None:
    """Reset the peak of `high_water` (Linux only; elsewhere it stays the peak so far)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


class Steps:
    """CPU seconds and peaks of named steps, which may be nested."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._open: list[float] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        if self._open:
            self._open[-1] = max(self._open[-1], high_water())
        lower_mark()
        self._open.append(0.0)
        started = time.process_time()
        yield
        cpu = time.process_time() - started
        own = max(self._open.pop(), high_water())
        lower_mark()
        if self._open:
            self._open[-1] = max(self._open[-1], own)
        depth = len(self._open)
        self.rows.append({"step": name, "depth": depth, "cpu": round(cpu, 2), "peak": round(own)})
        print(
            f"{'  ' * (depth + 1) + name:<44} {cpu:8.2f} s {own:8.0f} MiB",
            file=sys.stderr,
            flush=True,
        )

    def around(self, name: str, made: Callable[..., Any]) -> Callable[..., Any]:
        """Return `made` with timing under `name` at every call."""

        def timed(*given: Any, **named: Any) -> Any:
            with self.step(name):
                return made(*given, **named)

        return timed


WITHIN = {
    "metarec.recommendation.fitting.ensemble_fit": "score_held_out train_gate _gates acceptance_of",
    "metarec.recommendation.fitting.cross_fitting": (
        "gather_tasks known_tasks popularity_of item_statistics_of"
    ),
    "metarec.recommendation.fitting.fit": "fit",
    "metarec.recommendation.fitting.reading": "_read_items _digest _whole_catalog",
    "metarec.recommendation.fitting.past": "cut_histories",
}
"""Module -> functions of a fit that are timed, by the module that calls them."""


def fit_row(folder: Path, preset: str) -> dict[str, Any]:
    """Read, fit and save with `preset`, step by step."""
    import metarec
    from metarec.models.registry import MODELS
    from metarec.models.trend import Trend
    from metarec.recommendation.fitting.past import Past

    steps = Steps()
    for name, model in list(MODELS.items()):
        timed = type(model.__name__, (model,), {"fit": steps.around(f"fit {name}", model.fit)})
        timed.from_arrays = model.from_arrays  # what is read back is the model itself
        MODELS[name] = timed
    for place, names in WITHIN.items():
        module = importlib.import_module(place)
        for name in names.split():
            setattr(module, name, steps.around(name.strip("_"), getattr(module, name)))
    for owner, name, told in ((Past, "of", "events"), (Trend, "fit", "trend")):
        setattr(owner, name, steps.around(told, getattr(owner, name)))
    with steps.step("read"):
        data = metarec.read(str(folder))
    with steps.step("fit, whole"):
        model = metarec.Recommender.fit(data, preset, encoder="none")
    fitted = {"cpu_fitted": time.process_time(), "peak_fitted": max(r["peak"] for r in steps.rows)}
    with steps.step("save"):
        model.save(folder / f"model-{preset}")
    with steps.step("100 slates"):
        for number in range(100):
            model.recommend([metarec.Request(history=[f"i{number}", f"i{number + CLUSTERS}"])])
    return {**summary(steps), **fitted}


def implicit_row(folder: Path, name: str) -> dict[str, Any]:
    """Fit ALS (64 factors, 15 sweeps) or cosine item k-NN (200) of implicit on the same events."""
    import polars as pl
    import scipy.sparse as sp

    steps = Steps()
    with steps.step("read"):
        frame = pl.read_parquet(folder / "interactions.parquet")
        users, items = (
            frame[c].cast(pl.Categorical).to_physical().to_numpy() for c in ("user_id", "item_id")
        )
        matrix = sp.csr_matrix((np.ones(len(frame), np.float32), (users, items)))
    with steps.step("fit"):
        if name == "als":
            from implicit.als import AlternatingLeastSquares

            model = AlternatingLeastSquares(64, iterations=15, num_threads=1, random_state=0)
        else:
            from implicit.nearest_neighbors import CosineRecommender

            model = CosineRecommender(200, num_threads=1)
        model.fit(matrix, show_progress=False)
    return summary(steps)


def summary(steps: Steps) -> dict[str, Any]:
    """Return CPU seconds and peak memory of the whole process."""
    highest = max([peak(), *(row["peak"] for row in steps.rows)])
    return {"cpu": time.process_time(), "peak": highest, "steps": steps.rows}


def ran(*given: str, limit: float | None) -> dict[str, Any]:
    """Return the row that a process printed, or how it ended."""
    command = [sys.executable, __file__, *given]
    if limit is not None:
        command = ["bash", "-c", f'ulimit -v {int(limit * 2**20)}; exec "$@"', "scale", *command]
    done = subprocess.run(
        command, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        return {"failed": f"exit {done.returncode}"}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=["1e6x2e4"], help="EVENTSxITEMS[xUSERS]")
    parser.add_argument("--presets", nargs="*", default=["tiny"])
    parser.add_argument("--peers", nargs="*", default=["als", "knn"])
    parser.add_argument("--folder", type=Path, default=Path("scale-data"))
    parser.add_argument("--limit", type=float, help="GiB of address space a row may take")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("WHAT", "NAME", "FOLDER"), help="one row, here")
    options = parser.parse_args()
    if options.one:
        what, name, folder = options.one
        row = fit_row(Path(folder), name) if what == "fit" else implicit_row(Path(folder), name)
        print(json.dumps(row))
        return
    has_peers = importlib.util.find_spec("implicit") is not None
    table = []
    print("| events x items x users | model | CPU s | to ALS | peak MiB | to ALS |")
    print("|---|---|---|---|---|---|")
    for size in options.sizes:
        n_events, n_items, *rest = (int(float(number)) for number in size.split("x"))
        n_users = rest[0] if rest else max(100, n_events // 20)
        folder = options.folder / size
        if not (folder / "items.parquet").exists():
            write_data(folder, n_events, n_items, n_users)
        todo = [("peer", peer) for peer in options.peers if has_peers]
        todo += [("fit", preset) for preset in options.presets]
        als: dict[str, Any] = {}
        for what, name in todo:
            row = ran("--one", what, name, str(folder), limit=options.limit)
            if (what, name) == ("peer", "als"):
                als = row
            table.append({"size": size, "what": what, "name": name, **row})
            print(f"| {n_events:,} x {n_items:,} x {n_users:,} | {name} | {cells(row, als)} |")
        if not has_peers:
            print("implicit is not installed (extra bench): no ratios")
    if options.json:
        options.json.write_text(json.dumps(table, indent=1))


def cells(row: dict[str, Any], als: dict[str, Any]) -> str:
    """Format CPU time and peak memory, each relative to those of ALS."""
    if "failed" in row:
        return f"{row['failed']} | | |"
    ratios = [
        f"{row[k]:,.0f} | {row[k] / als[k]:.2f}" if k in als else f"{row[k]:,.0f} | " for k in UNITS
    ]
    return " | ".join(ratios)


UNITS = ("cpu", "peak")


if __name__ == "__main__":
    main()

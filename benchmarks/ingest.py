"""Measure the speed of reading, cleaning and splitting a generated table, relative to a plain
polars scan of the same file.

    python benchmarks/ingest.py --rows 10000000

Prints rows per second, the ratio to the scan and the peak memory of each step, each in its own
process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

STEPS = ("scan", "read+clean+split", "ingest")


def generate(path: Path, rows: int, seed: int = 0) -> None:
    """Write views and purchases with long tails of users and items, unordered, in row groups as a
    warehouse writes them.
    """
    rng = np.random.default_rng(seed)
    users, items, part = max(rows // 50, 10), max(rows // 200, 10), 2_000_000
    for number, start in enumerate(range(0, rows, part)):
        n = min(part, rows - start)
        pl.DataFrame(
            {
                "user_id": (users * rng.random(n) ** 1.5).astype(np.int64),
                "item_id": (items * rng.random(n) ** 3).astype(np.int64),
                "timestamp": rng.integers(1_600_000_000, 1_660_000_000, n),
                "view": rng.random(n) < 0.9,
            }
        ).select(
            pl.format("user-{}", "user_id").alias("user_id"),
            pl.format("item-{}", "item_id").alias("item_id"),
            "timestamp",
            pl.when("view").then(pl.lit("view")).otherwise(pl.lit("purchase")).alias("kind"),
        ).write_parquet(path / f"{number:04d}.parquet")
    pl.scan_parquet(path / "*.parquet").sink_parquet(path / "interactions.parquet")
    for piece in path.glob("0*.parquet"):
        piece.unlink()


def run(step: str, path: Path) -> dict[str, float]:
    """Run one step in this process."""
    start, cpu = time.perf_counter(), time.process_time()
    if step == "scan":
        pl.scan_parquet(path / "interactions.parquet").select(
            pl.col("user_id", "item_id", "kind").str.len_bytes().sum(), pl.col("timestamp").sum()
        ).collect(engine="streaming")
    elif step == "read+clean+split":
        from metarec.data.cleaning import read_clean
        from metarec.data.cold_users import split_cold_users

        data, report = read_clean(path)
        split_cold_users(data, rng=np.random.default_rng(0), max_users=1000)
        assert report.facts["events"] > 0
    else:
        from metarec.data.ingest import ingest

        ingest(path, path / "cleaned")
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Generate the table, then measure each step in a new process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=["scan", "read+clean+split"])
    parser.add_argument(
        "--folder",
        type=Path,
        help="where to generate, or a folder generated before; a temporary one by default",
    )
    parser.add_argument("--one", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run(options.one[0], Path(options.one[1]))))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "interactions.parquet").is_file():
            generate(folder, options.rows)
        rows = pl.scan_parquet(folder / "interactions.parquet").select(pl.len()).collect().item()
        size = (folder / "interactions.parquet").stat().st_size / 2**20
        print(f"{rows:,} rows, {size:,.0f} MiB of Parquet, {pl.thread_pool_size()} threads")
        print(f"{'step':<20}{'seconds':>9}{'cpu s':>8}{'rows/s':>14}{'x scan':>8}{'peak MiB':>10}")
        scan = None
        for step in options.steps:
            command = [sys.executable, __file__, "--one", step, str(folder)]
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
            if answer.returncode:
                print(f"{step:<20} failed: {answer.stderr.strip().splitlines()[-1]}")
                continue
            took = json.loads(answer.stdout)
            scan = took["seconds"] if step == "scan" else scan
            ratio = f"{took['seconds'] / scan:.1f}" if scan else "-"
            speed = rows / took["seconds"]
            print(
                f"{step:<20}{took['seconds']:>9.1f}{took['cpu']:>8.1f}{speed:>14,.0f}{ratio:>8}"
                f"{took['peak_mib']:>10,.0f}"
            )


if __name__ == "__main__":
    main()

"""Measure a catalog of a million items: the cost of a slate relative to a plain product, how close
slates of candidates are to those of the whole catalog, the cost of adding an item, and the memory
of each worker.

    python benchmarks/large_catalog.py --items 1e6 --events 1e5 --json large.json

Data as in `scale.py`; the model is fitted once and kept in the folder. Slates by candidates, slates
of the whole catalog and the plain product (a matrix with as many columns as the model's embeddings
times a user, the ten best by a partial sort) are timed in turns on one thread, in CPU time, so that
ratios do not depend on the load of the machine. Workers are separate processes that run at the same
time, load the model and answer. Memory that a process shares with no other is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import metarec
from metarec import Recommender, Request
from scale import CLUSTERS, ONE_THREAD, write_data

K = 10


def asked(n: int, rng: np.random.Generator) -> list[Request]:
    """Return new users of one cluster each, with 1, 3 and 5 events in turn, on popular items more
    often.
    """
    users = []
    for number in range(n):
        ranks = np.minimum(rng.pareto(0.8, (1, 3, 5)[number % 3]) * 5, 999).astype(int)
        cluster = int(rng.integers(CLUSTERS))
        users.append(Request(history=[f"i{rank * CLUSTERS + cluster}" for rank in set(ranks)]))
    return users


def cpu(call: Callable[[], Any]) -> float:
    """Return the CPU milliseconds of one call."""
    started = time.process_time()
    call()
    return 1e3 * (time.process_time() - started)


def product(items: int, dim: int, rng: np.random.Generator) -> Callable[[], Any]:
    """Return the minimal computation of scoring all items: a product and a partial sort."""
    table = rng.standard_normal((items, dim)).astype(np.float32)
    user = rng.standard_normal(dim).astype(np.float32)

    def best() -> np.ndarray:
        scores = table @ user
        first = np.argpartition(-scores, K)[:K]
        return first[np.argsort(-scores[first])]

    return best


def slates(model: Recommender, n: int, rng: np.random.Generator) -> dict[str, float]:
    """Return milliseconds, ratios to the product, and the number of the exact ten items in a slate
    of candidates.
    """
    exact, users = replace(model, retrieval=None), asked(n, rng)
    plain = product(len(model.catalog), model.item_embeddings.shape[1], rng)
    for call in (lambda: model.recommend(users[:1]), lambda: exact.recommend(users[:1]), plain):
        call()  # what loads late
    ours, wholes, plains, shared = [], [], [], []
    for number, user in enumerate(users):
        ours.append(cpu(lambda user=user: model.recommend([user], K)))
        if number < n // 4:
            wholes.append(cpu(lambda user=user: exact.recommend([user], K)))
            plains.append(cpu(plain))
            pair = [m.recommend([user], K)[0].item_ids for m in (model, exact)]
            shared.append(len(set(pair[0]) & set(pair[1])) / K)
    middle = float(np.median(plains))
    return {
        "ms": float(np.median(ours)),
        "p99_ms": float(np.quantile(ours, 0.99)),
        "whole_ms": float(np.median(wholes)),
        "product_ms": middle,
        "to_product": float(np.median(ours)) / middle,
        "whole_to_product": float(np.median(wholes)) / middle,
        "overlap@10": float(np.mean(shared)),
        "users": n,
    }


def growing(model: Recommender, rng: np.random.Generator) -> dict[str, float]:
    """Return the milliseconds of adding an item, of changing one, and of the first slate after
    each.
    """
    found: dict[str, list[float]] = {"add": [], "change": [], "first_slate": []}
    users = asked(16, rng)
    for number in range(8):
        kind, name = ("add", f"new{number}") if number % 2 == 0 else ("change", f"i{number}")
        row = pl.DataFrame({"item_id": [name], "tags": [f"c{number}"]})
        started = time.process_time()
        model = model.with_items(row)
        found[kind].append(1e3 * (time.process_time() - started))
        assert model.recommend([replace(users[0], allow=[name])])[0].item_ids == [name]
        user = users[1 + number]
        found["first_slate"].append(cpu(lambda m=model, u=user: m.recommend([u], K)))
    return {f"{name}_ms": float(np.median(times)) for name, times in found.items()}


def memory() -> dict[str, int]:
    """Return MiB of this process: its own, and with its share of shared memory."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return {"own": kib["Private_Dirty"] // 1024, "with_shared": kib["Pss"] // 1024}


def worker(folder: str) -> None:
    """Load the model, answer, report the memory, and wait for the signal to stop."""
    empty = memory()
    model = Recommender.load(folder)
    for user in asked(30, np.random.default_rng(1)):
        model.recommend([user], K, cold_share=0.05)
    print("ready", flush=True)
    sys.stdin.readline()
    held = memory()
    print(json.dumps({**held, "own_beyond_imports": held["own"] - empty["own"]}), flush=True)
    sys.stdin.readline()


def workers(folder: Path, n: int = 2) -> list[dict[str, int]]:
    """Return the memory of each of several workers while all run."""
    command = [sys.executable, __file__, "--worker", str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [
        subprocess.Popen(command, env={**os.environ, **ONE_THREAD}, **pipes) for _ in range(n)
    ]
    rows = []
    for one in running:
        assert one.stdout.readline() == "ready\n"
    for one in running:
        one.stdin.write("tell\n")
        one.stdin.flush()
        rows.append(json.loads(one.stdout.readline()))
    for one in running:
        one.communicate("go\n")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=float, default=1e6)
    parser.add_argument("--events", type=float, default=1e5)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=Path("large-data"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", help="load this model and say what is held")
    options = parser.parse_args()
    if options.worker:
        worker(options.worker)
        return
    rng, place = np.random.default_rng(0), options.folder / f"model-{options.preset}"
    found: dict[str, Any] = {"items": int(options.items), "preset": options.preset}
    if not place.exists():
        events = int(options.events)
        write_data(options.folder, events, int(options.items), max(100, events // 20))
        started = time.process_time()
        data = metarec.read(str(options.folder))
        Recommender.fit(data, options.preset, encoder="none").save(place)
        found["fit_s"] = time.process_time() - started
    found["workers"] = workers(place)
    model = Recommender.load(place)
    assert model.retrieval is not None, "the catalog is too small for candidates"
    found["fit_says"] = model.retrieval.note
    found |= slates(model, options.users, rng)
    found |= growing(model, rng)
    print(json.dumps(found, indent=1))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

"""Measure a catalog in shards: the cost of a slate in each process, and slates per second of a Ray
Serve application on this machine.

    python benchmarks/shards.py --items 2e5 --events 2e5 --json shards.json

Data as in `scale.py`; the model is fitted once and kept in the folder. Printed are CPU milliseconds
on one thread of a slate of the whole catalog, of the part that one of 1, 2, 4 shards computes, and
of the process that merges. The larger of the last two bounds the slates per second with one core
per process, without the cost of HTTP and Ray. `--http` measures these: 8 connections to `metarec
serve`, and to `metarec serve --backend ray` with 1, 2, 4 shards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import metarec
from large_catalog import asked, cpu
from metarec import Recommender, Request
from metarec.recommendation.candidates.some_items import Sums
from metarec.recommendation.pipeline import recommend_each
from metarec.recommendation.ranking import Ranking, SlateOptions
from metarec.recommendation.shards import Shard, merged
from scale import ONE_THREAD, write_data
from serve import Load, http, send_for

HOW = SlateOptions(k=10, cold_share=0.05)


def in_process(model: Recommender, users: Sequence[Request], n: int) -> dict[str, float]:
    """Return the milliseconds of a slate at the slowest of its shards, and of merging."""
    shards = [Shard.of(model, number, n) for number in range(n)]
    spent = np.zeros((len(users), n))

    def timed(row: int, number: int, call: Callable[[], Any]) -> Any:
        started = time.process_time()
        found = call()
        spent[row, number] += 1e3 * (time.process_time() - started)
        return found

    def scored(row: int, _model: Any, user: Sequence[Request], options: SlateOptions) -> Ranking:
        told = [timed(row, at, partial(own.ask, user)) for at, own in enumerate(shards)]
        each = [timed(row, at, lambda own=own: own.sums) for at, own in enumerate(told)]
        sums = Sums.of_all(each)
        offers = [
            timed(row, at, lambda own=own: own.offers(options, sums)) for at, own in enumerate(told)
        ]
        return merged(model, user, options, offers)

    rng = np.random.default_rng(0)
    wholes = [
        cpu(lambda u=u, row=row: recommend_each(model, [u], [HOW], rng, partial(scored, row)))
        for row, u in enumerate(users)
    ]
    rests = np.array(wholes) - spent.sum(1)
    return {"shard_ms": float(np.median(spent.max(1))), "rest_ms": float(np.median(rests))}


def over_http(place: Path, users: Sequence[Request], words: Sequence[str], seconds: float) -> Load:
    """Return the results of eight connections to the service started with these arguments."""
    command = [sys.executable, "-m", "metarec.app.cli", "serve", str(place), "--port", "8461"]
    settings = {"METAREC_REQUESTS_PER_SECOND": "0", "METAREC_LOG_LEVEL": "error"}
    environment = {**os.environ, **ONE_THREAD, **settings}
    running = subprocess.Popen([*command, *words], env=environment, stdout=subprocess.DEVNULL)
    for _ in range(600):
        try:
            urllib.request.urlopen("http://127.0.0.1:8461/readyz", timeout=1)
            break
        except OSError:
            time.sleep(0.5)
    histories = [[{"item_id": event[0]} for event in user.history] for user in users]
    bodies = [http("/v1/recommendations", {"history": history}) for history in histories]
    asyncio.run(send_for(8461, bodies, 2.0, 8))
    load = asyncio.run(send_for(8461, bodies, seconds, 8))
    assert not load.bad, "every request is answered with a slate"
    running.send_signal(signal.SIGTERM)
    running.wait()
    return load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=float, default=2e5)
    parser.add_argument("--events", type=float, default=2e5)
    parser.add_argument("--users", type=int, default=40)
    parser.add_argument("--folder", type=Path, default=Path("sharded-data"))
    parser.add_argument("--http", type=float, default=0.0, help="seconds of load; 0 sends none")
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    place, users = options.folder / "model", asked(options.users, np.random.default_rng(0))
    if not place.exists():
        events = int(options.events)
        write_data(options.folder, events, int(options.items), max(100, events // 20))
        data = metarec.read(str(options.folder))
        Recommender.fit(data, "tiny", encoder="none").save(place)
    model = replace(Recommender.load(place), retrieval=None)
    model.recommend(users[:1])
    rng = np.random.default_rng(0)
    wholes = [cpu(lambda u=u: recommend_each(model, [u], [HOW], rng)) for u in users]
    rows: list[dict[str, Any]] = [{"what": "whole", "ms": float(np.median(wholes))}]
    for n in options.shards:
        row = in_process(model, users, n)
        most = 1e3 / max(row["shard_ms"], row["rest_ms"])
        rows.append({"what": f"{n} shards", **row, "at_most_a_second": most})
    for words in [(), *(("--backend", "ray", "--shards", str(n)) for n in options.shards)]:
        if options.http:
            load = over_http(place, users, words, options.http)
            told = {"per_second": load.per_second, "p50_ms": load.percentile(0.5), "bad": load.bad}
            rows.append({"what": f"serve {' '.join(words)}", **told})
            print(rows[-1], flush=True)
    print(json.dumps(rows, indent=1))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()

"""Measure requests per second of the service, relative to bare endpoints that return the same bytes
and to a plain matrix-vector product.

    python benchmarks/serve.py --items 10000 --seconds 5

One process serves, and this one sends over loopback with a few open connections; all endpoints are
measured in turns over several rounds, so that other load affects all of them. There are three bare
endpoints on the same uvicorn. One in FastAPI, like the service, multiplies a vector of 64 numbers
by a matrix with one row per item and sends the names and scores of the ten best, found by a partial
sort. Two read the body and return the service's own bytes, one in FastAPI and one in Starlette
alone; to their time that of such a product in this process is added, with as many columns as the
model's item embeddings have. "ratio" is the service's CPU time per request over theirs, per round,
as median and range. CPU time is used since wall time depends on other processes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass
class Load:
    """Results of one round of requests."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    bad: int = 0
    cpu: float = 0.0
    """CPU seconds of the server."""

    @property
    def cpu_each(self) -> float:
        """CPU milliseconds of the server per request."""
        return 1e3 * self.cpu / len(self.latencies)

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Return a percentile of latency in milliseconds."""
        return 1e3 * float(np.quantile(self.latencies, share))


class Sender(asyncio.Protocol):
    """A connection that sends the next request as soon as the last is answered."""

    def __init__(
        self, requests: list[bytes], load: Load, until: float, start: int, done: asyncio.Future
    ) -> None:
        self.requests, self.load, self.until, self.next, self.done = (
            requests,
            load,
            until,
            start,
            done,
        )
        self.buffer, self.missing = b"", 0

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.sent = time.perf_counter()
        if self.sent >= self.until:
            self.transport.close()
            return
        self.transport.write(self.requests[self.next % len(self.requests)])
        self.next += 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head_end = self.buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self.buffer[:head_end].lower()
        place = head.index(b"content-length: ") + 16
        length = int(head[place:].split(b"\r\n", 1)[0])
        if len(self.buffer) >= head_end + 4 + length:
            self.load.bad += not head.startswith(b"http/1.1 200")
            self.load.latencies.append(time.perf_counter() - self.sent)
            self.buffer = b""
            self.send()

    def connection_lost(self, _error) -> None:
        if not self.done.done():
            self.done.set_result(None)


def cpu_of(process: subprocess.Popen) -> float:
    """Return the CPU seconds of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load_on(
    server: subprocess.Popen, port: int, requests: list[bytes], options: argparse.Namespace
) -> Load:
    before = cpu_of(server)
    load = asyncio.run(send_for(port, requests, options.seconds, options.connections))
    load.cpu = cpu_of(server) - before
    return load


async def send_for(port: int, requests: list[bytes], seconds: float, connections: int) -> Load:
    loop, load = asyncio.get_running_loop(), Load()
    started = time.perf_counter()
    ends = [loop.create_future() for _ in range(connections)]
    for number, end in enumerate(ends):
        await loop.create_connection(
            lambda number=number, end=end: Sender(
                requests, load, started + seconds, number * 7919, end
            ),
            "127.0.0.1",
            port,
        )
    await asyncio.gather(*ends)
    load.seconds = time.perf_counter() - started
    return load


def http(path: str, body: dict) -> bytes:
    text = json.dumps(body).encode()
    return (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"content-length: {len(text)}\r\n\r\n"
    ).encode() + text


PRODUCT = """
import sys, numpy, orjson, uvicorn
from fastapi import FastAPI, Request, Response
rng, n_items = numpy.random.default_rng(0), int(sys.argv[2])
table = rng.standard_normal((n_items, 64)).astype(numpy.float32)
users = rng.standard_normal((500, 64)).astype(numpy.float32)
ids = [f"i{item}" for item in range(n_items)]
app = FastAPI()
@app.post("/v1/recommendations")
async def bare(request: Request) -> Response:
    asked = orjson.loads(await request.body())
    scores = table @ users[hash(asked["history"][0]["item_id"]) % len(users)]
    best = numpy.argpartition(-scores, asked["k"])[: asked["k"]]
    best = best[numpy.argsort(-scores[best])]
    items = [{"item_id": ids[item], "score": float(scores[item])} for item in best]
    return Response(orjson.dumps({"items": items}), media_type="application/json")
uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="error")
"""
STARLETTE = """
import sys, uvicorn
from pathlib import Path
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
answer = Path(sys.argv[2]).read_bytes()
async def bare(request):
    await request.body()
    return Response(answer, media_type="application/json")
app = Starlette(routes=[Route("/v1/recommendations", bare, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="error")
"""
FASTAPI = """
import sys, uvicorn
from pathlib import Path
from fastapi import FastAPI, Request, Response
answer = Path(sys.argv[2]).read_bytes()
app = FastAPI()
@app.post("/v1/recommendations")
async def bare(request: Request) -> Response:
    await request.body()
    return Response(answer, media_type="application/json")
uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="error")
"""
SERVICE = """
import sys
from metarec.app.service.run import serve
serve(sys.argv[2], sys.argv[3], port=int(sys.argv[1]), requests_per_second=0, log_level="error")
"""


def started(program: str, port: int, *arguments: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(port), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1)
            return process
        except urllib.error.HTTPError:
            return process
        except OSError:
            if process.poll() is not None:
                raise SystemExit("the server did not start") from None
            time.sleep(0.1)
    raise SystemExit("the server did not start in a minute")


def matrix_vector_seconds(items: int, dim: int, k: int = 10) -> float:
    """Return the median time of the minimal exact scoring of a catalog: one product and a partial
    sort.
    """
    rng = np.random.default_rng(0)
    table, user = (
        rng.standard_normal((items, dim)).astype(np.float32),
        rng.standard_normal(dim).astype(np.float32),
    )
    times = []
    for _ in range(max(20, 2_000_000 // items)):
        start = time.process_time()
        scores = table @ user
        best = np.argpartition(-scores, k)[:k]
        best[np.argsort(-scores[best])]
        times.append(time.process_time() - start)
    return statistics.median(times)


def model_of(
    items: int,
    folder: Path,
    users: int = 400,
    events: int = 25,
    seed: int = 0,
    preset: str = "tiny",
) -> Path:
    """Return a model over `items` items with content, fitted on few users; only the size of the
    catalog matters.
    """
    import polars as pl

    import metarec

    rng = np.random.default_rng(seed)
    popular = rng.zipf(1.3, size=(users, events)) % items
    rows = pl.DataFrame(
        {
            "user_id": [f"u{u}" for u in np.repeat(np.arange(users), events)],
            "item_id": [f"i{i}" for i in popular.ravel()],
            "value": rng.integers(1, 6, users * events).astype(float),
            "timestamp": np.arange(users * events, dtype=float),
        }
    )
    catalog = pl.DataFrame(
        {
            "item_id": [f"i{i}" for i in range(items)],
            "title": [f"Title {i}" for i in range(items)],
            "categories": [f"c{i % 20}" for i in range(items)],
            "year": [1950 + i % 70 for i in range(items)],
        }
    )
    data = metarec.Dataset(interactions=rows.unique(["user_id", "item_id"]), items=catalog)
    metarec.Recommender.fit(data, preset=preset, seed=seed, encoder="tfidf").save(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument(
        "--model", type=Path, help="a saved model; one over synthetic items is fitted otherwise"
    )
    parser.add_argument("--port", type=int, default=8790)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options, Path(folder))


def measure(options: argparse.Namespace, folder: Path) -> None:
    import metarec

    place = options.model or model_of(options.items, folder / "model", preset=options.preset)
    model = metarec.Recommender.load(place)
    ids, dim = list(model.vocabulary.ids), model.item_embeddings.shape[1]
    rng = np.random.default_rng(1)
    histories = [
        [
            {"item_id": ids[i], "value": float(rng.integers(1, 6))}
            for i in rng.integers(len(ids), size=5)
        ]
        for _ in range(500)
    ]
    requests = [http("/v1/recommendations", {"history": history, "k": 10}) for history in histories]
    scoring = {
        size: seconds_of_scoring(model, histories, size) for size in (1, options.connections)
    }
    service = started(SERVICE, options.port, str(place), str(folder / "events.db"))
    answer = urllib.request.urlopen(
        urllib.request.Request(
            f"http://127.0.0.1:{options.port}/v1/recommendations",
            json.dumps({"history": histories[0], "k": 10}).encode(),
            {"content-type": "application/json"},
        )
    ).read()
    (folder / "answer.json").write_bytes(answer)
    programs = (
        (PRODUCT, str(len(ids))),
        *((program, str(folder / "answer.json")) for program in (FASTAPI, STARLETTE)),
    )
    bare = [
        started(program, options.port + 1 + place, given)
        for place, (program, given) in enumerate(programs)
    ]
    try:
        rounds = [
            (
                [
                    load_on(server, options.port + place, requests, options)
                    for place, server in enumerate((service, *bare))
                ],
                matrix_vector_seconds(len(ids), dim),
            )
            for _ in range(options.rounds)
        ]
    finally:
        for server in (service, *bare):
            server.terminate()
    report(model, options.connections, rounds, scoring)


def seconds_of_scoring(model, histories, size: int) -> float:
    """Return the median time per user of `recommend` for `size` users at once, in this process."""
    import metarec

    times = []
    asked = [
        metarec.Request(history=[(event["item_id"], event["value"]) for event in history])
        for history in histories
    ]
    for start in range(0, len(asked) - size, max(size, 8)):
        began = time.process_time()
        model.recommend(asked[start : start + size], k=10)
        times.append((time.process_time() - began) / size)
    return statistics.median(times)


def report(
    model, connections: int, rounds: list[tuple[list[Load], float]], scoring: dict[int, float]
) -> None:
    names = ("metarec service", "FastAPI with the product", "bare, FastAPI", "bare, Starlette")
    loads = [
        min((one[place] for one, _ in rounds), key=lambda load: load.cpu_each)
        for place in range(len(names))
    ]
    product = 1e3 * min(seconds for _, seconds in rounds)
    print(
        f"{len(model.vocabulary):,} items, preset {model.preset}, dim "
        f"{model.item_embeddings.shape[1]}, {connections} connections, "
        f"best of {len(rounds)} rounds, answers that were not 200: "
        f"{sum(load.bad for one, _ in rounds for load in one)}"
    )
    print(f"  {'':<32} requests/s   p50 ms   p99 ms   cpu ms each")
    for name, load in zip(names, loads, strict=True):
        print(
            f"  {name:<32} {load.per_second:10.0f} {load.percentile(0.5):8.2f} "
            f"{load.percentile(0.99):8.2f} {load.cpu_each:13.3f}"
        )
    print(f"  {'matrix-vector and top 10':<32} {'':>10} {'':>8} {'':>8} {product:13.3f}")
    for size, seconds in scoring.items():
        print(
            f"  {f'recommend(), {size} at once':<32} {'':>10} {'':>8} {'':>8} {1e3 * seconds:13.3f}"
        )
    for place, name in enumerate(names[1:], 1):
        beside = [0.0 if place == 1 else 1e3 * seconds for _, seconds in rounds]
        ratios = [
            one[0].cpu_each / (one[place].cpu_each + more)
            for (one, _), more in zip(rounds, beside, strict=True)
        ]
        told = name if place == 1 else f"{name}, and product"
        print(
            f"  ratio to {told}: {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()

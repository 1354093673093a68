"""Measure the speed of an accelerator relative to the CPU, in training networks and encoding texts.

    python benchmarks/device.py [--device auto] [--events 200000] [--steps 60] [--json FILE]

Each task runs on the CPU and on the device, once uncounted and once timed; printed are seconds and
their ratio. Events are synthetic, of 100 groups of users and items.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from metarec import Dataset, Recommender, use_device
from metarec.features.behavior import Behavior
from metarec.features.encoders.text.trained import TrainedEncoder, TrainedOptions
from metarec.models.registry import MODELS, config_of
from metarec.recommendation.fitting.fit import behavior_of

GROUPS = 100


def data_of(events: int) -> Dataset:
    """Return data of users who mostly choose items of their group."""
    rng, users, items = np.random.default_rng(0), max(events // 40, 200), max(events // 20, 500)
    user = rng.integers(0, users, events)
    own = user % GROUPS + GROUPS * rng.integers(0, items // GROUPS, events)
    item = np.where(rng.random(events) < 0.8, own, rng.integers(0, items, events)) % items
    frame = pl.DataFrame(
        {
            "user_id": np.char.add("u", user.astype(str)),
            "item_id": np.char.add("i", item.astype(str)),
            "timestamp": rng.random(events) * 1e7,
        }
    )
    ids = np.arange(items)
    titles = [f"thing {n} of group {n % GROUPS}" for n in ids]
    catalog = pl.DataFrame({"item_id": np.char.add("i", ids.astype(str)), "title": titles})
    return Dataset(interactions=frame, items=catalog)


def jobs(behavior: Behavior, steps: int) -> dict[str, Callable[[], Any]]:
    """Return name -> task to time."""

    def fit(name: str, **settings: Any) -> Callable[[], Any]:
        return lambda: MODELS[name].fit(
            behavior, np.random.default_rng(0), config_of(name, settings)
        )

    texts = [f"thing {n} of group {n % GROUPS}" for n in range(5_000)]
    targets = np.random.default_rng(1).normal(size=(GROUPS, 64)).astype(np.float32)

    def read() -> np.ndarray:
        encoder = TrainedEncoder.fit(
            texts,
            targets[np.arange(len(texts)) % GROUPS],
            kind="textcnn",
            options=TrainedOptions(epochs=2),
            rng=np.random.default_rng(0),
        )
        return encoder.encode(texts)

    return {
        "decoder, 256 wide, 4 blocks": fit(
            "decoder", dim=256, layers=4, heads=4, steps=steps, patience=99
        ),
        "deep set": fit("deep_set", steps=steps),
        "MAML": fit("maml", outer_steps=steps),
        "5,000 texts, TextCNN": read,
    }


def seconds(job: Callable[[], Any]) -> float:
    """Return the seconds of the second of two rounds."""
    job()
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def main() -> None:
    """Print the table, and write it with `--json`."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--device", default="auto")
    options.add_argument("--events", type=int, default=200_000)
    options.add_argument("--steps", type=int, default=60, help="of each training")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    there = use_device(given.device)
    use_device("cpu")
    model = Recommender.fit(data_of(given.events), "tiny", encoder="tfidf")
    asked, rows = jobs(replace(behavior_of(model), words=None), given.steps), []
    for name, job in asked.items():
        use_device("cpu")
        here = seconds(job)
        use_device(there)
        found = seconds(job)
        rows.append({"what": name, "device": there, "cpu_s": here, "device_s": found})
        print(
            f"{name:40} cpu {here:8.2f} s  {there} {found:8.2f} s  {here / found:6.2f} x",
            flush=True,
        )
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Measure the time for one new user, from their events to the ranking of the whole catalog,
relative to a plain matrix-vector product.

    python benchmarks/new_user_latency.py --items 10000 100000

Users and items are synthetic (clusters of taste, popularity as 1/rank), and a model is fitted on
them. Both sides are timed in turns in this process on one thread, so that ratios do not depend on
the load of the machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import polars as pl
import torch

from metarec import Dataset, Recommender, Request

DIM, EVENTS, CLUSTERS = 64, 30, 50


def generated(n_items: int, n_users: int, rng: np.random.Generator) -> Dataset:
    """Return data of users who choose most of their items from one cluster."""
    popularity = 1.0 / np.arange(1, n_items + 1)
    cluster_of_item = rng.integers(0, CLUSTERS, n_items)
    cluster_of_user = rng.integers(0, CLUSTERS, n_users)
    drawn = rng.choice(n_items, (n_users, 20 * EVENTS), p=popularity / popularity.sum())
    fits = cluster_of_item[drawn] == cluster_of_user[:, None]
    order = np.argsort(~fits, axis=1, kind="stable")[:, :EVENTS]
    items = np.take_along_axis(drawn, order, 1).ravel()
    users = np.repeat(np.arange(n_users), EVENTS)
    frame = pl.DataFrame(
        {"user_id": users, "item_id": items, "timestamp": np.tile(rng.permutation(EVENTS), n_users)}
    ).unique()
    catalog = pl.DataFrame(
        {"item_id": np.arange(n_items), "genre": [f"g{c}" for c in cluster_of_item]}
    )
    return Dataset(interactions=frame, items=catalog)


def median_ms(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each side, timed in turns."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: float(np.median(taken)) for name, taken in times.items()}


def main() -> None:
    """Print one row for each catalog size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--preset", default="small")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    for n_items in options.items:
        data = generated(n_items, options.users, rng)
        torch.set_num_threads(2)
        model = Recommender.fit(data, preset=options.preset, seed=0, encoder="none")
        torch.set_num_threads(1)
        known = model.trained_on["item_id"].unique().sort().to_list()
        vectors, user = (
            rng.normal(size=(n_items, DIM)).astype(np.float32),
            rng.normal(size=DIM).astype(np.float32),
        )

        def serve(model: Recommender = model, known: list[str] = known) -> object:
            return model.recommend(
                [Request(history=[(item, 1.0) for item in rng.choice(known, 5)])], k=10
            )

        def product(vectors: np.ndarray = vectors, user: np.ndarray = user) -> object:
            scores = vectors @ user
            return np.argpartition(-scores, 10)[:10]

        serve()
        taken = median_ms({"metarec": serve, "matrix-vector": product}, options.rounds)
        print(
            f"{n_items:>9,} items: metarec {taken['metarec']:.2f} ms, matrix-vector product and "
            f"top 10 of dim {DIM} "
            f"{taken['matrix-vector']:.2f} ms, ratio "
            f"{taken['metarec'] / taken['matrix-vector']:.1f}"
        )


if __name__ == "__main__":
    main()

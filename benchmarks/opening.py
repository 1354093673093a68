"""Compare slates for users without events: the default and slates that are the same for all users.

    python opening.py ml-latest-small --seeds 1 2 3        (with the protocol's folder and this
    one on PYTHONPATH)

A slate that is the same for all users is one draw per split, so several splits of one data set are
used. The test users of the protocol's split 0 are removed first, so that no choice made here
depends on them. Printed are means over all new users of all splits, and the differences to the
default with 95% intervals over new users; the best of the other slates is chosen on the test users.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import polars as pl
from newcomer import load_dataset, make_split, ranking_metrics, request

from newcomer_adapter import Model


def lists(
    train: pl.DataFrame, n_items: int, threshold: float | None, pool: int
) -> dict[str, np.ndarray]:
    """Return name -> score of each item, the same for all users: the number of events, of likes, of
    likes after users' first events, and their combinations with mean ratings.
    """
    liked = train if threshold is None else train.filter(pl.col("rating") >= threshold)
    later = train.with_columns(place=pl.int_range(pl.len()).over("user")).filter(
        pl.col("place") >= pool
    )
    if threshold is not None:
        later = later.filter(pl.col("rating") >= threshold)
    counted = {"count": train, "likes": liked, "likes after the first": later}
    found = {
        rule: np.bincount(events["item"].to_numpy(), minlength=n_items)
        for rule, events in counted.items()
    }
    if threshold is not None:
        total = np.bincount(train["item"].to_numpy(), train["rating"].to_numpy(), n_items)
        mean = (total + 5 * train["rating"].mean()) / (found["count"] + 5)
        found |= {
            f"log count + {weight:g} mean": np.log1p(found["count"]) + weight * mean
            for weight in (0.5, 1, 2, 4)
        }
    return found


def opened(name: str, seed: int) -> dict[str, np.ndarray]:
    """Return name of the ranking -> NDCG@10 of each new user of a split."""
    data = load_dataset(name)
    apart = {cold_user.user_id for cold_user in make_split(data, 0).test}
    split = make_split(
        replace(data, interactions=data.interactions.filter(~pl.col("user_id").is_in(apart))), seed
    )
    pools = [cold_user.pool_items for cold_user in split.test]
    model = Model()
    model.fit(split.train, split.items, split.users)
    ranked = {
        "metarec": model.recommend([request(cold_user, 0) for cold_user in split.test], 20, pools)
    }
    for rule, scores in lists(
        split.train, split.n_items, split.threshold, split.stats["pool"]
    ).items():
        best = np.argsort(-scores.astype(np.float64), kind="stable")[: 20 + max(map(len, pools))]
        ranked[rule] = np.array([best[~np.isin(best, pool)][:20] for pool in pools])
    return {
        rule: ranking_metrics(rows, split.test, split.n_items)[1]["ndcg@10"]
        for rule, rows in ranked.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="a data set of the neutral new-user protocol")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the splits")
    options = parser.parse_args()
    found = []
    for seed in options.seeds:
        found.append(opened(options.data, seed))
        print(
            f"split {seed}, {len(found[-1]['metarec'])} new users:",
            ", ".join(f"{rule} {values.mean():.4f}" for rule, values in found[-1].items()),
            flush=True,
        )
    pooled = {rule: np.concatenate([one[rule] for one in found]) for rule in found[0]}
    ours = pooled.pop("metarec")
    draws = np.random.default_rng(0).integers(0, len(ours), (2000, len(ours)))
    print(
        f"\n{options.data}, {len(ours)} new users, NDCG@10 before any event: metarec "
        f"{ours.mean():.4f}"
    )
    for rule, theirs in sorted(pooled.items(), key=lambda pair: -pair[1].mean()):
        low, high = np.quantile((ours - theirs)[draws].mean(1), [0.025, 0.975])
        print(
            f"  {rule:24} {theirs.mean():.4f}   metarec less it {(ours - theirs).mean():+.4f} "
            f"[{low:+.4f}, {high:+.4f}]"
        )


if __name__ == "__main__":
    main()

"""Compare models fitted on all kinds of events, on views alone and on purchases alone, by new
users' later purchases: `python benchmarks/kinds.py SHOP [SHOP ...] --preset tiny`.

SHOP is a data folder or TOML file with views and purchases. A fifth of the users is held out; those
with enough events are evaluated, given their events on the first 1, 3 and 5 items, on what they
bought later. NDCG@10, full ranking without the items of known events; 95% intervals over users, of
each shop and of all shops together.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from metarec.data.cleaning import read_clean
from metarec.data.cold_users import ColdUser, Horizon, cold_users_of
from metarec.data.dataset import Dataset
from metarec.evaluation import metrics
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender

HORIZON = Horizon(support_sizes=(1, 3, 5), pool=5, min_events=8)
DRAWS = 2000


def main() -> None:
    """Print the table, and JSON with every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shops", nargs="+")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--target", default="purchase")
    parser.add_argument("--signal", default="view")
    parser.add_argument("--encoder", default="tfidf")
    args = parser.parse_args()
    found = [judge(shop, args) for shop in args.shops]
    pooled = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
    names = [*args.shops, "all shops"] if len(found) > 1 else args.shops
    rows = [
        {"shop": shop, "users": len(one["all"]), **compare(one, "all", other)}
        for shop, one in zip(names, [*found, pooled], strict=False)
        for other in one
        if other != "all"
    ]
    for row in rows:
        print(
            f"{row['shop']} ({row['users']:,} users): all / {row['other']}: {row['all']:.3f} / "
            f"{row['value']:.3f} = {row['ratio']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        )
    print(json.dumps({"preset": args.preset, "rows": rows}))


def judge(shop: str, args: argparse.Namespace) -> dict[str, np.ndarray]:
    """Return name of the training events -> NDCG@10 of each held-out user, the mean over numbers of
    events.
    """
    data, _ = read_clean(shop)
    users = data.interactions.frame["user_id"].unique().sort()
    held_out = users.sample(fraction=0.2, seed=0)
    is_new = pl.col("user_id").is_in(held_out.implode())
    train = data.with_interactions(data.interactions.frame.filter(~is_new))
    catalog = train.interactions.frame.select("item_id").unique()
    cold_users = cold_users_of(data, held_out, catalog, HORIZON)
    kinds = {"all": None, f"{args.signal}s": args.signal, f"{args.target}s": args.target}
    return {name: _quality(fit(train, only, args), cold_users) for name, only in kinds.items()}


def fit(train: Dataset, only: str | None, args: argparse.Namespace) -> Recommender:
    """Fit on all events, or on those of one kind, which is then the target kind."""
    if only is not None:
        frame = train.interactions.frame.filter(pl.col("kind") == only)
        events = replace(train.interactions, frame=frame, target_kinds=frozenset({only}))
        train = replace(train, interactions=events)
    return Recommender.fit(train, preset=args.preset, encoder=args.encoder)


def _quality(model: Recommender, cold_users: Sequence[ColdUser]) -> np.ndarray:
    values = []
    for shots in HORIZON.support_sizes:
        scores = model.score([Request(history=p.first(shots)) for p in cold_users])
        candidates, liked = np.ones(scores.shape, bool), np.zeros(scores.shape, bool)
        for row, user in enumerate(cold_users):
            taken = model.vocabulary.indexes(e[0] for e in user.pool)
            candidates[row, taken[taken >= 0]] = False
            wanted = model.vocabulary.indexes(user.relevant)
            liked[row, wanted[wanted >= 0]] = True
        ranked = metrics.rank(scores, 10, np.random.default_rng(0), candidates)
        relevant = np.array([len(p.relevant) for p in cold_users])
        values.append(metrics.ndcg(metrics.find_hits(ranked, liked), relevant, 10))
    return np.mean(values, axis=0)


def compare(found: dict[str, np.ndarray], ours: str, other: str) -> dict[str, float | str]:
    """Return the ratio of means, with a 95% interval over users."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(found[ours]), (DRAWS, len(found[ours])))
    ratios = found[ours][rows].mean(1) / found[other][rows].mean(1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    mean, value = float(found[ours].mean()), float(found[other].mean())
    return {
        "other": other,
        "all": mean,
        "value": value,
        "ratio": mean / value,
        "low": float(low),
        "high": float(high),
    }


if __name__ == "__main__":
    main()

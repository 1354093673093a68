"""Measure how well new items without events are ranked for new users after a few known events.

    python benchmarks/new_items_by_events.py DATA [--split 0] [--shares 0 0.5] [--json FILE]

A fifth of the items lose all their events in training. Validation users are scored after some
events on other items; printed is the NDCG@10 of the new items that they liked, among all new items,
for each share in `[models.cold_items] new_users`, and its paired difference to the first share (95%
over users). Users who liked no new item are left out. One model is fitted per share.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import polars as pl
import torch

import metarec
from metarec.data.cold_users import ColdUser, split_cold_users
from metarec.runtime.gains import ndcg_of_scores
from metarec.runtime.rng import derive

EVENTS = (0, 1, 3, 10)
NEW = 0.2
"""Share of the items that are made new."""
MIN_NEW = 2
"""Minimum number of new items among a user's later events."""


def main() -> None:
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("data", type=Path)
    ask.add_argument("--split", type=int, default=0)
    ask.add_argument("--shares", nargs="+", type=float, default=[0.0, 0.5])
    ask.add_argument("--json", type=Path)
    args = ask.parse_args()
    torch.set_num_threads(1)
    data = metarec.read(args.data)
    split = split_cold_users(data, rng=derive(args.split, "split"))
    events = split.train.interactions.frame
    ids = events["item_id"].unique().sort().to_numpy()
    new = set(np.random.default_rng(args.split).permutation(ids)[: int(len(ids) * NEW)])
    train = split.train.with_interactions(events.filter(~pl.col("item_id").is_in(list(new))))
    users = [u for u in split.validation if sum(i in new for i, _ in u.query) >= MIN_NEW]
    found = {}
    for share in args.shares:
        models = {"cold_items": {"new_users": share}}
        model = metarec.Recommender.fit(
            train, preset="small", encoder="tfidf", seed=args.split, models=models
        )
        found[share] = [_qualities(model, users, sorted(new), after) for after in EVENTS]
    rows = [
        _row(share, after, found[args.shares[0]][place], found[share][place])
        for share in args.shares
        for place, after in enumerate(EVENTS)
    ]
    count = len(found[args.shares[0]][0])
    print(f"{args.data.name}, split {args.split}: {count} users, {len(new)} new items")
    for row in rows:
        share, after, ndcg, gain, half = row.values()
        print(f"new_users {share:.2f} after {after:2d}: {ndcg:.4f} ({gain:+.4f} ± {half:.4f})")
    if args.json:
        args.json.write_text(json.dumps(rows), encoding="utf-8")


def _qualities(
    model: metarec.Recommender, users: list[ColdUser], new: list[str], after: int
) -> np.ndarray:
    """Return the NDCG@10 of the users who liked a new item, [B]."""
    columns = model.vocabulary.indexes(new)
    place = {item: n for n, (item, at) in enumerate(zip(new, columns, strict=True)) if at >= 0}
    has_values = model.training.interactions.has_values
    liked_from = model.relevant_from if has_values else -np.inf
    liked = np.zeros((len(users), len(new)), bool)
    for row, user in enumerate(users):
        for item, value in user.query:
            if item in place and (value is None or value >= liked_from):
                liked[row, place[item]] = True
    asked = [
        metarec.Request(
            history=[event for event in user.first(after) if event[0] not in place],
            profile=user.profile,
        )
        for user in users
    ]
    rows = liked.any(axis=1)
    return ndcg_of_scores(model.score(asked)[:, columns][rows], liked[rows], 10)


def _row(share: float, after: int, first: np.ndarray, own: np.ndarray) -> dict[str, float]:
    gain = own - first
    half = 1.96 * gain.std() / np.sqrt(max(len(gain), 1))
    return {
        "share": share,
        "events": after,
        "ndcg": float(own.mean()),
        "gain": float(gain.mean()),
        "half": float(half),
    }


if __name__ == "__main__":
    main()

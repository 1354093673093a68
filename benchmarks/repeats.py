"""Compare ways to recommend items again, by the NDCG@10 of new users: never, always, or learned.

    python benchmarks/repeats.py groceries --users 700 --events 200 --preset tiny

Each held-out user is known by their first items; relevant are all later items, known ones included.
`never`: no known items are shown; `always`: they are ranked by their scores, by a model without
`repeat`; `cells` learns repeats without habits of items; `learned` is the default model. 95%
intervals of paired differences over users.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import numpy as np
import polars as pl

from metarec.data.cleaning import read_clean
from metarec.data.cold_users import cold_users_of
from metarec.data.dataset import Dataset
from metarec.evaluation import metrics
from metarec.models.registry import REPEAT
from metarec.recommendation.fitting.ensemble_fit import fit_ensemble
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender

DRAWS = 2000


def main() -> None:
    """Print a row for each number of events, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data")
    parser.add_argument("--users", type=int, default=700)
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    data = smaller(read_clean(args.data)[0], args.users, args.events, args.seed)
    users = data.interactions.frame["user_id"].unique().sort()
    held_out = users.sample(fraction=0.3, seed=args.seed)
    is_new = pl.col("user_id").is_in(held_out.implode())
    train = data.with_interactions(data.interactions.frame.filter(~is_new))
    model = Recommender.fit(train, preset=args.preset, encoder="none", seed=args.seed)
    print(model.horizon, "repeats allowed:", model.policy.repeats_allowed, flush=True)
    models = {"always": without_repeats(model, args.seed)}
    if REPEAT in model.ensemble.scorers:
        models |= {"cells": without_habits(model, args.seed), "learned": model}
    found = evaluated(models, data, held_out, train, model)
    rows = [row for shots in model.horizon.support_sizes for row in compared(found, shots)]
    for row in rows:
        print(json.dumps(row), flush=True)


def smaller(data: Dataset, users: int, events: int, seed: int) -> Dataset:
    """Return data of some users and their first events."""
    frame = data.interactions.frame
    some = (
        frame["user_id"].unique().sort().sample(min(users, frame["user_id"].n_unique()), seed=seed)
    )
    kept = frame.filter(pl.col("user_id").is_in(some.implode()))
    return data.with_interactions(kept.group_by("user_id", maintain_order=True).head(events))


def without_repeats(model: Recommender, seed: int) -> Recommender:
    """Return a recommender with the same models and a gate without repeats."""
    names = tuple(name for name in model.ensemble.scorers if name != REPEAT)
    behavior = replace(model.behavior(), words=None)
    return replace(model, ensemble=fit_ensemble(behavior, names, seed))


def without_habits(model: Recommender, seed: int) -> Recommender:
    """Return a recommender that learns repeats by state alone; habits of items are damped to be
    equal.
    """
    behavior = replace(model.behavior(), words=None)
    configs = {REPEAT: replace(model.ensemble.scorers[REPEAT].config, item_damping=1e9)}
    names = tuple(model.ensemble.scorers)
    return replace(model, ensemble=fit_ensemble(behavior, names, seed, configs=configs))


def evaluated(
    models: dict[str, Recommender],
    data: Dataset,
    held_out: pl.Series,
    train: Dataset,
    model: Recommender,
) -> dict[tuple[str, int], np.ndarray]:
    """Return (way, number of known events) -> NDCG@10 of each user."""
    catalog = train.interactions.frame.select("item_id").unique()
    users = cold_users_of(data, held_out, catalog, model.horizon)
    again = taken_again(data, users)
    found: dict[tuple[str, int], np.ndarray] = {}
    for shots in model.horizon.support_sizes:
        requests = [Request(history=p.first(shots), profile=p.profile) for p in users]
        shape = (len(users), len(model.vocabulary))
        new, seen, wanted = np.ones(shape, bool), np.zeros(shape, bool), np.zeros(shape, bool)
        for row, (user, repeated) in enumerate(zip(users, again, strict=True)):
            new[row, indexes(model, (e[0] for e in user.pool))] = False
            shown = indexes(model, (e[0] for e in user.first(shots)))
            seen[row, shown] = True
            wanted[row, indexes(model, user.relevant)] = True
            wanted[row, np.intersect1d(shown, indexes(model, repeated))] = True
        for name, one in models.items():
            scores = one.score(requests)
            ways = {name: new | seen, "never": new} if name == "always" else {name: new | seen}
            for way, allowed in ways.items():
                ranked = metrics.rank(scores, 10, np.random.default_rng(0), allowed)
                hits = metrics.find_hits(ranked, wanted)
                found[way, shots] = metrics.ndcg(hits, wanted.sum(1), 10)
    return found


def taken_again(data: Dataset, users: list) -> list[set[str]]:
    """Return the items of each pool on which the same user has events after it."""
    acts = data.interactions.frame.select("user_id", "item_id").partition_by(
        "user_id", as_dict=True
    )
    return [
        set(acts[(p.user_id,)]["item_id"][len(p.pool) :].to_list()) & {e[0] for e in p.pool}
        for p in users
    ]


def indexes(model: Recommender, ids) -> np.ndarray:
    """Return the indexes of known ids."""
    found = model.vocabulary.indexes(ids)
    return found[found >= 0]


def compared(found: dict[tuple[str, int], np.ndarray], shots: int) -> list[dict[str, object]]:
    """Return means at a number of events, and the differences of `learned` to the other ways."""
    means = {way: round(float(v.mean()), 4) for (way, k), v in found.items() if k == shots}
    rng, rows = np.random.default_rng(0), [{"shots": shots, **means}]
    ours = found.get(("learned", shots))
    for way in means if ours is not None else ():
        if way == "learned":
            continue
        gain = ours - found[way, shots]
        drawn = gain[rng.integers(0, len(gain), (DRAWS, len(gain)))].mean(1)
        low, high = np.percentile(drawn, [2.5, 97.5])
        interval = [round(float(low), 4), round(float(high), 4)]
        rows.append(
            {"shots": shots, "learned -": way, "gain": round(gain.mean(), 4), "95%": interval}
        )
    return rows


if __name__ == "__main__":
    main()

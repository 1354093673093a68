"""Does metarec do what is right in worlds whose truth is known? Folders written by a generator of
small tables (`shop`, `social`, `finance`, `logistics`, `health`, `education`) are fitted as their
`metarec.toml` says and held against what the tables say:

    python benchmarks/worlds.py WORLDS [WORLDS ...] --preset tiny --out worlds.json

WORLDS holds the folders of one seed of the generator; several are several seeds.

- social: the share of the disliked topic among ten after three dislikes, in every topic; at most 1.
- finance, logistics: no sell and no decline is ever a target of training or of evaluation; 0.
- health, finance, education: items that the policy forbids on any surface (`forbidden.py`); 0.
- shop: bought one thing, viewed another: of ten from the bought department; at least 6. And new
  users' purchases by all acts, by views alone and by purchases alone (`kinds.py`): at least 1.05
  and not below 1, as far as their intervals tell.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import forbidden
import kinds
from metarec.data.cleaning import read_clean
from metarec.data.cold_users import split_cold_users
from metarec.recommendation.fitting.fit import behavior_of
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender

DRAWS = 5
"""Ways in which three items are disliked, or one bought and one viewed, in each topic."""
NEVER = {
    "finance": ({"buy"}, {"sell"}),
    "logistics": ({"accept", "deliver", "bid"}, {"decline"}),
}
"""By world: kinds of which a target has one, and kinds that make none."""


def main() -> None:
    """Print one line a check and write JSON of all of them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("worlds", nargs="+", type=Path)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--users", type=int, default=500, help="users who ask on each surface")
    parser.add_argument("--only", nargs="+", choices=list(CHECKS), default=list(CHECKS))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = []
    for folder in given.worlds:
        for name in given.only:
            for row in timed(CHECKS[name], folder, given):
                rows.append({"world": folder.name, "check": name, **row})
                print(" ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
                if given.out:
                    given.out.write_text(json.dumps({"preset": given.preset, "rows": rows}))
    wrong = [row for row in rows if not row["holds"]]
    print(f"{len(rows) - len(wrong)} of {len(rows)} hold")
    sys.exit(1 if wrong else 0)


def timed(
    check: Callable[[Path, Namespace], Iterator[dict[str, Any]]], folder: Path, given: Namespace
) -> Iterator[dict[str, Any]]:
    """Rows of a check, each with CPU seconds since the one before."""
    start = time.process_time()
    for row in check(folder, given):
        yield {**row, "cpu_seconds": round(time.process_time() - start, 1)}
        start = time.process_time()


def social(folder: Path, given: Namespace) -> Iterator[dict[str, Any]]:
    """The most items of a topic among ten, after three dislikes of it and of it beside a like."""
    model = fitted(folder / "social", given)
    posts = by_group(folder / "social" / "items.csv", "hashtags", "post_id")
    for topic, ids in posts.items():
        others = [post for other, found in posts.items() if other != topic for post in found]
        rng, most = random.Random(0), {}
        for kind in ("dislike", "hide"):
            no = [[(post, None, kind) for post in rng.sample(ids, 3)] for _ in range(DRAWS)]
            yes = [[(rng.choice(others), None, "like"), *history] for history in no]
            for said, histories in ((kind, no), (f"like, {kind}", yes)):
                slates = model.recommend([Request(history=history) for history in histories], k=10)
                most[said] = max(len(set(slate.item_ids) & set(ids)) for slate in slates)
        yield {"topic": topic, **most, "holds": max(most.values()) <= 1}


def never_targets(name: str) -> Callable[[Path, Namespace], Iterator[dict[str, Any]]]:
    """Pairs of user and item that are targets and have none but negative acts or no target act."""

    def check(folder: Path, given: Namespace) -> Iterator[dict[str, Any]]:
        wanted, refused = NEVER[name]
        acts: dict[tuple[str, str], set[str]] = {}
        for row in rows_of(folder / name / "interactions.csv"):
            user, item, *_, kind = row.values()
            acts.setdefault((user, item), set()).add(kind)
        data, _ = read_clean(folder / name)
        split = split_cold_users(data, rng=np.random.default_rng(0), test=0.4, validation=0.4)
        cold_users = [*split.test, *split.validation]
        evaluated = {(user.user_id, item) for user in cold_users for item in user.relevant}
        model = fitted(folder / name, given)
        targets = behavior_of(model).targets
        users = data.interactions.frame["user_id"].unique(maintain_order=True).to_list()
        items = model.vocabulary.names(targets.items.tolist())
        taught = {(users[u], i) for u, i in zip(targets.owners.tolist(), items, strict=True)}
        for of, pairs in (("evaluation", evaluated), ("training", taught)):
            wrong = [pair for pair in pairs if not acts[pair] & wanted or acts[pair] <= refused]
            holds = not wrong and bool(pairs)
            yield {"targets_of": of, "targets": len(pairs), "wrong": len(wrong), "holds": holds}

    return check


def policies(folder: Path, given: Namespace) -> Iterator[dict[str, Any]]:
    """Forbidden items shown, over all surfaces."""
    for domain in ("health", "finance", "education"):
        told = forbidden.count(folder / domain, given.users, seed=0)
        shown = sum(counted["shown"] for counted in told["surfaces"].values())
        silent = [name for name, counted in told["surfaces"].items() if not counted["shown"]]
        yield {
            "domain": domain,
            "surfaces": len(told["surfaces"]),
            "shown": shown,
            "forbidden": told["forbidden"],
            "holds": not told["forbidden"] and not silent and shown > 0,
        }


def bought_and_viewed(folder: Path, given: Namespace) -> Iterator[dict[str, Any]]:
    """The fewest of ten from the department of what was bought, beside a view of another one."""
    model = fitted(folder / "shop", given)
    shop = by_group(folder / "shop" / "products.csv", "department", "sku")
    rng = random.Random(0)
    for bought in shop:
        for viewed in (other for other in shop if other != bought):
            histories = []
            for draw in range(DRAWS):
                acts = [
                    (rng.choice(shop[bought]), None, "purchase"),
                    (rng.choice(shop[viewed]), None, "view"),
                ]
                histories.append(acts[:: (1, -1)[draw % 2]])
            slates = model.recommend([Request(history=history) for history in histories], k=10)
            found = [len(set(slate.item_ids) & set(shop[bought])) for slate in slates]
            fewest, mean = min(found), round(float(np.mean(found)), 1)
            row = {"bought": bought, "viewed": viewed, "fewest": fewest, "mean": mean}
            yield {**row, "holds": fewest >= 6}


def kinds_pay(folder: Path, given: Namespace) -> Iterator[dict[str, Any]]:
    """New users' purchases by all acts, beside views and purchases alone."""
    args = Namespace(preset=given.preset, target="purchase", signal="view", encoder="tfidf")
    found = kinds.judge(str(folder / "shop"), args)
    for other, least in (("views", 1.05), ("purchases", 1.0)):
        told = {k: round(v, 3) if k != "other" else v for k, v in compared(found, other).items()}
        yield {**told, "users": len(found["all"]), "holds": told["high"] >= least}


def compared(found: dict[str, np.ndarray], other: str) -> dict[str, Any]:
    """As `kinds.compare`."""
    return kinds.compare(found, "all", other)


CHECKS: dict[str, Callable[[Path, Namespace], Iterator[dict[str, Any]]]] = {
    "social": social,
    "finance": never_targets("finance"),
    "logistics": never_targets("logistics"),
    "bought": bought_and_viewed,
    "kinds": kinds_pay,
    "policies": policies,
}


def fitted(folder: Path, given: Namespace) -> Recommender:
    """A model of a world as its settings say."""
    data, _ = read_clean(folder)
    return Recommender.fit(data, preset=given.preset, encoder="tfidf")


def by_group(path: Path, group: str, key: str) -> dict[str, list[str]]:
    """Ids of a table by one of its columns."""
    found: dict[str, list[str]] = {}
    for row in rows_of(path):
        found.setdefault(row[group], []).append(row[key])
    return found


def rows_of(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()

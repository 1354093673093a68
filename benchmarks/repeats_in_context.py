"""Predict which app, used before or not, is used in a given context: the evaluation protocol of new
users with context, with repeats allowed.

    python benchmarks/repeats_in_context.py frappe --part test

(with the protocol's folder, which holds out the users, on PYTHONPATH; `METAREC_PRESET` chooses the
preset). A user is known by their first k different items. Up to twenty of their other events, drawn
with a seed, are predicted, with the context (told) or without it (untold); no item is excluded.
NDCG@10 of the one item, mean over a user's events, then over users.

The baseline is popularity by events, raised for the user's known items, times the lift of each
context value (naive Bayes); its parameters are chosen on validation users.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from context_adapter import Model

SEED = 0
DRAWS = 2000
QUESTIONS = 20
RAISED = (0.0, 3.0, 6.0, 9.0)
"""Amounts added to the log score of a user's known items."""
DAMPING = (20.0, 160.0)
WEIGHTS = (0.5, 1.0)


def main() -> None:
    """Print a line for each number of events, and JSON of all."""
    import protocol

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data")
    parser.add_argument("--part", default="test", choices=["test", "valid"])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    task = protocol.load(args.data, "context", SEED)
    acts = acts_of(protocol.DATA / args.data, protocol.CONTEXT[args.data])
    valid, asked = (questions(acts, task, part) for part in ("valid", args.part))
    model = Model()
    model.fit(task)
    print("repeats allowed:", model.model.policy.repeats_allowed, flush=True)
    print(*(note for note in model.model.notes if note.startswith("context read")), flush=True)
    rows, per_user = [], {}
    simple = Simple(task)
    settings = simple.chosen(valid, protocol)
    print("settings of naive Bayes:", settings, flush=True)
    for shots in protocol.SHOTS:
        found = {
            "told": judged(model.recommend, task, asked, shots, True, protocol),
            "untold": judged(model.recommend, task, asked, shots, False, protocol),
            **{
                name: simple.judged(asked, shots, said, protocol) for name, said in settings.items()
            },
        }
        row = {"events": shots, **{name: float(v.mean()) for name, v in found.items()}}
        row["told - untold"] = interval(found["told"], found["untold"])
        row["told - naive Bayes"] = interval(found["told"], found["own, context"])
        rows.append(row)
        per_user |= {f"{name}:{shots}": values.tolist() for name, values in found.items()}
        print(json.dumps(row), flush=True)
    if args.out:
        args.out.write_text(json.dumps({"rows": rows, "users": per_user}))


def acts_of(folder: Path, columns: Sequence[str]) -> pl.DataFrame:
    """Return all events in the protocol's order of data without times."""
    acts = pl.read_parquet(folder / "interactions.parquet").with_columns(
        pl.col("user_id", "item_id").cast(pl.String)
    )
    order = np.random.default_rng(SEED).permutation(len(acts)).astype(float)
    columns = ["user_id", "item_id", "order", *columns]
    return acts.with_columns(order=pl.Series(order)).select(columns).sort("user_id", "order")


def questions(acts: pl.DataFrame, task: Any, part: str) -> list[Any]:
    """Return the protocol's users with any of their events but the first ones of the pool."""
    rng, known, found = np.random.default_rng(SEED), set(task.train["item_id"]), []
    users = {query.user: query for query in getattr(task, part)}
    mine = acts.filter(pl.col("user_id").is_in(list(users))).partition_by("user_id", as_dict=True)
    for (user,), rows in sorted(mine.items()):
        pool = rows.unique("item_id", keep="first", maintain_order=True).head(
            len(users[user].history)
        )
        rest = rows.join(pool.select("order"), on="order", how="anti", maintain_order="left")
        rest = rest.filter(pl.col("item_id").is_in(list(known)))
        drawn = rest[np.sort(rng.permutation(len(rest))[:QUESTIONS])]
        for row in drawn.drop("user_id", "order").to_dicts():
            item = row.pop("item_id")
            context = {name: value for name, value in row.items() if value is not None}
            found.append(replace(users[user], context=context, relevant=[item]))
    return found


def judged(
    recommend: Any, task: Any, asked: list[Any], shots: int, told: bool, protocol: Any
) -> np.ndarray:
    """Return the NDCG@10 of each user, with no item excluded."""
    requests = protocol.requests(task, asked, shots, told)
    return protocol.ndcg(recommend(requests, 10, [()] * len(asked)), asked)[0]


class Simple:
    """Popularity, the user's known items, and naive Bayes over context."""

    def __init__(self, task: Any) -> None:
        counted = task.train.group_by("item_id").len().sort("len", "item_id", descending=True)
        self.items = counted["item_id"].to_list()
        self.place = {item: place for place, item in enumerate(self.items)}
        self.counts = counted["len"].to_numpy().astype(float)
        self.logs = np.log(self.counts)
        self.tables: dict[str, dict[Any, np.ndarray]] = {}
        taken = np.array([self.place[item] for item in task.train["item_id"]])
        kept = {"user_id", "item_id", "value", "order"}
        for name in (name for name in task.train.columns if name not in kept):
            column, self.tables[name] = task.train[name], {}
            for value in column.drop_nulls().unique().to_list():
                rows = taken[(column == value).fill_null(value=False).to_numpy()]
                self.tables[name][value] = np.bincount(rows, minlength=len(self.items))

    def chosen(self, valid: list[Any], protocol: Any) -> dict[str, tuple[float, float, float]]:
        """Return name -> (raise, damping, weight) that are best for validation users over all
        numbers of events.
        """
        grids = {
            "popularity": [(0.0, 80.0, 0.0)],
            "context": [(0.0, d, w) for d, w in itertools.product(DAMPING, WEIGHTS)],
            "own": [(raised, 80.0, 0.0) for raised in RAISED],
            "own, context": list(itertools.product(RAISED, DAMPING, WEIGHTS)),
        }
        return {
            name: max(
                grid,
                key=lambda said: sum(
                    self.judged(valid, shots, said, protocol).mean() for shots in protocol.SHOTS
                ),
            )
            for name, grid in grids.items()
        }

    def judged(
        self, asked: list[Any], shots: int, said: tuple[float, float, float], protocol: Any
    ) -> np.ndarray:
        """Return the NDCG@10 of each user."""
        return protocol.ndcg([self._slate(query, shots, said) for query in asked], asked)[0]

    def _slate(self, query: Any, shots: int, said: tuple[float, float, float]) -> list[str]:
        raised, damping, weight = said
        scores = self.logs.copy()
        for name, value in query.context.items() if weight else ():
            if (table := self.tables[name].get(value)) is not None:
                scores = scores + weight * self._lift(name, value, table, damping)
        seen = [self.place[item] for item, *_ in query.history[:shots] if item in self.place]
        scores[seen] += raised
        best = np.argpartition(-scores, 10)[:10]
        return [self.items[place] for place in best[np.argsort(-scores[best], kind="stable")]]

    def _lift(self, name: str, value: Any, table: np.ndarray, damping: float) -> np.ndarray:
        key = (name, value, damping)
        kept = self.__dict__.setdefault("lifts", {})
        if key not in kept:
            known = sum(self.tables[name].values())
            share = table.sum() / known.sum()
            kept[key] = np.log((table + damping * share) / (known + damping) / share)
        return kept[key]


def interval(one: np.ndarray, other: np.ndarray) -> list[float]:
    """Return the mean difference and its 95% interval over users."""
    gain = one - other
    drawn = gain[np.random.default_rng(0).integers(0, len(gain), (DRAWS, len(gain)))].mean(1)
    return [round(float(v), 4) for v in (gain.mean(), *np.percentile(drawn, [2.5, 97.5]))]


if __name__ == "__main__":
    main()

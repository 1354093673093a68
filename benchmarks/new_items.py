"""Measure how well hidden items are ranked for new users, from content alone and after 1 and 5
events of other users.

    python benchmarks/new_items.py DATA [--encoders minilm] [--seed 0]

New users have at most 20 events on the remaining items; a tenth of the items is hidden from
training and ranked among themselves (NDCG@10, 95% intervals over users). Content baselines use
TF-IDF or MiniLM: the cosine to the items that the user liked, and its sum with the popularity
predicted by a ridge on content; their one parameter is chosen on the test users. Our models choose
theirs on items hidden a second time, from training.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch

from metarec.data.cold_users import LONG, SHORT, ColdUser
from metarec.data.dataset import Dataset
from metarec.data.read import read
from metarec.data.schema import Vocabulary
from metarec.evaluation import metrics
from metarec.evaluation.interface import requests_at
from metarec.evaluation.measure import EvaluationSet
from metarec.evaluation.scenarios import prepare
from metarec.evaluation.significance import interval, paired_difference, resample
from metarec.features.behavior import Behavior
from metarec.features.events import EventReader
from metarec.features.histories import Histories
from metarec.features.items import ItemInputs
from metarec.features.profiles import ProfileInputs
from metarec.models.cold_items.training import fit_new_items
from metarec.recommender import Recommender


def main() -> None:
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("data", type=Path)
    ask.add_argument("--encoders", nargs="+", default=["tfidf", "minilm"])
    ask.add_argument("--learners", nargs="*", default=["bayesian_ridge", "deep_kernel"])
    ask.add_argument(
        "--preset",
        help="also a whole recommender of this size, reading by each encoder; raters stay unknown "
        "to it",
    )
    ask.add_argument("--raters", nargs="+", type=int, default=[0, 1, 5])
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--most", type=int, default=1000, help="users evaluated at most")
    args = ask.parse_args()
    torch.set_num_threads(1)
    data = read(args.data)
    setting = prepare(data, "both-cold", seed=args.seed, max_users=args.most)
    evaluation_set, train = setting.evaluation_sets["cold"], setting.split.train
    users = evaluation_set.cold_users
    vocabulary = Vocabulary(train.items.vocabulary.ids)
    cold = vocabulary.indexes(evaluation_set.vocabulary.ids)
    print(
        f"{args.data.name}: {len(users)} new users, {len(cold)} hidden of {len(vocabulary)} "
        f"items, "
        f"{train.interactions.frame['user_id'].n_unique()} users to learn from"
    )
    reader = EventReader.of(train.interactions)
    events, user_ids = reader.of_interactions(train.interactions, vocabulary)
    histories = events.joined()[0]
    shown = reader.accepted([p.pool for p in users], vocabulary)
    hidden_events = _hidden_events(
        data, user_ids, evaluation_set.vocabulary, set(p.user_id for p in users)
    )
    found: dict[str, np.ndarray] = {
        "chance": _evaluate(
            np.random.default_rng(0).random((len(users), len(cold))), evaluation_set
        )
    }
    counts = np.bincount(
        hidden_events.owners[hidden_events.values >= data.interactions.relevant_from],
        minlength=len(cold),
    )
    found["oracle: true popularity"] = _evaluate(
        np.tile(counts.astype(float), (len(users), 1)), evaluation_set
    )
    for encoder in args.encoders:
        met = np.unique(histories.items)
        _, content, vectors = ItemInputs.fit(train.items, encoder=encoder, fit_on=met)
        found |= _content_rows(encoder, vectors, histories, shown, cold, data, evaluation_set)
        behavior = _behavior(train, setting.split.validation, histories, user_ids, content)
        for name in args.learners:
            started = time.process_time()
            model = fit_new_items(
                behavior, np.random.default_rng(args.seed), name=name, texts=vectors
            )
            took = time.process_time() - started
            for raters in args.raters:
                rng = np.random.default_rng(1)
                first = hidden_events.shuffled(rng).first(raters)
                scores = model.scores(content[cold], first, histories, shown, vectors[cold])
                found[f"{name}, {encoder}, {raters} raters"] = _evaluate(scores, evaluation_set)
            print(f"  {name} on {encoder}: {took:.0f} s of processor to train", flush=True)
        if args.preset:
            whole = Recommender.fit(train, preset=args.preset, seed=args.seed, encoder=encoder)
            scores = whole.score(requests_at(users, setting.split.horizon.pool))
            found[f"recommender ({args.preset}), {encoder}"] = _evaluate(
                scores[:, whole.vocabulary.indexes(evaluation_set.vocabulary.ids)], evaluation_set
            )
    _tell(found)


def _behavior(
    train: Dataset,
    validation: list[ColdUser],
    histories: Histories,
    user_ids: list[str],
    content: np.ndarray,
) -> Behavior:
    inputs = ProfileInputs.fit(train.users, user_ids)
    horizon = SHORT if max((n.n_items for n in validation), default=20) <= SHORT.pool else LONG
    return Behavior(
        histories=histories,
        profiles=inputs.transform(train.users.of_users(user_ids)),
        content=content,
        relevant_from=float(train.interactions.relevant_from),
        horizon=horizon,
    )


def _hidden_events(
    data: Dataset, user_ids: list[str], cold: Vocabulary, evaluated: set[str]
) -> Histories:
    """Return the training users' events on each hidden item, with their values."""
    frame = data.interactions.frame.unique(
        ["user_id", "item_id"], keep="first", maintain_order=True
    )
    learned_from = [user_id for user_id in user_ids if user_id not in evaluated]
    frame = frame.filter(
        pl.col("item_id").is_in(list(cold.ids)) & pl.col("user_id").is_in(learned_from)
    )
    items, users = cold.indexes(frame["item_id"]), Vocabulary(user_ids).indexes(frame["user_id"])
    order = np.argsort(items, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(items, minlength=len(cold)))]).astype(
        np.int64
    )
    return Histories(
        offsets=offsets,
        items=users[order],
        values=frame["value"].to_numpy().astype(np.float32)[order],
    )


def _content_rows(
    encoder: str,
    vectors: np.ndarray,
    histories: Histories,
    shown: Histories,
    cold: np.ndarray,
    data: Dataset,
    evaluation_set: EvaluationSet,
) -> dict[str, np.ndarray]:
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    liked = shown.where(shown.values >= data.interactions.relevant_from)
    taste = liked.matrix(len(vectors)) @ unit
    cosine = taste / np.maximum(np.linalg.norm(taste, axis=1, keepdims=True), 1e-9) @ unit[cold].T
    counts = np.bincount(
        histories.items[histories.values >= data.interactions.relevant_from], minlength=len(vectors)
    )
    met = np.unique(histories.items)
    target = np.log(counts[met] + 0.5)
    best: dict[str, np.ndarray] = {f"cosine, {encoder}": _evaluate(cosine, evaluation_set)}
    tried = []
    for penalty in (1.0, 3.0, 10.0, 30.0):
        kernel = unit[met] @ unit[met].T + penalty * np.eye(len(met))
        expected = unit[cold] @ unit[met].T @ np.linalg.solve(kernel, target - target.mean())
        tried += [
            _evaluate(expected + weight * cosine, evaluation_set)
            for weight in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
        ]
    best[f"expected popularity + cosine, {encoder}"] = max(tried, key=lambda values: values.mean())
    return best


def _evaluate(scores: np.ndarray, evaluation_set: EvaluationSet) -> np.ndarray:
    """Return the NDCG@10 of each user."""
    candidates, liked = evaluation_set.masks(0, len(evaluation_set.cold_users))
    ranked = metrics.rank(np.asarray(scores, np.float32), 10, np.random.default_rng(0), candidates)
    return metrics.ndcg(metrics.find_hits(ranked, liked), liked.sum(1), 10)


def _tell(found: dict[str, np.ndarray]) -> None:
    users = len(next(iter(found.values())))
    weights = resample(users, np.random.default_rng(0))
    bar = max((name for name in found if "cosine" in name), key=lambda name: found[name].mean())
    print(f"\n{'':<44}NDCG@10 [95%]            ratio to {bar}, difference")
    for name, values in found.items():
        low, high = interval(values[None], weights)
        apart = paired_difference(values, found[bar], weights, higher_is_better=True)
        print(
            f"{name:<44}{values.mean():.3f} [{low[0]:.3f}, {high[0]:.3f}]   "
            f"{values.mean() / found[bar].mean():.2f}   {apart}"
        )


if __name__ == "__main__":
    main()

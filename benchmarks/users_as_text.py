"""Is a person written as text worth it? The text route beside the recommender, alone and together, on held-out newcomers.

    python benchmarks/users_as_text.py DATA --encoder minilm --preset small

The weight of the text route beside the recommender's log-score is chosen at each support size on validation newcomers
and judged on test newcomers. Prints NDCG@10 with 95% intervals over people, and the paired difference it makes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--users", type=int, default=3000, help="training people written as text, at most")
    parser.add_argument("--judged", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    import metarec
    from metarec.data.newcomers import split_newcomers

    split = split_newcomers(metarec.read(str(options.data)), rng=np.random.default_rng(options.seed), most=options.judged)
    model = metarec.Recommender.fit(split.train, preset=options.preset, seed=options.seed, encoder=options.encoder)
    tower = fit_tower(model, split, options)
    print(f"people read by {tower.encoder.name}, ridge {tower.ridge:.3g}")
    print("| events | recommender | text alone | together | difference | weight |")
    print("|---|---|---|---|---|---|")
    for shots in split.horizon.shots:
        chosen, test = (judge(model, tower, people, shots) for people in (split.validation, split.test))
        weight = max(WEIGHTS, key=lambda w: chosen[w].mean())
        cells = [interval(values) for values in (test[0.0], test["text"], test[weight], test[weight] - test[0.0])]
        print(f"| {shots} | {' | '.join(cells)} | {weight} |", flush=True)


def fit_tower(model, split, options):
    """One task for each training person and each of three lengths of history."""
    from metarec.backbone.user_text import UserTextTower
    from metarec.features.histories import Histories

    histories, users = Histories.of_interactions(split.train.interactions, model.vocabulary)
    rng = np.random.default_rng(options.seed)
    rows = np.sort(rng.choice(len(users), min(options.users, len(users)), replace=False))
    histories, users = histories.users(rows), [users[row] for row in rows]
    profiles, pool = split.train.users.of_users(users), split.horizon.pool
    later = histories.after(pool)
    targets = later.where(later.values >= model.relevant_from).matrix(len(model.vocabulary))
    texts, stacked = [], []
    for shots in sorted({0, min(3, pool), pool}):
        texts += people_texts(model, histories.first(shots), profiles)
        stacked.append(targets)
    import scipy.sparse as sp

    return UserTextTower.fit(texts, sp.vstack(stacked).tocsr(), model.item_inputs.encoder, seed=options.seed)


def people_texts(model, histories, profiles) -> list[str]:
    from metarec.features.text import user_text

    titles, cuts = model.catalog.titles(), histories.offsets[1:-1]
    liked = histories.values >= model.relevant_from
    parts = zip(profiles, np.split(histories.items, cuts), np.split(liked, cuts), strict=True)
    return [user_text(profile, [titles[item] for item in items], marks.tolist()) for profile, items, marks in parts]


def judge(model, tower, people, shots: int) -> dict:
    """NDCG@10 of each person: by weight of the text route, and `text` for it alone."""
    from metarec.evaluation.judged import requests_at
    from metarec.features.histories import Histories

    requests = requests_at(people, shots)
    ours = model.score(requests)
    support, _ = Histories.of_lists([request.history for request in requests], model.vocabulary)
    said = np.log(tower.evidence(people_texts(model, support, [request.profile for request in requests])) + 1e-6)
    relevant = [model.vocabulary.indexes(person.relevant) for person in people]
    seen = [model.vocabulary.indexes(item for item, _ in person.pool[:shots]) for person in people]
    found = {weight: ndcg_at_10(ours + weight * said, relevant, seen) for weight in WEIGHTS}
    return {**found, "text": ndcg_at_10(said, relevant, seen)}


def ndcg_at_10(scores: np.ndarray, relevant: list[np.ndarray], seen: list[np.ndarray]) -> np.ndarray:
    out = np.zeros(len(scores))
    discount = 1 / np.log2(np.arange(2, 12))
    for row, (liked, known) in enumerate(zip(relevant, seen, strict=True)):
        ranked = scores[row].copy()
        ranked[known[known >= 0]] = -np.inf
        hits = np.isin(np.argsort(-ranked, kind="stable")[:10], liked)
        out[row] = (hits * discount).sum() / discount[:min(10, len(liked))].sum()
    return out


def interval(values: np.ndarray) -> str:
    draws = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return f"{values.mean():.4f} [{low:.4f}, {high:.4f}]"


if __name__ == "__main__":
    main()

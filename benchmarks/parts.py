"""Measure single scorers of the gate for new users: each beside popularity, or several together.

    python benchmarks/parts.py DATA --parts markov decoder encoder encoder_decoder
    sequence+decoder

Uses the validation users of the split of `metarec evaluate`; test users stay unseen, so that a
preset may be chosen by the results. Prints NDCG@10 with 95% intervals over users and the paired
difference to the first row; one seeded fit each.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--parts",
        nargs="+",
        default=["markov", "decoder", "encoder", "encoder_decoder"],
        help="one row each; parts joined by + learn together",
    )
    parser.add_argument("--encoder", default="none", help="text encoder")
    parser.add_argument(
        "--users", type=int, default=0, help="training and validation users at most; 0 for all"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    import metarec
    from metarec.data.cold_users import split_cold_users
    from metarec.evaluation.curve import learning_curve
    from metarec.evaluation.measure import EvaluationSet
    from metarec.evaluation.own_recommender import OwnRecommender
    from metarec.recommendation.settings import PRESETS
    from metarec.runtime.rng import derive

    data = metarec.read(str(options.data))
    if options.users:
        users = data.interactions.frame["user_id"].unique().sort()
        kept = users.gather(
            np.random.default_rng(options.seed).permutation(len(users))[: options.users]
        )
        data = data.with_interactions(
            data.interactions.frame.filter(data.interactions.frame["user_id"].is_in(kept.implode()))
        )
    split = split_cold_users(data, rng=np.random.default_rng(options.seed))
    evaluation_set = EvaluationSet.of(split.validation, split.train)
    models, seconds = [], {}
    for name in options.parts:
        PRESETS[name] = tuple(name.split("+"))
        model = OwnRecommender(name=name, preset=name, encoder=options.encoder)
        started = time.process_time()
        model.fit(split.train, [], derive(options.seed, "fit", name))
        seconds[name] = time.process_time() - started
        models.append(model)
        print(f"{time.strftime('%H:%M:%S')} {name} fitted in {seconds[name]:.0f} CPU s", flush=True)
    curve = learning_curve(models, split, evaluation_set=evaluation_set, seed=options.seed)
    print(
        f"{len(split.validation)} validation new users, "
        f"{split.train.interactions.frame['user_id'].n_unique()} training users"
    )
    print(
        f"| popularity and | {' | '.join(map(str, curve.support_sizes))} "
        f"| mean, to {options.parts[0]} | fit, CPU s |"
    )
    print("|---" * (len(curve.support_sizes) + 3) + "|")
    for name in options.parts:
        means, (low, high) = curve.mean(name, "ndcg@10"), curve.interval(name, "ndcg@10")
        cells = [f"{m:.3f} [{a:.3f}, {b:.3f}]" for m, a, b in zip(means, low, high, strict=True)]
        apart = curve.per_user[name]["ndcg@10"].mean(axis=0) - curve.per_user[options.parts[0]][
            "ndcg@10"
        ].mean(axis=0)
        draws = apart[np.random.default_rng(0).integers(len(apart), size=(2000, len(apart)))].mean(
            axis=1
        )
        below, above = np.quantile(draws, [0.025, 0.975])
        gap = (
            "" if name == options.parts[0] else f"{apart.mean():+.3f} [{below:+.3f}, {above:+.3f}]"
        )
        print(f"| {name} | {' | '.join(cells)} | {gap} | {seconds[name]:.0f} |")


if __name__ == "__main__":
    main()

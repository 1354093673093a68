"""Measure the coverage of 90% intervals of new users' ratings, by number of events and by group.

    python benchmarks/intervals.py DATA --seeds 0 1 2 --by gender

The rating head is the same in every preset, so the smallest is fitted. Coverage is a mean over
users with 95% bootstrap intervals, before and after calibration on held-out training users, which
scales the standard deviations of the model.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--by", default=None, help="a profile attribute: coverage of its groups")
    options = parser.parse_args()

    import metarec
    from metarec.data.cold_users import split_cold_users
    from metarec.evaluation.measure import EvaluationSet
    from metarec.fairness.groups import group_users
    from metarec.runtime.rng import derive

    print(
        "| seed | events | users | as the model says | calibrated | by group "
        "|\n|---|---|---|---|---|---|"
    )
    for seed in options.seeds:
        split = split_cold_users(metarec.read(options.data), rng=derive(seed, "intervals"))
        model = metarec.Recommender.fit(split.train, preset="tiny", seed=seed)
        evaluation_set, groups = (
            EvaluationSet.of(split.test, split.train),
            group_users(split.test, options.by) if options.by else None,
        )
        for shots in split.horizon.support_sizes:
            plain, kept = (
                covered(m, evaluation_set, shots) for m in (replace(model, intervals=None), model)
            )
            of_groups = (
                ", ".join(
                    f"{label} {kept[groups.mask(label)].mean():.3f}" for label in groups.sizes
                )
                if groups
                else ""
            )
            print(
                f"| {seed} | {shots} | {len(kept)} | {interval(plain)} | {interval(kept)} | "
                f"{of_groups} |",
                flush=True,
            )


def covered(model, evaluation_set, shots: int) -> np.ndarray:
    """Return the share of each user's values inside their 90% intervals, [B]."""
    from metarec.evaluation.measure import measure

    return measure(model, evaluation_set, shots, np.random.default_rng(0)).per_user["covered@90"]


def interval(values: np.ndarray) -> str:
    """Format a mean with its 95% bootstrap interval over users."""
    draws = np.random.default_rng(0).integers(0, len(values), (2000, len(values)))
    low, high = np.quantile(values[draws].mean(1), [0.025, 0.975])
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()

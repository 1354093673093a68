"""Compare constants of the Markov chain by users' next items, on the second-last events.

    python benchmarks/next_item.py DATA [--users 4000]

All but each user's last two items are training data; the second-last are predicted, and the last
are not used. Prints a row for each pseudo-count of items with similar text, one for the count that
`choose_chain` chooses, and one for the whole preset.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metarec.data.cleaning import read_clean
from metarec.data.schema import Vocabulary
from metarec.evaluation.papers.leave_last_out import leave_last_out_split, measure_last
from metarec.models.markov.counts import DEFAULT, MarkovConfig
from metarec.models.markov.model import Markov
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender


@dataclass(kw_only=True)
class Chain:
    """A Markov chain with the interface of a recommender."""

    name: str
    markov: Markov
    whole: Recommender
    """Recommender that reads the requests."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Items of the columns."""
        return self.whole.vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """Return the scores of the chain, [B, N]."""
        users, _ = self.whole.users(requests)
        return self.markov.evidence(users).toarray()


def main() -> None:
    """Print a row for each chain and one for the whole preset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--users", type=int, default=4000)
    parser.add_argument("--preset", default="tiny")
    args = parser.parse_args()
    data, _ = read_clean(args.data)
    split = leave_last_out_split(leave_last_out_split(data).train)
    (asked,) = split.scenarios.values()
    chosen = np.random.default_rng(5).permutation(len(asked))[: args.users]
    asked = [asked[user] for user in np.sort(chosen)]
    whole = Recommender.fit(split.train, args.preset, seed=0)
    behavior = whole.behavior()
    configs = {f"pull {pull:g}": MarkovConfig(alikes=(pull,)) for pull in DEFAULT.alikes}
    for name, config in {**configs, "chosen": DEFAULT}.items():
        markov = Markov.fit(behavior, np.random.default_rng(0), config)
        model = Chain(name=name, markov=markov, whole=whole)
        _show(f"markov, {name}", measure_last(model, asked, np.random.default_rng(1)))
    _show(args.preset, measure_last(whole, asked, np.random.default_rng(1)))


def _show(name: str, found: dict[str, np.ndarray]) -> None:
    row = "  ".join(f"{metric} {values.mean():.4f}" for metric, values in found.items())
    print(f"{name:<24}{row}", flush=True)


if __name__ == "__main__":
    main()

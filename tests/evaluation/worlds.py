"""Splits and small recommenders whose quality is known, shared by the tests of evaluation."""

from __future__ import annotations

import numpy as np

from metarec.data.cold_users import ColdUserSplit, Horizon, split_cold_users
from metarec.data.schema import Vocabulary
from metarec.evaluation.curve import CurveTable
from world import World

SHORT_WORLD = Horizon(support_sizes=(0, 1, 3), pool=3, min_events=8)


def split_of(world: World, seed: int = 1) -> ColdUserSplit:
    """Two fifths of the users are new users, half to choose by and half to evaluate on."""
    return split_cold_users(
        world.data, rng=np.random.default_rng(seed), test=0.25, validation=0.2, horizon=SHORT_WORLD
    )


class Oracle:
    """Knows the taste of whoever has shown one event, and is as good as chance before that."""

    def __init__(self, world: World, name: str = "Oracle", noise: float = 0.0, from_shots: int = 1):
        self.name, self.world, self.noise, self.from_shots = name, world, noise, from_shots
        ids = np.random.default_rng(9).permutation(
            world.data.items.vocabulary.ids
        )  # not the order of the data
        self.vocabulary = Vocabulary(ids.tolist())

    def fit(self, train, validation, rng):
        pass

    def score(self, requests):
        rng = np.random.default_rng(len(requests))
        scores = self.noise * rng.normal(size=(len(requests), len(self.vocabulary))).astype(
            np.float32
        )
        for row, request in enumerate(requests):
            if len(request.history) >= self.from_shots and request.history:
                item_id, value, *_ = request.history[0]
                likes_it = value > 3.0 or not self.world.data.interactions.has_values
                scores[row] += [
                    (other[0] == item_id[0]) == likes_it for other in self.vocabulary.ids
                ]
        return scores


class Constant:
    """Scores everything alike, and predicts the same value with the same uncertainty."""

    def __init__(
        self, world: World, name: str = "Constant", value: float = 3.0, spread: float = 1.0
    ):
        self.name, self.vocabulary, self.value, self.spread = (
            name,
            world.data.items.vocabulary,
            value,
            spread,
        )

    def fit(self, train, validation, rng):
        pass

    def score(self, requests):
        return np.zeros((len(requests), len(self.vocabulary)), np.float32)

    def rate(self, requests, item_ids):
        return [np.full(len(ids), self.value) for ids in item_ids]

    def rate_std(self, requests, item_ids):
        return [np.full(len(ids), self.spread) for ids in item_ids]


def curve_of(means, users=200, spread=0.05, metric="ndcg@10"):
    """Models with given mean NDCG at each number of events; users share their luck, as in a paired
    test.
    """
    rng = np.random.default_rng(0)
    luck = rng.normal(0, 0.3, users)
    support_sizes = (0, 1, 3, 5)[: len(next(iter(means.values())))]
    values = {
        m: {metric: np.stack([mean + luck + spread * rng.normal(size=users) for mean in row])}
        for m, row in means.items()
    }
    return CurveTable(
        support_sizes=support_sizes,
        user_ids=[str(n) for n in range(users)],
        per_user=values,
        coverage={m: np.zeros(len(support_sizes)) for m in means},
    )

"""Settings chosen in bounded time: better ones are found, chance is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import numpy as np
import pytest

from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput, Vocabulary
from metarec.evaluation.tuning import tune
from metarec.models.config import ModelConfig
from metarec.models.item_knn import ItemKnnConfig
from metarec.models.rating.kernel import RatingConfig
from metarec.recommendation.configs import BESIDE, config_of
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender
from world import World

PARTS = ("item_knn", "content")


class CountedTogether:
    """Items counted together with those of the history, or an order by chance."""

    def __init__(self, data: Dataset, *, by_chance: bool) -> None:
        frame = data.interactions.frame
        users = Vocabulary(frame["user_id"].unique().sort().to_list())
        self.vocabulary = Vocabulary(frame["item_id"].unique().sort().to_list())
        self.by_chance = by_chance
        seen = np.zeros((len(users), len(self.vocabulary)), np.float32)
        seen[users.indexes(frame["user_id"]), self.vocabulary.indexes(frame["item_id"])] = 1.0
        self.together = seen.T @ seen

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        if self.by_chance:
            shape = (len(requests), len(self.vocabulary))
            return np.random.default_rng(0).random(shape, dtype=np.float32)
        history = np.zeros((len(requests), len(self.vocabulary)), np.float32)
        for row, request in enumerate(requests):
            history[row, self.vocabulary.indexes(event[0] for event in request.history)] = 1.0
        return np.asarray(history @ self.together + self.together.diagonal() / 1e3)


def by_shrinkage(data: Dataset, models: Mapping[str, ModelConfig]) -> CountedTogether:
    """Right where shrinkage lies below its default of 20."""
    config = models.get("item_knn", config_of("item_knn"))
    assert isinstance(config, ItemKnnConfig)
    return CountedTogether(data, by_chance=config.shrinkage > 15)


def test_a_better_setting_is_found_and_confirmed(world: World) -> None:
    found = tune(world.data, by_shrinkage, {}, PARTS, minutes=0.1)

    assert found.is_better
    config = found.models["item_knn"]
    assert isinstance(config, ItemKnnConfig)
    assert config.shrinkage < 15
    assert "[models.item_knn]" in found.toml()
    assert any(line.startswith("shrinkage = ") for line in found.toml())
    assert found.to_dict()["is_taken"]


def test_the_same_seed_proposes_the_same(world: World) -> None:
    def seen(seed: int) -> list[float]:
        asked: list[float] = []

        def fit(data: Dataset, models: Mapping[str, ModelConfig]) -> CountedTogether:
            config = models.get("item_knn", config_of("item_knn"))
            assert isinstance(config, ItemKnnConfig)
            asked.append(config.shrinkage)
            return by_shrinkage(data, models)

        tune(world.data, fit, {}, PARTS, minutes=0.03, seed=seed)
        return asked[:2]

    assert seen(1) == seen(1)
    assert seen(1) != seen(2)


def test_what_is_given_stays(world: World) -> None:
    given = {"item_knn": ItemKnnConfig(shrinkage=50.0)}

    found = tune(world.data, by_shrinkage, given, PARTS, minutes=0.05)

    assert found.models == given
    assert "none better" in found.sentences[0] or "chance" in found.sentences[0]


def test_a_winner_that_others_do_not_confirm_is_chance(world: World) -> None:
    (winner,) = tune(world.data, by_shrinkage, {}, PARTS, minutes=0.1).winners
    assert winner.confirmed is not None

    unlucky = replace(winner, confirmed=replace(winner.confirmed, mean=-0.01))

    assert not unlucky.is_better
    assert unlucky.sentence(3).endswith("chance, so the defaults stay")


class Rating(CountedTogether):
    """Ranks as well at any settings, and predicts ratings better the less noise it is told of."""

    def __init__(self, data: Dataset, off: float) -> None:
        super().__init__(data, by_chance=False)
        self.off = off

    def rate(self, requests: Sequence[Request], asked: Sequence[Sequence[str]]) -> list[np.ndarray]:
        return [np.full(len(ids), 4.0 - 3.0 * self.off) for ids in asked]


def test_settings_of_ratings_are_chosen_by_their_errors(rated_world: World) -> None:
    def fit(data: Dataset, models: Mapping[str, ModelConfig]) -> Rating:
        config = models.get("rating", config_of("rating"))
        assert isinstance(config, RatingConfig)
        return Rating(data, min(config.noise, 1.0))

    found = tune(rated_world.data, fit, {}, (*PARTS, "rating"), minutes=0.1)

    ranking, ratings = found.winners
    assert not ranking.is_better and ratings.is_better
    assert set(found.models) == {"rating"}
    config = found.models["rating"]
    assert isinstance(config, RatingConfig) and config.noise < 0.75
    assert "less MAE on others" in found.sentences[1]
    assert found.to_dict()["ratings"]["is_taken"]


def test_what_is_fitted_beside_models_is_tried_too() -> None:
    beside = [
        name for name in BESIDE if any(one.metadata["search_range"] for one in fields(BESIDE[name]))
    ]
    assert beside == ["gate", "rating", "trend"]


def test_without_time_for_a_second_fit_the_defaults_stay(world: World) -> None:
    found = tune(world.data, by_shrinkage, {}, PARTS, minutes=1e-9)

    assert found.fits == 1
    assert found.models == {}
    assert "give more minutes" in found.sentences[0]


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan"), float("inf")])
def test_minutes_are_above_0(world: World, minutes: float) -> None:
    with pytest.raises(BadInput, match="minutes above 0"):
        tune(world.data, by_shrinkage, {}, PARTS, minutes=minutes)


def test_found_configs_reach_the_model(world: World) -> None:
    found = tune(world.data, by_shrinkage, {}, PARTS, minutes=0.1)

    model = Recommender.fit(world.data, preset="tiny", encoder="none", models=found.models)

    assert model.settings.models == found.models
    assert found.models

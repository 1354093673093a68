"""Baselines of other packages: what breaks the interface is refused by one line that names the
class; one that equals a baseline of this package gets its figures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

import metarec
from metarec.data.errors import BrokenPart
from world import World


class Counted:
    """Items by the number of training users who like them, as Popular."""

    name = "Counted"

    def fit(self, train: Any, validation: Any, rng: Any) -> None:
        self.vocabulary = train.items.vocabulary
        liked = train.interactions.frame.filter(pl.col("value") >= 4)
        events = liked.unique(["user_id", "item_id"])
        rows = self.vocabulary.indexes(events["item_id"])
        self.counts = np.bincount(rows, minlength=len(self.vocabulary)).astype(np.float32)

    def score(self, requests: Any) -> Any:
        return np.tile(self.counts, (len(requests), 1))


class Short(Counted):
    def score(self, requests: Any) -> Any:
        return super().score(requests)[:, 1:]


class Long(Counted):
    def score(self, requests: Any) -> Any:
        return np.pad(super().score(requests), ((0, 0), (2, 0)))


class OneRow(Counted):
    def score(self, requests: Any) -> Any:
        return self.counts[None]


class Listed(Counted):
    def score(self, requests: Any) -> Any:
        return super().score(requests).tolist()


class NotANumber(Counted):
    def score(self, requests: Any) -> Any:
        return super().score(requests) * np.nan


class Fails(Counted):
    def score(self, requests: Any) -> Any:
        raise KeyError("weights")


class FailsInFit(Counted):
    def fit(self, train: Any, validation: Any, rng: Any) -> None:
        raise RuntimeError("no license")


class NoVocabulary(Counted):
    def fit(self, train: Any, validation: Any, rng: Any) -> None:
        super().fit(train, validation, rng)
        del self.vocabulary


class TakesUsersAway(Counted):
    def fit(self, train: Any, validation: Any, rng: Any) -> None:
        super().fit(train, validation, rng)
        validation.clear()


class Rated(Counted):
    """Predicts the middle of the scale for every item."""

    name = "Rated"

    def rate(self, requests: Any, item_ids: Any) -> Any:
        return [np.full(len(ids), 3.0) for ids in item_ids]

    def rate_std(self, requests: Any, item_ids: Any) -> Any:
        return [np.ones(len(ids)) for ids in item_ids]


class RatesNan(Rated):
    def rate(self, requests: Any, item_ids: Any) -> Any:
        return [row * np.nan for row in super().rate(requests, item_ids)]


class RatesShort(Rated):
    """Gives the first user no value, and the last one as many more: the total is right."""

    def rate(self, requests: Any, item_ids: Any) -> Any:
        found = super().rate(requests, item_ids)
        return [found[0][:0], *found[1:-1], np.concatenate([found[-1], found[0]])]


class RatesFewer(Rated):
    def rate(self, requests: Any, item_ids: Any) -> Any:
        return super().rate(requests, item_ids)[1:]


class RatesMatrix(Rated):
    def rate(self, requests: Any, item_ids: Any) -> Any:
        return np.full((len(requests), 3), 3.0)


class RatesWords(Rated):
    def rate(self, requests: Any, item_ids: Any) -> Any:
        return [["good"] * len(ids) for ids in item_ids]


class RatesFails(Rated):
    def rate(self, requests: Any, item_ids: Any) -> Any:
        raise KeyError("scale")


class StdNegative(Rated):
    def rate_std(self, requests: Any, item_ids: Any) -> Any:
        return [-row for row in super().rate_std(requests, item_ids)]


class StdEndless(Rated):
    def rate_std(self, requests: Any, item_ids: Any) -> Any:
        return [row * np.inf for row in super().rate_std(requests, item_ids)]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Short, r"Short gave scores of shape \(\d+, \d+\) for \d+ requests and \d+ items of its"),
        (Long, r"Long gave scores of shape \(\d+, \d+\) for \d+ requests and \d+ items of its"),
        (OneRow, r"OneRow gave scores of shape \(1, \d+\) for [2-9]\d* requests"),
        (Listed, "Listed gave scores of type list; give a NumPy array of numbers"),
        (NotANumber, "NotANumber gave NaN as scores; give numbers, -inf for what never to list"),
        (Fails, r"Fails failed in score: KeyError: 'weights', test_added_baselines\.py line \d+"),
        (FailsInFit, "FailsInFit failed in fit: RuntimeError: no license, test_added"),
        (RatesNan, "RatesNan gave NaN or infinite values from rate; give a finite number"),
        (RatesShort, r"RatesShort gave an array of shape \(0,\) from rate for [1-9]\d* items"),
        (RatesFewer, r"RatesFewer gave \d+ arrays from rate for \d+ requests; give a list"),
        (RatesMatrix, r"RatesMatrix gave ndarray from rate for \d+ requests; give a list"),
        (RatesWords, "RatesWords gave list from rate for a request; give a list of one NumPy"),
        (RatesFails, "RatesFails failed in rate: KeyError: 'scale', test_added_baselines"),
        (StdNegative, "StdNegative gave a standard deviation below 0 from rate_std"),
        (StdEndless, "StdEndless gave NaN or infinite values from rate_std"),
        (NoVocabulary, "NoVocabulary has no vocabulary after fit; set self.vocabulary"),
    ],
)
def test_a_wrong_baseline_is_refused_by_its_name(model: Any, said: str, rated_world: World) -> None:
    with pytest.raises(BrokenPart, match=f"^the baseline {said}") as refused:
        metarec.evaluate(rated_world.data, models=[model()], baselines=["Popular"])
    assert str(refused.value).endswith("(see docs/guide/extending.md)")


def test_a_baseline_takes_no_users_from_those_after_it(rated_world: World) -> None:
    one, other = (
        metarec.evaluate(rated_world.data, models=[first()], baselines=["EASE"])
        for first in (Counted, TakesUsersAway)
    )
    assert one.costs["EASE"].settings == other.costs["EASE"].settings
    np.testing.assert_array_equal(
        one.curve.per_user["EASE"]["ndcg@10"], other.curve.per_user["EASE"]["ndcg@10"]
    )


def test_what_equals_popularity_gets_the_figures_of_popularity(rated_world: World) -> None:
    found = metarec.evaluate(rated_world.data, models=[Counted()], baselines=["Popular"])
    ours, theirs = (found.curve.per_user[name] for name in ("Counted", "Popular"))
    assert ours.keys() == theirs.keys()
    for metric in ours:
        np.testing.assert_array_equal(ours[metric], theirs[metric], metric)
    differences = found.curve.compare_all("Popular", "ndcg@10").select("mean", "low", "high")
    assert not differences.to_numpy().any()


def test_a_right_rating_is_measured(rated_world: World) -> None:
    found = metarec.evaluate(rated_world.data, models=[Rated()], baselines=["Popular"])
    mae = found.curve.per_user["Rated"]["mae"]
    assert np.isfinite(mae).any() and np.nanmax(mae) <= 2

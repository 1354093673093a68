from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec.data.schema import BadInput, Catalog
from metarec.recommendation.ordering.rules import Rules
from metarec.recommendation.ranking import Ordered, SlateOptions
from metarec.recommendation.slate import Request
from metarec.recommendation.stages.order import order_slates
from metarec.recommendation.stages.restrict import hide_items

CATALOG = Catalog.of(
    pl.DataFrame(
        {
            "item_id": list("abcdef"),
            "categories": ["x", "x", "x", "y", "y", "z"],
            "year": [1, 2, 3, 4, 5, 6],
        }
    )
)
SCORES = np.array([[6.0, 5, 4, 3, 2, 1]])
EMBEDDINGS = np.array([[1, 0], [1, 0.1], [1, 0.2], [0, 1], [0.1, 1], [-1, 0]])


def slates(options: SlateOptions, *requests: Request, seed: int = 0) -> list[str]:
    asked = requests or (Request(),)
    found = ordered(options, *asked, seed=seed).items
    return ["".join(CATALOG.frame["item_id"][int(i)] for i in row if i >= 0) for row in found]


def ordered(options: SlateOptions, *requests: Request, seed: int = 0) -> Ordered:
    scores = np.repeat(SCORES, len(requests), 0)
    hide_items(scores, requests, CATALOG, options)
    return order_slates(
        scores,
        CATALOG,
        options,
        np.random.default_rng(seed),
        spread=np.full(scores.shape, 0.8),
        embeddings=EMBEDDINGS,
    )


def test_everyone_is_shown_only_what_they_may_be() -> None:
    users = (
        Request(),
        Request(exclude=["a", "unknown"]),
        Request(exclude=["a", "b"]),
        Request(allow=["f", "c"]),
        Request(allow=[]),
        Request(allow=["a", "b"], exclude=["b", "a"]),
    )
    assert slates(SlateOptions(k=3), *users) == ["abc", "bcd", "cde", "cf", "", ""]
    assert slates(
        SlateOptions(k=3, filter='category = "y" or year = 1', rules=Rules(ban=["d"])), *users[:2]
    ) == ["ae", "e"]


def test_pins_quotas_and_diversity_together() -> None:
    assert slates(SlateOptions(k=4, rules=Rules(pin=["f"], quota={"x": 1}))) == ["fade"]
    assert slates(SlateOptions(k=3, diversity=0.5))[0][0] == "a"
    assert set(slates(SlateOptions(k=3, diversity=0.6))[0]) & set("def")
    both = slates(SlateOptions(k=4, diversity=0.3, rules=Rules(quota={"x": 1})))[0]
    assert len(both) == 4
    assert sum(item in "abc" for item in both) == 1


def test_explored_slates_log_what_is_true_and_pins_are_sure() -> None:
    options = SlateOptions(k=3, explore=1.0, rules=Rules(pin=["b"]))
    found = [ordered(options, Request(exclude=["a"]), seed=seed) for seed in range(300)]
    assert all(CATALOG.frame["item_id"][int(one.items[0, 0])] == "b" for one in found)
    assert all(len(set(one.items[0])) == 3 for one in found)
    assert all(one.propensity[0, 0] == 1 for one in found)
    second = np.array([one.items[0, 1] for one in found])
    assert 0 not in second
    said = {int(one.items[0, 1]): one.propensity[0, 1] for one in found}
    for item, chance in said.items():
        assert chance == pytest.approx((second == item).mean(), abs=0.1)
    assert len(said) > 1


def test_what_would_falsify_the_log_is_not_explored_and_says_so() -> None:
    found = ordered(SlateOptions(k=2, explore=1.0, rules=Rules(quota={"x": 1})), Request())
    assert found.items.tolist() == [[0, 3]]
    assert (found.propensity == 1).all()
    assert found.notes == [
        "not explored: diversity and quotas would make the logged probabilities untrue"
    ]
    assert ordered(SlateOptions(k=2, explore=1.0), Request()).notes == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"k": 0}, "k must be 1 or more, got 0"),
        ({"diversity": 2.0}, r"diversity must lie in \[0, 1\], got 2.0"),
        ({"explore": -1.0}, "explore must be 0 or more, got -1.0"),
    ],
)
def test_bad_options_are_named(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        SlateOptions(**wrong)


def test_what_a_model_lacks_is_named() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(BadInput, match="cannot explore; ask with explore=0"):
        order_slates(SCORES, CATALOG, SlateOptions(explore=1.0), rng)
    with pytest.raises(BadInput, match="ask with diversity=0"):
        order_slates(SCORES, CATALOG, SlateOptions(diversity=0.5), rng)

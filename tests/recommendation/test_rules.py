from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec.data.schema import BadInput, Vocabulary
from metarec.recommendation.ordering.rules import Rules, apply_rules, category_matrix

VOCABULARY = Vocabulary(["a", "b", "c", "d", "e"])
ITEMS = pl.DataFrame(
    {"item_id": VOCABULARY.ids, "categories": ["red", "red|new", "red", "blue", "Blue"]}
)
RANKED = np.array([[0, 1, 2, 3, 4], [4, 2, 0, -1, -1]])
ALL = np.ones((2, 5), dtype=bool)


def slates(rules: Rules, k: int = 3, allowed: np.ndarray = ALL) -> list[list[int]]:
    has = category_matrix(ITEMS, list(rules.quota), rules.quota_column)
    return apply_rules(RANKED, allowed, k, rules, vocabulary=VOCABULARY, has_category=has).tolist()


def test_without_rules_the_ranking_stands() -> None:
    assert slates(Rules()) == [[0, 1, 2], [4, 2, 0]]


def test_pins_come_first_once_and_only_where_allowed() -> None:
    assert slates(Rules(pin=["d", "a", "unknown", "d"])) == [[3, 0, 1], [3, 0, 4]]
    hidden = ALL.copy()
    hidden[0, 3] = False
    assert slates(Rules(pin=["d"]), allowed=hidden) == [[0, 1, 2], [3, 4, 2]]


def test_a_quota_skips_what_is_too_much_and_counts_pins() -> None:
    assert slates(Rules(quota={"red": 1})) == [[0, 3, 4], [4, 2, -1]]
    assert slates(Rules(quota={"Red": 1, "blue": 1})) == [[0, 3, -1], [4, 2, -1]]
    assert slates(Rules(pin=["b"], quota={"red": 1})) == [[1, 3, 4], [1, 4, -1]]
    assert slates(Rules(quota={"red": 0})) == [[3, 4, -1], [4, -1, -1]]


def test_bad_rules_are_named() -> None:
    with pytest.raises(BadInput, match="quota of 'red' must be 0 or more, got -1"):
        Rules(quota={"red": -1})
    with pytest.raises(BadInput, match="column 'maker', which the catalog does not have"):
        category_matrix(ITEMS, ["x"], "maker")

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.evaluation.baselines.transitions import TransitionsAndCosine
from metarec.evaluation.papers.leave_last_out import (
    evaluate_last_out,
    leave_last_out_split,
    measure_last,
)


def events(rows, columns=("user_id", "item_id", "kind", "timestamp")):
    return Dataset(interactions=pl.DataFrame(rows, schema=list(columns), orient="row"))


def cycles(users=60, items=30, length=8):
    """Everyone walks a ring of items from a start of their own: the next item is certain."""
    return events(
        [
            (f"u{u}", f"i{(u + step) % items:02}", "view", float(step))
            for u in range(users)
            for step in range(length)
        ]
    )


def test_the_last_item_of_each_user_is_asked_and_nothing_of_it_is_learned():
    split = leave_last_out_split(cycles())
    (asked,) = split.scenarios.values()
    assert len(asked) == 60
    assert split.train.interactions.frame.height == 60 * 7
    for user in asked:
        number = int(user.user_id[1:])
        assert user.query[0][0] == f"i{(number + 7) % 30:02}"
        assert [event[0] for event in user.pool] == [
            f"i{(number + step) % 30:02}" for step in range(7)
        ]


def test_repeats_refusals_and_what_follows_the_last_new_item_are_neither_asked_nor_learned():
    rows = [("a", "x", "purchase", 0.0), ("a", "y", "purchase", 1.0), ("a", "x", "purchase", 2.0)]
    rows += [("b", "x", "purchase", 0.0), ("b", "z", "purchase", 1.0), ("b", "y", "hide", 2.0)]
    rows += [("c", "x", "purchase", 0.0)]
    split = leave_last_out_split(events(rows))
    (asked,) = split.scenarios.values()
    assert {user.user_id: user.query[0][0] for user in asked} == {"a": "y", "b": "z"}
    learned = split.train.interactions.frame.select("user_id", "item_id").rows()
    assert sorted(learned) == [("a", "x"), ("b", "x"), ("c", "x")]


def test_counted_transitions_walk_the_ring():
    rows = evaluate_last_out(leave_last_out_split(cycles()), [], baselines=["Transitions+Cosine"])
    assert rows[0].means["hit_rate@10"] == 1.0
    assert rows[0].means["ndcg@10"] > 0.9


class Fixed:
    """Scores items by a table, the same for everyone."""

    name = "fixed"

    def __init__(self, vocabulary, scores):
        self.vocabulary, self.scores = vocabulary, scores

    def fit(self, train, validation, rng):
        pass

    def score(self, requests):
        return np.tile(self.scores.astype(np.float32), (len(requests), 1))


def test_items_of_the_history_take_no_places_and_all_others_do():
    data = events([("a", f"i{n:02}", "view", float(n)) for n in range(20)])
    split = leave_last_out_split(data)
    asked = split.scenarios["last event, known users"]
    vocabulary = data.items.vocabulary
    worst = np.arange(len(vocabulary))[::-1]  # the item asked for comes last of twenty
    found = measure_last(Fixed(vocabulary, worst), asked, np.random.default_rng(0))
    assert found["hit_rate@10"] == [1.0] and found["ndcg@10"] == [1.0]


def test_an_item_that_the_model_does_not_know_is_a_miss():
    split = leave_last_out_split(cycles())
    (asked,) = split.scenarios.values()
    model = TransitionsAndCosine()
    model.fit(cycles(users=3, length=3), [], np.random.default_rng(0))
    beyond = [user for user in asked if 5 <= int(user.user_id[1:]) < 20]
    found = measure_last(model, beyond, np.random.default_rng(0))
    assert not found["hit_rate@10"].any()


def test_data_without_order_and_unknown_baselines_are_refused():
    rows = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    with pytest.raises(BadInput, match="no order"):
        leave_last_out_split(events(rows, ("user_id", "item_id")))
    with pytest.raises(BadInput, match="Transitions"):
        evaluate_last_out(leave_last_out_split(cycles()), [], baselines=["Magic"])

"""Gains by strength: a list that puts strong acts first is better, where acts differ in that."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec.data.cold_users import Horizon, split_cold_users
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput, Vocabulary
from metarec.evaluation import metrics
from metarec.evaluation.evaluate import evaluate
from metarec.evaluation.report import to_text

SHORT = Horizon(support_sizes=(0, 1), pool=2, min_events=4)


def test_gains_that_are_all_the_same_are_plain_ndcg_and_strong_ones_first_is_best() -> None:
    ranked, gains = np.array([[0, 3, 1, 2]]), np.array([[0.5, 0.0, 0.5, 0.0]])
    hits = metrics.find_hits(ranked, gains > 0)
    plain = metrics.ndcg(hits, np.array([2]), 4)
    np.testing.assert_allclose(metrics.gain_ndcg(ranked, gains, 4), plain)
    gains = np.array([[0.2, 0.0, 1.0, 0.0]])
    best, worst = (metrics.gain_ndcg(np.array([r]), gains, 3)[0] for r in ([2, 0, 1], [1, 3, 0]))
    assert best == pytest.approx(1.0) and worst == pytest.approx(0.1 / (1 + 0.2 / np.log2(3)))
    assert metrics.gain_ndcg(np.array([[1, -1, -1]]), 0 * gains, 3)[0] == 0.0


def listened(kinds: tuple[str, str]) -> Dataset:
    """Users do the first act on even items and the other on odd ones."""
    rng, rows = np.random.default_rng(0), []
    for user in range(40):
        for step, item in enumerate(rng.permutation(12)[:8]):
            rows.append((f"u{user}", f"i{item:02d}", 1.7e9 + 100 * step, kinds[item % 2]))
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "kind"], orient="row")
    return Dataset(interactions=frame, name="feed")


class Fixed:
    """Ranks even or odd items first."""

    def __init__(self, name: str, first: int) -> None:
        self.name, self.first = name, first

    def fit(self, train, validation, rng) -> None:
        self.vocabulary = Vocabulary(sorted(train.interactions.frame["item_id"].unique()))

    def score(self, requests) -> np.ndarray:
        row = [float(int(item[1:]) % 2 == self.first) for item in self.vocabulary.ids]
        return np.tile(np.array(row, np.float32), (len(requests), 1))


def test_strengths_of_targets_decide_between_lists_where_they_are_asked_for() -> None:
    data, models = listened(("like", "share")), [Fixed("shares", 1), Fixed("likes", 0)]
    data = Dataset(
        interactions=data.interactions.frame,
        name="feed",
        kinds=data.interactions.kinds.over({"like": {"strength": 0.1, "target": True}}),
    )
    users = split_cold_users(data, rng=np.random.default_rng(0), horizon=SHORT).test
    said = {round(s, 3) for user in users for s in user.strengths.values()}
    assert said == {0.1, 1.0}
    found = evaluate(data, models=models, baselines=["Popular"], horizon=SHORT, gains="strength")
    shares, likes = (found.curve.mean(m.name, "gain_ndcg@10").mean() for m in models)
    assert shares > likes + 0.2
    assert "gains by strength" in to_text(found) and found.to_json()["gains"] == "strength"
    assert list(found.to_json()["comparisons"])[0] == "gain_ndcg@10"
    plain = evaluate(data, models=models, baselines=["Popular"], horizon=SHORT)
    assert "gains by strength" not in to_text(plain)


def test_one_strength_needs_no_gains_and_says_so() -> None:
    with pytest.raises(BadInput, match="one; say others in"):
        evaluate(listened(("share", "purchase")), horizon=SHORT, gains="strength")

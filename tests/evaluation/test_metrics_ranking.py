"""Lists: ties, candidates, hand-worked values, and what must hold for any list."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metarec.data.schema import BadInput
from metarec.evaluation import metrics

RNG = np.random.default_rng


def test_rank_orders_by_score_and_leaves_non_candidates_out():
    scores = np.array([[0.1, 0.9, 0.5, 0.7], [4.0, 3.0, 2.0, 1.0]])
    candidates = np.array([[True, False, True, True], [True, True, True, True]])
    assert metrics.rank(scores, 3, RNG(0), candidates).tolist() == [[3, 2, 0], [0, 1, 2]]


def test_rank_says_minus_one_where_no_candidate_is_left():
    scores = np.array([[3.0, 2.0, 1.0]])
    assert metrics.rank(scores, 5, RNG(0), np.array([[False, True, False]])).tolist() == [
        [1, -1, -1, -1, -1]
    ]


def test_an_unusable_score_comes_last_but_before_non_candidates():
    scores = np.array([[np.nan, 2.0, -np.inf, 5.0]], dtype=np.float32)
    ranked = metrics.rank(scores, 4, RNG(0), np.array([True, True, True, False]))
    assert ranked[0, 0] == 1
    assert sorted(ranked[0, 1:3]) == [0, 2]
    assert ranked[0, 3] == -1


def test_ties_are_shuffled_so_a_constant_scorer_is_chance():
    users, items, k, relevant = 4000, 20, 5, 3
    ranked = metrics.rank(np.zeros((users, items)), k, RNG(1))
    is_relevant = np.zeros((users, items), bool)
    is_relevant[:, :relevant] = True  # the first columns: an order of arrival would find them all
    found = metrics.recall(
        metrics.find_hits(ranked, is_relevant), np.full(users, relevant), k
    ).mean()
    assert found == pytest.approx(k / items, abs=0.02)
    shown = np.bincount(ranked.ravel(), minlength=items) / (users * k)
    assert np.abs(shown - 1 / items).max() < 0.01
    first = np.bincount(ranked[:, 0], minlength=items) / users
    assert np.abs(first - 1 / items).max() < 0.02


def test_a_tie_at_the_edge_of_the_list_is_shuffled_too():
    scores = np.tile([3.0, 1.0, 1.0, 1.0, 0.0], (3000, 1))
    ranked = metrics.rank(scores, 2, RNG(2))
    assert (ranked[:, 0] == 0).all()
    share = np.bincount(ranked[:, 1], minlength=5) / 3000
    assert share[[0, 4]].tolist() == [0.0, 0.0]
    assert np.abs(share[1:4] - 1 / 3).max() < 0.04


def test_rank_repeats_with_the_same_seed_and_says_what_is_wrong():
    scores = np.round(RNG(3).random((6, 30)), 1)
    assert np.array_equal(metrics.rank(scores, 10, RNG(5)), metrics.rank(scores, 10, RNG(5)))
    with pytest.raises(BadInput, match="k must be 1 or more, got 0"):
        metrics.rank(scores, 0, RNG(0))
    with pytest.raises(BadInput, match=r"got shape \(30,\)"):
        metrics.rank(scores[0], 1, RNG(0))
    with pytest.raises(BadInput, match="k is 20, but the lists hold only 10 places"):
        metrics.precision(np.zeros((2, 10), bool), 20)


def test_hand_worked_list():
    hits, relevant = np.array([[True, False, True, False]]), np.array([3])
    discount = 1 / np.log2(np.arange(2, 6))
    assert metrics.ndcg(hits, relevant, 4)[0] == pytest.approx(
        (discount[0] + discount[2]) / discount[:3].sum()
    )
    assert metrics.precision(hits, 4)[0] == 0.5
    assert metrics.recall(hits, relevant, 4)[0] == pytest.approx(2 / 3)
    assert metrics.f1(hits, relevant, 4)[0] == pytest.approx(2 * 0.5 * (2 / 3) / (0.5 + 2 / 3))
    assert metrics.accuracy(hits, relevant, np.array([10]), 4)[0] == pytest.approx(
        0.7
    )  # two wrongly in, one wrongly out
    assert metrics.hit_rate(hits, 1)[0] == 1.0
    assert metrics.mrr(np.array([[False, False, True, True]]), 4)[0] == pytest.approx(1 / 3)
    assert metrics.average_precision(hits, relevant, 4)[0] == pytest.approx((1 + 2 / 3) / 3)


def test_nothing_relevant_is_zero_and_auc_a_coin():
    hits, none = np.zeros((1, 5), bool), np.array([0])
    for value in (
        metrics.ndcg(hits, none, 5),
        metrics.recall(hits, none, 5),
        metrics.f1(hits, none, 5),
        metrics.mrr(hits, 5),
        metrics.hit_rate(hits, 5),
        metrics.average_precision(hits, none, 5),
    ):
        assert value.tolist() == [0.0]
    assert metrics.auc(np.array([[1.0, 2.0]]), np.zeros((1, 2), bool)).tolist() == [0.5]


def test_auc_sees_only_candidates():
    scores = np.array([[5.0, 4.0, 3.0, 2.0]])
    is_relevant = np.array([[False, True, False, False]])
    assert metrics.auc(scores, is_relevant)[0] == pytest.approx(2 / 3)
    assert metrics.auc(scores, is_relevant, np.array([False, True, True, True]))[0] == 1.0


lists = st.lists(st.lists(st.booleans(), min_size=8, max_size=8), min_size=1, max_size=6).map(
    lambda rows: np.array(rows, bool)
)


def _all(hits, relevant, k):
    return {
        "ndcg": metrics.ndcg(hits, relevant, k),
        "precision": metrics.precision(hits, k),
        "recall": metrics.recall(hits, relevant, k),
        "f1": metrics.f1(hits, relevant, k),
        "accuracy": metrics.accuracy(hits, relevant, np.full(len(hits), 20), k),
        "hit_rate": metrics.hit_rate(hits, k),
        "mrr": metrics.mrr(hits, k),
        "map": metrics.average_precision(hits, relevant, k),
    }


@settings(max_examples=60, deadline=None)
@given(hits=lists, further=st.integers(0, 5), k=st.integers(1, 8))
def test_every_metric_stays_in_its_range(hits, further, k):
    for name, value in _all(hits, hits.sum(axis=1) + further, k).items():
        assert ((value >= 0) & (value <= 1 + 1e-12)).all(), name


@settings(max_examples=60, deadline=None)
@given(relevant=st.integers(1, 8), k=st.integers(1, 8))
def test_a_perfect_list_gets_the_maximum(relevant, k):
    hits = np.arange(8)[None, :] < relevant
    got = _all(hits, np.array([relevant]), k)
    assert got["ndcg"][0] == pytest.approx(1.0)
    assert got["mrr"][0] == got["hit_rate"][0] == 1.0
    assert got["recall"][0] == pytest.approx(min(k, relevant) / relevant)
    assert got["map"][0] == pytest.approx(min(k, relevant) / relevant)


@settings(max_examples=80, deadline=None)
@given(hits=lists, place=st.integers(0, 6), k=st.integers(1, 8))
def test_moving_a_hit_upward_never_lowers(hits, place, k):
    better = hits.copy()
    better[:, place], better[:, place + 1] = (
        hits[:, place] | hits[:, place + 1],
        hits[:, place] & hits[:, place + 1],
    )
    relevant = hits.sum(axis=1)
    before, after = _all(hits, relevant, k), _all(better, relevant, k)
    for name in before:
        assert (after[name] >= before[name] - 1e-12).all(), name


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000))
def test_auc_only_depends_on_the_order_and_turns_round_with_it(seed):
    rng = RNG(seed)
    scores, is_relevant = rng.integers(0, 5, (4, 15)).astype(float), rng.random((4, 15)) < 0.3
    value = metrics.auc(scores, is_relevant)
    assert np.allclose(value, metrics.auc(np.exp(scores), is_relevant))
    assert np.allclose(value + metrics.auc(-scores, is_relevant), 1.0)


def test_an_empty_place_is_no_hit():
    is_relevant = np.array([[True, True, True]])
    assert metrics.find_hits(np.array([[2, -1]]), is_relevant).tolist() == [[True, False]]


def test_a_catalog_shorter_than_the_list_is_no_error():
    hits = np.array([[True, False, False, False]])
    assert metrics.accuracy(hits, np.array([1]), np.array([3]), 4)[0] == pytest.approx(1 / 3)

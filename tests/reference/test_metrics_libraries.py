"""Our metrics equal ranx and scikit-learn on random tables, and a slow obvious version of the
new-user protocol.
"""

import numpy as np
import pytest
import sklearn.metrics

from metarec.evaluation import metrics


@pytest.fixture(scope="module")
def table():
    """120 users, 60 items, graded relevance by chance; every user has at least one relevant
    item.
    """
    rng = np.random.default_rng(7)
    scores = rng.normal(size=(120, 60))
    is_relevant = rng.random((120, 60)) < rng.uniform(0.02, 0.5, (120, 1))
    is_relevant[np.arange(120), rng.integers(0, 60, 120)] = True
    return scores, is_relevant


@pytest.mark.slow  # ranx compiles itself first, for more than a minute on a new machine
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("k", [1, 5, 10, 60])
def test_equal_to_ranx(table, k):
    ranx = pytest.importorskip("ranx")
    scores, is_relevant = table
    qrels = ranx.Qrels(
        {
            f"u{u:03d}": {f"i{i}": 1 for i in np.flatnonzero(row)}
            for u, row in enumerate(is_relevant)
        }
    )
    run = ranx.Run(
        {
            f"u{u:03d}": {f"i{i}": float(s) for i, s in enumerate(row)}
            for u, row in enumerate(scores)
        }
    )
    hits = metrics.find_hits(metrics.rank(scores, k, np.random.default_rng(0)), is_relevant)
    relevant = is_relevant.sum(axis=1)
    ours = {
        "ndcg": metrics.ndcg(hits, relevant, k),
        "precision": metrics.precision(hits, k),
        "recall": metrics.recall(hits, relevant, k),
        "f1": metrics.f1(hits, relevant, k),
        "mrr": metrics.mrr(hits, k),
        "hit_rate": metrics.hit_rate(hits, k),
        "map": metrics.average_precision(hits, relevant, k),
    }
    theirs = ranx.evaluate(qrels, run, [f"{name}@{k}" for name in ours], return_mean=False)
    for name, value in ours.items():
        assert value == pytest.approx(theirs[f"{name}@{k}"], abs=1e-9), name


def test_equal_to_scikit_learn(table):
    scores, is_relevant = table
    rounded = np.round(scores, 1)  # with ties, which AUC counts half
    assert metrics.auc(rounded, is_relevant) == pytest.approx(
        [sklearn.metrics.roc_auc_score(r, s) for r, s in zip(is_relevant, rounded, strict=True)]
    )
    k = 10
    ranked = metrics.rank(scores, k, np.random.default_rng(0))
    hits, relevant = metrics.find_hits(ranked, is_relevant), is_relevant.sum(axis=1)
    listed = np.zeros_like(is_relevant)
    np.put_along_axis(listed, ranked, True, axis=1)
    for ours, theirs in (
        (metrics.accuracy(hits, relevant, np.full(120, 60), k), sklearn.metrics.accuracy_score),
        (metrics.f1(hits, relevant, k), sklearn.metrics.f1_score),
        (metrics.precision(hits, k), sklearn.metrics.precision_score),
        (metrics.recall(hits, relevant, k), sklearn.metrics.recall_score),
    ):
        assert ours == pytest.approx(
            [theirs(r, s) for r, s in zip(is_relevant, listed, strict=True)]
        )
    assert metrics.ndcg(hits, relevant, k) == pytest.approx(
        [
            sklearn.metrics.ndcg_score(r[None].astype(int), s[None], k=k)
            for r, s in zip(is_relevant, scores, strict=True)
        ]
    )


def test_rating_errors_equal_scikit_learn():
    rng = np.random.default_rng(8)
    owner = np.sort(rng.integers(0, 30, 400))
    actual, predicted = rng.integers(1, 6, 400).astype(float), rng.uniform(1, 5, 400)
    mae, rmse = (
        metrics.mae(predicted, actual, owner, 30),
        metrics.rmse(predicted, actual, owner, 30),
    )
    graded = metrics.graded_ndcg(predicted, actual, owner, 30, 5, rng)
    for user in np.unique(owner):
        own = owner == user
        assert mae[user] == pytest.approx(
            sklearn.metrics.mean_absolute_error(actual[own], predicted[own])
        )
        assert rmse[user] == pytest.approx(
            np.sqrt(sklearn.metrics.mean_squared_error(actual[own], predicted[own]))
        )
        if own.sum() > 1:  # scikit-learn refuses a list of one
            assert graded[user] == pytest.approx(
                sklearn.metrics.ndcg_score(2 ** actual[own][None] - 1, predicted[own][None], k=5)
            )


def test_equal_to_the_new_user_rule_written_out_one_by_one(table):
    """Binary gain, the ideal cut at 10 and at the number of relevant items, recall over all of
    them.
    """
    scores, is_relevant = table
    ranked = metrics.rank(scores, 20, np.random.default_rng(0))
    hits, relevant = metrics.find_hits(ranked, is_relevant), is_relevant.sum(axis=1)
    for user in range(len(scores)):
        liked = set(np.flatnonzero(is_relevant[user]))
        found = [item in liked for item in ranked[user]]
        gain = sum(1 / np.log2(place + 2) for place in range(10) if found[place])
        ideal = sum(1 / np.log2(place + 2) for place in range(min(10, len(liked))))
        assert metrics.ndcg(hits, relevant, 10)[user] == pytest.approx(gain / ideal)
        assert metrics.recall(hits, relevant, 20)[user] == pytest.approx(sum(found) / len(liked))
        first = found.index(True) + 1 if any(found) else np.inf
        assert metrics.mrr(hits, 20)[user] == pytest.approx(1 / first)

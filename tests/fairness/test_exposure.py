"""Exposure, lift and miscalibration equal hand-worked numbers."""

import numpy as np
import pytest

from metarec.fairness.exposure import (
    divergence,
    exposure_by_group,
    item_attention,
    miscalibration,
    popularity_lift,
)
from metarec.fairness.groups import category_matrix, group_items, group_items_by_popularity


def test_attention_counts_places():
    attention = item_attention(np.array([[2, 0, -1], [2, 1, 0]]), 4, places=2)
    np.testing.assert_allclose(attention, [1 / np.log2(3), 1 / np.log2(3), 2.0, 0.0])


def test_exposure_shares_sum_to_one_and_the_blind_model_shows_the_many(
    outcomes, data, evaluation_set
):
    rows = exposure_by_group(
        outcomes, group_items(data.items, evaluation_set.vocabulary, "categories")
    )
    for n_support in (0, 3):
        at = [r for r in rows if r.n_support == n_support]
        for share in ("exposure", "catalog", "events", "liked"):
            assert sum(getattr(r, share) for r in at) == pytest.approx(1.0)
    drama = next(r for r in rows if r.group == "drama" and r.n_support == 0)
    assert drama.exposure > 0.8 > drama.liked
    assert drama.catalog == pytest.approx(0.5)


def test_coverage_of_a_group_is_its_share_shown_to_anyone(outcomes, data, evaluation_set):
    rows = exposure_by_group(outcomes, group_items_by_popularity(data, evaluation_set.vocabulary))
    groups = group_items_by_popularity(data, evaluation_set.vocabulary)
    shown = np.unique(outcomes.ranked[0][:, :10])
    row = next(r for r in rows if r.group == "popular" and r.n_support == 0)
    assert row.coverage == pytest.approx(
        (groups.labels[shown] == "popular").sum() / (groups.labels == "popular").sum()
    )


def test_lift_is_zero_for_the_liked_items_themselves_and_grows_with_popularity(evaluation_set):
    columns = [evaluation_set.vocabulary.indexes(p.relevant) for p in evaluation_set.cold_users]
    own = np.array([c[:8] for c in columns])
    np.testing.assert_allclose(popularity_lift(own, evaluation_set), 0.0, atol=1e-12)
    counts = evaluation_set.train.interactions.frame["item_id"].value_counts(sort=True)["item_id"][
        :8
    ]
    hits = np.tile(evaluation_set.vocabulary.indexes(counts), (len(own), 1))
    assert (popularity_lift(hits, evaluation_set) > 0.2).all()


def test_divergence_by_hand():
    p, q = np.array([[3.0, 1.0]]), np.array([[1.0, 1.0]])
    mixed = 0.99 * np.array([0.5, 0.5]) + 0.01 * np.array([0.75, 0.25])
    assert divergence(p, q)[0] == pytest.approx(
        0.75 * np.log(0.75 / mixed[0]) + 0.25 * np.log(0.25 / mixed[1])
    )
    assert divergence(p, p)[0] == pytest.approx(0.0)
    assert np.isnan(divergence(np.zeros((1, 2)), q)[0])


def test_miscalibration_is_larger_for_the_few(outcomes, data, evaluation_set, by_group):
    mixes, _ = category_matrix(data.items, evaluation_set.vocabulary)
    found = miscalibration(outcomes.ranked[0], evaluation_set, mixes)
    assert found[by_group.mask("few")].mean() > 1.0 > found[by_group.mask("many")].mean()

"""Values by group equal fairlearn's and hand means; a real gap is clear, chance is not; matching
takes activity out.
"""

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame

from metarec.fairness.disparity import find_gaps, matched_difference, metric_frame, values_by_group
from metarec.fairness.groups import Groups
from metarec.fairness.outcomes import Outcomes


def synthetic(evaluation_set, values):
    return Outcomes(
        evaluation_set=evaluation_set,
        support_sizes=(0,),
        per_user={"ndcg@10": values[None], "mae": values[None]},
        ranked=np.zeros((1, len(values), 20), int),
    )


def test_values_are_the_means_and_fairlearn_agrees(outcomes, by_group):
    rows = {
        r.group: r
        for r in values_by_group(
            outcomes, by_group, "ndcg@10", np.random.default_rng(0), n_support=0
        )
    }
    values = outcomes.values("ndcg@10", 0)
    theirs = MetricFrame(
        metrics=lambda _, y: y.mean(),
        y_true=values,
        y_pred=values,
        sensitive_features=by_group.labels,
    ).by_group
    for label in ("many", "few"):
        assert rows[label].value == pytest.approx(values[by_group.labels == label].mean())
        assert rows[label].value == pytest.approx(theirs.loc[label])
        assert rows[label].low < rows[label].value < rows[label].high
    assert rows["few"].users == 40


def test_any_statistic_goes_through_metric_frame(outcomes, by_group):
    frame = metric_frame(
        outcomes,
        by_group,
        "ndcg@10",
        n_support=0,
        statistics={"worst tenth": lambda _, y: float(np.quantile(y, 0.1))},
    )
    values = outcomes.values("ndcg@10", 0)
    assert frame.by_group["worst tenth"].loc["few"] == pytest.approx(
        np.quantile(values[by_group.labels == "few"], 0.1)
    )


def test_the_known_bias_is_found_and_clear(outcomes, by_group):
    gap = next(
        g
        for g in find_gaps(outcomes, [by_group], "ndcg@10", support_sizes=(0, 3))
        if g.n_support == 0
    )
    assert (gap.worst, gap.best) == ("few", "many")
    assert gap.is_clear and gap.low > 0.1


def test_a_lower_metric_turns_best_and_worst(evaluation_set, by_group):
    values = np.where(by_group.labels == "few", 1.0, 0.5) + np.random.default_rng(0).normal(
        0, 0.1, 100
    )
    gap = find_gaps(synthetic(evaluation_set, values), [by_group], "mae", support_sizes=(0,))[0]
    assert (gap.worst, gap.best) == ("few", "many")


def test_chance_over_many_pairs_is_not_called_clear(evaluation_set):
    """20 random groupings of 4: some pair has p < 0.05 uncorrected, none may be clear."""
    rng = np.random.default_rng(5)
    values = rng.normal(0.4, 0.2, 100)
    groupings = [
        Groups(name=f"g{n}", labels=rng.permutation(np.repeat(list("abcd"), 25))) for n in range(20)
    ]
    gaps = find_gaps(synthetic(evaluation_set, values), groupings, "ndcg@10", support_sizes=(0,))
    assert len(gaps) == 20
    assert not any(g.is_clear for g in gaps)
    assert any(
        find_gaps(synthetic(evaluation_set, values), [g], "ndcg@10", support_sizes=(0,))[0].low > 0
        for g in groupings
    )


def test_small_groups_take_no_part_and_are_marked(evaluation_set):
    labels = np.array(["big"] * 50 + ["other"] * 45 + ["tiny"] * 4 + ["one"])
    values = np.concatenate([np.full(95, 0.5), np.zeros(4), [1.0]]) + np.random.default_rng(
        0
    ).normal(0, 0.01, 100)
    groups = Groups(name="g", labels=labels)
    gap = find_gaps(synthetic(evaluation_set, values), [groups], "ndcg@10", support_sizes=(0,))[0]
    assert {gap.worst, gap.best} == {"big", "other"}
    rows = {
        r.group: r
        for r in values_by_group(
            synthetic(evaluation_set, values),
            groups,
            "ndcg@10",
            np.random.default_rng(0),
            n_support=0,
        )
    }
    assert rows["tiny"].is_small and not rows["big"].is_small
    assert np.isnan(rows["one"].low)


def test_matching_removes_a_gap_that_is_only_activity():
    rng = np.random.default_rng(0)
    liked = np.concatenate([rng.integers(1, 60, 300), rng.integers(40, 100, 300)])
    one, other = np.arange(600) < 300, np.arange(600) >= 300
    values = liked / 100.0 + rng.normal(0, 0.02, 600)
    assert values[other].mean() - values[one].mean() > 0.35
    matched = matched_difference(values, one, other, liked)
    assert abs(matched.value) < 0.01 and not matched.is_clear
    assert matched_difference(values + 0.3 * other, one, other, liked).value == pytest.approx(
        0.3 + matched.value
    )
    assert not matched_difference(values, one, other, np.where(one, liked, liked + 100)).is_known


def test_the_interval_of_a_matched_difference_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(400):
        liked, one = rng.integers(1, 30, 200), rng.random(200) < 0.4
        values = liked / 50.0 + rng.normal(0, 0.2, 200) + 0.1 * ~one
        found = matched_difference(values, one, ~one, liked)
        inside.append(found.low <= 0.1 <= found.high)
    assert 0.92 <= np.mean(inside) <= 0.98

"""The audit finds the known bias, warns of small groups, and its text, JSON and page agree."""

import json
from dataclasses import replace

import numpy as np
import pytest

from explanation.closed_form import ClosedForm
from fairness.biased_world import biased_cold_users
from metarec.app.reports import AUDIT, keep_report
from metarec.data.schema import BadInput
from metarec.evaluation.measure import EvaluationSet
from metarec.fairness import audit
from metarec.fairness.audit import audit_outcomes
from metarec.fairness.audit_report import to_html
from metarec.fairness.disparity import Matched
from metarec.fairness.outcomes import evaluate


@pytest.fixture(scope="module")
def found(blind, evaluation_set):
    return audit(
        blind,
        evaluation_set,
        by=["group", "age", "activity"],
        support_sizes=(0, 3),
        items_by=("popularity", "maker"),
    )


def test_the_known_bias_is_the_largest_clear_gap(found):
    gap = found.largest_clear_gap
    assert (gap.by, gap.worst, gap.best) == ("group", "few", "many")
    assert "The widest clear gap: by group, many is served" in found.summary()


def test_cold_start_hurts_the_few_most_at_the_start(found):
    value = {
        (r.group, r.n_support): r.value
        for r in found.groups
        if r.by == "group" and r.metric == "ndcg@10"
    }
    assert value["many", 0] - value["few", 0] > value["many", 3] - value["few", 3]


def test_every_metric_of_slates_is_there_by_group(found):
    assert {r.metric for r in found.groups} == {
        "ndcg@10",
        "popularity lift@10",
        "miscalibration@10",
    }
    assert {r.by for r in found.exposure} == {"popularity", "maker"}
    assert set(found.coverage) == {0, 3}


def test_a_fair_model_has_no_clear_gap_left_as_large(data, evaluation_set, found):
    fair = audit(ClosedForm.fit(data), evaluation_set, by=["group"], support_sizes=(0, 3))
    gap = next(g for g in fair.gaps if g.n_support is None)
    assert gap.size < 0.5 * found.largest_clear_gap.size


def test_text_json_and_page_hold_the_same_numbers(found):
    gap = found.largest_clear_gap
    text, page, plain = (
        found.to_text(),
        to_html(found),
        json.loads(json.dumps(found.to_json(), allow_nan=False)),
    )
    assert f"{gap.size:.3f}" in text and f"{gap.size:.3f}" in page
    assert plain["gaps"] and plain["users"] == 100
    assert page.count("<svg") == 2 * (3 * 3 + 2)  # each once for a phone
    assert text.startswith("NDCG@10 by group") and "gap in NDCG@10" in page
    assert "<script" not in page and "http-equiv" not in page


def test_the_comparison_says_when_the_metric_makes_the_gap(found):
    gap, nan = found.largest_clear_gap, float("nan")
    unclear = replace(
        gap, by="activity", size=gap.size + 1, matched=Matched(value=-0.1, low=-0.3, high=0.1)
    )
    alone = replace(found, gaps=[unclear]).summary()
    assert (
        "nothing clear is left (-0.100 [-0.300, 0.100])" in alone
        and "No other gap is clear and stays so" in alone
    )
    beside = replace(found, gaps=[unclear, gap])
    assert beside.largest_clear_gap == unclear and beside.largest_fair_gap == gap
    assert (
        f"The widest clear one that stays so between them: by group, many over few by "
        f"{gap.matched}." in beside.summary()
    )
    assert (
        "is not known"
        in replace(
            found, gaps=[replace(gap, matched=Matched(value=nan, low=nan, high=nan))]
        ).summary()
    )
    assert f"{gap.matched} of it between users with as many liked items" in found.summary()


def test_a_group_whose_intervals_break_their_promise_is_cautioned(blind, evaluation_set, by_group):
    outcomes = evaluate(blind, evaluation_set, (0, 3))
    held = np.where(
        np.random.default_rng(0).random((2, 100)) < np.where(by_group.mask("few"), 0.6, 0.9),
        1.0,
        0.0,
    )
    values = replace(outcomes, per_user=outcomes.per_user | {"covered@90": held})
    warnings = audit_outcomes(values, [by_group], []).warnings
    assert (
        len(warnings) == 1
        and "of those of group few" in warnings[0]
        and "too narrow for these users" in warnings[0]
    )
    kept = replace(values, per_user=outcomes.per_user | {"covered@90": np.full((2, 100), 0.9)})
    assert audit_outcomes(kept, [by_group], []).warnings == []


def test_one_user_groups_are_cautioned_not_compared(blind, data):
    users = biased_cold_users(few=1)
    found = audit(blind, EvaluationSet.of(users, data), by=["group"], support_sizes=(0,))
    assert any("too few users to compare: few (1)" in w for w in found.warnings)
    assert any("fewer than two groups are large enough" in w for w in found.warnings)
    assert found.gaps == [] and found.largest_clear_gap is None
    assert "No gap between groups" in found.summary()
    to_html(found)


def test_a_report_kept_with_a_model_names_no_group_of_few_users(blind, data, tmp_path):
    """A group of one user is named by that user's own attribute, which forgetting must not miss."""
    users = biased_cold_users(few=1)
    found = audit(blind, EvaluationSet.of(users, data), by=["group"], support_sizes=(0,))
    kept = keep_report(tmp_path, AUDIT, found.to_json(), by="metarec audit")
    said = json.loads(kept.read_text(encoding="utf-8"))
    assert {row["group"] for row in said["groups"]} == {"many"}
    assert any("too few users to compare: one of 1; fewer than" in w for w in said["warnings"])
    assert "few" in {row.group for row in found.groups}


def test_items_without_categories_leave_miscalibration_out_and_say_so(blind, data, evaluation_set):
    from dataclasses import replace

    from metarec.data.dataset import Dataset
    from metarec.data.schema import Catalog

    bare = Dataset(
        interactions=data.interactions,
        items=Catalog(frame=data.items.frame.select("item_id", "title")),
        users=data.users,
    )
    found = audit(blind, replace(evaluation_set, train=bare), by=["group"], support_sizes=(0,))
    assert any(
        "miscalibration was not measured: items have no column of categories" in w
        for w in found.warnings
    )


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"by": ["genre"]}, "no user states 'genre'"),
        ({"by": ["group"], "items_by": ["brand"]}, "items have no column 'brand'"),
        (
            {"by": ["group"], "metric": "ndcg@11"},
            "metric 'ndcg@11' was not measured; there are: ndcg@10",
        ),
        ({"by": ["group"], "support_sizes": ()}, "say after how many events to evaluate"),
        ({"by": ["group"], "categories": "color"}, "no column of categories"),
    ],
)
def test_what_cannot_be_audited_is_refused_in_one_line(blind, evaluation_set, asked, message):
    with pytest.raises(BadInput, match=message):
        audit(blind, evaluation_set, **{"support_sizes": (0,), **asked})


def test_the_former_name_of_support_sizes_is_taken_with_a_warning(blind, evaluation_set):
    now = audit(blind, evaluation_set, by=["group"], support_sizes=(0,))
    with pytest.warns(FutureWarning, match="shots of audit is now support_sizes"):
        assert audit(blind, evaluation_set, by=["group"], shots=(0,)).to_text() == now.to_text()

"""What saved models and reports of before are read as."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest

from metarec.app.reports import read_report
from metarec.data.cold_users import Horizon
from metarec.evaluation.measure import EvaluationSet
from metarec.models.config import setting
from metarec.recommendation.conformal import Conformal
from metarec.recommendation.ensemble.gate import Gate
from metarec.recommendation.explained import Explanation
from metarec.recommendation.onboarding import Questions
from metarec.recommendation.settings import Settings
from metarec.recommender import Recommender
from metarec.runtime.old_names import (
    ARRAYS,
    ATTRIBUTES,
    IN_REPORTS,
    SAVED,
    current_option,
    with_current_names,
)


def test_no_old_name_is_a_name_of_today():
    for names in (SAVED, ARRAYS, IN_REPORTS):
        assert not set(names) & set(names.values())


def test_old_names_are_replaced_at_every_depth_and_values_stay():
    array = np.arange(3)
    saved = {"people": array, "groups": [{"people": 3, "by": "people"}]}
    found = with_current_names(saved, IN_REPORTS)
    assert found["users"] is array
    assert found["groups"] == [{"users": 3, "by": "people"}]


def test_former_names_of_public_attributes_work_and_name_the_current_one():
    questions = Questions(items=np.zeros((1, 1), int), uncertainty_reduction=np.ones((1, 1)))
    with pytest.warns(FutureWarning, match="worth is now Questions.uncertainty_reduction"):
        assert questions.worth is questions.uncertainty_reduction
    with pytest.raises(AttributeError, match="'Questions' object has no attribute 'score_parts'"):
        questions.score_parts  # noqa: B018  # the access is what is tested
    for name, names in ATTRIBUTES.items():
        public = {"Recommender": Recommender, "Explanation": Explanation, "Questions": Questions}
        public |= {"Horizon": Horizon, "Conformal": Conformal, "Settings": Settings}
        known = {*dir(public[name]), *(one.name for one in fields(public[name]))}
        assert known >= {*names.values()}
        assert not known & {*names}


@pytest.mark.parametrize(
    ("former", "current"),
    [
        ("--parts", "--components"),
        ("--mend=gan", "--mitigate=gan"),
        ("--users-a-part", "--users-per-file"),
    ],
)
def test_former_options_are_read_as_the_current_ones(former: str, current: str):
    assert current_option(former) == current


def test_intervals_saved_under_old_names_are_read():
    old = {"shots": [0, 5], "stretch": [1.0, 1.2], "level": 0.9, "newcomers": 40}
    found = Conformal.of_json(old)
    assert (found.cold_users, found.support_sizes) == (40, (0, 5))


def test_former_limits_of_a_setting_work_and_name_the_current_ones():
    with pytest.warns(FutureWarning, match="least of setting is now at_least"):
        former = setting(1.0, **{"least": 0})
    assert former.metadata == setting(1.0, at_least=0).metadata


def test_a_class_is_imported_under_its_former_name():
    with pytest.warns(FutureWarning, match="Trial of metarec.evaluation.measure is now Eval"):
        from metarec.evaluation.measure import Trial
    assert Trial is EvaluationSet
    with pytest.raises(ImportError, match="Trials"):
        from metarec.evaluation.measure import Trials  # noqa: F401  # the import is what is tested


def test_former_keywords_of_classes_work_and_name_the_current_one():
    with pytest.warns(FutureWarning, match="shots of Horizon is now support_sizes"):
        horizon = Horizon(shots=(0, 1), pool=1, min_events=2)
    assert horizon == Horizon(support_sizes=(0, 1), pool=1, min_events=2)
    with pytest.warns(FutureWarning, match=r"Horizon\.shots is now Horizon\.support_sizes"):
        assert horizon.shots == (0, 1)
    with pytest.raises(TypeError, match="sizes"):
        Horizon(sizes=(0, 1), pool=1, min_events=2)


def test_sizes_and_a_size_of_former_reports_are_told_apart():
    former = {"shots": [0, 5], "gaps": [{"shots": None}, {"shots": 5}]}
    assert with_current_names(former, IN_REPORTS) == {
        "support_sizes": [0, 5],
        "gaps": [{"n_support": None}, {"n_support": 5}],
    }


def test_a_report_kept_before_is_read_under_the_keys_of_today(tmp_path):
    place = tmp_path / "reports" / "audit.json"
    place.parent.mkdir()
    place.write_text(json.dumps({"people": 12, "rows": [{"people": 5}]}))
    assert read_report(tmp_path, "audit") == {"users": 12, "rows": [{"users": 5}]}


def test_a_gate_saved_under_old_names_is_read():
    old = {
        "knots": np.array([0, 5]),
        "trust": np.array([1.0, 0.5]),
        "regard": np.zeros((2, 1)),
        "weight": np.ones((2, 1)),
        "ease": np.full((2, 1), 0.5),
    }
    gate = Gate.from_arrays(("a",), old)
    again = Gate.from_arrays(("a",), gate.arrays())
    assert gate.popularity_weight is old["trust"]
    assert not set(gate.arrays()) & {"knots", "trust", "regard", "ease"}
    assert all(again.arrays()[name] is array for name, array in gate.arrays().items())

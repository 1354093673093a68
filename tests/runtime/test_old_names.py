"""What saved models and reports of before are read as."""

from __future__ import annotations

import json

import numpy as np

from metarec.app.reports import read_report
from metarec.recommendation.conformal import Conformal
from metarec.recommendation.ensemble.gate import Gate
from metarec.runtime.old_names import ARRAYS, IN_REPORTS, SAVED, with_current_names


def test_no_old_name_is_a_name_of_today():
    for names in (SAVED, ARRAYS, IN_REPORTS):
        assert not set(names) & set(names.values())


def test_old_names_are_replaced_at_every_depth_and_values_stay():
    array = np.arange(3)
    saved = {"people": array, "groups": [{"people": 3, "by": "people"}]}
    found = with_current_names(saved, IN_REPORTS)
    assert found["users"] is array
    assert found["groups"] == [{"users": 3, "by": "people"}]


def test_intervals_saved_under_old_names_are_read():
    old = {"shots": [0, 5], "stretch": [1.0, 1.2], "level": 0.9, "newcomers": 40}
    assert Conformal.of_json(old).cold_users == 40


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

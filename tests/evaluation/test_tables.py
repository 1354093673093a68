"""What was found, as frames and tables of papers and notebooks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metarec.data.errors import BadInput
from metarec.evaluation.crossvalidation import pool
from metarec.evaluation.curve import CurveTable
from metarec.evaluation.tables import html, latex

CURVE = CurveTable(
    support_sizes=(0, 1),
    user_ids=["a", "b"],
    per_user={
        "Item_KNN": {"ndcg@10": np.array([[0.1, 0.3], [0.5, 0.5]])},
        "<ours>": {"ndcg@10": np.array([[0.2, 0.4], [0.4, 0.4]])},
    },
    coverage={"Item_KNN": np.zeros(2), "<ours>": np.zeros(2)},
)


def test_the_latex_table_escapes_names_and_marks_the_best_of_each_column() -> None:
    lines = latex(CURVE).splitlines()
    assert lines[0] == r"\begin{tabular}{lrr}"
    assert r"Item\_KNN & 0.200 & \textbf{0.500} \\" in lines
    assert r"<ours> & \textbf{0.300} & 0.400 \\" in lines


def test_a_metric_without_a_better_end_has_no_best() -> None:
    told = latex(CURVE, "coverage@10"), html(CURVE, "coverage@10")
    assert "0.000" in told[0] and "0.000" in told[1]
    assert "textbf" not in told[0] and "<b>" not in told[1]


def test_the_notebook_table_is_the_same_with_names_as_text() -> None:
    told = html(CURVE, digits=2)
    assert "<tr><th>&lt;ours&gt;</th><td><b>0.30</b></td><td>0.40</td></tr>" in told


def test_a_metric_that_was_not_measured_is_refused() -> None:
    with pytest.raises(BadInput, match="was not measured by 'mae'"):
        latex(CURVE, "mae")


def test_folds_are_pooled_by_the_metrics_that_all_of_them_have() -> None:
    more = {m: {**v, "gain_ndcg@10": v["ndcg@10"]} for m, v in CURVE.per_user.items()}
    plain = replace(CURVE, seconds={m: np.zeros(2) for m in more})
    gaining = replace(plain, per_user=more)
    for curves in ([plain, gaining], [gaining, plain]):
        pooled = pool(curves, seed=0)
        assert {*pooled.per_user["Item_KNN"]} == {"ndcg@10"}
        assert pooled.per_user["Item_KNN"]["ndcg@10"].shape == (2, 4)

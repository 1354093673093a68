"""Pictures hold the names and are the same bytes each time."""

from dataclasses import replace

import numpy as np

from metarec.explanation.faithfulness import measure_faithfulness
from metarec.explanation.plots import draw_ablation, draw_faithfulness
from metarec.explanation.quality import Mean
from metarec.recommendation.slate import Request


def test_curves_are_drawn_for_every_method_beside_random_order(model, rated_world):
    users = [Request(history=rated_world.history(taste, 4)) for taste in ("space", "garden")]
    found = measure_faithfulness(model, users, rng=np.random.default_rng(0))
    svg = draw_faithfulness(found)
    assert (
        all(svg.count(f">{curve.method}<") == 2 for curve in found.curves)
        and svg.count(">random order<") == 2
    )
    assert "deletion: lower is truer" in svg and "insertion: higher is truer" in svg


def test_an_ablation_is_drawn_with_every_part(ablation):
    svg = draw_ablation(ablation)
    assert all(row.component in svg for row in ablation.rows)
    assert np.isfinite([row.loss.mean for row in ablation.rows]).all()


def test_an_interval_that_ends_a_rounding_error_before_the_mean_is_drawn(ablation):
    row = ablation.rows[0]
    narrow = replace(row, loss=Mean(mean=0.1, low=0.1, high=np.nextafter(0.1, 0)))
    svg = draw_ablation(replace(ablation, rows=[narrow, *ablation.rows[1:]]))
    assert row.component in svg

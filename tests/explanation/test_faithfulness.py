"""The measures tell a faithful explanation from one that lies, and see parts that do not add up."""

from dataclasses import replace

import numpy as np
import pytest

from metarec.data.schema import BadInput
from metarec.explanation.faithfulness import (
    _correlations,
    _curves,
    measure_faithfulness,
    methods_of,
)
from metarec.explanation.quality import Mean
from metarec.recommendation.slate import Request


@pytest.fixture(scope="module")
def users(rated_world):
    rng = np.random.default_rng(3)
    ids = [i for items in rated_world.items_of_taste.values() for i in items]
    return [
        Request(
            history=[
                (ids[i], float(rng.integers(1, 6)))
                for i in rng.choice(len(ids), size=5, replace=False)
            ]
        )
        for _ in range(24)
    ]


@pytest.fixture(scope="module")
def found(model, users):
    return measure_faithfulness(model, users, rng=np.random.default_rng(0), reseeded=[model])


def test_leave_one_out_and_shapley_beat_random_order_clearly(found):
    by_name = {(c.kind, c.method): c for c in found.curves}
    for kind in ("deletion", "insertion"):
        for method in ("leave-one-out", "shapley"):
            assert by_name[kind, method].gain.low > 0.05


def test_curves_start_and_end_where_random_order_does(found):
    for curve in found.curves:
        assert curve.relative_score[0] == pytest.approx(curve.random[0], abs=1e-6)
        assert curve.relative_score[-1] == pytest.approx(curve.random[-1], abs=1e-6)
        ends = (curve.relative_score[0], curve.relative_score[-1])
        assert (ends[0] > ends[1]) == (curve.kind == "deletion")


def test_an_explanation_turned_upside_down_is_worse_than_chance(model, users):
    rng = np.random.default_rng(0)
    items = [slate.item_ids[0] for slate in model.recommend(users, k=1)]
    exact = methods_of(model, rng)["leave-one-out"](users, items)
    effects = {"honest": exact, "upside down": [-one for one in exact]}
    honest, liar = _curves(model, users, items, effects, "deletion", rng)
    assert liar.gain.high < 0 < honest.gain.low
    assert Mean.of(_correlations(effects["upside down"], exact), rng).high < 0


def test_agreement_stability_and_additivity(found):
    assert found.agreement["shapley"].low > 0.5
    assert found.stability.mean == pytest.approx(1.0)
    assert found.adds_up


def test_a_model_of_another_seed_that_ignores_half_the_events_is_less_stable(model, users):
    other = replace(model, neighbors=model.neighbors * (np.arange(24) % 2))
    assert (
        measure_faithfulness(
            model, users, rng=np.random.default_rng(0), reseeded=[other]
        ).stability.high
        < 0.99
    )


def test_a_miss_of_the_parts_is_seen(model, users):
    class Liar(type(model)):
        def score(self, requests):
            return super().score(requests) + 0.01

    liar = Liar(**{name: getattr(model, name) for name in type(model).__dataclass_fields__})
    missed = measure_faithfulness(liar, users, rng=np.random.default_rng(0))
    assert missed.additivity == pytest.approx(0.01 / np.abs(liar.score(users)).max(), rel=1e-3)
    assert not missed.adds_up and "NOT KEPT" in missed.to_text()


def test_text_and_bad_input(model, found):
    text = found.to_text()
    assert (
        "deletion" in text
        and "agreement with leave-one-out, shapley" in text
        and "stability" in text
    )
    assert "users" in found.to_json()
    with pytest.raises(BadInput, match="at least two events"):
        measure_faithfulness(model, [Request(history=[("s00", 5.0)])], rng=np.random.default_rng(0))

"""How much better users are served whom a model was trained on."""

from __future__ import annotations

import numpy as np
import pytest

from metarec.data.cold_users import ColdUser
from metarec.data.schema import BadInput
from metarec.evaluation.overfitting import (
    NEW,
    TRAINING,
    Overfitting,
    Served,
    _gap,
    _without_category,
    measure_overfitting,
)
from metarec.models.transformer.scorer import TransformerConfig
from world import World

FEW_STEPS = TransformerConfig(id_dropout=0.0, dropout=0.0, held_out=0.0, steps=60)


def test_a_plain_transformer_remembers_those_it_was_trained_on(world: World) -> None:
    found = measure_overfitting(world.data, preset="tiny", encoder="none", plain=FEW_STEPS)

    assert [(row.model, row.share) for row in found.rows] == [
        (model, share) for share in (0.1, 0.3, 1.0) for model in ("metarec", "plain Transformer")
    ]
    fewest = found.rows[1]
    assert fewest.means[TRAINING] > fewest.means[NEW] + 0.05
    assert fewest.gap[0] == pytest.approx(fewest.means[TRAINING] - fewest.means[NEW])
    assert fewest.gap[1] <= fewest.gap[0] <= fewest.gap[2]
    assert found.lines()[-1] == found.sentence


def test_a_gap_is_a_difference_of_means_with_its_interval() -> None:
    rng = np.random.default_rng(0)
    known, new = rng.normal(0.6, 0.1, 300), rng.normal(0.4, 0.1, 100)

    mean, low, high = _gap(known, new)

    assert mean == pytest.approx(known.mean() - new.mean())
    error = 1.96 * np.sqrt(known.var() / 300 + new.var() / 100)
    assert (mean - low, high - mean) == pytest.approx((error, error), rel=0.15)


def test_a_category_asked_about_is_not_shown() -> None:
    tags = {"a": {"g=war"}, "b": {"g=war", "g=sea"}, "c": {"g=sea"}, "d": {"g=war"}}
    user = ColdUser(
        user_id="u",
        profile={},
        pool=[("c", 1.0), ("e", 1.0), ("d", 1.0)],
        query=[("a", 1.0), ("b", 1.0), ("f", 1.0)],
        relevant=["a", "b", "f"],
    )

    found = _without_category(user, tags)

    assert found is not None
    assert found.relevant == ["a", "b"]
    assert [item for item, *_ in found.pool] == ["c", "e"]
    assert found.unlisted == ["d", "f"]  # known of the user, and neither shown nor asked about
    assert _without_category(user, {}) is None


def test_the_sentence_names_the_share_of_the_gap() -> None:
    def row(model: str, gap: float) -> Served:
        means = {TRAINING: gap, NEW: 0.0}
        return Served(model=model, share=1.0, users=9, means=means, gap=(gap, gap, gap))

    def said(ours: float, plain: float) -> str:
        rows = [row("metarec", ours), row("plain Transformer", plain)]
        return Overfitting(rows=rows, asked={TRAINING: 1, NEW: 1}, notes=[]).sentence

    assert said(0.02, 0.1).endswith("20% of its gap.")
    assert said(-0.02, 0.1).endswith("0% of its gap.")
    assert said(0.02, -0.1).endswith("does not overfit here.")


def test_too_few_users_to_ask_are_told(world: World) -> None:
    frame = world.data.interactions.frame
    few = world.data.with_interactions(frame.filter(frame["user_id"] < "u008"))
    with pytest.raises(BadInput, match="of a tenth of the training users"):
        measure_overfitting(few, preset="tiny", encoder="none", plain=FEW_STEPS)

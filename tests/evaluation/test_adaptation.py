"""Rows adapted and not adapted: what the steps add, and whether the curve rises."""

from __future__ import annotations

import numpy as np
import pytest

from metarec.evaluation.adaptation import adaptations
from metarec.evaluation.curve import CurveTable
from metarec.runtime.language import OUTPUT, SAID, translated


def curve(*models: str) -> CurveTable:
    """Adapted .2, .3, .5 and not .2 throughout, on the mean."""
    values = {"decoder_lora": [0.2, 0.3, 0.5], "decoder_lora, not adapted": [0.2, 0.2, 0.2]}
    users = np.linspace(-0.1, 0.1, 40)
    return CurveTable(
        support_sizes=(0, 1, 10),
        user_ids=[str(user) for user in range(40)],
        per_user={
            model: {"ndcg@10": np.array(values.get(model, [0.1] * 3))[:, None] * (1 + users)}
            for model in models
        },
        coverage={},
    )


def test_gains_are_of_the_same_users_and_rises_of_the_same_row() -> None:
    [found] = adaptations(curve("decoder_lora", "decoder_lora, not adapted", "EASE"))
    assert (found.model, found.events) == ("decoder_lora", (1, 10))
    assert [one.mean for one in found.gains] == pytest.approx([0.1, 0.3])
    assert [one.mean for one in found.rises] == pytest.approx([0.2])
    gains, rises = found.lines
    assert "adapted minus not adapted, NDCG@10 by known items: 1 +0.100 [+0.098" in gains
    assert "; 10 +0.300 [+0.29" in gains
    assert "adapted, NDCG@10 minus that at 1, by known items: 10 +0.200 [+0.19" in rises
    assert all(translated(line, "zh", OUTPUT, SAID) != line for line in found.lines)


def test_rows_without_a_pair_say_nothing() -> None:
    assert adaptations(curve("EASE", "decoder_lora")) == []

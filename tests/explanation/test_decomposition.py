"""Parts that carry the world's quality are found, and the card repeats what was measured."""

import numpy as np
import pytest

from explanation.closed_form import ClosedForm
from metarec.evaluation.measure import measure
from metarec.explanation.decomposition import ablate, model_card


def test_the_whole_equals_what_evaluation_measures(model, evaluation_set, ablation):
    measured = (
        measure(model, evaluation_set, 3, np.random.default_rng(0)).per_user["ndcg@10"].mean()
    )
    assert ablation.full[3].mean == pytest.approx(measured, abs=1e-9)
    assert ablation.full[3].mean > 0.95


def test_parts_that_know_the_user_are_worth_something_once_there_are_events(model, evaluation_set):
    lone = ClosedForm(
        **{name: getattr(model, name) for name in ClosedForm.__dataclass_fields__}
        | {"tags": model.tags * 0}
    )
    rows = {
        (r.component, r.n_support): r
        for r in ablate(
            lone, evaluation_set, support_sizes=(0, 3), rng=np.random.default_rng(0)
        ).rows
    }
    assert rows["collaborative", 3].loss.low > 0.2
    assert abs(rows["collaborative", 0].loss.mean) < 0.1
    assert rows["collaborative", 3].alone > 0.95 > 0.8 > rows["profile", 3].alone


def test_text_card_and_json_repeat_the_numbers(model, ablation):
    text = ablation.to_text()
    assert "without collaborative" in text and f"{ablation.full[3].mean:.3f}" in text
    card = model_card(
        model, ablation, data_name="the tiny world", settings={"dim": 4}, caveats=["made up"]
    )
    assert "# Model card: test-1" in card
    assert f"{ablation.full[0].mean:.3f} [{ablation.full[0].low:.3f}" in card
    assert "- dim: 4" in card and "- made up" in card
    assert ablation.to_json()["rows"][0]["component"] == "popularity"


class _RefusesLater:
    """What somebody refused is a part only where somebody did."""

    def __init__(self, model):
        self.model = model

    def __getattr__(self, name):
        return getattr(self.model, name)

    def score_components(self, requests):
        parts = self.model.score_components(requests)
        if any(len(request.history) >= 3 for request in requests):
            parts["refused"] = 0 * parts["popularity"]
        return parts


def test_a_part_that_somebody_refusing_brings_is_worth_nothing_before(model, evaluation_set):
    found = ablate(
        _RefusesLater(model), evaluation_set, support_sizes=(0, 3), rng=np.random.default_rng(0)
    )
    rows = {(row.component, row.n_support): row for row in found.rows}
    assert rows["refused", 0].loss.mean == 0 == rows["refused", 3].loss.mean
    assert rows["refused", 0].without == found.full[0].mean
    assert "without refused" in found.to_text()

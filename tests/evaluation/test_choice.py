"""Which choice the evidence supports, where the answer is known."""

import pytest

from evaluation.worlds import curve_of
from metarec.data.cold_users import SHORT
from metarec.data.schema import BadInput
from metarec.evaluation.adapters import UNADAPTED, learners_for
from metarec.evaluation.choice import choose
from metarec.evaluation.evaluate import evaluate
from metarec.evaluation.own_recommender import OwnRecommender
from metarec.evaluation.report import to_text


def test_a_default_ahead_of_every_learner_is_supported():
    choice = choose(
        curve_of(
            {
                "metarec": [0.30, 0.36, 0.40, 0.45],
                "maml": [0.30, 0.30, 0.31, 0.32],
                "anil": [0.1, 0.2, 0.3, 0.35],
            }
        ),
        "metarec",
        ["maml", "anil"],
    )
    assert (choice.supported, choice.single) == ("metarec", "maml")
    assert [s.best for s in choice.differences] == ["maml", "maml", "maml", "anil"]
    assert choice.sentence.startswith(
        "The evidence supports metarec, which is fit's default: +0.06"
    )
    assert choice.sentence.endswith(
        "it is better at 1, 3 and 5 known items, even at 0 known items."
    )


def test_a_learner_ahead_of_the_default_is_named_against_it():
    choice = choose(
        curve_of({"metarec": [0.30, 0.30, 0.31, 0.32], "maml": [0.30, 0.36, 0.40, 0.45]}),
        "metarec",
        ["maml"],
    )
    assert choice.supported == "maml"
    assert choice.sentence.startswith(
        "The evidence supports maml, not metarec, which is fit's default: -0.07"
    )
    assert "worse at 1, 3 and 5 known items (maml -0.06" in choice.sentence


def test_a_tie_keeps_the_model_and_says_so():
    choice = choose(
        curve_of({"metarec": [0.3, 0.3], "maml": [0.3, 0.3]}), "metarec", ["maml"], is_default=False
    )
    assert choice.supported == "metarec"
    assert "fitted with other settings than fit's default" in choice.sentence
    assert "which is no clear difference" in choice.sentence


def test_fewer_errors_are_better():
    curve = curve_of({"metarec": [0.9, 0.7], "maml": [0.9, 0.8], "anil": [1.2, 1.0]}, metric="mae")
    choice = choose(curve, "metarec", ["anil", "maml"], "mae")
    assert choice.single == "maml"
    assert choice.overall.low > 0
    assert choice.sentence.startswith("The evidence supports metarec, which is fit's default: -0.0")
    with pytest.raises(BadInput, match="cannot be its own baseline"):
        choose(curve_of({"metarec": [0.3]}), "metarec", ["metarec"])


def test_evaluate_tells_which_to_choose(rated_world, monkeypatch):
    from dataclasses import replace

    from metarec.models import registry
    from metarec.models.few_shot.learners import LEARNERS
    from metarec.models.few_shot.training import Training

    for name in [name for name in LEARNERS if name not in ("bayesian_ridge", "prototypical")]:
        monkeypatch.delitem(LEARNERS, name)
    for name, method in LEARNERS.items():
        monkeypatch.setitem(
            LEARNERS, name, replace(method, training=Training(outer_steps=10, tasks_per_step=8))
        )
    monkeypatch.setattr(registry, "BEHAVIOR_ENCODERS", ())
    monkeypatch.setattr(registry, "ADAPTIVE_DECODERS", ())
    own = OwnRecommender(preset="tiny", encoder="none")
    found = evaluate(
        rated_world.data, models=[own, *learners_for(None, encoder="none")], baselines=["Popular"]
    )
    assert found.models == ["metarec", *found.learners, UNADAPTED]
    assert set(found.learners) == {"prototypical", "bayesian_ridge"}
    assert not found.is_default
    choice = found.choice()
    assert choice.sentence in to_text(found, width=2000)
    assert found.to_json()["choice"]["supported"] == choice.supported
    assert evaluate(rated_world.data, models=[own], baselines=["Popular"]).choice() is None


def test_only_a_fit_told_nothing_is_the_default():
    assert OwnRecommender().is_default
    assert not OwnRecommender(preset="tiny").is_default
    assert not OwnRecommender(encoder="tfidf").is_default
    assert not OwnRecommender(user_template="{age}").is_default
    assert OwnRecommender(name="ours", horizon=SHORT).is_default

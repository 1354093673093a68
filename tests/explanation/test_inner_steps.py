"""Step s of the trace is the learner asked with s steps; step 0 moves nothing; users of a map lie
where their parameters differ.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metarec.data.schema import BadInput
from metarec.explanation.inner_steps import follow_steps, map_users, stepping_learner
from metarec.explanation.trace import trace
from metarec.explanation.trace_plot import draw, draw_map
from metarec.models.few_shot.learners import LEARNERS
from metarec.models.registry import MODELS, config_of
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender
from world import World

QUICK = {
    "decoder_anil": {"steps": 40, "outer_steps": 2, "inner_lr": 0.02},
    "decoder_lora": {"steps": 40, "outer_steps": 2},
}
GRADIENT = [name for name, one in LEARNERS.items() if one.family == "gradient"]
STEPPING = [*QUICK, *GRADIENT]


@pytest.fixture(scope="module")
def plain(rated_world: World) -> Recommender:
    return Recommender.fit(rated_world.data, preset="tiny", encoder="none")


@pytest.fixture(scope="module", params=STEPPING)
def model(request: pytest.FixtureRequest, plain: Recommender) -> Recommender:
    """The model with a learner beside its scorers, which the gate need not know for this."""
    name = request.param
    config = config_of(name, QUICK.get(name, {"outer_steps": 20}))
    scorer = MODELS[name].fit(plain.behavior(), np.random.default_rng(0), config)
    scorers = {**plain.ensemble.scorers, name: scorer}
    return replace(plain, ensemble=replace(plain.ensemble, scorers=scorers))


@pytest.fixture
def asked(rated_world: World) -> Request:
    return Request(history=[*rated_world.history("space", 3), ("g00", 5.0)])


def test_every_step_is_the_learner_asked_alone(model: Recommender, asked: Request) -> None:
    found = follow_steps(model, asked, k=5)
    name, scorer = stepping_learner(model)
    assert found.learner == name and len(found.losses) == scorer.inner_steps + 1
    assert found.losses[-1] < found.losses[0] and found.kept[0] == 1.0
    users = model.users([asked])[0]
    assert found.losses[1] == pytest.approx(scorer.after_steps(1).support_losses(users)[0])
    assert all(len(slate) == 5 for slate in found.slates)
    text = found.to_text()
    assert text.count("\n") == scorer.inner_steps + 1 and name in text


def test_the_picture_gains_a_row(plain: Recommender, asked: Request) -> None:
    scorer = MODELS["maml"].fit(plain.behavior(), np.random.default_rng(0))
    scorers = {**plain.ensemble.scorers, "maml": scorer}
    model = replace(plain, ensemble=replace(plain.ensemble, scorers=scorers))
    moments = trace(plain, asked)
    svg = draw(moments, follow_steps(model, asked))
    assert "Inner loop of maml" in svg and "Inner loop" not in draw(moments)


def test_users_are_mapped_by_group(model: Recommender) -> None:
    found = map_users(model, "home", max_users=20)
    assert 2 <= len(found.groups) <= 20 and found.places.shape == (len(found.groups), 2)
    assert found.explained[0] >= found.explained[1] >= 0 and sum(found.explained) <= 1 + 1e-9
    assert sum(row["users"] for row in found.rows()) == len(found.groups)
    np.testing.assert_allclose(found.places.mean(0), 0, atol=1e-6)
    assert draw_map(found).startswith(b"\x89PNG") and "home" in found.to_text()
    with pytest.raises(BadInput, match="users have no column 'hat'; there are"):
        map_users(model, "hat")


def test_what_takes_no_steps_is_refused(plain: Recommender, asked: Request) -> None:
    with pytest.raises(BadInput, match="no learner of the model takes inner steps"):
        follow_steps(plain, asked)
    with pytest.raises(BadInput, match="item_knn takes no inner steps"):
        follow_steps(plain, asked, "item_knn")
    with pytest.raises(BadInput, match="the model has no learner 'mamal'; it has"):
        follow_steps(plain, asked, "mamal")

"""Step s of the trace is the learner adapting with s steps on that prefix alone; step 0 is the
prior.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from metarec.data.schema import BadInput
from metarec.explanation.inner_steps import follow_steps
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.learners.gradient import maml
from metarec.models.few_shot.tasks import Support

LEARNER = maml(inner_steps=2)


@pytest.fixture(scope="module")
def world_of_tensors():
    draw = torch.Generator().manual_seed(0)
    items = ItemFeatures.of(
        torch.randn(20, 6, generator=draw),
        torch.randn(20, generator=draw),
        rng=np.random.default_rng(0),
    )
    support = Support(
        items=torch.tensor([[3, 7, 11, 0]]),
        values=torch.tensor([[1.0, 1.0, -1.0, 0.0]]),
        is_real=torch.tensor([[True, True, True, False]]),
    )
    return LEARNER.init(items, 0, draw), support, items


def test_every_cell_is_the_learner_asked_alone(world_of_tensors):
    prior, support, items = world_of_tensors
    found = follow_steps(LEARNER, prior, support, items, 5)
    assert np.shape(found.relative_score) == (4, 3) and np.shape(found.rank) == (4, 3)
    for shots in range(4):
        for steps in range(3):
            few = Support(
                items=support.items[:, :shots],
                values=support.values[:, :shots],
                is_real=support.is_real[:, :shots],
            )
            learner = replace(LEARNER, adaptation=replace(LEARNER.adaptation, inner_steps=steps))
            scores = learner.score(prior, learner.adapt(prior, few, items), items)[0].detach()
            assert found.relative_score[shots][steps] == pytest.approx(
                float(scores[5] - scores @ torch.softmax(items.bias, 0)), abs=1e-5
            )
            assert found.rank[shots][steps] == 1 + int((scores > scores[5]).sum())


def test_the_prior_does_not_move_at_step_zero_and_does_after(world_of_tensors):
    prior, support, items = world_of_tensors
    found = follow_steps(LEARNER, prior, support, items, 5)
    for table in found.moves.values():
        assert all(row[0] == 0 for row in table)
    assert max(table[3][2] for table in found.moves.values()) > 1e-3


def test_bad_input_is_refused(world_of_tensors):
    prior, support, items = world_of_tensors
    with pytest.raises(BadInput, match="item must be an index below 20, got 20"):
        follow_steps(LEARNER, prior, support, items, 20)
    two = Support(
        items=support.items.expand(2, -1),
        values=support.values.expand(2, -1),
        is_real=support.is_real.expand(2, -1),
    )
    with pytest.raises(BadInput, match="one user at a time, got 2"):
        follow_steps(LEARNER, prior, two, items, 5)

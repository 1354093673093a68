"""Each interface's value is what the network serves, and attributions through it add up and find
what matters.
"""

import numpy as np
import pytest
import torch

from metarec.explanation.gradients import integrated_gradients
from metarec.explanation.network_inputs import (
    Asked,
    content_input,
    event_input,
    profile_input,
)
from metarec.models.deep_set.network import DeepSetConfig, DeepSetNetwork

pytest.importorskip("captum")
ITEM = 4


@pytest.fixture(scope="module")
def asked():
    torch.manual_seed(0)
    network = DeepSetNetwork(
        torch.randn(12, 5),
        3,
        6,
        torch.randn(12).log_softmax(0),
        torch.tensor([2.0, 4.0]),
        DeepSetConfig(dim=8),
    )
    network.eval()
    with torch.no_grad():
        network.out.weight.normal_(std=0.5)
        network.profile.weight.normal_(std=0.5)
        network.items.residual.normal_(std=0.5)
    return Asked(
        network=network,
        items=torch.tensor([1, 7, 9]),
        values=torch.tensor([5.0, 1.0, 3.0]),
        strengths=torch.tensor([1.0, 0.5, 0.2]),
        profile=torch.tensor([1.0, 0.0, 1.0]),
        item=ITEM,
    )


def served(asked):
    with torch.no_grad():
        table = asked.network.items()
        known = asked.network.users(
            asked.items[None],
            asked.values[None],
            asked.strengths[None],
            torch.ones(1, len(asked.items), dtype=torch.bool),
            asked.profile[None],
            table,
        )[0, -1]
        return float(asked.network.score(known, table).log_softmax(-1)[ITEM])


@pytest.mark.parametrize(
    ("input", "names"), [(event_input, "abc"), (profile_input, "xyz"), (content_input, "vwxyz")]
)
def test_the_interface_s_value_is_what_is_served_and_attributions_add_up(asked, input, names):
    opened = input(asked, list(names))
    assert opened.function(opened.inputs[None])[0].item() == pytest.approx(served(asked), abs=1e-5)
    found = integrated_gradients(opened, steps=128)
    gain = (opened.function(opened.inputs[None]) - opened.function(opened.baseline[None]))[0].item()
    assert abs(gain) > 1e-3
    assert found.effects.sum() == pytest.approx(gain, abs=2e-3)
    assert found.names == list(names)


def test_a_column_that_says_nothing_gets_nothing(asked):
    found = integrated_gradients(profile_input(asked, ["x", "y", "z"]))
    assert found.effects[1] == 0.0 and np.abs(found.effects[[0, 2]]).min() > 1e-4


def test_a_network_without_content_is_explained_by_events_only():
    network = DeepSetNetwork(
        torch.zeros(4, 0), 1, 3, torch.zeros(4), torch.tensor([2.0]), DeepSetConfig(dim=8)
    ).eval()
    with pytest.raises(ValueError, match="items have no content"):
        content_input(
            Asked(
                network=network,
                items=torch.tensor([0]),
                values=torch.tensor([1.0]),
                strengths=torch.ones(1),
                profile=torch.zeros(1),
                item=0,
            ),
            [],
        )

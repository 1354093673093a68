"""The deep-set network: padding and later events change nothing, and it learns what its world
says.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from metarec.data.cold_users import SHORT
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.deep_set.inference import ServedNetwork
from metarec.models.deep_set.network import (
    DeepSetConfig,
    DeepSetNetwork,
    padded_support,
    train_network,
)


@pytest.fixture(scope="module")
def behavior() -> Behavior:
    """Two tastes of ten items each; everyone takes eight of one."""
    rng = np.random.default_rng(0)
    lists = [10 * (user % 2) + rng.choice(10, 8, replace=False) for user in range(60)]
    return Behavior(
        histories=Histories.of_indexes(lists),
        profiles=np.zeros((60, 2), np.float32),
        content=np.eye(20, 4, dtype=np.float32),
        relevant_from=-np.inf,
        horizon=SHORT,
    )


@pytest.fixture(scope="module")
def network(behavior: Behavior) -> DeepSetNetwork:
    return train_network(
        behavior, DeepSetConfig(dim=16, steps=80, dropout=0.1), np.random.default_rng(0)
    )


def read(network: DeepSetNetwork, support: Histories) -> torch.Tensor:
    with torch.inference_mode():
        return network.users(
            *padded_support(support, network.pool), torch.zeros(len(support), 2), network.items()
        )


def test_what_is_known_after_one_event_does_not_depend_on_what_follows(
    network: DeepSetNetwork,
) -> None:
    short, long = (
        read(network, Histories.of_indexes([np.array([3])])),
        read(network, Histories.of_indexes([np.array([3, 14, 5])])),
    )

    torch.testing.assert_close(short[:, :2], long[:, :2], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(short[:, 3], long[:, 3], atol=1e-3)


def test_one_event_tells_the_taste(network: DeepSetNetwork) -> None:
    users = read(network, Histories.of_indexes([np.array([3]), np.array([13])]))

    with torch.inference_mode():
        scores = network.score(users[:, 1], network.items())

    assert scores[0, :10].mean() > scores[0, 10:].mean() + 0.5
    assert scores[1, 10:].mean() > scores[1, :10].mean() + 0.5


@pytest.mark.parametrize("order", [1, -1])
def test_a_strong_act_outweighs_a_weak_one_in_either_order(order: int) -> None:
    """Users take strongly of their own taste and weakly of both, at any moment."""
    rng, acts = np.random.default_rng(0), []
    for user in range(120):
        own, other = 10 * (user % 2), 10 * (1 - user % 2)
        items = np.concatenate([own + rng.permutation(10), other + rng.permutation(10)[:6]])
        strengths = np.repeat([1.0, 0.2], [5, 11])
        acts.append((items, strengths, rng.permutation(len(items))))
    histories = of_acts([(items[at], strengths[at]) for items, strengths, at in acts])
    behavior = Behavior(
        histories=histories,
        profiles=np.zeros((len(acts), 2), np.float32),
        content=np.eye(20, 4, dtype=np.float32),
        relevant_from=-np.inf,
        horizon=SHORT,
    )
    network = train_network(behavior, DeepSetConfig(dim=16, steps=100), np.random.default_rng(0))
    pairs = [(np.array([n, 10 + n])[::order], np.array([1.0, 0.2])[::order]) for n in range(10)]

    with torch.inference_mode():
        scores = network.score(read(network, of_acts(pairs))[:, 2], network.items())

    leads = scores[:, :10].mean(1) - scores[:, 10:].mean(1)
    assert leads.min() > 0.1


def of_acts(acts: list[tuple[np.ndarray, np.ndarray]]) -> Histories:
    """Users by the items and strengths of their acts; strong ones are targets."""
    items = Histories.of_indexes([items for items, _ in acts])
    strengths = np.concatenate([strengths for _, strengths in acts]).astype(np.float32)
    return replace(items, values=strengths, strengths=strengths, is_target=strengths == 1.0)


def test_served_it_wants_what_the_network_does_after_each_whole_support(
    network: DeepSetNetwork,
) -> None:
    """No event, one, three (the pool), beside each other; profiles that say something, and values
    of every level.
    """
    rng = np.random.default_rng(2)
    support = Histories(
        offsets=np.array([0, 0, 1, 4]),
        items=np.array([3, 14, 5, 2]),
        values=np.array([1.0, 1.0, 5.0, 3.0], np.float32),
        strengths=np.array([1.0, 0.2, 1.0, 0.6], np.float32),
    )
    profile = torch.from_numpy(rng.normal(size=(3, 2)).astype(np.float32))
    strange = DeepSetNetwork(
        network.items.content,
        2,
        network.pool,
        network.bias.detach(),
        torch.tensor([2.0, 4.0]),
        DeepSetConfig(dim=16, layers=2),
    ).eval()
    with torch.no_grad():
        for weights in (
            strange.parameters()
        ):  # norms, shares and shifts start at 1 or 0, where to forget them changes nothing
            weights.copy_(torch.from_numpy(rng.normal(0.3, 0.4, weights.shape)))
    for one in (network, strange):
        with torch.inference_mode():
            items, values, strengths, is_real = padded_support(support, 3)
            known = one.users(items, values, strengths, is_real, profile, one.items())[
                torch.arange(3), torch.tensor([0, 1, 3])
            ]
            given = (one.numpy() for one in (items, values, strengths))
            wanted = ServedNetwork(one).user_vectors(*given, np.array([0, 1, 3]), profile.numpy())
            torch.testing.assert_close(
                torch.from_numpy(wanted), one.out(known), rtol=1e-4, atol=1e-5
            )


def test_training_is_repeatable_and_leaves_the_global_generator_alone(behavior: Behavior) -> None:
    sizes = DeepSetConfig(dim=8, steps=3)
    before = torch.random.get_rng_state()

    first, second = (
        train_network(behavior, sizes, np.random.default_rng(4)).state_dict() for _ in range(2)
    )

    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)

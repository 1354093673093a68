"""The training loop: what it steps on, what it keeps, when it ends."""

from __future__ import annotations

import pytest
import torch

from metarec.runtime.training import Best, Watch, one_of, train, weights_of


def sgd(x: torch.Tensor, lr: float = 0.1) -> torch.optim.SGD:
    return torch.optim.SGD([x], lr=lr)


def test_every_loss_of_a_round_is_stepped_on_and_none_is_left_alone() -> None:
    x = torch.tensor(1.0, requires_grad=True)
    told = []

    def losses(done: int):
        yield None
        if done == 2:
            yield 3.0 * x
        yield 2.0 * x

    best = train(2, losses, sgd(x), on_round=lambda done, loss: told.append((done, loss)))
    assert x.item() == pytest.approx(1.0 - 0.1 * (2.0 + 3.0 + 2.0))
    assert [done for done, _ in told] == [1, 2]
    assert told[1][1] == pytest.approx(2.0 * 0.5)
    assert best == Best()


def test_the_best_state_is_kept_and_training_ends_when_none_is_better() -> None:
    x = torch.tensor(0.0, requires_grad=True)
    seen = []
    watch = Watch(quality=lambda: -abs(x.item() - 3.0), state=x.item, every=1, patience=2)
    best = train(
        50, one_of(lambda done: -x), sgd(x, 1.0), watch=watch, on_round=lambda d, _: seen.append(d)
    )
    assert (best.state, best.quality) == (3.0, 0.0)
    assert seen == [1, 2, 3, 4, 5]


def test_there_is_a_look_after_the_last_round_and_no_number_is_never_best() -> None:
    x = torch.tensor(0.0, requires_grad=True)
    looks = []
    watch = Watch(quality=lambda: float("nan"), state=lambda: looks.append(x.item()), every=4)
    assert train(6, one_of(lambda done: -x), sgd(x), watch=watch).state is None
    assert looks == []
    rounds = []
    watch = Watch(quality=lambda: float(len(rounds)), state=lambda: len(rounds), every=4)
    found = train(
        6, one_of(lambda done: -x), sgd(x), watch=watch, on_round=lambda d, _: rounds.append(d)
    )
    assert found.state == 6


def test_gradients_are_cut_and_the_schedule_is_stepped() -> None:
    x = torch.tensor(0.0, requires_grad=True)
    optimizer = sgd(x, 1.0)
    halving = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    train(2, one_of(lambda done: -100.0 * x), optimizer, clip=[x], schedule=halving)
    assert x.item() == pytest.approx(1.5, abs=1e-4)


def test_a_copy_of_weights_does_not_change_with_the_network() -> None:
    layer = torch.nn.Linear(1, 1)
    kept = weights_of(layer)
    with torch.no_grad():
        layer.weight.add_(1.0)
    assert (layer.weight - kept["weight"]).item() == pytest.approx(1.0)

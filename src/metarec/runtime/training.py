"""The training loop of all networks: gradient steps, periodic evaluation on held-out data, keeping
the best state, early stopping.

The model, the data and the loss are given by each network; this module only has the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

State = TypeVar("State")


@dataclass(frozen=True, kw_only=True)
class Watch(Generic[State]):
    """Evaluation during training."""

    quality: Callable[[], float]
    """Quality of the network on held-out data; higher is better."""
    state: Callable[[], State]
    """Returns a copy of the current state."""
    every: int
    """Rounds between two evaluations; there is one after the last round too."""
    patience: int | None = None
    """Evaluations without improvement before training stops early; None never stops early."""


@dataclass(frozen=True, kw_only=True)
class Best(Generic[State]):
    """The best state of a training run."""

    quality: float = -inf
    state: State | None = None
    """None if nothing was evaluated, or every quality was NaN."""


def train(
    rounds: int,
    losses: Callable[[int], Iterable[Tensor | None]],
    optimizer: torch.optim.Optimizer,
    *,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    clip: Sequence[Tensor] = (),
    watch: Watch[State] | None = None,
    # A callback that ignores what it is called with
    on_round: Callable[[int, float | None], None] = lambda done, loss: None,  # noqa: ARG005
) -> Best[State]:
    """Train for `rounds` rounds, evaluate periodically, and return the best state.

    Args:
        rounds: maximum number of rounds.
        losses: yields the losses of a round (from 1), each computed after the step on the one
            before; None skips a step.
        schedule: stepped after each round.
        clip: parameters whose gradient is clipped to norm 1.
        on_round: called with the number of rounds done and the last loss of the round.

    Raises:
        FloatingPointError: if a loss is not finite, after which no parameter is.
    """
    best, waited = Best[State](), 0
    for done in range(1, rounds + 1):
        loss_value = None
        for loss in losses(done):
            loss_value = _stepped(loss, optimizer, clip)
        if schedule is not None:
            schedule.step()
        on_round(done, loss_value)
        if watch is None or (done % watch.every and done < rounds):
            continue
        quality, waited = watch.quality(), waited + 1
        if quality > best.quality:
            best, waited = Best(quality=quality, state=watch.state()), 0
        if watch.patience is not None and waited >= watch.patience:
            break
    return best


def _stepped(
    loss: Tensor | None, optimizer: torch.optim.Optimizer, clip: Sequence[Tensor]
) -> float | None:
    """Take one gradient step, and return the loss as a number."""
    if loss is None:
        return None
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    if clip:
        from torch.nn.utils import clip_grad_norm_

        clip_grad_norm_(clip, 1.0)
    optimizer.step()
    value = float(loss.detach())
    if not isfinite(value):
        raise FloatingPointError(f"a loss of {value:g}")
    return value


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a network's state."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def one_of(make: Callable[[int], Tensor | None]) -> Callable[[int], Iterator[Tensor | None]]:
    """Make the `losses` of rounds with one step each."""

    def losses(done: int) -> Iterator[Tensor | None]:
        yield make(done)

    return losses

"""Users of small groups made up by a conditional GAN over interaction vectors.

After CFGAN (Chae et al. 2018, doi:10.1145/3269206.3271743): the generator writes a whole vector of
items, not one item, and the discriminator evaluates whole vectors beside the condition. We differ
in
three ways, because we want new users and not completions of known ones: the condition is the group
and how many events the user has, never a real user's vector; vectors are drawn
(straight-through Bernoulli) instead of thresholded; and the generator must also match the mean of
the discriminator's features (Salimans et al. 2016, arXiv:1606.03498), without which it soon writes
the same user again.

`gan_checks` says whether the users made up are copies of real ones. Use nothing this module makes
before looking at that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from metarec.data.schema import BadInput

Report = Callable[[int, float, float], None]
"""Told (step, loss of the discriminator, loss of the generator)."""


@dataclass(frozen=True, kw_only=True)
class GanConfig:
    """How the generator is built and trained."""

    noise: int = 32
    """Width of the noise a user is made from."""
    width: int = 128
    """Hidden width of both networks."""
    steps: int = 1000
    """Updates of each network."""
    batch: int = 64
    """Users per update, drawn so that groups come equally often."""
    lr: float = 1e-3
    """Adam's step size for both."""
    matching: float = 10.0
    """Weight of matching the discriminator's mean features."""
    dropout: float = 0.3
    """Of the discriminator's input: it must not recognize single users."""

    def __post_init__(self) -> None:
        if min(self.noise, self.width, self.steps, self.batch) < 1:
            raise BadInput(f"noise, width, steps and batch must be 1 or more, got {self}")


class Generator(nn.Module):
    """Noise, group and number of events -> chance of each item being among the events."""

    def __init__(self, items: int, groups: int, popularity: Tensor, config: GanConfig) -> None:
        super().__init__()
        self.noise = config.noise
        self.body = nn.Sequential(
            nn.Linear(config.noise + groups + 1, config.width),
            nn.LeakyReLU(0.2),
            nn.Linear(config.width, config.width),
            nn.LeakyReLU(0.2),
        )
        self.out = nn.Linear(config.width, items)
        nn.init.normal_(self.out.weight, std=0.02)
        with torch.no_grad():
            self.out.bias.copy_(torch.log(popularity + 1e-4))

    def logits(self, noise: Tensor, group: Tensor, length: Tensor) -> Tensor:
        """[B, N] unnormalized log-chances; `group` is one-hot [B, G], `length` [B] a number of
        events.
        """
        known = torch.cat([noise, group, length.log()[:, None]], dim=1)
        found: Tensor = self.out(self.body(known))
        return found

    def forward(self, noise: Tensor, group: Tensor, length: Tensor, rng: torch.Generator) -> Tensor:
        """A drawn 0/1 vector [B, N] per user; gradients pass as if it were the chances
        (straight-through).
        """
        chance = -torch.expm1(
            -length[:, None] * torch.softmax(self.logits(noise, group, length), dim=1)
        )
        drawn = (torch.rand(chance.shape, generator=rng) < chance).float()
        return drawn + chance - chance.detach()


class Discriminator(nn.Module):
    """A 0/1 vector beside its condition -> real or made up."""

    def __init__(self, items: int, groups: int, config: GanConfig) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(items + groups + 1, config.width),
            nn.LeakyReLU(0.2),
            nn.Linear(config.width, config.width),
            nn.LeakyReLU(0.2),
        )
        self.out = nn.Linear(config.width, 1)

    def features(self, vectors: Tensor, group: Tensor, length: Tensor) -> Tensor:
        """[B, width] what it looks at; vectors are scaled by their length so that activity alone
        gives nothing away.
        """
        joined = torch.cat([vectors / length.sqrt()[:, None], group, length.log()[:, None]], dim=1)
        found: Tensor = self.body(joined)
        return found

    def forward(self, vectors: Tensor, group: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Logit [B] and features [B, width]."""
        features = self.features(vectors, group, length)
        return self.out(features)[:, 0], features


def train_gan(
    vectors: np.ndarray,
    labels: np.ndarray,
    config: GanConfig,
    rng: torch.Generator,
    *,
    report: Report | None = None,
) -> Generator:
    """Learn to make up users like the given ones.

    Args:
        vectors: 0/1 [U, N], every row with at least one event.
        labels: [U] group of each user, 0 .. G-1.
        rng: draws batches, noise and vectors; the networks are initialized from it too.

    Raises:
        BadInput: if a user has no event.
    """
    _check_events(vectors)
    users, items = vectors.shape
    real = torch.from_numpy(vectors.astype(np.float32))
    group = functional.one_hot(torch.from_numpy(labels.astype(np.int64))).float()
    length = real.sum(dim=1)
    evenly = (1.0 / group.sum(dim=0))[labels.astype(np.int64)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=rng)))
        generator = Generator(items, group.shape[1], real.mean(dim=0), config)
        discriminator = Discriminator(items, group.shape[1], config)
        write, tell = (_optimizer(net, config) for net in (generator, discriminator))
        for step in range(config.steps):
            batch = torch.multinomial(
                evenly, min(config.batch, users), replacement=True, generator=rng
            )
            told = _update_discriminator(
                discriminator, tell, generator, real[batch], group[batch], length[batch], rng
            )
            wrote = _update_generator(
                generator,
                write,
                discriminator,
                real[batch],
                group[batch],
                length[batch],
                config,
                rng,
            )
            if report is not None:
                report(step, told, wrote)
    return generator.eval()


def _check_events(vectors: np.ndarray) -> None:
    if not vectors.any(axis=1).all():
        raise BadInput(
            f"user {int(vectors.any(axis=1).argmin())} has no event, and nothing can be learned "
            f"of them; leave them out"
        )


def _optimizer(net: nn.Module, config: GanConfig) -> torch.optim.Optimizer:
    return torch.optim.Adam(net.parameters(), lr=config.lr, betas=(0.5, 0.99))


def _noise(generator: Generator, users: int, rng: torch.Generator) -> Tensor:
    return torch.randn(users, generator.noise, generator=rng)


def _update_discriminator(
    discriminator: Discriminator,
    tell: torch.optim.Optimizer,
    generator: Generator,
    real: Tensor,
    group: Tensor,
    length: Tensor,
    rng: torch.Generator,
) -> float:
    with torch.no_grad():
        made = generator(_noise(generator, len(real), rng), group, length, rng)
    right, _ = discriminator(real, group, length)
    wrong, _ = discriminator(made, group, length)
    loss = (
        functional.binary_cross_entropy_with_logits(
            right, torch.full_like(right, 0.9)
        )  # one-sided smoothing
        + functional.binary_cross_entropy_with_logits(wrong, torch.zeros_like(wrong))
    )
    tell.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    tell.step()
    return float(loss.detach())


def _update_generator(
    generator: Generator,
    write: torch.optim.Optimizer,
    discriminator: Discriminator,
    real: Tensor,
    group: Tensor,
    length: Tensor,
    config: GanConfig,
    rng: torch.Generator,
) -> float:
    made = generator(_noise(generator, len(real), rng), group, length, rng)
    fooled, features = discriminator(made, group, length)
    with torch.no_grad():
        _, wanted = discriminator(real, group, length)
    loss = functional.binary_cross_entropy_with_logits(
        fooled, torch.ones_like(fooled)
    ) + config.matching * functional.mse_loss(features.mean(dim=0), wanted.mean(dim=0))
    write.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    write.step()
    return float(loss.detach())


@torch.no_grad()
def make_up(
    generator: Generator, labels: np.ndarray, lengths: np.ndarray, groups: int, rng: torch.Generator
) -> np.ndarray:
    """0/1 vectors [M, N] of users of the given groups with exactly the given numbers of events
    (Gumbel top-k draws).

    Args:
        labels: [M] group of each, 0 .. groups-1.
        lengths: [M] number of events of each, at most N.
    """
    group = functional.one_hot(torch.from_numpy(labels.astype(np.int64)), groups).float()
    logits = generator.logits(
        _noise(generator, len(labels), rng), group, torch.from_numpy(lengths.astype(np.float32))
    )
    uniform = torch.rand(logits.shape, generator=rng).clamp_(1e-12, 1 - 1e-7)
    order = (
        (logits - torch.log(-torch.log(uniform)))
        .argsort(dim=1, descending=True)
        .argsort(dim=1)
        .numpy()
    )
    return np.asarray(order < lengths[:, None])

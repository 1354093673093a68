"""Neural process: a set encoder maps the support to a distribution over user vectors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from metarec.models.config import setting
from metarec.models.few_shot.functional import Params, linear, new_linear
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.learner import Objective, Prior, Question, question_loss, task_mean
from metarec.models.few_shot.tasks import Support, TaskBatch, concat
from metarec.models.few_shot.towers import dot, embed, embed_at, first_user, new_trunk, prior_score
from metarec.runtime.device import on_device


@dataclass(frozen=True, kw_only=True)
class NeuralProcess:
    """Encode each event alone, and map the sum of the codes to mean and standard deviation of the
    user vector.

    Garnelo et al. 2018, arXiv:1807.01622, after Zaheer et al. 2017, arXiv:1703.06114 (deep sets).
    The sum is divided by the square root of the number of events plus one, so that its scale grows
    slowly with events. The prior (no events) is learned; the query is predicted from the
    distribution given the support, and a divergence ties it to that given support and query.
    """

    name: str = "neural_process"
    objective: Objective = "ranking"
    dim: int = setting(32, at_least=1)
    hidden: int = setting(64, at_least=1)
    divergence: float = setting(0.01, at_least=0)
    """Weight of the divergence, in units of the loss per event."""

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        """Return an item tower, the event encoder, and the read-out of mean and log standard
        deviation (which starts small).
        """
        return (
            new_trunk(items, profile, self.dim, draw)
            | new_linear("event.0", self.dim + 2, self.hidden, draw)
            | new_linear("event.1", self.hidden, self.hidden, draw)
            | new_linear("read.0", self.hidden + 1, self.hidden, draw)
            | new_linear("read.1", self.hidden, 2 * self.dim + 1, draw, gain=0.1)
            | {"log_spread_0": torch.full((self.dim,), -1.0), "log_noise": torch.zeros(())}
        )

    def adapt(self, prior: Prior, support: Support, items: ItemFeatures) -> Params:
        """Return mean and standard deviation of the user vector, and the task's level."""
        v = embed_at(prior, items, support.items)
        values = support.values.unsqueeze(-1)
        codes = F.relu(
            linear(prior, "event.0", torch.cat([v, values, (values > 0).to(v.dtype)], dim=-1))
        )
        codes = linear(prior, "event.1", codes) * support.is_real.unsqueeze(-1)
        counts = support.counts.unsqueeze(-1)
        summary = torch.cat([codes.sum(1) / (counts + 1).sqrt(), torch.log1p(counts)], dim=-1)
        read = linear(prior, "read.1", F.relu(linear(prior, "read.0", summary))) * (counts > 0)
        shift, narrowing, level = read[:, : self.dim], read[:, self.dim : -1], read[:, -1:]
        return {
            "user": first_user(prior, support) + shift,
            "spread": torch.exp(prior["log_spread_0"] + narrowing),
            "level": level,
        }

    def score(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """Return scores: the mean user vector times the items, plus level and prior score."""
        return (
            dot(params["user"], embed(prior, items))
            + params["level"]
            + prior_score(prior, items, self.objective)
        )

    def spread(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """Return the standard deviation of each score; for ratings, noise included."""
        latent = dot(params["spread"].square(), embed(prior, items).square())
        return (
            (latent + torch.exp(2 * prior["log_noise"])).sqrt()
            if self.objective == "rating"
            else latent.sqrt()
        )

    def loss(
        self,
        prior: Prior,
        batch: TaskBatch,
        question: Question,
        items: ItemFeatures,
        draw: torch.Generator,
    ) -> Tensor:
        """Return the query's loss at one draw of the user vector, plus the divergence of the
        distribution given support and query from that given the support.
        """
        params = self.adapt(prior, batch.support, items)
        noise = torch.randn(params["user"].shape, generator=draw, dtype=params["user"].dtype)
        drawn = params | {"user": params["user"] + on_device(noise) * params["spread"]}
        informed = self.adapt(prior, concat(batch.support, batch.query), items)
        apart = gaussian_divergence(
            informed["user"], informed["spread"], params["user"], params["spread"]
        ).mean()
        loss = question_loss(self, prior, drawn, question) + self.divergence * apart
        if self.objective == "rating":  # fits the noise alone; the mean has its own loss above
            error = (
                (question.query.values - self.score(prior, params, question.items))
                .detach()
                .square()
            )
            loss = (
                loss
                + task_mean(
                    0.5 * error * torch.exp(-2 * prior["log_noise"]) + prior["log_noise"],
                    question.query.is_real,
                ).mean()
            )
        return loss


def gaussian_divergence(
    mean: Tensor, spread: Tensor, from_mean: Tensor, from_spread: Tensor
) -> Tensor:
    """Return the Kullback-Leibler divergence [B], in nats, of a diagonal Gaussian from another."""
    return (
        (from_spread / spread).log()
        + (spread.square() + (mean - from_mean).square()) / (2 * from_spread.square())
        - 0.5
    ).sum(-1)

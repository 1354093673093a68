"""TaNP: a task-adaptive neural process."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from metarec.models.config import setting
from metarec.models.few_shot.functional import Params, linear, new_linear, row
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.learner import Objective, Prior, Question, question_loss
from metarec.models.few_shot.learners.neural_process import gaussian_divergence
from metarec.models.few_shot.tasks import Support, TaskBatch, concat
from metarec.models.few_shot.towers import by_task, prior_score
from metarec.runtime.device import on_device


@dataclass(frozen=True, kw_only=True)
class TaNP:
    """A latent variable inferred from the support, and a decoder whose layers are scaled and
    shifted per task.

    Lin et al. 2021, arXiv:2103.06137: the task is also soft-assigned to `clusters` learned
    clusters, whose mixture modulates the decoder (feature-wise modulation), and an extra loss
    sharpens the assignment. Attributes are embedded together instead of one by one. Without events
    the latent variable and the task vector are learned constants.
    """

    name: str = "tanp"
    objective: Objective = "rating"
    dim: int = setting(32, at_least=1)
    hidden: int = setting(64, at_least=1)
    clusters: int = setting(10, at_least=1)
    divergence: float = setting(0.1, at_least=0)
    """Weight of the latent divergence."""
    sharpening: float = setting(0.1, at_least=0)
    """Weight of the clustering term."""
    samples: int = setting(16, at_least=1)
    """Draws of the latent variable for the predictive standard deviation."""

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        """Return embeddings, the two encoders, the cluster centers and the decoder."""
        width = 2 * self.dim if profile else self.dim
        sizes = {
            "embed": (items.width, self.dim),
            "latent.0": (width + 1, self.hidden),
            "latent.1": (self.hidden, self.hidden),
            "latent.2": (self.hidden, 2 * self.dim),
            "task.0": (width + 1, self.hidden),
            "task.1": (self.hidden, self.dim),
            "film.0": (self.dim, 2 * self.hidden),
            "film.1": (self.dim, 2 * self.hidden),
            "decode.0": (width + self.dim, self.hidden),
            "decode.1": (self.hidden, self.hidden),
            "out": (self.hidden, 1),
        }
        sizes |= {"embed_profile": (profile, self.dim)} if profile else {}
        prior = {
            name: value
            for layer, size in sizes.items()
            for name, value in new_linear(layer, *size, draw).items()
        }
        return prior | {
            "kinds": torch.randn(self.clusters, self.dim, generator=draw) * 0.5,
            "latent_0": torch.zeros(2 * self.dim),
            "task_0": torch.zeros(self.dim),
            "bias_scale": torch.ones(1),
        }

    def adapt(self, prior: Prior, support: Support, items: ItemFeatures) -> Params:
        """Return mean and standard deviation of the latent variable, the task vector, and the
        embedded profile.
        """
        params: Params = {}
        if "embed_profile.weight" in prior:
            profile = (
                items.columns.new_zeros(len(support), len(prior["embed_profile.weight"]))
                if support.profile is None
                else support.profile.to(items.columns.dtype)
            )
            params["profile"] = linear(prior, "embed_profile", profile.unsqueeze(1)).squeeze(1)
        rows = linear(prior, "embed", items.take(support.items).columns)
        if params:
            rows = torch.cat([rows, row(params["profile"]).expand(*rows.shape[:2], -1)], dim=-1)
        rows = torch.cat([rows, support.values.unsqueeze(-1)], dim=-1)
        latent = self._pool(
            F.relu(linear(prior, "latent.1", F.relu(linear(prior, "latent.0", rows)))), support
        )
        mean, narrowing = (
            linear(prior, "latent.2", latent.unsqueeze(1)).squeeze(1)
            * support.is_real.any(-1, keepdim=True)
            + prior["latent_0"]
        ).chunk(2, dim=-1)
        task = (
            self._pool(linear(prior, "task.1", F.relu(linear(prior, "task.0", rows))), support)
            + prior["task_0"]
        )
        return params | {
            "latent": mean,
            "spread": 0.1 + 0.9 * torch.sigmoid(narrowing),
            "task": task,
        }

    def score(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """Return the decoder's output at the mean of the latent variable, plus the prior score."""
        return self._decode(prior, params, items) + prior_score(prior, items, self.objective)

    def spread(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """Return the standard deviation of the decoder's output over fixed draws of the latent."""
        noise = torch.randn(
            self.samples,
            self.dim,
            generator=torch.Generator().manual_seed(0),
            dtype=params["latent"].dtype,
        )
        draws = [
            self._decode(prior, params | {"latent": params["latent"] + e * params["spread"]}, items)
            for e in on_device(noise)
        ]
        return torch.stack(draws).std(dim=0)

    def loss(
        self,
        prior: Prior,
        batch: TaskBatch,
        question: Question,
        items: ItemFeatures,
        draw: torch.Generator,
    ) -> Tensor:
        """Return the negative evidence lower bound plus the clustering loss: the query is decoded
        from a draw of the posterior given support and query, whose divergence from the posterior
        given the support alone is penalized.
        """
        params = self.adapt(prior, batch.support, items)
        informed = self.adapt(prior, concat(batch.support, batch.query), items)
        noise = torch.randn(
            informed["latent"].shape, generator=draw, dtype=informed["latent"].dtype
        )
        drawn = params | {"latent": informed["latent"] + on_device(noise) * informed["spread"]}
        apart = gaussian_divergence(
            informed["latent"], informed["spread"], params["latent"], params["spread"]
        ).mean()
        placing = self._placing(prior, params["task"])
        sharp = placing.square() / placing.sum(0)
        sharp = (sharp / sharp.sum(-1, keepdim=True)).detach()
        unsure = (
            (sharp * (sharp.clamp(min=1e-9).log() - placing.clamp(min=1e-9).log())).sum(-1).mean()
        )
        return (
            question_loss(self, prior, drawn, question)
            + self.divergence * apart
            + self.sharpening * unsure
        )

    def _pool(self, codes: Tensor, support: Support) -> Tensor:
        """Return the mean [B, D] over each task's events, 0 without any."""
        return (codes * support.is_real.unsqueeze(-1)).sum(1) / support.counts.clamp(
            min=1
        ).unsqueeze(-1)

    def _placing(self, prior: Prior, task: Tensor) -> Tensor:
        """Return the soft assignment [B, clusters] of tasks to clusters, by a Student t kernel of
        the distance.
        """
        near = 1 / (1 + (task.unsqueeze(1) - prior["kinds"]).square().sum(-1))
        return near / near.sum(-1, keepdim=True)

    def _decode(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """Return the decoder's output [B, N]: two layers, each scaled and shifted per task."""
        kind = params["task"] + self._placing(prior, params["task"]) @ prior["kinds"]
        x_BND = linear(prior, "embed", by_task(items.columns))
        width = x_BND.shape[-1]
        # The first layer over [item; profile; latent]; the part that is the same for all items of a
        # task is computed once.
        task_part = torch.cat(
            [params[name] for name in ("profile", "latent") if name in params], dim=-1
        )
        x_BND = linear(
            {"a.weight": prior["decode.0.weight"][:width], "a.bias": prior["decode.0.bias"]},
            "a",
            x_BND,
        ) + row(task_part @ prior["decode.0.weight"][width:])
        for layer in range(2):
            x_BND = x_BND if layer == 0 else linear(prior, f"decode.{layer}", x_BND)
            scale, shift = linear(prior, f"film.{layer}", kind.unsqueeze(1)).chunk(2, dim=-1)
            x_BND = F.relu(x_BND * (1 + scale) + shift)
        return linear(prior, "out", x_BND).squeeze(-1)

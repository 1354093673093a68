"""Training objective of a sequence model: positives, sampled items and the loss, by form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metarec.models.transformer.encoders import CAUSAL
from metarec.models.transformer.losses import sampled_softmax_loss, samples_loss, softmax_loss
from metarec.models.transformer.network import SequenceTransformer
from metarec.models.transformer.training_set import SequenceTraining, TrainingSet
from metarec.runtime.device import arange_like, on_device

CANDIDATES = 256
"""Bound: items sampled from a large catalog in the encoder-decoder form, where every pair of a user
and an item needs a forward pass.
"""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The loss of a training step."""

    data: TrainingSet
    training: SequenceTraining
    log_chance: np.ndarray
    """[N] log of each item's sampling probability."""

    @classmethod
    def of(cls, data: TrainingSet, training: SequenceTraining) -> Objective:
        """Return the objective; items are sampled by their popularity among the targets."""
        return cls(data=data, training=training, log_chance=_sampling_chance(data.popularity))

    def __call__(
        self, model: SequenceTransformer, users: np.ndarray, rng: np.random.Generator
    ) -> Tensor:
        """Return the loss of these users, at freshly drawn prefixes of their histories."""
        inputs = self.data.shown(users)
        lengths = self.data.inputs.is_real[users].sum(axis=1)
        prefixes = rng.integers(0, lengths[:, None] + 1, size=(len(users), self.training.prefixes))
        prefixes[:, 0] = 0
        if model.form in CAUSAL:
            return self._after_prefixes(model, inputs, users, prefixes, rng)
        prefix = prefixes[
            np.arange(len(users)), rng.integers(self.training.prefixes, size=len(users))
        ]
        if model.form == "encoder":
            return self._masked_items(model, inputs, rng) + self._after_mask(
                model, inputs, users, prefix, rng
            )
        return self._candidates(model, inputs, users, prefix, rng)

    def _after_prefixes(
        self,
        model: SequenceTransformer,
        inputs: Mapping[str, Tensor],
        users: np.ndarray,
        prefixes: np.ndarray,
        rng: np.random.Generator,
    ) -> Tensor:
        """Causal form: the last token of each prefix predicts the items liked after it."""
        read_BLD, _ = model.read(inputs, model.items())
        who = arange_like(len(users), read_BLD)[:, None]
        users_BPD = model.out(
            read_BLD[who, on_device(prefixes)]
        )  # token k has read the first k events
        return self.softmax(
            users_BPD.flatten(0, 1),
            model.score_vectors(),
            model.item_bias,
            np.repeat(users, prefixes.shape[1]),
            self._prefix_items(inputs, prefixes),
            rng,
        )

    def _masked_items(
        self, model: SequenceTransformer, inputs: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Tensor:
        """Bidirectional form: predict the masked items."""
        hidden = (
            on_device(rng.random(tuple(inputs["items"].shape)) < self.training.masked)
            & inputs["is_real"]
        )
        if not hidden.any():
            return model.item_bias.sum() * 0.0
        read_BLD, _ = model.read(inputs, model.items(), masked_BL=hidden)
        users_MD = model.out(read_BLD[:, 1:][hidden])
        return softmax_loss(
            users_MD @ model.score_vectors().T + model.item_bias, inputs["items"][hidden]
        )

    def _after_mask(
        self,
        model: SequenceTransformer,
        inputs: Mapping[str, Tensor],
        users: np.ndarray,
        prefix: np.ndarray,
        rng: np.random.Generator,
    ) -> Tensor:
        """Bidirectional form: a mask after a prefix predicts the items liked later, as when
        serving.
        """
        users_BD = model.user_embeddings(cut(inputs, prefix))
        return self.of_users(model, users_BD, inputs, users, prefix, rng)

    def of_users(
        self,
        model: SequenceTransformer,
        users_BD: Tensor,
        inputs: Mapping[str, Tensor],
        users: np.ndarray,
        prefix: np.ndarray,
        rng: np.random.Generator,
    ) -> Tensor:
        """Return the softmax loss of user vectors [B, D], read from a prefix each, on the items
        liked after it.
        """
        seen_BN = self.seen(inputs, prefix)
        return self.softmax(users_BD, model.score_vectors(), model.item_bias, users, seen_BN, rng)

    def seen(self, inputs: Mapping[str, Tensor], prefix: np.ndarray) -> Tensor:
        """Return a mask [B, N], True for the items in each user's prefix."""
        return self._prefix_items(inputs, prefix[:, None])

    def _candidates(
        self,
        model: SequenceTransformer,
        inputs: Mapping[str, Tensor],
        users: np.ndarray,
        prefix: np.ndarray,
        rng: np.random.Generator,
    ) -> Tensor:
        """Encoder-decoder form: softmax loss of the items liked after the prefix, over all items or
        over sampled ones of a large catalog.
        """
        seen_BN = self._prefix_items(inputs, prefix[:, None])
        targets = self.wanted(users, seen_BN)
        if not self.training.sampled and len(self.log_chance) <= 2 * CANDIDATES:
            return softmax_loss(model.score(cut(inputs, prefix)), targets, allowed_BN=~seen_BN)
        some = targets.sum(1) > 0
        if not some.any():
            return model.item_bias.sum() * 0.0
        memory_BLD, is_real_BL = (
            read[some] for read in model.read(cut(inputs, prefix), model.items())
        )
        positive_BP, sampled_K = (
            self._drawn(targets[some]),
            self._sampled(self.training.sampled or CANDIDATES, rng),
        )
        scores_BP, scores_BK = (
            model.score_candidates(memory_BLD, is_real_BL, model.score_vectors()[items])
            + model.item_bias[items]
            for items in (positive_BP, sampled_K[None])
        )
        left_out_BPK = (sampled_K == positive_BP[..., None]) | seen_BN[some][:, sampled_K][:, None]
        return samples_loss(
            scores_BP,
            scores_BK,
            on_device(self.log_chance)[sampled_K],
            left_out_BPK,
            targets[some].sum(1),
        )

    def softmax(
        self,
        users_MD: Tensor,
        scored_ND: Tensor,
        bias_N: Tensor | None,
        users: np.ndarray,
        seen_MN: Tensor,
        rng: np.random.Generator,
    ) -> Tensor:
        """Return the full or sampled softmax loss of user vectors [M, D] against item vectors on
        the items liked later; those of `seen_MN` are excluded.
        """
        targets = self.wanted(users, seen_MN)
        if not self.training.sampled:
            scores_MN = users_MD @ scored_ND.T
            scores_MN = scores_MN if bias_N is None else scores_MN + bias_N
            return softmax_loss(scores_MN, targets, allowed_BN=~seen_MN)
        some = targets.sum(1) > 0
        if not some.any():
            return users_MD.sum() * 0.0
        return sampled_softmax_loss(
            users_MD[some],
            scored_ND,
            self._drawn(targets[some]),
            self._sampled(self.training.sampled, rng),
            on_device(self.log_chance),
            bias_N=bias_N,
            left_out_BN=seen_MN[some],
            weights_B=targets[some].sum(1),
        )

    def wanted(self, users: np.ndarray, seen_MN: Tensor) -> Tensor:
        """Return target weights [M, N] of these users, 0 for items already seen."""
        dense = on_device(self.data.targets[users].toarray().astype(np.float32))
        return dense.masked_fill(seen_MN, 0.0)

    def _prefix_items(self, inputs: Mapping[str, Tensor], prefixes: np.ndarray) -> Tensor:
        """Return a mask [B * P, N], True for the items in each prefix."""
        n_items = self.data.targets.shape[1]
        inside = (
            arange_like(inputs["items"].shape[1], inputs["items"])[None, None, :]
            < on_device(prefixes)[..., None]
        )
        items = torch.where(inside, inputs["items"][:, None, :], n_items).flatten(0, 1)
        seen = torch.zeros(len(items), n_items + 1, dtype=torch.bool, device=items.device)
        return seen.scatter_(1, items, torch.ones_like(items, dtype=torch.bool))[:, :n_items]

    def _drawn(self, targets_BN: Tensor) -> Tensor:
        """Draw positives [B, P] by their weight, with replacement."""
        return torch.multinomial(targets_BN, self.training.positives, replacement=True)

    def _sampled(self, count: int, rng: np.random.Generator) -> Tensor:
        chance = np.exp(self.log_chance.astype(np.float64))
        return on_device(rng.choice(len(chance), size=count, p=chance / chance.sum()))


def cut(inputs: Mapping[str, Tensor], prefix: np.ndarray) -> dict[str, Tensor]:
    """Return the same histories with all but each user's first `prefix` [B] events masked."""
    places = arange_like(inputs["is_real"].shape[1], inputs["is_real"])
    inside = places[None, :] < on_device(prefix)[:, None]
    return {**inputs, "is_real": inputs["is_real"] & inside}


def _sampling_chance(popularity: np.ndarray) -> np.ndarray:
    """Return the log of each item's probability in one draw: popularity to the power 0.75, as in
    word2vec's negative sampling.
    """
    chance = popularity**0.75
    return np.asarray(np.log(chance / chance.sum()), np.float32)

"""R2-D2 at inference time, in NumPy: adapting takes a dozen steps over a few rows, and to start one
in torch takes longer than to compute it. A test checks that both give the same scores.

Shape letters: B users, S events, D width, N items.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch.nn import functional as F

from metarec.features.histories import Histories
from metarec.models.base import by_columns
from metarec.models.few_shot.functional import Params
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.learner import noise_of
from metarec.models.few_shot.towers import embed
from metarec.runtime.device import in_memory


@dataclass(frozen=True, kw_only=True)
class ServedRidge:
    """A trained `RidgeLearner` that ranks, of prior mean zero, for one catalog."""

    items: Float[np.ndarray, "items columns"]
    """[N, D + 2] embedding of each item, a 1 for the user's level, and the score before anything is
    known of the user.
    """
    worth: Float[np.ndarray, "2"]
    """Regression target of an event of liking 0, and what liking 1 adds."""
    gain: float
    level: float
    """Variance of users' levels."""
    session: float
    """Variance that all events of a support share beside it."""
    noise: float

    @classmethod
    def of(cls, prior: Params, items: ItemFeatures) -> Self:
        """Prepare the learner of this prior for these items."""
        with torch.no_grad():
            embedded = in_memory(embed(prior, items))
            start = in_memory(prior["bias_scale"] * items.bias)
        return cls(
            items=np.column_stack([embedded, np.ones_like(start), start]),
            worth=in_memory(prior["worth"]),
            gain=float(prior["gain"]),
            level=float(F.softplus(prior["level"])),
            session=float(F.softplus(prior["session"])),
            noise=float(noise_of(prior)),
        )

    @cached_property
    def _columns(self) -> Float[np.ndarray, "columns items"]:
        """[D + 2, N] `items`, transposed by `by_columns`."""
        return by_columns(self.items)

    def scores(
        self, support: Histories, items: Int[np.ndarray, "some"] | None = None
    ) -> Float[np.ndarray, "users some"]:
        """[B, N] log-scores, or [B, I] of some `items`; values of the support are likings."""
        users = self._users(support)
        return np.asarray(users @ (self._columns if items is None else self.items[items].T))

    def _users(self, support: Histories) -> Float[np.ndarray, "users columns"]:
        """[B, D + 2] vectors whose products with `items` are the scores."""
        rows = support.padded()
        is_real = rows.is_real.astype(np.float32)
        seen_BSD = self.items[rows.items, :-2] * is_real[..., None]
        targets = (self.worth[0] + self.worth[1] * rows.values) * is_real
        kernel = seen_BSD @ seen_BSD.transpose(0, 2, 1)
        kernel += (self.level + self.session) * is_real[:, :, None] * is_real[:, None, :]
        np.einsum("bss->bs", kernel)[...] += self.noise
        weights = np.linalg.solve(kernel, targets[..., None])
        columns = np.ones((len(support), self.items.shape[1]), np.float32)
        columns[:, :-2] = self.gain * (weights * seen_BSD).sum(1)
        columns[:, -2] = self.gain * self.level * weights.sum((1, 2))
        return columns

"""Item features of the meta-learners: collaborative factors, content and popularity.

A cold item has no collaborative factors; they are predicted from its content by a ridge regression
over the items that have some. So learners can score it, even with a prior trained before it
existed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from metarec.features.behavior import Behavior
from metarec.models.few_shot.factors import collaborative_factors, unit_scaled
from metarec.models.few_shot.inputs_config import DEFAULTS, InputsConfig
from metarec.models.ridge import from_content, with_one
from metarec.models.sampling import stand_ins
from metarec.runtime.device import on_device


@dataclass(frozen=True, kw_only=True)
class ItemColumns:
    """Projection of content to columns, and the columns of the training catalog."""

    factors: np.ndarray
    """[N, F] float32 collaborative factors; for items without likes, predicted from content."""
    popularity: np.ndarray
    """[N] float32 log count of likes, mean 0 over items with likes; predicted for the others."""
    center: np.ndarray
    """[C] float32 mean content."""
    projection: np.ndarray
    """[C, P] float32 principal directions of content, scaled so that projected rows have mean
    square length 1.
    """
    cold: np.ndarray
    """[P + 1, F + 1] float32 ridge coefficients from projected content (and a constant) to factors
    and popularity.
    """

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: InputsConfig = DEFAULTS
    ) -> ItemColumns:
        """Fit factors, popularity and projection on the training users."""
        histories = behavior.histories
        liked = histories.where(behavior.is_liked(histories))
        counted = behavior.targets if behavior.is_ordered else liked
        counts = np.bincount(counted.items, minlength=behavior.n_items)
        is_known = np.bincount(liked.items, minlength=behavior.n_items) >= config.known_from
        popularity = np.log(counts + 0.5)
        popularity = (popularity - (popularity[is_known].mean() if is_known.any() else 0.0)).astype(
            np.float32
        )
        likes = liked.matrix(behavior.n_items)
        factors = unit_scaled(
            collaborative_factors(likes, config.factors, rng=rng, damping=config.factor_damping)
        )
        center = behavior.content.mean(0).astype(np.float32)
        projection = _leading(behavior.content - center, config.content_columns)
        columns = cls(
            factors=factors,
            popularity=popularity,
            center=center,
            projection=projection,
            cold=np.zeros((projection.shape[1] + 1, factors.shape[1] + 1), np.float32),
        )
        projected = columns.content(behavior.content)
        targets = np.concatenate([factors, popularity[:, None]], axis=1)[is_known]
        pull = config.content_regularization
        cold = from_content(projected[is_known], targets, pull).astype(np.float32)
        predicted = with_one(projected) @ cold
        return cls(
            factors=np.where(is_known[:, None], factors, predicted[:, :-1]).astype(np.float32),
            popularity=np.where(is_known, popularity, predicted[:, -1]).astype(np.float32),
            center=center,
            projection=projection,
            cold=cold,
        )

    def content(self, content: np.ndarray) -> np.ndarray:
        """Return projected content [n, P]."""
        return np.asarray((content - self.center) @ self.projection, dtype=np.float32)

    def features(
        self,
        content: np.ndarray,
        rng: np.random.Generator,
        *,
        content_only: bool = False,
        anchors: int = DEFAULTS.anchors,
    ) -> ItemFeatures:
        """Return the features of the training catalog's items, followed by those of any new ones.

        Args:
            content: [N or more, C] of all items; rows beyond the training catalog are new items.
            rng: draws the anchors.
            content_only: leave the collaborative factors out.
            anchors: number of the training catalog's items sampled to represent it.
        """
        projected = self.content(content)
        predicted = with_one(projected[len(self.factors) :]) @ self.cold
        factors = np.concatenate([self.factors, predicted[:, :-1]])
        popularity = np.concatenate([self.popularity, predicted[:, -1]]).astype(np.float32)
        columns = (
            projected
            if content_only
            else np.concatenate([factors, projected], axis=1).astype(np.float32)
        )
        trained = on_device(columns[: len(self.factors)])
        of_training = ItemFeatures.of(trained, rng=rng, anchors=anchors)
        return ItemFeatures(
            columns=on_device(columns),
            bias=on_device(popularity),
            anchors=of_training.anchors,
            anchor_weights=of_training.anchor_weights,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything learned, as named arrays."""
        return {
            "factors": self.factors,
            "popularity": self.popularity,
            "center": self.center,
            "projection": self.projection,
            "cold": self.cold,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> ItemColumns:
        """Return the columns that `arrays()` was called on."""
        return cls(
            **{
                name: arrays[name]
                for name in ("factors", "popularity", "center", "projection", "cold")
            }
        )


def _leading(centered: np.ndarray, max_columns: int) -> np.ndarray:
    """Return up to `max_columns` principal directions [C, P], scaled so that projected rows have
    mean square length 1.
    """
    if not centered.size or not np.abs(centered).max() > 0:
        return np.zeros((centered.shape[1], 0), np.float32)
    _, directions = np.linalg.eigh(centered.T.astype(np.float64) @ centered)
    leading = directions[:, ::-1][:, :max_columns]
    length = np.sqrt(np.square(centered @ leading).sum(1).mean())
    return np.asarray(leading / length, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class ItemFeatures:
    """Features of N items. Learned priors do not depend on N, so items may be added later."""

    columns: Tensor
    """[N, D] float: collaborative factors and content, each block scaled to mean square length 1.
    [B, Q, D] where each of B tasks has items of its own.
    """
    bias: Tensor
    """[N] (or [B, Q]) float: log popularity of each item, its score before anything is known of
    the user.
    """
    anchors: Tensor
    """[M] int64: items sampled to represent the catalog in the softmax of the inner loss."""
    anchor_weights: Tensor
    """[M] float: log of the number of items that each anchor represents."""
    embedded: Tensor | None = None
    """[N, dim] embeddings by the item tower of the final prior, a cache for serving; None during
    training.
    """

    def __len__(self) -> int:
        return self.columns.shape[-2]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.columns.shape[-1]

    @classmethod
    def of(
        cls,
        columns: Tensor,
        bias: Tensor | None = None,
        *,
        rng: np.random.Generator,
        anchors: int = DEFAULTS.anchors,
    ) -> ItemFeatures:
        """Return features with anchors drawn uniformly; all items of a small catalog are."""
        drawn, log_weights = stand_ins(len(columns), np.zeros(0, np.int64), anchors, rng)
        return cls(
            columns=columns,
            bias=columns.new_zeros(len(columns)) if bias is None else bias.to(columns.dtype),
            anchors=on_device(drawn),
            anchor_weights=on_device(log_weights).to(columns.dtype),
        )

    def take(self, indexes: Tensor) -> ItemFeatures:
        """Return the features of items [n], or of each task's own items [B, Q]. The anchors still
        index the whole catalog, so adapt on that.
        """
        return replace(
            self,
            columns=self.columns[indexes],
            bias=self.bias[indexes],
            embedded=None if self.embedded is None else self.embedded[indexes],
        )

    def to(self, dtype: torch.dtype) -> ItemFeatures:
        """Return the same features in another precision."""
        return replace(
            self,
            columns=self.columns.to(dtype),
            bias=self.bias.to(dtype),
            anchor_weights=self.anchor_weights.to(dtype),
        )

    def with_new_anchors(self, draw: torch.Generator) -> ItemFeatures:
        """Return the same items with as many newly drawn anchors."""
        drawn = torch.randperm(len(self), generator=draw)[: len(self.anchors)]
        return replace(self, anchors=on_device(drawn))

    def with_noise(self, dropout: float, draw: torch.Generator) -> ItemFeatures:
        """Return the features with dropout of their entries, the rest scaled up, for training."""
        if not dropout:
            return self
        kept = torch.empty(self.columns.shape, dtype=self.columns.dtype)
        kept = on_device(kept.bernoulli_(1.0 - dropout, generator=draw))
        return replace(self, columns=self.columns * kept / (1.0 - dropout))

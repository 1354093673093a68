"""Items as learners see them: who liked them, what they are about, how often they are liked.

An item nobody has met has no collaborative factors; its content says which it should have, by a
ridge regression over the items that do. So learners can score it, and a prior trained before it
existed serves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from metarec.features.behaviour import Behaviour
from metarec.metalearning.items import ItemFeatures, collaborative_factors, unit_scaled

FACTORS, CONTENT = 32, 32
KNOWN_FROM = 1
"""Likes from which an item's own factors and popularity are used."""
COLD_RIDGE = 30.0


@dataclass(frozen=True, kw_only=True)
class ItemColumns:
    """How content becomes columns, and the columns of the training catalog."""

    factors: np.ndarray
    """[N, F] float32; of items without likes, what their content predicts."""
    popularity: np.ndarray
    """[N] float32 log of how often each item is liked, mean 0 over items with likes."""
    center: np.ndarray
    """[C] float32 mean content."""
    projection: np.ndarray
    """[C, P] float32 leading directions of content, scaled to unit mean square length."""
    cold: np.ndarray
    """[P + 1, F + 1] float32 from projected content to factors and popularity."""

    @classmethod
    def fit(cls, behaviour: Behaviour, rng: np.random.Generator) -> ItemColumns:
        """Learn from training users only."""
        histories = behaviour.histories
        liked = histories.where(behaviour.is_liked(histories))
        counted = behaviour.targets if behaviour.is_ordered else liked
        counts = np.bincount(counted.items, minlength=behaviour.n_items)
        known = np.bincount(liked.items, minlength=behaviour.n_items) >= KNOWN_FROM
        popularity = np.log(counts + 0.5)
        popularity = (popularity - (popularity[known].mean() if known.any() else 0.0)).astype(
            np.float32
        )
        factors = unit_scaled(
            collaborative_factors(liked.matrix(behaviour.n_items), FACTORS, rng=rng)
        )
        center = behaviour.content.mean(0).astype(np.float32)
        projection = _leading(behaviour.content - center)
        columns = cls(
            factors=factors,
            popularity=popularity,
            center=center,
            projection=projection,
            cold=np.zeros((projection.shape[1] + 1, factors.shape[1] + 1), np.float32),
        )
        inputs = columns._with_one(columns.content(behaviour.content))
        targets = np.concatenate([factors, popularity[:, None]], axis=1)[known]
        penalty = COLD_RIDGE * np.diag([*np.ones(projection.shape[1]), 1e-6])
        cold = np.linalg.solve(
            inputs[known].T @ inputs[known] + penalty, inputs[known].T @ targets
        ).astype(np.float32)
        predicted = inputs @ cold
        return cls(
            factors=np.where(known[:, None], factors, predicted[:, :-1]).astype(np.float32),
            popularity=np.where(known, popularity, predicted[:, -1]).astype(np.float32),
            center=center,
            projection=projection,
            cold=cold,
        )

    def content(self, content: np.ndarray) -> np.ndarray:
        """[n, P] projected content."""
        return np.asarray((content - self.center) @ self.projection, dtype=np.float32)

    def features(
        self, content: np.ndarray, rng: np.random.Generator, *, content_only: bool = False
    ) -> ItemFeatures:
        """The training catalog's items, and after them any new ones, by the content of all of them.

        Args:
            content: [N or more, C]; rows beyond the training catalog are items nobody has met.
            content_only: leave the collaborative factors out.
        """
        projected = self.content(content)
        predicted = self._with_one(projected[len(self.factors) :]) @ self.cold
        factors = np.concatenate([self.factors, predicted[:, :-1]])
        popularity = np.concatenate([self.popularity, predicted[:, -1]]).astype(np.float32)
        columns = (
            projected
            if content_only
            else np.concatenate([factors, projected], axis=1).astype(np.float32)
        )
        known = ItemFeatures.of(torch.from_numpy(columns[: len(self.factors)]), rng=rng)
        return ItemFeatures(
            columns=torch.from_numpy(columns),
            bias=torch.from_numpy(popularity),
            anchors=known.anchors,
            anchor_weights=known.anchor_weights,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything learned, by name."""
        return {
            "factors": self.factors,
            "popularity": self.popularity,
            "center": self.center,
            "projection": self.projection,
            "cold": self.cold,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> ItemColumns:
        """From `arrays()`."""
        return cls(
            **{
                name: arrays[name]
                for name in ("factors", "popularity", "center", "projection", "cold")
            }
        )

    @staticmethod
    def _with_one(projected: np.ndarray) -> np.ndarray:
        return np.concatenate([projected, np.ones((len(projected), 1), np.float32)], axis=1)


def _leading(centred: np.ndarray) -> np.ndarray:
    """[C, <= CONTENT] leading principal directions, scaled so that projected rows have unit mean
    square length.
    """
    if not centred.size or not np.abs(centred).max() > 0:
        return np.zeros((centred.shape[1], 0), np.float32)
    _, directions = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    leading = directions[:, ::-1][:, :CONTENT]
    length = np.sqrt(np.square(centred @ leading).sum(1).mean())
    return np.asarray(leading / length, dtype=np.float32)

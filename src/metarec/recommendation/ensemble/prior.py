"""Knowledge transferred from a model fitted on other data: its gate (how much weight each model's
evidence gets) and a linear map from item texts to taste (item factors of ALS).

The target's gate starts at the prior's gate and is regularized towards it, less the more users
teach it. Whether that helps is tested on held-out users of the target; where it does not clearly
help, the prior is not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarec.data.schema import BadInput
from metarec.features.encoders.base import TextEncoder
from metarec.models.als import Als
from metarec.models.ridge import ridge
from metarec.recommendation.ensemble.gate import Gate
from metarec.recommendation.ensemble.gate_config import GateConfig
from metarec.recommendation.ensemble.scorers import under

TRANSFERRED = "transferred"
"""Name of the model that uses the map from text to taste."""
RIDGES = (1.0, 10.0, 100.0, 1000.0)
"""Grid of ridge penalties for the map; a held-out fifth of the source's items chooses among
them.
"""
MIN_ITEMS = 50
"""Minimum number of items with text and events to learn the map from."""


@dataclass(frozen=True, kw_only=True)
class Prior:
    """Knowledge of a source model from which the fit of a target starts."""

    source: str
    """Name of the data set it was learned on."""
    version: str
    """Version of the source model."""
    gate: Gate
    """The source's gate, between the models of history and profile."""
    encoder: str
    """Name of the text encoder whose embeddings the map takes."""
    to_taste: np.ndarray
    """[E, D] float32 map from a text embedding to ALS item factors; D is 0 without texts."""

    @classmethod
    def of(
        cls,
        *,
        source: str,
        version: str,
        als: Als | None,
        gate: Gate,
        encoder: str,
        text: np.ndarray,
        seen: np.ndarray,
    ) -> Prior:
        """Build the prior from the parts of a fitted model.

        Args:
            als: its item factors are the targets of the map; None for a prior without the map.
            text: [N, E] embeddings of the items' texts.
            seen: [N] bool, items with events.
        """
        rows = np.flatnonzero(seen & text.any(axis=1)) if text.shape[1] else np.zeros(0, int)
        learned = (
            np.zeros((text.shape[1], 0), np.float32)
            if als is None or len(rows) < MIN_ITEMS
            else _map(text[rows].astype(np.float64), als.items[rows].astype(np.float64))
        )
        return cls(source=source, version=version, gate=gate, encoder=encoder, to_taste=learned)

    @property
    def knows_taste(self) -> bool:
        """Whether it has a map from text to taste."""
        return bool(self.to_taste.shape[1])

    def taste(self, text: np.ndarray) -> np.ndarray:
        """Return [N, D] float32 item factors predicted from text embeddings."""
        return np.asarray(text.astype(np.float32) @ self.to_taste, np.float32)

    def taste_of(self, encoder: TextEncoder, text: np.ndarray) -> np.ndarray | str:
        """Return [N, D] item factors predicted from `text`, the embeddings that `encoder` made of
        the items' texts, or a sentence that says why they cannot be predicted.
        """
        if not self.knows_taste:
            return (
                f"no map from text to taste in the prior from {self.source}: its items have no "
                "texts, or its text encoder knows no other catalog; only its gate is taken"
            )
        if not text.shape[1] or not text.any():
            return "the items here have no text, so of the prior only its gate is taken"
        if encoder.name != self.encoder or not is_catalog_independent(encoder):
            return (
                f"texts are read by {encoder.name} here and by {self.encoder} in the prior, so "
                "only its gate is taken; name its encoder to take more"
            )
        return self.taste(text)

    def facts(self) -> dict[str, Any]:
        """Return the fields that are not arrays, to be saved as JSON."""
        return {
            "source": self.source,
            "version": self.version,
            "encoder": self.encoder,
            "models": list(self.gate.names),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the learned arrays by name."""
        gate = {f"gate/{name}": array for name, array in self.gate.arrays().items()}
        return {"to_taste": self.to_taste, **gate}

    @classmethod
    def from_parts(cls, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Prior:
        """Rebuild the prior from `facts()` and `arrays()`."""
        return cls(
            source=facts["source"],
            version=facts["version"],
            encoder=facts["encoder"],
            gate=Gate.from_arrays(tuple(facts["models"]), under("gate", arrays)),
            to_taste=arrays["to_taste"],
        )

    def check_shares(self, names: Sequence[str]) -> None:
        """Check that the prior has a map to taste or shares a model with a target whose models are
        `names`.

        Raises:
            BadInput: if it has no map and no model is in both.
        """
        if not self.knows_taste and not {*names} & {*self.gate.names}:
            raise BadInput(
                f"the prior has nothing in common with this fit: it weighs "
                f"{', '.join(self.gate.names)}, here there are {', '.join(names)}; use the preset "
                "of the prior"
            )


@dataclass(frozen=True, kw_only=True)
class PriorComparison:
    """Test of the prior on held-out users of the target: NDCG@10 of each user with and without
    it.
    """

    with_prior: np.ndarray
    """[B] NDCG@10 of each user with the prior."""
    without: np.ndarray
    """[B] NDCG@10 of each user without it."""
    min_t: float = GateConfig.prior_min_t
    """Minimum t statistic of the gain: among a dozen users, even a harmful prior helps half of
    them.
    """

    @property
    def helps(self) -> bool:
        """Whether the mean gain is clearly above 0."""
        gain = self.with_prior - self.without
        return bool(gain.mean() > self.min_t * gain.std() / np.sqrt(max(len(gain), 1)) + 1e-6)

    def sentence(self, source: str) -> str:
        """Return a sentence for users with the result of the test and whether the prior is used."""
        gain = self.with_prior - self.without
        half = 1.96 * gain.std() / np.sqrt(max(len(gain), 1))
        figures = (
            f"NDCG@10 of {len(gain)} held-out users {self.with_prior.mean():.3f} with it, "
            f"{self.without.mean():.3f} without ({gain.mean():+.3f} ± {half:.3f})"
        )
        if self.helps:
            return f"the prior from {source} is used: {figures}"
        return (
            f"the prior from {source} is not used, since it does not clearly help here: {figures}"
        )


def is_catalog_independent(encoder: TextEncoder) -> bool:
    """Whether the encoder reads texts of every catalog in the same way. An encoder whose vocabulary
    was learned on one catalog's texts does not.
    """
    return not encoder.state().arrays


def _map(text: np.ndarray, taste: np.ndarray) -> np.ndarray:
    """[E, D] ridge regression from text to taste; the penalty is chosen by the error on held-out
    items.
    """
    order = np.random.default_rng(0).permutation(len(text))
    held, kept = order[: len(order) // 5], order[len(order) // 5 :]
    errors = [
        ((text[held] @ ridge(text[kept], taste[kept], pull) - taste[held]) ** 2).sum()
        for pull in RIDGES
    ]
    return ridge(text, taste, RIDGES[int(np.argmin(errors))]).astype(np.float32)

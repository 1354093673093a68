"""Training data and training settings of a sequence model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from torch import Tensor

from metarec.models.config import check_ranges, setting
from metarec.models.few_shot.factors import collaborative_factors, unit_scaled
from metarec.models.transformer.inputs import SequenceInputs
from metarec.models.transformer.network import as_tensors


@dataclass(frozen=True, kw_only=True)
class SequenceTraining:
    """Settings of a sequence Transformer's training."""

    steps: int = setting(400, at_least=1)
    """Maximum of gradient steps."""
    users_per_step: int = setting(64, at_least=1)
    """Histories in a step."""
    prefixes: int = setting(4, at_least=1)
    """Prefixes of each history in a step; one of them is empty, so that the empty history is
    learned too.
    """
    learning_rate: float = 2e-3
    """Peak step size of AdamW: linear warm-up over 30 steps, then cosine decay to a twentieth."""
    weight_decay: float = 1e-2
    sampled: int = 0
    """Items sampled for the loss; 0 for the full softmax (where the encoder-decoder form samples
    `CANDIDATES` items of a large catalog).
    """
    positives: int = setting(8, at_least=1)
    """Positives of a user in a sampled loss, drawn anew in each step from the items liked after the
    prefix.
    """
    masked: float = setting(0.3, above=0, below=1)
    """Encoder form: share of events whose item is masked."""
    check_every: int = setting(50, at_least=1)
    """Steps between two validations."""
    patience: int = setting(4, at_least=1)
    """Validations without improvement before training stops."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Histories of the training users, and the items that each liked later."""

    inputs: SequenceInputs
    targets: sp.csr_matrix
    """[U, N] weights above 0 of the items to predict; those in a prefix are excluded from its
    targets.
    """
    profile: np.ndarray | None = None
    """[U, P] profile features."""
    copies: int = 1
    """Number of rows of each user; rows are in blocks that hold every user once."""

    @property
    def usable(self) -> np.ndarray:
        """Indexes of users with targets."""
        return np.flatnonzero(np.diff(self.targets.indptr) > 0)

    @property
    def popularity(self) -> np.ndarray:
        """[N] weight of each item among the targets, plus 0.5 so that none is 0."""
        return np.asarray(self.targets.sum(axis=0)).ravel() + 0.5

    def factors(
        self, dim: int, rng: np.random.Generator, users: np.ndarray | None = None
    ) -> np.ndarray:
        """Return collaborative factors [N, dim or fewer] of the items, over the histories and
        targets of `users` (default: all), scaled to mean square length 1.
        """
        of = np.arange(self.targets.shape[0]) if users is None else users
        rows, places = np.nonzero(self.inputs.is_real[of])
        shown = sp.csr_matrix(
            (np.ones(len(rows), np.float32), (rows, self.inputs.items[of][rows, places])),
            shape=(len(of), self.targets.shape[1]),
        )
        interactions = (shown + self.targets[of]) > 0
        return unit_scaled(collaborative_factors(interactions, dim, rng=rng))

    def shown(self, users: np.ndarray) -> dict[str, Tensor]:
        """Return the histories of these users as network inputs."""
        profile = None if self.profile is None else self.profile[users]
        return as_tensors(self.inputs.rows(users), profile)

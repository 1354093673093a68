"""What a network over events is trained on, and how long."""

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
    """How a sequence Transformer is trained."""

    steps: int = setting(400, least=1)
    """Gradient steps, at most."""
    users_per_step: int = setting(64, least=1)
    """Histories in a step."""
    prefixes: int = setting(4, least=1)
    """Prefixes of each history in a step; one of them is empty, so that the empty history is
    learned too.
    """
    learning_rate: float = 2e-3
    """AdamW; warmed up over 30 steps, then a cosine down to a twentieth."""
    weight_decay: float = 1e-2
    sampled: int = 0
    """Items sampled for the loss; 0 for the full softmax (of a large catalog the encoder-decoder
    form then samples `CANDIDATES`).
    """
    positives: int = setting(8, least=1)
    """Things a user liked beyond the prefix, drawn anew in each step, that a sampled loss asks
    about.
    """
    masked: float = setting(0.3, above=0, below=1)
    """Encoder form: share of events hidden."""
    check_every: int = setting(50, least=1)
    """Steps between two validations."""
    patience: int = setting(4, least=1)
    """Validations without a better one before training stops."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """What there is to learn from: histories shown, and what each user went on to like."""

    inputs: SequenceInputs
    targets: sp.csr_matrix
    """[U, N] weights above 0 of what is to be predicted; items already in a prefix are left out of
    its targets.
    """
    profile: np.ndarray | None = None
    """[U, P] profile features."""
    copies: int = 1
    """How often each user stands here, everyone once before anyone twice."""

    @property
    def usable(self) -> np.ndarray:
        """Users who have something to predict."""
        return np.flatnonzero(np.diff(self.targets.indptr) > 0)

    @property
    def popularity(self) -> np.ndarray:
        """[N] weight of each item among the targets, a little more than it is."""
        return np.asarray(self.targets.sum(axis=0)).ravel() + 0.5

    def factors(
        self, dim: int, rng: np.random.Generator, users: np.ndarray | None = None
    ) -> np.ndarray:
        """[N, dim or fewer] factors of who (of these users, or of all) was shown or wanted what, of
        mean square length 1.
        """
        of = np.arange(self.targets.shape[0]) if users is None else users
        rows, places = np.nonzero(self.inputs.is_real[of])
        shown = sp.csr_matrix(
            (np.ones(len(rows), np.float32), (rows, self.inputs.items[of][rows, places])),
            shape=(len(of), self.targets.shape[1]),
        )
        met = (shown + self.targets[of]) > 0
        return unit_scaled(collaborative_factors(met, dim, rng=rng))

    def shown(self, users: np.ndarray) -> dict[str, Tensor]:
        """The histories of these users as the network reads them."""
        profile = None if self.profile is None else self.profile[users]
        return as_tensors(self.inputs.rows(users), profile)

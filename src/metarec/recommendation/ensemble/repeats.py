"""Repeated items: the probability of a repeat combined with the gate's scores of new items.

An item of the history is scored by the probability that the next act is on it
(`models/repeat/model.py`). New items share the remaining probability by the softmax of the gate's
scores. So a known item gets the score that corresponds to its probability on the scale of the new
items:

    score  =  t (level + log(chance / (1 - chance of any repeat)))

where t is the temperature that maximizes the likelihood of the new items that users chose, and
level is the log of the normalizer, log sum exp(score / t), both learned on held-out users
(`Gate.mixing`). The gate is trained on new items alone. Blending the two was worse: multiplied, as
models are with each other, the gate ordered known items worse than their own probabilities do;
added, it recommended items again that are never taken twice (docs/experiments).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from metarec.features.users import UserBatch
from metarec.models.base import Model
from metarec.recommendation.ensemble.gate import Gate

NEVER_SURE = 1e-6
"""Lower bound on the probabilities of a repeat and of a new item, for finite logarithms."""


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """Scores of items in users' histories that may be repeated; E (user, item) pairs."""

    owners: Int[np.ndarray, "events"]
    """[E] the user's row in the batch."""
    columns: Int[np.ndarray, "events"]
    """[E] the item's column among the scored items."""
    odds: Float[np.ndarray, "events"]
    """[E] float32 log of the item's probability over that of any new item."""
    mixing: Float[np.ndarray, "users 2"]
    """[B, 2] temperature and log-normalizer of each user's scores."""

    @classmethod
    def of(
        cls, model: Model, users: UserBatch, gates: Sequence[tuple[Gate, np.ndarray]], usual: Gate
    ) -> Repeated:
        """Compute them with the repeat model, for users who are ranked by `gates`, each with its
        share [B]; a gate without `mixing` uses that of the `usual` gate.
        """
        chances, lengths = sp.csr_matrix(model.evidence(users)), users.support.lengths
        owners = np.repeat(np.arange(len(users)), np.diff(chances.indptr))
        new = 1.0 - np.bincount(owners, chances.data, len(users))
        odds = np.maximum(chances.data, NEVER_SURE) / np.maximum(new, NEVER_SURE)[owners]
        mixing = np.zeros((len(users), 2), np.float32)
        for gate, share in gates:
            gate_of_mixing = usual if gate.mixing is None else gate
            mixing += share[:, None] * gate_of_mixing.mixing_after(lengths)
        return cls(
            owners=owners,
            columns=chances.indices,
            odds=np.log(odds).astype(np.float32),
            mixing=mixing,
        )

    def among(self, items: Int[np.ndarray, "some"]) -> Repeated:
        """Return the pairs among `items`, which ascend, with columns counted within `items`."""
        at = np.minimum(np.searchsorted(items, self.columns), max(len(items) - 1, 0))
        here = np.flatnonzero(items[at] == self.columns) if len(items) else at[:0]
        return replace(self, owners=self.owners[here], columns=at[here], odds=self.odds[here])

    def put(self, scores: Float[np.ndarray, "users columns"]) -> None:
        """Overwrite the scores of these items in place."""
        at, (temperature, level) = (self.owners, self.columns), self.mixing[self.owners].T
        scores[at] = temperature * (level + self.odds)

    def score_component(self, scores: Float[np.ndarray, "users columns"]) -> np.ndarray:
        """[B, I] what `put` adds to the scores."""
        changed = scores.copy()
        self.put(changed)
        return np.asarray(changed - scores)

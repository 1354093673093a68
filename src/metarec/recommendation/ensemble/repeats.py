"""What was taken before beside what is new: the chance of a repeat against the gate's order.

A repeat is measured by the chance that the next act is on this item (`models/repeat/model.py`), a
new item by its part of the chance that is left, which new items share as the gate's scores say. An
item of the history cannot be new, so its score is that of its own chance, on the scale of the
others:

    score  =  t (level + log(chance / (1 - chance of any repeat)))

where t is the temperature under which the scores of new items are likeliest as their chances, and
exp(level) what exp(score / t) of these comes to together, both on held-out users (`Gate.mixing`).
The gate is taught by new items alone: multiplied, as models are with each other, its taste for the
new put known items in a worse order than their own chances do, and added, it listed what is never
taken twice once more (docs/experiments).
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
"""The least chance of something new."""


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """Items of users' histories that may come again."""

    owners: Int[np.ndarray, "events"]
    """[E] the user of each."""
    columns: Int[np.ndarray, "events"]
    """[E] where each stands among the items that are scored."""
    odds: Float[np.ndarray, "events"]
    """[E] float32 log of the chance of each beside that of anything new."""
    mixing: Float[np.ndarray, "users 2"]
    """[B, 2] temperature and level of each user's scores."""

    @classmethod
    def of(
        cls, model: Model, users: UserBatch, gates: Sequence[tuple[Gate, np.ndarray]], usual: Gate
    ) -> Repeated:
        """By a model of repeats, for users who are ranked by `gates`, each with its share [B]; one
        that knows no mixing takes that of the `usual` gate.
        """
        chances, lengths = sp.csr_matrix(model.evidence(users)), users.support.lengths
        owners = np.repeat(np.arange(len(users)), np.diff(chances.indptr))
        new = 1.0 - np.bincount(owners, chances.data, len(users))
        odds = np.maximum(chances.data, NEVER_SURE) / np.maximum(new, NEVER_SURE)[owners]
        mixing = np.zeros((len(users), 2), np.float32)
        for gate, share in gates:
            known = usual if gate.mixing is None else gate
            mixing += share[:, None] * known.mixing_after(lengths)
        return cls(
            owners=owners,
            columns=chances.indices,
            odds=np.log(odds).astype(np.float32),
            mixing=mixing,
        )

    def among(self, items: Int[np.ndarray, "some"]) -> Repeated:
        """Those of these `items`, which ascend, where only they are scored."""
        at = np.minimum(np.searchsorted(items, self.columns), max(len(items) - 1, 0))
        here = np.flatnonzero(items[at] == self.columns) if len(items) else at[:0]
        return replace(self, owners=self.owners[here], columns=at[here], odds=self.odds[here])

    def put(self, scores: Float[np.ndarray, "users columns"]) -> None:
        """Set the scores of these items, in place."""
        at, (temperature, level) = (self.owners, self.columns), self.mixing[self.owners].T
        scores[at] = temperature * (level + self.odds)

    def part(self, scores: Float[np.ndarray, "users columns"]) -> np.ndarray:
        """[B, I] what `put` adds to scores."""
        changed = scores.copy()
        self.put(changed)
        return np.asarray(changed - scores)

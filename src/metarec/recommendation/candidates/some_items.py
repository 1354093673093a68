"""Scores of a subset of the catalog: those of `Ensemble.score`, without scoring all other items.

A model's evidence is divided by its sum over the whole catalog. Where a model can score a subset of
items, that sum is estimated on a stratified sample of items (stand-ins): the most popular ones,
which hold most of it, and a sample of all others. Shards of a catalog, each with its own items as
stand-ins, add up to the exact sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from metarec.features.users import UserBatch
from metarec.models.added import evidence_of
from metarec.models.base import Evidence
from metarec.recommendation.candidates.cells import Cells
from metarec.recommendation.ensemble.blend import REFUSED_ITEM, Ensemble
from metarec.recommendation.ensemble.gate import Gate
from metarec.recommendation.ensemble.repeats import Repeated

HEAD, SAMPLED = 2048, 2048
"""Number of most popular items with weight 1, and about how many items sample all others."""


@dataclass(frozen=True, kw_only=True)
class StandIns:
    """Weighted sample of items that stands for the catalog."""

    items: Int[np.ndarray, "drawn"]
    """[S] item indexes."""
    weights: Float[np.ndarray, "drawn"]
    """[S] float32: number of items that each stands for."""

    @classmethod
    def of(cls, popularity: np.ndarray, cells: Cells) -> StandIns:
        """Take the most popular items, and every n-th of the others, cell by cell and by popularity
        within a cell, so that cells and popularity are represented in proportion.
        """
        n_head = min(HEAD, len(popularity))
        is_head = np.zeros(len(popularity), bool)
        is_head[np.argpartition(-popularity, n_head - 1)[:n_head]] = True
        tail = cells.members[~is_head[cells.members]]
        step = max(1, len(tail) // SAMPLED)
        drawn = tail[step // 2 :: step]
        items = np.concatenate([np.flatnonzero(is_head), drawn]).astype(np.int64)
        weights = np.ones(len(items), np.float32)
        weights[n_head:] = len(tail) / max(len(drawn), 1)
        return cls(items=items, weights=weights)


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Sums of the evidence of models that can score a subset of items, by name, each [B]."""

    accepted: dict[str, np.ndarray]
    """Sums of the evidence from accepted items."""
    refused: dict[str, np.ndarray]
    """Sums of the evidence from refused items; empty where there are none."""

    @classmethod
    def of_all(cls, each: Sequence[Sums]) -> Sums:
        """Add up the sums of all shards."""
        return cls(
            accepted={n: np.sum([one.accepted[n] for one in each], 0) for n in each[0].accepted},
            refused={n: np.sum([one.refused[n] for one in each], 0) for n in each[0].refused},
        )


@dataclass(frozen=True, kw_only=True)
class SubsetScorer:
    """An ensemble and some users, for scoring several subsets of items in turn."""

    ensemble: Ensemble
    users: UserBatch
    stand_ins: StandIns
    """Sample on which sums of evidence over the catalog are estimated."""
    names: tuple[str, ...]
    """Names of the models that the gates weigh."""
    gates: tuple[tuple[Gate, np.ndarray], ...] = ()
    """Gates, each with its share [B] in the score of each user."""

    @classmethod
    def of(cls, ensemble: Ensemble, users: UserBatch, stand_ins: StandIns) -> SubsetScorer:
        """Use the gates that rank these users, and their models."""
        gates = ensemble.shares_of_gates(users)
        names = dict.fromkeys(name for gate, _ in gates for name in gate.names)
        return cls(
            ensemble=ensemble,
            users=users,
            stand_ins=stand_ins,
            names=tuple(names),
            gates=tuple(gates),
        )

    def scores(self, items: Int[np.ndarray, "some"]) -> Float[np.ndarray, "users some"]:
        """Return [B, I] log-scores of `items`, which ascend."""
        ensemble, users, lengths = self.ensemble, self.users, self.users.support.lengths
        base, shares = ensemble.base_of(items), self._shares(items)
        out = np.zeros((len(users), len(items)), np.float32)
        for gate, share in self.gates:
            out += share[:, None] * gate.score_some(base, shares, lengths)
        if self.repeated is not None:
            self.repeated.among(items).put(out)
        if ensemble.is_refused:
            out += REFUSED_ITEM * ensemble.acceptance[items]
        if ensemble.trend is not None:
            out += ensemble.trend.part_of(users.asked_at, items)
        if self._refusing is not None:
            lifts = self._refusing.lifts(items)
            out -= ensemble.refusal * lifts * (users.refused.lengths > 0)[:, None]
        return np.asarray(out, np.float32)

    def lifts(
        self, items: Int[np.ndarray, "some"], names: Iterable[str] | None = None
    ) -> Float[np.ndarray, "users some"]:
        """Return [B, I] the sum of the models' weighted lifts, of all models or those in
        `names`.
        """
        ensemble, base = self.ensemble, self.ensemble.base_of(items)
        shares = self._shares(items, names)
        silent = np.zeros((len(self.users), len(items)), np.float32)
        shares_of = {name: shares.get(name, silent) for name in ensemble.gate.names}
        base_of_popularity = np.zeros_like(base)
        base_of_popularity[0] = base[0]
        at = ensemble.gate.at(self.users.support.lengths)["popularity_weight"]
        lifts = ensemble.gate.score_some(base_of_popularity, shares_of, self.users.support.lengths)
        return np.asarray(lifts - at[:, None] * base[0])

    @cached_property
    def repeated(self) -> Repeated | None:
        """Scores of items that the users may take again; None without a repeat model."""
        return self.ensemble.repeated(self.users)

    @cached_property
    def sparse_evidence(self) -> dict[str, sp.csr_matrix]:
        """Sparse evidence, by name, of models with evidence for few items."""
        return {name: e for name, e in self._of_catalog.items() if isinstance(e, sp.csr_matrix)}

    def _shares(
        self, items: np.ndarray, names: Iterable[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Return [B, I] shares of evidence of each model by name, for `items`."""
        return {
            name: self._evidence(name, items) / self._totals[name][:, None]
            for name in (self.names if names is None else names)
        }

    def _evidence(self, name: str, items: np.ndarray) -> np.ndarray:
        """Return [B, I] evidence of a model for `items`, from the caches where it is there."""
        if name in self._of_catalog:
            return columns_of(self._of_catalog[name], items)
        if items is self.stand_ins.items:
            return self._of_stand_ins[name]
        return self.ensemble.scoring_some[name].evidence_of(self.users, items)

    @cached_property
    def _of_catalog(self) -> dict[str, Evidence]:
        """Evidence for the whole catalog, by name, of models that cannot score a subset of
        items.
        """
        return {
            name: evidence_of(
                self.ensemble.scorers[name], self.users, len(self.ensemble.popularity)
            )
            for name in self.names
            if name not in self.ensemble.scoring_some
        }

    @cached_property
    def sums(self) -> Sums:
        """Sums of evidence over the catalog, as estimated on the stand-ins."""
        refusing = self._refusing
        return Sums(accepted=self._own_sums, refused={} if refusing is None else refusing._own_sums)

    def with_sums(self, sums: Sums) -> SubsetScorer:
        """Return the same with sums over the whole catalog instead of estimates; cached evidence is
        kept.
        """
        other = replace(self)
        vars(other).update({**vars(self), "_own_sums": sums.accepted})
        vars(other).pop("_totals", None)
        if self._refusing is not None:
            sums_refused = Sums(accepted=sums.refused, refused={})
            vars(other)["_refusing"] = self._refusing.with_sums(sums_refused)
        return other

    @cached_property
    def _totals(self) -> dict[str, np.ndarray]:
        """[B] sum of each model's evidence over the catalog, by name; 1 where it is 0."""
        totals = {n: np.asarray(e.sum(axis=1)).reshape(-1) for n, e in self._of_catalog.items()}
        totals |= self._own_sums
        return {name: np.where(total > 0, total, 1.0) for name, total in totals.items()}

    @cached_property
    def _own_sums(self) -> dict[str, np.ndarray]:
        """[B] estimated sum of the evidence of each model that can score a subset of items, by
        name.
        """
        weights = self.stand_ins.weights
        return {name: evidence @ weights for name, evidence in self._of_stand_ins.items()}

    @cached_property
    def _of_stand_ins(self) -> dict[str, np.ndarray]:
        """[B, S] evidence for the stand-ins, by name; cached because shards need its sum first and
        then its scores.
        """
        return {
            name: model.evidence_of(self.users, self.stand_ins.items)
            for name, model in self.ensemble.scoring_some.items()
            if name in self.names
        }

    @cached_property
    def _refusing(self) -> SubsetScorer | None:
        """The same users as if they had accepted what they refused; None where nobody refused
        anything.
        """
        if not len(self.users.refused.items):
            return None
        names = self.ensemble.gate.names
        users = self.users.refusing()
        return SubsetScorer(
            ensemble=self.ensemble, users=users, stand_ins=self.stand_ins, names=names
        )


def columns_of(evidence: Evidence, items: np.ndarray) -> np.ndarray:
    """Return [B, I] the columns `items`, which ascend, of the evidence for the whole catalog."""
    if not isinstance(evidence, sp.csr_matrix):
        return evidence[:, items]
    columns = np.zeros((evidence.shape[0], len(items)), np.float32)
    owners = np.repeat(np.arange(evidence.shape[0]), np.diff(evidence.indptr))
    at = np.minimum(np.searchsorted(items, evidence.indices), max(len(items) - 1, 0))
    is_asked = items[at] == evidence.indices if len(items) else np.zeros(0, bool)
    columns[owners[is_asked], at[is_asked]] = evidence.data[is_asked]
    return columns

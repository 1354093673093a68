"""Scores of some items: what `Ensemble.score` gives them, without asking about all others.

A model's evidence counts as a share of its sum over the whole catalog. Where a model can be asked
about some items alone, that sum is estimated on items that stand for the rest: the most popular
ones, which hold most of it, and a sample of all others. Shards of a catalog, each of which stands
for its own items, find it exactly, together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from metarec.features.users import UserBatch
from metarec.models.base import Evidence
from metarec.recommendation.candidates.cells import Cells
from metarec.recommendation.ensemble.blend import REFUSED_ITEM, Ensemble
from metarec.recommendation.ensemble.gate import Gate
from metarec.recommendation.ensemble.repeats import Repeated

HEAD, SAMPLED = 2048, 2048
"""Most popular items that stand for themselves, and about how many stand for all the rest."""


@dataclass(frozen=True, kw_only=True)
class StandIns:
    """Items that stand for the catalog."""

    items: Int[np.ndarray, "drawn"]
    weights: Float[np.ndarray, "drawn"]
    """[S] float32: how many items each stands for."""

    @classmethod
    def of(cls, popularity: np.ndarray, cells: Cells) -> StandIns:
        """The most popular items, and of the others one in so many, cell by cell, so that every
        cell and in it what is popular and what is not are there in proportion.
        """
        most = min(HEAD, len(popularity))
        is_head = np.zeros(len(popularity), bool)
        is_head[np.argpartition(-popularity, most - 1)[:most]] = True
        rest = cells.members[~is_head[cells.members]]
        step = max(1, len(rest) // SAMPLED)
        drawn = rest[step // 2 :: step]
        items = np.concatenate([np.flatnonzero(is_head), drawn]).astype(np.int64)
        weights = np.ones(len(items), np.float32)
        weights[most:] = len(rest) / max(len(drawn), 1)
        return cls(items=items, weights=weights)


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What models asked about some items alone sum up to, by name, each [B]."""

    accepted: dict[str, np.ndarray]
    """By what users accepted."""
    refused: dict[str, np.ndarray]
    """By what they refused; none where nobody refused anything."""

    @classmethod
    def of_all(cls, each: Sequence[Sums]) -> Sums:
        """Of all shards together."""
        return cls(
            accepted={n: np.sum([one.accepted[n] for one in each], 0) for n in each[0].accepted},
            refused={n: np.sum([one.refused[n] for one in each], 0) for n in each[0].refused},
        )


@dataclass(frozen=True, kw_only=True)
class Asking:
    """An ensemble that is asked about some users again and again, each time about other items."""

    ensemble: Ensemble
    users: UserBatch
    stand_ins: StandIns
    names: tuple[str, ...]
    """Models that are asked."""
    gates: tuple[tuple[Gate, np.ndarray], ...] = ()
    """Gates between them, each with its share [B] in the score of each user."""

    @classmethod
    def of(cls, ensemble: Ensemble, users: UserBatch, stand_ins: StandIns) -> Asking:
        """The models of the gates that rank these users."""
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
        """[B, I] log-scores of `items`, which ascend."""
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
        """[B, I] what models add to scores, all or those of these `names`."""
        ensemble, base = self.ensemble, self.ensemble.base_of(items)
        shares = self._shares(items, names)
        silent = np.zeros((len(self.users), len(items)), np.float32)
        told = {name: shares.get(name, silent) for name in ensemble.gate.names}
        known = np.zeros_like(base)
        known[0] = base[0]
        at = ensemble.gate.at(self.users.support.lengths)["popularity_weight"]
        found = ensemble.gate.score_some(known, told, self.users.support.lengths)
        return np.asarray(found - at[:, None] * base[0])

    @cached_property
    def repeated(self) -> Repeated | None:
        """What they took before, where it may come again."""
        return self.ensemble.repeated(self.users)

    @cached_property
    def spoken_for(self) -> dict[str, sp.csr_matrix]:
        """What models of few items say, whole."""
        return {name: e for name, e in self._whole.items() if isinstance(e, sp.csr_matrix)}

    def _shares(
        self, items: np.ndarray, names: Iterable[str] | None = None
    ) -> dict[str, np.ndarray]:
        return {
            name: self._evidence(name, items) / self._totals[name][:, None]
            for name in (self.names if names is None else names)
        }

    def _evidence(self, name: str, items: np.ndarray) -> np.ndarray:
        if name in self._whole:
            return columns_of(self._whole[name], items)
        if items is self.stand_ins.items:
            return self._of_stand_ins[name]
        return self.ensemble.scoring_some[name].evidence_of(self.users, items)

    @cached_property
    def _whole(self) -> dict[str, Evidence]:
        """Evidence of models that cannot be asked about some items alone."""
        return {
            name: self.ensemble.scorers[name].evidence(self.users)
            for name in self.names
            if name not in self.ensemble.scoring_some
        }

    @cached_property
    def sums(self) -> Sums:
        """Sums of evidence over the items that stand for others."""
        refusing = self._refusing
        return Sums(accepted=self._own_sums, refused={} if refusing is None else refusing._own_sums)

    def knowing(self, sums: Sums) -> Asking:
        """The same, with what it has found, where the sums are known of the whole catalog."""
        other = replace(self)
        vars(other).update({**vars(self), "_own_sums": sums.accepted})
        vars(other).pop("_totals", None)
        if self._refusing is not None:
            told = Sums(accepted=sums.refused, refused={})
            vars(other)["_refusing"] = self._refusing.knowing(told)
        return other

    @cached_property
    def _totals(self) -> dict[str, np.ndarray]:
        """[B] sum of each model's evidence over the catalog, 1 where there is none."""
        found = {n: np.asarray(e.sum(axis=1)).reshape(-1) for n, e in self._whole.items()}
        found |= self._own_sums
        return {name: np.where(total > 0, total, 1.0) for name, total in found.items()}

    @cached_property
    def _own_sums(self) -> dict[str, np.ndarray]:
        """[B] the same of models asked about some items, as the stand-ins tell it."""
        weights = self.stand_ins.weights
        return {name: found @ weights for name, found in self._of_stand_ins.items()}

    @cached_property
    def _of_stand_ins(self) -> dict[str, np.ndarray]:
        """[B, S] evidence for the stand-ins: shards ask for its sum first, then for its scores."""
        return {
            name: model.evidence_of(self.users, self.stand_ins.items)
            for name, model in self.ensemble.scoring_some.items()
            if name in self.names
        }

    @cached_property
    def _refusing(self) -> Asking | None:
        if not len(self.users.refused.items):
            return None
        names = self.ensemble.gate.names
        users = self.users.refusing()
        return Asking(ensemble=self.ensemble, users=users, stand_ins=self.stand_ins, names=names)


def columns_of(evidence: Evidence, items: np.ndarray) -> np.ndarray:
    """[B, I] the columns `items`, which ascend, of what a model said of all."""
    if not isinstance(evidence, sp.csr_matrix):
        return evidence[:, items]
    found = np.zeros((evidence.shape[0], len(items)), np.float32)
    owners = np.repeat(np.arange(evidence.shape[0]), np.diff(evidence.indptr))
    at = np.minimum(np.searchsorted(items, evidence.indices), max(len(items) - 1, 0))
    is_asked = items[at] == evidence.indices if len(items) else np.zeros(0, bool)
    found[owners[is_asked], at[is_asked]] = evidence.data[is_asked]
    return found

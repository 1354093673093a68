"""The ensemble: popularity, item statistics, scorers, and the gates that blend them into a
score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np

from metarec.features.users import UserBatch
from metarec.features.users_in_words import UsersInWords
from metarec.models.added import dense_of, evidence_of
from metarec.models.base import (
    LARGE,
    Evidence,
    Model,
    ReadsWords,
    ScoresSubset,
    grown,
    knows,
)
from metarec.models.bert_two_tower import BertTwoTower
from metarec.models.config import ModelConfig
from metarec.models.location.known_places import PlaceModel
from metarec.models.registry import READ_CONTEXT, REPEAT, weighed
from metarec.models.ridge import with_one
from metarec.models.search import Search
from metarec.models.transferred import Transferred
from metarec.models.trend import Trend
from metarec.recommendation.ensemble.gate import Gate
from metarec.recommendation.ensemble.given import GivenGates
from metarec.recommendation.ensemble.prior import PriorComparison
from metarec.recommendation.ensemble.refusals import REFUSAL
from metarec.recommendation.ensemble.repeats import Repeated
from metarec.recommendation.ensemble.scorers import scorers_of, under
from metarec.runtime.old_names import ARRAYS, with_current_names
from metarec.runtime.scratch import PIECE, Scratch

OWN = ("popularity", "item_statistics", "popularity_from_content", "acceptance")
"""Names of the ensemble's own arrays, beside those of its scorers and gates."""
REFUSED_ITEM = 4.0
"""Weight of an item's acceptance: an item refused by nearly everyone ranks last."""
_SCRATCH = Scratch()


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """All that scores the catalog for users; the log-score is the sum of `score_components`."""

    popularity: np.ndarray
    """[N] smoothed shares of the events that users like after their support; predicted from content
    for unseen items.
    """
    item_statistics: np.ndarray
    """[N, S] float32 z-scores of each item: log of its number of events, shrunk share of likes,
    shrunk mean value.
    """
    popularity_from_content: np.ndarray
    """[C + 1] ridge weights of the log share: for the content columns, then the intercept."""
    acceptance: np.ndarray
    """[N] float32, at most 0: log of the share of acts that accepted the item, relative to the
    overall share; 0 where nobody refused it.
    """
    scorers: dict[str, Model]
    """Models by name: those that read history and profile first, then those of `READ_CONTEXT`."""
    gate: Gate
    """Gate between the models of history and profile."""
    context_gate: Gate | None = None
    """Gate between all models, for users of whom a model of `READ_CONTEXT` has evidence; all other
    users are ranked without it.
    """
    given: GivenGates = GivenGates()
    """Gates for requests that choose between few given candidates."""
    refusal: float = REFUSAL
    """Weight of refusals: 1 subtracts what the same act as an acceptance would add."""
    trend: Trend | None = None
    """Trend of popularity, added where the time of the request is known."""
    prior_comparison: PriorComparison | None = None
    """Test of a prior on held-out users; not saved."""

    def score_components(self, users: UserBatch) -> dict[str, np.ndarray]:
        """Return the components of the log-score by name, each [B, N] float32."""
        components = self._gated(users)
        if (again := self.repeated(users)) is not None:
            components[REPEAT] = again.score_component(np.sum(list(components.values()), axis=0))
        if self.acceptance.any():
            components["acceptance"] = np.tile(REFUSED_ITEM * self.acceptance, (len(users), 1))
        if self.trend is not None:
            components["trend"] = self.trend.score_component(users.asked_at)
        if len(users.refused.items):  # By the catalog's gate, as in `score`
            lifts = np.empty((len(users), len(self.popularity)), np.float32)
            self._score(users.refusing(), np.zeros_like(self.base), lifts)
            components["refused"] = np.where(
                users.refused.lengths[:, None] > 0, -self.refusal * lifts, 0.0
            )
        return components

    def _gated(self, users: UserBatch) -> dict[str, np.ndarray]:
        names = weighed(tuple(self.scorers))
        evidence = {n: dense_of(self.scorers[n], users, len(self.popularity)) for n in names}
        statistics, lengths = (self.popularity, self.item_statistics), users.support.lengths
        components: dict[str, np.ndarray] = {}
        for gate, share in self.shares_of_gates(users):
            of_gate = gate.score_components(*statistics, evidence, lengths)
            for name in dict.fromkeys([*components, *of_gate]):
                nothing = np.zeros((len(users), len(self.popularity)), np.float32)
                component = share[:, None] * of_gate.get(name, nothing)
                components[name] = components.get(name, nothing) + component
        return components

    def rating_weights(self, users: UserBatch) -> np.ndarray:
        """[B] score per step of the predicted rating; 0 for users whose score does not use it."""
        if self.given.chosen is None or not users.given.lengths.any():
            return np.zeros(len(users))
        shares = [s for gate, s in self.shares_of_gates(users) if gate is self.given.chosen]
        if not shares:
            return np.zeros(len(users))
        return np.asarray(shares[0] * self.given.rating_weights(users.support.lengths))

    def score(self, users: UserBatch, out: np.ndarray | None = None) -> np.ndarray:
        """[B, N] float32 log-scores, written into `out` where it is given."""
        shape = (len(users), len(self.popularity))
        out = np.empty(shape, np.float32) if out is None else out
        self._score_by_gates(users, out)
        if (again := self.repeated(users)) is not None:
            again.put(out)
        if self.is_refused:
            out += REFUSED_ITEM * self.acceptance
        if self.trend is not None:
            self.trend.add(users.asked_at, out)
        if len(users.refused.items):
            rows = np.flatnonzero(users.refused.lengths)
            lifts = np.empty((len(rows), shape[1]), np.float32)
            self._score(users.refusing().rows(rows), np.zeros_like(self.base), lifts)
            out[rows] -= self.refusal * lifts
        return out

    def _score_by_gates(self, users: UserBatch, out: np.ndarray) -> None:
        """Write scores by each user's gates, before repeats, acceptance, trend and refusals."""
        gates = self.shares_of_gates(users)
        if len(gates) == 1:
            self._score(users, self.base, out, gates[0][0])
            return
        out[:] = 0.0
        for gate, share in gates:
            rows = np.flatnonzero(share)
            some = np.empty((len(rows), out.shape[1]), np.float32)
            self._score(users.rows(rows), self.base, some, gate)
            out[rows] += share[rows, None] * some

    def repeated(self, users: UserBatch) -> Repeated | None:
        """Return the scores of items that the users may take again; None without a repeat model."""
        if (model := self.scorers.get(REPEAT)) is None:
            return None
        return Repeated.of(model, users, self.shares_of_gates(users), self.gate)

    def shares_of_gates(self, users: UserBatch) -> list[tuple[Gate, np.ndarray]]:
        """Return each gate that takes part, and its share [B] in the score of each user. Users of
        whom a model of `READ_CONTEXT` has evidence are ranked by the context gate, users who choose
        between few items by a gate for given candidates, all others by the gate of the whole
        catalog.
        """
        if self.context_gate is None and not len(users.given.items):
            return [(self.gate, np.ones(len(users), np.float32))]
        has_context, lengths = self._have_context(users), users.support.lengths
        gates = [
            (gate, np.where(is_of_gate & ~has_context, _share_within(gate, lengths), 0.0))
            for gate, is_of_gate in self.given.lists(users.given, self.popularity)
        ]
        if self.context_gate is not None:
            gates += [
                (
                    self.context_gate,
                    np.where(has_context, _share_within(self.context_gate, lengths), 0.0),
                )
            ]
        left = np.ones(len(users)) - sum(share for _, share in gates)
        gates = [(gate, share.astype(np.float32)) for gate, share in [(self.gate, left), *gates]]
        return [(gate, share) for gate, share in gates if share.any()] or gates[:1]

    def _have_context(self, users: UserBatch) -> np.ndarray:
        """[B] whether any model of `READ_CONTEXT` has evidence for each user."""
        has_context = np.zeros(len(users), bool)
        if self.context_gate is not None:
            for name in READ_CONTEXT:
                if name in self.scorers and not has_context.all():
                    has_context |= knows(self.scorers[name], users)
        return has_context

    def _score(
        self, users: UserBatch, base: np.ndarray, out: np.ndarray, gate: Gate | None = None
    ) -> None:
        gate = gate or self.gate
        together = min(max(PIECE // max(out.size, 1), 1), len(gate.names))
        room = _SCRATCH.array("evidence", (together, *out.shape))
        evidence = self._evidence(gate.names, users, room)
        gate.score(self.rarity, base, evidence, users.support.lengths, out=out)

    def _evidence(
        self, names: Sequence[str], users: UserBatch, room: np.ndarray
    ) -> Iterator[Evidence]:
        """Yield the evidence of each model in turn, dense results in blocks of as many models as
        fit into `room`: with small arrays, most of the time is overhead per call. The gate is done
        with a block before the next overwrites it.
        """
        filled = 0
        for name in names:
            block = room[filled]
            evidence = evidence_of(self.scorers[name], users, block.shape[1], block)
            is_plain = isinstance(evidence, np.ndarray)
            if is_plain:
                if evidence is not block:
                    block[...] = evidence
                filled += 1
            if filled and (filled == len(room) or not is_plain):
                yield room[:filled]
                filled = 0
            if not is_plain:
                yield evidence
        if filled:
            yield room[:filled]

    @cached_property
    def scoring_some(self) -> Mapping[str, ScoresSubset]:
        """Models that can score a subset of the catalog, cached because the isinstance check costs
        as much as the scoring.
        """
        return {name: one for name, one in self.scorers.items() if isinstance(one, ScoresSubset)}

    @cached_property
    def rarity(self) -> np.ndarray:
        """[N] float32: 1 over the popularity."""
        return np.asarray(np.divide(np.float32(1.0), self.popularity, dtype=np.float32))

    @cached_property
    def is_refused(self) -> bool:
        """Whether any item was refused in training."""
        return bool(self.acceptance.any())

    @cached_property
    def base(self) -> np.ndarray:
        """[1 + S, N] log of the popularity of each item, then its statistics."""
        return np.concatenate([np.log(self.popularity)[None, :], self.item_statistics.T])

    def base_of(self, items: np.ndarray) -> np.ndarray:
        """[1 + S, I] the columns `items` of `base`."""
        rows = np.log(self.popularity[items])[None, :], self.item_statistics[items].T
        return np.concatenate(rows)

    def popularity_uncertainty(self, content: np.ndarray, has_events: np.ndarray) -> np.ndarray:
        """[N] standard deviation of the log popularity of cold items: that of the residuals of its
        prediction from content, over items with events; 0 for items with events.

        Args:
            content: [N, C] of the catalog.
            has_events: [N] whether an item has events in training.
        """
        predicted = with_one(content[has_events]) @ self.popularity_from_content
        left = np.log(self.popularity[has_events]) - predicted
        return np.where(has_events, 0.0, left.std() if len(left) else 0.0).astype(np.float32)

    def with_words(self, words: UsersInWords) -> Ensemble:
        """Return the same ensemble with `words` as the writer and encoder of users for the models
        that read users as text.
        """
        return replace(
            self,
            scorers={
                name: cast(ReadsWords, scorer).with_words(words)
                if "text" in scorer.reads
                else scorer
                for name, scorer in self.scorers.items()
            },
        )

    def with_places(self, places: np.ndarray, items: np.ndarray, texts: Sequence[str]) -> Ensemble:
        """Return the same ensemble for a catalog with the coordinates `places` [N', 2], in which
        the items at the indexes `items` [C] have the `texts` [C].
        """
        scorers = dict(self.scorers)
        for name, model in scorers.items():
            if isinstance(model, PlaceModel):
                scorers[name] = model.with_places(places)
            elif isinstance(model, Search):
                scorers[name] = model.with_texts(items, texts)
        return replace(self, scorers=scorers)

    def with_text(self, text: np.ndarray, taste: np.ndarray | None) -> Ensemble:
        """Return the same ensemble for items with the text embeddings `text` [N, E] and the item
        factors `taste` [N, D] predicted by a prior; None without one.
        """
        scorers = dict(self.scorers)
        for name, model in scorers.items():
            if isinstance(model, BertTwoTower):
                scorers[name] = model.with_text(text)
            elif isinstance(model, Transferred) and taste is not None:
                scorers[name] = model.with_taste(taste)
        return replace(self, scorers=scorers)

    def with_content(self, content: np.ndarray, touched: np.ndarray | None = None) -> Ensemble:
        """Return the same ensemble for a catalog of `content` [N', C]: old items first, then new
        ones with the popularity that their content predicts.

        Args:
            touched: indexes of the new or changed items; None where unknown.
        """
        new = content[len(self.popularity) :]
        log_share = with_one(new) @ self.popularity_from_content
        predicted = np.exp(np.minimum(log_share, np.log(self.popularity.max())))
        popularity = np.concatenate([self.popularity, predicted]).astype(np.float32)
        popularity /= popularity.sum()
        item_statistics = np.pad(self.item_statistics, ((0, len(new)), (0, 0)))
        acceptance = np.pad(self.acceptance, (0, len(new)))
        scorers = {
            name: grown(scorer, content, popularity, touched)
            for name, scorer in self.scorers.items()
        }
        return replace(
            self,
            popularity=popularity,
            item_statistics=item_statistics,
            acceptance=acceptance,
            scorers=scorers,
            trend=None if self.trend is None else self.trend.with_content(content),
        )

    def reuse_caches(self, before: Ensemble) -> None:
        """Take over `base` from the ensemble of a smaller catalog: all its shares change by one
        factor, so the logarithms of a large catalog, the most costly step, are not computed again.
        """
        n_before, n_items = len(before.popularity), len(self.popularity)
        if n_items < LARGE or "base" not in vars(before):
            return
        base = np.zeros((len(before.base), n_items), np.float32)
        base[:, :n_before] = before.base
        base[0, :n_before] += np.log(self.popularity[0] / before.popularity[0])
        base[0, n_before:] = np.log(self.popularity[n_before:])
        vars(self)["base"] = base

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all learned arrays, those of scorers named `scorer/array`."""
        of_ensemble = {name: getattr(self, name) for name in OWN}
        gate = {f"gate/{name}": array for name, array in self.gate.arrays().items()}
        if self.context_gate is not None:
            arrays = self.context_gate.arrays()
            gate |= {f"context_gate/{name}": array for name, array in arrays.items()}
        gate["refusal"] = np.array([self.refusal])
        gate |= {f"given/{name}": array for name, array in self.given.arrays().items()}
        if self.trend is not None:
            gate |= {f"trend/{name}": array for name, array in self.trend.arrays().items()}
        scorers = {
            f"{name}/{key}": array
            for name, scorer in self.scorers.items()
            for key, array in scorer.arrays().items()
        }
        return {**of_ensemble, **gate, **scorers}

    @property
    def configs(self) -> dict[str, ModelConfig]:
        """Hyper-parameters of each scorer."""
        return {name: scorer.config for name, scorer in self.scorers.items()}

    @classmethod
    def from_arrays(
        cls,
        names: tuple[str, ...],
        arrays: Mapping[str, np.ndarray],
        configs: Mapping[str, ModelConfig],
    ) -> Ensemble:
        """Rebuild the ensemble from `arrays()`, the scorers' names and their configs; defaults
        where a config is missing.
        """
        arrays = with_current_names(arrays, ARRAYS)
        every = weighed(names)
        without_context = tuple(name for name in every if name not in READ_CONTEXT)
        return cls(
            popularity=arrays["popularity"],
            item_statistics=arrays["item_statistics"],
            popularity_from_content=arrays["popularity_from_content"],
            acceptance=arrays["acceptance"],
            scorers=scorers_of({name: configs.get(name) for name in names}, arrays),
            gate=Gate.from_arrays(without_context, under("gate", arrays)),
            given=GivenGates.from_arrays(without_context, under("given", arrays)),
            context_gate=Gate.from_arrays(every, under("context_gate", arrays))
            if any(name.startswith("context_gate/") for name in arrays)
            else None,
            refusal=float(arrays["refusal"][0]) if "refusal" in arrays else REFUSAL,
            trend=Trend.from_arrays(under("trend", arrays)) if "trend/weight" in arrays else None,
        )


def _share_within(gate: Gate, lengths: np.ndarray) -> np.ndarray:
    """[B] share of a gate in the score: 1 up to the largest support size it was trained at, then
    decreasing, since its weights were not learned beyond it.
    """
    return np.asarray(np.minimum((1.0 + gate.points[-1]) / (1.0 + lengths), 1.0))

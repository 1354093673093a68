"""Popularity, the scorers and the gate between them: what ranks a catalog for a user."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import scipy.sparse as sp

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.features.users_in_words import UsersInWords
from metarec.models.base import LARGE, GrowsByRows, Model, ReadsWords, dense
from metarec.models.bert_two_tower import BertTwoTower
from metarec.models.config import ModelConfig
from metarec.models.local_knn import LocalKnn
from metarec.models.place import Place
from metarec.models.rating import RatingHead
from metarec.models.registry import CONTEXT, READ_CONTEXT, REPEAT, model_class
from metarec.models.ridge import from_content, with_one
from metarec.models.search import Search
from metarec.models.transferred import Transferred
from metarec.models.trend import Trend
from metarec.recommendation.gate import Gate
from metarec.recommendation.gate_training import (
    GateTasks,
    Rate,
    able_longer,
    as_known,
    candidates,
    gather_tasks,
    join_tasks,
    known_length,
    known_tasks,
    longer_shots,
    longer_tasks,
    train_gate,
    users_at_once,
)
from metarec.recommendation.gate_tuning import ndcg_of, tuned
from metarec.recommendation.given import GivenGates, mean_lift, train_given
from metarec.recommendation.prior import TRANSFERRED, Prior, Trial
from metarec.recommendation.refusals import REFUSAL, Refusers, learned_weight
from metarec.runtime.checkpoints import read_checkpoint, write_checkpoint
from metarec.runtime.jobs import run_jobs
from metarec.runtime.old_names import ARRAYS, with_current_names
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive
from metarec.runtime.scratch import Scratch

STAGE = "fit scorers and gate"
OWN = ("popularity", "item_statistics", "popularity_from_content", "acceptance")
"""Arrays of the ensemble itself, beside those of its scorers and its gate."""

FOLDS = 3
"""Cross-fitting folds where training new users are few."""
MANY, HELD_OUT = 2500, 1200
"""From this many training new users on, one held-out part of that size teaches the gate enough."""
MAX_ASKED, MIN_HELD_OUT = 240_000_000, 300
"""Scores of each model at one support size that teach the gate at most; a catalog of more than
200,000 items holds fewer users out, these at least.
"""
SMOOTHING = 0.5
"""Likes added to every item before shares are taken."""
CONTENT_RIDGE = 10.0
PULL = 2.0
"""Pull of a prior's gate over the number of users that teach this one."""
REFUSED_ITEM = 4.0
"""Weight of an item's acceptance: what nearly everybody sent back comes after everything else."""
ACCEPTANCE_DAMPING = 5.0
"""Acts' worth of pull of an item's acceptance towards everyone's."""
REFUSERS = 400
"""Users of a fold who say what refusals are worth, at most."""
HEARD = 0.5
"""Chance that a task of the gate tells what a model of `READ_CONTEXT` reads, where there are
several.
"""
MIN_TOLD = 20
"""Tasks at a support size that can teach what friends, places and circumstances are worth."""
ITEM_STATISTICS_DAMPING = 10.0
"""Events' worth of pull of an item's mean towards everyone's."""
_LAYOUT = 3
"""Names of the arrays of a step; steps written under other names count as none."""
_STEP = ".step.safetensors"
"""How the names of files of finished steps end."""
Step = TypeVar("Step")
_SCRATCH = Scratch()


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Everything that ranks: `parts` add up to the log-score."""

    popularity: np.ndarray
    """[N] shares of what users like after their pool, smoothed; an unseen item takes what its
    content predicts.
    """
    item_statistics: np.ndarray
    """[N, S] float32: how well liked (shrunk share of likes, shrunk mean value) and how often met
    each item is, z-scores.
    """
    popularity_from_content: np.ndarray
    """[C + 1] log share from content columns and 1."""
    acceptance: np.ndarray
    """[N] float32, at most 0: log of the share of users who kept the item, beside everyone's; 0
    where nobody refused it.
    """
    scorers: dict[str, Model]
    """Those that read history and profile first, then those of `READ_CONTEXT`."""
    gate: Gate
    """Between the former."""
    context_gate: Gate | None = None
    """Between all, for users of whom a model of `READ_CONTEXT` knows something; everyone else is
    ranked as if there were none.
    """
    given: GivenGates = GivenGates()
    """For those who ask between few items."""
    refusal: float = REFUSAL
    """What a refusal takes away, beside what the same act as an acceptance would add."""
    trend: Trend | None = None
    """What is on the rise, for users of whom it is known when they ask."""
    trial: Trial | None = None
    """What a prior was worth on held-out users; not kept in files."""

    @classmethod
    def fit(
        cls,
        behaviour: Behaviour,
        names: tuple[str, ...],
        seed: int,
        progress: Progress = silent,
        steps: Steps | None = None,
        configs: Mapping[str, ModelConfig] | None = None,
        prior: Prior | None = None,
    ) -> Ensemble:
        """Fit the scorers and, cross-fitted, the gate between them; finished folds are kept in
        `steps`.

        Args:
            configs: hyper-parameters by model, where they are not the defaults.
            prior: where the gate starts, if that helps held-out users.
        """
        steps, configured = steps or Steps(), {name: (configs or {}).get(name) for name in names}
        folds = _folds(behaviour, derive(seed, "folds"))
        jobs = len(folds) + 1
        progress(STAGE, 0.0, f"{jobs} steps")
        *tasks, scorers = run_jobs(
            partial(_step, behaviour, configured, seed, steps),
            [*enumerate(folds), (-1, None)],
            steps.workers,
            backend=steps.backend,
            tell=lambda done: progress(STAGE, done / jobs, f"{done} of {jobs} steps"),
        )
        fitted = (
            scorers if isinstance(scorers, _Fitted) else _Fitted.from_arrays(configured, scorers)
        )
        lessons, trial = _Lessons.of(join_tasks(tasks), behaviour, names), None
        if prior is not None:
            trial = _tried(_support_sizes(behaviour, names), names, lessons.whole, prior, seed)
            if not trial.helps:
                prior, lessons, names = None, lessons.without_taste(names), _others(names)
        weights = _task_weights(behaviour, names, folds)
        gate, context_gate = _gates(behaviour, names, lessons.whole, weights, seed, prior)
        given = train_given(
            gate,
            behaviour.horizon.shots,
            lessons.own(lessons.drawn, gate),
            lessons.own(lessons.chosen, gate),
            _own_lists(behaviour, fitted.popularity),
            seed,
        )
        refusal = _refusal(behaviour, gate, lessons.refusing, folds)
        del tasks, lessons  # what follows needs their memory
        progress(STAGE, 1.0)
        steps.forget()
        whole = cls(
            popularity=fitted.popularity,
            item_statistics=fitted.item_statistics,
            popularity_from_content=fitted.from_content,
            acceptance=_acceptance(behaviour),
            scorers={name: fitted.scorers[name] for name in names},
            gate=gate,
            context_gate=context_gate,
            given=given,
            refusal=refusal,
            trend=Trend.fit(behaviour, derive(seed, "trend")),
        )
        # Arrays laid out as a file lays them out: a saved model then gives the very same sums in
        # the same order.
        arrays = {name: np.asarray(array, order="C") for name, array in whole.arrays().items()}
        return replace(cls.from_arrays(names, arrays, whole.configs), trial=trial)

    def parts(self, users: UserBatch) -> dict[str, np.ndarray]:
        """The addends of the log-score, by name, each [B, N] float32."""
        parts = self._gated(users)
        if self.acceptance.any():
            parts["acceptance"] = np.tile(REFUSED_ITEM * self.acceptance, (len(users), 1))
        if self.trend is not None:
            parts["trend"] = self.trend.part(users.asked_at)
        if len(users.refused.items):
            against = self._gated(users.refusing())
            lifts = sum(part for name, part in against.items() if name in self.gate.names)
            parts["refused"] = np.where(
                users.refused.lengths[:, None] > 0, -self.refusal * lifts, 0.0
            )
        return parts

    def _gated(self, users: UserBatch) -> dict[str, np.ndarray]:
        evidence = {name: dense(model.evidence(users)) for name, model in self.scorers.items()}
        known, lengths = (self.popularity, self.item_statistics), users.support.lengths
        parts: dict[str, np.ndarray] = {}
        for gate, share in self.shares_of_gates(users):
            found = gate.parts(*known, evidence, lengths)
            for name in dict.fromkeys([*parts, *found]):
                nothing = np.zeros((len(users), len(self.popularity)), np.float32)
                part = share[:, None] * found.get(name, nothing)
                parts[name] = parts.get(name, nothing) + part
        return parts

    def rating_weights(self, users: UserBatch) -> np.ndarray:
        """[B] what one step of the predicted rating adds to a score; 0 for whom it does not take
        part.
        """
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
        self._score_told(users, out)
        if self.is_refused:
            out += REFUSED_ITEM * self.acceptance
        if self.trend is not None:
            out += self.trend.part(users.asked_at)
        if len(users.refused.items):
            rows = np.flatnonzero(users.refused.lengths)
            lifts = np.empty((len(rows), shape[1]), np.float32)
            self._score(users.refusing().rows(rows), np.zeros_like(self.base), lifts)
            out[rows] -= self.refusal * lifts
        return out

    def _score_told(self, users: UserBatch, out: np.ndarray) -> None:
        """Everyone by the gates for what is known of them and for what they ask."""
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

    def shares_of_gates(self, users: UserBatch) -> list[tuple[Gate, np.ndarray]]:
        """Each gate that says something, and its share [B] in the score of each user: who is known
        by more than history and profile is ranked by the gate for them, who asks between few items
        by one of those, everyone else by the gate of the whole catalog.
        """
        told, lengths = self._are_told(users), users.support.lengths
        gates = [
            (gate, np.where(own & ~told, _share_within(gate, lengths), 0.0))
            for gate, own in self.given.lists(users.given, self.popularity)
        ]
        if self.context_gate is not None:
            gates += [
                (self.context_gate, np.where(told, _share_within(self.context_gate, lengths), 0.0))
            ]
        rest = np.ones(len(users)) - sum(share for _, share in gates)
        found = [(gate, share.astype(np.float32)) for gate, share in [(self.gate, rest), *gates]]
        return [(gate, share) for gate, share in found if share.any()] or found[:1]

    def _are_told(self, users: UserBatch) -> np.ndarray:
        """[B] whether any model of `READ_CONTEXT` knows something of each user."""
        told = np.zeros(len(users), bool)
        for name in self._context_models if self.context_gate is not None else ():
            told |= _knows(self.scorers[name], users)
        return told

    @property
    def _context_models(self) -> tuple[str, ...]:
        return tuple(name for name in self.scorers if name in READ_CONTEXT)

    def _score(
        self, users: UserBatch, base: np.ndarray, out: np.ndarray, gate: Gate | None = None
    ) -> None:
        # One after the other: the gate is done with each answer before the next is written there.
        room, gate = _SCRATCH.array("evidence", out.shape), gate or self.gate
        evidence = (self.scorers[name].evidence(users, room) for name in gate.names)
        gate.score(self.popularity, base, evidence, users.support.lengths, out=out)

    @cached_property
    def is_refused(self) -> bool:
        """Whether anybody refused anything."""
        return bool(self.acceptance.any())

    @cached_property
    def base(self) -> np.ndarray:
        """[1 + S, N] what is known of each item in general: the log of its popularity, and its
        item statistics.
        """
        return np.concatenate([np.log(self.popularity)[None, :], self.item_statistics.T])

    def popularity_uncertainty(self, content: np.ndarray, is_met: np.ndarray) -> np.ndarray:
        """[N] standard deviation of the log popularity of items nobody has met, as content leaves
        it open among the others; 0 for those.

        Args:
            content: [N, C] of the catalog.
            is_met: [N] whether anybody had to do with an item in training.
        """
        told = with_one(content[is_met]) @ self.popularity_from_content
        left = np.log(self.popularity[is_met]) - told
        return np.where(is_met, 0.0, left.std() if len(left) else 0.0).astype(np.float32)

    def with_words(self, words: UsersInWords) -> Ensemble:
        """The same ensemble, in which users are written and read by `words` where they are read as
        text.
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
        """The same ensemble for a catalog that stands at `places` [N', 2], of which `items` [C] say
        the `texts` [C].
        """
        scorers = dict(self.scorers)
        for name, model in scorers.items():
            if isinstance(model, Place | LocalKnn):
                scorers[name] = model.with_places(places)
            elif isinstance(model, Search):
                scorers[name] = model.with_texts(items, texts)
        return replace(self, scorers=scorers)

    def with_text(self, text: np.ndarray, taste: np.ndarray | None) -> Ensemble:
        """The same ensemble for items whose texts were read as `text` [N, E], and which a prior
        puts at `taste` [N, D].
        """
        scorers = dict(self.scorers)
        for name, model in scorers.items():
            if isinstance(model, BertTwoTower):
                scorers[name] = model.with_text(text)
            elif isinstance(model, Transferred) and taste is not None:
                scorers[name] = model.with_taste(taste)
        return replace(self, scorers=scorers)

    def with_content(self, content: np.ndarray, touched: np.ndarray | None = None) -> Ensemble:
        """The same ensemble for a catalog of `content` [N', C]: old items first, new ones as
        popular as their content predicts.

        Args:
            touched: the items that are new or changed, all others being as they were; None where
                that is not known.
        """
        new = content[len(self.popularity) :]
        log_share = with_one(new) @ self.popularity_from_content
        predicted = np.exp(np.minimum(log_share, np.log(self.popularity.max())))
        popularity = np.concatenate([self.popularity, predicted]).astype(np.float32)
        popularity /= popularity.sum()
        item_statistics = np.pad(self.item_statistics, ((0, len(new)), (0, 0)))
        acceptance = np.pad(self.acceptance, (0, len(new)))
        scorers = {
            name: _grown(scorer, content, popularity, touched)
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

    def know_as(self, before: Ensemble) -> None:
        """Take over `base` from the ensemble of fewer items: shares change by one factor, so the
        logarithms of a large catalog, which cost more than all the rest, need not be found again.
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
        """Everything learned, `scorer/array` by name."""
        own = {name: getattr(self, name) for name in OWN}
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
        return {**own, **gate, **scorers}

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
        """From `arrays()`, the scorers' names and their configs, the default where there is
        none.
        """
        arrays = with_current_names(arrays, ARRAYS)
        own = tuple(name for name in names if name not in READ_CONTEXT)
        return cls(
            popularity=arrays["popularity"],
            item_statistics=arrays["item_statistics"],
            popularity_from_content=arrays["popularity_from_content"],
            acceptance=arrays["acceptance"],
            scorers=_scorers_of({name: configs.get(name) for name in names}, arrays),
            gate=Gate.from_arrays(own, _under("gate", arrays)),
            given=GivenGates.from_arrays(own, _under("given", arrays)),
            context_gate=Gate.from_arrays(names, _under("context_gate", arrays))
            if any(name.startswith("context_gate/") for name in arrays)
            else None,
            refusal=float(arrays["refusal"][0]) if "refusal" in arrays else REFUSAL,
            trend=Trend.from_arrays(_under("trend", arrays)) if "trend/weight" in arrays else None,
        )


def _knows(model: Model, users: UserBatch) -> np.ndarray:
    """[B] whether a model of `READ_CONTEXT` knows something of each user; asked for its evidence
    only where it cannot say so without.
    """
    if isinstance(model, Place | LocalKnn):
        return model.knows(users)
    found = model.evidence(users)
    return np.asarray(
        np.diff(found.indptr) > 0 if isinstance(found, sp.csr_matrix) else found.any(axis=1)
    )


def _grown(
    model: Model, content: np.ndarray, popularity: np.ndarray, touched: np.ndarray | None
) -> Model:
    """A model of a larger catalog; of a large one only the rows that changed are looked at, where
    the model can.
    """
    if touched is not None and len(content) >= LARGE and isinstance(model, GrowsByRows):
        return model.with_rows(content, popularity, touched)
    return model.with_content(content, popularity)


def _share_within(gate: Gate, lengths: np.ndarray) -> np.ndarray:
    """[B] share of a gate for a part of the requests: all of it up to the most events it learned
    from, then less and less, since nothing taught it what to trust there.
    """
    return np.asarray(np.minimum((1.0 + gate.points[-1]) / (1.0 + lengths), 1.0))


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        key[len(prefix) + 1 :]: array
        for key, array in arrays.items()
        if key.startswith(f"{prefix}/")
    }


def _scorers_of(
    configs: Mapping[str, ModelConfig | None], arrays: Mapping[str, np.ndarray]
) -> dict[str, Model]:
    return {
        name: model_class(name).from_arrays(_under(name, arrays), config)
        for name, config in configs.items()
    }


_FITTED = ("popularity", "item_statistics", "from_content")
"""Arrays of what was fitted, beside those of its scorers."""


@dataclass(frozen=True, kw_only=True)
class _Fitted:
    """Scorers fitted on some users, to be asked about others."""

    popularity: np.ndarray
    item_statistics: np.ndarray
    from_content: np.ndarray
    scorers: dict[str, Model]

    @classmethod
    def of(
        cls,
        behaviour: Behaviour,
        configs: Mapping[str, ModelConfig | None],
        rng: np.random.Generator,
        whole: Behaviour | None = None,
    ) -> _Fitted:
        """Fitted on `behaviour`; models that leave out a user's own events on the `whole` of it."""
        popularity, from_content = _popularity(behaviour)

        def fit(name: str, config: ModelConfig | None) -> Model:
            model = model_class(name)
            leaves_out_self = whole is not None and getattr(model, "leaves_out_self", False)
            taught = whole if whole is not None and leaves_out_self else behaviour
            return model.fit(taught, rng, config)

        return cls(
            popularity=popularity,
            item_statistics=_item_statistics(behaviour),
            from_content=from_content,
            scorers={name: fit(name, config) for name, config in configs.items()},
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as named arrays."""
        own = {name: getattr(self, name) for name in _FITTED}
        scorers = {
            f"{name}/{key}": array
            for name, scorer in self.scorers.items()
            for key, array in scorer.arrays().items()
        }
        return {**own, **scorers}

    @classmethod
    def from_arrays(
        cls, configs: Mapping[str, ModelConfig | None], arrays: Mapping[str, np.ndarray]
    ) -> _Fitted:
        """From `arrays()`, with the config of each scorer."""
        own = {name: arrays[name] for name in _FITTED}
        return cls(**own, scorers=_scorers_of(configs, arrays))

    def ask(
        self, behaviour: Behaviour, shots: int, users: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        support = behaviour.histories.users(users).first(np.minimum(shots, behaviour.pools[users]))
        asked, told = behaviour.batch_of(users, support), _told(tuple(self.scorers), users)
        shares = np.empty((len(users), behaviour.n_items, len(self.scorers)), np.float32)
        for place, (name, model) in enumerate(self.scorers.items()):
            evidence = dense(model.evidence(asked))
            if name in told:
                evidence = np.where(told[name][:, None], evidence, 0.0)
            total = evidence.sum(1, keepdims=True)
            shares[:, :, place] = evidence / np.where(total > 0, total, 1.0)
        return shares, self.popularity, self.item_statistics

    def ask_refusing(
        self, behaviour: Behaviour, refusers: Refusers
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `ask` at the end of the pool, shares by what was refused after those by what was
        accepted.
        """
        most = int(behaviour.pools.max(initial=0))
        shares, popularity, statistics = self.ask(behaviour, most, refusers.users)
        profiles = np.zeros_like(behaviour.profiles[refusers.users])
        asked = UserBatch(support=refusers.refused, profiles=profiles)
        against = np.empty_like(shares)
        for place, model in enumerate(self.scorers.values()):
            evidence = dense(model.evidence(asked))
            total = evidence.sum(1, keepdims=True)
            against[:, :, place] = evidence / np.where(total > 0, total, 1.0)
        return np.concatenate([shares, against], axis=2), popularity, statistics


def _has_refusals(behaviour: Behaviour) -> bool:
    return len(behaviour.refused.items) > 0


def _refusal(
    behaviour: Behaviour, gate: Gate, tasks: GateTasks | None, folds: list[np.ndarray]
) -> float:
    """What a refusal takes away, as the users of the folds say."""
    if tasks is None:
        return REFUSAL
    asked = [_refusers(behaviour, fold) for fold in folds]
    known = np.concatenate([behaviour.pools[some.users] for some in asked])
    return learned_weight(
        gate, tasks, known, np.concatenate([some.refused.lengths for some in asked])
    )


def _refusers(behaviour: Behaviour, held_out: np.ndarray) -> Refusers:
    """As many as are asked at once."""
    found = Refusers.of(behaviour, held_out)
    if not len(found.users):  # models answer for one user at least
        one = held_out[:1]
        return Refusers(users=one, refused=behaviour.refused.users(one).first(0))
    few = np.arange(min(len(found.users), REFUSERS, users_at_once(behaviour.n_items)))
    return Refusers(users=found.users[few], refused=found.refused.users(few))


def _gates(
    behaviour: Behaviour,
    names: tuple[str, ...],
    tasks: list[GateTasks],
    weights: list[np.ndarray] | None,
    seed: int,
    prior: Prior | None,
) -> tuple[Gate, Gate | None]:
    """The gate between models of history and profile, and the one between all."""
    shots = _support_sizes(behaviour, names)
    own = tuple(name for name in names if name not in READ_CONTEXT)
    more = len(names) - len(own)
    plain = [some.without(more) for some in tasks] if more else tasks
    gate = train_gate(
        own, shots, plain, derive(seed, "gate"), weights=weights, **_from(prior, plain)
    )
    circumstances = names.index(CONTEXT) if CONTEXT in names else None
    told = [some.told(range(len(own), len(names)), circumstances) for some in tasks] if more else []
    enough = [point for point, (_, rows) in enumerate(told) if rows.sum() >= MIN_TOLD]
    if not enough:
        return gate, None
    known = [told[point][0] for point in enough]
    context_gate = train_gate(
        names,
        tuple(shots[point] for point in enough),
        known,
        derive(seed, "context gate"),
        weights=None if weights is None else [weights[point][told[point][1]] for point in enough],
        start=gate,
    )
    return gate, tuned(context_gate, known, len(own))


def _from(prior: Prior | None, tasks: list[GateTasks]) -> dict[str, Any]:
    """How a gate starts at a prior and how strongly it stays there, the less the more tasks."""
    if prior is None:
        return {}
    return {"start": prior.gate, "pull": PULL / max(len(tasks[0].shares), 1)}


def _others(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name != TRANSFERRED)


def _without_taste(names: tuple[str, ...], tasks: list[GateTasks]) -> list[GateTasks]:
    """The same tasks without what the prior's taste says."""
    kept = [place for place, name in enumerate(names) if name != TRANSFERRED]
    return [replace(some, shares=some.shares[..., kept]) for some in tasks]


def _tried(
    shots: tuple[int, ...],
    names: tuple[str, ...],
    tasks: list[GateTasks],
    prior: Prior,
    seed: int,
) -> Trial:
    """The prior on each half of the held-out users, with gates learned on the other half."""
    own = tuple(name for name in names if name not in READ_CONTEXT)
    asked = [point for point, some in enumerate(tasks) if len(some.shares) == len(tasks[0].shares)]
    shots = tuple(shots[point] for point in asked)  # those at which all users have tasks
    plain = [tasks[point].without(len(names) - len(own)) for point in asked]
    found: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for half in range(2):
        rows = np.arange(len(plain[0].shares)) % 2 == half
        for with_prior, kept in found.items():
            named, told = (own, plain) if with_prior else (_others(own), _without_taste(own, plain))
            learn, tested = (
                [some.rows(rows) for some in told],
                [some.rows(~rows) for some in told],
            )
            start = _from(prior, learn) if with_prior else {}
            gate = train_gate(named, shots, learn, derive(seed, "trial", half), **start)
            kept.append(ndcg_of(gate, tested))
    return Trial(with_prior=np.concatenate(found[True]), without=np.concatenate(found[False]))


def _told(names: tuple[str, ...], users: np.ndarray) -> dict[str, np.ndarray]:
    """Which models of `READ_CONTEXT` hear something of each user while the gate learns: of several
    a part only, so that it knows what each is worth alone; models that read the same hear the same.
    """
    several = [name for name in names if name in READ_CONTEXT]
    what = list(dict.fromkeys(model_class(name).reads for name in several))
    if len(what) < 2:
        return {}
    heard = np.random.default_rng(0).random((int(users.max()) + 1, len(what)))[users] < HEARD
    none = ~heard.any(1)
    heard[none, users[none] % len(what)] = True
    return {name: heard[:, what.index(model_class(name).reads)] for name in several}


def _step(
    behaviour: Behaviour,
    configs: Mapping[str, ModelConfig | None],
    seed: int,
    steps: Steps,
    job: tuple[int, np.ndarray | None],
) -> Any:
    """One step of a fit: the tasks of the users held out in a fold, or the scorers of all users, as
    plain arrays where they travel between processes.
    """
    fold, held_out = job
    if held_out is None:
        fitted = steps.remember(
            "scorers",
            partial(_Fitted.of, behaviour, configs, derive(seed, "scorers")),
            _Fitted.arrays,
            partial(_Fitted.from_arrays, configs),
        )
        return fitted.arrays() if steps.workers > 1 or steps.backend != "here" else fitted
    return steps.remember(
        f"fold-{fold}",
        partial(_ask_held_out, behaviour, configs, held_out, derive(seed, "fold", fold)),
        _task_arrays,
        _tasks_of,
    )


def _task_arrays(made: list[GateTasks]) -> dict[str, np.ndarray]:
    """Tasks of every support size as named arrays."""
    arrays = {
        f"{point}/{key}": value
        for point, tasks in enumerate(made)
        for key, value in tasks.arrays().items()
    }
    return {**arrays, "points": np.array([len(made)])}


def _tasks_of(arrays: Mapping[str, np.ndarray]) -> list[GateTasks]:
    """From `_task_arrays`."""
    return [GateTasks.from_arrays(arrays, f"{point}/") for point in range(int(arrays["points"][0]))]


def _ask_held_out(
    behaviour: Behaviour,
    configs: Mapping[str, ModelConfig | None],
    held_out: np.ndarray,
    rng: np.random.Generator,
) -> list[GateTasks]:
    """Tasks of some users, answered by scorers fitted on all the others."""
    rest = np.setdiff1d(np.arange(len(behaviour.histories)), held_out)
    fitted = _Fitted.of(behaviour.users(rest), configs, rng, behaviour)
    tasks, drawn, chosen = gather_tasks(
        behaviour,
        held_out,
        partial(fitted.ask, behaviour),
        rng,
        with_repeats=REPEAT in configs,
        rate=_rated_by_others(behaviour, rest, rng.spawn(1)[0]) if _is_rated(behaviour) else None,
    )
    if REPEAT not in configs:
        tasks += longer_tasks(behaviour, held_out, fitted.ask, rng)
        tasks.append(
            known_tasks(behaviour, held_out, partial(fitted.ask, as_known(behaviour)), rng)
        )
    tasks += [*drawn, *chosen]
    if _has_refusals(behaviour):
        refusers = _refusers(behaviour, held_out)
        answers = fitted.ask_refusing(behaviour, refusers)
        tasks.append(candidates(behaviour, refusers.users, *answers, rng, hidden=refusers.refused))
    return tasks


def _is_rated(behaviour: Behaviour) -> bool:
    """Whether events state ratings that differ."""
    stated = behaviour.histories.values[behaviour.histories.is_rated]
    return len(stated) > 0 and bool(stated.min() < stated.max())


def _own_lists(behaviour: Behaviour, popularity: np.ndarray) -> np.ndarray:
    """[U'] `mean_lift` of what each user chose after the pool, of those who did."""
    after = behaviour.histories.after(behaviour.pools)
    return mean_lift(after, popularity)[after.lengths > 0]


def _rated_by_others(behaviour: Behaviour, rest: np.ndarray, rng: np.random.Generator) -> Rate:
    """What a rating head of the users `rest` predicts of all others."""
    head = RatingHead.of_users(behaviour, rest, rng)

    def rate(shots: int, users: np.ndarray, asked: Histories) -> np.ndarray:
        first = np.minimum(shots, behaviour.pools[users])
        return head.steps(behaviour.histories.users(users).first(first), asked)[0]

    return rate


@dataclass(frozen=True, kw_only=True)
class _Lessons:
    """What held-out users teach: tasks of each kind, support size by support size."""

    whole: list[GateTasks]
    """Over the whole catalog."""
    drawn: list[GateTasks]
    """Between given candidates drawn from it."""
    chosen: list[GateTasks]
    """Between what users chose themselves; none without ratings."""
    refusing: GateTasks | None
    """Of users who refused something."""

    @classmethod
    def of(cls, joined: list[GateTasks], behaviour: Behaviour, names: tuple[str, ...]) -> _Lessons:
        """From the tasks of all folds, in the order in which `_ask_held_out` lays them."""
        joined = list(joined)
        refusing = joined.pop() if _has_refusals(behaviour) else None
        sizes = len(_support_sizes(behaviour, names))
        given, shots = joined[sizes:], len(behaviour.horizon.shots)
        return cls(
            whole=joined[:sizes], drawn=given[:shots], chosen=given[shots:], refusing=refusing
        )

    def without_taste(self, names: tuple[str, ...]) -> _Lessons:
        """Without what the prior's taste says, one of the models `names`."""
        some = [] if self.refusing is None else _without_taste(names * 2, [self.refusing])
        return _Lessons(
            whole=_without_taste(names, self.whole),
            drawn=_without_taste(names, self.drawn),
            chosen=_without_taste(names, self.chosen),
            refusing=some[0] if some else None,
        )

    def own(self, tasks: list[GateTasks], gate: Gate) -> list[GateTasks]:
        """Tasks without what models that read context say."""
        more = tasks[0].shares.shape[2] - len(gate.names) if tasks else 0
        return [some.without(more) for some in tasks] if more else tasks


def _support_sizes(behaviour: Behaviour, names: tuple[str, ...]) -> tuple[int, ...]:
    """Of the gate: those of the horizon, and that of a user known for long. Not so where repeats
    are learned, of which each user's last event alone tells too little.
    """
    shots = behaviour.horizon.shots
    if REPEAT in names:
        return shots
    return (*shots, *longer_shots(behaviour), known_length(behaviour))


def _task_weights(
    behaviour: Behaviour, names: tuple[str, ...], folds: list[np.ndarray]
) -> list[np.ndarray] | None:
    """For each support size [T] weights of the users of the tasks; None: all alike."""
    if behaviour.weights is None:
        return None
    users = np.concatenate(folds)
    longer = () if REPEAT in names else longer_shots(behaviour)
    asked = [
        able_longer(behaviour, users) if shots in longer else users
        for shots in _support_sizes(behaviour, names)
    ]
    return [behaviour.weights[some] for some in asked]


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Finished steps of a fit on disk, so that a killed fit goes on where it was; without a folder
    nothing is kept.
    """

    folder: Path | None = None
    version: str = ""
    """Digest of data and settings: steps of another fit count as none."""
    workers: int = 1
    """Processes that do steps at once."""
    backend: str = "here"
    """Where they run, as for `runtime.jobs.run_jobs`."""

    @classmethod
    def of(
        cls, folder: str | Path | None, version: str, workers: int = 1, backend: str = "here"
    ) -> Steps:
        """Steps in `folder`, or nowhere."""
        place = None if folder is None else Path(folder)
        return cls(folder=place, version=version, workers=workers, backend=backend)

    def remember(
        self,
        name: str,
        make: Callable[[], Step],
        arrays: Callable[[Step], Mapping[str, np.ndarray]],
        made_of: Callable[[Mapping[str, np.ndarray]], Step],
    ) -> Step:
        """What step `name` gave before the fit was killed, else what it gives now.

        Args:
            arrays: what a step gave, as named arrays.
            made_of: that again, from them.
        """
        if self.folder is None:
            return make()
        path = self.folder / f"{name}{_STEP}"
        kept = read_checkpoint(path, of={"version": self.version, "layout": _LAYOUT})
        if kept is not None:
            return made_of(kept.arrays)
        made = make()
        write_checkpoint(path, arrays(made), {"version": self.version, "layout": _LAYOUT})
        return made

    def forget(self) -> None:
        """Remove what was kept: the fit is done."""
        if self.folder is not None:
            for path in self.folder.glob(f"*{_STEP}"):
                path.unlink()
            if self.folder.is_dir() and not any(self.folder.iterdir()):
                self.folder.rmdir()


def held_out_of(n_items: int) -> int:
    """Users who teach the gate where there are many, for a catalog of this size."""
    return max(MIN_HELD_OUT, min(HELD_OUT, MAX_ASKED // n_items))


def _folds(behaviour: Behaviour, rng: np.random.Generator) -> list[np.ndarray]:
    """Held-out parts of the training users that have something to be evaluated on."""
    able = np.flatnonzero(
        (behaviour.histories.lengths >= behaviour.horizon.min_events)
        & (behaviour.targets.lengths > 0)
    )
    if not len(able):
        able = np.flatnonzero(behaviour.targets.lengths > 0)
    rng.shuffle(able)
    held_out = held_out_of(behaviour.n_items)
    if len(able) > MANY or (held_out < HELD_OUT and len(able) > 2 * held_out):
        return [np.sort(able[:held_out])]
    return [
        np.sort(part) for part in np.array_split(able, min(FOLDS, max(2, len(able)))) if len(part)
    ]


def _popularity(behaviour: Behaviour) -> tuple[np.ndarray, np.ndarray]:
    """[N] smoothed shares of liked events, and the ridge that predicts their logarithm from
    content.

    New users will be asked about what comes after the pool: where order carries meaning only that
    counts. Where it does not, every like counts, but those of users who come once or twice for
    little: on goodbooks they choose quite different books.
    """
    histories = (
        behaviour.targets
        if behaviour.is_ordered
        else behaviour.whole.where(behaviour.is_wanted(behaviour.whole))
    )
    counted = behaviour.weights_of(histories.owners) * histories.strengths
    if not behaviour.is_ordered:
        lengths = behaviour.histories.lengths
        counted = counted * (lengths / (lengths + behaviour.horizon.min_events))[histories.owners]
    counts = np.bincount(histories.items, counted, behaviour.n_items) + SMOOTHING
    met = np.concatenate([behaviour.whole.items, behaviour.refused.items])
    seen = np.bincount(met, minlength=behaviour.n_items) > 0
    content = behaviour.content.astype(np.float64)
    weights = from_content(content[seen], np.log(counts[seen])[:, None], CONTENT_RIDGE)[:, 0]
    told = with_one(content[~seen]) @ weights
    counts[~seen] = np.exp(np.minimum(told, np.log(counts[seen]).max()))
    total = counts.sum()
    weights[-1] -= np.log(total)
    return (counts / total).astype(np.float32), weights.astype(np.float32)


def _item_statistics(behaviour: Behaviour) -> np.ndarray:
    """[N, 3] z-scores over items with events: shrunk share of likes, shrunk mean value, log of
    events of any kind; 0 for unseen items.
    """
    histories = behaviour.histories
    users = behaviour.weights_of(histories.owners)
    count = np.bincount(histories.items, users, behaviour.n_items)
    columns = [np.log1p(count)]
    for value in (
        behaviour.is_liked(histories).astype(np.float64),
        histories.values.astype(np.float64),
    ):
        total = np.bincount(histories.items, users * value, behaviour.n_items)
        columns.append(
            (total + ITEM_STATISTICS_DAMPING * np.average(value, weights=users))
            / (count + ITEM_STATISTICS_DAMPING)
        )
    item_statistics, seen = np.stack(columns, axis=1), count > 0
    middle, spread = item_statistics[seen].mean(0), item_statistics[seen].std(0)
    return np.where(
        seen[:, None], (item_statistics - middle) / np.where(spread > 1e-6, spread, np.inf), 0.0
    ).astype(np.float32)


def _acceptance(behaviour: Behaviour) -> np.ndarray:
    """[N] float32: see `Ensemble.acceptance`."""
    kept, refused = (
        np.bincount(
            rows.items, behaviour.weights_of(rows.owners) * rows.strengths, behaviour.n_items
        )
        for rows in (behaviour.whole, behaviour.refused)
    )
    everyone = kept.sum() / max(kept.sum() + refused.sum(), 1e-9)
    share = (kept + ACCEPTANCE_DAMPING * everyone) / (kept + refused + ACCEPTANCE_DAMPING)
    log_share = np.log(np.maximum(share / max(everyone, 1e-9), 1e-9))
    return np.where(refused > 0, np.minimum(log_share, 0.0), 0.0).astype(np.float32)

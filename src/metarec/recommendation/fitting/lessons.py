"""What held-out users teach: scorers fitted on all others are asked about them, fold by fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from metarec.data.errors import BadInput
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.base import Model, dense
from metarec.models.rating.head import RatingHead
from metarec.models.rating.kernel import RatingConfig
from metarec.models.registry import READ_CONTEXT, model_class
from metarec.recommendation.configs import Configs, config_in
from metarec.recommendation.ensemble.gate import Gate
from metarec.recommendation.ensemble.gate_config import GateConfig
from metarec.recommendation.ensemble.gate_tasks import Answers, GateTasks, candidates
from metarec.recommendation.ensemble.held_out_tasks import (
    Rate,
    able_longer,
    as_known,
    gather_tasks,
    known_length,
    known_tasks,
    longer_shots,
    longer_tasks,
    users_at_once,
)
from metarec.recommendation.ensemble.item_statistics import (
    ItemStatisticsConfig,
    item_statistics_of,
    popularity_of,
)
from metarec.recommendation.ensemble.prior import TRANSFERRED
from metarec.recommendation.ensemble.refusals import RefusalsConfig, Refusers
from metarec.recommendation.ensemble.scorers import scorers_of

MAX_ASKED = 240_000_000
"""Bound: scores of each model at one support size that teach the gate; a catalog of more than
200,000 items holds fewer users out.
"""
_FITTED = ("popularity", "item_statistics", "from_content")
"""Arrays of what was fitted, beside those of its scorers."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Scorers fitted on some users, to be asked about others."""

    popularity: np.ndarray
    item_statistics: np.ndarray
    from_content: np.ndarray
    scorers: dict[str, Model]
    told: float = GateConfig.told
    """Chance that a user tells what a model of context reads."""

    @classmethod
    def of(
        cls,
        behavior: Behavior,
        names: tuple[str, ...],
        configs: Configs,
        rng: np.random.Generator,
        whole: Behavior | None = None,
    ) -> Fitted:
        """Fitted on `behavior`; models that leave out a user's own events on the `whole` of it."""
        statistics = config_in(configs, ItemStatisticsConfig)
        popularity, from_content = popularity_of(behavior, statistics)

        def fit(name: str) -> Model:
            model = model_class(name)
            leaves_out_self = whole is not None and getattr(model, "leaves_out_self", False)
            taught = whole if whole is not None and leaves_out_self else behavior
            return model.fit(taught, rng, configs.get(name))

        return cls(
            popularity=popularity,
            item_statistics=item_statistics_of(behavior, statistics),
            from_content=from_content,
            scorers={name: fit(name) for name in names},
            told=config_in(configs, GateConfig).told,
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
        cls, names: tuple[str, ...], configs: Configs, arrays: Mapping[str, np.ndarray]
    ) -> Fitted:
        """From `arrays()`, with the configs given."""
        own = {name: arrays[name] for name in _FITTED}
        scorers = scorers_of({name: configs.get(name) for name in names}, arrays)
        return cls(**own, scorers=scorers, told=config_in(configs, GateConfig).told)

    def ask(self, behavior: Behavior, shots: int, users: np.ndarray) -> Answers:
        """What the scorers say of `users` after `shots` events, see `held_out_tasks.Ask`."""
        support = behavior.histories.users(users).first(np.minimum(shots, behavior.pools[users]))
        asked = behavior.batch_of(users, support)
        told = told_to(tuple(self.scorers), users, self.told)
        shares = np.empty((len(users), behavior.n_items, len(self.scorers)), np.float32)
        for place, (name, model) in enumerate(self.scorers.items()):
            evidence = dense(model.evidence(asked))
            if name in told:
                evidence = np.where(told[name][:, None], evidence, 0.0)
            total = evidence.sum(1, keepdims=True)
            shares[:, :, place] = evidence / np.where(total > 0, total, 1.0)
        return shares, self.popularity, self.item_statistics

    def ask_refusing(self, behavior: Behavior, refusers: Refusers) -> Answers:
        """As `ask` at the end of the pool, shares by what was refused after those by what was
        accepted.
        """
        most = int(behavior.pools.max(initial=0))
        shares, popularity, statistics = self.ask(behavior, most, refusers.users)
        profiles = np.zeros_like(behavior.profiles[refusers.users])
        asked = UserBatch(support=refusers.refused, profiles=profiles)
        against = np.empty_like(shares)
        for place, model in enumerate(self.scorers.values()):
            evidence = dense(model.evidence(asked))
            total = evidence.sum(1, keepdims=True)
            against[:, :, place] = evidence / np.where(total > 0, total, 1.0)
        return np.concatenate([shares, against], axis=2), popularity, statistics


def has_refusals(behavior: Behavior) -> bool:
    """Whether anybody refused anything."""
    return len(behavior.refused.items) > 0


def refusers_of(behavior: Behavior, held_out: np.ndarray, config: RefusalsConfig) -> Refusers:
    """As many as are asked at once."""
    found = Refusers.of(behavior, held_out)
    if not len(found.users):  # models answer for one user at least
        one = held_out[:1]
        return Refusers(users=one, refused=behavior.refused.users(one).first(0))
    most = min(config.max_users, users_at_once(behavior.n_items))
    few = np.arange(min(len(found.users), most))
    return Refusers(users=found.users[few], refused=found.refused.users(few))


def without_taste(names: tuple[str, ...], tasks: list[GateTasks]) -> list[GateTasks]:
    """The same tasks without what the prior's taste says."""
    kept = [place for place, name in enumerate(names) if name != TRANSFERRED]
    return [replace(some, shares=some.shares[..., kept]) for some in tasks]


def told_to(
    names: tuple[str, ...], users: np.ndarray, chance: float = GateConfig.told
) -> dict[str, np.ndarray]:
    """Which models of `READ_CONTEXT` hear something of each user while the gate learns: of several
    a part only, so that it knows what each is worth alone; models that read the same hear the same.
    """
    several = [name for name in names if name in READ_CONTEXT]
    what = list(dict.fromkeys(model_class(name).reads for name in several))
    if len(what) < 2:
        return {}
    heard = np.random.default_rng(0).random((int(users.max()) + 1, len(what)))[users] < chance
    none = ~heard.any(1)
    heard[none, users[none] % len(what)] = True
    return {name: heard[:, what.index(model_class(name).reads)] for name in several}


def task_arrays(made: list[GateTasks]) -> dict[str, np.ndarray]:
    """Tasks of every support size as named arrays."""
    arrays = {
        f"{point}/{key}": value
        for point, tasks in enumerate(made)
        for key, value in tasks.arrays().items()
    }
    return {**arrays, "points": np.array([len(made)])}


def tasks_of(arrays: Mapping[str, np.ndarray]) -> list[GateTasks]:
    """From `task_arrays`."""
    return [GateTasks.from_arrays(arrays, f"{point}/") for point in range(int(arrays["points"][0]))]


def ask_held_out(
    behavior: Behavior,
    names: tuple[str, ...],
    configs: Configs,
    held_out: np.ndarray,
    rng: np.random.Generator,
) -> list[GateTasks]:
    """Tasks of some users, answered by scorers fitted on all the others."""
    rest = np.setdiff1d(np.arange(len(behavior.histories)), held_out)
    fitted = Fitted.of(behavior.users(rest), names, configs, rng, behavior)
    config, rating = config_in(configs, GateConfig), config_in(configs, RatingConfig)
    tasks, drawn, chosen = gather_tasks(
        behavior,
        held_out,
        partial(fitted.ask, behavior),
        rng,
        rate=_rated_by_others(behavior, rest, rng.spawn(1)[0], rating)
        if _is_rated(behavior)
        else None,
        config=config,
    )
    ask_known = partial(fitted.ask, as_known(behavior))
    tasks += longer_tasks(behavior, held_out, fitted.ask, rng, config)
    tasks.append(known_tasks(behavior, held_out, ask_known, rng, config))
    tasks += [*drawn, *chosen]
    if has_refusals(behavior):
        tasks.append(_refusing_tasks(behavior, held_out, fitted, configs, rng))
    return tasks


def _refusing_tasks(
    behavior: Behavior,
    held_out: np.ndarray,
    fitted: Fitted,
    configs: Configs,
    rng: np.random.Generator,
) -> GateTasks:
    """Of those of the held-out users who refused something."""
    refusers = refusers_of(behavior, held_out, config_in(configs, RefusalsConfig))
    answers, config = fitted.ask_refusing(behavior, refusers), config_in(configs, GateConfig)
    return candidates(
        behavior, refusers.users, answers, rng, hidden=refusers.refused, config=config
    )


def _is_rated(behavior: Behavior) -> bool:
    """Whether events state ratings that differ."""
    stated = behavior.histories.values[behavior.histories.is_rated]
    return len(stated) > 0 and bool(stated.min() < stated.max())


def _rated_by_others(
    behavior: Behavior,
    rest: np.ndarray,
    rng: np.random.Generator,
    config: RatingConfig,
) -> Rate:
    """What a rating head of the users `rest` predicts of all others."""
    head = RatingHead.of_users(behavior, rest, rng, config)

    def rate(shots: int, users: np.ndarray, asked: Histories) -> np.ndarray:
        first = np.minimum(shots, behavior.pools[users])
        return head.steps(behavior.histories.users(users).first(first), asked)[0]

    return rate


@dataclass(frozen=True, kw_only=True)
class Lessons:
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
    def of(cls, joined: list[GateTasks], behavior: Behavior) -> Lessons:
        """From the tasks of all folds, in the order in which `ask_held_out` lays them."""
        joined = list(joined)
        refusing = joined.pop() if has_refusals(behavior) else None
        sizes = len(support_sizes(behavior))
        given, shots = joined[sizes:], len(behavior.horizon.shots)
        return cls(
            whole=joined[:sizes], drawn=given[:shots], chosen=given[shots:], refusing=refusing
        )

    def without_taste(self, names: tuple[str, ...]) -> Lessons:
        """Without what the prior's taste says, one of the models `names`."""
        some = [] if self.refusing is None else without_taste(names * 2, [self.refusing])
        return Lessons(
            whole=without_taste(names, self.whole),
            drawn=without_taste(names, self.drawn),
            chosen=without_taste(names, self.chosen),
            refusing=some[0] if some else None,
        )

    def own(self, tasks: list[GateTasks], gate: Gate) -> list[GateTasks]:
        """Tasks without what models that read context say."""
        more = tasks[0].shares.shape[2] - len(gate.names) if tasks else 0
        return [some.without(more) for some in tasks] if more else tasks


def support_sizes(behavior: Behavior) -> tuple[int, ...]:
    """Of the gate: those of the horizon, and that of a user known for long."""
    return (*behavior.horizon.shots, *longer_shots(behavior), known_length(behavior))


def task_weights(behavior: Behavior, folds: list[np.ndarray]) -> list[np.ndarray] | None:
    """For each support size [T] weights of the users of the tasks; None: all alike."""
    if behavior.weights is None:
        return None
    users = np.concatenate(folds)
    longer = longer_shots(behavior)
    asked = [
        able_longer(behavior, users) if shots in longer else users
        for shots in support_sizes(behavior)
    ]
    return [behavior.weights[some] for some in asked]


def held_out_of(n_items: int, config: GateConfig) -> int:
    """Users who teach the gate where there are many, for a catalog of this size."""
    return max(config.min_held_out, min(config.held_out, MAX_ASKED // n_items))


def is_asked_once(able: int, n_items: int, config: GateConfig) -> bool:
    """Whether so many users are enough to hold one part of them out once."""
    held_out = held_out_of(n_items, config)
    return able > config.many or (held_out < config.held_out and able > 2 * held_out)


def folds_of(behavior: Behavior, rng: np.random.Generator, config: GateConfig) -> list[np.ndarray]:
    """Held-out parts of the training users that have something to be evaluated on.

    Raises:
        BadInput: if none has.
    """
    able = np.flatnonzero(
        (behavior.histories.lengths >= behavior.horizon.min_events) & (behavior.targets.lengths > 0)
    )
    if not len(able):
        able = np.flatnonzero(behavior.targets.lengths > 0)
    if not len(able):
        raise BadInput(
            "no user likes anything that is a target after their first events, so nothing teaches "
            "what to recommend; give users who did more, or name more kinds as targets in [kinds]"
        )
    rng.shuffle(able)
    if is_asked_once(len(able), behavior.n_items, config):
        return [np.sort(able[: held_out_of(behavior.n_items, config)])]
    parts = np.array_split(able, min(config.folds, max(2, len(able))))
    return [np.sort(part) for part in parts if len(part)]

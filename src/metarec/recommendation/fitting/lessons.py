"""What held-out users teach: scorers fitted on all others are asked about them, fold by fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.base import Model, dense
from metarec.models.rating.head import RatingHead
from metarec.models.rating.kernel import RatingConfig
from metarec.models.registry import model_class
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
from metarec.recommendation.fitting.held_out_users import placed_share, told_to

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
    placed: float = 1.0
    """Share of the users who are asked about that tell where they are."""

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
        popularity, item_statistics, from_content = (arrays[name] for name in _FITTED)
        return cls(
            popularity=popularity,
            item_statistics=item_statistics,
            from_content=from_content,
            scorers=scorers_of({name: configs.get(name) for name in names}, arrays),
            told=config_in(configs, GateConfig).told,
        )

    def ask(self, behavior: Behavior, shots: int, users: np.ndarray) -> Answers:
        """What the scorers say of `users` after `shots` events, see `held_out_tasks.Ask`."""
        support = behavior.histories.users(users).first(np.minimum(shots, behavior.pools[users]))
        asked = behavior.batch_of(users, support)
        everyone = np.ones(len(users), bool)
        told = told_to(tuple(self.scorers), users, self.told, self.placed)
        shares = np.zeros((len(self.scorers), len(users), behavior.n_items), np.float32)
        for of_model, (name, model) in zip(shares, self.scorers.items(), strict=True):
            heard, hearing = asked, np.flatnonzero(told.get(name, everyone))
            if not len(hearing):  # models answer for one user at least
                continue
            if len(hearing) < len(users):
                heard = asked.rows(hearing)
            of_model[hearing] = _shares(model, heard)
        return shares, self.popularity, self.item_statistics

    def ask_refusing(self, behavior: Behavior, refusers: Refusers) -> Answers:
        """As `ask` at the end of the pool, shares by what was refused after those by what was
        accepted.
        """
        most = int(behavior.pools.max(initial=0))
        shares, popularity, statistics = self.ask(behavior, most, refusers.users)
        profiles = np.zeros_like(behavior.profiles[refusers.users])
        asked = UserBatch(support=refusers.refused, profiles=profiles)
        against = np.stack([_shares(model, asked) for model in self.scorers.values()])
        return np.concatenate([shares, against]), popularity, statistics


def _shares(model: Model, users: UserBatch) -> np.ndarray:
    """[B, N] float32 what each item has of the evidence of a model; 0 where it has none."""
    evidence = dense(model.evidence(users))
    total = evidence.sum(1, keepdims=True)
    return np.asarray(evidence / np.where(total > 0, total, 1.0), np.float32)


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
    config, rating = config_in(configs, GateConfig), config_in(configs, RatingConfig)
    fitted = replace(
        Fitted.of(behavior.users(rest), names, configs, rng, behavior),
        placed=placed_share(behavior, config),
    )
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
    tasks += [*_later_tasks(behavior, held_out, fitted, rng, config), *drawn, *chosen]
    if has_refusals(behavior):
        tasks.append(_refusing_tasks(behavior, held_out, fitted, configs, rng))
    return tasks


def ask_served(
    behavior: Behavior,
    fitted: Fitted,
    names: tuple[str, ...],
    users: np.ndarray,
    config: GateConfig,
) -> list[GateTasks]:
    """What the scorers of all users say of some of these, at each support size of the gate, as they
    would be asked about users they do not know.
    """
    scorers = {name: fitted.scorers[name] for name in names}
    served = replace(fitted, scorers=scorers, placed=placed_share(behavior, config))
    ask, rng = partial(served.ask, behavior), np.random.default_rng(0)
    tasks, *_ = gather_tasks(behavior, users, ask, rng, config=config)
    return [*tasks, *_later_tasks(behavior, users, served, rng, config)]


def _later_tasks(
    behavior: Behavior,
    users: np.ndarray,
    fitted: Fitted,
    rng: np.random.Generator,
    config: GateConfig,
) -> list[GateTasks]:
    """Tasks beyond the horizon: of users with events enough, and of users known for long."""
    able = len(able_longer(behavior, users))  # fewer: as many of them tell where they are
    placed = min(1.0, fitted.placed * len(users) / max(able, 1))
    longer = longer_tasks(behavior, users, replace(fitted, placed=placed).ask, rng, config)
    ask_known = partial(fitted.ask, as_known(behavior))
    return [*longer, known_tasks(behavior, users, ask_known, rng, config)]


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

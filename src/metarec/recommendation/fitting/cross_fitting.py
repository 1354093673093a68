"""Cross-fitting: the tasks of held-out users, scored by models fitted on all other users, fold by
fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.added import dense_of
from metarec.models.added import fit as fit_model
from metarec.models.base import Model
from metarec.models.rating.head import RatingHead
from metarec.models.rating.kernel import RatingConfig
from metarec.models.registry import model_class
from metarec.recommendation.configs import Configs, config_in
from metarec.recommendation.ensemble.gate import Gate
from metarec.recommendation.ensemble.gate_config import GateConfig
from metarec.recommendation.ensemble.gate_tasks import GateTasks, ScorerOutput, candidates, joined
from metarec.recommendation.ensemble.held_out_tasks import (
    PredictRatings,
    able_longer,
    as_known,
    gather_tasks,
    is_ended,
    known_length,
    known_tasks,
    longer_support_sizes,
    longer_tasks,
    users_at_once,
    with_long_support,
)
from metarec.recommendation.ensemble.item_statistics import (
    ItemStatisticsConfig,
    item_statistics_of,
    popularity_of,
)
from metarec.recommendation.ensemble.prior import TRANSFERRED
from metarec.recommendation.ensemble.refusals import RefusalsConfig, Refusers
from metarec.recommendation.ensemble.scorers import scorers_of
from metarec.recommendation.fitting.held_out_users import located_share, revealed_to

_FITTED = ("popularity", "item_statistics", "from_content")
"""Names of the arrays of `Fitted`, beside those of its scorers."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Scorers and item statistics fitted on some users, to score other users."""

    popularity: np.ndarray
    """[N] see `Ensemble.popularity`."""
    item_statistics: np.ndarray
    """[N, S] see `Ensemble.item_statistics`."""
    from_content: np.ndarray
    """[C + 1] see `Ensemble.popularity_from_content`."""
    scorers: dict[str, Model]
    """Models by name."""
    revealed: float = GateConfig.revealed
    """Probability that a task reveals the input of a model that reads context."""
    located: float = 1.0
    """Share of the scored users whose location is revealed."""

    @classmethod
    def of(
        cls,
        behavior: Behavior,
        names: tuple[str, ...],
        configs: Configs,
        rng: np.random.Generator,
        whole: Behavior | None = None,
    ) -> Fitted:
        """Fit them on `behavior`; models with `leaves_out_self`, which leave out a user's own
        events when they score that user, are fitted on `whole` instead.
        """
        statistics = config_in(configs, ItemStatisticsConfig)
        popularity, from_content = popularity_of(behavior, statistics)

        def fit(name: str) -> Model:
            model = model_class(name)
            leaves_out_self = whole is not None and getattr(model, "leaves_out_self", False)
            train = whole if whole is not None and leaves_out_self else behavior
            return fit_model(model, train, rng, configs.get(name), name)

        return cls(
            popularity=popularity,
            item_statistics=item_statistics_of(behavior, statistics),
            from_content=from_content,
            scorers={name: fit(name) for name in names},
            revealed=config_in(configs, GateConfig).revealed,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays by name."""
        of_fit = {name: getattr(self, name) for name in _FITTED}
        scorers = {
            f"{name}/{key}": array
            for name, scorer in self.scorers.items()
            for key, array in scorer.arrays().items()
        }
        return {**of_fit, **scorers}

    @classmethod
    def from_arrays(
        cls, names: tuple[str, ...], configs: Configs, arrays: Mapping[str, np.ndarray]
    ) -> Fitted:
        """Rebuild from `arrays()` and the configs."""
        popularity, item_statistics, from_content = (arrays[name] for name in _FITTED)
        return cls(
            popularity=popularity,
            item_statistics=item_statistics,
            from_content=from_content,
            scorers=scorers_of({name: configs.get(name) for name in names}, arrays),
            revealed=config_in(configs, GateConfig).revealed,
        )

    def score(self, behavior: Behavior, n_support: int, users: np.ndarray) -> ScorerOutput:
        """Score `users` after `n_support` events, see `held_out_tasks.ScoreUsers`."""
        support = behavior.histories.users(users).first(
            np.minimum(n_support, behavior.pools[users])
        )
        batch = behavior.batch_of(users, support)
        everyone = np.ones(len(users), bool)
        revealed = revealed_to(tuple(self.scorers), users, self.revealed, self.located)
        shares = np.zeros((len(self.scorers), len(users), behavior.n_items), np.float32)
        for of_model, (name, model) in zip(shares, self.scorers.items(), strict=True):
            of_rows, rows = batch, np.flatnonzero(revealed.get(name, everyone))
            if not len(rows):  # models need at least one user
                continue
            if len(rows) < len(users):
                of_rows = batch.rows(rows)
            of_model[rows] = _shares(model, of_rows, behavior.n_items)
        return shares, self.popularity, self.item_statistics

    def score_refusers(self, behavior: Behavior, refusers: Refusers) -> ScorerOutput:
        """Score users as `score` does at the end of their support; the shares of evidence from
        accepted items are followed by those from refused items.
        """
        longest = int(behavior.pools.max(initial=0))
        shares, popularity, statistics = self.score(behavior, longest, refusers.users)
        profiles = np.zeros_like(behavior.profiles[refusers.users])
        refusing = UserBatch(support=refusers.refused, profiles=profiles)
        against = np.stack(
            [_shares(model, refusing, behavior.n_items) for model in self.scorers.values()]
        )
        return np.concatenate([shares, against]), popularity, statistics


def _shares(model: Model, users: UserBatch, n_items: int) -> np.ndarray:
    """[B, N] float32 evidence of a model, each row divided by its sum; 0 where it has none."""
    evidence = dense_of(model, users, n_items)
    total = evidence.sum(1, keepdims=True)
    return np.asarray(evidence / np.where(total > 0, total, 1.0), np.float32)


def has_refusals(behavior: Behavior) -> bool:
    """Whether any training user refused anything."""
    return len(behavior.refused.items) > 0


def refusers_of(behavior: Behavior, held_out: np.ndarray, config: RefusalsConfig) -> Refusers:
    """Return the users of `held_out` with refusals, at most as many as fit into one batch; a single
    user without refusals where there are none.
    """
    refusers = Refusers.of(behavior, held_out)
    if not len(refusers.users):  # models need at least one user
        one = held_out[:1]
        return Refusers(users=one, refused=behavior.refused.users(one).first(0))
    max_users = min(config.max_users, users_at_once(behavior.n_items))
    few = np.arange(min(len(refusers.users), max_users))
    return Refusers(users=refusers.users[few], refused=refusers.refused.users(few))


def without_taste(names: tuple[str, ...], tasks: list[GateTasks]) -> list[GateTasks]:
    """Return the same tasks without the shares of the model that reads the prior's map to taste."""
    kept = [place for place, name in enumerate(names) if name != TRANSFERRED]
    return [replace(some, shares=some.shares[..., kept]) for some in tasks]


def task_arrays(made: list[GateTasks]) -> dict[str, np.ndarray]:
    """Return the tasks of all support sizes as named arrays."""
    arrays = {
        f"{point}/{key}": value
        for point, tasks in enumerate(made)
        for key, value in tasks.arrays().items()
    }
    return {**arrays, "points": np.array([len(made)])}


def tasks_of(arrays: Mapping[str, np.ndarray]) -> list[GateTasks]:
    """Rebuild the tasks from `task_arrays`."""
    return [GateTasks.from_arrays(arrays, f"{point}/") for point in range(int(arrays["points"][0]))]


def score_held_out(
    behavior: Behavior,
    names: tuple[str, ...],
    configs: Configs,
    held_out: np.ndarray,
    rng: np.random.Generator,
) -> list[GateTasks]:
    """Return the tasks of the `held_out` users, scored by models fitted on all other users."""
    others = np.setdiff1d(np.arange(len(behavior.histories)), held_out)
    config, rating = config_in(configs, GateConfig), config_in(configs, RatingConfig)
    fitted = replace(
        Fitted.of(behavior.users(others), names, configs, rng, behavior),
        located=located_share(behavior, config),
    )
    going_on, ended = split_ended(behavior, held_out)
    tasks, sampled_lists, user_lists = gather_tasks(
        behavior,
        going_on,
        partial(fitted.score, behavior),
        rng,
        rate=_rated_by_others(behavior, others, rng.spawn(1)[0], rating)
        if _is_rated(behavior)
        else None,
        config=config,
    )
    tasks = _with_ended(tasks, behavior, ended, fitted, rng, config)
    tasks += [*_later_tasks(behavior, going_on, fitted, rng, config), *sampled_lists, *user_lists]
    if has_refusals(behavior):
        tasks.append(_refusing_tasks(behavior, held_out, fitted, configs, rng))
    return tasks


def score_served(
    behavior: Behavior,
    fitted: Fitted,
    names: tuple[str, ...],
    users: np.ndarray,
    config: GateConfig,
) -> list[GateTasks]:
    """Return tasks of some training users at each support size of the gate, scored by the final
    models, which were fitted on these users too, with supports as for users unknown to them.
    """
    scorers = {name: fitted.scorers[name] for name in names}
    served = replace(fitted, scorers=scorers, located=located_share(behavior, config))
    score, rng = partial(served.score, behavior), np.random.default_rng(0)
    going_on, ended = split_ended(behavior, users)
    tasks, *_ = gather_tasks(behavior, going_on, score, rng, config=config)
    tasks = _with_ended(tasks, behavior, ended, served, rng, config)
    return [*tasks, *_later_tasks(behavior, going_on, served, rng, config)]


def split_ended(behavior: Behavior, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return those of the held-out `users` whose tasks are those of new users, and those who ended
    after the horizon (`is_ended`).
    """
    ended = is_ended(behavior)[users]
    return users[~ended], users[ended]


def _with_ended(
    tasks: list[GateTasks],
    behavior: Behavior,
    ended: np.ndarray,
    fitted: Fitted,
    rng: np.random.Generator,
    config: GateConfig,
) -> list[GateTasks]:
    """Return the tasks of the horizon, at its last support size with those of the users who `ended`
    there.
    """
    if not len(ended):
        return tasks
    score = partial(fitted.score, as_known(behavior))
    return [*tasks[:-1], joined([tasks[-1], known_tasks(behavior, ended, score, rng, config)])]


def _later_tasks(
    behavior: Behavior,
    users: np.ndarray,
    fitted: Fitted,
    rng: np.random.Generator,
    config: GateConfig,
) -> list[GateTasks]:
    """Return the tasks beyond the horizon: those of `longer_tasks`, then those of `known_tasks`."""
    able = len(able_longer(behavior, users))  # fewer users; keep the number with a location
    located = min(1.0, fitted.located * len(users) / max(able, 1))
    longer = longer_tasks(behavior, users, replace(fitted, located=located).score, rng, config)
    score_known = partial(fitted.score, with_long_support(behavior))
    return [*longer, known_tasks(behavior, users, score_known, rng, config)]


def _refusing_tasks(
    behavior: Behavior,
    held_out: np.ndarray,
    fitted: Fitted,
    configs: Configs,
    rng: np.random.Generator,
) -> GateTasks:
    """Return the tasks of the held-out users who refused something."""
    refusers = refusers_of(behavior, held_out, config_in(configs, RefusalsConfig))
    scores, config = fitted.score_refusers(behavior, refusers), config_in(configs, GateConfig)
    return candidates(behavior, refusers.users, scores, rng, hidden=refusers.refused, config=config)


def _is_rated(behavior: Behavior) -> bool:
    """Whether events carry ratings that are not all equal."""
    stated = behavior.histories.values[behavior.histories.is_rated]
    return len(stated) > 0 and bool(stated.min() < stated.max())


def _rated_by_others(
    behavior: Behavior,
    others: np.ndarray,
    rng: np.random.Generator,
    config: RatingConfig,
) -> PredictRatings:
    """Return a function that predicts ratings of all other users with a rating head fitted on the
    users `others`.
    """
    head = RatingHead.of_users(behavior, others, rng, config)

    def rate(n_support: int, users: np.ndarray, items: Histories) -> np.ndarray:
        first = np.minimum(n_support, behavior.pools[users])
        return head.steps(behavior.histories.users(users).first(first), items)[0]

    return rate


@dataclass(frozen=True, kw_only=True)
class CrossFitTasks:
    """Tasks of held-out users from all folds, by kind, support size by support size."""

    catalog: list[GateTasks]
    """Tasks with candidates from the whole catalog."""
    sampled_lists: list[GateTasks]
    """Tasks with few given candidates drawn from the catalog."""
    user_lists: list[GateTasks]
    """Tasks with few given candidates that users chose themselves; empty without ratings."""
    refusals: GateTasks | None
    """Tasks of users who refused something; None without refusals."""

    @classmethod
    def of(cls, joined: list[GateTasks], behavior: Behavior) -> CrossFitTasks:
        """Split the tasks of all folds, which are in the order of `score_held_out`, by kind."""
        joined = list(joined)
        refusals = joined.pop() if has_refusals(behavior) else None
        sizes = len(gate_support_sizes(behavior))
        lists, few_events = joined[sizes:], len(behavior.horizon.support_sizes)
        return cls(
            catalog=joined[:sizes],
            sampled_lists=lists[:few_events],
            user_lists=lists[few_events:],
            refusals=refusals,
        )

    def without_taste(self, names: tuple[str, ...]) -> CrossFitTasks:
        """Return them without the shares of the model `TRANSFERRED`, one of `names`."""
        some = [] if self.refusals is None else without_taste(names * 2, [self.refusals])
        return CrossFitTasks(
            catalog=without_taste(names, self.catalog),
            sampled_lists=without_taste(names, self.sampled_lists),
            user_lists=without_taste(names, self.user_lists),
            refusals=some[0] if some else None,
        )

    def of_gate(self, tasks: list[GateTasks], gate: Gate) -> list[GateTasks]:
        """Return the tasks without the shares of models that read context."""
        more = tasks[0].shares.shape[2] - len(gate.names) if tasks else 0
        return [some.without(more) for some in tasks] if more else tasks


def gate_support_sizes(behavior: Behavior) -> tuple[int, ...]:
    """Return the support sizes of the gate: those of the horizon, then larger ones, and last the
    one that stands for a long history.
    """
    return (
        *behavior.horizon.support_sizes,
        *longer_support_sizes(behavior),
        known_length(behavior),
    )


def task_weights(behavior: Behavior, folds: list[np.ndarray]) -> list[np.ndarray] | None:
    """Return for each support size [T] the weights of the tasks' users; None: all equal."""
    if behavior.weights is None:
        return None
    parts = [split_ended(behavior, fold) for fold in folds]
    users = np.concatenate([going_on for going_on, _ in parts])
    able, everyone = (
        able_longer(behavior, users),
        np.concatenate([np.concatenate(p) for p in parts]),
    )
    taught_by = {
        **dict.fromkeys(gate_support_sizes(behavior), users),
        **dict.fromkeys(longer_support_sizes(behavior), able),
        behavior.horizon.support_sizes[-1]: everyone,
    }
    return [behavior.weights[some] for some in taught_by.values()]

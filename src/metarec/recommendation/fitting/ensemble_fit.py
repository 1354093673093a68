"""How an ensemble is learned: scorers on all users, and the gates on what held-out users teach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from metarec.features.behavior import Behavior
from metarec.models.config import ModelConfig
from metarec.models.registry import CONTEXT, READ_CONTEXT, REPEAT, model_class, weighed
from metarec.models.trend import Trend, TrendConfig
from metarec.recommendation.configs import Configs, config_in
from metarec.recommendation.ensemble.blend import Ensemble
from metarec.recommendation.ensemble.gate import Gate
from metarec.recommendation.ensemble.gate_config import GateConfig, GivenConfig
from metarec.recommendation.ensemble.gate_tasks import GateTasks, join_tasks
from metarec.recommendation.ensemble.gate_training import train_gate
from metarec.recommendation.ensemble.gate_tuning import ndcg_of, tuned, with_mixing
from metarec.recommendation.ensemble.given import GivenGates, mean_lift, train_given
from metarec.recommendation.ensemble.item_statistics import ItemStatisticsConfig, acceptance_of
from metarec.recommendation.ensemble.prior import TRANSFERRED, Prior, Trial
from metarec.recommendation.ensemble.refusals import REFUSAL, RefusalsConfig, learned_weight
from metarec.recommendation.fitting.held_out_users import folds_of
from metarec.recommendation.fitting.lessons import (
    Fitted,
    Lessons,
    ask_held_out,
    ask_served,
    refusers_of,
    support_sizes,
    task_arrays,
    task_weights,
    tasks_of,
    without_taste,
)
from metarec.recommendation.fitting.steps import Steps
from metarec.runtime.jobs import run_jobs
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

STAGE = "fit scorers and gate"
PASSES = 10
"""Times that the gate of users of whom more is known asks each task, at least where it may."""


def fit_ensemble(
    behavior: Behavior,
    names: tuple[str, ...],
    seed: int,
    progress: Progress = silent,
    steps: Steps | None = None,
    configs: Configs | None = None,
    prior: Prior | None = None,
) -> Ensemble:
    """Fit the scorers and, cross-fitted, the gate between them; finished folds are kept in
    `steps`.

    Args:
        configs: hyper-parameters by model, where they are not the defaults.
        prior: where the gate starts, if that helps held-out users.
    """
    configs, steps = _settled(behavior, names, configs or {}, seed), steps or Steps()
    config = config_in(configs, GateConfig)
    folds = folds_of(behavior, derive(seed, "folds"), config)
    lessons, fitted = _taught(behavior, names, configs, folds, seed, steps, progress)
    trial = None
    if prior is not None:
        asked = weighed(names)
        trial = _tried(support_sizes(behavior), asked, lessons.whole, prior, seed, config)
        if not trial.helps:
            prior, lessons, names = None, lessons.without_taste(asked), _others(names)
    gates = _gates(behavior, names, lessons.whole, folds, seed, prior, config)
    served = partial(ask_served, behavior, fitted, weighed(names), folds[0], config)
    gate, context_gate = _mixed(gates, lessons.whole, served, config) if REPEAT in names else gates
    given = _given(behavior, gate, lessons, fitted.popularity, seed, configs)
    refusal = _refusal(behavior, gate, lessons.refusing, folds, config_in(configs, RefusalsConfig))
    del lessons  # what follows needs its memory
    progress(STAGE, 1.0)
    steps.forget()
    whole = Ensemble(
        popularity=fitted.popularity,
        item_statistics=fitted.item_statistics,
        popularity_from_content=fitted.from_content,
        acceptance=acceptance_of(behavior, config_in(configs, ItemStatisticsConfig)),
        scorers={name: fitted.scorers[name] for name in names},
        gate=gate,
        context_gate=context_gate,
        given=given,
        refusal=refusal,
        trend=Trend.fit(behavior, derive(seed, "trend"), config_in(configs, TrendConfig)),
    )
    return replace(_as_saved(whole, names), trial=trial)


def _settled(
    behavior: Behavior, names: tuple[str, ...], configs: Configs, seed: int
) -> dict[str, ModelConfig]:
    """The configs, in which models that choose by all users need not choose anew in each fold."""
    found = dict(configs)
    for name in names:
        settled = getattr(model_class(name), "settled", None)
        if settled is not None:
            found[name] = settled(behavior, derive(seed, "settled", name), configs.get(name))
    return found


def _taught(
    behavior: Behavior,
    names: tuple[str, ...],
    configs: Configs,
    folds: list[np.ndarray],
    seed: int,
    steps: Steps,
    progress: Progress,
) -> tuple[Lessons, Fitted]:
    """What the users of the folds teach, and the scorers of all users."""
    jobs = len(folds) + 1
    progress(STAGE, 0.0, f"{jobs} steps")
    *tasks, scorers = run_jobs(
        partial(_step, behavior, names, configs, seed, steps),
        [*enumerate(folds), (-1, None)],
        steps.workers,
        backend=steps.backend,
        tell=lambda done: progress(STAGE, done / jobs, f"{done} of {jobs} steps"),
    )
    fitted = scorers if isinstance(scorers, Fitted) else Fitted.from_arrays(names, configs, scorers)
    return Lessons.of(join_tasks(tasks), behavior), fitted


def _given(
    behavior: Behavior,
    gate: Gate,
    lessons: Lessons,
    popularity: np.ndarray,
    seed: int,
    configs: Configs,
) -> GivenGates:
    """The gates between few given candidates."""
    return train_given(
        gate,
        behavior.horizon.shots,
        lessons.own(lessons.drawn, gate),
        lessons.own(lessons.chosen, gate),
        _own_lists(behavior, popularity),
        seed,
        config_in(configs, GivenConfig),
        config_in(configs, GateConfig),
    )


def _as_saved(whole: Ensemble, names: tuple[str, ...]) -> Ensemble:
    """With arrays laid out as a file lays them out: a saved model then gives the very same sums in
    the same order.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in whole.arrays().items()}
    return Ensemble.from_arrays(names, arrays, whole.configs)


def _refusal(
    behavior: Behavior,
    gate: Gate,
    tasks: GateTasks | None,
    folds: list[np.ndarray],
    config: RefusalsConfig,
) -> float:
    """What a refusal takes away, as the users of the folds say."""
    if tasks is None:
        return REFUSAL
    asked = [refusers_of(behavior, fold, config) for fold in folds]
    known = np.concatenate([behavior.pools[some.users] for some in asked])
    refused = np.concatenate([some.refused.lengths for some in asked])
    return learned_weight(gate, tasks, known, refused, config)


def _gates(
    behavior: Behavior,
    names: tuple[str, ...],
    tasks: list[GateTasks],
    folds: list[np.ndarray],
    seed: int,
    prior: Prior | None,
    config: GateConfig,
) -> tuple[Gate, Gate | None]:
    """The gate between models of history and profile, and the one between all."""
    shots, names, weights = support_sizes(behavior), weighed(names), task_weights(behavior, folds)
    own = tuple(name for name in names if name not in READ_CONTEXT)
    more = len(names) - len(own)
    plain = [some.without(more) for some in tasks] if more else tasks
    gate = train_gate(
        own,
        shots,
        plain,
        derive(seed, "gate"),
        weights=weights,
        config=config,
        **_from(prior, plain, config),
    )
    told = _told(tasks, names, len(own)) if more else []
    enough = [point for point, (_, rows) in enumerate(told) if rows.sum() >= config.min_told]
    if not enough:
        return gate, None
    if weights is not None:
        weights = [weights[point][told[point][1]] for point in enough]
    known, sizes = [told[point][0] for point in enough], tuple(shots[point] for point in enough)
    return gate, _context_gate(gate, names, sizes, known, weights, seed, config)


def _told(
    tasks: list[GateTasks], names: tuple[str, ...], own: int
) -> list[tuple[GateTasks, np.ndarray]]:
    """Tasks in which a model of context knows something, one beyond the `own` of `names`, and which
    they are.
    """
    circumstances = names.index(CONTEXT) if CONTEXT in names else None
    return [some.told(range(own, len(names)), circumstances) for some in tasks]


def _mixed(
    gates: tuple[Gate, Gate | None],
    tasks: list[GateTasks],
    ask: Callable[[], list[GateTasks]],
    config: GateConfig,
) -> tuple[Gate, Gate | None]:
    """The gates with their `mixing`, by `tasks` and by what the scorers of all users say when they
    are asked.
    """
    (gate, context_gate), served = gates, ask()
    own = len(gate.names)

    def plain(of: list[GateTasks]) -> list[GateTasks]:
        return [some.without(some.shares.shape[2] - own) for some in of]

    mixed = with_mixing(gate, plain(tasks), plain(served), config)
    if context_gate is None:
        return mixed, None
    names, points = context_gate.names, np.searchsorted(gate.points, context_gate.points)

    def told(of: list[GateTasks]) -> list[GateTasks]:
        return [some for some, _ in _told([of[point] for point in points], names, own)]

    return mixed, with_mixing(context_gate, told(tasks), told(served), config)


def _context_gate(
    gate: Gate,
    names: tuple[str, ...],
    shots: tuple[int, ...],
    tasks: list[GateTasks],
    weights: list[np.ndarray] | None,
    seed: int,
    config: GateConfig,
) -> Gate:
    """The gate between all models, learned on tasks in which those of context know something."""
    several = PASSES * max(len(some.shares) for some in tasks) // config.context_steps
    found = train_gate(
        names,
        shots,
        tasks,
        derive(seed, "context gate"),
        weights=weights,
        start=gate,
        # It goes on from one learned on the same users: fewer and smaller steps, measured no worse
        # (docs/experiments).
        config=replace(
            config,
            likelihood_steps=0,
            ranking_steps=config.context_steps,
            batch=min(max(config.context_batch, several), max(config.batch, config.context_batch)),
        ),
    )
    return tuned(found, tasks, len(gate.names), config)


def _from(prior: Prior | None, tasks: list[GateTasks], config: GateConfig) -> dict[str, Any]:
    """How a gate starts at a prior and how strongly it stays there, the less the more tasks."""
    if prior is None:
        return {}
    return {"start": prior.gate, "pull": config.prior_pull / max(len(tasks[0].shares), 1)}


def _others(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name != TRANSFERRED)


def _tried(
    shots: tuple[int, ...],
    names: tuple[str, ...],
    tasks: list[GateTasks],
    prior: Prior,
    seed: int,
    config: GateConfig,
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
            named, told = (own, plain) if with_prior else (_others(own), without_taste(own, plain))
            learn, tested = (
                [some.rows(rows) for some in told],
                [some.rows(~rows) for some in told],
            )
            start = _from(prior, learn, config) if with_prior else {}
            rng = derive(seed, "trial", half)
            gate = train_gate(named, shots, learn, rng, config=config, **start)
            kept.append(ndcg_of(gate, tested, config))
    return Trial(
        with_prior=np.concatenate(found[True]),
        without=np.concatenate(found[False]),
        min_t=config.prior_min_t,
    )


def _step(
    behavior: Behavior,
    names: tuple[str, ...],
    configs: Configs,
    seed: int,
    steps: Steps,
    job: tuple[int, np.ndarray | None],
) -> Any:
    """One step of a fit: the tasks of the users held out in a fold, or the scorers of all users, as
    plain arrays where they travel between processes.
    """
    (fold, held_out), asked = job, weighed(names)
    if held_out is None:
        fitted = steps.remember(
            "scorers",
            partial(Fitted.of, behavior, names, configs, derive(seed, "scorers")),
            Fitted.arrays,
            partial(Fitted.from_arrays, names, configs),
        )
        return fitted.arrays() if steps.workers > 1 or steps.backend != "here" else fitted
    return steps.remember(
        f"fold-{fold}",
        partial(ask_held_out, behavior, asked, configs, held_out, derive(seed, "fold", fold)),
        task_arrays,
        tasks_of,
    )


def _own_lists(behavior: Behavior, popularity: np.ndarray) -> np.ndarray:
    """[U'] `mean_lift` of what each user chose after the pool, of those who did."""
    after = behavior.histories.after(behavior.pools)
    return mean_lift(after, popularity)[after.lengths > 0]

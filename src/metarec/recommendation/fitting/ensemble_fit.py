"""Fit of the ensemble: scorers on all users, gates on tasks of held-out users."""

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
from metarec.recommendation.ensemble.prior import TRANSFERRED, Prior, PriorComparison
from metarec.recommendation.ensemble.refusals import REFUSAL, RefusalsConfig, learned_weight
from metarec.recommendation.fitting.cross_fitting import (
    CrossFitTasks,
    Fitted,
    gate_support_sizes,
    refusers_of,
    score_held_out,
    score_served,
    task_arrays,
    task_weights,
    tasks_of,
    without_taste,
)
from metarec.recommendation.fitting.held_out_users import folds_of
from metarec.recommendation.fitting.steps import Steps
from metarec.runtime.jobs import run_jobs
from metarec.runtime.memory import release
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

STAGE = "fit scorers and gate"
"""Name of this stage in progress reports."""
PASSES = 10
"""Minimum number of times that training of the context gate draws each task, as far as its batch
size may grow.
"""


def fit_ensemble(
    behavior: Behavior,
    names: tuple[str, ...],
    seed: int,
    progress: Progress = silent,
    steps: Steps | None = None,
    configs: Configs | None = None,
    prior: Prior | None = None,
) -> Ensemble:
    """Fit the scorers and, by cross-fitting, the gates between them; finished folds are
    checkpointed in `steps`.

    Args:
        configs: hyper-parameters by model, where they are not the defaults.
        prior: initial gate, used if it helps held-out users.
    """
    configs, steps = _completed_configs(behavior, names, configs or {}, seed), steps or Steps()
    config = config_in(configs, GateConfig)
    folds = folds_of(behavior, derive(seed, "folds"), config)
    tasks, fitted = _cross_fitted(behavior, names, configs, folds, seed, steps, progress)
    comparison = None
    if prior is not None:
        blended, sizes = weighed(names), gate_support_sizes(behavior)
        comparison = _prior_comparison(sizes, blended, tasks.catalog, prior, seed, config)
        if not comparison.helps:
            prior, tasks, names = None, tasks.without_taste(blended), _others(names)
    gates = _gates(behavior, names, tasks.catalog, folds, seed, prior, config)
    served = partial(score_served, behavior, fitted, weighed(names), folds[0], config)
    gate, context_gate = _mixed(gates, tasks.catalog, served, config) if REPEAT in names else gates
    tasks = replace(tasks, catalog=[])  # frees memory for the next steps
    given = _given_gates(behavior, gate, tasks, fitted.popularity, seed, configs)
    refusal = _refusal(behavior, gate, tasks.refusals, folds, config_in(configs, RefusalsConfig))
    progress(STAGE, 1.0)
    steps.forget()
    ensemble = Ensemble(
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
    return replace(_as_saved(ensemble, names), prior_comparison=comparison)


def _completed_configs(
    behavior: Behavior, names: tuple[str, ...], configs: Configs, seed: int
) -> dict[str, ModelConfig]:
    """Return the configs, completed by models that choose hyper-parameters on all users
    (`chosen_config`), so that they do not choose again in each fold.
    """
    chosen = dict(configs)
    for name in names:
        choose = getattr(model_class(name), "chosen_config", None)
        if choose is not None:
            chosen[name] = choose(behavior, derive(seed, "settled", name), configs.get(name))
    return chosen


def _cross_fitted(
    behavior: Behavior,
    names: tuple[str, ...],
    configs: Configs,
    folds: list[np.ndarray],
    seed: int,
    steps: Steps,
    progress: Progress,
) -> tuple[CrossFitTasks, Fitted]:
    """Return the tasks of the folds' users, and the scorers fitted on all users."""
    jobs = len(folds) + 1
    progress(STAGE, 0.0, f"{jobs} steps")
    *tasks, scorers = run_jobs(
        partial(_step, behavior, names, configs, seed, steps),
        [*enumerate(folds), (-1, None)],
        steps.workers,
        backend=steps.backend,
        on_done=lambda done: progress(STAGE, done / jobs, f"{done} of {jobs} steps"),
    )
    fitted = scorers if isinstance(scorers, Fitted) else Fitted.from_arrays(names, configs, scorers)
    return CrossFitTasks.of(join_tasks(tasks), behavior), fitted


def _given_gates(
    behavior: Behavior,
    gate: Gate,
    tasks: CrossFitTasks,
    popularity: np.ndarray,
    seed: int,
    configs: Configs,
) -> GivenGates:
    """Return the gates for few given candidates."""
    release()
    return train_given(
        gate,
        behavior.horizon.support_sizes,
        tasks.of_gate(tasks.sampled_lists, gate),
        tasks.of_gate(tasks.user_lists, gate),
        _own_lists(behavior, popularity),
        seed,
        config_in(configs, GivenConfig),
        config_in(configs, GateConfig),
    )


def _as_saved(ensemble: Ensemble, names: tuple[str, ...]) -> Ensemble:
    """Return the ensemble with arrays in the memory layout of a saved file, so that a saved model
    sums in the same order and gives exactly the same scores.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in ensemble.arrays().items()}
    return Ensemble.from_arrays(names, arrays, ensemble.configs)


def _refusal(
    behavior: Behavior,
    gate: Gate,
    tasks: GateTasks | None,
    folds: list[np.ndarray],
    config: RefusalsConfig,
) -> float:
    """Return the weight of refusals learned on the users of the folds."""
    if tasks is None:
        return REFUSAL
    refusers = [refusers_of(behavior, fold, config) for fold in folds]
    supports = np.concatenate([behavior.pools[some.users] for some in refusers])
    refused = np.concatenate([some.refused.lengths for some in refusers])
    return learned_weight(gate, tasks, supports, refused, config)


def _gates(
    behavior: Behavior,
    names: tuple[str, ...],
    tasks: list[GateTasks],
    folds: list[np.ndarray],
    seed: int,
    prior: Prior | None,
    config: GateConfig,
) -> tuple[Gate, Gate | None]:
    """Return the gate between the models of history and profile, and the gate between all models;
    None without enough tasks with context.
    """
    release()
    names, weights = weighed(names), task_weights(behavior, folds)
    support_sizes = gate_support_sizes(behavior)
    without_context = tuple(name for name in names if name not in READ_CONTEXT)
    more = len(names) - len(without_context)
    plain = [some.without(more) for some in tasks] if more else tasks
    gate = train_gate(
        without_context,
        support_sizes,
        plain,
        derive(seed, "gate"),
        weights=weights,
        config=config,
        **_from(prior, plain, config),
    )
    in_context = _with_context(tasks, names, len(without_context)) if more else []
    enough = [
        point for point, (_, rows) in enumerate(in_context) if rows.sum() >= config.min_revealed
    ]
    if not enough:
        return gate, None
    if weights is not None:
        weights = [weights[point][in_context[point][1]] for point in enough]
    revealed, sizes = (
        [in_context[point][0] for point in enough],
        tuple(support_sizes[point] for point in enough),
    )
    return gate, _context_gate(gate, names, sizes, revealed, weights, seed, config)


def _with_context(
    tasks: list[GateTasks], names: tuple[str, ...], n_without_context: int
) -> list[tuple[GateTasks, np.ndarray]]:
    """Return for each support size the tasks in which a model of context has evidence, and a mask
    of them; the first `n_without_context` of `names` do not read context.
    """
    circumstances = names.index(CONTEXT) if CONTEXT in names else None
    return [
        some.with_context(range(n_without_context, len(names)), circumstances) for some in tasks
    ]


def _mixed(
    gates: tuple[Gate, Gate | None],
    tasks: list[GateTasks],
    score_tasks: Callable[[], list[GateTasks]],
    config: GateConfig,
) -> tuple[Gate, Gate | None]:
    """Return the gates with their `mixing`, learned on `tasks` and on those from `score_tasks`,
    which the scorers of all users score.
    """
    (gate, context_gate), served = gates, score_tasks()
    n_models = len(gate.names)

    def plain(of: list[GateTasks]) -> list[GateTasks]:
        return [some.without(some.shares.shape[2] - n_models) for some in of]

    mixed = with_mixing(gate, plain(tasks), plain(served), config)
    if context_gate is None:
        return mixed, None
    names, points = context_gate.names, np.searchsorted(gate.points, context_gate.points)

    def in_context(of: list[GateTasks]) -> list[GateTasks]:
        return [some for some, _ in _with_context([of[point] for point in points], names, n_models)]

    return mixed, with_mixing(context_gate, in_context(tasks), in_context(served), config)


def _context_gate(
    gate: Gate,
    names: tuple[str, ...],
    support_sizes: tuple[int, ...],
    tasks: list[GateTasks],
    weights: list[np.ndarray] | None,
    seed: int,
    config: GateConfig,
) -> Gate:
    """Train the gate between all models on tasks in which a model of context has evidence."""
    several = PASSES * max(len(some.shares) for some in tasks) // config.context_steps
    trained = train_gate(
        names,
        support_sizes,
        tasks,
        derive(seed, "context gate"),
        weights=weights,
        start=gate,
        # It starts from a gate learned on the same users, so fewer and smaller steps are enough
        # (docs/experiments).
        config=replace(
            config,
            likelihood_steps=0,
            ranking_steps=config.context_steps,
            batch=min(max(config.context_batch, several), 2 * config.context_batch),
        ),
    )
    return tuned(trained, tasks, len(gate.names), config)


def _from(prior: Prior | None, tasks: list[GateTasks], config: GateConfig) -> dict[str, Any]:
    """Return the initial gate from a prior and the penalty on the distance to it, smaller with more
    tasks.
    """
    if prior is None:
        return {}
    return {"start": prior.gate, "pull": config.prior_pull / max(len(tasks[0].shares), 1)}


def _others(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name != TRANSFERRED)


def _prior_comparison(
    support_sizes: tuple[int, ...],
    names: tuple[str, ...],
    tasks: list[GateTasks],
    prior: Prior,
    seed: int,
    config: GateConfig,
) -> PriorComparison:
    """Test the prior with two-fold cross-validation over the held-out users: gates learned on one
    half are evaluated on the other half.
    """
    without_context = tuple(name for name in names if name not in READ_CONTEXT)
    shared = [point for point, some in enumerate(tasks) if len(some.shares) == len(tasks[0].shares)]
    support_sizes = tuple(
        support_sizes[point] for point in shared
    )  # support sizes with a task of every user
    plain = [tasks[point].without(len(names) - len(without_context)) for point in shared]
    ndcg: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for half in range(2):
        rows = np.arange(len(plain[0].shares)) % 2 == half
        for with_prior, kept in ndcg.items():
            named, own_tasks = (
                (without_context, plain)
                if with_prior
                else (_others(without_context), without_taste(without_context, plain))
            )
            learn, tested = (
                [some.rows(rows) for some in own_tasks],
                [some.rows(~rows) for some in own_tasks],
            )
            start = _from(prior, learn, config) if with_prior else {}
            rng = derive(seed, "trial", half)
            gate = train_gate(named, support_sizes, learn, rng, config=config, **start)
            kept.append(ndcg_of(gate, tested, config))
    return PriorComparison(
        with_prior=np.concatenate(ndcg[True]),
        without=np.concatenate(ndcg[False]),
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
    """Run one step of a fit: the tasks of one fold's held-out users, or the scorers of all users,
    as plain arrays where they are passed between processes.
    """
    (fold, held_out), blended = job, weighed(names)
    release()
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
        partial(score_held_out, behavior, blended, configs, held_out, derive(seed, "fold", fold)),
        task_arrays,
        tasks_of,
    )


def _own_lists(behavior: Behavior, popularity: np.ndarray) -> np.ndarray:
    """[U'] `mean_lift` of the items of each user after the support, for users who have any."""
    after = behavior.histories.after(behavior.pools)
    return mean_lift(after, popularity)[after.lengths > 0]

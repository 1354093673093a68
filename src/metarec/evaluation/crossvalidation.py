"""k-fold cross-validation over users: every user with enough events is a new user once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from metarec.data.cold_users import Horizon
from metarec.data.dataset import Dataset
from metarec.data.splits import split_folds
from metarec.evaluation.curve import CurveTable, learning_curve
from metarec.evaluation.interface import Evaluated, fit_one
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive


def cross_validate(
    data: Dataset,
    make: Callable[[], Sequence[Evaluated]],
    *,
    folds: int = 5,
    seed: int = 0,
    horizon: Horizon | None = None,
    progress: Progress = silent,
) -> CurveTable:
    """Fit new recommenders in every fold, evaluate each on its new users, and pool the users into
    one table.

    Users are the unit of every interval, and each is evaluated once, so pooling them is right;
    coverage is the mean of the folds.

    Args:
        data: everything known.
        make: makes the unfitted recommenders of one fold, the same ones each time.
        folds: number of folds.
        seed: seed of the folds and of every fit.
        horizon: numbers of events; chosen from the data where None.
        progress: called after each fold.

    Raises:
        BadInput: if there are fewer users to evaluate than folds.
    """
    curves = []
    for n, split in enumerate(
        split_folds(data, folds=folds, rng=derive(seed, "folds"), horizon=horizon)
    ):
        evaluated = make()
        for model in evaluated:
            rng = derive(seed, "fit", model.name, n)
            fit_one(model, split.train, split.validation, rng)
        curve = learning_curve(evaluated, split, seed=seed + n)
        curves.append(replace(curve, left_out=split.left_out_of_test))
        progress("cross-validation", (n + 1) / folds, f"fold {n + 1} of {folds}")
    return pool(curves, seed)


def pool(curves: Sequence[CurveTable], seed: int) -> CurveTable:
    """Return one table of the users of several tables, which hold the same recommenders and
    different users. It keeps the metrics that all tables have: gains by strength may be missing
    where the events of a fold's users do not differ in strength.
    """
    first = curves[0]
    return CurveTable(
        support_sizes=first.support_sizes,
        user_ids=[u for c in curves for u in c.user_ids],
        seed=seed,
        left_out=sum(c.left_out for c in curves),
        per_user={
            model: {
                metric: np.concatenate([c.per_user[model][metric] for c in curves], axis=1)
                for metric in values
                if all(metric in c.per_user[model] for c in curves)
            }
            for model, values in first.per_user.items()
        },
        coverage={
            model: np.mean([c.coverage[model] for c in curves], axis=0) for model in first.models
        },
        seconds={
            model: np.sum([c.seconds[model] for c in curves], axis=0) for model in first.models
        },
    )

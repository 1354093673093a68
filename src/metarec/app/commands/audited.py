"""Users on whom `metarec audit` evaluates a model, and attributes by which it compares them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metarec.app.commands.options import note

if TYPE_CHECKING:
    from metarec.data.dataset import Dataset
    from metarec.evaluation.measure import EvaluationSet
    from metarec.recommender import Recommender
    from metarec.runtime.progress import Progress


def users_to_evaluate(
    model: Recommender, data: Dataset, seed: int, as_is: bool, progress: Progress
) -> tuple[Recommender, EvaluationSet, tuple[int, ...], list[str]]:
    """Return the model to evaluate, its evaluation set, the support sizes and caveats in
    sentences.

    Users outside the training data are evaluated. Where there are none, a model with the same
    settings is fitted without a fifth of the users, unless `as_is`.
    """
    from metarec.data.cold_users import split_cold_users
    from metarec.evaluation.measure import EvaluationSet
    from metarec.fairness.audited_users import evaluation_set_of_users, unseen_users
    from metarec.runtime.rng import derive

    unseen = unseen_users(data, model.trained_on)
    if unseen or as_is:
        evaluation_set, horizon, cautions = evaluation_set_of_users(
            data, unseen or None, rng=derive(seed, "audit", "people")
        )
        return model, evaluation_set, horizon.support_sizes, cautions
    split = split_cold_users(data, rng=derive(seed, "audit", "people"), validation=0.0)
    note(
        "everyone in the data was learned from: fitting a model like it without a fifth of them "
        "(--as-is: go on with this one)"
    )
    return (
        fit_like(model, progress=progress)(split.train, None),
        EvaluationSet.of(split.test, split.train),
        split.horizon.support_sizes,
        [
            "the model had learned from everyone here, so one of the same settings, fitted "
            "without the test users, stands in for it."
        ],
    )


def fit_like(
    model: Recommender, *, seed: int | None = None, progress: Progress | None = None
) -> Any:
    """Return a function (data, user weights or None) -> recommender fitted with the settings of
    `model`.

    Args:
        seed: seed of the fits; the model's own where None.
        progress: called with the progress of each fit.
    """
    from metarec.runtime.progress import silent

    def fit(data: Dataset, weights: dict[str, float] | None) -> Recommender:
        return model.fit_like(
            data,
            seed=seed,
            horizon=model.horizon,
            user_weights=weights,
            progress=progress or silent,
        )

    return fit


def attributes_of(evaluation_set: EvaluationSet) -> list[str]:
    """Return the attributes with at least two groups of enough users, times left out, and
    activity.
    """
    from metarec.fairness.disparity import SMALL
    from metarec.fairness.groups import ACTIVITY, NOT_STATED, are_times, group_users

    stated: dict[str, list[Any]] = {}
    for user in evaluation_set.cold_users:
        for name, value in user.profile.items():
            stated.setdefault(name, []).append(value)
    names = sorted(
        name
        for name, values in stated.items()
        if not are_times([value for value in values if value is not None])
    )
    sizes = {name: group_users(evaluation_set.cold_users, name).sizes for name in names}
    return [
        name
        for name in names
        if sum(size >= SMALL for label, size in sizes[name].items() if label != NOT_STATED) > 1
    ] + [ACTIVITY]

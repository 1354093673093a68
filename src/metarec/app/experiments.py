"""Experiments and models: checks before an experiment starts, promotion of an arm, rollback."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from metarec.app.probe import can_serve, warm
from metarec.data.schema import BadInput
from metarec.feedback.experiments.experiment import (
    Arm,
    Experiment,
    ExperimentConflict,
    check_promotable,
    experiment_named,
    note_promoted,
    note_rolled_back,
    start,
)
from metarec.feedback.registry import Registry
from metarec.feedback.store.event_store import Store
from metarec.recommendation.filters import filter_mask
from metarec.recommender import Recommender
from metarec.runtime.artifacts import BrokenArtifact, reading_whole


def begin(
    store: Store, registry: Registry, planned: Experiment, *, keep_slates_days: float = 0.0
) -> Experiment:
    """Start an experiment after a check that every arm can serve. An arm without a model gets the
    served version, and keeps it.

    Args:
        keep_slates_days: days for which the service keeps slates; 0 keeps all.

    Raises:
        BadInput: if an arm's version or filter is unknown, or slates are deleted before windows
            close.
        ExperimentConflict: if a version cannot serve, another experiment runs, or the name was
            used.
    """
    if 0 < keep_slates_days < planned.window_hours / 24:
        raise BadInput(
            f"slates are deleted after {keep_slates_days:g} days (keep_slates_days), before a "
            f"window of {planned.window_hours:g} hours closes"
        )
    current = registry.current()
    arms = [replace(arm, model=arm.model or current) for arm in planned.arms]
    for version in dict.fromkeys(arm.model for arm in arms):
        _check_arms(registry, version, [arm for arm in arms if arm.model == version])
    return start(store, replace(planned, arms=arms))


def _check_arms(registry: Registry, version: str, arms: list[Arm]) -> None:
    """Check that a version can be loaded and served, and that each filter of its arms passes an
    item.
    """
    place: Path | None = registry.folders().get(version)
    if place is None:
        versions = ", ".join(registry.folders())
        raise BadInput(f"arm {arms[0].name!r}: no model version {version!r}; there are: {versions}")
    try:
        with reading_whole(place):
            model = warm(Recommender.load(place))
    except (BrokenArtifact, FileNotFoundError) as error:
        raise ExperimentConflict(
            f"arm {arms[0].name!r}: model version {version!r} cannot serve: {error}"
        ) from error
    for arm in arms:
        only = arm.settings.filter
        if only and not filter_mask(only, model.catalog.frame).any():
            raise BadInput(f"arm {arm.name!r}: no item passes the filter {only!r}")


def promote_arm(store: Store, registry: Registry, name: str, arm: str, reason: str) -> Experiment:
    """Serve the model and settings of an arm to all users; the experiment ends.

    Raises:
        ExperimentConflict: if the experiment or the arm does not run any more, or its model cannot
            serve.
    """
    won = check_promotable(_named_experiment(store, name), arm)
    before = registry.current()
    if won.model != before:
        try:
            registry.promote(won.model, f"experiment {name}, arm {arm}: {reason}", probe=can_serve)
        except BadInput as error:
            raise ExperimentConflict(f"{error}; {before!r} keeps serving") from error
    try:
        return note_promoted(store, name, arm, reason, before)
    except Exception:  # such as an experiment stopped meanwhile: the promotion is undone
        if won.model != before:
            registry.promote(before, f"experiment {name} was not promoted after all")
        raise


def roll_back(store: Store, registry: Registry, name: str, reason: str) -> Experiment:
    """Roll the promotion of an arm back, so that the model and settings from before it are served.
    A model promoted since then stays.

    Raises:
        ExperimentConflict: if no arm of it is promoted.
    """
    done = note_rolled_back(store, _named_experiment(store, name).name, reason)
    won = done.arm_named(done.winner)
    if won.model == registry.current() and done.model_before not in ("", won.model):
        registry.promote(done.model_before, f"experiment {name} rolled back: {reason}")
    return done


def _named_experiment(store: Store, name: str) -> Experiment:
    experiment = experiment_named(store, name)
    if experiment is None:
        raise ExperimentConflict(f"there is no experiment {name!r}")
    return experiment

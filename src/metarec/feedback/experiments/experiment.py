"""A/B experiments: arms by share of users, each a model version with recommendation settings.

A user's arm follows from a hash of the experiment's name and the user's id: assignments are not
stored, and every process assigns alike. The plan and the outcome are stored in the table
`experiments`; at most one experiment runs.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from metarec.data.schema import BadInput
from metarec.feedback.experiments.arms import Arm, ArmSettings, Guardrails, check_name
from metarec.feedback.store import tables
from metarec.feedback.store.event_store import Store

__all__ = [
    "MEASURES",
    "Arm",
    "ArmSettings",
    "Experiment",
    "ExperimentConflict",
    "Guardrails",
    "check_promotable",
    "experiment_named",
    "experiments",
    "note_promoted",
    "note_rolled_back",
    "running_experiment",
    "settings_in_effect",
    "start",
    "stop",
    "versions_in_use",
]

MEASURES = ("clicks", "conversions", "reward")
"""Measures by which arms can be compared; `refusals` and `slates` are reported besides."""


class ExperimentConflict(BadInput):
    """The request is not possible in the current state of the experiments."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Plan and outcome of an experiment."""

    name: str
    arms: Sequence[Arm]
    """The first is the control."""
    measure: str = "conversions"
    """Measure by which arms are compared: `clicks`, `conversions` or `reward`."""
    alpha: float = 0.05
    """Significance level: probability that any arm equal to the control is ever called different,
    all arms together.
    """
    window_hours: float = 24.0
    """Hours after a user's first slate in which the user's events count; when they end, the user is
    counted once.
    """
    new_below: int = 5
    """Users with fewer events at their first slate count as new."""
    guardrails: Guardrails = field(default_factory=Guardrails)
    started_at: float = 0.0
    """Seconds since 1970."""
    status: str = "running"
    """`running`, `stopped`, `promoted` or `rolled back`."""
    ended_at: float | None = None
    reason: str = ""
    """Why it ended."""
    winner: str = ""
    """The arm that was promoted."""
    model_before: str = ""
    """The version that served before the promotion."""
    stopped: Mapping[str, str] = field(default_factory=dict)
    """Stopped arm -> reason."""

    def __post_init__(self) -> None:
        check_name(self.name, "an experiment")
        names = [arm.name for arm in self.arms]
        if len(names) < 2:
            raise BadInput("an experiment needs two arms or more; the first is the control")
        if len(set(names)) < len(names):
            raise BadInput(f"each arm needs a name of its own, got {', '.join(names)}")
        total = sum(arm.share for arm in self.arms)
        if total > 1.0 + 1e-9:
            raise BadInput(f"the arms' shares come to {total:g}; they may be 1 together")
        if self.measure not in MEASURES:
            raise BadInput(f"measure must be one of {', '.join(MEASURES)}, got {self.measure!r}")
        if not 0.0 < self.alpha < 0.5:
            raise BadInput(f"alpha must lie in (0, 0.5), got {self.alpha:g}")
        if not 0.0 < self.window_hours <= 24.0 * 90:
            raise BadInput(f"window_hours must lie in (0, 2160], got {self.window_hours:g}")
        if self.new_below < 0:
            raise BadInput(f"new_below must be 0 or more, got {self.new_below}")

    @property
    def control(self) -> Arm:
        """The arm that others are compared with."""
        return self.arms[0]

    @property
    def models(self) -> frozenset[str]:
        """The model versions that the arms serve."""
        return frozenset(arm.model for arm in self.arms if arm.model)

    def arm_named(self, name: str) -> Arm:
        """Return the arm of this name.

        Raises:
            ExperimentConflict: if there is none of this name.
        """
        for arm in self.arms:
            if arm.name == name:
                return arm
        there = ", ".join(arm.name for arm in self.arms)
        raise ExperimentConflict(f"{self.name!r} has no arm {name!r}; there are: {there}")

    def arm_of(self, user_id: str) -> Arm | None:
        """Return the arm of a user, always the same in every process; None for users outside all
        shares and users of a stopped arm.
        """
        digest = hashlib.blake2b(
            f"{self.name}\0{user_id}".encode(errors="surrogatepass"), digest_size=8
        ).digest()
        place, edge = int.from_bytes(digest) / 2**64, 0.0
        for arm in self.arms:
            edge += arm.share
            if place < edge:
                return None if arm.name in self.stopped else arm
        return None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Experiment:
        """Build the experiment from the result of `as_dict`."""
        arms = [Arm(**{**arm, "settings": _settings(arm["settings"])}) for arm in plain["arms"]]
        return cls(**{**plain, "arms": arms, "guardrails": Guardrails(**plain["guardrails"])})


def _settings(plain: Mapping[str, Any]) -> ArmSettings:
    only = plain["filter"]  # earlier versions stored an empty one for none
    return ArmSettings(**{**plain, "filter": only if only and only.strip() else None})


def experiments(store: Store) -> list[Experiment]:
    """Return all experiments, newest first."""
    columns = tables.experiments.c
    query = sa.select(columns.plan).order_by(columns.started_at.desc(), columns.name)
    with store.reading() as connection:
        return [Experiment.of(json.loads(plan)) for (plan,) in connection.execute(query)]


def running_experiment(store: Store) -> Experiment | None:
    """Return the running experiment, or None."""
    query = sa.select(tables.experiments.c.plan).where(tables.experiments.c.status == "running")
    with store.reading() as connection:
        plan = connection.execute(query).scalar()
    return None if plan is None else Experiment.of(json.loads(plan))


def experiment_named(store: Store, name: str) -> Experiment | None:
    """Return the experiment of this name, or None."""
    query = sa.select(tables.experiments.c.plan).where(tables.experiments.c.name == name)
    with store.reading() as connection:
        plan = connection.execute(query).scalar()
    return None if plan is None else Experiment.of(json.loads(plan))


def settings_in_effect(store: Store) -> ArmSettings:
    """Return the settings of the last promoted arm that was not rolled back."""
    query = (
        sa.select(tables.experiments.c.plan)
        .where(tables.experiments.c.status == "promoted")
        .order_by(tables.experiments.c.ended_at.desc())
        .limit(1)
    )
    with store.reading() as connection:
        plan = connection.execute(query).scalar()
    if plan is None:
        return ArmSettings()
    experiment = Experiment.of(json.loads(plan))
    return experiment.arm_named(experiment.winner).settings


def versions_in_use(store: Store) -> frozenset[str]:
    """Return the versions that the running experiment serves, and those that a rollback of the last
    promotion would restore.
    """
    in_effect = [one for one in experiments(store) if one.status in ("running", "promoted")]
    before = {one.model_before for one in in_effect[:2]} - {""}
    return frozenset().union(before, *(one.models for one in in_effect if one.status == "running"))


def start(store: Store, planned: Experiment) -> Experiment:
    """Start an experiment.

    Raises:
        ExperimentConflict: if the name was used before, or another experiment is running.
        StoreUnavailable: if the store cannot write.
    """
    begun = replace(planned, started_at=time.time(), status="running")

    def begin(connection: sa.Connection) -> None:
        columns = tables.experiments.c
        for name, status in connection.execute(sa.select(columns.name, columns.status)):
            if name == begun.name:
                raise ExperimentConflict(
                    f"there is an experiment {name!r} already ({status}); name this one otherwise: "
                    f"the name decides which users are in which arm"
                )
            if status == "running":
                raise ExperimentConflict(f"{name!r} is running; stop it before starting another")
        connection.execute(sa.insert(tables.experiments).values(**_row(begun)))

    try:
        store.call(begin).result()
    except sa.exc.IntegrityError as error:  # another process was quicker
        raise ExperimentConflict("another experiment was started meanwhile") from error
    return begun


def stop(store: Store, name: str, reason: str, *, arm: str | None = None) -> Experiment:
    """End an experiment, or one arm of it, whose users then get the service's default
    recommendations; the experiment ends, and its reason tells so, when its control or the last
    other arm is stopped.

    Raises:
        ExperimentConflict: if there is no such experiment or arm, or it is not running any more.
    """

    def stopped(experiment: Experiment) -> Experiment:
        if arm is not None:
            if arm in experiment.stopped:
                raise ExperimentConflict(_was_stopped(experiment, arm))
            stopped = {**experiment.stopped, experiment.arm_named(arm).name: reason}
            experiment = replace(experiment, stopped=stopped)
            left = [one.name for one in experiment.arms[1:] if one.name not in stopped]
            if left and arm != experiment.control.name:
                return experiment
            ends = "without its control" if left else "with its last arm beside the control"
            said = f"{reason} (arm {arm!r} was stopped; the experiment ended {ends})"
            return replace(experiment, status="stopped", ended_at=time.time(), reason=said)
        return replace(experiment, status="stopped", ended_at=time.time(), reason=reason)

    return _changed(store, name, "running", stopped)


def note_promoted(store: Store, name: str, arm: str, reason: str, before: str) -> Experiment:
    """End an experiment with a winner, whose settings apply to all users from now on. The settings
    promoted before hold where it has none, as they did for its users; they become its own.

    Args:
        before: the version of the model that served before.

    Raises:
        ExperimentConflict: if the experiment, or this arm of it, is no longer running.
    """
    in_effect = settings_in_effect(store)

    def promoted(experiment: Experiment) -> Experiment:
        won = check_promotable(experiment, arm)
        as_shown = replace(won, settings=won.settings.completed_by(in_effect))
        return replace(
            experiment,
            arms=[as_shown if one is won else one for one in experiment.arms],
            status="promoted",
            ended_at=time.time(),
            reason=reason,
            winner=arm,
            model_before=before,
        )

    return _changed(store, name, "running", promoted)


def check_promotable(experiment: Experiment, arm: str) -> Arm:
    """Return the arm to promote.

    Raises:
        ExperimentConflict: if the experiment or the arm is no longer running.
    """
    if experiment.status != "running":
        raise ExperimentConflict(
            f"{experiment.name!r} is {experiment.status}; only what runs is promoted"
        )
    if arm in experiment.stopped:
        raise ExperimentConflict(_was_stopped(experiment, arm))
    return experiment.arm_named(arm)


def _was_stopped(experiment: Experiment, arm: str) -> str:
    return f"arm {arm!r} was stopped ({experiment.stopped[arm]})"


def note_rolled_back(store: Store, name: str, reason: str) -> Experiment:
    """Roll a promotion back: its settings no longer apply.

    Raises:
        ExperimentConflict: if it is not promoted.
    """
    return _changed(
        store,
        name,
        "promoted",
        lambda experiment: replace(experiment, status="rolled back", reason=reason),
    )


def _changed(store: Store, name: str, status: str, change: Any) -> Experiment:
    """Change an experiment that has this status, in one transaction."""

    def changing(connection: sa.Connection) -> Experiment:
        columns = tables.experiments.c
        query = sa.select(columns.plan).where(columns.name == name).with_for_update()
        plan = connection.execute(query).scalar()
        if plan is None:
            raise ExperimentConflict(f"there is no experiment {name!r}")
        experiment = Experiment.of(json.loads(plan))
        if experiment.status != status:
            raise ExperimentConflict(f"{name!r} is not {status} but {experiment.status}")
        changed: Experiment = change(experiment)
        connection.execute(
            sa.update(tables.experiments).where(columns.name == name).values(**_row(changed))
        )
        return changed

    done: Experiment = store.call(changing).result()
    return done


def _row(one: Experiment) -> dict[str, Any]:
    return {
        "name": one.name,
        "status": one.status,
        "started_at": one.started_at,
        "ended_at": one.ended_at,
        "plan": json.dumps(one.as_dict()),
    }

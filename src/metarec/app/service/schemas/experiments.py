"""Schemas of the routes of experiments."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from metarec.app.service.schemas.fields import Shape

Name = Annotated[
    str, StringConstraints(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")
]
Reason = Annotated[str, StringConstraints(max_length=500)]


class SettingsOfArm(Shape):
    """Settings that apply where a request gives none; null keeps the service's own."""

    diversity: float | None = Field(None, ge=0.0, le=1.0)
    explore: float | None = Field(None, ge=0.0, le=10.0)
    cold_share: float | None = Field(None, ge=0.0, le=0.5)
    filter: Annotated[str, StringConstraints(max_length=2_000)] | None = Field(
        None, description="Applied in addition to the filters of the service and the request."
    )


class ArmPlan(Shape):
    """One arm: a model version and settings."""

    name: Name
    share: float = Field(gt=0.0, le=1.0, description="Share of all users.")
    model: Annotated[str, StringConstraints(max_length=200)] = Field(
        "", description="A model version; the one served at the start where empty."
    )
    settings: SettingsOfArm = SettingsOfArm.model_validate({})


class GuardrailsPlan(Shape):
    """Limits that stop an arm automatically; 0 switches one off."""

    max_error_share: float = Field(
        0.02,
        ge=0.0,
        description="Largest allowed excess of the share of failed slates over the control's.",
    )
    max_latency_ratio: float = Field(
        3.0,
        ge=0.0,
        description="Largest allowed ratio of the 99th percentile of the time for a slate to the "
        "control's.",
    )
    min_coverage_ratio: float = Field(
        0.5,
        ge=0.0,
        description="Smallest allowed ratio of the number of different items in equally many "
        "slates to the control's.",
    )
    max_refusals: float = Field(
        0.01,
        ge=0.0,
        description="Largest allowed excess of the share of users who hide, dislike or return over "
        "the control's; an arm is stopped once the interval is above it.",
    )
    min_slates: int = Field(
        300, ge=0, description="Slates of both arms before errors, time and coverage are evaluated."
    )


class ExperimentPlan(Shape):
    """An experiment; its first arm is the control."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "explore-more",
                    "arms": [
                        {"name": "control", "share": 0.5},
                        {"name": "explore", "share": 0.5, "settings": {"explore": 0.5}},
                    ],
                    "measure": "clicks",
                }
            ]
        }
    )

    name: Name = Field(
        description="Determines which user is in which arm, so a name can be used only once."
    )
    arms: list[ArmPlan] = Field(min_length=2, max_length=8)
    measure: Annotated[str, StringConstraints(pattern="^(clicks|conversions|reward)$")] = Field(
        "conversions",
        description="Measure that compares arms: share of users who clicked, share of users with "
        "an event of a target kind, or mean number of such items in a slate.",
    )
    alpha: float = Field(
        0.05,
        gt=0.0,
        lt=0.5,
        description="Probability that an arm as good as the control is ever called different.",
    )
    window_hours: float = Field(
        24.0,
        gt=0.0,
        le=2_160.0,
        description="Hours after the first slate in which a user's events count.",
    )
    new_below: int = Field(
        5, ge=0, description="Users with fewer events at their first slate are new."
    )
    guardrails: GuardrailsPlan = GuardrailsPlan.model_validate({})


class ArmEnd(Shape):
    """The reason to stop, and the arm; without an arm the experiment ends."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "enough seen"}]})

    reason: Reason = "asked over HTTP"
    arm: Name | None = None


class ArmPromotion(Shape):
    """The arm whose model and settings all users get from now on."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"arm": "explore", "reason": "more clicks"}]}
    )

    arm: Name
    reason: Reason = "asked over HTTP"


class ExperimentState(ExperimentPlan):
    """An experiment and its state."""

    started_at: float = Field(description="Seconds since 1970.")
    status: str = Field(description="`running`, `stopped`, `promoted` or `rolled back`.")
    ended_at: float | None
    reason: str = Field(description="Why it ended.")
    winner: str = Field(description="The arm that was promoted.")
    model_before: str = Field(description="The version served before the promotion.")
    stopped: dict[str, str] = Field(description="Stopped arm -> reason.")


class ExperimentStarted(ExperimentState):
    """An experiment that was just started."""

    notes: list[str] = Field(
        description="Arms whose model's policy forbids less than that of the served model."
    )


class Experiments(Shape):
    """All experiments, newest first."""

    experiments: list[ExperimentState]
    settings: SettingsOfArm = Field(
        description="Settings outside experiments where a request gives none: those of the arm "
        "promoted last, else the service's own."
    )


class ArmNumbers(Shape):
    """Counts and rates of one arm."""

    name: str
    users: int
    users_closed: int = Field(
        description="Users whose window is closed; the comparison counts these."
    )
    new_users: int
    slates: int
    clicks: int = Field(description="Slates with a positive answer.")
    conversions: int = Field(description="Slates with an event of a target kind.")
    reward: float = Field(description="Mean number of items of a slate with such an event.")
    refusals: int = Field(description="Slates with a negative answer: hidden, disliked, returned.")
    answers: int = Field(description="Slates that were requested, failed ones included.")
    error_share: float = Field(description="Share of slates that failed or were refused.")
    error_share_low: float = Field(description="The share less 4 standard errors.")
    p99_ms: float | None = Field(description="99th percentile of the time for a slate.")
    p99_low_ms: float | None = Field(description="Lower bound of it, at 4 standard errors.")
    coverage_ratio: float | None = Field(
        description="Ratio of the number of different items in the latest slates to that in "
        "equally many of the control's; null where there are too few."
    )


class ArmComparison(Shape):
    """The difference between an arm and the control; every user counts once."""

    arm: str
    measure: str
    group: str = Field(description="`all`, `new` or `known` users.")
    users: int
    arm_mean: float
    control_mean: float
    difference: float
    low: float | None = Field(
        description="Lower end of an interval that is valid at all times together; null where "
        "there are too few users."
    )
    high: float | None


class ArmMoment(Shape):
    """The difference in the experiment's own measure, as it was estimated at one time."""

    timestamp: float
    arm: str
    difference: float
    low: float | None
    high: float | None


class ArmResults(Shape):
    """The results of an experiment so far."""

    arms: list[ArmNumbers]
    comparisons: list[ArmComparison]
    history: list[ArmMoment]
    crossed: int = Field(description="Users who saw two arms; they are left out.")
    anonymous: int = Field(description="Slates without a user id; they are not counted.")
    share_mismatch: float = Field(
        description="p-value of the numbers of users, given the planned shares."
    )
    warnings: list[str]


class ExperimentWithResults(Shape):
    """An experiment and its results."""

    experiment: ExperimentState
    results: ArmResults

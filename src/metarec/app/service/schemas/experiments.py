"""What the routes of experiments take and give."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from metarec.app.service.schemas.fields import Shape

Name = Annotated[
    str, StringConstraints(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")
]
Reason = Annotated[str, StringConstraints(max_length=500)]


class SettingsOfArm(Shape):
    """Settings of recommending where a request does not say; null leaves the service's own."""

    diversity: float | None = Field(None, ge=0.0, le=1.0)
    explore: float | None = Field(None, ge=0.0, le=10.0)
    cold_share: float | None = Field(None, ge=0.0, le=0.5)
    filter: Annotated[str, StringConstraints(max_length=2_000)] | None = Field(
        None, description="Beside the service's own filter and the request's."
    )


class ArmPlan(Shape):
    """One way of recommending."""

    name: Name
    share: float = Field(gt=0.0, le=1.0, description="Share of all users.")
    model: Annotated[str, StringConstraints(max_length=200)] = Field(
        "", description="A model version; the one that serves at the start where empty."
    )
    settings: SettingsOfArm = SettingsOfArm.model_validate({})


class GuardrailsPlan(Shape):
    """What stops an arm by itself; 0 switches a guardrail off."""

    max_error_share: float = Field(
        0.02,
        ge=0.0,
        description="How much higher than the control's the share of slates that fail may be.",
    )
    max_latency_ratio: float = Field(
        3.0,
        ge=0.0,
        description="Of the 99th percentile of the time for a slate, to the control's.",
    )
    min_coverage_ratio: float = Field(
        0.5, ge=0.0, description="Of different items in as many slates, to the control's."
    )
    max_refusals: float = Field(
        0.01,
        ge=0.0,
        description="How much higher the share of users who hide, dislike or return may surely be.",
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

    name: Name = Field(description="It decides who is in which arm, so each is used once.")
    arms: list[ArmPlan] = Field(min_length=2, max_length=8)
    measure: Annotated[str, StringConstraints(pattern="^(clicks|conversions|reward)$")] = Field(
        "conversions",
        description="By what arms are compared: users who clicked, users who took something that "
        "recommendations are for, or items taken of a slate.",
    )
    alpha: float = Field(
        0.05,
        gt=0.0,
        lt=0.5,
        description="Chance that an arm as good as the control is ever called different.",
    )
    window_hours: float = Field(
        24.0, gt=0.0, le=2_160.0, description="How long after the first slate a user's acts count."
    )
    new_below: int = Field(
        5, ge=0, description="Users with fewer events at their first slate are new."
    )
    guardrails: GuardrailsPlan = GuardrailsPlan.model_validate({})


class ArmEnd(Shape):
    """Why, and which arm; without one the experiment ends."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "enough seen"}]})

    reason: Reason = "asked over HTTP"
    arm: Name | None = None


class ArmPromotion(Shape):
    """The arm whose model and settings everybody gets from now on."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"arm": "explore", "reason": "more clicks"}]}
    )

    arm: Name
    reason: Reason = "asked over HTTP"


class ExperimentState(ExperimentPlan):
    """An experiment and what became of it."""

    started_at: float = Field(description="Seconds since 1970.")
    status: str = Field(description="`running`, `stopped`, `promoted` or `rolled back`.")
    ended_at: float | None
    reason: str = Field(description="Why it ended.")
    winner: str = Field(description="The arm that was promoted.")
    model_before: str = Field(description="The version that served before the promotion.")
    stopped: dict[str, str] = Field(description="Arm that was stopped -> why.")


class ExperimentStarted(ExperimentState):
    """An experiment as it begins."""

    notes: list[str] = Field(
        description="Arms whose model's policy forbids less than that of the serving model."
    )


class Experiments(Shape):
    """All experiments, the newest first."""

    experiments: list[ExperimentState]
    settings: SettingsOfArm = Field(
        description="What holds outside experiments where a request does not say: the service's "
        "settings under those of the arm promoted last."
    )


class ArmNumbers(Shape):
    """One arm's numbers."""

    name: str
    users: int
    users_closed: int = Field(
        description="Users whose window is over; the comparison counts these."
    )
    new_users: int
    slates: int
    clicks: int = Field(description="Slates with a positive answer.")
    conversions: int = Field(description="Slates with an item taken as recommendations are for.")
    reward: float = Field(description="Items taken of one slate, the mean.")
    refusals: int = Field(description="Slates with a negative answer: hidden, disliked, returned.")
    answers: int = Field(description="Slates made, and tries to.")
    error_share: float = Field(description="Share of slates that failed or were refused.")
    error_share_low: float = Field(description="Less 4 standard errors: surely higher.")
    p99_ms: float | None = Field(description="99 in 100 slates were made within this.")
    p99_low_ms: float | None = Field(description="Less 4 standard errors: surely longer.")
    coverage_ratio: float | None = Field(
        description="Different items among the latest slates over those in as many of the "
        "control's; null where there are too few."
    )


class ArmComparison(Shape):
    """How an arm differs from the control; every user counts once."""

    arm: str
    measure: str
    group: str = Field(description="`all`, `new` or `known` users.")
    users: int
    arm_mean: float
    control_mean: float
    difference: float
    low: float | None = Field(
        description="The interval holds at all times together; null where there are too few users."
    )
    high: float | None


class ArmMoment(Shape):
    """The difference in the experiment's own measure as it was known at one time."""

    timestamp: float
    arm: str
    difference: float
    low: float | None
    high: float | None


class ArmResults(Shape):
    """What an experiment shows so far."""

    arms: list[ArmNumbers]
    comparisons: list[ArmComparison]
    history: list[ArmMoment]
    crossed: int = Field(description="Users who saw two arms; they are left out.")
    anonymous: int = Field(description="Slates for nobody in particular; they are outside.")
    share_mismatch: float = Field(description="p-value of the numbers of users for the shares.")
    warnings: list[str]


class ExperimentWithResults(Shape):
    """An experiment and its numbers."""

    experiment: ExperimentState
    results: ArmResults

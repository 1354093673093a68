"""Schemas for operators: models, health, settings, alerts, jobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    StringConstraints,
)

from metarec.app.service.schemas.fields import Shape


class Model(Shape):
    """A model of the registry."""

    version: str
    is_current: bool
    problem: str | None = Field(description="Why it cannot be loaded, if it cannot.")
    facts: dict[str, Any] = Field(description="Settings and facts saved with it.")
    decision: dict[str, Any] = Field(
        description="What was measured before it was promoted or refused."
    )


class Models(Shape):
    """All models, the first one first, and every change of the served model."""

    models: list[Model]
    promotions: list[dict[str, Any]]
    problems: list[str] = Field(
        description="Unreadable parts of the models' folder that were skipped, in sentences."
    )
    value_range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(
        description="Lowest and highest rating in the served model's training data; null where "
        "values are not ratings."
    )


class PromotionReason(Shape):
    """Reason, in a few words; kept with the promotion."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"reason": "back to the one before: complaints since this morning"}]
        }
    )

    reason: Annotated[str, StringConstraints(max_length=500)] = "asked over HTTP"


class Promoted(Shape):
    """The version served now and the one before; all workers follow within seconds."""

    current: str
    before: str
    notes: list[str] = Field(
        description="What the policy of the version before forbids and that of this one allows."
    )


class Problem(Shape):
    """Error, with a way out."""

    error: str


class Health(Shape):
    """The process is alive."""

    status: str


class Readiness(Shape):
    """A model is served and the store answers. A full disk shows only when something is written."""

    status: str
    model_version: str
    items: int


class DayOfSlates(Shape):
    """Slates of 24 hours, and how many of them were answered."""

    until: float = Field(description="When the day ends, seconds since 1970.")
    slates: int
    clicked: int = Field(description="Slates with a positive answer.")
    converted: int = Field(
        description="Slates with an event of a target kind that no later event takes back; a "
        "rating counts only where the item was liked."
    )


class SettingInEffect(Shape):
    """One setting of the running service."""

    name: str
    value: Any = Field(description="For keys the number of each role; URLs without passwords.")
    is_default: bool


class SettingsInEffect(Shape):
    """Settings in effect, from defaults, file, environment and flags."""

    settings: list[SettingInEffect]


class RaisedAlert(Shape):
    """A signal beyond its threshold in the settings."""

    name: str = Field(description="The signal, as in the label of the metric `metarec_alert`.")
    sentence: str
    value: float
    mark: float
    since: float = Field(description="When this worker saw it first, seconds since 1970.")


class BackgroundJob(Shape):
    """A retraining, an import or slates for all users, whichever process started it."""

    job_id: str
    kind: Literal["retraining", "import", "batch"]
    state: Literal["running", "done", "skipped", "failed", "lost"] = Field(
        description="skipped: there was nothing to do; lost: its process ended without a result."
    )
    started: float = Field(description="Seconds since 1970.")
    ended: float | None
    stage: str = Field(description="Name of the current stage.")
    done: float = Field(description="Progress of the stage, in [0, 1].")
    outcome: str = Field(description="Result, in a sentence; empty while the job runs.")
    lines: list[str] = Field(description="The last lines of its log.")


class BackgroundJobs(Shape):
    """The latest jobs, newest first."""

    jobs: list[BackgroundJob]


class JobToStart(Shape):
    """The job to start."""

    kind: Literal["retraining"] = "retraining"


class JobStarted(Shape):
    """The job runs in a process of its own; GET /v1/jobs has its progress."""

    kind: Literal["retraining"]


class Status(Shape):
    """State of the service for its operator."""

    model_version: str
    items: int
    items_version: int
    started: float = Field(description="When this worker started, seconds since 1970.")
    rows: dict[str, int] = Field(description="Rows in each table of the store.")
    events_last_minute: int
    events_by_minute: list[int] = Field(
        description="Events of each of the last 60 minutes, oldest first."
    )
    rows_waiting: int = Field(description="Rows queued to be written by this worker.")
    drift: dict[str, float] | None = Field(
        description="Differences of the latest events from the training data; null while there "
        "are none of either."
    )
    drift_marks: dict[str, float] = Field(
        description="Thresholds of the signals of drift; 0 switches one off."
    )
    alerts: list[RaisedAlert] = Field(
        description="Signals beyond their thresholds in the settings."
    )
    retraining_advised: list[str] = Field(description="Reasons to retrain, in sentences.")
    outcomes: dict[str, float] = Field(
        description="Number of slates of the last day, and the share with a liked item among the "
        "latest `slates_measured` of them."
    )
    days: list[DayOfSlates] = Field(description="The last 14 days, oldest first.")
    reports: list[str] = Field(description="Names for `GET /v1/reports/{name}`.")

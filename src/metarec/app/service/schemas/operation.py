"""What an operator sees and starts: models, health, settings, alerts, jobs."""

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
    """All models, the first one first, and every change of the one that serves."""

    models: list[Model]
    promotions: list[dict[str, Any]]
    problems: list[str] = Field(
        description="What of the models' folder cannot be read and was passed over, in sentences."
    )
    value_range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(
        description="Lowest and highest rating the serving model was trained on; null where "
        "values are no ratings."
    )


class PromotionReason(Shape):
    """Why, in a few words; kept with the promotion."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"reason": "back to the one before: complaints since this morning"}]
        }
    )

    reason: Annotated[str, StringConstraints(max_length=500)] = "asked over HTTP"


class Promoted(Shape):
    """The version that serves now and the one before; all workers follow within seconds."""

    current: str
    before: str
    notes: list[str] = Field(
        description="What the policy of the version before forbade and this one does not."
    )


class Problem(Shape):
    """What was wrong and the way out."""

    error: str


class Health(Shape):
    """Well."""

    status: str


class Readiness(Shape):
    """Whether a model serves and the store answers; a full disk shows only when something is
    written.
    """

    status: str
    model_version: str
    items: int


class DayOfSlates(Shape):
    """Slates of 24 hours, and how many of them were answered."""

    until: float = Field(description="When the day ends, seconds since 1970.")
    slates: int
    clicked: int = Field(description="Slates with a positive answer.")
    converted: int = Field(
        description="Slates with an item taken by a kind that recommendations are for, and "
        "not refused after; a rating only where the item was liked."
    )


class SettingInEffect(Shape):
    """One setting of the running service."""

    name: str
    value: Any = Field(description="Of keys how many there are of each role; of URLs no password.")
    is_default: bool


class SettingsInEffect(Shape):
    """What the service runs with: defaults, file, environment and flags taken together."""

    settings: list[SettingInEffect]


class RaisedAlert(Shape):
    """A signal beyond the mark that the settings give it."""

    name: str = Field(description="Which signal; the label of the metric `metarec_alert`.")
    sentence: str
    value: float
    mark: float
    since: float = Field(description="When this worker saw it first, seconds since 1970.")


class BackgroundJob(Shape):
    """A retraining, an import or slates for all users, whoever started it."""

    job_id: str
    kind: Literal["retraining", "import", "batch"]
    state: Literal["running", "done", "skipped", "failed", "lost"] = Field(
        description="skipped: there was nothing to do; lost: its process has gone."
    )
    started: float = Field(description="Seconds since 1970.")
    ended: float | None
    stage: str = Field(description="What is being done.")
    done: float = Field(description="Share of the stage that is done, in [0, 1].")
    outcome: str = Field(description="What came of it.")
    lines: list[str] = Field(description="The last lines of its log.")


class BackgroundJobs(Shape):
    """The latest, the newest first."""

    jobs: list[BackgroundJob]


class JobToStart(Shape):
    """What to do in the background."""

    kind: Literal["retraining"] = "retraining"


class JobStarted(Shape):
    """It runs in a process of its own; GET /v1/jobs tells how far it is."""

    kind: Literal["retraining"]


class Status(Shape):
    """What an operator looks at."""

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
        description="How recent events differ from those trained on, measured on the latest; "
        "null before both are there."
    )
    drift_marks: dict[str, float] = Field(
        description="Values from which signals of drift count; 0 where one never does."
    )
    alerts: list[RaisedAlert] = Field(description="Signals beyond their marks, see the settings.")
    retraining_advised: list[str] = Field(description="Reasons to retrain, in sentences.")
    outcomes: dict[str, float] = Field(
        description="Slates shown over the last day, and the share with something liked among "
        "the latest of them, `slates_measured`."
    )
    days: list[DayOfSlates] = Field(description="Of the last 14 days, the oldest first.")
    reports: list[str] = Field(description="Names for `GET /v1/reports/{name}`.")

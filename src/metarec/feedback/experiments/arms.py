"""Arms of an experiment, what they set, and the thresholds that stop them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace

from metarec.data.schema import BadInput


@dataclass(frozen=True, kw_only=True)
class ArmSettings:
    """Recommendation settings that an arm uses where the request does not set them; None uses the
    service's own.
    """

    diversity: float | None = None
    explore: float | None = None
    cold_share: float | None = None
    filter: str | None = None
    """Filter applied in addition to the service's own and the request's."""

    def __post_init__(self) -> None:
        for name, high in (("diversity", 1.0), ("explore", 10.0), ("cold_share", 0.5)):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= high:
                raise BadInput(f"{name} must lie in [0, {high:g}], got {value}")
        if self.filter is not None and not self.filter.strip():
            raise BadInput("the filter of an arm is empty; state one, or leave it out")

    def completed_by(self, others: ArmSettings) -> ArmSettings:
        """Return these settings, with those of `others` where these are None."""
        stated = {name: value for name, value in asdict(self).items() if value is not None}
        return replace(others, **stated)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One arm of an experiment: a model version and settings."""

    name: str
    share: float
    """Share of all users, in (0, 1]."""
    model: str = ""
    """A version in the registry; empty for the version that serves when the experiment starts."""
    settings: ArmSettings = field(default_factory=ArmSettings)

    def __post_init__(self) -> None:
        check_name(self.name, "an arm")
        if not 0.0 < self.share <= 1.0:
            raise BadInput(f"arm {self.name!r}: share must lie in (0, 1], got {self.share:g}")


@dataclass(frozen=True, kw_only=True)
class Guardrails:
    """Thresholds that stop an arm automatically; 0 switches a guardrail off."""

    max_error_share: float = 0.02
    """Maximum difference to the control in the share of slates that fail or are refused."""
    max_latency_ratio: float = 3.0
    """Maximum ratio to the control in the 99th percentile of the latency of slates."""
    min_coverage_ratio: float = 0.5
    """Minimum ratio to the control in distinct items among equally many of the latest slates."""
    max_refusals: float = 0.01
    """Maximum difference to the control in the share of users who hide, dislike or return items:
    the arm stops once the whole interval of the difference lies above.
    """
    min_slates: int = 300
    """Slates of the arm, and of the control, before errors, latency and coverage are evaluated."""

    def __post_init__(self) -> None:
        for one in fields(self):
            if not 0 <= getattr(self, one.name) < math.inf:
                raise BadInput(f"{one.name} must be 0 or more, got {getattr(self, one.name)}")


def check_name(name: str, what: str) -> None:
    """Refuse a name that is not safe in a URL or a table header.

    Raises:
        BadInput: if it is empty, longer than 60 characters, begins with `.`, or holds characters
            other than ASCII letters, digits, `-`, `_` and `.`.
    """
    plain = name.replace("-", "a").replace("_", "a").replace(".", "a")
    if not (0 < len(name) <= 60 and plain.isascii() and plain.isalnum()) or name[0] == ".":
        raise BadInput(
            f"{name[:60]!r} cannot be the name of {what}; use letters, digits, -, _ and ., at most "
            f"60"
        )

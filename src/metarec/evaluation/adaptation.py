"""What the inner steps on a user's events add: rows with and without adaptation, paired over
users.
"""

from __future__ import annotations

from dataclasses import dataclass

from metarec.evaluation.adapters import NOT_ADAPTED
from metarec.evaluation.curve import CurveTable
from metarec.evaluation.significance import Difference

METRIC = "ndcg@10"


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """Comparison of one model with itself without inner steps."""

    model: str
    events: tuple[int, ...]
    """Numbers of events compared at, each 1 or more."""
    gains: tuple[Difference, ...]
    """NDCG@10 adapted minus not adapted, one for each number in `events`."""
    rises: tuple[Difference, ...]
    """NDCG@10 of the adapted model at each later number of events minus that at the first."""

    @property
    def lines(self) -> list[str]:
        """The differences as sentences."""
        gains = "; ".join(map(_with_interval, self.events, self.gains))
        rises = "; ".join(map(_with_interval, self.events[1:], self.rises))
        lines = [f"{self.model}, adapted minus not adapted, NDCG@10 by known items: {gains}"]
        if rises:
            lines.append(
                f"{self.model}, adapted, NDCG@10 minus that at {self.events[0]}, by known items: "
                f"{rises}"
            )
        return lines


def adaptations(curve: CurveTable) -> list[Adaptation]:
    """One comparison for each model that also has a row without inner steps."""
    pairs = [(model, model + NOT_ADAPTED) for model in curve.models]
    return [
        _adaptation(curve, model, without)
        for model, without in pairs
        if without in curve.models and any(curve.support_sizes)
    ]


def _adaptation(curve: CurveTable, model: str, without: str) -> Adaptation:
    places = [place for place, events in enumerate(curve.support_sizes) if events]
    gains = curve.differences(model, without, METRIC)
    return Adaptation(
        model=model,
        events=tuple(curve.support_sizes[place] for place in places),
        gains=tuple(gains[place] for place in places),
        rises=tuple(curve.rise(model, METRIC, places[0], place) for place in places[1:]),
    )


def _with_interval(events: int, one: Difference) -> str:
    return f"{events} {one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"

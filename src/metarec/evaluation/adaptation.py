"""What gradient steps on a user's events add: rows adapted and not adapted, paired over users."""

from __future__ import annotations

from dataclasses import dataclass

from metarec.evaluation.adapters import NOT_ADAPTED
from metarec.evaluation.curve import CurveTable
from metarec.evaluation.significance import Difference

METRIC = "ndcg@10"


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """One model with its inner steps beside itself without."""

    model: str
    events: tuple[int, ...]
    """Numbers of events, 1 and more."""
    gains: tuple[Difference, ...]
    """Adapted minus not adapted, NDCG@10, at each of these numbers."""
    rises: tuple[Difference, ...]
    """Adapted minus itself at the first of these numbers, at each of the others."""

    @property
    def lines(self) -> list[str]:
        """The same in words."""
        gains = "; ".join(map(_said, self.events, self.gains))
        rises = "; ".join(map(_said, self.events[1:], self.rises))
        found = [f"{self.model}, adapted minus not adapted, NDCG@10 by events: {gains}"]
        if rises:
            found.append(
                f"{self.model}, adapted, NDCG@10 minus that at {self.events[0]}, by events: {rises}"
            )
        return found


def adaptations(curve: CurveTable) -> list[Adaptation]:
    """One for each model that has a row without steps."""
    pairs = [(model, model + NOT_ADAPTED) for model in curve.models]
    return [
        _adaptation(curve, model, without)
        for model, without in pairs
        if without in curve.models and any(curve.shots)
    ]


def _adaptation(curve: CurveTable, model: str, without: str) -> Adaptation:
    places = [place for place, events in enumerate(curve.shots) if events]
    gains = curve.differences(model, without, METRIC)
    return Adaptation(
        model=model,
        events=tuple(curve.shots[place] for place in places),
        gains=tuple(gains[place] for place in places),
        rises=tuple(curve.rise(model, METRIC, places[0], place) for place in places[1:]),
    )


def _said(events: int, one: Difference) -> str:
    return f"{events} {one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"

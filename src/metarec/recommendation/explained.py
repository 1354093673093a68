"""What an explanation says about one item for one user, as data, as text, as JSON.

`metarec.explanation` works it out; the data classes live here, below `Recommender`, which returns
them. All effects are differences of the item's relative score, in log-score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class EventEffect:
    """What one event of the history did to an item's relative score."""

    item_id: str
    title: str
    value: float | None
    kind: str
    effect: float
    """Relative score lost had the event never happened; negative: it speaks against the item."""


@dataclass(frozen=True, kw_only=True)
class FeatureEffect:
    """What one feature does to an item's relative score for one user (positive: lifts it)."""

    about: str
    """`profile`, `content` or `circumstances`."""
    name: str
    """Column or attribute."""
    value: str
    """The value taken away, as text; empty where the feature is a whole column of text or a
    circumstance.
    """
    effect: float


@dataclass(frozen=True, kw_only=True)
class Counterfactual:
    """Without `removed`, `item_id` is not among the first `k`."""

    item_id: str
    k: int
    removed: list[int] | None
    """Positions in the history, or None if the item stays on the slate even without any event."""
    is_smallest: bool
    """True if no smaller set does it (every smaller one was tried); in an explanation, no smaller
    set of events that speak for the item.
    """
    slate: list[str]
    """The first `k` without the removed events (without any event where `removed` is None)."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why one item stands where it stands for one user. All effects are differences of relative
    score (log-score).
    """

    item_id: str
    title: str
    relative_score: float
    """Score minus the mean score, for this user, of what an anonymous user would be shown."""
    rank: int | None
    """Place among the items that may be shown, from 1; None if it may not be shown to this user.
    """
    parts: dict[str, float]
    """What each part of the model adds; they add up to `relative_score`."""
    events: list[EventEffect]
    """Every event's effect by leaving it out, in the order of the history."""
    shares: list[float]
    """Shapley value of every event; they add up to relative score(all events) - relative
    score(none).
    """
    features: list[FeatureEffect]
    """Profile, content and circumstances, the strongest first."""
    nearest: list[tuple[str, str, float]]
    """(item id, title, cosine) of the items of the history most like this one."""
    counterfactual: Counterfactual | None
    """The fewest events whose removal takes it off the slate; None if it is not on the slate."""
    reasons: list[str]
    """The above as sentences, the strongest first."""
    facts: list[str] = field(default_factory=list)
    """What is true of the item and this user in words of the domain, whatever moved the score."""
    notes: list[str] = field(default_factory=list)
    """What was left out or assumed."""
    model_version: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data: only dicts, lists, text, numbers and None."""
        return asdict(self)

    def to_text(self) -> str:
        """What a user reads in a terminal."""
        place = f"place {self.rank}" if self.rank else "not to be shown"
        stands = (
            f"{self.relative_score:+.2f} above"
            if self.relative_score >= 0
            else f"{-self.relative_score:.2f} below"
        )
        lines = [f"{self.title} ({self.item_id}): {place}, {stands} what a new user is shown"]
        lines += [f"  {reason}" for reason in self.reasons] or [
            "  nothing about you moves it: it stands where it stands for everyone"
        ]
        lines += [f"  and: {fact}" for fact in self.facts]
        lines += ["parts of the score", *_effect_bars(list(self.parts.items()))]
        if self.events:
            lines += [
                "without each event it would lose",
                *_effect_bars([(event.title, event.effect) for event in self.events]),
            ]
        if self.features:
            lines += [
                "without each feature it would lose",
                *_effect_bars(
                    [
                        (f"{f.about}: {f.name} {f.value}".strip(), f.effect)
                        for f in self.features[:8]
                    ]
                ),
            ]
        if self.nearest:
            lines.append(
                "most like, of what you know: "
                + "; ".join(f"{title} ({cosine:.2f})" for _, title, cosine in self.nearest)
            )
        lines += self.counterfactual_lines()
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def counterfactual_lines(self) -> list[str]:
        """What would take the item off the slate, in a sentence; nothing where it is not on it."""
        found = self.counterfactual
        if found is None:
            return []
        if found.removed is None:
            return [f"it would be among the first {found.k} even if you had told us nothing"]
        names = " and ".join(self.events[row].title for row in found.removed)
        return [
            f"it would leave the first {found.k} without {names}"
            + ("" if found.is_smallest else " (a smaller set may exist)")
        ]


def _effect_bars(effects: Sequence[tuple[str, float]], width: int = 20) -> list[str]:
    largest = max((abs(effect) for _, effect in effects), default=0.0) or 1.0
    label = min(40, max((len(name) for name, _ in effects), default=0))
    return [
        f"  {name[:label]:<{label}} {effect:+8.3f} "
        f"{('+' if effect > 0 else '-') * round(width * abs(effect) / largest)}"
        for name, effect in effects
    ]

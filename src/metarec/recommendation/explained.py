"""Explanation of one item for one user, as data, text and JSON.

`metarec.explanation` computes it; the data classes are defined here, below `Recommender`, which
returns them. All effects are differences of the item's relative score (log-score).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from metarec.runtime.old_names import FormerNames


@dataclass(frozen=True, kw_only=True)
class EventEffect:
    """Effect of one event of the history on an item's relative score."""

    item_id: str
    title: str
    value: float | None
    """The event's rating or value; None where it has none."""
    kind: str
    effect: float
    """Relative score minus that without the event; negative: the event lowers the item."""


@dataclass(frozen=True, kw_only=True)
class FeatureEffect:
    """Effect of one feature on an item's relative score for one user (positive: raises it)."""

    about: str
    """`profile`, `content` or `circumstances`."""
    name: str
    """Column or attribute."""
    value: str
    """The removed value, as text; empty where the feature is a whole column of text or a
    circumstance.
    """
    effect: float
    """Relative score minus that without the feature."""


@dataclass(frozen=True, kw_only=True)
class Counterfactual:
    """Events whose removal takes the item out of the top `k`."""

    item_id: str
    k: int
    removed: list[int] | None
    """Positions in the history; None if the item stays in the top `k` even without any event."""
    is_smallest: bool
    """Whether no smaller set of events has this effect (all smaller ones were tried); in an
    explanation, no smaller set of events that raise the item.
    """
    slate: list[str]
    """The top `k` without the removed events (without any event where `removed` is None)."""


@dataclass(frozen=True, kw_only=True)
class Explanation(FormerNames):
    """Why one item is ranked where it is for one user. All effects are differences of relative
    score (log-score).
    """

    item_id: str
    """The explained item."""
    title: str
    relative_score: float
    """Score minus this user's mean score over the catalog, weighted by the softmax of an anonymous
    user's scores.
    """
    rank: int | None
    """Rank among the items that may be shown, from 1; None if it may not be shown to this user."""
    components: dict[str, float]
    """Score components by name; they add up to `relative_score`."""
    events: list[EventEffect]
    """Leave-one-out effect of every event, in the order of the history."""
    shares: list[float]
    """Shapley value of every event; they add up to relative score(all events) - relative
    score(none).
    """
    features: list[FeatureEffect]
    """Effects of profile, content and circumstances, the strongest first."""
    nearest: list[tuple[str, str, float]]
    """(item id, title, cosine) of the most similar items of the history."""
    counterfactual: Counterfactual | None
    """The smallest set of events whose removal takes the item off the slate; None if it is not on
    it.
    """
    reasons: list[str]
    """The above as sentences, the strongest first."""
    facts: list[str] = field(default_factory=list)
    """Facts about the item and this user in the words of the domain, whatever their effect on the
    score.
    """
    notes: list[str] = field(default_factory=list)
    """Sentences on what was left out or assumed."""
    model_version: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain data: only dicts, lists, text, numbers and None."""
        return asdict(self)

    def to_text(self) -> str:
        """Return the explanation as text for a terminal."""
        rank = f"rank {self.rank}" if self.rank else "not to be shown"
        stands = (
            f"{self.relative_score:+.2f} above"
            if self.relative_score >= 0
            else f"{-self.relative_score:.2f} below"
        )
        lines = [f"{self.title} ({self.item_id}): {rank}, {stands} what a new user is shown"]
        lines += [f"  {reason}" for reason in self.reasons] or [
            "  nothing about you moves it: its rank is the same for everyone"
        ]
        lines += [f"  and: {fact}" for fact in self.facts]
        lines += ["score components", *_effect_bars(list(self.components.items()))]
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
        """Return a sentence on what would take the item off the slate; nothing where it is not on
        it.
        """
        counterfactual = self.counterfactual
        if counterfactual is None:
            return []
        if counterfactual.removed is None:
            return [
                f"it would be among the first {counterfactual.k} even if you had told us nothing"
            ]
        titles = Counter(
            (self.events[row].item_id, self.events[row].title) for row in counterfactual.removed
        )
        names = " and ".join(
            title if n == 1 else f"{title} ({n} events)" for (_, title), n in titles.items()
        )
        return [
            f"it would leave the first {counterfactual.k} without {names}"
            + ("" if counterfactual.is_smallest else " (a smaller set may exist)")
        ]


def _effect_bars(effects: Sequence[tuple[str, float]], width: int = 20) -> list[str]:
    largest = max((abs(effect) for _, effect in effects), default=0.0) or 1.0
    label = min(40, max((len(name) for name, _ in effects), default=0))
    return [
        f"  {name[:label]:<{label}} {effect:+8.3f} "
        f"{('+' if effect > 0 else '-') * round(width * abs(effect) / largest)}"
        for name, effect in effects
    ]

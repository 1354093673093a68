"""`explain`: everything there is to say about one item for one person, as data, as text, as
JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from metarec.explanation.context_facts import context_facts
from metarec.explanation.counterfactual import Counterfactual, counterfactual
from metarec.explanation.importance import (
    FeatureEffect,
    circumstance_effects,
    content_effects,
    profile_effects,
)
from metarec.explanation.influence import leave_one_out, shapley
from metarec.explanation.nearest import nearest
from metarec.explanation.relative_score import (
    Explained,
    columns_of,
    hidden_items,
    known_history,
    parts_at,
    standings,
    top,
)
from metarec.explanation.words import EventEffect, sentences
from metarec.features.events import parts_of
from metarec.recommendation.slate import Request

ADDS_UP_TO = 1e-6
"""Parts must add up to the score within this share of the person's largest score (they are
float32), or the explanation says so.
"""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why one item stands where it stands for one person. All effects are differences of standing
    (log-score).
    """

    item_id: str
    title: str
    standing: float
    """Score minus the mean score, for this person, of what a stranger would be shown."""
    rank: int | None
    """Place among the items that may be shown, from 1; None if it may not be shown to this person.
    """
    parts: dict[str, float]
    """What each part of the model adds; they add up to `standing`."""
    events: list[EventEffect]
    """Every event's effect by leaving it out, in the order of the history."""
    shares: list[float]
    """Shapley value of every event; they add up to standing(all events) - standing(none)."""
    features: list[FeatureEffect]
    """Profile, content and circumstances, the strongest first."""
    nearest: list[tuple[str, str, float]]
    """(item id, title, cosine) of the items of the history most like this one."""
    counterfactual: Counterfactual | None
    """The fewest events whose removal takes it off the slate; None if it is not on the slate."""
    reasons: list[str]
    """The above as sentences, the strongest first."""
    notes: list[str] = field(default_factory=list)
    """What was left out or assumed."""
    model_version: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data: only dicts, lists, text, numbers and None."""
        return asdict(self)

    def to_text(self) -> str:
        """What a person reads in a terminal."""
        place = f"place {self.rank}" if self.rank else "not to be shown"
        lines = [
            f"{self.title} ({self.item_id}): {place}, {self.standing:+.2f} above what a stranger "
            f"is shown"
        ]
        lines += [f"  {reason}" for reason in self.reasons] or [
            "  nothing about you moves it: it stands where it stands for everyone"
        ]
        lines += ["parts of the score", *_bars(list(self.parts.items()))]
        if self.events:
            lines += [
                "without each event it would lose",
                *_bars([(event.title, event.effect) for event in self.events]),
            ]
        if self.features:
            lines += [
                "without each feature it would lose",
                *_bars(
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
        lines += self._counterfactual_lines()
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _counterfactual_lines(self) -> list[str]:
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


def _bars(effects: Sequence[tuple[str, float]], width: int = 20) -> list[str]:
    largest = max((abs(effect) for _, effect in effects), default=0.0) or 1.0
    label = min(40, max((len(name) for name, _ in effects), default=0))
    return [
        f"  {name[:label]:<{label}} {effect:+8.3f} "
        f"{('+' if effect > 0 else '-') * round(width * abs(effect) / largest)}"
        for name, effect in effects
    ]


def explain(
    model: Explained,
    request: Request,
    item_id: str,
    *,
    k: int = 10,
    words: int = 0,
    rng: np.random.Generator | None = None,
) -> Explanation:
    """Explain where `item_id` stands for the person of `request`.

    Args:
        k: length of the slate the counterfactual speaks of.
        words: how many words of the item's text to try one by one.
        rng: draws the orders of sampled Shapley values (histories of more than 8 events); a fixed
            one where None, so that the same question gets the same answer.

    Raises:
        BadInput: if the item is not in the catalog.
    """
    request, notes = known_history(model, request)
    column = columns_of(model, [item_id])
    titles = model.catalog.titles()
    scores, hidden = model.score([request]), hidden_items(model, [request])
    listed = top(scores, hidden, len(model.vocabulary))[0]
    rank = int(np.flatnonzero(listed == column[0])[0]) + 1 if not hidden[0, column[0]] else None
    standing = float(standings(model, [request], column[None])[0, 0])
    parts = {
        name: float(part[0, 0]) for name, part in parts_at(model, [request], column[None]).items()
    }
    notes += [*_adds_up(parts, standing, float(np.abs(scores).max())), *_unread(model, request)]
    events = _events(model, request, item_id, titles)
    features = _features(model, request, item_id, words, notes)
    # Asked for just now
    closest = nearest(model, request, item_id) if hasattr(model, "item_embeddings") else []  # type: ignore[arg-type]
    return Explanation(
        item_id=item_id,
        title=titles[column[0]],
        standing=standing,
        rank=rank,
        parts=parts,
        events=events,
        shares=shapley(model, request, [item_id], rng=rng or np.random.default_rng(0))[
            :, 0
        ].tolist(),
        features=features,
        nearest=[(events[row].item_id, events[row].title, cosine) for row, cosine in closest],
        counterfactual=counterfactual(model, request, item_id, k=k) if rank and rank <= k else None,
        reasons=sentences(
            events,
            features,
            parts,
            liked_from=_liked_from(model),
            facts=context_facts(model, request, column[0]),
        ),
        notes=notes,
        model_version=str(getattr(model, "version", "")),
    )


def _events(
    model: Explained, request: Request, item_id: str, titles: list[str]
) -> list[EventEffect]:
    effects = leave_one_out(model, [request], [[item_id]])[0][:, 0]
    columns = columns_of(model, [str(event[0]) for event in request.history])
    return [
        EventEffect(
            item_id=str(event[0]),
            title=titles[column],
            value=parts_of(event)[1],
            kind=parts_of(event)[2] or "event",
            effect=float(effect),
        )
        for event, column, effect in zip(request.history, columns, effects, strict=True)
    ]


def _features(
    model: Explained, request: Request, item_id: str, words: int, notes: list[str]
) -> list[FeatureEffect]:
    found = [
        *profile_effects(model, request, item_id),
        *circumstance_effects(model, request, item_id),
    ]
    if hasattr(model, "with_items"):
        trained_on = getattr(model, "trained_on", None)
        is_new = trained_on is not None and item_id not in trained_on["item_id"]
        # Asked for just now
        found += content_effects(model, request, item_id, words=words, is_new=is_new)  # type: ignore[arg-type]
    else:
        notes.append(
            "this model takes no new items, so the effect of content alone cannot be measured."
        )
    return sorted(
        (effect for effect in found if effect.effect), key=lambda effect: -abs(effect.effect)
    )


def _adds_up(parts: dict[str, float], standing: float, largest: float) -> list[str]:
    error = abs(sum(parts.values()) - standing)
    return (
        []
        if error <= ADDS_UP_TO * max(1.0, largest)
        else [f"the parts miss the score by {error:.1e}."]
    )


def _unread(model: Explained, request: Request) -> list[str]:
    """Attributes, or values of them, that training people did not state (or too few of them): they
    move nothing.
    """
    inputs = getattr(model, "profile_inputs", None)
    stated = [(name, value) for name, value in request.profile.items() if value is not None]
    if inputs is None or not stated or getattr(model, "reads_people", False):
        return []
    is_read = inputs.transform([{name: value} for name, value in stated]).any(axis=1)
    unread = [
        f"{name}={value}" for (name, value), read in zip(stated, is_read, strict=True) if not read
    ]
    known = ", ".join(sorted({*inputs.categories, *inputs.edges})) or "none"
    return (
        [
            f"the model learned nothing of {', '.join(unread)}, so it explains nothing "
            f"(attributes learned: {known})."
        ]
        if unread
        else []
    )


def _liked_from(model: Explained) -> float | None:
    """From which value an event counts as liked, where the model says so and values are ratings."""
    threshold = getattr(model, "relevant_from", None)
    return float(threshold) if threshold is not None and np.isfinite(threshold) else None

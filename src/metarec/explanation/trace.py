"""The adaptation trace: what the model knew, thought and would have shown after each event of one
user.

All moments are asked in one batch. The trace is plain data (`to_json`, which the page animates);
`draw` makes it a picture of small multiples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from metarec.explanation.relative_score import (
    Explained,
    anonymous_weights,
    columns_of,
    hidden_items,
    known_history,
    relative_to_shown,
    top,
    with_events,
)
from metarec.recommendation.slate import Request


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The model's view of the user after `shots` events."""

    shots: int
    event: str
    """Title of the event just seen; empty at the start."""
    value: float | None
    slate: list[str]
    """Item ids that would be shown now, best first."""
    titles: list[str]
    relative_scores: list[float]
    """Of the slate's items: score minus the mean score of what an anonymous user would be shown."""
    rank: int | None
    """Place of the item traced, from 1; None once it is seen."""
    relative_score: float
    """Of the item traced."""
    parts: dict[str, float]
    """What each part adds to that relative score."""
    shifts: dict[str, float]
    """How far the last event moved each part: root mean square over what an anonymous user would be
    shown; 0 at the start.
    """
    moves: dict[str, float]
    """How far the last event moved each adapted parameter, Euclidean; empty where the model has no
    `fold_in`.
    """


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One user's way through the model, event by event, seen from one item."""

    item_id: str
    title: str
    moments: list[Moment]
    notes: list[str] = field(default_factory=list)
    model_version: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data: only dicts, lists, text, numbers and None."""
        return asdict(self)

    def to_text(self) -> str:
        """One line a moment: the event, where the item stands, what moved most, and the first three
        of the slate.
        """
        lines = [f"how {self.title} ({self.item_id}) came to stand where it stands"]
        for moment in self.moments:
            moved = max(moment.shifts, key=lambda name: moment.shifts[name], default="")
            lines.append(
                f"  {moment.shots:>3} "
                f"{('after ' + moment.event) if moment.event else 'before any event':<44.44} "
                f"{'seen' if moment.rank is None else f'#{moment.rank}':>6} "
                f"{moment.relative_score:+7.2f}"
                f"{f'  {moved} moved most' if moment.shots else ''}  | "
                f"{', '.join(moment.titles[:3])}"
            )
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def trace(model: Explained, request: Request, item_id: str | None = None, *, k: int = 10) -> Trace:
    """Follow a user from no event to all of their history.

    Args:
        item_id: the item followed; the first of the final slate where None.
        k: length of the slates kept.

    Raises:
        BadInput: if `item_id` is not in the catalog.
    """
    request, notes = known_history(model, request)
    prefixes = [with_events(request, range(shots)) for shots in range(len(request.history) + 1)]
    weights = anonymous_weights(model)
    parts = {
        name: relative_to_shown(part, weights) for name, part in model.score_parts(prefixes).items()
    }
    relative_scores = relative_to_shown(model.score(prefixes), weights)
    hidden = hidden_items(model, prefixes)
    listed = top(relative_scores, hidden, k)
    column = int(listed[-1, 0]) if item_id is None else int(columns_of(model, [item_id])[0])
    titles = model.catalog.titles()
    moves = _moves(model, prefixes)
    moments = []
    for shots in range(len(prefixes)):
        shown = [int(c) for c in listed[shots] if c >= 0]
        last: tuple[Any, ...] = request.history[shots - 1] if shots else ()
        moments.append(
            Moment(
                shots=shots,
                event=titles[model.vocabulary.indexes([str(last[0])])[0]] if shots else "",
                value=None if len(last) < 2 or last[1] is None else float(last[1]),
                slate=model.vocabulary.names(shown),
                titles=[titles[c] for c in shown],
                relative_scores=[float(relative_scores[shots, c]) for c in shown],
                rank=_rank(relative_scores[shots], hidden[shots], column),
                relative_score=float(relative_scores[shots, column]),
                parts={name: float(part[shots, column]) for name, part in parts.items()},
                shifts=_shifts(parts, shots, weights),
                moves=moves[shots],
            )
        )
    return Trace(
        item_id=model.vocabulary.ids[column],
        title=titles[column],
        moments=moments,
        notes=notes,
        model_version=str(getattr(model, "version", "")),
    )


def _shifts(parts: dict[str, np.ndarray], shots: int, weights: np.ndarray) -> dict[str, float]:
    """How far each part moved with the event before, over the catalog as it is shown."""
    return {
        name: float(np.sqrt((part[shots] - part[max(shots - 1, 0)]) ** 2 @ weights))
        for name, part in parts.items()
    }


def _rank(relative_score: np.ndarray, hidden: np.ndarray, column: int) -> int | None:
    return (
        None
        if hidden[column]
        else int((relative_score[~hidden] > relative_score[column]).sum()) + 1
    )


def _moves(model: Explained, prefixes: Sequence[Request]) -> list[dict[str, float]]:
    """How far each adapted parameter moved at each event: {} for a model that adapts none."""
    fold_in = getattr(model, "fold_in", None)
    if fold_in is None:
        return [{} for _ in prefixes]
    known: list[Mapping[str, Any]] = [fold_in(request) for request in prefixes]
    return [
        {
            name: _distance(known[max(shots - 1, 0)].get(name), value)
            for name, value in params.items()
        }
        for shots, params in enumerate(known)
    ]


def _distance(before: Any, after: Any) -> float:
    """Euclidean distance of two parameters; one that grew with the history (a row per event) is
    compared from zero.
    """
    old = np.asarray(before, dtype=np.float64) if before is not None else np.zeros(0)
    new = np.asarray(after, dtype=np.float64)
    if old.shape != new.shape:
        old, new = (np.pad(a.ravel(), (0, max(old.size, new.size) - a.size)) for a in (old, new))
    return float(np.linalg.norm(new - old))

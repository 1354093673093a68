"""The adaptation trace: parameters, scores and slate of a model after each event of one user.

All prefixes of the history are scored in one batch. The trace is plain data (`to_json`, which the
page animates); `draw` plots it as small multiples.
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
    """The model's view of the user after `n_known` events."""

    n_known: int
    event: str
    """Title of the newest event's item; empty at the start."""
    value: float | None
    """Rating or value of the newest event; None where it has none."""
    slate: list[str]
    """Item ids of the slate after these events, best first."""
    titles: list[str]
    relative_scores: list[float]
    """Relative scores of the slate's items (`explanation.relative_score`)."""
    rank: int | None
    """Rank of the traced item, from 1; None once it is hidden, as a seen item."""
    relative_score: float
    """Relative score of the traced item."""
    components: dict[str, float]
    """Components of that relative score by name."""
    shifts: dict[str, float]
    """Change of each score component with the last event: root mean square over the catalog,
    weighted by the softmax of an anonymous user's scores; 0 at the start.
    """
    moves: dict[str, float]
    """Euclidean change of each adapted parameter with the last event; empty where the model has no
    `fold_in`.
    """


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Adaptation to one user, event by event, with the rank of one item."""

    item_id: str
    title: str
    moments: list[Moment]
    notes: list[str] = field(default_factory=list)
    model_version: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain data: only dicts, lists, text, numbers and None."""
        return asdict(self)

    def to_text(self) -> str:
        """Return one line per moment: the event, rank and relative score of the item, the component
        that changed most, and the first three of the slate.
        """
        lines = [f"how {self.title} ({self.item_id}) came to stand where it stands"]
        for moment in self.moments:
            moved = max(moment.shifts, key=lambda name: moment.shifts[name], default="")
            lines.append(
                f"  {moment.n_known:>3} "
                f"{('after ' + moment.event) if moment.event else 'before any event':<44.44} "
                f"{'seen' if moment.rank is None else f'#{moment.rank}':>6} "
                f"{moment.relative_score:+7.2f}"
                f"{f'  {moved} moved most' if moment.n_known else ''}  | "
                f"{', '.join(moment.titles[:3])}"
            )
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def trace(model: Explained, request: Request, item_id: str | None = None, *, k: int = 10) -> Trace:
    """Follow the model from no event to the whole history of a user.

    Args:
        item_id: the traced item; the first of the final slate where None.
        k: length of the slates.

    Raises:
        BadInput: if `item_id` is not in the catalog.
    """
    request, notes = known_history(model, request)
    prefixes = [with_events(request, range(n_known)) for n_known in range(len(request.history) + 1)]
    weights = anonymous_weights(model)
    components = {
        name: relative_to_shown(component, weights)
        for name, component in model.score_components(prefixes).items()
    }
    relative_scores = relative_to_shown(model.score(prefixes), weights)
    hidden = hidden_items(model, prefixes)
    listed = top(relative_scores, hidden, k)
    column = int(listed[-1, 0]) if item_id is None else int(columns_of(model, [item_id])[0])
    titles = model.catalog.titles()
    moves = _moves(model, prefixes)
    moments = []
    for n_known in range(len(prefixes)):
        shown = [int(c) for c in listed[n_known] if c >= 0]
        last: tuple[Any, ...] = request.history[n_known - 1] if n_known else ()
        moments.append(
            Moment(
                n_known=n_known,
                event=titles[model.vocabulary.indexes([str(last[0])])[0]] if n_known else "",
                value=None if len(last) < 2 or last[1] is None else float(last[1]),
                slate=model.vocabulary.names(shown),
                titles=[titles[c] for c in shown],
                relative_scores=[float(relative_scores[n_known, c]) for c in shown],
                rank=_rank(relative_scores[n_known], hidden[n_known], column),
                relative_score=float(relative_scores[n_known, column]),
                components={name: float(c[n_known, column]) for name, c in components.items()},
                shifts=_shifts(components, n_known, weights),
                moves=moves[n_known],
            )
        )
    return Trace(
        item_id=model.vocabulary.ids[column],
        title=titles[column],
        moments=moments,
        notes=notes,
        model_version=str(getattr(model, "version", "")),
    )


def _shifts(
    components: dict[str, np.ndarray], n_known: int, weights: np.ndarray
) -> dict[str, float]:
    """Return the change of each component with the last event, see `Moment.shifts`."""
    return {
        name: float(np.sqrt((component[n_known] - component[max(n_known - 1, 0)]) ** 2 @ weights))
        for name, component in components.items()
    }


def _rank(relative_score: np.ndarray, hidden: np.ndarray, column: int) -> int | None:
    return (
        None
        if hidden[column]
        else int((relative_score[~hidden] > relative_score[column]).sum()) + 1
    )


def _moves(model: Explained, prefixes: Sequence[Request]) -> list[dict[str, float]]:
    """Return for each prefix the change of each adapted parameter; {} for a model without
    `fold_in`.
    """
    fold_in = getattr(model, "fold_in", None)
    if fold_in is None:
        return [{} for _ in prefixes]
    adapted: list[Mapping[str, Any]] = [fold_in(request) for request in prefixes]
    return [
        {
            name: _distance(adapted[max(n_known - 1, 0)].get(name), value)
            for name, value in params.items()
        }
        for n_known, params in enumerate(adapted)
    ]


def _distance(before: Any, after: Any) -> float:
    """Euclidean distance of two parameters; one that has grown with the history (a row per event)
    is padded with zeros.
    """
    old = np.asarray(before, dtype=np.float64) if before is not None else np.zeros(0)
    new = np.asarray(after, dtype=np.float64)
    if old.shape != new.shape:
        old, new = (np.pad(a.ravel(), (0, max(old.size, new.size) - a.size)) for a in (old, new))
    return float(np.linalg.norm(new - old))

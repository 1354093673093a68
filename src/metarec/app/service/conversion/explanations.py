"""Reasons over HTTP: short ones for each item of a slate, a full explanation for one item."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from metarec.app.service.scoring.live_model import Served
from metarec.explanation.context_facts import context_facts
from metarec.explanation.influence import leave_one_out
from metarec.explanation.reasons import explain
from metarec.explanation.relative_score import components_at
from metarec.explanation.words import components_shown, sentences
from metarec.features.events import parts_of
from metarec.recommendation.explained import EventEffect
from metarec.recommendation.slate import Request, Slate

MAX_EVENTS = 20
"""Number of latest events that short reasons consider; each costs one more row of scores."""
MAX_EXPLAINED, N_SCORED, N_CONTENT = 10, 32, 3
"""Limits of one explanation: latest events considered, shortened histories scored, features left
out. With these no explanation costs 20 plain slates (`benchmarks/attack/costs.py`).
"""


def short_reasons(served: Served, request: Request, slate: Slate, most: int = 2) -> list[list[str]]:
    """Return at most `most` sentences for each item of a slate, by leaving out each of the latest
    events and by the score components.
    """
    model, vocabulary = served.model, served.model.vocabulary
    if not slate.item_ids:
        return []
    recent = [event for event in request.history if str(event[0]) in vocabulary][-MAX_EVENTS:]
    shortened = replace(request, history=recent)
    effects = leave_one_out(model, [shortened], [slate.item_ids])[0]
    columns = vocabulary.indexes(slate.item_ids)
    components = components_at(model, [shortened], columns[None])
    facts = context_facts(model, shortened, columns.tolist())
    liked_from = served.scale.relevant_from if served.scale.has_values else None
    reasons = []
    for place in range(len(slate.item_ids)):
        events = [
            EventEffect(
                item_id=str(event[0]),
                title=served.title_of(str(event[0])) or str(event[0]),
                value=parts_of(event)[1],
                kind=parts_of(event)[2] or "event",
                effect=float(effects[row, place]),
            )
            for row, event in enumerate(recent)
        ]
        reasons.append(
            sentences(
                events,
                [],
                components_shown(
                    {name: float(component[0, place]) for name, component in components.items()},
                    is_new=not recent,
                ),
                liked_from=liked_from,
                max_sentences=most,
                rather_for=True,
                facts=facts[place],
                kinds=served.scale.kinds,
            )
        )
    return reasons


def explain_one(served: Served, request: Request, item_id: str, k: int) -> dict[str, Any]:
    """Explain one item for one user, as plain data. Of a long history only the latest events are
    considered, and a note says so.
    """
    history = [event for event in request.history if str(event[0]) in served.model.vocabulary]
    is_long = len(history) > MAX_EXPLAINED
    shortened = replace(request, history=history[-MAX_EXPLAINED:]) if is_long else request
    explanation = explain(
        served.model, shortened, item_id, k=k, scored=N_SCORED, n_content=N_CONTENT
    ).to_json()
    if is_long:
        explanation["notes"] = [
            *explanation["notes"],
            f"explained from the latest {MAX_EXPLAINED} of {len(history)} events; slates are made "
            f"from all of them.",
        ]
    return explanation

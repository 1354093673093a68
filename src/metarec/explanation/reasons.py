"""`explain`: the full explanation of one item for one user, as data, text and JSON."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from metarec.data.arguments import check_type, check_whole, refused
from metarec.explanation.context_facts import context_facts
from metarec.explanation.counterfactual import counterfactual
from metarec.explanation.field_facts import field_facts, labels_of, policy_columns
from metarec.explanation.importance import (
    MAX_FEATURES,
    circumstance_effects,
    content_effects,
    profile_effects,
)
from metarec.explanation.influence import leave_one_out, shapley
from metarec.explanation.nearest import nearest
from metarec.explanation.relative_score import (
    Explained,
    attention,
    columns_of,
    components_at,
    hidden_items,
    known_history,
    policy_check_of,
    relative_to_shown,
    top,
)
from metarec.explanation.words import components_shown, sentences
from metarec.features.events import parts_of
from metarec.recommendation.explained import (
    Counterfactual,
    EventEffect,
    Explanation,
    FeatureEffect,
)
from metarec.recommendation.slate import Request, check_request
from metarec.recommendation.stages.annotate import ignored_in

if TYPE_CHECKING:
    from metarec.recommender import Recommender

SCORED = 128
"""Default number of shortened histories that an explanation scores; see `explain`."""
ADDS_UP_TO = 1e-6
"""Tolerance of the sum of components, as a share of the user's largest absolute score (they are
float32); a note says if it is exceeded. An effect below it is rounding, and is told as 0.
"""


def explain(
    model: Explained,
    request: Request,
    item_id: str,
    *,
    k: int = 10,
    words: int = 0,
    scored: int = SCORED,
    n_content: int = MAX_FEATURES,
    rng: np.random.Generator | None = None,
) -> Explanation:
    """Explain the score of `item_id` for the user of `request`.

    Args:
        k: length of the slate for the counterfactual.
        words: number of words of the item's text that are removed one by one.
        scored: number of shortened histories scored for Shapley values, and of removals for the
            counterfactual; at least two orders of a longer history are scored.
        n_content: maximum number of content features that are removed.
        rng: draws the orders of sampled Shapley values (used for longer histories); None: a fixed
            seed, so that the same question gets the same answer.

    Raises:
        BadInput: if the item is not in the catalog.
    """
    _check(model, request, k, words, scored, n_content, rng)
    request, notes = known_history(model, request)
    column = int(columns_of(model, [item_id])[0])
    titles = model.catalog.titles()
    stands = _position(model, request, column)
    notes += _notes(model, request, item_id, stands)
    events = _events(model, request, item_id, titles, stands)
    features = _features(model, request, item_id, stands, words, n_content, notes)
    rank, counterfactual = stands.rank, None
    if rank and rank <= k:
        counterfactual = _counterfactual(model, request, item_id, k, events, scored)
    telling = _not_needed_against(events, counterfactual)
    return Explanation(
        item_id=item_id,
        title=titles[column],
        relative_score=stands.relative_score,
        rank=rank,
        components=stands.components,
        events=events,
        shares=_shares(model, request, item_id, scored, rng or np.random.default_rng(0), stands),
        features=features,
        nearest=_nearest(model, request, item_id, events),
        counterfactual=counterfactual,
        reasons=_reasons(model, request, column, telling, features, stands),
        facts=field_facts(model, request, column),
        notes=notes,
        model_version=str(getattr(model, "version", "")),
    )


@dataclass(frozen=True, kw_only=True)
class Position:
    """Score and rank of an item for a user."""

    relative_score: float
    rank: int | None
    """Rank from 1; None where it may not be shown."""
    components: dict[str, float]
    """Components of the relative score."""
    weights: np.ndarray
    """[N] softmax of an anonymous user's scores."""
    largest: float
    """Largest absolute score of the user."""

    def above_rounding(self, effect: float) -> float:
        """The effect; 0 where it is no more than the rounding of the scores."""
        return float(effect) if abs(effect) > ADDS_UP_TO * self.largest else 0.0


def _position(model: Explained, request: Request, column: int) -> Position:
    both, hidden = model.score([Request(), request]), hidden_items(model, [request])
    scores, weights = both[1:], attention(both[0])
    listed = top(scores, hidden, len(model.vocabulary))[0]
    components = components_at(model, [request], np.array([[column]]), weights)
    stands = Position(
        relative_score=float(relative_to_shown(scores, weights)[0, column]),
        rank=int(np.flatnonzero(listed == column)[0]) + 1 if not hidden[0, column] else None,
        components={name: float(component[0, 0]) for name, component in components.items()},
        weights=weights,
        largest=float(np.abs(scores).max()),
    )
    return replace(
        stands,
        components={
            name: stands.above_rounding(component) for name, component in stands.components.items()
        },
    )


def _notes(model: Explained, request: Request, item_id: str, stands: Position) -> list[str]:
    """Return notes on components that do not add up, unread attributes, and reasons of the policy
    against showing the item.
    """
    forbidden = policy_check_of(model).reasons(request, item_id)
    return [
        *_adds_up(stands.components, stands.relative_score, stands.largest),
        *_unread(model, request),
        *(ignored_in(cast("Recommender", model), request) if hasattr(model, "ensemble") else ()),
        *(f"the policy does not show it to this user: {why}." for why in forbidden),
    ]


def _reasons(
    model: Explained,
    request: Request,
    column: int,
    events: list[EventEffect],
    features: list[FeatureEffect],
    stands: Position,
) -> list[str]:
    """Return the effects as sentences, without features that the policy's facts mention already."""
    return sentences(
        events,
        [one for one in features if one.name not in policy_columns(model)],
        components_shown(stands.components, is_new=not request.history),
        liked_from=_liked_from(model),
        facts=context_facts(model, request, [column])[0],
        labels=labels_of(model),
        kinds=model.reader.kinds if hasattr(model, "reader") else None,
    )


def _nearest(
    model: Explained, request: Request, item_id: str, events: list[EventEffect]
) -> list[tuple[str, str, float]]:
    """Return the user's most similar items: id, title, cosine."""
    if not hasattr(model, "item_embeddings"):
        return []
    closest = nearest(cast("Recommender", model), request, item_id)
    return [(events[row].item_id, events[row].title, cosine) for row, cosine in closest]


def _check(model: Any, request: Any, k: Any, words: Any, scored: Any, n: Any, rng: Any) -> None:
    if not all(
        hasattr(model, name) for name in ("vocabulary", "catalog", "score", "score_components")
    ):
        raise refused("model", model, "a Recommender (Recommender.load reads one)")
    check_request(request)
    check_whole("k", k, 1)
    for name, value in (("words", words), ("scored", scored), ("n_content", n)):
        check_whole(name, value, 0)
    check_type(
        "rng", rng, np.random.Generator | None, "a numpy Generator (np.random.default_rng(5))"
    )


def _shares(
    model: Explained,
    request: Request,
    item_id: str,
    scored: int,
    rng: np.random.Generator,
    stands: Position,
) -> list[float]:
    """Shapley value of each event, exact where `scored` allows all subsets."""
    orders = max(2, scored // (len(request.history) + 1))
    shares = shapley(
        model, request, [item_id], rng=rng, permutations=orders, most_exact=scored.bit_length() - 1
    )
    return [stands.above_rounding(share) for share in shares[:, 0]]


def _counterfactual(
    model: Explained,
    request: Request,
    item_id: str,
    k: int,
    events: list[EventEffect],
    scored: int,
) -> Counterfactual:
    """Find the counterfactual among the events that raise the item, where removing these is enough:
    an event that lowers the item must not be given as what keeps it on the slate.
    """
    lifting = [row for row, event in enumerate(events) if event.effect > 0]
    return counterfactual(model, request, item_id, k=k, max_tries=scored, among=lifting)


def _not_needed_against(
    events: list[EventEffect], counterfactual: Counterfactual | None
) -> list[EventEffect]:
    """Return the events that may be given as reasons. An event whose removal takes the item off the
    slate is not a reason against it, even if its own effect on the relative score is negative.
    """
    needed = set(counterfactual.removed or ()) if counterfactual is not None else set()
    return [e for row, e in enumerate(events) if e.effect > 0 or row not in needed]


def _events(
    model: Explained, request: Request, item_id: str, titles: list[str], stands: Position
) -> list[EventEffect]:
    effects = leave_one_out(model, [request], [[item_id]])[0][:, 0]
    columns = columns_of(model, [str(event[0]) for event in request.history])
    return [
        EventEffect(
            item_id=str(event[0]),
            title=titles[column],
            value=parts_of(event)[1],
            kind=parts_of(event)[2] or "event",
            effect=stands.above_rounding(effect),
        )
        for event, column, effect in zip(request.history, columns, effects, strict=True)
    ]


def _features(
    model: Explained,
    request: Request,
    item_id: str,
    stands: Position,
    words: int,
    n_content: int,
    notes: list[str],
) -> list[FeatureEffect]:
    effects = [
        *profile_effects(model, request, item_id),
        *circumstance_effects(model, request, item_id),
    ]
    if hasattr(model, "with_items"):
        trained_on = getattr(model, "trained_on", None)
        is_new = trained_on is not None and item_id not in trained_on["item_id"]
        effects += content_effects(
            cast("Recommender", model),
            request,
            item_id,
            words=words,
            max_features=n_content,
            is_new=is_new,
            weights=stands.weights,
        )
    else:
        notes.append(
            "this model takes no new items, so the effect of content alone cannot be measured."
        )
    return sorted(
        (effect for effect in effects if stands.above_rounding(effect.effect)),
        key=lambda effect: -abs(effect.effect),
    )


def _adds_up(components: dict[str, float], relative_score: float, largest: float) -> list[str]:
    """Return a note where the components do not add up to the relative score."""
    error = abs(sum(components.values()) - relative_score)
    return (
        []
        if error <= ADDS_UP_TO * max(1.0, largest)
        else [f"the score components miss the score by {error:.1e}."]
    )


def _unread(model: Explained, request: Request) -> list[str]:
    """Return a note on profile attributes, or values of them, that the model did not learn from
    because too few training users have them.
    """
    inputs = getattr(model, "profile_inputs", None)
    stated = [(name, value) for name, value in request.profile.items() if value is not None]
    if inputs is None or not stated or getattr(model, "reads_users", False):
        return []
    is_read = inputs.transform([{name: value} for name, value in stated]).any(axis=1)
    unread = [
        f"{name}={value}" for (name, value), read in zip(stated, is_read, strict=True) if not read
    ]
    learned = ", ".join(sorted({*inputs.categories, *inputs.edges})) or "none"
    return (
        [
            f"the model learned nothing of {', '.join(unread)}, so it explains nothing "
            f"(attributes learned: {learned})."
        ]
        if unread
        else []
    )


def _liked_from(model: Explained) -> float | None:
    """Return the value from which an event counts as liked; None where values are not ratings."""
    threshold = getattr(model, "relevant_from", None)
    return float(threshold) if threshold is not None and np.isfinite(threshold) else None

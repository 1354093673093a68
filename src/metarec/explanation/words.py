"""Effects as sentences for users: "because you liked The Matrix; because it is science fiction".

Only effects of at least `MIN_SHARE` of all effects get a sentence, the strongest first, including
those against the item. The wording depends only on the signs of measured effects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from metarec.data.kinds import Kinds
from metarec.recommendation.explained import EventEffect, FeatureEffect

MIN_SHARE = 0.05
"""An effect below this share of all absolute effects of its kind, or of the largest of any kind,
gets no sentence.
"""
MAX_REASONS = 5
"""Maximum number of reasons."""

DID = {
    "purchase": "bought",
    "cart": "put in the cart",
    "add_to_cart": "put in the cart",
    "addtocart": "put in the cart",
    "remove_from_cart": "removed",
    "remove": "removed",
    "unfollow": "unfollowed",
    "view": "looked at",
    "search": "searched for",
    "enrol": "enrolled in",
    "listen": "listened to",
    "bookmark": "saved",
    "play": "played",
    "click": "clicked",
    "read": "read",
    "order": "ordered",
    "like": "liked",
    "share": "shared",
    "comment": "commented on",
    "follow": "followed",
    "visit": "visited",
    "complete": "completed",
    "dislike": "disliked",
    "hide": "hid",
    "return": "returned",
    "refund": "returned",
    "cancel": "canceled",
    "decline": "declined",
    "sell": "sold",
    "drop": "dropped",
    "skip": "skipped",
    "buy": "bought",
    "hold": "held",
    "watchlist": "watched",
    "apply": "applied for",
    "cook": "cooked",
    "eat": "ate",
    "log": "logged",
    "enroll": "enrolled in",
    "preview": "looked at",
    "submit": "handed in",
    "certificate": "earned a certificate in",
    "book": "booked",
    "booking": "booked",
    "checkin": "checked in at",
    "wishlist": "wished for",
    "accept": "accepted",
    "deliver": "delivered",
    "bid": "bid for",
    "reorder": "ordered again",
}
"""Kind of an event -> verb phrase; other kinds get a general one."""
CIRCUMSTANCES = {
    "kinds": (
        "because your events are {}: as plain ones they would speak for it less",
        "although your events are {}: as plain ones they would speak for it more",
    ),
    "times": (
        "because of the times of your events: without them they would speak for it less",
        "in spite of the times of your events: without them they would speak for it more",
    ),
    "order": (
        "because of the order of your events: reversed, they would speak for it less",
        "in spite of the order of your events: reversed, they would speak for it more",
    ),
}
"""Circumstance of the events -> reason when it raises and when it lowers the item: it says what was
compared, since the circumstance alone tells nobody anything.
"""
PARTS = {
    "popularity": "many users like it",
    "item_statistics": "those who met it liked it",
    "deep_set": "users with a beginning like yours went on to it, says a network",
    "profile": "users like you take to it",
    "item_knn": "users who chose what you chose also chose it",
    "ease": "it goes with what you chose",
    "als": "it suits the taste your history shows",
    "markov": "it often comes after what you did last, or reads like it",
    "support_ridge": "users who began as you did went on to it",
    "start": "users often begin with it",
    "r2d2": "what you did so far points to it",
    "user_text": "users who would be described like you went on to it",
    "content": "its content resembles what you chose",
    "wish": "it fits your wish",
    "friends": "users you know, or users like them, took it",
    "location": "it is near",
    "local_knn": "users who go where you go chose it",
    "local_mixture": "users likely to go to all your places chose it",
    "context": "it is often chosen in these circumstances",
    "search": "it is what those who searched for this took",
    "acceptance": "those who took it kept it",
    "refused": "it is unlike what you refused",
    "cold_items": "of the new items it is one that suits you",
    "repeat": "you took it before, and such things are taken again",
    "trend": "it is chosen more lately",
    "predicted_rating": "you would rate it high",
}
AGAINST = {
    "popularity": "few users know it",
    "item_statistics": "those who met it liked it less than most",
    "deep_set": "users with a beginning like yours seldom went on to it, says a network",
    "profile": "users like you seldom choose it",
    "item_knn": "users who chose what you chose rarely did",
    "ease": "it seldom goes with what you chose",
    "als": "it does not suit the taste your history shows",
    "markov": "it seldom comes after what you did last",
    "support_ridge": "users who began as you did seldom went on to it",
    "start": "users seldom begin with it",
    "r2d2": "what you did so far points elsewhere",
    "user_text": "users who would be described like you seldom went on to it",
    "content": "its content is unlike what you chose",
    "wish": "it does not fit your wish",
    "friends": "few users you know, or users like them, took it",
    "location": "it is far away",
    "local_knn": "users who go where you go seldom chose it",
    "local_mixture": "users likely to go to all your places seldom chose it",
    "context": "it is seldom chosen in these circumstances",
    "search": "those who searched for this seldom took it",
    "cold_items": "other new items suit you better",
    "refused": "it is like what you refused",
    "acceptance": "many who took it gave it back or refused it",
    "trend": "it was chosen more in the past than lately",
    "predicted_rating": "you would rate it low",
}
"""`PARTS` and `AGAINST`: score component -> reason when it raises or lowers the item; other
components are named.
"""
BY_THEMSELVES = {
    "popularity",
    "item_statistics",
    "wish",
    "acceptance",
    "trend",
    "friends",
    "location",
    "local_knn",
    "local_mixture",
    "context",
    "search",
}
"""Components with information that no event or attribute has, so they always may get a sentence."""
FROM_THE_START = {"deep_set", "support_ridge", "r2d2"}
"""Components of models with a prior, which score without any event; their usual reasons would then
refer to events that do not exist.
"""
START = "start"
"""Name of their sum in sentences for a user without events."""


def is_liked(event: EventEffect, liked_from: float | None) -> bool | None:
    """Whether the event means that the user liked its item; None where unknown.

    Args:
        liked_from: value from which an event counts as liked; None where values are not ratings.
    """
    if liked_from is None or event.kind not in {"event", "rating", "review"} or event.value is None:
        return None
    return event.value >= liked_from


def components_shown(components: Mapping[str, float], *, is_new: bool) -> dict[str, float]:
    """Return the components as shown to a user; for a user without events (`is_new`), those in
    `FROM_THE_START` are summed as `START`.
    """
    if not is_new or not FROM_THE_START & components.keys():
        return dict(components)
    start = sum(effect for name, effect in components.items() if name in FROM_THE_START)
    others = {name: effect for name, effect in components.items() if name not in FROM_THE_START}
    return {**others, START: start}


def did(event: EventEffect, liked_from: float | None, kinds: Kinds | None = None) -> str:
    """Return the user's act in words: "liked The Matrix", "bought milk", "gave The Matrix 2".

    Args:
        liked_from: see `is_liked`.
        kinds: the model's kinds; the defaults where None.
    """
    liked = is_liked(event, liked_from)
    if liked is not None and event.value is not None:
        return f"liked {event.title}" if liked else f"gave {event.title} only {event.value:g}"
    sign = (kinds or Kinds.default()).of(event.kind).sign
    is_below = liked_from is None and event.value is not None and event.value <= 0
    refused = sign == "negative" or (sign == "positive" and is_below)
    return f"{DID.get(event.kind, 'turned down' if refused else 'chose')} {event.title}"


def sentences(
    events: Sequence[EventEffect],
    features: Sequence[FeatureEffect],
    components: dict[str, float],
    *,
    liked_from: float | None = None,
    max_sentences: int = MAX_REASONS,
    rather_for: bool = False,
    facts: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    kinds: Kinds | None = None,
) -> list[str]:
    """Return reasons for (and against) one item, the strongest first.

    Events, features and components each explain the whole effect in their own way, so they
    alternate, the strongest of each kind first; components get a sentence only where there are no
    events or features (popularity and the like, and a query in words, always may). `facts` replaces
    the reason of some components: distance, number of friends; `labels` are display names of
    columns and attributes; `kinds` say which acts refuse an item. With `rather_for`, reasons
    against the item are given only where there are none for it, as for an item that is shown.
    """
    if rather_for:
        same: dict[str, Any] = {"liked_from": liked_from, "labels": labels, "kinds": kinds}
        lifting = [event for event in events if event.effect > 0]
        lifts = [feature for feature in features if feature.effect > 0]
        rising = {name: effect for name, effect in components.items() if effect > 0}
        if speaks_for := sentences(
            lifting, lifts, rising, max_sentences=max_sentences, facts=facts, **same
        ):
            return speaks_for
    least = MIN_SHARE * _largest(events, features, components)
    events = [event for event in events if abs(event.effect) >= least]
    features = [feature for feature in features if abs(feature.effect) >= least]
    reasons = _in_turn(
        _shares((e.effect, _of_event(e, liked_from, kinds)) for e in events),
        # Of values the events say so themselves
        _shares((f.effect, _of_feature(f, labels)) for f in features if f.name != "values"),
        _shares(
            (effect, _of_component(name, effect, facts))
            for name, effect in components.items()
            if name in BY_THEMSELVES or not (events or features)
        ),
    )
    wish = components.get("wish", 0.0)
    if abs(wish) > _largest(events, features, {}):  # then a query in words comes first
        reasons.sort(key=_of_component("wish", wish).__ne__)
    return reasons[:max_sentences]


def _in_turn(*each: list[tuple[float, str]]) -> list[str]:
    """Return the sentences of each kind of effect in turn, the strongest of each kind first."""
    turns = zip_longest(*(sorted(reasons, key=lambda pair: -pair[0]) for reasons in each))
    return [pair[1] for turn in turns for pair in turn if pair]


def _largest(
    events: Sequence[EventEffect],
    features: Sequence[FeatureEffect],
    components: Mapping[str, float],
) -> float:
    """Return the largest absolute effect; 0 where there is none."""
    effects = (*(e.effect for e in events), *(f.effect for f in features), *components.values())
    return max(map(abs, effects), default=0.0)


def _shares(effects: Iterable[tuple[float, str]]) -> list[tuple[float, str]]:
    pairs = list(effects)
    total = sum(abs(effect) for effect, _ in pairs)
    return [
        (abs(effect) / total, text)
        for effect, text in pairs
        if total > 0 and abs(effect) >= MIN_SHARE * total
    ]


def _of_event(event: EventEffect, liked_from: float | None, kinds: Kinds | None) -> str:
    if (
        event.effect > 0 and is_liked(event, liked_from) is False
    ):  # a low rating is still an event on a similar item
        return f"because you know {event.title}, though you gave it only {event.value:g}"
    return f"{'because' if event.effect > 0 else 'although'} you {did(event, liked_from, kinds)}"


def _of_feature(feature: FeatureEffect, labels: Mapping[str, str] | None = None) -> str:
    lifts = feature.effect > 0
    called = (labels or {}).get(feature.name, feature.name.replace("_", " "))
    if feature.about == "profile":
        return f"users of your {called} ({feature.value}) like it {'more' if lifts else 'less'}"
    if feature.about == "circumstances":
        return CIRCUMSTANCES[feature.name][0 if lifts else 1].format(feature.value)
    word = "because" if lifts else "although"
    if not feature.value:
        return f"{'because of' if lifts else 'in spite of'} its {feature.name}"
    if feature.name in {"text", "description", "plot", "summary"}:
        return f'{word} its {feature.name} says "{feature.value}"'
    if feature.name in {"categories", "tags", "genres", "category", "genre"}:
        return f"{word} it is {feature.value.lower()}"
    return f"{word} its {called} is {feature.value}"


def _of_component(name: str, effect: float, facts: Mapping[str, str] | None = None) -> str:
    """Return the reason of a component; a fact about this item replaces the general one."""
    if facts and name in facts:
        fact = facts[name]
        if effect < 0 and fact.startswith("of "):
            return f"in spite of {fact.removeprefix('of ')}"
        return f"{'because' if effect > 0 else 'although'} {fact}"
    if effect > 0:
        return f"because {PARTS.get(name, f'the score component {name} speaks for it')}"
    return f"although {AGAINST.get(name, f'the score component {name} speaks against it')}"

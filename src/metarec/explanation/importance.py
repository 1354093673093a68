"""Importance of features: of the item's content, the user's profile, and the circumstances of the
events.

For one item and one user (`profile_effects`, `content_effects`, `circumstance_effects`): remove the
feature, score again, and report the change in relative score. All variants are scored in one batch,
without a surrogate model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np
import polars as pl

from metarec.explanation.relative_score import (
    Explained,
    anonymous_weights,
    columns_of,
    relative_scores,
    relative_to_shown,
)
from metarec.features.events import parts_of
from metarec.recommendation.explained import FeatureEffect
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.fitting.growing import with_each
from metarec.recommendation.slate import Request

MAX_FEATURES = 8
"""Maximum number of content features of one item; tags come first, then whole columns, then words
of the text.
"""
LONG_TEXT = ("title", "name", "text", "description", "plot", "summary")
"""Columns of running text, which are not split into tags."""
NOT_CONTENT = ("item_id", "image", "image_url", "url", "poster_url")
"""Columns that are not features."""


def profile_effects(model: Explained, request: Request, item_id: str) -> list[FeatureEffect]:
    """Return for each attribute the relative score with the whole profile minus that without it."""
    names = [name for name, value in request.profile.items() if value is not None]
    lacking = [
        replace(request, profile={k: v for k, v in request.profile.items() if k != name})
        for name in names
    ]
    effects = _effects(model, request, lacking, item_id)
    return [
        FeatureEffect(about="profile", name=name, value=str(request.profile[name]), effect=effect)
        for name, effect in zip(names, effects, strict=True)
    ]


def circumstance_effects(model: Explained, request: Request, item_id: str) -> list[FeatureEffect]:
    """Return the effects of the values, kinds, times and order of the events, beyond those of the
    items.
    """
    history = list(request.history)
    values = [value for _, value, *_ in map(parts_of, history) if value is not None]
    middle = sum(values) / len(values) if values else 1.0
    changes: dict[str, list[tuple[Any, ...]]] = {
        "values": [
            event if value is None else (item, middle, kind, at)
            for event, (item, value, kind, at) in zip(history, map(parts_of, history), strict=True)
        ],
        "kinds": [
            event if kind is None else (item, value, "event", at)
            for event, (item, value, kind, at) in zip(history, map(parts_of, history), strict=True)
        ],
        "times": [
            event if at is None else (item, value, kind, None)
            for event, (item, value, kind, at) in zip(history, map(parts_of, history), strict=True)
        ],
        "order": _in_reverse(history),
    }
    changed = {
        name: events
        for name, events in changes.items()
        if list(map(parts_of, events)) != list(map(parts_of, history))
    }
    effects = _effects(
        model, request, [replace(request, history=events) for events in changed.values()], item_id
    )
    kinds = dict.fromkeys(kind for *_, kind, _ in map(parts_of, history) if kind is not None)
    value_of = {"kinds": ", ".join(map(str, kinds))}
    return [
        FeatureEffect(about="circumstances", name=name, value=value_of.get(name, ""), effect=effect)
        for name, effect in zip(changed, effects, strict=True)
    ]


def _in_reverse(history: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the events in reverse order. Their times stay where they were: a history whose events
    all have a time is sorted by it, which would undo the reversal.
    """
    parts = [parts_of(event) for event in history]
    return [
        (item, value, kind, at)
        for (item, value, kind, _), (*_, at) in zip(parts[::-1], parts, strict=True)
    ]


class Growable(Explained, Protocol):
    """A model that accepts new items, and changes of known items, by their content alone."""

    def with_items(self, frame: pl.DataFrame) -> Self:
        """Return the model with the items of `frame` added or changed."""


def content_effects(
    model: Growable,
    request: Request,
    item_id: str,
    *,
    words: int = 0,
    max_features: int = MAX_FEATURES,
    is_new: bool = False,
    weights: np.ndarray | None = None,
) -> list[FeatureEffect]:
    """Return the effect of each tag, column and (if requested) word of an item through its content:
    relative score with it minus without it.

    The item's row is replaced by one without the feature. Events on the item stay, so an item with
    many events depends little on its content, as it does in the model.

    Args:
        words: number of words of its text to remove, the longest first.
        max_features: maximum number of features.
        is_new: the item is cold, so its factors are predicted from its content too: copies of the
            item, one unchanged and one without each feature, are added as new items and compared.
        weights: `anonymous_weights` of the model, where they are known.
    """
    row = model.catalog.frame.row(int(columns_of(model, [item_id])[0]), named=True)
    features = _features(row, words)[:max_features]
    if not features:
        return []
    lacking = [row | {name: without} for name, _, without in features]
    effects = (
        _as_new(model, request, row, lacking)
        if is_new
        else _changed(model, request, row, lacking, weights)
    )
    return [
        FeatureEffect(about="content", name=name, value=value, effect=float(effect))
        for (name, value, _), effect in zip(features, effects, strict=True)
    ]


def _changed(
    model: Growable,
    request: Request,
    row: dict[str, Any],
    lacking: Sequence[dict[str, Any]],
    weights: np.ndarray | None,
) -> np.ndarray:
    """[F] effect of each feature of an item with events, from one changed model per feature."""
    weights = anonymous_weights(model) if weights is None else weights
    column = int(columns_of(model, [row["item_id"]])[0])
    # The unchanged row is replaced like the changed ones, so that the effect of replacing an item
    # is not attributed to a feature.
    rows = pl.DataFrame([row, *lacking], schema=model.catalog.frame.schema)
    relative = relative_to_shown(
        np.concatenate([other.score([request]) for other in _each(model, request, rows)]), weights
    )[:, column]
    return np.asarray(relative[0] - relative[1:])


def _each(model: Growable, request: Request, rows: pl.DataFrame) -> Iterator[Explained]:
    """Yield the model with each of the rows changed; in one batch where no search reads their
    words.
    """
    if isinstance(model, FittedModel) and not request.searches:
        yield from with_each(model, rows)
    else:
        yield from (model.with_items(rows[place]) for place in range(len(rows)))


def _as_new(
    model: Growable, request: Request, row: dict[str, Any], lacking: Sequence[dict[str, Any]]
) -> np.ndarray:
    """[F] effect of each feature of a cold item: copies of it, whole and without each feature, are
    added to one model.
    """
    twins = [
        other | {"item_id": f"{row['item_id']} twin {n}"} for n, other in enumerate([row, *lacking])
    ]
    grown = model.with_items(pl.DataFrame(twins, schema=model.catalog.frame.schema))
    relative = relative_scores(
        grown, [request], columns_of(grown, [twin["item_id"] for twin in twins])[None]
    )[0]
    return np.asarray(relative[0] - relative[1:])


def _features(row: dict[str, Any], words: int) -> list[tuple[str, str, Any]]:
    """Return (column, removed value, rest) of an item's features, in the order of
    `MAX_FEATURES`.
    """
    tags, single, texts = [], [], []
    for name, value in row.items():
        if name in NOT_CONTENT or value is None or value == "":
            continue
        several = split_tags(value) if name not in LONG_TEXT else []
        if len(several) > 1:
            tags += [
                (name, tag, _join_tags(value, [t for t in several if t != tag])) for tag in several
            ]
        else:
            nothing = "" if isinstance(value, str) else None
            single.append(
                (name, "" if name in LONG_TEXT else str(several[0] if several else value), nothing)
            )
        if name in LONG_TEXT and name not in {"title", "name"}:
            longest = sorted(
                {w.lower() for w in re.findall(r"[^\W\d_]{5,}", str(value))},
                key=lambda w: (-len(w), w),
            )[:words]
            texts += [
                (
                    name,
                    word,
                    re.sub(rf"\b{re.escape(word)}\b", " ", str(value), flags=re.IGNORECASE),
                )
                for word in longest
            ]
    return tags + single + texts


def split_tags(value: Any) -> list[str]:
    """Return the tags of one cell: a list, or text separated by `|`, `;` or `,`."""
    if isinstance(value, list | tuple | np.ndarray | pl.Series):
        return [str(v) for v in value]
    if not isinstance(value, str):
        return [str(value)]
    mark = next((m for m in "|;," if m in value), None)
    return [t.strip() for t in value.split(mark) if t.strip()] if mark else [value.strip()]


def _join_tags(original: Any, tags: list[str]) -> Any:
    return (
        next((m for m in "|;," if m in original), "|").join(tags)
        if isinstance(original, str)
        else tags
    )


def _effects(
    model: Explained, request: Request, changed: Sequence[Request], item_id: str
) -> list[float]:
    """Return the relative score of the request minus that of each changed request."""
    if not changed:
        return []
    columns = np.tile(columns_of(model, [item_id]), (len(changed) + 1, 1))
    relative = relative_scores(model, [request, *changed], columns)[:, 0]
    return [float(relative[0] - lacking) for lacking in relative[1:]]

"""How much each feature matters: of the item's content, of the person's profile, of the circumstances of the events.

One item for one person (`profile_effects`, `content_effects`, `circumstance_effects`): take the feature away, ask the
model again, report the change in standing. Everything is asked in one batch and nothing is approximated by a stand-in
model. Quality over many people (`permutation_importance`): shuffle the feature among them and see what it costs
(Breiman 2001; Fisher et al. 2019, arXiv:1801.01489).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
import polars as pl

from metarec.evaluation.judged import requests_at
from metarec.evaluation.measure import Trial
from metarec.explanation.quality import Mean, Scored, newcomer_ndcg
from metarec.explanation.standing import Explained, columns_of, standings
from metarec.recommendation.slate import Request

MOST_FEATURES = 24
"""Content features of one item tried at most; tags come first, then whole columns, then words of the text."""
LONG_TEXT = ("title", "name", "text", "description", "plot", "summary")
NOT_CONTENT = ("item_id", "image", "image_url", "url", "poster_url")


@dataclass(frozen=True, kw_only=True)
class FeatureEffect:
    """What one feature does to an item's standing for one person (positive: lifts it)."""

    about: str
    """`profile`, `content` or `circumstances`."""
    name: str
    """Column or attribute."""
    value: str
    """The value taken away, as text; empty where the feature is a whole column of text or a circumstance."""
    effect: float


def profile_effects(model: Explained, request: Request, item_id: str) -> list[FeatureEffect]:
    """Standing with the whole profile minus standing without each attribute."""
    names = [name for name, value in request.profile.items() if value is not None]
    lacking = [replace(request, profile={k: v for k, v in request.profile.items() if k != name}) for name in names]
    effects = _effects(model, request, lacking, item_id)
    return [FeatureEffect(about="profile", name=name, value=str(request.profile[name]), effect=effect)
            for name, effect in zip(names, effects, strict=True)]


def circumstance_effects(model: Explained, request: Request, item_id: str) -> list[FeatureEffect]:
    """What the values, kinds, times and order of the events add beyond which items they were."""
    history = list(request.history)
    values = [float(event[1]) for event in history]
    middle = sum(values) / len(values) if values else 1.0
    changes: dict[str, list[tuple[Any, ...]]] = {
        "values": [(event[0], middle, *event[2:]) for event in history],
        "kinds": [(*event[:2], "event", *event[3:]) if len(event) > 2 else event for event in history],
        "times": [event[:3] for event in history],
        "order": history[::-1],
    }
    changed = {name: events for name, events in changes.items() if events != history}
    effects = _effects(model, request, [replace(request, history=events) for events in changed.values()], item_id)
    return [FeatureEffect(about="circumstances", name=name, value="", effect=effect)
            for name, effect in zip(changed, effects, strict=True)]


class Growable(Explained, Protocol):
    """A model that takes items it never saw from their content alone."""

    def with_items(self, frame: pl.DataFrame) -> Self:
        """The same model with the items of `frame` added."""


def content_effects(model: Growable, request: Request, item_id: str, *, words: int = 0) -> list[FeatureEffect]:
    """What each tag, column and (if asked) word of an item does through its content.

    The item is added again as one nobody ever met, once whole and once without each feature, so the effects are those of
    the content path: for a well-known item they are smaller than its history's, which `leave_one_out` and the parts show.

    Args:
        words: how many words of its text to try, the longest first.
    """
    row = model.catalog.frame.row(int(columns_of(model, [item_id])[0]), named=True)
    features = _features(row, words)[:MOST_FEATURES]
    if not features:
        return []
    twins = [row | {"item_id": f"{item_id} as new"}]
    twins += [row | {"item_id": f"{item_id} without {n}", name: rest} for n, (name, _, rest) in enumerate(features)]
    grown = model.with_items(pl.DataFrame(twins, schema=model.catalog.frame.schema))
    columns = columns_of(grown, [twin["item_id"] for twin in twins])
    # Centred on the same catalog for all twins, so the twins' own presence in the mean cancels.
    found = standings(grown, [request], columns[None])[0]
    return [FeatureEffect(about="content", name=name, value=value, effect=float(found[0] - lacking))
            for (name, value, _), lacking in zip(features, found[1:], strict=True)]


def _features(row: dict[str, Any], words: int) -> list[tuple[str, str, Any]]:
    """(column, value taken away, what is left) of an item; the order is that of `MOST_FEATURES`."""
    tags, whole, texts = [], [], []
    for name, value in row.items():
        if name in NOT_CONTENT or value is None or value == "":
            continue
        several = split_tags(value) if name not in LONG_TEXT else []
        if len(several) > 1:
            tags += [(name, tag, _join_tags(value, [t for t in several if t != tag])) for tag in several]
        else:
            whole.append((name, "" if name in LONG_TEXT else str(several[0] if several else value), None))
        if name in LONG_TEXT and name not in {"title", "name"}:
            longest = sorted({w.lower() for w in re.findall(r"[^\W\d_]{5,}", str(value))}, key=lambda w: (-len(w), w))[:words]
            texts += [(name, word, re.sub(rf"\b{re.escape(word)}\b", " ", str(value), flags=re.IGNORECASE)) for word in longest]
    return tags + whole + texts


def split_tags(value: Any) -> list[str]:
    """Tags of one cell: a list, or text with `|`, `;` or `,` between them."""
    if isinstance(value, list | tuple | np.ndarray | pl.Series):
        return [str(v) for v in value]
    if not isinstance(value, str):
        return [str(value)]
    mark = next((m for m in "|;," if m in value), None)
    return [t.strip() for t in value.split(mark) if t.strip()] if mark else [value.strip()]


def _join_tags(original: Any, tags: list[str]) -> Any:
    return next((m for m in "|;," if m in original), "|").join(tags) if isinstance(original, str) else tags


def _effects(model: Explained, request: Request, changed: Sequence[Request], item_id: str) -> list[float]:
    if not changed:
        return []
    columns = np.tile(columns_of(model, [item_id]), (len(changed) + 1, 1))
    found = standings(model, [request, *changed], columns)[:, 0]
    return [float(found[0] - lacking) for lacking in found[1:]]


@dataclass(frozen=True, kw_only=True)
class ImportanceRow:
    """What shuffling one feature among newcomers costs."""

    feature: str
    loss: Mean
    """NDCG@k with the feature minus with it shuffled, paired by newcomer; positive: the feature helps."""


def permutation_importance(model: Scored, trial: Trial, *, shots: int, rng: np.random.Generator, k: int = 10,
                           repeats: int = 3) -> list[ImportanceRow]:
    """Quality lost when a profile attribute is dealt to other people, or the circumstances of the events are blurred.

    Args:
        shots: events of each newcomer the model is shown.
        repeats: shuffles averaged for each profile attribute.
    """
    requests = requests_at(trial.newcomers, shots)
    base = newcomer_ndcg(model, requests, trial, k=k)
    losses: dict[str, np.ndarray] = {}
    for attribute in sorted({name for person in trial.newcomers for name in person.profile}):
        dealt = [newcomer_ndcg(model, _deal(requests, attribute, rng), trial, k=k) for _ in range(repeats)]
        losses[f"profile: {attribute}"] = base - np.mean(dealt, axis=0)
    if shots:
        reverse = [replace(r, history=list(r.history)[::-1]) for r in requests]
        losses["order of events"] = base - newcomer_ndcg(model, reverse, trial, k=k)
        mean = float(np.mean([event[1] for r in requests for event in r.history]))
        flat = [replace(r, history=[(event[0], mean) for event in r.history]) for r in requests]
        losses["values of events"] = base - newcomer_ndcg(model, flat, trial, k=k)
    rows = [ImportanceRow(feature=feature, loss=Mean.of(loss, rng)) for feature, loss in losses.items()]
    return sorted(rows, key=lambda row: -row.loss.mean)


def _deal(requests: Sequence[Request], attribute: str, rng: np.random.Generator) -> list[Request]:
    """Give everyone the attribute of somebody else, who may have none."""
    givers = (requests[row].profile for row in rng.permutation(len(requests)))
    return [replace(request, profile={**{k: v for k, v in request.profile.items() if k != attribute},
                                      **{k: v for k, v in giver.items() if k == attribute}})
            for request, giver in zip(requests, givers, strict=True)]

"""From scores to slates: what may be shown, in which order, with which probability.

The order of work: filter, policy, bans, seen and excluded items take items out; exploration or the
plain ranking orders them; diversity reorders; pins and quotas have the last word. Exploration logs
exact probabilities, which diversity and quotas would make untrue, so a slate that asks for those is
not explored and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from metarec.data.schema import BadInput, Catalog, Vocabulary
from metarec.recommendation.diversity import Diversity
from metarec.recommendation.exploration import explore
from metarec.recommendation.filters import filter_mask
from metarec.recommendation.rank import rank
from metarec.recommendation.rerank import Reranker, chosen
from metarec.recommendation.rules import Rules, apply_rules, category_matrix
from metarec.recommendation.slate import Request


@dataclass(frozen=True, kw_only=True)
class SlateOptions:
    """What, beside the person, shapes a slate."""

    k: int = 10
    filter: str | None = None
    """Which items may be shown, see `filters`."""
    rules: Rules = field(default_factory=Rules)
    diversity: float = 0.0
    """Weight of newness within the slate, in [0, 1]."""
    explore: float = 0.0
    """Strength of exploration; 0 shows the best as known."""
    exclude_seen: bool = True
    """Leave out what is in the history."""
    reranker: Reranker | None = None
    """Reorders for another aim (exposure, calibration); instead of `diversity`."""

    def __post_init__(self) -> None:
        if self.k < 1:
            raise BadInput(f"k must be 1 or more, got {self.k}")
        if not 0.0 <= self.diversity <= 1.0:
            raise BadInput(f"diversity must lie in [0, 1], got {self.diversity}")
        if self.explore < 0.0:
            raise BadInput(f"explore must be 0 or more, got {self.explore}")
        if self.diversity and self.reranker is not None:
            raise BadInput(
                "a slate is reordered for one aim: give diversity or a reranker, not both"
            )


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """Slates as indexes."""

    items: np.ndarray
    """[B, K] item indexes, best first, -1 where a person's slate is shorter."""
    propensity: np.ndarray
    """[B, K] probability in (0, 1] that this item was shown at this place."""
    notes: list[str]
    """What was not done, for every slate."""


def hide_items(
    scores: np.ndarray, requests: Sequence[Request], catalog: Catalog, options: SlateOptions
) -> None:
    """Set to -inf, in place, what a person may not be shown, of `scores` [B, N] in the order of the
    catalog.

    Raises:
        BadInput: if the filter cannot be read.
    """
    vocabulary = catalog.vocabulary
    if options.filter and options.filter.strip():
        scores[:, ~filter_mask(options.filter, catalog.frame)] = -np.inf
    if options.rules.ban:
        banned = vocabulary.indexes(options.rules.ban)
        scores[:, banned[banned >= 0]] = -np.inf
    if any(request.exclude for request in requests):
        scores[_cells([request.exclude for request in requests], vocabulary)] = -np.inf
    if options.exclude_seen:
        scores[
            _cells([[event[0] for event in request.history] for request in requests], vocabulary)
        ] = -np.inf
    limited = [row for row, request in enumerate(requests) if request.allow is not None]
    if limited:
        owner, items = _cells([requests[row].allow or () for row in limited], vocabulary)
        only = np.full((len(limited), len(vocabulary)), -np.inf, scores.dtype)
        only[owner, items] = scores[np.array(limited)[owner], items]
        scores[limited] = only


def order_slates(
    scores: np.ndarray,
    catalog: Catalog,
    options: SlateOptions,
    rng: np.random.Generator,
    *,
    spread: np.ndarray | None = None,
    embeddings: np.ndarray | None = None,
) -> Ordered:
    """Order what may be shown.

    Args:
        scores: [B, N] log-scores in the order of the catalog; -inf where an item may not be shown.
        rng: orders equal scores, and draws where slates are explored.
        spread: [B, N] standard deviation of each score, for exploration.
        embeddings: [N, D], for diversity.

    Raises:
        BadInput: if exploration or diversity is asked for without what it needs.
    """
    if options.explore and spread is None:
        raise BadInput(
            "this model does not say how sure its scores are, so it cannot explore; ask with "
            "explore=0"
        )
    if options.diversity and embeddings is None:
        raise BadInput(
            "this model has no item embeddings, so its slates cannot be made more diverse; ask "
            "with diversity=0"
        )
    reranker = options.reranker
    if options.diversity and embeddings is not None:
        reranker = Diversity(embeddings=embeddings, weight=options.diversity)
    if options.explore and spread is not None and not options.rules.quota and reranker is None:
        return _explored(scores, catalog.vocabulary, options, spread, rng)
    plain = reranker is None and not options.rules.quota and not options.rules.pin
    items, values = rank(
        scores, options.k if plain else min(scores.shape[1], max(200, 10 * options.k)), rng
    )
    if reranker is not None:
        items = chosen(
            items,
            reranker.rerank(
                items, values, items.shape[1] if options.rules.quota else options.k, rng
            ),
        )
    if options.rules.quota or options.rules.pin:
        has = (
            category_matrix(catalog.frame, list(options.rules.quota), options.rules.quota_column)
            if options.rules.quota
            else np.zeros((len(catalog), 0), dtype=bool)
        )
        items = apply_rules(
            items,
            ~np.isneginf(scores),
            options.k,
            options.rules,
            vocabulary=catalog.vocabulary,
            has_category=has,
        )
    notes = (
        ["not explored: diversity and quotas would make the logged probabilities untrue"]
        if options.explore
        else []
    )
    return Ordered(items=items, propensity=np.ones(items.shape), notes=notes)


def _explored(
    scores: np.ndarray,
    vocabulary: Vocabulary,
    options: SlateOptions,
    spread: np.ndarray,
    rng: np.random.Generator,
) -> Ordered:
    """Pins stand surely in front; the rest is drawn without them, so that its probabilities stay
    exact.
    """
    pins = vocabulary.indexes(dict.fromkeys(options.rules.pin))[: options.k]
    pins = pins[pins >= 0]
    rest = scores.copy()
    rest[:, pins] = -np.inf
    drawn, propensity = explore(
        rest, spread, options.k, rng, strength=options.explore, pool=max(100, 2 * options.k)
    )
    if not len(pins):
        return Ordered(items=drawn, propensity=propensity, notes=[])
    line = np.concatenate(
        [np.where(np.isneginf(scores[:, pins]), -1, pins[None, :]), drawn], axis=1
    )
    chance = np.concatenate([np.ones((len(line), len(pins))), propensity], axis=1)
    order = np.argsort(line < 0, axis=1, kind="stable")[:, : options.k]
    return Ordered(
        items=np.take_along_axis(line, order, 1),
        propensity=np.take_along_axis(chance, order, 1),
        notes=[],
    )


def _cells(ids: Sequence[Sequence[str]], vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """(person, item) index pairs of lists of ids; unknown ids are left out."""
    owner = np.repeat(np.arange(len(ids)), [len(row) for row in ids])
    items = vocabulary.indexes(str(item_id) for row in ids for item_id in row)
    return owner[items >= 0], items[items >= 0]

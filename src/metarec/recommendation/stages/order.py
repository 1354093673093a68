"""Third stage: order the items that may be shown, with the propensity of each position.

Exploration or the plain ranking orders the items; diversity or another reranker reorders them; pins
and quotas are applied last. Exploration logs exact propensities, which diversity and quotas would
invalidate, so a slate with either is not explored, and a note says so. In a plain ranking only ties
are left to chance: an item has the propensity 1 over the number of items with its score.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from metarec.data.schema import BadInput, Catalog, Vocabulary
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.ordering.diversity import Diversity
from metarec.recommendation.ordering.exploration import explore, posterior_std
from metarec.recommendation.ordering.rerank import chosen
from metarec.recommendation.ordering.rules import apply_rules, category_matrix
from metarec.recommendation.ordering.top_k import n_tied, rank
from metarec.recommendation.ranking import Ordered, Ranking, SlateOptions, named


def order(
    model: FittedModel, ranking: Ranking, options: SlateOptions, rng: np.random.Generator
) -> Ranking:
    """Return the ranking with its slates as item indexes."""
    ordered = order_slates(
        ranking.scores,
        model.catalog,
        options,
        rng,
        spread=spread_of(model, ranking) if options.explore else None,
        embeddings=model.item_embeddings if options.diversity else None,
        names=ranking.items,
    )
    return replace(ranking, ordered=ordered)


def n_ordered(options: SlateOptions) -> int:
    """Return the number of top items from which a slate is made, apart from pins."""
    is_varied = bool(options.diversity) or options.reranker is not None
    if options.explore and not options.rules.quota and not is_varied:
        return max(100, 2 * options.k)
    is_plain = not is_varied and not options.rules.quota and not options.rules.pin
    return options.k if is_plain else max(200, 10 * options.k)


def spread_of(model: FittedModel, ranking: Ranking, some: np.ndarray | None = None) -> np.ndarray:
    """[B, N] standard deviation of the scores, or [B, I] of `some` items [I]: it combines the
    uncertainty of the user's preferences and of the popularity of cold items.
    """
    support = ranking.users.support
    popularity_weight = model.ensemble.gate.at(support.lengths)["popularity_weight"]
    uncertainty = model.popularity_uncertainty
    if some is not None:
        items_BI = np.tile(some, (len(support), 1))
        preferences, uncertainty = model.posterior_std(support, items_BI), uncertainty[some]
    elif model.retrieval is None:
        preferences = posterior_std(model.item_directions, support)
    else:  # in a large catalog only candidates can be shown
        preferences = np.zeros_like(ranking.scores)
        for row in range(len(support)):
            shown = np.flatnonzero(np.isfinite(ranking.scores[row]))
            of_user, items = support.users(np.array([row])), ranking.rows_at(shown)
            preferences[row, shown] = model.posterior_std(of_user, items[None])[0]
        uncertainty = uncertainty if ranking.items is None else uncertainty[ranking.items]
    return np.asarray(np.hypot(preferences, popularity_weight[:, None] * uncertainty), np.float32)


def order_slates(
    scores: np.ndarray,
    catalog: Catalog,
    options: SlateOptions,
    rng: np.random.Generator,
    *,
    spread: np.ndarray | None = None,
    embeddings: np.ndarray | None = None,
    names: np.ndarray | None = None,
) -> Ordered:
    """Order the items that may be shown.

    Args:
        scores: [B, N] log-scores; -inf where an item may not be shown.
        rng: breaks ties, and draws items where slates are explored.
        spread: [B, N] standard deviation of each score, for exploration.
        embeddings: of the whole catalog, for diversity.
        names: [N] ascending catalog indexes of the scored items; None: the whole catalog.

    Raises:
        BadInput: if exploration or diversity is requested without `spread` or `embeddings`.
    """
    _check_asked(options, spread, embeddings)
    reranker = options.reranker
    if options.diversity and embeddings is not None:
        reranker = Diversity(embeddings=embeddings, weight=options.diversity)
    if options.explore and spread is not None and not options.rules.quota and reranker is None:
        return _explored(scores, catalog.vocabulary, options, spread, rng, names)
    columns, values = rank(scores, min(scores.shape[1], n_ordered(options)), rng, names)
    items = named(columns, names)
    if reranker is not None:
        items = chosen(
            items,
            reranker.rerank(
                items, values, items.shape[1] if options.rules.quota else options.k, rng
            ),
        )
    if options.rules.quota or options.rules.pin:
        items = _ruled(items, scores, catalog, options, names)
    notes = (
        ["not explored: diversity and quotas would make the logged probabilities untrue"]
        if options.explore
        else []
    )
    is_plain = reranker is None and not options.rules.quota and not options.rules.pin
    propensity = 1.0 / n_tied(scores, values) if is_plain else np.ones(items.shape)
    return Ordered(items=items, propensity=propensity, notes=notes)


def _check_asked(
    options: SlateOptions, spread: np.ndarray | None, embeddings: np.ndarray | None
) -> None:
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


def _ruled(
    items: np.ndarray,
    scores: np.ndarray,
    catalog: Catalog,
    options: SlateOptions,
    names: np.ndarray | None,
) -> np.ndarray:
    """[B, K] slates with pins in front and at most its quota of each category."""
    rules = options.rules
    has = (
        category_matrix(catalog.frame, list(rules.quota), rules.quota_column)
        if rules.quota
        else np.zeros((len(catalog), 0), dtype=bool)
    )
    may = np.zeros((len(scores), len(catalog)), bool)
    may[:, slice(None) if names is None else names] = ~np.isneginf(scores)
    vocabulary = catalog.vocabulary
    return apply_rules(items, may, options.k, rules, vocabulary=vocabulary, has_category=has)


def _explored(
    scores: np.ndarray,
    vocabulary: Vocabulary,
    options: SlateOptions,
    spread: np.ndarray,
    rng: np.random.Generator,
    names: np.ndarray | None,
) -> Ordered:
    """Draw slates by exploration. Pins always come first, and the other items are drawn without
    them, so that the propensities stay exact.
    """
    pins = vocabulary.indexes(dict.fromkeys(options.rules.pin))[: options.k]
    pins = pins[pins >= 0]
    if names is not None:  # pins that may not be shown to any user have no column
        pins = np.searchsorted(names, pins[np.isin(pins, names)])
    without_pins = scores.copy()
    without_pins[:, pins] = -np.inf
    drawn, propensity = explore(
        without_pins, spread, options.k, rng, strength=options.explore, pool=n_ordered(options)
    )
    if not len(pins):
        return Ordered(items=named(drawn, names), propensity=propensity, notes=[])
    line = np.concatenate(
        [np.where(np.isneginf(scores[:, pins]), -1, pins[None, :]), drawn], axis=1
    )
    chance = np.concatenate([np.ones((len(line), len(pins))), propensity], axis=1)
    order = np.argsort(line < 0, axis=1, kind="stable")[:, : options.k]
    return Ordered(
        items=named(np.take_along_axis(line, order, 1), names),
        propensity=np.take_along_axis(chance, order, 1),
        notes=[],
    )

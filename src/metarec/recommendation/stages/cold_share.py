"""Reserved positions for cold items, which cannot be liked before they are shown to anyone.

The last `share * k` positions of a slate are reserved; a fractional position is reserved at random
with that probability. A reserved position shows one of the cold items that suit the user best, the
best one most often, instead of the item ranked there. These items are set aside before the slate is
ordered, among those that the plain ranking would not show, and the order draws from the others. So
each position draws from items of its own, whatever exploration draws, and the propensity is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from metarec.models.content import Content
from metarec.recommendation.fitted import COLD_BELOW, FittedModel
from metarec.recommendation.ordering.top_k import rank
from metarec.recommendation.ranking import Ordered, Ranking, SlateOptions, named

KNOWN = 2.0
"""Penalty on the score of a cold item for each factor e of 1 + its events: new items come first."""
CONTENT = "content"
"""Name of the model of content."""
CANDIDATES = 5
"""Number of cold items that a reserved position draws from; the n-th is drawn with 1 / n of the
probability of the first.
"""


@dataclass(frozen=True, kw_only=True)
class Reserve:
    """Cold items set aside for the reserved positions of B slates."""

    groups: np.ndarray
    """[B, P, C] catalog indexes of the items that each position draws from, the one that suits best
    first, padded with -1; no item is in two groups of a slate.
    """
    chances: np.ndarray
    """[P] probability that each position is reserved, counted from the last position of the
    slate.
    """

    def hidden(self, ranking: Ranking) -> Ranking:
        """Return the ranking without the items set aside; the scores given stay as they are."""
        scores, set_aside = ranking.scores.copy(), self.groups.reshape(len(self.groups), -1)
        rows, at = np.nonzero(set_aside >= 0)
        scores[rows, ranking.columns(set_aside[rows, at])] = -np.inf
        return replace(ranking, scores=scores)

    def drawn(self, ordered: Ordered, rng: np.random.Generator) -> Ordered:
        """Return the slates with an item drawn for each position that turns out to be reserved."""
        items, propensity = ordered.items.copy(), ordered.propensity.copy()
        last = (items >= 0).sum(axis=1) - 1
        lots = rng.random((len(items), len(self.chances), 2))
        for place, chance in enumerate(self.chances):
            group = self.groups[:, place]
            weights = (group >= 0) / np.arange(1, group.shape[1] + 1)
            may = np.flatnonzero(weights.any(axis=1))  # slates for which items are set aside
            weights = weights[may] / weights[may].sum(axis=1, keepdims=True)
            drawn = (np.cumsum(weights, axis=1) <= lots[may, place, 1, None]).sum(axis=1)
            drawn = np.minimum(drawn, (weights > 0).sum(axis=1) - 1)  # the sum may end below 1
            is_put, at = lots[may, place, 0] < chance, last[may] - place
            items[may, at] = np.where(is_put, group[may, drawn], items[may, at])
            put = chance * weights[np.arange(len(may)), drawn]
            propensity[may, at] = np.where(is_put, put, propensity[may, at] * (1.0 - chance))
        return replace(ordered, items=items, propensity=propensity)


def reserved_cold_items(
    model: FittedModel, ranking: Ranking, options: SlateOptions
) -> Reserve | None:
    """Return the cold items for reserved positions; None where there are none, or where pins,
    quotas, diversity or a reranker determine the order.
    """
    is_ruled = options.rules.quota or options.rules.pin or options.diversity or options.reranker
    if not options.cold_share or is_ruled:
        return None
    if model.retrieval is None:
        cold = model.cold_items
    else:  # in a large catalog most items are not candidates
        shown = ranking.rows_at(np.flatnonzero(np.isfinite(ranking.scores).any(axis=0)))
        cold = shown[model.n_events[shown] < COLD_BELOW]
    if not len(cold):
        return None
    chances = reserved(options.cold_share, options.k)
    n_suited = options.k + len(chances) * CANDIDATES  # the plain slate may contain `k` of them
    suited, _ = rank(cold_scores(model, ranking, cold), n_suited, None, cold)
    plain, _ = rank(ranking.scores, options.k, None, ranking.items)
    groups = _groups(named(suited, cold), named(plain, ranking.items), len(chances))
    return Reserve(groups=groups, chances=chances)


def _groups(suited: np.ndarray, plain: np.ndarray, n_places: int) -> np.ndarray:
    """Return the items of each reserved position [B, P, C], filled in turn.

    Args:
        suited: [B, S] cold items that suit each user, best first, padded with -1.
        plain: [B, K] items of the plain ranking, which are not set aside.
        n_places: P, number of positions.
    """
    stands_there = (suited[:, :, None] == plain[:, None, :]).any(axis=2)
    usual = np.where(stands_there, -1, suited)
    usual = np.take_along_axis(usual, np.argsort(usual < 0, axis=1, kind="stable"), axis=1)
    groups = np.full((len(usual), n_places * CANDIDATES), -1)
    groups[:, : usual.shape[1]] = usual[:, : groups.shape[1]]
    return groups.reshape(len(groups), CANDIDATES, n_places).transpose(0, 2, 1)


def reserved(share: float, k: int) -> np.ndarray:
    """[P] probability that each position is reserved, counted from the last position of the
    slate.
    """
    n_sure, last = divmod(share * k, 1.0)
    return np.array([1.0] * int(n_sure) + [last] * (last > 1e-9))


def cold_scores(model: FittedModel, ranking: Ranking, cold: np.ndarray) -> np.ndarray:
    """[B, C] fit of each cold item to each user by its content, minus the penalty `KNOWN` on its
    events; where the content model knows nothing of the user, the item's score instead of the fit.
    """
    scores = ranking.scores.take(ranking.columns(cold), axis=1)
    content, cold_fit = model.ensemble.scorers.get(CONTENT), scores
    if isinstance(content, Content):
        fit, is_known = content.fit_of(ranking.users, cold)
        fit[scores == -np.inf] = -np.inf
        fit[~is_known] = scores[~is_known]
        cold_fit = fit
    cold_fit -= KNOWN * np.log1p(model.n_events[cold], dtype=np.float32)
    return cold_fit

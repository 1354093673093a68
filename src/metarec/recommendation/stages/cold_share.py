"""A share of each slate for cold items, which nobody can like before somebody is shown them.

The last places of a slate are reserved: `share * k` of them, the fraction by chance. A reserved
place takes one of the cold items that suit the user best, the first most often, in place of what
would stand there; how probable each place was is written down as for exploration, exactly, for
places draw from items of their own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from metarec.models.content import Content
from metarec.recommendation.fitted import COLD_BELOW, FittedModel
from metarec.recommendation.ordering.top_k import rank
from metarec.recommendation.ranking import Ordered, Ranking, SlateOptions, named

KNOWN = 2.0
"""Log-score that a cold item loses as 1 + its events grows by a factor e: a new item goes first."""
CONTENT = "content"
CANDIDATES = 5
"""Cold items that a reserved place draws from; the n-th is drawn with 1 / n of the first's chance.
"""


def reserve(
    model: FittedModel, ranking: Ranking, options: SlateOptions, rng: np.random.Generator
) -> Ranking:
    """With cold items in reserved places; as it is where rules, diversity or a reranker decide what
    stands where.
    """
    is_ruled = options.rules.quota or options.rules.pin or options.diversity or options.reranker
    if not options.cold_share or is_ruled:
        return ranking
    if model.retrieval is None:
        cold = model.cold_items
    else:  # of a large catalog most items are no candidates
        shown = ranking.rows_at(np.flatnonzero(np.isfinite(ranking.scores).any(axis=0)))
        cold = shown[model.n_events[shown] < COLD_BELOW]
    if not len(cold):
        return ranking
    chances = reserved(options.cold_share, options.k)
    most = options.k + len(chances) * CANDIDATES  # the slate may hold `k` of them already
    suited, _ = rank(cold_scores(model, ranking, cold), most, None, cold)
    ordered = _filled(ranking.ordered, named(suited, cold), chances, rng)
    return replace(ranking, ordered=ordered)


def reserved(share: float, k: int) -> np.ndarray:
    """[P] probability that a place is reserved, from the last place of the slate on."""
    whole, rest = divmod(share * k, 1.0)
    return np.array([1.0] * int(whole) + [rest] * (rest > 1e-9))


def cold_scores(model: FittedModel, ranking: Ranking, cold: np.ndarray) -> np.ndarray:
    """[B, C] how well cold items suit each user by their content, those with fewer events first;
    of a user of whom nothing is known, by their scores.
    """
    scores = ranking.scores.take(ranking.columns(cold), axis=1)
    content, found = model.ensemble.scorers.get(CONTENT), scores
    if isinstance(content, Content):
        fit, is_known = content.fit_of(ranking.users, cold)
        fit[scores == -np.inf] = -np.inf
        fit[~is_known] = scores[~is_known]
        found = fit
    found -= KNOWN * np.log1p(model.n_events[cold], dtype=np.float32)
    return found


def _filled(
    ordered: Ordered, suited: np.ndarray, chances: np.ndarray, rng: np.random.Generator
) -> Ordered:
    """Slates with cold items in their reserved places.

    Args:
        suited: [B, S] rows of the catalog that suit each user, best first, -1 behind them.
        chances: [P] probability that a place is reserved, from the last place of a slate on.
        rng: draws whether each place is reserved, and for which item.
    """
    items, propensity = ordered.items.copy(), ordered.propensity.copy()
    last = (items >= 0).sum(axis=1) - 1
    stands_there = (suited[:, :, None] == items[:, None, :]).any(axis=2)
    usual = np.where(stands_there, -1, suited)
    usual = np.take_along_axis(usual, np.argsort(usual < 0, axis=1, kind="stable"), axis=1)
    lots = rng.random((len(items), len(chances), 2))
    for place, chance in enumerate(chances):
        group = usual[:, place :: len(chances)][:, :CANDIDATES]
        weights = (group >= 0) / np.arange(1, group.shape[1] + 1)
        may = np.flatnonzero(weights.any(axis=1))  # none where all that may be shown is
        weights = weights[may] / weights[may].sum(axis=1, keepdims=True)
        drawn = (np.cumsum(weights, axis=1) <= lots[may, place, 1, None]).sum(axis=1)
        drawn = np.minimum(drawn, (weights > 0).sum(axis=1) - 1)  # the sum may end below 1
        is_put, at = lots[may, place, 0] < chance, last[may] - place
        items[may, at] = np.where(is_put, group[may, drawn], items[may, at])
        put = chance * weights[np.arange(len(may)), drawn]
        propensity[may, at] = np.where(is_put, put, propensity[may, at] * (1.0 - chance))
    return replace(ordered, items=items, propensity=propensity)

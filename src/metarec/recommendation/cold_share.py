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
from metarec.recommendation.ranking import Ranking, SlateOptions

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
    ordered = ranking.ordered
    items, propensity = ordered.items.copy(), ordered.propensity.copy()
    fits = cold_scores(model, ranking, cold)
    chances = reserved(options.cold_share, options.k)
    for row in range(len(items)):
        _fill(items[row], propensity[row], cold, fits[row], chances, rng)
    return replace(ranking, ordered=replace(ordered, items=items, propensity=propensity))


def reserved(share: float, k: int) -> np.ndarray:
    """[P] probability that a place is reserved, from the last place of the slate on."""
    whole, rest = divmod(share * k, 1.0)
    return np.array([1.0] * int(whole) + [rest] * (rest > 1e-9))


def cold_scores(model: FittedModel, ranking: Ranking, cold: np.ndarray) -> np.ndarray:
    """[B, C] how well cold items suit each user by their content, those with fewer events first;
    of a user of whom nothing is known, by their scores.
    """
    scores = ranking.scores[:, ranking.columns(cold)].astype(np.float64)
    content = model.ensemble.scorers.get(CONTENT)
    fit = content.fit_of(ranking.users, cold) if isinstance(content, Content) else np.nan
    found = np.where(np.isneginf(scores) | np.isnan(fit), scores, fit)
    return np.asarray(found - KNOWN * np.log1p(model.n_events[cold]))


def _fill(
    items: np.ndarray,
    propensity: np.ndarray,
    cold: np.ndarray,
    fits: np.ndarray,
    chances: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Put cold items into one slate's reserved places, in place."""
    filled = int((items >= 0).sum())
    usual = np.argsort(-fits, kind="stable")
    usual = usual[np.isfinite(fits[usual]) & ~np.isin(cold[usual], items)]
    groups = [usual[place :: len(chances)][:CANDIDATES] for place in range(len(chances))]
    for place, (chance, group) in enumerate(zip(chances, groups, strict=True)):
        at = filled - 1 - place
        if at < 0 or not len(group):
            continue
        weights = 1.0 / np.arange(1, len(group) + 1)
        weights /= weights.sum()
        if rng.random() < chance:
            drawn = int(rng.choice(len(group), p=weights))
            items[at], propensity[at] = cold[group[drawn]], chance * weights[drawn]
        else:
            propensity[at] *= 1.0 - chance

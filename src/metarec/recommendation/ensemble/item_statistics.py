"""Statistics of each item: its popularity, how well liked it is, and how often it is refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarec.features.behavior import Behavior
from metarec.models.config import ModelConfig, setting
from metarec.models.ridge import from_content, with_one


@dataclass(frozen=True, kw_only=True)
class ItemStatisticsConfig(ModelConfig):
    """Hyper-parameters of popularity and item statistics
    (`recommendation.ensemble.item_statistics`).
    """

    smoothing: float = setting(0.5, above=0)
    """Additive smoothing: likes added to every item before shares are taken (above 0)."""
    content_regularization: float = setting(10.0, above=0)
    """Ridge penalty of the regression that predicts the popularity of items without events from
    their content (above 0).
    """
    damping: float = setting(10.0, at_least=0)
    """Shrinkage of an item's means towards the overall mean, as a number of events (0 or more)."""
    acceptance_damping: float = setting(5.0, above=0)
    """Minimum shrinkage of an item's acceptance towards the overall share, as a number of acts
    (above 0); stronger where items differ little beyond chance.
    """


DEFAULTS = ItemStatisticsConfig()
PULLS = np.array([1.0, 4.0, 16.0, 64.0, 256.0, 4096.0])
"""Shrinkage strengths in the mixture prior of acceptance, as multiples of `acceptance_damping`;
under the last all items are alike.
"""
PULL_STEPS = 50
"""EM steps for the weights of the mixture."""


def popularity_of(
    behavior: Behavior, config: ItemStatisticsConfig = DEFAULTS
) -> tuple[np.ndarray, np.ndarray]:
    """Return [N] smoothed shares of liked events, and the ridge weights that predict their
    logarithm from content.

    New users are evaluated on what comes after the support, so where order matters
    (`Behavior.is_ordered`) only targets after the cut count. Where it does not, all likes count,
    but those of users with very few events get a low weight: on goodbooks such users choose quite
    different books.
    """
    histories = (
        behavior.targets
        if behavior.is_ordered
        else behavior.whole.where(behavior.is_wanted(behavior.whole))
    )
    counted = behavior.weights_of(histories.owners) * histories.strengths
    if not behavior.is_ordered:
        lengths = behavior.histories.lengths
        counted = counted * (lengths / (lengths + behavior.horizon.min_events))[histories.owners]
    counts = np.bincount(histories.items, counted, behavior.n_items) + config.smoothing
    with_events = np.concatenate([behavior.whole.items, behavior.refused.items])
    seen = np.bincount(with_events, minlength=behavior.n_items) > 0
    content = behavior.content.astype(np.float64)
    log_counts = np.log(counts[seen])[:, None]
    weights = from_content(content[seen], log_counts, config.content_regularization)[:, 0]
    predicted = with_one(content[~seen]) @ weights
    counts[~seen] = np.exp(np.minimum(predicted, np.log(counts[seen]).max()))
    total = counts.sum()
    weights[-1] -= np.log(total)
    return (counts / total).astype(np.float32), weights.astype(np.float32)


def item_statistics_of(behavior: Behavior, config: ItemStatisticsConfig = DEFAULTS) -> np.ndarray:
    """[N, 3] z-scores over items with events: log of the number of events of any kind, shrunk share
    of likes, shrunk mean value; 0 for unseen items.
    """
    histories = behavior.histories
    users = behavior.weights_of(histories.owners)
    count = np.bincount(histories.items, users, behavior.n_items)
    columns = [np.log1p(count)]
    for value in (
        behavior.is_liked(histories).astype(np.float64),
        histories.values.astype(np.float64),
    ):
        total = np.bincount(histories.items, users * value, behavior.n_items)
        columns.append(
            (total + config.damping * np.average(value, weights=users)) / (count + config.damping)
        )
    item_statistics, seen = np.stack(columns, axis=1), count > 0
    middle, spread = item_statistics[seen].mean(0), item_statistics[seen].std(0)
    return np.where(
        seen[:, None], (item_statistics - middle) / np.where(spread > 1e-6, spread, np.inf), 0.0
    ).astype(np.float32)


def acceptance_of(behavior: Behavior, config: ItemStatisticsConfig = DEFAULTS) -> np.ndarray:
    """[N] float32 acceptance of each item, see `Ensemble.acceptance`.

    Some items are refused more than others by chance alone, which says nothing about the item: how
    strongly shares are shrunk towards the overall share is learned from how far items differ beyond
    chance.
    """
    kept, refused = (
        np.bincount(rows.items, behavior.weights_of(rows.owners) * rows.strengths, behavior.n_items)
        for rows in (behavior.whole, behavior.refused)
    )
    log_share, acted = np.zeros(behavior.n_items, np.float32), np.flatnonzero(kept + refused > 0)
    if not refused.any() or not kept.any():
        return log_share
    everyone = kept.sum() / (kept.sum() + refused.sum())
    share = _shares(kept[acted], refused[acted], everyone, config.acceptance_damping)
    log_share[acted] = np.minimum(np.log(share / everyone), 0.0)
    return np.where(refused > 0, log_share, 0.0).astype(np.float32)


def _shares(kept: np.ndarray, refused: np.ndarray, everyone: float, damping: float) -> np.ndarray:
    """[N] posterior mean share of accepting acts of each item, under a mixture of beta priors
    around the overall share with strengths `damping * PULLS`; the mixture weights maximize the
    likelihood of the acts (empirical Bayes; Stephens 2017, doi:10.1093/biostatistics/kxw041).
    """
    from scipy.special import betaln, softmax

    pulls = damping * PULLS[:, None]
    like, unlike = pulls * everyone, pulls * (1 - everyone)
    likelihood = betaln(like + kept, unlike + refused) - betaln(like, unlike)
    weights = np.full((len(PULLS), 1), 1 / len(PULLS))
    for _ in range(PULL_STEPS):
        chances = softmax(likelihood + np.log(weights + 1e-12), axis=0)
        weights = chances.mean(1, keepdims=True)
    return np.asarray((chances * (kept + like) / (kept + refused + pulls)).sum(0))

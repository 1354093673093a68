"""What is known of each item in general: how popular it is, how well liked, how often sent back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarec.features.behavior import Behavior
from metarec.models.config import ModelConfig, setting
from metarec.models.ridge import from_content, with_one


@dataclass(frozen=True, kw_only=True)
class ItemStatisticsConfig(ModelConfig):
    """Hyper-parameters of popularity and the statistics of items
    (`recommendation.ensemble.item_statistics`).
    """

    smoothing: float = setting(0.5, above=0)
    """Likes added to every item before shares are taken (above 0)."""
    content_regularization: float = setting(10.0, above=0)
    """Pull of what content says of the popularity of items without events towards nothing (above
    0).
    """
    damping: float = setting(10.0, least=0)
    """Events' worth of pull of an item's means towards everyone's (0 or more)."""
    acceptance_damping: float = setting(5.0, above=0)
    """Acts' worth of pull of an item's acceptance towards everyone's, at least (above 0); as far as
    items differ by chance alone it is stronger.
    """


DEFAULTS = ItemStatisticsConfig()
PULLS = np.array([1.0, 4.0, 16.0, 64.0, 256.0, 4096.0])
"""Times the least pull of an item's acceptance that items may have; under the last they are all
alike.
"""
PULL_STEPS = 50
"""Steps in which it is found how many items have which pull."""


def popularity_of(
    behavior: Behavior, config: ItemStatisticsConfig = DEFAULTS
) -> tuple[np.ndarray, np.ndarray]:
    """[N] smoothed shares of liked events, and the ridge that predicts their logarithm from
    content.

    New users will be asked about what comes after the pool: where order carries meaning only that
    counts. Where it does not, every like counts, but those of users who come once or twice for
    little: on goodbooks they choose quite different books.
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
    met = np.concatenate([behavior.whole.items, behavior.refused.items])
    seen = np.bincount(met, minlength=behavior.n_items) > 0
    content = behavior.content.astype(np.float64)
    known = np.log(counts[seen])[:, None]
    weights = from_content(content[seen], known, config.content_regularization)[:, 0]
    told = with_one(content[~seen]) @ weights
    counts[~seen] = np.exp(np.minimum(told, np.log(counts[seen]).max()))
    total = counts.sum()
    weights[-1] -= np.log(total)
    return (counts / total).astype(np.float32), weights.astype(np.float32)


def item_statistics_of(behavior: Behavior, config: ItemStatisticsConfig = DEFAULTS) -> np.ndarray:
    """[N, 3] z-scores over items with events: shrunk share of likes, shrunk mean value, log of
    events of any kind; 0 for unseen items.
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
    """[N] float32: see `Ensemble.acceptance`.

    Refusals fall on some items more than on others by chance too, and what chance explains says
    nothing of an item: how far shares are pulled towards everyone's is learned from how far items
    differ beyond it.
    """
    kept, refused = (
        np.bincount(rows.items, behavior.weights_of(rows.owners) * rows.strengths, behavior.n_items)
        for rows in (behavior.whole, behavior.refused)
    )
    found, acted = np.zeros(behavior.n_items, np.float32), np.flatnonzero(kept + refused > 0)
    if not refused.any() or not kept.any():
        return found
    everyone = kept.sum() / (kept.sum() + refused.sum())
    share = _shares(kept[acted], refused[acted], everyone, config.acceptance_damping)
    found[acted] = np.minimum(np.log(share / everyone), 0.0)
    return np.where(refused > 0, found, 0.0).astype(np.float32)


def _shares(kept: np.ndarray, refused: np.ndarray, everyone: float, damping: float) -> np.ndarray:
    """[N] share of the acts on each item that kept it: the mean under a mixture of pulls towards
    everyone's share, from `damping` to all but all of it, whose weights make the acts likeliest
    (Stephens 2017, doi:10.1093/biostatistics/kxw041).
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

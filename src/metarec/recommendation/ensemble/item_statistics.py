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
    """Acts' worth of pull of an item's acceptance towards everyone's (above 0)."""


DEFAULTS = ItemStatisticsConfig()


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
    """[N] float32: see `Ensemble.acceptance`."""
    kept, refused = (
        np.bincount(rows.items, behavior.weights_of(rows.owners) * rows.strengths, behavior.n_items)
        for rows in (behavior.whole, behavior.refused)
    )
    everyone = kept.sum() / max(kept.sum() + refused.sum(), 1e-9)
    damping = config.acceptance_damping
    share = (kept + damping * everyone) / (kept + refused + damping)
    log_share = np.log(np.maximum(share / max(everyone, 1e-9), 1e-9))
    return np.where(refused > 0, np.minimum(log_share, 0.0), 0.0).astype(np.float32)

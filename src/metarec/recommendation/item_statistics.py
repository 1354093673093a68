"""What is known of each item in general: how popular it is, how well liked, how often sent back."""

from __future__ import annotations

import numpy as np

from metarec.features.behaviour import Behaviour
from metarec.models.ridge import from_content, with_one

SMOOTHING = 0.5
"""Likes added to every item before shares are taken."""
CONTENT_RIDGE = 10.0
ACCEPTANCE_DAMPING = 5.0
"""Acts' worth of pull of an item's acceptance towards everyone's."""
ITEM_STATISTICS_DAMPING = 10.0
"""Events' worth of pull of an item's mean towards everyone's."""


def popularity_of(behaviour: Behaviour) -> tuple[np.ndarray, np.ndarray]:
    """[N] smoothed shares of liked events, and the ridge that predicts their logarithm from
    content.

    New users will be asked about what comes after the pool: where order carries meaning only that
    counts. Where it does not, every like counts, but those of users who come once or twice for
    little: on goodbooks they choose quite different books.
    """
    histories = (
        behaviour.targets
        if behaviour.is_ordered
        else behaviour.whole.where(behaviour.is_wanted(behaviour.whole))
    )
    counted = behaviour.weights_of(histories.owners) * histories.strengths
    if not behaviour.is_ordered:
        lengths = behaviour.histories.lengths
        counted = counted * (lengths / (lengths + behaviour.horizon.min_events))[histories.owners]
    counts = np.bincount(histories.items, counted, behaviour.n_items) + SMOOTHING
    met = np.concatenate([behaviour.whole.items, behaviour.refused.items])
    seen = np.bincount(met, minlength=behaviour.n_items) > 0
    content = behaviour.content.astype(np.float64)
    weights = from_content(content[seen], np.log(counts[seen])[:, None], CONTENT_RIDGE)[:, 0]
    told = with_one(content[~seen]) @ weights
    counts[~seen] = np.exp(np.minimum(told, np.log(counts[seen]).max()))
    total = counts.sum()
    weights[-1] -= np.log(total)
    return (counts / total).astype(np.float32), weights.astype(np.float32)


def item_statistics_of(behaviour: Behaviour) -> np.ndarray:
    """[N, 3] z-scores over items with events: shrunk share of likes, shrunk mean value, log of
    events of any kind; 0 for unseen items.
    """
    histories = behaviour.histories
    users = behaviour.weights_of(histories.owners)
    count = np.bincount(histories.items, users, behaviour.n_items)
    columns = [np.log1p(count)]
    for value in (
        behaviour.is_liked(histories).astype(np.float64),
        histories.values.astype(np.float64),
    ):
        total = np.bincount(histories.items, users * value, behaviour.n_items)
        columns.append(
            (total + ITEM_STATISTICS_DAMPING * np.average(value, weights=users))
            / (count + ITEM_STATISTICS_DAMPING)
        )
    item_statistics, seen = np.stack(columns, axis=1), count > 0
    middle, spread = item_statistics[seen].mean(0), item_statistics[seen].std(0)
    return np.where(
        seen[:, None], (item_statistics - middle) / np.where(spread > 1e-6, spread, np.inf), 0.0
    ).astype(np.float32)


def acceptance_of(behaviour: Behaviour) -> np.ndarray:
    """[N] float32: see `Ensemble.acceptance`."""
    kept, refused = (
        np.bincount(
            rows.items, behaviour.weights_of(rows.owners) * rows.strengths, behaviour.n_items
        )
        for rows in (behaviour.whole, behaviour.refused)
    )
    everyone = kept.sum() / max(kept.sum() + refused.sum(), 1e-9)
    share = (kept + ACCEPTANCE_DAMPING * everyone) / (kept + refused + ACCEPTANCE_DAMPING)
    log_share = np.log(np.maximum(share / max(everyone, 1e-9), 1e-9))
    return np.where(refused > 0, np.minimum(log_share, 0.0), 0.0).astype(np.float32)

"""Exploration: showing what might be good, with the probability of what was shown written down.

Thompson sampling (Thompson 1933; Chapelle and Li 2011, NeurIPS): each item's score is drawn from
its own normal distribution and the slate is the ranking of the draws. The logged propensity is the
probability that this policy puts this item at this place, computed and not sampled: given an item's
draw, how many others exceed it is a sum of independent yes/no events (Poisson binomial), and the
item's draw is integrated out on a grid. Off-policy estimates later divide by it, so a guess here
would poison them.

The price of that sum grows with places times places times candidates, so a slate of more than
`GROUP` places is drawn in groups of places, each from candidates of its own: the items that would
stand there unexplored, and an equal share of the others. Its price then grows with the places
alone, and the probabilities stay exact, for groups do not touch each other.
"""

from __future__ import annotations

import numpy as np

from metarec.features.histories import Histories
from metarec.recommendation.ordering.top_k import rank

_GRID = np.linspace(-5.0, 5.0, 81)
_WEIGHTS = np.exp(-0.5 * _GRID**2) / np.exp(-0.5 * _GRID**2).sum()
GROUP = 10
"""Slates up to this length are drawn in one, longer ones in groups of half as many places."""
NEWEST = 100
"""Events of a user that tell what is known of them, the newest: bounds the solve."""
MAX_NUMBERS = 50_000_000
"""Numbers held at a time while the posterior is found: bounds memory."""
SMALLEST = 1e-6
"""Propensities are never logged smaller: the grid's own error, and a division later."""


def explore(
    scores: np.ndarray,
    spread: np.ndarray,
    k: int,
    rng: np.random.Generator,
    *,
    strength: float = 1.0,
    pool: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a slate for each user and say how probable each of its places was.

    Only the `pool` items with the highest optimistic scores (score plus twice its spread) can be
    drawn; the propensities are those of exactly this policy.

    Args:
        scores: [B, N]; -inf marks items that may not be shown.
        spread: [B, N] standard deviation of each score, on the same scale.
        k: length of the slates.
        rng: draws scores and breaks ties.
        strength: multiplies the spread; 0 explores nothing.
        pool: items that may be drawn; at least `k`.

    Returns:
        Indexes [B, K] (-1 padding) and propensities [B, K] in (0, 1]; 1 in padded places.

    Raises:
        ValueError: if `strength` is negative or `pool` below `k`.
    """
    if strength < 0:
        raise ValueError(f"exploration strength must be 0 or more, got {strength}")
    if pool < k:
        raise ValueError(f"the pool of exploration must hold at least k={k} items, got {pool}")
    if strength == 0:
        best, _ = rank(scores, k, rng)
        return best, np.ones(best.shape)
    deviation = np.where(np.isneginf(scores), 0.0, strength * spread)
    members, _ = rank(scores + 2.0 * deviation, pool, rng)
    groups, n_places = _groups(members, min(k, members.shape[1]))
    owner = np.repeat(np.arange(len(scores)), len(groups) // max(1, len(scores)))[:, None]
    there, at = groups >= 0, np.maximum(groups, 0)
    mean = np.where(there, scores[owner, at], -np.inf)
    deviation = np.where(there, deviation[owner, at], 0.0)
    drawn = np.where(there, mean + deviation * rng.standard_normal(mean.shape), -np.inf)
    positions, _ = rank(drawn, n_places, rng)
    chosen = np.where(positions >= 0, np.take_along_axis(groups, np.maximum(positions, 0), 1), -1)
    chance = np.where(
        chosen >= 0, place_probability(mean, deviation, np.maximum(positions, 0)), 1.0
    )
    width = min(k, members.shape[1])
    return (
        chosen.reshape(len(scores), -1)[:, :width],
        chance.reshape(len(scores), -1)[:, :width],
    )


def _groups(members: np.ndarray, k: int) -> tuple[np.ndarray, int]:
    """The candidates of each group of places.

    Args:
        members: [B, R] all candidates of each user, the most promising first, -1 padding.
        k: places of the slates.

    Returns:
        Candidates [B * groups, C], -1 padding, and the places of each group. The last group may
        have more places than the slate.
    """
    n_groups = 1 if k <= GROUP else -(-2 * k // GROUP)
    n_places = -(-k // n_groups)
    own, others = members[:, : n_groups * n_places], members[:, n_groups * n_places :]
    short = n_groups * n_places - own.shape[1], -others.shape[1] % n_groups
    own, others = (
        np.pad(part, ((0, 0), (0, missing)), constant_values=-1)
        for part, missing in zip((own, others), short, strict=True)
    )
    own = own.reshape(len(members), n_groups, n_places)
    others = others.reshape(len(members), -1, n_groups).transpose(0, 2, 1)
    return np.concatenate([own, others], 2).reshape(len(members) * n_groups, -1), n_places


def directions_of(embeddings: np.ndarray) -> np.ndarray:
    """[N, D] float32 of length 1; 0 where there is no embedding."""
    return np.asarray(
        embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-9), np.float32
    )


def posterior_std(
    directions: np.ndarray, support: Histories, items: np.ndarray | None = None
) -> np.ndarray:
    """Standard deviation in (0, 1] of each item's score once a user's events are known; 1 before
    any event.

    The posterior of a Gaussian process over items: a user's leaning to each item has variance 1,
    two items' leanings are as alike as their embeddings (cosine), and an event shows one leaning
    with noise of variance 1. So uncertainty shrinks most about what is like the events, and stays 1
    about items unlike all of them, or without an embedding.

    Args:
        directions: [N, D] embeddings of length 1 (`directions_of`).
        support: the events of B users.
        items: [B, K] item indexes to be told of; all N where None.

    Returns:
        [B, K] or [B, N] float32.
    """
    known = support.where(support.positions >= np.repeat(support.lengths - NEWEST, support.lengths))
    width = len(directions) if items is None else items.shape[1]
    spread = np.ones((len(support), width), np.float32)
    at_once = max(1, MAX_NUMBERS // max(1, width * int(known.lengths.max(initial=0))))
    for start in range(0, len(support), at_once):
        rows = np.arange(start, min(start + at_once, len(support)))
        some = known.users(rows).padded()
        seen_BSD = directions[some.items] * some.is_real[..., None]
        asked = directions.T if items is None else directions[items[rows]].transpose(0, 2, 1)
        factor = np.linalg.cholesky(
            seen_BSD @ seen_BSD.transpose(0, 2, 1) + np.eye(seen_BSD.shape[1], dtype=np.float32)
        )
        explained = np.square(np.linalg.solve(factor, seen_BSD) @ asked).sum(1)
        spread[rows] = np.sqrt(np.maximum(1.0 - explained, 1e-6))
    return spread


def place_probability(mean: np.ndarray, deviation: np.ndarray, slate: np.ndarray) -> np.ndarray:
    """Probability that the ranking of independent normal draws puts `slate[b, p]` at place `p`.

    Args:
        mean: [B, R]; -inf where there is no candidate.
        deviation: [B, R] standard deviations, 0 or more.
        slate: [B, K] positions in [0, R).

    Returns:
        [B, K] in (0, 1].
    """
    from scipy.special import ndtr

    n_places = slate.shape[1]
    value = (
        np.take_along_axis(mean, slate, 1)[:, :, None]
        + np.take_along_axis(deviation, slate, 1)[:, :, None] * _GRID
    )  # [B, K, G] the item's own draw
    ahead = np.zeros(
        (*value.shape, n_places)
    )  # [B, K, G, K] probability that exactly so many others are ahead
    ahead[..., 0] = 1.0
    for other in range(mean.shape[1]):
        scale = deviation[:, other, None, None]
        with np.errstate(
            divide="ignore", invalid="ignore"
        ):  # where nothing may be shown, -inf meets -inf; nobody reads that place
            gap = mean[:, other, None, None] - value
            exceeds = np.where(scale > 0, ndtr(gap / scale), np.where(gap == 0, 0.5, gap > 0))
        exceeds = np.where(slate[:, :, None] == other, 0.0, exceeds)[..., None]
        behind = ahead * (1.0 - exceeds)
        behind[..., 1:] += ahead[..., :-1] * exceeds
        ahead = behind
    place = np.arange(n_places)
    at_place = ahead[:, place, :, place]  # [K, B, G]: the place each item was shown at
    return np.asarray(np.clip(np.einsum("kbg,g->bk", at_place, _WEIGHTS), SMALLEST, 1.0))

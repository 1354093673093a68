"""Exploration: slates by Thompson sampling, with exact propensities.

Thompson sampling (Thompson 1933; Chapelle and Li 2011, NeurIPS): each item's score is drawn from
its own normal distribution and the slate is the ranking of the draws. The logged propensity is the
probability that this policy puts this item at this position, computed and not sampled: given an
item's draw, the number of other items that exceed it is a sum of independent Bernoulli variables
(Poisson binomial), and the item's draw is integrated out on a grid. Off-policy estimates divide by
propensities, so an approximation would bias them.

The cost of that sum grows with positions times positions times candidates, so a slate of more than
`GROUP` positions is drawn in groups of positions, each from its own candidates: the items that
would be there without exploration, and an equal share of the others. The cost then grows linearly
with the number of positions, and the propensities stay exact, since the groups share no items.
"""

from __future__ import annotations

import numpy as np

from metarec.features.histories import Histories
from metarec.recommendation.ordering.top_k import n_tied, rank

_GRID = np.linspace(-5.0, 5.0, 81)
_WEIGHTS = np.exp(-0.5 * _GRID**2) / np.exp(-0.5 * _GRID**2).sum()
GROUP = 10
"""Slates up to this length are drawn in one group, longer ones in groups of about half as many
positions.
"""
NEWEST = 100
"""Number of newest events of a user that the posterior uses: bounds the linear solve."""
MAX_NUMBERS = 50_000_000
"""Maximum number of array entries held at a time while the posterior is computed: bounds memory."""
SMALLEST = 1e-6
"""Lower bound of logged propensities: the error of the grid, and safe to divide by."""


def explore(
    scores: np.ndarray,
    spread: np.ndarray,
    k: int,
    rng: np.random.Generator,
    *,
    strength: float = 1.0,
    pool: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a slate for each user, and return the propensity of each of its positions.

    Only the `pool` items with the highest optimistic scores (score plus twice its standard
    deviation) can be drawn; the propensities are those of exactly this policy.

    Args:
        scores: [B, N]; -inf marks items that may not be shown.
        spread: [B, N] standard deviation of each score, on the same scale.
        k: length of the slates.
        rng: draws scores and breaks ties.
        strength: factor on the standard deviations; 0 does not explore.
        pool: number of items that may be drawn; at least `k`.

    Returns:
        Indexes [B, K] (-1 padding) and propensities [B, K] in (0, 1]; 1 in padded positions. Items
        that share an optimistic score are assumed to share score and deviation too.

    Raises:
        ValueError: if `strength` is negative or `pool` below `k`.
    """
    if strength < 0:
        raise ValueError(f"exploration strength must be 0 or more, got {strength}")
    if pool < k:
        raise ValueError(f"the pool of exploration must hold at least k={k} items, got {pool}")
    if strength == 0:
        best, values = rank(scores, k, rng)
        return best, 1.0 / n_tied(scores, values)
    deviation = np.where(np.isneginf(scores), 0.0, strength * spread)
    optimistic = scores + 2.0 * deviation
    members, values = rank(optimistic, pool, rng)
    groups, n_places = _groups(members, min(k, members.shape[1]))
    tied = _groups(n_tied(optimistic, values), min(k, members.shape[1]))[0]
    owner = np.repeat(np.arange(len(scores)), len(groups) // max(1, len(scores)))[:, None]
    there, at = groups >= 0, np.maximum(groups, 0)
    mean = np.where(there, scores[owner, at], -np.inf)
    deviation = np.where(there, deviation[owner, at], 0.0)
    drawn = np.where(there, mean + deviation * rng.standard_normal(mean.shape), -np.inf)
    positions, _ = rank(drawn, n_places, rng)
    chosen = np.where(positions >= 0, np.take_along_axis(groups, np.maximum(positions, 0), 1), -1)
    at_place = np.maximum(positions, 0)
    in_group = _chance_of_group(np.where(there, optimistic[owner, at], -np.inf), tied, at_place)
    chance = np.where(chosen >= 0, place_probability(mean, deviation, at_place) * in_group, 1.0)
    chance = np.maximum(chance, SMALLEST)
    width = min(k, members.shape[1])
    return (
        chosen.reshape(len(scores), -1)[:, :width],
        chance.reshape(len(scores), -1)[:, :width],
    )


def _chance_of_group(optimistic: np.ndarray, tied: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the probability [G, P] that the item of each position is in its group of candidates:
    below 1 where items share an optimistic score, among which chance decides.

    Args:
        optimistic: [G, C] optimistic score of each candidate; -inf where there is none.
        tied: [G, C] number of items of the catalog with this score.
        positions: [G, P] column of the item of each position.
    """
    of_position = np.take_along_axis(optimistic, positions, 1)
    here = (optimistic[:, None, :] == of_position[:, :, None]).sum(axis=2)
    return np.asarray(here / np.maximum(np.take_along_axis(tied, positions, 1), 1))


def _groups(members: np.ndarray, k: int) -> tuple[np.ndarray, int]:
    """Split the candidates of each user by group of positions.

    Args:
        members: [B, R] all candidates of each user, the highest optimistic score first, -1 padding.
        k: length of the slates.

    Returns:
        Candidates [B * groups, C], -1 padding, and the number of positions of each group. The last
        group may have more positions than the slate.
    """
    n_groups = 1 if k <= GROUP else -(-2 * k // GROUP)
    n_places = -(-k // n_groups)
    members_first, others = members[:, : n_groups * n_places], members[:, n_groups * n_places :]
    short = n_groups * n_places - members_first.shape[1], -others.shape[1] % n_groups
    members_first, others = (
        np.pad(part, ((0, 0), (0, missing)), constant_values=-1)
        for part, missing in zip((members_first, others), short, strict=True)
    )
    members_first = members_first.reshape(len(members), n_groups, n_places)
    others = others.reshape(len(members), -1, n_groups).transpose(0, 2, 1)
    return np.concatenate([members_first, others], 2).reshape(len(members) * n_groups, -1), n_places


def directions_of(embeddings: np.ndarray) -> np.ndarray:
    """[N, D] float32 embeddings normalized to length 1; zero embeddings stay 0."""
    return np.asarray(
        embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-9), np.float32
    )


def posterior_std(
    directions: np.ndarray, support: Histories, items: np.ndarray | None = None
) -> np.ndarray:
    """Return the posterior standard deviation in (0, 1] of each item's score given a user's events;
    1 before any event.

    The scores follow a Gaussian process over items: a user's preference for each item has variance
    1, the correlation of two items is the cosine of their embeddings, and an event observes one
    preference with noise of variance 1. So uncertainty falls most for items similar to the events,
    and stays 1 for items that are orthogonal to all of them, or without an embedding.

    Args:
        directions: [N, D] embeddings of length 1 (`directions_of`).
        support: the events of B users.
        items: [B, K] item indexes; None: all N items.

    Returns:
        [B, K] or [B, N] float32.
    """
    newest = support.where(
        support.positions >= np.repeat(support.lengths - NEWEST, support.lengths)
    )
    width = len(directions) if items is None else items.shape[1]
    spread = np.ones((len(support), width), np.float32)
    at_once = max(1, MAX_NUMBERS // max(1, width * int(newest.lengths.max(initial=0))))
    for start in range(0, len(support), at_once):
        rows = np.arange(start, min(start + at_once, len(support)))
        some = (newest if at_once >= len(support) else newest.users(rows)).padded()
        seen_BSD = directions[some.items] * some.is_real[..., None]
        columns = directions.T if items is None else directions[items[rows]].transpose(0, 2, 1)
        factor = np.linalg.cholesky(
            seen_BSD @ seen_BSD.transpose(0, 2, 1) + np.eye(seen_BSD.shape[1], dtype=np.float32)
        )
        explained = np.square(np.linalg.solve(factor, seen_BSD) @ columns).sum(1)
        spread[rows] = np.sqrt(np.maximum(1.0 - explained, 1e-6))
    return spread


def place_probability(mean: np.ndarray, deviation: np.ndarray, slate: np.ndarray) -> np.ndarray:
    """Probability that the ranking of independent normal draws puts `slate[b, p]` at position `p`.

    Args:
        mean: [B, R]; -inf where there is no candidate.
        deviation: [B, R] standard deviations, 0 or more.
        slate: [B, K] column indexes in [0, R).

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
    )  # [B, K, G, K] probability that exactly this many other items are ahead
    ahead[..., 0] = 1.0
    for other in range(mean.shape[1]):
        scale = deviation[:, other, None, None]
        with np.errstate(
            divide="ignore", invalid="ignore"
        ):  # -inf - -inf for padded candidates, whose result is not used
            gap = mean[:, other, None, None] - value
            exceeds = np.where(scale > 0, ndtr(gap / scale), np.where(gap == 0, 0.5, gap > 0))
        exceeds = np.where(slate[:, :, None] == other, 0.0, exceeds)[..., None]
        behind = ahead * (1.0 - exceeds)
        behind[..., 1:] += ahead[..., :-1] * exceeds
        ahead = behind
    place = np.arange(n_places)
    at_place = ahead[:, place, :, place]  # [K, B, G]: at the position each item was shown at
    return np.asarray(np.clip(np.einsum("kbg,g->bk", at_place, _WEIGHTS), SMALLEST, 1.0))

"""Item-to-item weights that regress everyone's choices on each other, for as many events as a
new user has.

Steck 2019, "Embarrassingly shallow autoencoders for sparse data", arXiv:1905.03375, learns from
whole histories, of which a new user shows only k events. Keeping k of the n events of each training
user at random and averaging over which ones leaves the same closed form with the diagonal of the
Gram matrix multiplied by (n - 1) / (k - 1) (the denoising of Steck 2020, "Autoencoders that don't
overfit towards the identity", with the dropout given by the task instead of tuned). So there is one
regression for each of a few k, and a support between two of them takes both in proportion.

A dense solve is cubic, so it is made over the most popular items, the head; wherever an item of the
tail is concerned, each item is regressed on the other alone. Measured on five data sets, that loses
nothing (docs/experiments). An item whose events with all others are few beside its own diagonal and
the ridge is of the tail too: there the whole solution differs from that of pairs by the square of
that share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.base import EVENTS, Evidence, event_weights
from metarec.models.config import ModelConfig, setting
from metarec.models.gram import Choices, gram_blocks, kept_of, note_of
from metarec.models.item_regression import (
    among_few_users,
    among_head,
    among_places,
    energy,
    inverse_of,
    inverse_of_few_users,
    surroundings,
)
from metarec.models.sparse_rows import (
    answers,
    grown,
    is_plain,
    sparse_arrays,
    sparse_from,
    strongest,
)
from metarec.runtime.gains import ndcg_of_scores
from metarec.runtime.interpolation import Interpolation
from metarec.runtime.old_names import ARRAYS, with_current_names

REGULARIZATION, ORDERED_REGULARIZATION = 200.0, 1000.0
"""The default of `regularization`; more where order carries meaning, since what was chosen together
then says less of what comes.
"""
CHOOSING_PLACES = 10
"""Places of a slate that count where it is tried whether items share weights with those around."""


@dataclass(frozen=True, kw_only=True)
class EaseConfig(ModelConfig):
    """Hyper-parameters of EASE."""

    regularization: float | None = setting(None, above=0, tried=(20, 3000))
    """Events' worth of pull of the weights towards zero (above 0); unless given 200, or 1000 where
    order carries meaning.
    """
    max_items: int = setting(10_000, least=2)
    """Most popular items that are regressed on each other (2 or more): 10,000 take 400 MB, three
    times that for a moment; all others are regressed one on one.
    """
    min_events: int = setting(5, least=1)
    """Events of an item (1 or more) from which on it is among those: fewer do not carry a
    regression on thousands of others.
    """
    min_coupling: float = setting(0.1, least=0, below=1)
    """Part of an item's diagonal and ridge in [0, 1) that its pairs with all others must sum up to
    for it to be among those; of no account with `whole_histories`.
    """
    kept: int = setting(500, least=1)
    """Weights kept for each item (1 or more), the largest."""
    place_scales: tuple[float, ...] = setting((0.5, 2.0, 8.0, 32.0), above=0)
    """Kilometers (each above 0) at which two items clearly share less of their weights, where
    items have places; the mean of as many kernels.
    """
    place_shares: tuple[float, ...] = setting((0.02, 0.05, 0.15), above=0)
    """Variances of what is shared that are tried (each above 0), beside 1 of what an item has
    alone; none unless training users are clearly better recommended to.
    """
    max_choosing: int = setting(400, least=1)
    """Users on whom that is tried at most (1 or more)."""
    min_choosing: int = setting(20, least=2)
    """With fewer users (2 or more) it is not tried."""
    choosing_items: int = setting(2000, least=2)
    """Most popular items on which it is tried (2 or more)."""
    choosing_t: float = setting(1.5, least=0)
    """Standard errors that the mean gain must exceed (0 or more)."""
    min_shown: float = setting(1.5, above=1)
    """One event has no pair to learn from; it is taken as this many (above 1), where the regression
    is nearly a cosine.
    """
    landmarks: int = setting(500, least=1)
    """Items by the distances to which it is told how near two items are (1 or more)."""
    whole_histories: bool = setting(False)
    """Learn from whole histories, as published (Steck 2019), instead of from as many events as a
    new user has.
    """


@dataclass(frozen=True, kw_only=True)
class Ease:
    """Evidence = the support times the weights for its length, cut at zero."""

    points: np.ndarray
    """[K] support sizes with weights of their own, ascending from 1."""
    weights: tuple[sp.csr_matrix, ...]
    """K times [N, N], row = the item seen, column = the item it speaks for."""
    relevant_from: float
    config: EaseConfig = EaseConfig()
    reads: ClassVar[frozenset[str]] = EVENTS
    left_out: int = 0
    """Oldest events of the longest histories that were compared with no others, see
    `gram.newest`.
    """
    shared: float = 0.0
    """Variance of what items share with those around, beside 1 of what they have alone."""

    @property
    def note(self) -> str:
        """What was thinned; empty where nothing was."""
        return note_of("EASE", self.left_out)

    @classmethod
    def fit(
        cls, behaviour: Behaviour, rng: np.random.Generator, config: EaseConfig | None = None
    ) -> Ease:
        """Closed form at each point: B = I - P diag(1 / diag P), P = (X'X off the diagonal + D(k) +
        ridge I)^-1.
        """
        config, choices = config or cls.config, Choices.of(behaviour)
        ridge = config.regularization or (
            ORDERED_REGULARIZATION if behaviour.is_ordered else REGULARIZATION
        )
        near = None
        if config.whole_histories:
            points, diagonals = np.ones(1, np.int64), [energy(choices.events) + ridge]
        else:
            points = _points(behaviour.horizon.pool)
            diagonals = [
                _diagonal(choices.events, behaviour, int(k), config) + ridge for k in points
            ]
            near = _near(behaviour, choices, ridge, config, rng)
        return cls(
            points=points,
            weights=_weights(choices.compared, diagonals, config, near),
            relevant_from=behaviour.relevant_from,
            config=config,
            left_out=choices.left_out,
            shared=0.0 if near is None else near.share,
        )

    def answers(self, support: Histories) -> Iterator[tuple[np.ndarray, Evidence]]:
        """For each point that some user is near: how near each is [B], and what the regression says
        of each item [B, N], before it is cut at zero.
        """
        given = event_weights(support, self.relevant_from)
        nearness_BK = Interpolation.between(
            self.points, np.eye(len(self.points), dtype=np.float32)
        ).after(support.lengths)
        near = [point for point in zip(nearness_BK.T, self.weights, strict=True) if point[0].any()]
        plain = bool(near) and is_plain(support, *(weights for _, weights in near))
        for nearness, weights in near:
            yield nearness, answers(support, given, weights, plain=plain)

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> Evidence:
        """[B, N], sparse where few items are named."""
        shares = [_share(scores, nearness) for nearness, scores in self.answers(users.support)]
        if not shares:
            return sp.csr_matrix((len(users), self.weights[0].shape[0]), dtype=np.float32)
        total = shares[0]
        for share in shares[1:]:
            total = total + share
        if out is None or not isinstance(total, np.ndarray):
            return total
        np.copyto(out, total)
        return out

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Ease:
        """New items are known to nobody yet."""
        return replace(
            self, weights=tuple(grown(weights, len(content)) for weights in self.weights)
        )

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The points, the weights at each and the liking threshold."""
        weights = {
            f"{point}.{name}": array
            for point, matrix in enumerate(self.weights)
            for name, array in sparse_arrays(matrix).items()
        }
        return {
            **weights,
            "points": self.points,
            "relevant_from": np.array([self.relevant_from], np.float32),
            **({"left_out": np.array([self.left_out], np.int64)} if self.left_out else {}),
            **({"shared": np.array([self.shared])} if self.shared else {}),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: EaseConfig | None = None
    ) -> Ease:
        """From `arrays()`."""

        def at(point: int) -> sp.csr_matrix:
            return sparse_from(
                {
                    name.removeprefix(f"{point}."): array
                    for name, array in arrays.items()
                    if name.startswith(f"{point}.")
                }
            )

        points = with_current_names(arrays, ARRAYS)["points"]
        return cls(
            points=points,
            weights=tuple(at(point) for point in range(len(points))),
            relevant_from=float(arrays["relevant_from"][0]),
            config=config or cls.config,
            left_out=int(arrays["left_out"][0]) if "left_out" in arrays else 0,
            shared=float(arrays["shared"][0]) if "shared" in arrays else 0.0,
        )


def _points(pool: int) -> np.ndarray:
    """One event, all of the pool, and the middle of the two on a log scale."""
    return np.unique([1, round(float(np.sqrt(1.0 + pool))), max(pool, 1)]).astype(np.int64)


def _share(scores: Evidence, size: np.ndarray) -> Evidence:
    """Scores cut at zero, in place, and brought to the sum `size` [B] in each row that has any."""
    if isinstance(scores, np.ndarray):
        np.maximum(scores, 0.0, out=scores)
        scores *= (size / np.maximum(scores.sum(1), 1e-20)).astype(np.float32)[:, None]
        return scores
    np.maximum(scores.data, 0.0, out=scores.data)
    owners = np.repeat(np.arange(len(size)), np.diff(scores.indptr))
    whole = np.bincount(owners, scores.data, len(size))
    scores.data *= (size / np.maximum(whole, 1e-20)).astype(np.float32)[owners]
    return scores


def _diagonal(
    events: sp.csr_matrix, behaviour: Behaviour, shown: int, config: EaseConfig
) -> np.ndarray:
    """[N] diagonal of the Gram matrix when each user shows `shown` events (at most their pool), a
    pair's chance being one.
    """
    seen = np.maximum(np.minimum(shown, behaviour.pools), config.min_shown)
    chance = np.maximum(1.0, (behaviour.histories.lengths - 1) / (seen - 1))
    return np.asarray(events.power(2).T @ chance)


@dataclass(frozen=True, kw_only=True)
class _Near:
    """How items share weights with those around."""

    items: np.ndarray
    """[M] ascending: the most popular, at most those that are regressed on each other."""
    surroundings: np.ndarray
    """[M, R] of `item_regression.surroundings`."""
    share: float
    ridge: float

    def among(self, inverse: np.ndarray, diagonal: np.ndarray, head: np.ndarray) -> np.ndarray:
        """[H, H] weights between the items of the head; overwrites `inverse`."""
        near = self.surroundings[np.searchsorted(self.items, head)]
        return among_places(inverse, diagonal, self.ridge, near, self.share)


def _near(
    behaviour: Behaviour,
    choices: Choices,
    ridge: float,
    config: EaseConfig,
    rng: np.random.Generator,
) -> _Near | None:
    """How items share their weights with those around; None where they have no places, or where
    that is not clearly better for training users whose events were not learned from.

    Tried on the most popular items, after as many events as the middle point.
    """
    if behaviour.context is None or not behaviour.context.has_places:
        return None
    able = rng.permutation(np.flatnonzero(behaviour.targets.lengths > 0))
    asked = np.sort(able[: min(config.max_choosing, len(able) // 5)])
    if len(asked) < config.min_choosing:
        return None
    counts = np.bincount(choices.compared.indices, minlength=behaviour.n_items)
    by_count = np.argsort(-counts, kind="stable")[: config.max_items]
    items, places = np.sort(by_count), behaviour.context.places
    near = _Near(
        items=items,
        surroundings=surroundings(
            places[items], counts[items], config.place_scales, config.landmarks, rng
        ),
        share=0.0,
        ridge=ridge,
    )
    head = np.sort(by_count[: config.choosing_items])
    others = np.setdiff1d(np.arange(len(behaviour.histories)), asked)
    rest, shown = behaviour.users(others), _points(behaviour.horizon.pool)[:2][-1]
    events = choices.events[others]
    diagonal = (_diagonal(events, rest, int(shown), config) + ridge)[head]
    inverse = _inverse(events[:, head], diagonal)
    known = behaviour.histories.users(asked).first(np.minimum(shown, behaviour.pools[asked]))
    support = known.matrix(behaviour.n_items)[:, head].toarray()
    wanted = behaviour.targets.users(asked).matrix(behaviour.n_items)[:, head].toarray() > 0

    def quality(share: float) -> np.ndarray:
        scores = support @ replace(near, share=share).among(inverse.copy(), diagonal, head)
        return ndcg_of_scores(np.where(support > 0, -np.inf, scores), wanted, CHOOSING_PLACES)

    plain = quality(0.0)
    gains = {share: quality(share) - plain for share in config.place_shares}
    best = max(gains, key=lambda share: float(gains[share].mean()))
    error = gains[best].std() / np.sqrt(len(plain))
    if gains[best].mean() <= config.choosing_t * error + 1e-6:
        return None
    return replace(near, share=best)


def _inverse(events: sp.csr_matrix, diagonal: np.ndarray) -> np.ndarray:
    """[H, H] of the Gram matrix of `events` [B, H] with another diagonal."""
    if events.shape[0] < events.shape[1] / 2:
        return inverse_of_few_users(events, diagonal)
    return inverse_of((events.T @ events).toarray().astype(np.float32), diagonal)


def _weights(
    events: sp.csr_matrix,
    diagonals: Sequence[np.ndarray],
    config: EaseConfig,
    near: _Near | None = None,
) -> tuple[sp.csr_matrix, ...]:
    """[N, N] weights for each of the `diagonals` [N] of the Gram matrix of `events` [B, N]."""
    counts = np.bincount(events.indices, minlength=events.shape[1])
    by_count = np.argsort(-counts, kind="stable")
    is_able = counts >= config.min_events
    if not config.whole_histories and near is None:  # with places rare items learn from the others
        is_able &= _coupling(events) >= config.min_coupling * np.min(diagonals, axis=0)
    able = by_count[is_able[by_count]]
    head = np.sort((able if len(able) > 1 else by_count[:2])[: config.max_items])
    place = np.full(len(counts), -1)
    place[head] = np.arange(len(head))
    most = kept_of(config.kept, int((counts > 0).sum()))
    few_users = events.shape[0] < len(head) / 2
    gram = np.zeros((0, 0) if few_users else (len(head), len(head)), np.float32)
    tails: list[list[sp.csr_matrix]] = [[] for _ in diagonals]
    for start, together in gram_blocks(events):
        row = start + np.repeat(np.arange(together.shape[0]), np.diff(together.indptr))
        column = together.indices
        among = (place[row] >= 0) & (place[column] >= 0)
        if not few_users:
            gram[place[row[among]], place[column[among]]] = together.data[among]
        tail = ~among & (row != column)
        for diagonal, blocks in zip(diagonals, tails, strict=True):
            alone = together.data[tail] / diagonal[row[tail]]
            block = sp.csr_matrix((alone, (row[tail] - start, column[tail])), together.shape)
            blocks.append(strongest(block, most))

    def dense(diagonal: np.ndarray) -> np.ndarray:
        if near is None:
            few = among_few_users(events[:, head], diagonal) if few_users else None
            return among_head(gram, diagonal) if few is None else few
        few = inverse_of_few_users(events[:, head], diagonal) if few_users else None
        return near.among(inverse_of(gram, diagonal) if few is None else few, diagonal, head)

    return tuple(
        (_placed(dense(diagonal[head]), head, len(counts), most) + sp.vstack(blocks, format="csr"))
        .tocsr()
        .astype(np.float32)
        for diagonal, blocks in zip(diagonals, tails, strict=True)
    )


def _coupling(events: sp.csr_matrix) -> np.ndarray:
    """[N] the sum of each row of the Gram matrix of `events` [B, N] off its diagonal."""
    whole = events.T @ np.asarray(events.sum(1)).ravel()
    return np.asarray(whole - np.asarray(events.power(2).sum(0)).ravel())


def _placed(dense: np.ndarray, places: np.ndarray, n_items: int, most: int) -> sp.csr_matrix:
    """[N, N] the `most` largest entries by size of each row of `dense` [H, H], put in their
    places.
    """
    if dense.shape[1] <= most:
        row, column = np.nonzero(dense)
    else:
        blocks = [
            np.argpartition(-np.abs(block), most, axis=1)[:, :most]
            for block in np.array_split(dense, max(1, len(dense) // 1000))
        ]
        column = np.concatenate(blocks).ravel()
        row = np.repeat(np.arange(len(dense)), most)
    return sp.csr_matrix(
        (dense[row, column], (places[row], places[column])), shape=(n_items, n_items)
    )

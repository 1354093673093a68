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
import torch
from jaxtyping import Float

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.base import EVENTS, event_weights
from metarec.models.config import ModelConfig, setting
from metarec.models.gram import Choices, gram_blocks, kept_of, note_of
from metarec.models.item_knn import (
    grown,
    sparse_arrays,
    sparse_from,
    spoken_for,
    strongest,
)
from metarec.runtime.interpolation import Interpolation
from metarec.runtime.old_names import ARRAYS, with_current_names

REGULARIZATION, ORDERED_REGULARIZATION = 200.0, 1000.0
"""Where none is given; more where order carries meaning, since what was chosen together then says
less of what comes.
"""
MIN_SHOWN = 1.5
"""One event has no pair to learn from; it is taken as this many, where the regression is nearly a
cosine.
"""


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
        if config.whole_histories:
            points, diagonals = np.ones(1, np.int64), [_energy(choices.events) + ridge]
        else:
            points = _points(behaviour.horizon.pool)
            diagonals = [_diagonal(choices.events, behaviour, int(k)) + ridge for k in points]
        weights = _weights(choices.compared, diagonals, config)
        return cls(
            points=points,
            weights=weights,
            relevant_from=behaviour.relevant_from,
            config=config,
            left_out=choices.left_out,
        )

    def answers(self, support: Histories) -> Iterator[tuple[np.ndarray, sp.csr_matrix]]:
        """For each point that some user is near: how near each is [B], and what the regression says
        of each item [B, N], before it is cut at zero.
        """
        given = event_weights(support, self.relevant_from)
        nearness_BK = Interpolation.between(
            self.points, np.eye(len(self.points), dtype=np.float32)
        ).after(support.lengths)
        for nearness, weights in zip(nearness_BK.T, self.weights, strict=True):
            if nearness.any():
                yield nearness, spoken_for(support, given, weights)

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> sp.csr_matrix:
        """[B, N], sparse."""
        support = users.support
        total = sp.csr_matrix((len(support), self.weights[0].shape[0]), dtype=np.float32)
        for nearness, scores in self.answers(support):
            np.maximum(scores.data, 0.0, out=scores.data)
            owners = np.repeat(np.arange(len(support)), np.diff(scores.indptr))
            whole = np.bincount(owners, scores.data, len(support))
            scores.data *= (nearness / np.maximum(whole, 1e-20)).astype(np.float32)[owners]
            total = scores if not total.nnz else total + scores
        return total

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
        )


def _points(pool: int) -> np.ndarray:
    """One event, all of the pool, and the middle of the two on a log scale."""
    return np.unique([1, round(float(np.sqrt(1.0 + pool))), max(pool, 1)]).astype(np.int64)


def _energy(events: sp.csr_matrix) -> np.ndarray:
    """[N] diagonal of the Gram matrix."""
    return np.asarray(events.power(2).sum(0)).ravel()


def _diagonal(events: sp.csr_matrix, behaviour: Behaviour, shown: int) -> np.ndarray:
    """[N] diagonal of the Gram matrix when each user shows `shown` events (at most their pool), a
    pair's chance being one.
    """
    seen = np.maximum(np.minimum(shown, behaviour.pools), MIN_SHOWN)
    chance = np.maximum(1.0, (behaviour.histories.lengths - 1) / (seen - 1))
    return np.asarray(events.power(2).T @ chance)


def _weights(
    events: sp.csr_matrix, diagonals: Sequence[np.ndarray], config: EaseConfig
) -> tuple[sp.csr_matrix, ...]:
    """[N, N] weights for each of the `diagonals` [N] of the Gram matrix of `events` [B, N]."""
    counts = np.bincount(events.indices, minlength=events.shape[1])
    by_count = np.argsort(-counts, kind="stable")
    is_able = counts >= config.min_events
    if not config.whole_histories:
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
    return tuple(
        (
            _placed(
                _among_few_users(events[:, head], diagonal[head])
                if few_users
                else _among_head(gram, diagonal[head]),
                head,
                len(counts),
                most,
            )
            + sp.vstack(blocks, format="csr")
        )
        .tocsr()
        .astype(np.float32)
        for diagonal, blocks in zip(diagonals, tails, strict=True)
    )


def _coupling(events: sp.csr_matrix) -> np.ndarray:
    """[N] the sum of each row of the Gram matrix of `events` [B, N] off its diagonal."""
    whole = events.T @ np.asarray(events.sum(1)).ravel()
    return np.asarray(whole - np.asarray(events.power(2).sum(0)).ravel())


def _among_head(gram: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """[H, H] weights of the regression of each item of the head on all the others."""
    whole = torch.from_numpy(gram.copy())
    whole.diagonal().copy_(torch.from_numpy(diagonal))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(whole)).numpy()
    among_head = inverse / -np.diag(inverse)[None, :]
    np.fill_diagonal(among_head, 0.0)
    return np.asarray(among_head)


def _among_few_users(events: sp.csr_matrix, diagonal: np.ndarray) -> np.ndarray:
    """[H, H] the same from fewer users than items: `events` [B, H] stand for the Gram matrix, and
    a matrix of B rows is inverted (Woodbury's identity).

    With E what `diagonal` has beyond the Gram matrix's own, and Z = X E^-1/2, the inverse is
    E^-1/2 (I - W'W) E^-1/2, where W = L^-1 Z and LL' = I + ZZ'.
    """
    root = np.sqrt(diagonal - _energy(events)).astype(np.float32)
    scaled = torch.from_numpy((events.toarray() / root).astype(np.float32))
    lower = torch.linalg.cholesky(scaled @ scaled.T + torch.eye(len(scaled)))
    shared = torch.linalg.solve_triangular(lower, scaled, upper=False)
    among = (shared.T @ shared).numpy()  # off the diagonal, minus the scaled inverse
    among /= (1.0 - np.diag(among))[None, :] * root[:, None] / root[None, :]
    np.fill_diagonal(among, 0.0)
    return np.asarray(among)


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

"""EASE for short histories: a linear regression of items on each other, fitted for as many events
as a new user has.

Steck 2019, "Embarrassingly shallow autoencoders for sparse data", arXiv:1905.03375, learns from
whole histories, of which a new user shows only k events. Keeping k of the n events of each training
user at random, and averaging over all such samples, gives the same closed form with the diagonal of
the Gram matrix multiplied by (n - 1) / (k - 1) (the denoising of Steck 2020, "Autoencoders that
don't overfit towards the identity", with the dropout given by the task instead of tuned). So there
is one regression for each of a few k, and the scores of a support of a size between two of them are
interpolated.

A dense solve is cubic, so it covers the most popular items, the head; in a pair with an item of the
tail, each item is regressed on the other alone. Measured on five data sets, this loses nothing
(docs/experiments). An item whose co-occurrences are few beside its own diagonal and the ridge
belongs to the tail too: there the full solution differs from that of pairs by the square of that
share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.base import EVENTS, Evidence, event_weights
from metarec.models.ease.config import EaseConfig
from metarec.models.ease.fit import diagonal_of, nearby_items_of, points_of, weights_of
from metarec.models.ease.regression import energy
from metarec.models.gram import Choices, note_of
from metarec.models.sparse_rows import (
    answers,
    grown,
    is_plain,
    sparse_arrays,
    sparse_from,
)
from metarec.runtime.interpolation import Interpolation
from metarec.runtime.old_names import ARRAYS, with_current_names

REGULARIZATION, ORDERED_REGULARIZATION = 200.0, 1000.0
"""Defaults of `regularization`, without and with meaningful order. The latter is larger, since
co-occurrence then says less about later events.
"""


@dataclass(frozen=True, kw_only=True)
class Ease:
    """Evidence = the support times the weights for its size, cut at zero."""

    points: np.ndarray
    """[K] support sizes with weights of their own, ascending from 1."""
    weights: tuple[sp.csr_matrix, ...]
    """K times [N, N], row = item of the support, column = item that is scored."""
    relevant_from: float
    """Value from which an event counts as liked."""
    config: EaseConfig = EaseConfig()
    reads: ClassVar[frozenset[str]] = EVENTS
    left_out: int = 0
    """Number of events, the oldest of the longest histories, that are not compared with others; see
    `gram.newest`.
    """
    shared: float = 0.0
    """Prior variance of the weights that nearby items share, beside 1 of an item's own part; 0
    without sharing.
    """

    @property
    def note(self) -> str:
        """Note on events that were left out; empty if there are none."""
        return note_of("EASE", self.left_out)

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: EaseConfig | None = None
    ) -> Ease:
        """Closed form at each point: B = I - P diag(1 / diag P), P = (X'X off the diagonal + D(k) +
        ridge I)^-1.
        """
        config = config or cls.config
        choices = Choices.of(behavior, config)
        ridge = config.regularization or (
            ORDERED_REGULARIZATION if behavior.is_ordered else REGULARIZATION
        )
        near = None
        if config.whole_histories:
            points, diagonals = np.ones(1, np.int64), [energy(choices.events) + ridge]
        else:
            points = points_of(behavior.horizon.pool)
            diagonals = [
                diagonal_of(choices.events, behavior, int(k), config) + ridge for k in points
            ]
            near = nearby_items_of(behavior, choices, ridge, config, rng)
        return cls(
            points=points,
            weights=weights_of(choices.compared, diagonals, config, near),
            relevant_from=behavior.relevant_from,
            config=config,
            left_out=choices.left_out,
            shared=0.0 if near is None else near.share,
        )

    def answers(self, support: Histories) -> Iterator[tuple[np.ndarray, Evidence]]:
        """Yield, for each point with a nonzero weight for some user, the interpolation weights [B]
        and the scores [B, N] of its regression before they are cut at zero.
        """
        of_events = event_weights(support, self.relevant_from, self.config)
        nearness_BK = self._nearness.after(support.lengths)
        near = [point for point in zip(nearness_BK.T, self.weights, strict=True) if point[0].any()]
        plain = bool(near) and is_plain(support, *(weights for _, weights in near))
        for nearness, weights in near:
            yield nearness, answers(support, of_events, weights, plain=plain)

    @cached_property
    def _nearness(self) -> Interpolation:
        """[K] share of each point, by number of events."""
        return Interpolation.between(self.points, np.eye(len(self.points), dtype=np.float32))

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> Evidence:
        """[B, N] evidence for every item, sparse if few items have any."""
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
        """Return the model for a larger catalog; new items have no weights."""
        return replace(
            self, weights=tuple(grown(weights, len(content)) for weights in self.weights)
        )

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The points, the weights at each, and the threshold of liked values."""
        weights = {
            name: array
            for point, matrix in enumerate(self.weights)
            for name, array in sparse_arrays(matrix, f"{point}.").items()
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
        """Restore the model from `arrays()`."""
        points = with_current_names(arrays, ARRAYS)["points"]
        return cls(
            points=points,
            weights=tuple(sparse_from(arrays, f"{point}.") for point in range(len(points))),
            relevant_from=float(arrays["relevant_from"][0]),
            config=config or cls.config,
            left_out=int(arrays["left_out"][0]) if "left_out" in arrays else 0,
            shared=float(arrays["shared"][0]) if "shared" in arrays else 0.0,
        )


def _share(scores: Evidence, size: np.ndarray) -> Evidence:
    """Cut scores at zero, in place, and scale each row with any to the sum `size` [B]."""
    if isinstance(scores, np.ndarray):
        np.maximum(scores, 0.0, out=scores)
        scores *= (size / np.maximum(scores.sum(1), 1e-20)).astype(np.float32)[:, None]
        return scores
    np.maximum(scores.data, 0.0, out=scores.data)
    owners = np.repeat(np.arange(len(size)), np.diff(scores.indptr))
    totals = np.bincount(owners, scores.data, len(size))
    scores.data *= (size / np.maximum(totals, 1e-20)).astype(np.float32)[owners]
    return scores

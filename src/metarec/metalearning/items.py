"""What learners know of the things they score: columns, a prior log-score, and a small sample that
stands for all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

ANCHORS = 192


@dataclass(frozen=True, kw_only=True)
class ItemFeatures:
    """N items as a learner sees them. Learned priors do not depend on N, so items may be added
    later.
    """

    columns: Tensor
    """[N, D] float: collaborative factors and content, each block scaled to unit mean square
    length. [B, Q, D] where each
    of B tasks has items of its own."""
    bias: Tensor
    """[N] (or [B, Q]) float: log of how often each item is liked; what is known of it before
    knowing the person.
    """
    anchors: Tensor
    """[M] int64: items that stand for the whole catalog in a support's softmax."""
    anchor_weights: Tensor
    """[M] float: log of how many items each anchor stands for."""
    embedded: Tensor | None = None
    """[N, dim] what the trunk makes of the columns under the prior that serves; None while the
    prior is still learned.
    """

    def __len__(self) -> int:
        return self.columns.shape[-2]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.columns.shape[-1]

    @classmethod
    def of(
        cls,
        columns: Tensor,
        bias: Tensor | None = None,
        *,
        rng: np.random.Generator,
        anchors: int = ANCHORS,
    ) -> ItemFeatures:
        """Features with anchors drawn uniformly; all items are anchors where they are few."""
        count = min(anchors, len(columns))
        drawn = np.sort(rng.choice(len(columns), size=count, replace=False))
        stands_for = float(np.log(len(columns) / count))
        return cls(
            columns=columns,
            bias=columns.new_zeros(len(columns)) if bias is None else bias.to(columns.dtype),
            anchors=torch.from_numpy(drawn),
            anchor_weights=columns.new_full((count,), stands_for),
        )

    @classmethod
    def asked(cls, columns: Tensor) -> ItemFeatures:
        """Features that are only asked about: without bias and anchors, so nothing can adapt on
        them.
        """
        return cls(
            columns=columns,
            bias=columns.new_zeros(len(columns)),
            anchors=torch.zeros(0, dtype=torch.int64),
            anchor_weights=columns.new_zeros(0),
        )

    def take(self, indexes: Tensor) -> ItemFeatures:
        """Items [n], or each task's own [B, Q]; the anchors still point into the whole catalog, so
        adapt on that.
        """
        return replace(
            self,
            columns=self.columns[indexes],
            bias=self.bias[indexes],
            embedded=None if self.embedded is None else self.embedded[indexes],
        )

    def to(self, dtype: torch.dtype) -> ItemFeatures:
        """The same in another precision."""
        return replace(
            self,
            columns=self.columns.to(dtype),
            bias=self.bias.to(dtype),
            anchor_weights=self.anchor_weights.to(dtype),
        )

    def with_new_anchors(self, draw: torch.Generator) -> ItemFeatures:
        """The same items with anchors drawn afresh, as many as there were."""
        return replace(self, anchors=torch.randperm(len(self), generator=draw)[: len(self.anchors)])

    def with_noise(self, dropout: float, draw: torch.Generator) -> ItemFeatures:
        """A training view: each entry dropped with chance `dropout` and the rest scaled up."""
        if not dropout:
            return self
        kept = torch.empty_like(self.columns).bernoulli_(1.0 - dropout, generator=draw)
        return replace(self, columns=self.columns * kept / (1.0 - dropout))


def unit_scaled(block: np.ndarray) -> np.ndarray:
    """Scale a block of columns so that its rows have mean square length 1; an empty or zero block
    stays.
    """
    length = float(np.sqrt(np.square(block).sum(1).mean())) if block.size else 0.0
    return np.asarray(block / length if length > 0 else block, dtype=np.float32)


def collaborative_factors(
    matrix: sp.csr_matrix, dim: int, *, rng: np.random.Generator, damping: float = 20.0
) -> np.ndarray:
    """Item factors of a users x items matrix: right singular vectors scaled by the root of their
    singular values.

    Columns are divided by the root of (their count + `damping`) first, so that neither the popular
    nor the rare rule the first factors.

    Returns:
        [items, min(dim, rank limit)] float32.
    """
    counts = np.asarray((matrix != 0).sum(0)).ravel()
    scaled = matrix @ sp.diags(1.0 / np.sqrt(counts + damping))
    limit = min(dim, min(matrix.shape) - 1)
    if limit < 1 or not matrix.nnz:
        return np.zeros((matrix.shape[1], 0), np.float32)
    _, singular, right = sp.linalg.svds(
        scaled.astype(np.float64), k=limit, v0=rng.standard_normal(min(matrix.shape))
    )
    order = np.argsort(-singular)
    return np.asarray(right[order].T * np.sqrt(np.maximum(singular[order], 0.0)), dtype=np.float32)

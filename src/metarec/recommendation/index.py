"""Approximate retrieval for catalogs too large to score whole (extra `ann`).

The graph is usearch's HNSW (Malkov and Yashunin 2018, arXiv:1603.09320) over inner products as they
are: made equal in length by one more coordinate (Bachrach et al. 2014, RecSys), all short items
stand in one place beside a few long ones, and a third of the best was missed. Whoever asks scores
what is found exactly, so approximation costs recall only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metarec.runtime.extras import require


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """Size against recall against speed."""

    connectivity: int = 24
    """Neighbours each item keeps in the graph."""
    build_effort: int = 128
    """Candidates looked at when an item is added."""
    search_effort: int = 256
    """Candidates looked at in a search; more is slower and misses less."""


class ItemIndex:
    """Items whose inner product with a query is largest, found without scoring all."""

    def __init__(self, graph: Any, n_items: int, dim: int) -> None:
        self._graph, self.n_items, self.dim = graph, n_items, dim

    @classmethod
    def build(
        cls, embeddings: np.ndarray, config: IndexConfig | None = None, *, threads: int = 0
    ) -> ItemIndex:
        """Index the rows of `embeddings` [N, D]; `threads` 0 uses all cores (and then the graph
        differs a little each time).
        """
        config = config or IndexConfig()
        usearch = require("usearch.index", "ann")
        graph = usearch.Index(
            ndim=embeddings.shape[1],
            metric="ip",
            dtype="f32",
            connectivity=config.connectivity,
            expansion_add=config.build_effort,
            expansion_search=config.search_effort,
        )
        graph.add(np.arange(len(embeddings)), np.asarray(embeddings, np.float32), threads=threads)
        return cls(graph, len(embeddings), embeddings.shape[1])

    def search(self, queries: np.ndarray, n_candidates: int) -> np.ndarray:
        """[B, R] indexes of items likely to have the largest inner products with `queries` [B, D];
        -1 padding.

        Raises:
            ValueError: if the queries are of another width than the items.
        """
        if queries.shape[-1] != self.dim:
            raise ValueError(
                f"queries of width {queries.shape[-1]} asked of an index of width {self.dim}"
            )
        wide = np.atleast_2d(queries).astype(np.float32)
        wanted = min(n_candidates, self.n_items)
        found = self._graph.search(wide, wanted)
        keys = np.asarray(found.keys).astype(np.int64).reshape(len(wide), -1)
        counts = (
            np.full(len(wide), keys.shape[1])
            if not hasattr(found, "counts")
            else np.asarray(found.counts)
        )
        return np.where(np.arange(keys.shape[1]) < counts[:, None], keys, -1)

    def save(self, path: str | Path) -> None:
        """Write the graph to one file."""
        self._graph.save(str(path))

    @classmethod
    def load(cls, path: str | Path, config: IndexConfig | None = None) -> ItemIndex:
        """Read a graph back, left on disk and paged in as searches need it; of `config` only
        `search_effort` matters now.
        """
        graph = require("usearch.index", "ann").Index.restore(str(path), view=True)
        graph.expansion_search = (
            config or IndexConfig()
        ).search_effort  # the file does not keep it
        return cls(graph, len(graph), graph.ndim)


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Mean share, in [0, 1], of the exact top items ([B, K]) that are among those found ([B, R]);
    -1 is padding on both sides.
    """
    hits = (exact[:, :, None] == found[:, None, :]).any(2) & (exact >= 0)
    return float((hits.sum(1) / np.maximum((exact >= 0).sum(1), 1)).mean())

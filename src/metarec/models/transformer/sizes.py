"""Sizes of a sequence model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SequenceSizes:
    """Sizes of a sequence Transformer, and of GRU4Rec and Caser in its place."""

    dim: int = 64
    """Width of tokens and embeddings."""
    layers: int = 2
    """Blocks."""
    heads: int = 2
    """Attention heads."""
    dropout: float = 0.2
    """Dropout inside blocks and on tokens."""
    id_dropout: float = 0.5
    """Probability of dropping an item's collaborative residual in a training step, so that the
    network learns to score by content alone.
    """
    max_events: int = 50
    """Maximum length of a history; the newest events are kept."""
    tie_weights: bool = True
    """Score with the same item vectors that are the input; otherwise with a second table."""
    window: int = 5
    """Newest events in Caser's window (L of its paper)."""
    horizontal: int = 16
    """Caser's filters of each height (n of the paper)."""
    vertical: int = 4
    """Caser's filters over time (n' of the paper)."""

"""How large a network over events is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SequenceSizes:
    """How large a sequence Transformer is."""

    dim: int = 64
    """Width of tokens and embeddings."""
    layers: int = 2
    """Blocks."""
    heads: int = 2
    """Attention heads."""
    dropout: float = 0.2
    """Dropout inside blocks and on tokens."""
    id_dropout: float = 0.5
    """Chance that an item's collaborative part is left out of a training step, so that content
    alone must do.
    """
    max_events: int = 50
    """Newest events read of a history."""
    tie_weights: bool = True
    """Score with the same item vectors that are read; otherwise a second table."""
    window: int = 5
    """Newest events that Caser sees (L of its paper)."""
    horizontal: int = 16
    """Its filters of each height (n of the paper)."""
    vertical: int = 4
    """Its filters over time (n' of the paper)."""

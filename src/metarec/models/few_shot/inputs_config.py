"""Settings of the item features and values that meta-learners use."""

from __future__ import annotations

from dataclasses import dataclass

from metarec.models.config import ModelConfig, setting


@dataclass(frozen=True, kw_only=True)
class InputsConfig(ModelConfig):
    """Settings of the item features and values that meta-learners use."""

    factors: int = setting(32, at_least=1)
    """Collaborative factors of an item (1 or more)."""
    factor_damping: float = setting(20.0, above=0)
    """Smoothing added to an item's count before the decomposition (above 0), so that neither
    popular nor rare items dominate the first factors.
    """
    content_columns: int = setting(32, at_least=1)
    """Principal directions of content (1 or more)."""
    known_from: int = setting(1, at_least=1)
    """Minimum of likes for an item's own factors and popularity to be used (1 or more); for other
    items they are predicted from content.
    """
    content_regularization: float = setting(30.0, above=0)
    """Ridge penalty of the regression from content to factors and popularity (above 0)."""
    anchors: int = setting(192, at_least=2)
    """Items sampled to represent the catalog in the softmax of the inner loss (2 or more)."""
    offset_rounds: int = setting(8, at_least=1)
    """Alternating updates of item and user offsets (1 or more)."""
    item_damping: float = setting(2.0, at_least=0)
    """Shrinkage of an item's offset towards zero, in events (0 or more)."""
    user_damping: float = setting(10.0, at_least=0)
    """Shrinkage of a user's offset towards zero, in events (0 or more)."""


DEFAULTS = InputsConfig()

"""How a few-shot learner sees items and values."""

from __future__ import annotations

from dataclasses import dataclass

from metarec.models.config import ModelConfig, setting


@dataclass(frozen=True, kw_only=True)
class InputsConfig(ModelConfig):
    """How a few-shot learner sees items and values."""

    factors: int = setting(32, least=1)
    """Collaborative factors of an item (1 or more)."""
    factor_damping: float = setting(20.0, above=0)
    """Added to an item's count before factors are taken (above 0): neither the popular nor the rare
    rule the first ones.
    """
    content_columns: int = setting(32, least=1)
    """Leading directions of content (1 or more)."""
    known_from: int = setting(1, least=1)
    """Likes from which an item's own factors and popularity are used (1 or more)."""
    content_regularization: float = setting(30.0, above=0)
    """Pull of what content says of the factors and popularity of other items towards nothing (above
    0).
    """
    anchors: int = setting(192, least=2)
    """Items that stand for the catalog in a support's softmax (2 or more)."""
    offset_rounds: int = setting(8, least=1)
    """Times that offsets of items' and users' values are found in turn (1 or more)."""
    item_damping: float = setting(2.0, least=0)
    """Events' worth of pull of an item's offset towards zero (0 or more)."""
    user_damping: float = setting(10.0, least=0)
    """The same of users' offsets (0 or more)."""


DEFAULTS = InputsConfig()

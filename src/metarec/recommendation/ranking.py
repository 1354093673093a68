"""The value that is passed through the stages of a recommendation, and its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, cast

import numpy as np

from metarec.data.arguments import check_whole, shown
from metarec.data.schema import BadInput
from metarec.features.users import UserBatch
from metarec.recommendation.ordering.rerank import Reranker
from metarec.recommendation.ordering.rules import NO_RULES, Rules
from metarec.recommendation.slate import Request


@dataclass(frozen=True, kw_only=True)
class SlateOptions:
    """Options of a slate, beside its user."""

    k: int = 10
    """Length of the slate, 1 or more."""
    filter: str | None = None
    """Expression for the items that may be shown, see `filters`."""
    rules: Rules = NO_RULES
    """Pins, bans and quotas."""
    diversity: float = 0.0
    """Weight of dissimilarity within the slate, in [0, 1]."""
    explore: float = 0.0
    """Strength of exploration; 0 ranks by score."""
    cold_share: float = 0.0
    """Share of positions reserved for cold items, in [0, 0.5], see `cold_share`."""
    reranker: Reranker | None = None
    """Reranker for another objective (exposure, calibration); not together with `diversity`."""

    def __post_init__(self) -> None:
        self._check_types()
        if not 0.0 <= self.diversity <= 1.0:
            raise BadInput(f"diversity must lie in [0, 1], got {self.diversity}")
        if not 0.0 <= self.cold_share <= 0.5:
            raise BadInput(f"cold_share must lie in [0, 0.5], got {self.cold_share}")
        if not 0.0 <= self.explore < np.inf:
            raise BadInput(f"explore must be 0 or more, got {self.explore}")
        if self.diversity and self.reranker is not None:
            raise BadInput(
                "a slate is reordered for one aim: give diversity or a reranker, not both"
            )

    def _check_types(self) -> None:
        check_whole("k", self.k, 1)
        words, rules = (cast("Any", given) for given in (self.filter, self.rules))
        for name in ("diversity", "cold_share", "explore"):
            if not isinstance(getattr(self, name), Real):
                raise BadInput(f"{name} takes a number, got {shown(getattr(self, name))}")
        if not isinstance(words, str | None):
            raise BadInput(f"filter is a text such as 'year > 1990', got {shown(words)}")
        if not isinstance(rules, Rules):
            raise BadInput(f"rules must be Rules, got {shown(rules)}")
        if self.reranker is not None and not hasattr(self.reranker, "rerank"):
            raise BadInput(f"a reranker has the method rerank, got {shown(self.reranker)}")


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """Slates as item indexes."""

    items: np.ndarray
    """[B, K] item indexes, best first, padded with -1."""
    propensity: np.ndarray
    """[B, K] probability in (0, 1] that this item was shown at this position."""
    notes: list[str]
    """Notes on options that had no effect, one list for all slates."""


_NOTHING = Ordered(items=np.zeros((0, 0), np.int64), propensity=np.zeros((0, 0)), notes=[])


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """B requests on their way to slates; every stage adds its results."""

    requests: Sequence[Request]
    users: UserBatch
    """The users of the requests."""
    unknown: np.ndarray
    """[B] number of events with items that are not in the catalog."""
    scores: np.ndarray
    """[B, N] log-scores; after `restrict`, -inf where an item may not be shown."""
    items: np.ndarray | None = None
    """[N] ascending catalog indexes of the scored items; None: the whole catalog."""
    ordered: Ordered = field(default_factory=lambda: _NOTHING)
    """Slates as item indexes, set by `order`."""

    def rows(self, rows: Sequence[int]) -> Ranking:
        """Return some of the requests before they are ordered, with a copy of their scores."""
        chosen = np.asarray(rows)
        return Ranking(
            requests=[self.requests[row] for row in rows],
            users=self.users.rows(chosen),
            unknown=self.unknown[chosen],
            scores=self.scores[chosen],
            items=self.items,
        )

    def columns(self, items: np.ndarray) -> np.ndarray:
        """Return the columns of the scores for these catalog indexes, all of which are scored."""
        return items if self.items is None else np.searchsorted(self.items, items)

    def rows_at(self, columns: np.ndarray) -> np.ndarray:
        """Return the catalog indexes of these columns of the scores; -1 stays -1."""
        return named(columns, self.items)


def named(columns: np.ndarray, names: np.ndarray | None) -> np.ndarray:
    """Return the catalog indexes of these columns of the scores; -1 stays -1.

    Args:
        names: [N] catalog index of each column; None: columns are catalog indexes.
    """
    return columns if names is None else np.where(columns < 0, -1, names[columns])

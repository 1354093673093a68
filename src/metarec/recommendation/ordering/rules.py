"""Business rules on a ranked list: pins, bans, and quotas of categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real

import numpy as np
import polars as pl

from metarec.data.arguments import check_type, ids_of
from metarec.data.schema import BadInput, Vocabulary


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Business rules of a slate."""

    pin: Sequence[str] = ()
    """Item ids put first, in this order, unless the user may not see them (a ban, a filter, already
    seen).
    """
    ban: Sequence[str] = ()
    """Item ids never shown."""
    quota: Mapping[str, int] = field(default_factory=dict)
    """Maximum number of items of each category (a tag's text, compared case-insensitively) in a
    slate.
    """
    quota_column: str = "categories"
    """The catalog's column of tags that `quota` counts."""

    def __post_init__(self) -> None:
        for name in ("pin", "ban"):
            object.__setattr__(self, name, ids_of(name, getattr(self, name)))
        check_type("quota", self.quota, Mapping, "numbers by category")
        for category, limit in self.quota.items():
            check_type("quota", limit, Real, "a number for each category")
            if limit < 0:
                raise BadInput(f"the quota of {category!r} must be 0 or more, got {limit}")


NO_RULES = Rules()
"""The rules of a slate without any."""


def category_matrix(
    items: pl.DataFrame, categories: Sequence[str], column: str = "categories"
) -> np.ndarray:
    """Return a mask [N, C] of the categories of each item.

    Raises:
        BadInput: if the catalog has no such column.
    """
    from metarec.recommendation.filters import filter_masks

    if column not in items.columns:
        raise BadInput(
            f"a quota counts column {column!r}, which the catalog does not have (columns: "
            f"{', '.join(items.columns)})"
        )
    table = items.select(pl.col(column).alias("tags"))
    quoted = [category.replace("\\", "\\\\").replace('"', '\\"') for category in categories]
    return filter_masks([f'tags = "{category}"' for category in quoted], table)


def apply_rules(
    ranked: np.ndarray,
    allowed: np.ndarray,
    k: int,
    rules: Rules,
    *,
    vocabulary: Vocabulary,
    has_category: np.ndarray,
) -> np.ndarray:
    """Make slates of `k` from longer ranked lists: pins first, then the ranking without items that
    would exceed a quota.

    A slate is shorter than `k` where the quotas admit no more items of the ranked list.

    Args:
        ranked: [B, R] item indexes, best first, -1 padding; R well above `k` where quotas are
            tight.
        allowed: bool [B, N]; pins outside it are not shown.
        has_category: bool [N, C] in the order of `rules.quota`.

    Returns:
        [B, K] item indexes, -1 padding.
    """
    pins = vocabulary.indexes(dict.fromkeys(rules.pin))
    pins = pins[pins >= 0]
    pinned = np.where(allowed[:, pins], pins[None, :], -1)
    again = (
        (ranked[:, :, None] == pinned[:, None, :]).any(2)
        if len(pins)
        else np.zeros(ranked.shape, dtype=bool)
    )
    line = np.concatenate([pinned, np.where(again, -1, ranked)], axis=1)
    taken = _within_quota(
        line, k, np.array(list(rules.quota.values()), dtype=np.int64), has_category
    )
    order = np.argsort(~taken, axis=1, kind="stable")[:, :k]
    return np.where(np.take_along_axis(taken, order, 1), np.take_along_axis(line, order, 1), -1)


def _within_quota(
    line: np.ndarray, k: int, quotas: np.ndarray, has_category: np.ndarray
) -> np.ndarray:
    """Mask of the items taken in a pass down the lists of all users at once: an item is taken while
    its categories are below their quotas.
    """
    taken = np.zeros(line.shape, dtype=bool)
    room = np.broadcast_to(quotas, (len(line), len(quotas))).copy()
    left = np.full(len(line), k)
    for place in range(line.shape[1]):
        item = line[:, place]
        of = has_category[item] if len(quotas) else np.zeros((len(line), 0), dtype=bool)
        taken[:, place] = (item >= 0) & (left > 0) & (~of | (room > 0)).all(1)
        room -= of & taken[:, [place]]
        left -= taken[:, place]
    return taken

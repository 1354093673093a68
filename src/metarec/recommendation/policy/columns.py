"""Catalog columns that a policy reads, parsed once: tags, numbers, prerequisites, availability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from metarec.data.domains import Policy
from metarec.data.policies import column_of
from metarec.data.policy_rules import Comparison, PolicyRule, read_rule
from metarec.data.policy_values import readings_of, tags_of, unit_in
from metarec.data.schema import Vocabulary
from metarec.data.tag_words import TagWords
from metarec.recommendation.policy.availability import availability_of
from metarec.recommendation.policy.fulfillment import listed_items, split_ids

AVAILABLE = "available"
"""Item column of availability that is always applied, whatever the policy."""


@dataclass(frozen=True)
class PolicyColumns:
    """The columns of one catalog that its policy reads."""

    policy: Policy
    items: pl.DataFrame
    """The catalog's frame: `item_id` and the columns that the policy names."""

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Item id <-> row."""
        return Vocabulary(self.items["item_id"].to_list())

    def column(self, name: str) -> str | None:
        """Return the catalog's column for a name in the policy; None where there is none."""
        if name not in self._columns:
            self._columns[name] = column_of(name, self.items.columns, self.policy)
        return self._columns[name]

    @cached_property
    def _columns(self) -> dict[str, str | None]:
        return {}

    def cells(self, name: str) -> list[Any]:
        """Return [N] values of a column; None where empty."""
        column = self.column(name)
        return [None] * self.items.height if column is None else self.items[column].to_list()

    @cached_property
    def items_of_tag(self) -> dict[str, dict[str, np.ndarray]]:
        """Column -> tag -> indexes of the items that have it."""
        columns = {self.column(e.item_column) for e in self.policy.exclusions} - {None}
        return {str(column): _inverted(self.items[str(column)].to_list()) for column in columns}

    @cached_property
    def words_of_tags(self) -> dict[str, TagWords]:
        """Column -> index of its tags by the words in them."""
        return {column: TagWords(items) for column, items in self.items_of_tag.items()}

    @cached_property
    def says_anything(self) -> dict[str, np.ndarray]:
        """Column -> indexes of the items with any tag in it."""
        return {
            column: np.unique(np.concatenate([*items.values(), np.zeros(0, np.int64)]))
            for column, items in self.items_of_tag.items()
        }

    @cached_property
    def says_nothing(self) -> dict[str, np.ndarray]:
        """Name in the policy -> bool [N]: items whose cell is empty or cannot be compared."""
        silent = {e.item_column: self.is_empty(e.item_column) for e in self.policy.exclusions}
        for rule in self.rules:
            for part in rule.items:
                unknown = part.holds(self.cells(part.name))[1]
                silent[part.name] = unknown | silent.get(part.name, np.zeros(len(unknown), bool))
        if self.policy.available:
            cells = self.cells(self.policy.available)
            unknown = np.array([availability_of(cell) is None for cell in cells], bool)
            silent[self.policy.available] = unknown
        return silent

    def is_empty(self, name: str) -> np.ndarray:
        """[N] bool: items whose cell is empty."""
        if name not in self._empty:
            self._empty[name] = np.array([tags_of(c) is None for c in self.cells(name)], bool)
        return self._empty[name]

    @cached_property
    def _empty(self) -> dict[str, np.ndarray]:
        return {}

    @cached_property
    def rules(self) -> list[PolicyRule]:
        """Rules whose columns are all in the catalog."""
        read = [read_rule(text) for text in self.policy.rules]
        return [rule for rule in read if all(self.column(p.name) is not None for p in rule.items)]

    def items_of(self, parts: tuple[Comparison, ...]) -> np.ndarray:
        """Return the indexes of the items for which all comparisons hold. Comparisons with a
        constant of the rule are cached; those with a user's number use the column's parsed numbers.
        """
        masks = [self._mask(part) for part in parts]
        return np.flatnonzero(np.logical_and.reduce(masks))

    def _mask(self, part: Comparison) -> np.ndarray:
        """[N] mask of the items for which one comparison holds."""
        if isinstance(part.value, float):
            return part.compare(self._numbers(part.name))
        if part not in self._masks:
            self._masks[part] = part.holds(self.cells(part.name))[0]
        return self._masks[part]

    @cached_property
    def _masks(self) -> dict[Comparison, np.ndarray]:
        return {}

    def _numbers(self, name: str) -> np.ndarray:
        """Float64 [2, N], a column as `readings_of` reads it, cached; NaN where a cell is not a
        number.
        """
        if name not in self._columns_of_numbers:
            self._columns_of_numbers[name] = readings_of(self.cells(name), unit_in(name))
        return self._columns_of_numbers[name]

    @cached_property
    def _columns_of_numbers(self) -> dict[str, np.ndarray]:
        return {}

    @cached_property
    def unavailable(self) -> np.ndarray | None:
        """Indexes of items that are not available, by the policy's column and by `available`; None
        where the catalog has neither. An item with an empty cell may be shown, and a note says so.
        """
        names = stock_columns(self.policy, self.items.columns)
        if not names:
            return None
        return np.flatnonzero(np.any([_saying_no(self.items[name]) for name in names], axis=0))

    @cached_property
    def _needed(self) -> list[list[str]] | None:
        """Ids of the prerequisites of each item; None without a prerequisite column."""
        name = self.policy.prerequisite_column
        if name is None or self.column(name) is None:
            return None
        return [split_ids(listed_items(cell), self.vocabulary) for cell in self.cells(name)]

    @cached_property
    def required(self) -> csr_matrix | None:
        """[N, N]: item -> its prerequisites; prerequisites outside the catalog are not required."""
        if self._needed is None:
            return None
        needed = [self.vocabulary.indexes(ids) for ids in self._needed]
        rows = np.repeat(np.arange(len(needed)), [len(ids) for ids in needed])
        columns = np.concatenate([*needed, np.zeros(0, dtype=np.int64)])
        is_known = columns >= 0
        return csr_matrix(
            (np.ones(is_known.sum()), (rows[is_known], columns[is_known])),
            shape=(len(needed), len(needed)),
        )

    @cached_property
    def unlisted(self) -> dict[int, list[str]]:
        """Index of an item -> its prerequisites that are not in the catalog."""
        lost = {
            item: [one for one in ids if one not in self.vocabulary]
            for item, ids in enumerate(self._needed or ())
        }
        return {item: ids for item, ids in lost.items() if ids}


def stock_columns(policy: Policy, columns: Sequence[str]) -> list[str]:
    """Return the item columns of availability: the policy's, and `available`."""
    named = None if policy.available is None else column_of(policy.available, columns, policy)
    stock = [*([named] if named is not None else []), *(c for c in columns if c == AVAILABLE)]
    return list(dict.fromkeys(stock))


def _inverted(cells: Sequence[Any]) -> dict[str, np.ndarray]:
    """Return tag -> indexes of the items that have it."""
    items_of: dict[str, list[int]] = {}
    for item, cell in enumerate(cells):
        for tag in tags_of(cell) or ():
            items_of.setdefault(tag, []).append(item)
    return {tag: np.array(items, np.int64) for tag, items in items_of.items()}


def _saying_no(column: pl.Series) -> np.ndarray:
    """[N] whether each cell of an availability column means no; equal cells are parsed once."""
    if column.dtype.is_nested():
        return np.array([availability_of(cell) is False for cell in column.to_list()], bool)
    no = [cell for cell in column.unique().to_list() if availability_of(cell) is False]
    return column.is_in(pl.Series(no, dtype=column.dtype).to_list()).fill_null(False).to_numpy()

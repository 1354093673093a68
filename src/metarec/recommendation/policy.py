"""What a field's policy forbids: repeats, courses whose prerequisites are missing, what a person
must not be shown.

A safety exclusion compares cells of tags (`nuts|milk`, `nuts, milk` or a list) of the item and of
the person, without regard to case; an item is forbidden if they share one. An item whose cell is
empty is not forbidden by it: say so to whoever relies on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from metarec.data.domains import Policy
from metarec.data.schema import Vocabulary
from metarec.recommendation.slate import Request


@dataclass(frozen=True)
class PolicyCheck:
    """A policy over one catalog, asked about many people at once."""

    policy: Policy
    items: pl.DataFrame
    """The catalog's frame: `item_id` and the columns that the policy names; a column that is
    missing forbids nothing.
    """

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Item id <-> row."""
        return Vocabulary(self.items["item_id"].to_list())

    def allowed(self, requests: Sequence[Request]) -> np.ndarray:
        """Which items each person may be shown: bool [B, N], in the order of the catalog."""
        owner = np.repeat(np.arange(len(requests)), [len(r.history) for r in requests])
        events = self.vocabulary.indexes(
            str(event[0]) for request in requests for event in request.history
        )
        scores = np.zeros((len(requests), len(self.vocabulary)), np.float32)
        self.hide(scores, requests, (owner[events >= 0], events[events >= 0]))
        return np.asarray(scores == 0.0)

    def hide(
        self, scores: np.ndarray, requests: Sequence[Request], met: tuple[np.ndarray, np.ndarray]
    ) -> None:
        """Set to -inf, in place, what each person may not be shown.

        Args:
            scores: [B, N], in the order of the catalog.
            requests: B people.
            met: (person, item) of each of their events, as indexes.
        """
        if not self.policy.repeats_allowed:
            scores[met] = -np.inf
        if self._required is not None:
            has = csr_matrix((np.ones(len(met[0])), met), shape=scores.shape) > 0
            fulfilled = (has.astype(np.float64) @ self._required.T).toarray()
            scores[fulfilled < np.asarray(self._required.sum(1)).reshape(1, -1)] = -np.inf
        for exclusion in self.policy.exclusions:
            if exclusion.item_column in self.items.columns:
                persons = [
                    _tags(request.profile.get(exclusion.profile_attribute)) for request in requests
                ]
                scores[_share_a_tag(persons, self._tags_of_items[exclusion.item_column])] = -np.inf

    @cached_property
    def _required(self) -> csr_matrix | None:
        """[N, N]: which items must come before each; a prerequisite the catalog does not list
        cannot be asked for.
        """
        column = self.policy.prerequisite_column
        if column is None or column not in self.items.columns:
            return None
        needed = [
            self.vocabulary.indexes(dict.fromkeys(_tags(cell, lower=False)))
            for cell in self.items[column].to_list()
        ]
        rows, columns = (
            np.repeat(np.arange(len(needed)), [len(n) for n in needed]),
            np.concatenate([*needed, np.zeros(0, dtype=np.int64)]),
        )
        known = columns >= 0
        return csr_matrix(
            (np.ones(known.sum()), (rows[known], columns[known])), shape=(len(needed), len(needed))
        )

    @cached_property
    def _tags_of_items(self) -> dict[str, list[list[str]]]:
        columns = {
            e.item_column for e in self.policy.exclusions if e.item_column in self.items.columns
        }
        return {
            column: [_tags(cell) for cell in self.items[column].to_list()] for column in columns
        }


def _tags(cell: Any, *, lower: bool = True) -> list[str]:
    """The tags of one cell or attribute."""
    if cell is None:
        return []
    parts = (
        cell
        if isinstance(cell, list | tuple | set | pl.Series)
        else str(cell).replace(";", "|").replace(",", "|").split("|")
    )
    tags = [str(part).strip() for part in parts if str(part).strip()]
    return [tag.lower() for tag in tags] if lower else tags


def _share_a_tag(persons: Sequence[Sequence[str]], items: Sequence[Sequence[str]]) -> np.ndarray:
    """Whether each person shares a tag with each item: bool [B, N]."""
    number = {
        tag: n for n, tag in enumerate(dict.fromkeys(tag for tags in persons for tag in tags))
    }
    return np.asarray((_incidence(persons, number) @ _incidence(items, number).T).toarray() > 0)


def _incidence(rows: Sequence[Sequence[str]], number: dict[str, int]) -> csr_matrix:
    known = [[number[tag] for tag in tags if tag in number] for tags in rows]
    columns = np.array([c for tags in known for c in tags], dtype=np.int64)
    owner = np.repeat(np.arange(len(rows)), [len(tags) for tags in known])
    return csr_matrix(
        (np.ones(len(columns)), (owner, columns)), shape=(len(rows), max(len(number), 1))
    )

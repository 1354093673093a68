"""Notes on what a policy could not check: missing columns, empty cells, attributes that were not
stated, values that match no item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from metarec.data.domains import Exclusion, Policy
from metarec.data.policies import RequiredColumns, nearest
from metarec.data.policy_values import is_single, may_be_thousands_separators, tags_of
from metarec.recommendation.policy.attributes import MAX_GUESSED, PolicyAttributes
from metarec.recommendation.policy.columns import PolicyColumns
from metarec.recommendation.slate import Request

MAX_NAMED = 3
"""Maximum number of items named in a note; the rest is counted."""


@dataclass(frozen=True)
class PolicyNotes:
    """Notes of a slate on the policy of one catalog."""

    policy: Policy
    columns: PolicyColumns
    attributes: PolicyAttributes

    def notes(self, request: Request, shown: Sequence[int]) -> list[str]:
        """Return notes on what could not be checked for one user and the items (indexes) of their
        slate.
        """
        policy = self.policy
        if not (
            policy.exclusions or self.columns.rules or policy.available or self.columns.unlisted
        ):
            return [*self._missing_columns]
        return [
            *self._missing_columns,
            *self._not_stated(request),
            *self._odd_values(request),
            *self._empty_cells(request, shown),
        ]

    @cached_property
    def _missing_columns(self) -> list[str]:
        """Note on columns that the policy names and the catalog lacks."""
        missing = [
            name
            for name in RequiredColumns.by(self.policy).items
            if self.columns.column(name) is None
        ]
        return (
            [
                "the policy could not be checked in full: the catalog has no column "
                f"{', '.join(map(repr, missing))}"
            ]
            if missing
            else []
        )

    def _not_stated(self, request: Request) -> list[str]:
        """Notes on attributes that the policy reads and this user did not state."""
        profile = self.attributes.profile(request)
        hidden = [
            e
            for e in self.policy.exclusions
            if e.unknown == "hide"
            and (column := self.columns.column(e.item_column)) is not None
            and self.attributes.is_doubtful(e, column, tags_of(profile.get(e.profile_attribute)))
        ]
        silent = [e.profile_attribute for e in hidden]
        unsaid = [
            name
            for name in self.attributes.asked_for
            if tags_of(profile.get(name)) is None and name not in silent
        ]
        return [
            *(
                f"{e.profile_attribute!r} is not known of this user, so no item whose "
                f"{e.item_column!r} says anything is shown"
                for e in hidden
            ),
            *(
                [f"not checked, because it was not stated of this user: {', '.join(unsaid)}"]
                if unsaid
                else []
            ),
        ]

    def _odd_values(self, request: Request) -> list[str]:
        """Notes on attribute values that no item has in the column of their exclusion, and on
        values that are not usable as numbers.
        """
        notes: list[str] = []
        profile = self.attributes.profile(request)
        for exclusion in self.policy.exclusions:
            column = self.columns.column(exclusion.item_column)
            stated = tags_of(profile.get(exclusion.profile_attribute)) or ()
            if column is None:
                continue
            single, items = [t for t in stated if is_single(t)], self.columns.items_of_tag[column]
            for tag in [t for t in single if t not in items][:MAX_GUESSED]:
                notes += self._odd_value(exclusion, column, tag)
            for tag in single:
                notes += self._also_hidden(exclusion, column, tag)
        for name, number in self._numbers_asked(profile).items():
            value = profile[name]
            if number != number:
                notes.append(
                    f"{name} = {value!r} is no number, so the rules that ask for it say nothing"
                )
            elif may_be_thousands_separators([value])[0]:
                notes.append(
                    f"{name} = {value!r} was read with a decimal point; where its dot parts "
                    "thousands, write it without"
                )
        return notes

    def _odd_value(self, exclusion: Exclusion, column: str, tag: str) -> Iterator[str]:
        """Yield the note on a value that no item has."""
        users = self.attributes.values_of_users(exclusion.profile_attribute)
        meant = self.attributes.meant(exclusion, column, tag)
        items = self.columns.items_of_tag[column]
        near = meant[0] if meant else nearest(tag, items, 1 if tag in users else 0.5)
        hint = f"; did you mean {near!r}?" if near is not None else ""
        hint += " Its items are not shown, to be safe" if meant else ""
        if near is not None or tag not in users:
            yield (
                f"no item's {exclusion.item_column!r} says {tag!r} "
                f"({exclusion.profile_attribute}){hint}"
            )

    def _also_hidden(self, exclusion: Exclusion, column: str, tag: str) -> Iterator[str]:
        """Yield the note on further tags that a value hides because they contain it."""
        more = self.attributes.meant(exclusion, column, tag, may_guess=False)[1:]
        if more:
            names = ", ".join(map(repr, more[:MAX_NAMED]))
            more_text = f" and {len(more) - MAX_NAMED} more" if len(more) > MAX_NAMED else ""
            yield (
                f"not shown either, to be safe, for {tag!r} ({exclusion.profile_attribute}): items "
                f"whose {exclusion.item_column!r} says {names}{more_text}"
            )

    def _numbers_asked(self, profile: Mapping[str, Any]) -> dict[str, float]:
        """Return stated attributes that a rule compares with a number; NaN where they are not
        numbers.
        """
        needed = [
            (part.of_user or part.name, part.stated_by(profile))
            for rule in self.columns.rules
            for part in (
                *(p for p in rule.when if isinstance(p.value, float)),
                *(p for p in rule.items if p.of_user is not None),
            )
        ]
        return {name: number for name, number in needed if tags_of(profile.get(name)) is not None}

    def _empty_cells(self, request: Request, shown: Sequence[int]) -> list[str]:
        """Notes on items of a slate with empty cells in columns that apply to this user, and on
        unlisted prerequisites.
        """
        if not len(shown):
            return []
        notes, items, profile = [], np.asarray(shown), self.attributes.profile(request)
        for name in self._columns_asked(profile):
            silent = items[self.columns.says_nothing[name][items]]
            empty = self.columns.is_empty(name)[silent]
            notes += self._unchecked(f"{name!r} is empty", silent[empty])
            notes += self._unchecked(f"{name!r} cannot be read", silent[~empty])
        unknown = [
            self.columns.unlisted[item] for item in items.tolist() if item in self.columns.unlisted
        ]
        if unknown:
            names = ", ".join(dict.fromkeys(name for row in unknown for name in row))
            notes.append(
                f"prerequisites that the catalog does not list were not asked for: {names}"
            )
        return notes

    def _unchecked(self, why: str, items: np.ndarray) -> list[str]:
        """Return the note on items that could not be checked."""
        some = ", ".join(self.columns.vocabulary.names(items[:MAX_NAMED].tolist()))
        more = f" and {len(items) - MAX_NAMED} more" if len(items) > MAX_NAMED else ""
        return [f"not checked, because {why}: {some}{more}"] if len(items) else []

    def _columns_asked(self, profile: Mapping[str, Any]) -> list[str]:
        """Return the columns that decide which items this user may see."""
        names = [
            e.item_column
            for e in self.policy.exclusions
            if tags_of(profile.get(e.profile_attribute))
        ]
        names += [part.name for rule in self.columns.rules for part in rule.for_user(profile) or ()]
        names += [self.policy.available] if self.policy.available else []
        return [name for name in dict.fromkeys(names) if self.columns.column(name) is not None]

"""User attributes that a policy reads: their names in requests, the tags that their values mean,
and misspellings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from metarec.data.domains import Exclusion, Policy
from metarec.data.names.countries import same_country
from metarec.data.policies import RequiredColumns, bare, nearest
from metarec.data.policy_values import number_of, tags_of
from metarec.data.schema import BadInput
from metarec.recommendation.policy.columns import PolicyColumns
from metarec.recommendation.slate import Request

NEAR = 0.75
"""Minimum similarity of an unknown name to one of the policy's to be taken for a misspelling of
it.
"""
MAX_GUESSED = 10
"""Maximum number of unknown values of one attribute that are compared with known ones: bounds
time.
"""


@dataclass(frozen=True)
class PolicyAttributes:
    """User attributes as the policy of one catalog reads them."""

    policy: Policy
    columns: PolicyColumns
    users: pl.DataFrame | None = None
    """Training users, whose attributes and values count as known."""

    def profile(self, request: Request) -> Mapping[str, Any]:
        """Return a user's attributes under the policy's names; the context of the request fills in
        what the profile leaves out.
        """
        stated = [
            (name, value)
            for source in (request.context, request.profile)
            for name, value in source.items()
            if tags_of(value) is not None
        ]
        profile = {**request.context, **request.profile, **dict(stated)}
        return {**profile, **self._in_policy_names(request, stated)}

    def _in_policy_names(
        self, request: Request, stated: Sequence[tuple[str, Any]]
    ) -> dict[str, Any]:
        """Return the attributes that the policy reads, in any spelling of their names. If one is
        given in several spellings, the values of all are combined, so that none hides another.
        """
        attributes: dict[str, Any] = {}
        for attribute in self.asked_for:
            mine = {name: value for name, value in stated if bare(name) == bare(attribute)}
            of_request = [value for name, value in mine.items() if name in request.profile]
            values = of_request or list(mine.values())
            if len(values) > 1 and all(number_of(v) != number_of(v) for v in values):
                attributes[attribute] = [tag for value in values for tag in tags_of(value) or ()]
            elif values:
                attributes[attribute] = mine.get(attribute, values[-1])
        return attributes

    @cached_property
    def asked_for(self) -> list[str]:
        """Attributes that decide anything in this catalog."""
        exclusions = [
            e.profile_attribute
            for e in self.policy.exclusions
            if self.columns.column(e.item_column) is not None
        ]
        return list(
            dict.fromkeys(
                [
                    *exclusions,
                    *(name for rule in self.columns.rules for name in rule.attributes_read),
                ]
            )
        )

    def heeds(self, names: Iterable[str]) -> set[str]:
        """Return the names of attributes or circumstances that decide anything in this catalog."""
        attributes = {bare(name) for name in self.asked_for}
        return {name for name in names if bare(name) in attributes}

    def values_of_users(self, attribute: str) -> set[str]:
        """Return the values that training users have for an attribute."""
        if attribute not in self._user_values:
            frame = pl.DataFrame() if self.users is None else self.users
            column = next((c for c in frame.columns if bare(c) == bare(attribute)), None)
            cells = [] if column is None else frame[column].unique().to_list()
            self._user_values[attribute] = {tag for cell in cells for tag in tags_of(cell) or ()}
        return self._user_values[attribute]

    @cached_property
    def _user_values(self) -> dict[str, set[str]]:
        return {}

    @cached_property
    def _known_attributes(self) -> dict[str, str]:
        """Normalized name -> name."""
        users = [] if self.users is None else self.users.columns
        return {bare(name): name for name in (*RequiredColumns.by(self.policy).users, *users)}

    def odd_attributes(self, profile: Mapping[str, Any], *, reads_any: bool = False) -> list[str]:
        """Return a sentence on each unknown attribute, with the nearest known name.

        Args:
            reads_any: whether the model reads any attribute; then only likely misspellings of the
                policy's attributes are reported.
        """
        return [
            note
            for name, note in self._odd_attributes(profile)
            if not reads_any or self._is_misspelled(name)
        ]

    def refuse_misspelled(self, profile: Mapping[str, Any]) -> None:
        """Refuse likely misspellings of the policy's attributes: if they were ignored, the items
        they should hide would be shown.

        Raises:
            BadInput: naming the attribute and the nearest known one.
        """
        for name, note in self._odd_attributes(profile):
            if self._is_misspelled(name):
                raise BadInput(note)

    def _is_misspelled(self, name: str) -> bool:
        """Whether an unknown attribute is similar to one of the policy's."""
        return nearest(name, RequiredColumns.by(self.policy).users, NEAR) is not None

    def _odd_attributes(self, profile: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield each unknown attribute, and a sentence on it."""
        for name in profile:
            if bare(name) in self._known_attributes:
                continue
            attribute = nearest(name, RequiredColumns.by(self.policy).users, NEAR)
            near = attribute or nearest(name, self._known_attributes.values(), NEAR)
            hint = f"; did you mean {near!r}?" if near is not None else ""
            yield name, f"attribute {name!r} is not known{hint}"

    def meant(
        self, exclusion: Exclusion, column: str, tag: str, *, may_guess: bool = True
    ) -> list[str]:
        """Return the item tags that a value means: itself, and tags that contain it or are its
        singular or plural; else tags that it contains; else one that it may be a misspelling of. A
        wrong match hides one item too many; a missing one would show what the user excludes.
        """
        items, words = self.columns.items_of_tag[column], self.columns.words_of_tags[column]
        alike = [name for name in same_country(tag) if name != tag and name in items]
        tags = [*([tag] if tag in items else []), *alike, *words.naming(tag)]
        tags = list(dict.fromkeys(tags))
        if not tags:  # `severe nut allergy` names `nuts`, and `tree nuts` with it
            named = words.named_in(tag)
            tags = list(dict.fromkeys([*named, *(m for one in named for m in words.naming(one))]))
        if tags or not may_guess or tag in self.values_of_users(exclusion.profile_attribute):
            return tags
        near = nearest(tag, items, NEAR)
        return [] if near is None else [near]

    def is_doubtful(self, exclusion: Exclusion, column: str, tags: Sequence[str] | None) -> bool:
        """Whether an attribute has no usable value: none at all, or one that neither an item nor a
        training user has; where no training users are known, only one that is similar to an item's
        tag.
        """
        if not tags:
            return True
        items, users = (
            self.columns.items_of_tag[column],
            self.values_of_users(exclusion.profile_attribute),
        )
        odd = [tag for tag in tags if tag not in items and tag not in users]
        return bool(odd) and (
            bool(users) or any(nearest(tag, items, NEAR) for tag in odd[:MAX_GUESSED])
        )

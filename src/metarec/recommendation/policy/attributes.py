"""Attributes of users that a policy asks for: under which name they are stated, what a stated
value means, and what is misspelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from metarec.data.domains import Exclusion, Policy
from metarec.data.names.countries import same_country
from metarec.data.policies import Needed, bare, nearest
from metarec.data.policy_values import number_of, tags_of
from metarec.data.schema import BadInput
from metarec.recommendation.policy.columns import PolicyColumns
from metarec.recommendation.slate import Request

NEAR = 0.75
"""How alike an unknown name must be to one of the policy's to be taken for its misspelling."""
MAX_GUESSED = 10
"""Unknown values of one attribute for which like ones are looked for; comparing costs time."""


@dataclass(frozen=True)
class PolicyAttributes:
    """What users state, as the policy of one catalog understands it."""

    policy: Policy
    columns: PolicyColumns
    users: pl.DataFrame | None = None
    """Users known from training, whose attributes and values are known ones."""

    def profile(self, request: Request) -> Mapping[str, Any]:
        """A user's attributes under the names that the policy knows them by; the circumstances of
        the request say what the profile leaves open.
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
        """Attributes that the policy asks for, however their names are spelled; of one that is
        stated in several spellings, all texts count, so that none hides another.
        """
        found: dict[str, Any] = {}
        for asked in self.asked_for:
            mine = {name: value for name, value in stated if bare(name) == bare(asked)}
            own = [value for name, value in mine.items() if name in request.profile]
            values = own or list(mine.values())
            if len(values) > 1 and all(number_of(v) != number_of(v) for v in values):
                found[asked] = [tag for value in values for tag in tags_of(value) or ()]
            elif values:
                found[asked] = mine.get(asked, values[-1])
        return found

    @cached_property
    def asked_for(self) -> list[str]:
        """Attributes that decide something in this catalog."""
        exclusions = [
            e.profile_attribute
            for e in self.policy.exclusions
            if self.columns.column(e.item_column) is not None
        ]
        return list(
            dict.fromkeys(
                [*exclusions, *(name for rule in self.columns.rules for name in rule.asks)]
            )
        )

    def heeds(self, names: Iterable[str]) -> set[str]:
        """Which of these attributes or circumstances decide something in this catalog."""
        asked = {bare(name) for name in self.asked_for}
        return {name for name in names if bare(name) in asked}

    def values_of_users(self, attribute: str) -> set[str]:
        """What training users state of an attribute."""
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
        """Bare name -> name."""
        users = [] if self.users is None else self.users.columns
        return {bare(name): name for name in (*Needed.by(self.policy).users, *users)}

    def odd_attributes(self, profile: Mapping[str, Any], *, reads_any: bool = False) -> list[str]:
        """A sentence on each attribute that nothing is known of, with the nearest known one.

        Args:
            reads_any: whether the model reads whatever is stated; then only what looks like an
                attribute of the policy is odd.
        """
        return [
            said
            for name, said in self._odd_attributes(profile)
            if not reads_any or self._is_misspelled(name)
        ]

    def refuse_misspelled(self, profile: Mapping[str, Any]) -> None:
        """Refuse attributes that look like one of the policy's, misspelled: ignored, they would
        show what they were stated to keep away.

        Raises:
            BadInput: naming the attribute and the nearest known one.
        """
        for name, said in self._odd_attributes(profile):
            if self._is_misspelled(name):
                raise BadInput(said)

    def _is_misspelled(self, name: str) -> bool:
        return nearest(name, Needed.by(self.policy).users, NEAR) is not None

    def _odd_attributes(self, profile: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for name in profile:
            if bare(name) in self._known_attributes:
                continue
            asked = nearest(name, Needed.by(self.policy).users, NEAR)
            near = asked or nearest(name, self._known_attributes.values(), NEAR)
            hint = f"; did you mean {near!r}?" if near is not None else ""
            yield name, f"attribute {name!r} is not known{hint}"

    def meant(
        self, exclusion: Exclusion, column: str, tag: str, *, may_guess: bool = True
    ) -> list[str]:
        """The tags of the items that a stated value means: itself, those that it stands in or is
        the singular or plural of, else those that stand in it, else one that it is a misspelling
        of. A wrong one hides an item too many; none shows what was to be kept away.
        """
        items, words = self.columns.items_of_tag[column], self.columns.words_of_tags[column]
        alike = [name for name in same_country(tag) if name != tag and name in items]
        found = [*([tag] if tag in items else []), *alike, *words.naming(tag)]
        found = list(dict.fromkeys(found))
        if not found:  # `severe nut allergy` names `nuts`, and `tree nuts` with it
            named = words.named_in(tag)
            found = list(dict.fromkeys([*named, *(m for one in named for m in words.naming(one))]))
        if found or not may_guess or tag in self.values_of_users(exclusion.profile_attribute):
            return found
        near = nearest(tag, items, NEAR)
        return [] if near is None else [near]

    def is_doubtful(self, exclusion: Exclusion, column: str, tags: Sequence[str] | None) -> bool:
        """Whether nothing usable was stated: no value, or one that is neither an item's nor a
        known user's; where no users are known, one that is like an item's.
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

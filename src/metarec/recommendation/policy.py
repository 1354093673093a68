"""What a policy forbids, asked of one catalog: repeats, items whose prerequisites are missing, what
a user must not be shown, what cannot be had.

Every place that shows items goes through `PolicyCheck`. What it could not check (a column that is
missing, an empty cell, an attribute that was not stated) forbids nothing unless the policy says so,
and `notes` names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from metarec.data.domains import Exclusion, Policy
from metarec.data.kinds import Kinds
from metarec.data.policies import Needed, bare, column_of, nearest
from metarec.data.policy_rules import Comparison, PolicyRule, number_of, read_rule, tags_of
from metarec.data.schema import BadInput, Vocabulary
from metarec.recommendation.fulfilment import fulfilled_items, listed_items
from metarec.recommendation.slate import Request

NOT_AVAILABLE = frozenset(
    {"false", "f", "no", "n", "off", "not available", "unavailable", "sold out", "nein", "nicht"}
    | {"out of stock", "outofstock", "not in stock", "discontinued", "inactive", "none"}
    | {"否", "无"}
    | {"缺货", "售罄", "下架", "ausverkauft", "agotado", "épuisé", "esaurito"}
)
"""Texts by which a column of availability says no."""
AVAILABLE = "available"
"""Column of the items that every model heeds, whatever its policy says."""
NEAR = 0.75
"""How alike an unknown name must be to one of the policy's to be taken for its misspelling."""
LONGEST_CODE = 2
"""Words as short as a country's code have no plural."""
MAX_GUESSED = 10
"""Unknown values of one attribute for which like ones are looked for; comparing costs time."""
MAX_NAMED = 3
"""Items that a note names; the rest is counted."""


@dataclass(frozen=True)
class PolicyCheck:
    """A policy over one catalog, asked about many users at once."""

    policy: Policy
    items: pl.DataFrame
    """The catalog's frame: `item_id` and the columns that the policy names."""
    users: pl.DataFrame | None = None
    """Users known from training, whose attributes and values are known ones."""
    kinds: Kinds = field(default_factory=Kinds.default)
    """What kinds of events say, for prerequisites."""

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Item id <-> row."""
        return Vocabulary(self.items["item_id"].to_list())

    # What may be shown

    def allowed(self, requests: Sequence[Request]) -> np.ndarray:
        """Which items each user may be shown: bool [B, N], in the order of the catalog."""
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
        """Set to -inf, in place, what each user may not be shown.

        Args:
            scores: [B, N], in the order of the catalog.
            requests: B users.
            met: (user, item) of each of their events, as indexes.
        """
        if not self.policy.repeats_allowed:
            scores[met] = -np.inf
        if self._unavailable is not None:
            scores[:, self._unavailable] = -np.inf
        for row, request in enumerate(requests):
            for _, items in self._forbidden(request):
                scores[row, items] = -np.inf
        self._hide_unfulfilled(scores, requests)

    def _forbidden(self, request: Request) -> Iterator[tuple[str, np.ndarray]]:
        """(why, indexes of items) that exclusions and rules forbid one user."""
        profile = self._profile(request)
        for exclusion in self.policy.exclusions:
            yield from self._excluded(exclusion, profile)
        for rule in self._rules:
            parts = rule.for_user(profile)
            if parts is not None:
                yield rule.text, self._items_of(parts)

    def _excluded(
        self, exclusion: Exclusion, profile: Mapping[str, Any]
    ) -> Iterator[tuple[str, np.ndarray]]:
        column = self._column(exclusion.item_column)
        if column is None:
            return
        items = self._items_of_tag[column]
        tags = tags_of(profile.get(exclusion.profile_attribute))
        known = [tag for tag in tags or () if tag in items]
        guessed = [tag for tag in tags or () if tag not in items][:MAX_GUESSED]
        for tag in (*known, *guessed):
            meant = self._meant(exclusion, column, tag)
            if meant is not None:
                yield exclusion.why, items[meant]
        if exclusion.unknown == "hide" and self._is_doubtful(exclusion, column, tags):
            yield f"{exclusion.profile_attribute} is not known", self._says_anything[column]

    def _meant(self, exclusion: Exclusion, column: str, tag: str) -> str | None:
        """The tag of the items that a stated value means: itself, else one that it is the singular,
        the plural or a misspelling of. A wrong guess hides an item too many; none shows what was
        to be kept away.
        """
        items = self._items_of_tag[column]
        if tag in items:
            return tag
        forms = (f"{tag}s", f"{tag}es", tag.removesuffix("s"), tag.removesuffix("es"))
        same = next((one for one in forms if one in items), None)
        if same is not None and len(tag) > LONGEST_CODE:
            return same
        known = tag in self._values_of_users(exclusion.profile_attribute)
        return None if known else nearest(tag, items, NEAR)

    def _is_doubtful(self, exclusion: Exclusion, column: str, tags: Sequence[str] | None) -> bool:
        """Whether nothing usable was stated: no value, or one that is neither an item's nor a
        known user's; where no users are known, one that is like an item's.
        """
        if not tags:
            return True
        items, users = (
            self._items_of_tag[column],
            self._values_of_users(exclusion.profile_attribute),
        )
        odd = [tag for tag in tags if tag not in items and tag not in users]
        return bool(odd) and (
            bool(users) or any(nearest(tag, items, NEAR) for tag in odd[:MAX_GUESSED])
        )

    def _hide_unfulfilled(self, scores: np.ndarray, requests: Sequence[Request]) -> None:
        if self._required is None:
            return
        done = [self.vocabulary.indexes(self._fulfilled(request)) for request in requests]
        owner = np.repeat(np.arange(len(done)), [len(row) for row in done])
        items = np.concatenate([*done, np.zeros(0, np.int64)])
        at = (owner[items >= 0], items[items >= 0])
        has = csr_matrix((np.ones(len(at[0])), at), shape=scores.shape)
        fulfilled = (has @ self._required.T).toarray()
        scores[fulfilled < np.asarray(self._required.sum(1)).reshape(1, -1)] = -np.inf

    def _fulfilled(self, request: Request) -> list[str]:
        return fulfilled_items(request.history, self.kinds, self.policy.fulfilled_by)

    @property
    def unavailable(self) -> np.ndarray:
        """Indexes of items that cannot be had."""
        return np.zeros(0, np.int64) if self._unavailable is None else self._unavailable

    # What is said about it

    def reasons(self, request: Request, item_id: str) -> list[str]:
        """Why a user may not be shown an item, in words; empty where they may."""
        item = int(self.vocabulary.indexes([item_id])[0])
        if item < 0:
            return []
        why = [said for said, items in self._forbidden(request) if item in items]
        if not self.policy.repeats_allowed and any(str(e[0]) == item_id for e in request.history):
            why.append("it was seen before")
        if self._unavailable is not None and item in self._unavailable:
            why.append(f"its {self.policy.available or AVAILABLE!r} says no")
        if self._required is not None:
            done = set(self._fulfilled(request))
            needed = self.vocabulary.names(self._required[item].indices.tolist())
            missing = [one for one in needed if one not in done]
            why += [f"{', '.join(missing)} must come first"] if missing else []
        return list(dict.fromkeys(why))

    def notes(self, request: Request, shown: Sequence[int]) -> list[str]:
        """What could not be checked for one user and the items (indexes) of their slate."""
        policy = self.policy
        if not (policy.exclusions or self._rules or policy.available or self._unlisted):
            return [*self._missing_columns]
        return [
            *self._missing_columns,
            *self._not_stated(request),
            *self._odd_values(request),
            *self._empty_cells(request, shown),
        ]

    @cached_property
    def _missing_columns(self) -> list[str]:
        missing = [name for name in Needed.by(self.policy).items if self._column(name) is None]
        return (
            [
                "the policy could not be checked in full: the catalog has no column "
                f"{', '.join(map(repr, missing))}"
            ]
            if missing
            else []
        )

    def _not_stated(self, request: Request) -> list[str]:
        profile = self._profile(request)
        hidden = [
            e
            for e in self.policy.exclusions
            if e.unknown == "hide"
            and (column := self._column(e.item_column)) is not None
            and self._is_doubtful(e, column, tags_of(profile.get(e.profile_attribute)))
        ]
        silent = [e.profile_attribute for e in hidden]
        unsaid = [
            name
            for name in self._asked_for
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
        """Stated values that no item has in the column they exclude by."""
        said, profile = [], self._profile(request)
        for exclusion in self.policy.exclusions:
            column = self._column(exclusion.item_column)
            stated = tags_of(profile.get(exclusion.profile_attribute)) or ()
            if column is None:
                continue
            users = self._values_of_users(exclusion.profile_attribute)
            for tag in [t for t in stated if t not in self._items_of_tag[column]][:MAX_GUESSED]:
                meant = self._meant(exclusion, column, tag)
                near = meant or nearest(tag, self._items_of_tag[column], 1 if tag in users else 0.5)
                hint = f"; did you mean {near!r}?" if near is not None else ""
                hint += " Its items are not shown, to be safe" if meant is not None else ""
                if near is not None or tag not in users:
                    said.append(
                        f"no item's {exclusion.item_column!r} says {tag!r} "
                        f"({exclusion.profile_attribute}){hint}"
                    )
        for name, value in self._unreadable(profile):
            said.append(
                f"{name} = {value!r} is no number, so the rules that ask for it say nothing"
            )
        return said

    def _unreadable(self, profile: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Stated attributes that a rule compares with a number and cannot."""
        asked = [p.name for rule in self._rules for p in rule.when if isinstance(p.value, float)]
        asked += [p.of_user for rule in self._rules for p in rule.items if p.of_user is not None]
        names = [
            name
            for name in dict.fromkeys(asked)
            if tags_of(profile.get(name)) is not None
            and number_of(profile[name]) != number_of(profile[name])
        ]
        yield from ((name, profile[name]) for name in names)

    def _empty_cells(self, request: Request, shown: Sequence[int]) -> list[str]:
        """Items of a slate of which a column says nothing that this user's policy asks for."""
        if not len(shown):
            return []
        said, items, profile = [], np.asarray(shown), self._profile(request)
        for name in self._columns_asked(profile):
            silent = items[self._says_nothing[name][items]]
            if len(silent):
                some = ", ".join(self.vocabulary.names(silent[:MAX_NAMED].tolist()))
                more = f" and {len(silent) - MAX_NAMED} more" if len(silent) > MAX_NAMED else ""
                said.append(f"not checked, because {name!r} is empty: {some}{more}")
        unknown = [self._unlisted[item] for item in items.tolist() if item in self._unlisted]
        if unknown:
            names = ", ".join(dict.fromkeys(name for row in unknown for name in row))
            said.append(f"prerequisites that the catalog does not list were not asked for: {names}")
        return said

    def _columns_asked(self, profile: Mapping[str, Any]) -> list[str]:
        """Columns that decide what this user may see."""
        names = [
            e.item_column
            for e in self.policy.exclusions
            if tags_of(profile.get(e.profile_attribute))
        ]
        names += [part.name for rule in self._rules for part in rule.for_user(profile) or ()]
        names += [self.policy.available] if self.policy.available else []
        return [name for name in dict.fromkeys(names) if self._column(name) is not None]

    # Attributes

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

    @cached_property
    def _known_attributes(self) -> dict[str, str]:
        """Bare name -> name."""
        users = [] if self.users is None else self.users.columns
        return {bare(name): name for name in (*Needed.by(self.policy).users, *users)}

    def _profile(self, request: Request) -> Mapping[str, Any]:
        """A user's attributes under the names that the policy knows them by; the circumstances of
        the request say what the profile leaves open.
        """
        profile = {**request.context, **request.profile}
        if not profile or all(name in profile for name in self._asked_for):
            return profile
        by_name = {bare(name): value for name, value in profile.items()}
        found = {name: by_name[bare(name)] for name in self._asked_for if bare(name) in by_name}
        return {**found, **profile}

    @cached_property
    def _asked_for(self) -> list[str]:
        """Attributes that decide something in this catalog."""
        exclusions = [
            e.profile_attribute
            for e in self.policy.exclusions
            if self._column(e.item_column) is not None
        ]
        return list(
            dict.fromkeys([*exclusions, *(name for rule in self._rules for name in rule.asks)])
        )

    def heeds(self, names: Iterable[str]) -> set[str]:
        """Which of these attributes or circumstances decide something in this catalog."""
        asked = {bare(name) for name in self._asked_for}
        return {name for name in names if bare(name) in asked}

    def _values_of_users(self, attribute: str) -> set[str]:
        if attribute not in self._user_values:
            frame = pl.DataFrame() if self.users is None else self.users
            column = next((c for c in frame.columns if bare(c) == bare(attribute)), None)
            cells = [] if column is None else frame[column].unique().to_list()
            self._user_values[attribute] = {tag for cell in cells for tag in tags_of(cell) or ()}
        return self._user_values[attribute]

    @cached_property
    def _user_values(self) -> dict[str, set[str]]:
        return {}

    # Columns

    def _column(self, name: str) -> str | None:
        if name not in self._columns:
            self._columns[name] = column_of(name, self.items.columns, self.policy)
        return self._columns[name]

    @cached_property
    def _columns(self) -> dict[str, str | None]:
        return {}

    def _cells(self, name: str) -> list[Any]:
        column = self._column(name)
        return [None] * self.items.height if column is None else self.items[column].to_list()

    @cached_property
    def _items_of_tag(self) -> dict[str, dict[str, np.ndarray]]:
        """Column -> tag -> indexes of the items that have it."""
        columns = {self._column(e.item_column) for e in self.policy.exclusions} - {None}
        return {str(column): _inverted(self.items[str(column)].to_list()) for column in columns}

    @cached_property
    def _says_anything(self) -> dict[str, np.ndarray]:
        """Column -> indexes of the items with any tag in it."""
        return {
            column: np.unique(np.concatenate([*items.values(), np.zeros(0, np.int64)]))
            for column, items in self._items_of_tag.items()
        }

    @cached_property
    def _says_nothing(self) -> dict[str, np.ndarray]:
        """Name in the policy -> bool [N]: items whose cell says nothing that can be compared."""
        silent = {
            e.item_column: np.array([tags_of(c) is None for c in self._cells(e.item_column)], bool)
            for e in self.policy.exclusions
        }
        for rule in self._rules:
            for part in rule.items:
                unknown = part.holds(self._cells(part.name))[1]
                silent[part.name] = unknown | silent.get(part.name, np.zeros(len(unknown), bool))
        if self.policy.available:
            cells = self._cells(self.policy.available)
            silent[self.policy.available] = np.array([tags_of(c) is None for c in cells], bool)
        return silent

    @cached_property
    def _rules(self) -> list[PolicyRule]:
        """Rules whose columns are there."""
        read = [read_rule(text) for text in self.policy.rules]
        return [rule for rule in read if all(self._column(p.name) is not None for p in rule.items)]

    def _items_of(self, parts: tuple[Comparison, ...]) -> np.ndarray:
        """Indexes of the items of which all parts hold; those whose value a rule itself states are
        found once, those that a user states are compared with the column's numbers.
        """
        masks = [self._mask(part) for part in parts]
        return np.flatnonzero(np.logical_and.reduce(masks))

    def _mask(self, part: Comparison) -> np.ndarray:
        if isinstance(part.value, float):
            return part.compare(self._numbers(part.name))
        if part not in self._masks:
            self._masks[part] = part.holds(self._cells(part.name))[0]
        return self._masks[part]

    @cached_property
    def _masks(self) -> dict[Comparison, np.ndarray]:
        return {}

    def _numbers(self, name: str) -> np.ndarray:
        """A column as numbers, read once: float64 [N], NaN where a cell is none."""
        if name not in self._columns_of_numbers:
            cells = self._cells(name)
            self._columns_of_numbers[name] = np.array([number_of(c) for c in cells], np.float64)
        return self._columns_of_numbers[name]

    @cached_property
    def _columns_of_numbers(self) -> dict[str, np.ndarray]:
        return {}

    @cached_property
    def _unavailable(self) -> np.ndarray | None:
        """Indexes of items that cannot be had, by the policy's column and by `available`; None
        where the catalog has neither. An empty cell says nothing, so its item may be shown, and a
        note says so.
        """
        names = stock_columns(self.policy, self.items.columns)
        if not names:
            return None
        return np.flatnonzero(np.any([_saying_no(self.items[name]) for name in names], axis=0))

    @cached_property
    def _needed(self) -> list[list[str]] | None:
        """Ids of the items that must come before each; None where there are none."""
        name = self.policy.prerequisite_column
        if name is None or self._column(name) is None:
            return None
        return [listed_items(cell) for cell in self._cells(name)]

    @cached_property
    def _required(self) -> csr_matrix | None:
        """[N, N]: which items must come before each; a prerequisite the catalog does not list
        cannot be asked for.
        """
        if self._needed is None:
            return None
        needed = [self.vocabulary.indexes(ids) for ids in self._needed]
        rows = np.repeat(np.arange(len(needed)), [len(ids) for ids in needed])
        columns = np.concatenate([*needed, np.zeros(0, dtype=np.int64)])
        known = columns >= 0
        return csr_matrix(
            (np.ones(known.sum()), (rows[known], columns[known])), shape=(len(needed), len(needed))
        )

    @cached_property
    def _unlisted(self) -> dict[int, list[str]]:
        """Index of an item -> its prerequisites that the catalog does not list."""
        lost = {
            item: [one for one in ids if one not in self.vocabulary]
            for item, ids in enumerate(self._needed or ())
        }
        return {item: ids for item, ids in lost.items() if ids}


def stock_columns(policy: Policy, columns: Sequence[str]) -> list[str]:
    """Columns of the items that say whether an item can be had: the policy's, and `available`."""
    named = None if policy.available is None else column_of(policy.available, columns, policy)
    found = [*([named] if named is not None else []), *(c for c in columns if c == AVAILABLE)]
    return list(dict.fromkeys(found))


def _inverted(cells: Sequence[Any]) -> dict[str, np.ndarray]:
    found: dict[str, list[int]] = {}
    for item, cell in enumerate(cells):
        for tag in tags_of(cell) or ():
            found.setdefault(tag, []).append(item)
    return {tag: np.array(items, np.int64) for tag, items in found.items()}


def _saying_no(column: pl.Series) -> np.ndarray:
    """[N] whether each cell of availability says no; equal cells are read once."""
    if column.dtype.is_nested():
        return np.array([_says_no(cell) for cell in column.to_list()], bool)
    no = [cell for cell in column.unique().to_list() if _says_no(cell)]
    return column.is_in(pl.Series(no, dtype=column.dtype).to_list()).fill_null(False).to_numpy()


def _says_no(cell: Any) -> bool:
    """Whether a cell of availability says no: false, nothing left, or a word for it."""
    if cell is None:
        return False
    if isinstance(cell, bool | int | float):
        return cell <= 0
    text = str(cell).strip().casefold()
    return number_of(text) <= 0 or text.replace("_", " ").replace("-", " ") in NOT_AVAILABLE

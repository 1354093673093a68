"""Rules of a policy written as text: `sodium_mg > 800 when systolic > 140`.

Left of `when` stands what an item says, right of it what a user says; both are comparisons `NAME
SIGN VALUE` joined by `and`. An item that satisfies the left part is not shown to a user who
satisfies the right one. Numbers compare with `< <= > >= = !=`, text with `=` and `!=` (case,
singular and plural are ignored; a cell of several tags equals each of them, and words for yes
equal `true`). Names and texts with spaces go in quotes. A number may also be what the user says:
`weight_t > user.capacity_t`, which needs no `when`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from metarec.data.errors import BadInput
from metarec.data.names.countries import same_country
from metarec.data.policy_values import (
    converted,
    numbers_of,
    readings_of,
    stems_of,
    tag_of,
    tags_of,
    truth_of,
    unit_in,
)

SHAPE = "ITEM_COLUMN SIGN VALUE when ATTRIBUTE SIGN VALUE"
OF_USER = "user."
"""Prefix of a user attribute that takes the place of a value."""
_TOKEN = re.compile(
    r"""(?P<text> "[^"]*" | '[^']*' )
      | (?P<number> -?\d+(?:\.\d+)?(?![\w.]) )
      | (?P<sign> <= | >= | != | == | [=<>≤≥≠] )
      | (?P<word> \w[\w.\-]* )""",
    re.VERBOSE,
)
_SAME_SIGN = {"==": "=", "≤": "<=", "≥": ">=", "≠": "!="}
_LETTERS = frozenset("tfyn")
"""Letters that abbreviate yes and no but as often mean something else: a sex, a grade."""
_COMPARE = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "=": np.equal,
    "!=": np.not_equal,
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`NAME SIGN VALUE`."""

    name: str
    """Column of the items, or attribute of the user."""
    sign: str
    value: float | str
    """Value to compare with: a float as a number, a text as a tag; NaN where `of_user` is given."""
    of_user: str | None = None
    """Attribute of the user whose number stands in place of `value`; None where a value is
    written.
    """

    def __str__(self) -> str:
        if self.of_user is not None:
            return f"{self.name} {self.sign} {OF_USER}{self.of_user}"
        return (
            f"{self.name} {self.sign} {self.value:g}"
            if isinstance(self.value, float)
            else f"{self.name} {self.sign} {self.value!r}"
        )

    def holds(self, cells: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return two bool [N]: where the comparison holds, and where the cell is missing or cannot
        be compared.
        """
        if isinstance(self.value, float):
            numbers = readings_of(cells, unit_in(self.name))
            return self.compare(numbers), np.isnan(numbers[0])
        tags = [tags_of(cell) for cell in cells]
        unknown = np.array([tags_of_cell is None for tags_of_cell in tags], bool)
        has = self._are_said(cells, tags)
        return (has if self.sign == "=" else ~has & ~unknown), unknown

    def _are_said(self, cells: Sequence[Any], tags: Sequence[list[str] | None]) -> np.ndarray:
        """[N] bool: whether a cell has the text of this comparison as one of its tags, or another
        word for the same yes or no. For `=`, singular and plural match, and the names of one
        country; for `!=` they do not, so that they let no item pass.
        """
        tag_of_value = tag_of(self.value)
        stems = stems_of(tag_of_value) if self.sign == "=" else ()
        alike = {tag_of_value, *(same_country(tag_of_value) if self.sign == "=" else ())}
        yes = None if tag_of_value in _LETTERS else truth_of(tag_of_value)
        return np.array(
            [
                tags_of_cell is not None
                and (
                    not alike.isdisjoint(tags_of_cell)
                    or (yes is not None and truth_of(cell) is yes)
                    or (stems != () and any(stems_of(tag) == stems for tag in tags_of_cell))
                )
                for cell, tags_of_cell in zip(cells, tags, strict=True)
            ],
            bool,
        )

    def compare(self, numbers: np.ndarray) -> np.ndarray:
        """[N] bool: whether the comparison holds for either reading of each cell. `numbers` is
        [2, N], as of `readings_of`; False where both are NaN.
        """
        holds = _COMPARE[self.sign](numbers, self.value) & ~np.isnan(numbers)
        return np.asarray(holds.any(axis=0))

    def stated_by(self, profile: Mapping[str, Any]) -> float:
        """Return the number that a user's profile states for the comparison, in the unit of the
        item column where both units are known; NaN where it states none.
        """
        attribute = self.of_user or self.name
        unit = unit_in(attribute) or unit_in(self.name)
        return converted(numbers_of([profile.get(attribute)], unit)[0], unit, unit_in(self.name))


@dataclass(frozen=True, kw_only=True)
class PolicyRule:
    """A rule that hides an item from a user where all comparisons of `items` hold for the item and
    all of `when` for the user.
    """

    text: str
    items: tuple[Comparison, ...]
    when: tuple[Comparison, ...]

    @property
    def attributes_read(self) -> list[str]:
        """Attributes of the user that the rule reads."""
        stated = [part.of_user for part in self.items if part.of_user is not None]
        return list(dict.fromkeys([*(part.name for part in self.when), *stated]))

    def for_user(self, profile: Mapping[str, Any]) -> tuple[Comparison, ...] | None:
        """Return the comparisons that hide an item from this user where all hold; None where the
        rule does not apply to the user.
        """
        if not all(bool(part.holds([profile.get(part.name)])[0][0]) for part in self.when):
            return None
        parts = []
        for part in self.items:
            number = part.value if part.of_user is None else part.stated_by(profile)
            if number != number:  # not stated, or no number
                return None
            parts.append(replace(part, value=number, of_user=None))
        return tuple(parts)


def read_rule(text: str) -> PolicyRule:
    """Parse the text of one rule.

    Raises:
        BadInput: naming the piece that cannot be read.
    """
    tokens = _tokens(text)
    whens = [place for place, (kind, word) in enumerate(tokens) if (kind, word) == ("word", "when")]
    asks_user = any(kind == "word" and word.startswith(OF_USER) for kind, word in tokens)
    if len(whens) > 1 or not (whens or asks_user):
        n_whens = "none" if not whens else f"{len(whens)}"
        raise BadInput(
            f"rule {text!r}: exactly one `when` is expected, found {n_whens}; write {SHAPE}"
        )
    end = whens[0] if whens else len(tokens)
    when = _comparisons(tokens[end + 1 :], text, "after `when`") if whens else ()
    if any(part.of_user for part in when):
        raise BadInput(
            f"rule {text!r}: after `when`, {OF_USER}NAME compares a user with themselves; write it "
            "before `when`"
        )
    return PolicyRule(text=text, items=_comparisons(tokens[:end], text, "before `when`"), when=when)


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, place = [], 0
    while remaining := text[place:].lstrip():
        place = len(text) - len(remaining)
        match = _TOKEN.match(text, place)
        if match is None:
            raise BadInput(f"rule {text!r}: cannot read {remaining[:12]!r}; write {SHAPE}")
        kind, token = str(match.lastgroup), match.group()
        reserved = kind == "word" and token.lower() in ("when", "and")
        tokens.append((kind, token.lower() if reserved else token))
        place = match.end()
    return tokens


def _comparisons(
    tokens: Sequence[tuple[str, str]], text: str, where: str
) -> tuple[Comparison, ...]:
    parts: list[list[tuple[str, str]]] = [[]]
    for token in tokens:
        if token == ("word", "and"):
            parts.append([])
        else:
            parts[-1].append(token)
    return tuple(_comparison(part, text, where) for part in parts)


def _comparison(part: Sequence[tuple[str, str]], text: str, where: str) -> Comparison:
    words = " ".join(token for _, token in part)
    if len(part) != 3 or part[0][0] not in ("word", "text") or part[1][0] != "sign":
        raise BadInput(
            f"rule {text!r}: {where}, {words!r} is no comparison; write NAME SIGN VALUE, such as "
            "sodium_mg > 800, several joined by `and`"
        )
    (_, name), (_, sign), (kind, value) = part
    sign = _SAME_SIGN.get(sign, sign)
    if kind == "sign":
        raise BadInput(f"rule {text!r}: {where}, {words!r} compares with no value")
    if kind == "word" and value.startswith(OF_USER):
        attribute = value.removeprefix(OF_USER)
        return Comparison(name=name.strip("\"'"), sign=sign, value=float("nan"), of_user=attribute)
    if kind != "number" and sign not in ("=", "!="):
        raise BadInput(
            f"rule {text!r}: {where}, {words!r} compares the text {value!r} with {sign}; only = "
            "and != compare text, and the others take a number"
        )
    return Comparison(
        name=name.strip("\"'"),
        sign=sign,
        value=float(value) if kind == "number" else value.strip("\"'"),
    )

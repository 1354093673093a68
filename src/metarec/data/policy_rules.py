"""Rules of a policy written as text: `sodium_mg > 800 when systolic > 140`.

Left of `when` stands what an item says, right of it what a user says; both are comparisons `NAME
SIGN VALUE` joined by `and`. An item that satisfies the left part is not shown to a user who
satisfies the right one. Numbers compare with `< <= > >= = !=`, text with `=` and `!=` (without
regard to case; a cell of several tags equals each of them). Names and texts with spaces go in
quotes. A number may also be what the user says: `weight_t > user.capacity_t`, which needs no
`when`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from metarec.data.errors import BadInput

SHAPE = "ITEM_COLUMN SIGN VALUE when ATTRIBUTE SIGN VALUE"
OF_USER = "user."
"""What stands before an attribute of the user in place of a value."""
_TOKEN = re.compile(
    r"""(?P<text> "[^"]*" | '[^']*' )
      | (?P<number> -?\d+(?:\.\d+)?(?![\w.]) )
      | (?P<sign> <= | >= | != | == | [=<>≤≥≠] )
      | (?P<word> \w[\w.\-]* )""",
    re.VERBOSE,
)
_SAME_SIGN = {"==": "=", "≤": "<=", "≥": ">=", "≠": "!="}
_NUMBER = re.compile(r"\s*([<>]?\s*-?\d+(?:\.\d+)?|-?\d{1,3}(?:,\d{3})+(?:\.\d+)?)\s*[^\d\s,.]*\s*")
NOT_STATED = frozenset({"", "null", "nan", "unknown", "n/a", "?"})
"""Texts that say nothing."""
NOTHING = frozenset({"none", "nothing", "-", "keine", "无"})
"""Texts that say that there is nothing: no allergens, no conditions."""
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
    """A number is compared as a number, a text as a tag."""
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
        """Where it holds, and where a cell says nothing that can be compared: two bool [N]."""
        if isinstance(self.value, float):
            numbers = np.array([number_of(cell) for cell in cells], np.float64)
            return self.compare(numbers), np.isnan(numbers)
        wanted, tags = tag_of(self.value), [tags_of(cell) for cell in cells]
        unknown = np.array([said is None for said in tags], bool)
        has = np.array([said is not None and wanted in said for said in tags], bool)
        return (has if self.sign == "=" else ~has & ~unknown), unknown

    def compare(self, numbers: np.ndarray) -> np.ndarray:
        """Where it holds of numbers, bool [N]; nowhere where one is NaN."""
        return np.asarray(_COMPARE[self.sign](numbers, self.value) & ~np.isnan(numbers))


@dataclass(frozen=True, kw_only=True)
class PolicyRule:
    """An item of which all of `items` hold is not shown to a user of whom all of `when` hold."""

    text: str
    items: tuple[Comparison, ...]
    when: tuple[Comparison, ...]

    @property
    def asks(self) -> list[str]:
        """Attributes of the user that decide whether it applies."""
        stated = [part.of_user for part in self.items if part.of_user is not None]
        return list(dict.fromkeys([*(part.name for part in self.when), *stated]))

    def for_user(self, profile: Mapping[str, Any]) -> tuple[Comparison, ...] | None:
        """What an item must satisfy not to be shown to this user; None where the rule says nothing
        of them.
        """
        if not all(bool(part.holds([profile.get(part.name)])[0][0]) for part in self.when):
            return None
        parts = []
        for part in self.items:
            number = part.value if part.of_user is None else number_of(profile.get(part.of_user))
            if number != number:  # not stated, or no number
                return None
            parts.append(replace(part, value=number, of_user=None))
        return tuple(parts)


def read_rule(text: str) -> PolicyRule:
    """Read one rule.

    Raises:
        BadInput: naming the piece that cannot be read.
    """
    tokens = _tokens(text)
    whens = [place for place, (kind, word) in enumerate(tokens) if (kind, word) == ("word", "when")]
    asks_user = any(kind == "word" and word.startswith(OF_USER) for kind, word in tokens)
    if len(whens) > 1 or not (whens or asks_user):
        found = "none" if not whens else f"{len(whens)}"
        raise BadInput(
            f"rule {text!r}: exactly one `when` is expected, found {found}; write {SHAPE}"
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
    while rest := text[place:].lstrip():
        place = len(text) - len(rest)
        match = _TOKEN.match(text, place)
        if match is None:
            raise BadInput(f"rule {text!r}: cannot read {rest[:12]!r}; write {SHAPE}")
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
    said = " ".join(token for _, token in part)
    if len(part) != 3 or part[0][0] not in ("word", "text") or part[1][0] != "sign":
        raise BadInput(
            f"rule {text!r}: {where}, {said!r} is no comparison; write NAME SIGN VALUE, such as "
            "sodium_mg > 800, several joined by `and`"
        )
    (_, name), (_, sign), (kind, value) = part
    sign = _SAME_SIGN.get(sign, sign)
    if kind == "sign":
        raise BadInput(f"rule {text!r}: {where}, {said!r} compares with no value")
    if kind == "word" and value.startswith(OF_USER):
        own = value.removeprefix(OF_USER)
        return Comparison(name=name.strip("\"'"), sign=sign, value=float("nan"), of_user=own)
    if kind != "number" and sign not in ("=", "!="):
        raise BadInput(
            f"rule {text!r}: {where}, {said!r} compares the text {value!r} with {sign}; only = "
            "and != compare text, and the others take a number"
        )
    return Comparison(
        name=name.strip("\"'"),
        sign=sign,
        value=float(value) if kind == "number" else value.strip("\"'"),
    )


def number_of(cell: Any) -> float:
    """A cell as a number, also with a unit behind it (`164 mmHg`) or thousands (`1,500`); NaN
    where it is none.
    """
    if cell is None or isinstance(cell, bool):
        return float("nan") if cell is None else float(cell)
    if isinstance(cell, int | float):
        return float(cell)
    match = _NUMBER.fullmatch(str(cell))
    return float(match.group(1).replace(",", "").lstrip("<> ")) if match else float("nan")


def tags_of(cell: Any) -> list[str] | None:
    """The tags of one cell or attribute, in lower case; None where it says nothing, and no tags
    where it says that there are none.

    Parts of `nuts/milk` count beside the whole: a forbidden part must not hide in a longer word.
    """
    if cell is None or (isinstance(cell, float) and cell != cell):
        return None
    listed = isinstance(cell, list | tuple | set | pl.Series)
    texts = [tag_of(part) for part in (cell if listed else [cell]) if part is not None]
    pieces = [
        tag_of(piece) for text in texts for piece in re.split(r"[|,;/\n+&]", text.strip("[]{}()"))
    ]
    found = list(dict.fromkeys([*pieces, *texts]))
    said = [tag for tag in found if tag not in NOT_STATED and tag not in NOTHING]
    is_said = said or any(tag in NOTHING for tag in found) or (listed and not texts)
    return said if is_said else None


def tag_of(value: Any) -> str:
    """One tag without case, quotes, and the difference between `tree nuts` and `tree_nuts`."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip().strip("\"'").casefold()
    return " ".join(re.sub(r"(?<=\w)[_\-](?=\w)", " ", text).split())

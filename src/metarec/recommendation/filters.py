"""Filter expressions over the catalog: `genre = "Sci-Fi" and year > 1990`.

The whole language: comparisons `= != < <= > >=`, `in ("a", "b")`, `contains "word"`, joined by
`and`, `or`, `not` and parentheses; text in quotes, numbers, and bare `true` and `false`. Text is
compared case-insensitively; in a column of tags (a list, or words joined by `|` or `,`) `=` and
`in` mean "is one of its tags"; a missing value satisfies no comparison. Expressions are parsed by
hand into polars expressions, so that no user input is ever executed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from metarec.data.schema import BadInput

LONGEST = 2000
"""Maximum number of characters of an expression."""
DEEPEST = 50
"""Maximum number of nested levels of `not` and parentheses."""
ALIASES = {
    "genre": ("genres", "categories", "tags"),
    "genres": ("genre", "categories", "tags"),
    "tag": ("tags", "categories", "genres"),
    "tags": ("tag", "categories", "genres"),
    "category": ("categories", "genres", "tags"),
    "categories": ("category", "genres", "tags"),
}
"""Column name in an expression -> columns that it may stand for where the catalog has none of that
name.
"""
_TOKEN = re.compile(
    r"""\s*(?: (?P<text> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' )
                           | (?P<number> -?\d+(?:\.\d+)?(?![\w.]) )
                           | (?P<sign> <= | >= | != | == | [=<>(),] )
                           | (?P<word> \w[\w.\-]* ) )""",
    re.VERBOSE,
)
_YES = ["true", "yes", "y", "t", "1", "on", "in stock", "in_stock", "instock", "available"]
_NO = ["false", "no", "n", "f", "0", "off", "out of stock", "out_of_stock", "sold out", "none"]
_COMPARE: dict[str, Callable[[pl.Expr, float], pl.Expr]] = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
}


def filter_mask(expression: str, items: pl.DataFrame) -> np.ndarray:
    """Return a mask of the items that satisfy the expression.

    Args:
        expression: as above; an empty one allows every item.
        items: the catalog's frame.

    Returns:
        bool [N], in the order of `items`.

    Raises:
        BadInput: if the expression is malformed; the message shows where.
    """
    return filter_masks([expression], items)[:, 0]


def filter_masks(expressions: Sequence[str], items: pl.DataFrame) -> np.ndarray:
    """Return masks of the items that satisfy each of several expressions; common subexpressions are
    evaluated once.

    Returns:
        bool [N, E].

    Raises:
        BadInput: as `filter_mask`.
    """
    conditions = [_condition(expression, items) for expression in expressions]
    named = [
        condition.fill_null(value=False).alias(str(place))
        for place, condition in enumerate(conditions)
    ]
    # Lazily, since `items.select` converts a text column again for each comparison
    masks = items.lazy().select(named).collect()
    columns = [
        np.broadcast_to(masks[str(place)].to_numpy().astype(bool), items.height)
        for place in range(len(named))
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((items.height, 0), dtype=bool)


def comparisons(expression: str) -> int:
    """Return the approximate number of comparisons in an expression, to which its cost is
    proportional.

    Raises:
        BadInput: if it contains an unknown token.
    """
    signs = ("=", "==", "!=", "<", "<=", ">", ">=", "contains", ",", "in")
    return sum(token.text in signs for token in _tokens(expression) if token.kind != "text")


def _condition(expression: str, items: pl.DataFrame) -> pl.Expr:
    if not expression:
        return pl.lit(value=True)
    if len(expression) > LONGEST:
        raise BadInput(f"a filter may have {LONGEST} characters, this one has {len(expression)}")
    return _Parser(expression, items).parsed()


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int
    """Position in the expression, from 0."""


def _tokens(expression: str) -> list[_Token]:
    tokens, place, end = [], 0, len(expression.rstrip())
    while place < end:
        match = _TOKEN.match(expression, place)
        if match is None:
            start = place + len(expression[place:]) - len(expression[place:].lstrip())
            raise BadInput(
                f"filter {expression!r}: cannot read {expression[start : start + 10]!r} at "
                f"character {start + 1}; "
                "text goes in quotes"
            )
        kind = str(match.lastgroup)
        text = match.group(kind)
        tokens.append(
            _Token(
                kind,
                text.lower() if kind == "word" and text.lower() in _RESERVED else text,
                match.start(kind),
            )
        )
        place = match.end()
    return [*tokens, _Token("end", "", end)]


_RESERVED = ("and", "or", "not", "in", "contains")


class _Parser:
    """Recursive descent parser, one method per precedence level: or < and < not < comparison."""

    def __init__(self, expression: str, items: pl.DataFrame) -> None:
        self.expression, self.items = expression, items
        self.tokens = _tokens(expression)
        self.depth = 0

    def parsed(self) -> pl.Expr:
        condition = self.either()
        if self.tokens[0].kind != "end":
            raise self.wrong("`and`, `or` or the end")
        return condition

    def either(self) -> pl.Expr:
        condition = self.both()
        while self.take("or"):
            condition = condition | self.both()
        return condition

    def both(self) -> pl.Expr:
        condition = self.unary()
        while self.take("and"):
            condition = condition & self.unary()
        return condition

    def unary(self) -> pl.Expr:
        self.depth += 1
        if self.depth > DEEPEST:
            raise BadInput(
                f"filter {self.expression[:60]!r}...: more than {DEEPEST} levels of `not` and "
                f"parentheses"
            )
        if self.take("not"):
            condition = ~self.unary().fill_null(value=False)
        elif self.take("("):
            condition = self.either()
            self.expect(")")
        else:
            condition = self.comparison()
        self.depth -= 1
        return condition

    def comparison(self) -> pl.Expr:
        name = self.column()
        sign = self.tokens[0].text
        if self.tokens[0].kind not in ("sign", "word") or sign in ("(", ")", ",", "and", "or"):
            raise self.wrong("a comparison (= != < <= > >= in contains)")
        self.tokens.pop(0)
        if sign == "not" and self.take("in"):
            return ~self.one_of(name).fill_null(value=False) & pl.col(name).is_not_null()
        if sign == "in":
            return self.one_of(name)
        if sign == "contains":
            return _contains(self.items, name, str(self.value()))
        sign = "=" if sign == "==" else sign
        if sign not in _COMPARE:
            raise BadInput(
                f"filter {self.expression!r}: {sign!r} is no comparison; use = != < <= > >= in "
                f"contains"
            )
        value = self.truth() if sign in ("=", "!=") else self.value()
        if isinstance(value, bool):
            holds = _is_true(self.items, name)
            return holds if value == (sign == "=") else ~holds
        if isinstance(value, str):
            if sign not in ("=", "!="):
                if self.items.schema[name].is_numeric():  # as text, 100 would be below "20"
                    return _COMPARE[sign](_number(self.items, name), _quoted_number(name, value))
                # Polars compares text too
                text = _text(self.items, name)
                return _COMPARE[sign](text, value.lower())  # type: ignore[arg-type]  # texts
            same = _is_text(self.items, name, value)
            return same if sign == "=" else ~same
        return _COMPARE[sign](_number(self.items, name), value)

    def one_of(self, name: str) -> pl.Expr:
        self.expect("(")
        values = [self.value()]
        while self.take(","):
            values.append(self.value())
        self.expect(")")
        return pl.any_horizontal(
            [
                _is_text(self.items, name, v)
                if isinstance(v, str)
                else _number(self.items, name) == v
                for v in values
            ]
        )

    def column(self) -> str:
        token = self.tokens[0]
        if token.kind != "word" or token.text in _RESERVED:
            raise self.wrong("a column")
        by_case = {column.lower(): column for column in reversed(self.items.columns)}
        for name in (token.text.lower(), *ALIASES.get(token.text.lower(), ())):
            if name in by_case:
                self.tokens.pop(0)
                return by_case[name]
        raise BadInput(
            f"filter {self.expression!r}: the catalog has no column {token.text!r} "
            f"(columns: {', '.join(self.items.columns)})"
        )

    def truth(self) -> str | float | bool:
        """Parse `true`, `false`, or a value."""
        token = self.tokens[0]
        if token.kind == "word" and token.text.lower() in ("true", "false"):
            self.tokens.pop(0)
            return token.text.lower() == "true"
        return self.value()

    def value(self) -> str | float:
        token = self.tokens[0]
        if token.kind not in ("text", "number"):
            raise self.wrong('a number or "text in quotes"')
        self.tokens.pop(0)
        return (
            float(token.text)
            if token.kind == "number"
            else re.sub(r"\\(.)", r"\1", token.text[1:-1])
        )

    def take(self, text: str) -> bool:
        taken = self.tokens[0].kind in ("word", "sign") and self.tokens[0].text == text
        if taken:
            self.tokens.pop(0)
        return taken

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise self.wrong(f"`{text}`")

    def wrong(self, expected: str) -> BadInput:
        """Return the error for the current token."""
        token = self.tokens[0]
        message = (
            "the end" if token.kind == "end" else f"{token.text!r} at character {token.place + 1}"
        )
        return BadInput(f"filter {self.expression!r}: expected {expected}, found {message}")


def _text(items: pl.DataFrame, name: str) -> pl.Expr:
    """Return the column as lowercase text; lists are joined by `|`."""
    column = pl.col(name)
    joined = (
        column.cast(pl.List(pl.Utf8)).list.join("|")
        if isinstance(items.schema[name], pl.List)
        else column.cast(pl.Utf8)
    )
    return joined.str.to_lowercase()


def _is_text(items: pl.DataFrame, name: str, value: str) -> pl.Expr:
    """Whether the whole value, or one of its tags, equals `value`; tags are split at `|`, `,` and
    `;`, and in tag columns also at spaces.

    A number in quotes is compared as a number where the column holds numbers.
    """
    if items.schema[name].is_numeric():
        return pl.col(name).cast(pl.Float64) == _quoted_number(name, value)
    text, column = value.strip().lower(), _text(items, name)
    tags = column.str.replace_all(r"\s*[|,;]\s*", "|").str.split("|")
    is_tag = tags.list.contains(text)
    if name.lower() in {n for names in ALIASES.values() for n in names}:
        is_tag = is_tag | (
            ~column.str.contains(r"[|,;]") & column.str.split(" ").list.contains(text)
        )
    return (column.str.strip_chars() == text) | is_tag


def _quoted_number(name: str, value: str) -> float:
    """Parse a number in quotes, compared with the numeric column `name`."""
    try:
        return float(value)
    except ValueError:
        raise BadInput(f"column {name!r} holds numbers; {value!r} is none") from None


def _is_true(items: pl.DataFrame, name: str) -> pl.Expr:
    """Whether a cell means yes: true, a number above 0, or a word for yes; a text that means
    neither yes nor no satisfies neither `= true` nor `= false`.
    """
    dtype = items.schema[name]
    if dtype == pl.Boolean:
        return pl.col(name)
    if dtype.is_numeric():
        return pl.col(name) > 0
    text = _text(items, name).str.strip_chars()
    says = pl.when(text.is_in(_YES)).then(True).when(text.is_in(_NO)).then(False)
    if not items.select(says.is_not_null().any()).item():
        raise BadInput(f"column {name!r} says neither true nor false; compare it with its values")
    return says


def _contains(items: pl.DataFrame, name: str, part: str) -> pl.Expr:
    """Whether the column's text contains `part`, case-insensitively."""
    return _text(items, name).str.contains(part.lower(), literal=True)


def _number(items: pl.DataFrame, name: str) -> pl.Expr:
    """Return the column as numbers; a date becomes its year."""
    dtype = items.schema[name]
    if isinstance(dtype, pl.List):
        raise BadInput(f"column {name!r} holds lists of tags; compare it with text in quotes")
    if dtype in (pl.Date, pl.Datetime):
        return pl.col(name).dt.year().cast(pl.Float64)
    numbers = items[name].cast(pl.Float64, strict=False)
    if numbers.null_count() == len(numbers) > items[name].null_count():
        raise BadInput(f"column {name!r} holds no numbers; compare it with text in quotes")
    return pl.col(name).cast(pl.Float64, strict=False)

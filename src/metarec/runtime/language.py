"""Translation of messages: the code has English, tables have other languages.

A table maps whole sentences with holes: `"k must be {} or more" = "k 必须不小于 {1}"`. A
sentence is matched as a whole and the contents of its holes are copied; `{1*}` is a hole whose
content is itself translated. Sentences in no table stay English. Tables are
`translations/LANGUAGE/AREA.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from html import escape, unescape
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

ENVIRONMENT = "METAREC_LANG"
ENGLISH = "en"
LANGUAGES = (ENGLISH, "zh")
TABLES = Path(__file__).parent / "translations"
ERRORS, SAID, OUTPUT, WORDS, HELP = "errors", "said", "output", "words", "help"
"""Areas of tables: errors; reasons, notes and notices; output of commands and reports; parts of
these; help texts.
"""
HOLE = "{}"
"""Mark of a hole in an English sentence."""
MAX_LENGTH = 4_000
"""Characters above which a text is no message and stays unchanged."""
MAX_DEPTH = 4
"""Maximum depth of sentences nested in holes."""
MAX_HEADER = 200
"""Characters of an Accept-Language header that are read."""
_FILLED = re.compile(r"( ?)\{(\d+)(\*?)\}( ?)")
_LEAD = re.compile(r"\s*(?:[-•*] )?")
_RANK = re.compile(r"\d+ {2,}")
_GAP = re.compile(r" {2,}")
_TEXT = re.compile(r"(<(script|style|pre|svg)\b.*?</\2>)|>([^<>]+)<", re.DOTALL)
SENTENCES = {
    "error": (ERRORS, SAID),
    "outcome": (ERRORS, SAID, OUTPUT),
    **dict.fromkeys(
        "about advice facts in_model message notes notice problem reason reasons "
        "retraining_advised sentence shows verdict warnings why".split(),
        (SAID, OUTPUT),
    ),
}
"""Key of an answer that holds a sentence -> areas in which it is looked up."""
AS_SENT = {"attributes", "profile", "context", "settings", "fields"}
"""Keys of answers that hold users' or catalogs' own texts, which are not translated."""


class UnknownLanguage(ValueError):
    """There are no tables for the requested language."""


@dataclass(frozen=True, kw_only=True)
class Template:
    """One sentence with holes, and its translation."""

    parts: tuple[str, ...]
    """Text before, between and after the holes."""
    to: str
    """The translation, with `{1}` or `{1*}` for the first hole."""

    def holes(self, text: str) -> list[str] | None:
        """Return the contents of the holes; None if the text is another sentence. Each part is
        searched once, from the end of the one before, so the time is linear in the text.
        """
        first, *middle, last = self.parts
        end = len(text) - len(last)
        if not text.startswith(first) or not text.endswith(last) or end < len(first):
            return None
        holes, at = [], len(first)
        for part in middle:
            here = text.find(part, at, end)
            if here < 0:
                return None
            holes.append(text[at:here])
            at = here + len(part)
        return [*holes, text[at:end]]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The translations of one area in one language."""

    exact: Mapping[str, str]
    """Sentence without holes -> translation."""
    templates: tuple[Template, ...]
    """Templates, most specific first, see `_order`."""


def language_of(name: str, *, asked_by: str = ENVIRONMENT) -> str:
    """Return the language of a name such as `zh`, `zh-CN` or `zh_CN.UTF-8`; English for an empty
    name.

    Raises:
        UnknownLanguage: if there are no tables for it.
    """
    plain = re.split(r"[-_.@]", name.strip().lower())[0]
    if plain in ("", "c", "posix"):
        return ENGLISH
    if plain not in LANGUAGES:
        raise UnknownLanguage(f"{asked_by} must be one of {', '.join(LANGUAGES)}, got {name!r}")
    return plain


def accepted(header: str, default: str) -> str:
    """Return the available language that an Accept-Language header prefers, else the default."""
    preferred = []
    for place, part in enumerate(header[:MAX_HEADER].lower().split(",")):
        name, _, quality = part.strip().partition(";q=")
        language = name.strip().split("-")[0]
        if language in LANGUAGES and (weight := _weight(quality)) > 0:
            preferred.append((-weight, place, language))
    return min(preferred)[2] if preferred else default


def _weight(quality: str) -> float:
    try:
        return float(quality.strip() or 1.0)
    except ValueError:
        return 0.0


def translated(text: str, language: str, *areas: str) -> str:
    """Return the translation of a sentence from the first area that has it; the sentence itself if
    none has.
    """
    if language == ENGLISH or len(text) > MAX_LENGTH:
        return text
    return _translated(text, language, areas, MAX_DEPTH) or text


def translated_lines(text: str, language: str, *areas: str) -> str:
    """Translate a text line by line; indentation and bullets stay."""
    if language == ENGLISH:
        return text
    return "\n".join(_line(line, language, areas) for line in text.split("\n"))


def translated_answer(value: Any, language: str, name: str | None = None) -> Any:
    """Translate the sentences in plain data, recognized by their keys."""
    if language == ENGLISH or name in AS_SENT:
        return value
    if isinstance(value, dict):
        return {key: translated_answer(one, language, str(key)) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [translated_answer(one, language, name) for one in value]
    if isinstance(value, str) and name in SENTENCES:
        return translated(value, language, *SENTENCES[name])
    return value


def translated_page(html: str, language: str) -> str:
    """Translate a report's fixed sentences and set its `lang`; scripts, styles, figures and
    preformatted text stay.
    """
    if language == ENGLISH:
        return html

    def spoken(match: re.Match[str]) -> str:
        if match[3] is None:
            return match[0]
        text = unescape(match[3])
        joined = " ".join(text.split())
        in_one = translated(joined, language, OUTPUT, SAID)
        translation = translated_lines(text, language, OUTPUT, SAID) if in_one == joined else in_one
        return f">{escape(translation, quote=False)}<"

    return _TEXT.sub(spoken, html.replace('lang="en"', f'lang="{language}"', 1))


def _line(line: str, language: str, areas: tuple[str, ...]) -> str:
    """Translate a line without its indentation and bullet; in a row of a table, translate each
    column and keep the columns aligned.
    """
    text = _LEAD.sub("", line, count=1)
    lead = line[: len(line) - len(text)]
    if _RANK.match(text):
        return line  # a row of a slate: a rank and a title
    cells, gaps = _GAP.split(text), _GAP.findall(text)
    spoken = [translated(cell, language, *areas) for cell in cells]
    widths = [display_width(old) + len(gap) for old, gap in zip(cells, gaps, strict=False)]
    padded = [
        new + " " * max(1, width - display_width(new))
        for new, width in zip(spoken, widths, strict=False)
    ]
    return lead + "".join([*padded, spoken[-1]])


def display_width(text: str) -> int:
    """Return the number of columns that a text takes on a terminal; wide letters take two."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def broken(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` columns; ASCII words, such as options, stay
    whole.
    """
    lines, line = [], ""
    for piece in re.findall(r"[!-~]+ ?|[^!-~]", text):
        # Closing punctuation never begins a line
        if display_width(line + piece.rstrip()) > width and piece not in "，。；：、）”":
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, line.rstrip()] if line.strip() else lines


@lru_cache(maxsize=4096)
def _translated(text: str, language: str, areas: tuple[str, ...], depth: int) -> str | None:
    for area in areas if depth == MAX_DEPTH else (*areas, WORDS):
        table = _table(language, area)
        if (exact := table.exact.get(text)) is not None:
            return exact
        best, is_whole = None, False
        for template in table.templates:
            if (holes := template.holes(text)) is None:
                continue
            filled, is_filled_whole = _filled(template.to, holes, language, areas, depth)
            # `because it is near` fits `because it is {category}` too: the one counts of which all
            # that is to be translated is
            if best is None or (is_filled_whole and not is_whole):
                best, is_whole = filled, is_filled_whole is not False
            if is_whole:
                break
        if best is not None:
            return best
    return None


def _filled(
    to: str, holes: list[str], language: str, areas: tuple[str, ...], depth: int
) -> tuple[str, bool | None]:
    """Fill the holes, and say whether all that were to be translated are; None where none was. A
    translation stands beside Chinese without a space, English words and numbers with one.
    """
    are_said: list[bool] = []

    def one(match: re.Match[str]) -> str:
        before, number, is_said, after = match.groups()
        value = holes[int(number) - 1]
        if is_said and depth > 0:
            translation = _translated(value, language, areas, depth - 1)
            are_said.append(translation is not None)
            value = translation or value
            before = "" if _is_wide(value[:1]) else before
            after = "" if _is_wide(value[-1:]) else after
        return before + value + after

    text = _FILLED.sub(one, to)
    return text, all(are_said) if are_said else None


def _is_wide(letter: str) -> bool:
    return bool(letter) and east_asian_width(letter) in "WF"


@cache
def _table(language: str, area: str) -> Table:
    file = TABLES / language / f"{area}.toml"
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    templates = (
        Template(parts=tuple(english.split(HOLE)), to=to)
        for english, to in table.items()
        if HOLE in english
    )
    return Table(
        exact={english: to for english, to in table.items() if HOLE not in english},
        templates=tuple(sorted(templates, key=_order)),
    )


def _order(template: Template) -> tuple[bool, bool, int]:
    """Return a sort key: sentences that begin with fixed text first, then those that end with it,
    then the longest. Sentences that wrap others are matched first, so that their holes can be
    translated.
    """
    n_fixed = sum(map(len, template.parts))
    return not template.parts[0], not template.parts[-1], -n_fixed

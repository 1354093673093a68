"""Names of columns and kinds in languages other than English and Chinese, whose names are in
`column_names` and `kinds`. The words are in `languages.toml`.

Names of columns in a language are understood where some column of the table is unambiguously in
it: `data` is a date in Italian and no name in English.
"""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from metarec.data.names.column_names import plain


@dataclass(frozen=True, kw_only=True)
class Language:
    """Words of one language; `_` separates the words of a name."""

    users: tuple[str, ...]
    """Nouns for users, alone or with a word for id."""
    items: tuple[str, ...]
    """Nouns for items."""
    ids: tuple[str, ...]
    """Words for id, before or after the noun."""
    titles: tuple[str, ...]
    """Words for name, before or after a noun for items."""
    of: tuple[str, ...] = ()
    """Words between such a word and a noun."""
    names: Mapping[str, tuple[str, ...]]
    """Canonical name -> further names of the column."""
    ratings: tuple[str, ...]
    """Names of columns of ratings, where the cells are numbers."""
    quantities: tuple[str, ...]
    sums: tuple[str, ...]


@cache
def _file() -> dict[str, Any]:
    text = (files("metarec.data.names") / "languages.toml").read_text(encoding="utf-8")
    return {key: _split(value) for key, value in tomllib.loads(text).items()}


def _split(value: Any) -> Any:
    """Split texts into words, also in nested tables."""
    if isinstance(value, dict):
        return {key: _split(inner) for key, inner in value.items()}
    return tuple(dict.fromkeys(w for word in value.split() for w in (word, *_bare(word))))


def _bare(word: str) -> tuple[str, ...]:
    """Return the spellings of a word without accents and umlauts, as programs write it: `situacao`
    of `situação`, `stuck` and `stueck` of `stück`.
    """
    parts = unicodedata.normalize("NFD", word.translate(_LETTERS))
    plain_letters = "".join(c for c in parts if not unicodedata.combining(c))
    if word.isascii() or not plain_letters.isascii():
        return ()
    return plain_letters, *(
        [word.translate(_UMLAUTS)] if _UMLAUTS.keys() & {*map(ord, word)} else []
    )


_LETTERS = str.maketrans("ıłøđ", "ilod") | str.maketrans({"ß": "ss", "œ": "oe", "æ": "ae"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


@cache
def languages() -> Mapping[str, Language]:
    """Return the languages by name."""
    return {name: Language(**words) for name, words in _file()["languages"].items()}


def acts() -> Mapping[str, Sequence[str]]:
    """Return kind -> its names in these languages."""
    acts_of: Mapping[str, Sequence[str]] = _file()["acts"]
    return acts_of


@cache
def points_of() -> Mapping[str, float]:
    """Return word of praise or blame in lower case -> rating on a scale to 5."""
    points = _file()["points"]
    return {word.replace("_", " "): float(n) for n, words in points.items() for word in words}


@cache
def act_of() -> Mapping[str, str]:
    """Return name as `plain` returns it -> kind."""
    named_acts = acts().items()
    return {plain(f): kind for kind, words in named_acts for word in words for f in genders(word)}


@cache
def done_states() -> frozenset[str]:
    """Return states of events that are done or under way, as `plain` returns them."""
    return frozenset(map(plain, _file()["done_states"]))


def genders(word: str) -> tuple[str, ...]:
    """Return the forms of a participle: `refusé` and `refusée`, `visto` and `vista`,
    `отменён`, `отменен` and `отменена`; only the word itself where it is
    none.
    """
    if word.endswith(("ён", "ен", "ан")) and "_" not in word:
        bare = word.replace("ё", "е")
        return tuple(dict.fromkeys((word, bare, *(f"{bare}{end}" for end in "аоы"))))
    if word.endswith("é"):
        return word, f"{word}e"
    return (word, f"{word[:-1]}a") if word.endswith(("do", "to", "so")) else (word,)


def is_best_lowest(name: str, language: str | None) -> bool:
    """Whether a column's name is that of marks of which the lowest is the best."""
    return is_mark(name) and (language == "German" or plain(name) not in _file()["no_evidence"])


def is_mark(name: str) -> bool:
    """Whether a column's name is that of such marks, or a word of another language, too."""
    return plain(name) in _file()["best_is_lowest"]


@cache
def _names(language: str) -> dict[str, tuple[str, ...]]:
    """Return canonical name -> names of the column, the likeliest first."""
    language_names = languages()[language]
    titles = {
        "title": (
            *_with(language_names.items, language_names.titles, language_names.of),
            *language_names.names["title"],
        )
    }
    ids = {
        "user_id": (
            *_with(language_names.users, language_names.ids, language_names.of),
            *language_names.users,
        ),
        "item_id": (
            *_with(language_names.items, language_names.ids, language_names.of),
            *language_names.items,
        ),
    }
    return {**language_names.names, **titles, **ids}


def _with(nouns: Sequence[str], words: Sequence[str], of: Sequence[str]) -> list[str]:
    """Return names made of a noun and a word, in either order."""
    return [
        name
        for word in words
        for noun in nouns
        for name in (noun + word, *(word + link + noun for link in ("", *of)))
    ]


@cache
def _evidence_for(language: str) -> frozenset[str]:
    """Return names that are evidence for the language, as `plain` returns them."""
    language_names = languages()[language]
    names = {plain(n) for names in _names(language).values() for n in names}
    names |= {
        plain(word)
        for word in (*language_names.ratings, *language_names.quantities, *language_names.sums)
    }
    return frozenset(names - {*_file()["no_evidence"]})


def language_of(columns: Collection[str]) -> str | None:
    """Return the language with the most evidence in the column names; None without evidence."""
    given = {plain(column) for column in columns}
    evidence = {name: len(given & _evidence_for(name)) for name in languages()}
    best = max(evidence, key=lambda name: evidence[name])
    return best if evidence[best] else None


def names_in(language: str | None) -> Mapping[str, Sequence[str]]:
    """Return canonical name -> names of the column in a language; empty for None."""
    return _names(language) if language is not None else {}


def ratings_in(language: str | None) -> frozenset[str]:
    """Return names of ratings, as `plain` returns them; empty for None."""
    return frozenset(map(plain, languages()[language].ratings)) if language else frozenset()


@cache
def names_in_languages(what: str) -> frozenset[str]:
    """Return the names of `users`, `items`, `quantities` or `sums` in all these languages, as
    `plain` returns them.
    """
    return frozenset(plain(w) for one in languages().values() for w in getattr(one, what))


@cache
def timestamps_in_languages() -> frozenset[str]:
    """Return the names of the time of events in all these languages, as `plain` returns them."""
    named = (one.names.get("timestamp", ()) for one in languages().values())
    return frozenset(plain(name) for names in named for name in names)

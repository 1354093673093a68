"""What columns and acts are called in further languages; English and Chinese are at home in
`column_names` and `kinds`. The words are plain data in `languages.toml`.

The names of one language are understood where another column of the table is surely in it: `data`
is a date in Italian and nothing in English.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from metarec.data.names.column_names import plain


@dataclass(frozen=True, kw_only=True)
class Language:
    """Words of one language; `_` stands between the words of a name."""

    users: tuple[str, ...]
    """What users are called, alone or with a word for id."""
    items: tuple[str, ...]
    """What items are called."""
    ids: tuple[str, ...]
    """Words for id, before or behind the noun."""
    titles: tuple[str, ...]
    """Words for name, before or behind the noun of an item."""
    of: tuple[str, ...] = ()
    """What stands between such a word and a noun."""
    names: Mapping[str, tuple[str, ...]]
    """Whole names by canonical name."""
    ratings: tuple[str, ...]
    """Names of ratings, where the cells are numbers."""
    quantities: tuple[str, ...]
    sums: tuple[str, ...]


@cache
def _file() -> dict[str, Any]:
    text = (files("metarec.data.names") / "languages.toml").read_text(encoding="utf-8")
    return {key: _split(value) for key, value in tomllib.loads(text).items()}


def _split(value: Any) -> Any:
    """Words that stand in one text, apart."""
    if isinstance(value, dict):
        return {key: _split(inner) for key, inner in value.items()}
    return tuple(value.split())


@cache
def languages() -> Mapping[str, Language]:
    """Each language by its name."""
    return {name: Language(**words) for name, words in _file()["languages"].items()}


def acts() -> Mapping[str, Sequence[str]]:
    """What acts are called, by the kind that they are."""
    said: Mapping[str, Sequence[str]] = _file()["acts"]
    return said


@cache
def points_of() -> Mapping[str, float]:
    """Points of five by what users thought in words, in small letters."""
    said = _file()["points"]
    return {word.replace("_", " "): float(n) for n, words in said.items() for word in words}


@cache
def act_of() -> Mapping[str, str]:
    """Kinds by what they are called, as `plain` has it."""
    said = acts().items()
    return {plain(f): kind for kind, words in said for word in words for f in genders(word)}


@cache
def done_states() -> frozenset[str]:
    """States of an act that was done, or is under way, as `plain` has them."""
    return frozenset(map(plain, _file()["done_states"]))


def genders(word: str) -> tuple[str, ...]:
    """A participle in the masculine and the feminine: `refusé` and `refusée`, `visto` and `vista`;
    other words as they are.
    """
    if word.endswith("é"):
        return word, f"{word}e"
    return (word, f"{word[:-1]}a") if word.endswith(("do", "to", "so")) else (word,)


def is_best_lowest(name: str, language: str | None) -> bool:
    """Whether a column is called like marks that are the better the lower they are."""
    return language == "German" and plain(name) in _file()["best_is_lowest"]


@cache
def _names(language: str) -> dict[str, tuple[str, ...]]:
    """Names of columns by canonical name, the likeliest first."""
    said = languages()[language]
    titles = {"title": (*_with(said.items, said.titles, said.of), *said.names["title"])}
    ids = {
        "user_id": (*_with(said.users, said.ids, said.of), *said.users),
        "item_id": (*_with(said.items, said.ids, said.of), *said.items),
    }
    return {**said.names, **titles, **ids}


def _with(nouns: Sequence[str], words: Sequence[str], of: Sequence[str]) -> list[str]:
    """A noun and a word, in either order."""
    return [
        name
        for word in words
        for noun in nouns
        for name in (noun + word, *(word + link + noun for link in ("", *of)))
    ]


@cache
def _told_by(language: str) -> frozenset[str]:
    """Names, as `plain` has them, that no other language has, nor English."""
    said = languages()[language]
    names = {plain(n) for names in _names(language).values() for n in names}
    names |= {plain(word) for word in (*said.ratings, *said.quantities, *said.sums)}
    return frozenset(names - {*_file()["no_evidence"]})


def language_of(columns: Collection[str]) -> str | None:
    """The language that most names of columns are in; None where none is surely in one."""
    given = {plain(column) for column in columns}
    found = {name: len(given & _told_by(name)) for name in languages()}
    best = max(found, key=lambda name: found[name])
    return best if found[best] else None


def names_in(language: str | None) -> Mapping[str, Sequence[str]]:
    """Names of columns by canonical name."""
    return _names(language) if language is not None else {}


def ratings_in(language: str | None) -> frozenset[str]:
    """Names of ratings, as `plain` has them."""
    return frozenset(map(plain, languages()[language].ratings)) if language else frozenset()


@cache
def all_called(what: str) -> frozenset[str]:
    """What `users`, `items`, `quantities` or `sums` are called in any of them, as `plain` has
    it.
    """
    return frozenset(plain(w) for said in languages().values() for w in getattr(said, what))

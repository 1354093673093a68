"""Guess the encoding of text that is not UTF-8, by the characters and letters that are frequent if
it is decoded correctly.

Common libraries learned from prose. On tables, which hold a few names among ASCII,
`charset-normalizer` and `chardet` mistake Western European or Chinese text for something else in
every third to second file (docs/experiments/README.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable

LOOKED_AT = 100_000
"""Maximum number of bytes of distinct cells that are used."""
MIN_COMMON = 0.9
"""Minimum share of common characters among the non-ASCII ones, for encodings with two bytes per
character.
"""
MIN_BESIDE = 0.3
"""Minimum share of non-ASCII characters beside another one, for encodings whose second byte may be
ASCII: in other encodings `It’s` and `5 °C` hold such a pair by chance.
"""
MIN_KANA, MIN_SYLLABLES = 0.1, 0.4
"""Minimum share of kana in Japanese text, and of frequent syllables in Korean text."""
MIN_HANGUL = 5
"""Minimum number of distinct syllables for text to be Korean rather than Chinese."""
MIN_CASED, MIN_FREQUENT = 0.6, 0.45
"""Minimum share of a script's letters in words of three or more letters, and minimum share of
frequent letters among them.
"""
MIN_OTHER, MAX_WESTERN = 0.95, 0.8
"""Minimum share of the letters of another language, and maximum share of Western letters, for text
in Latin letters not to be Western.
"""
_SIGNS = set("\u00a0«»‹›“”„‘’–—…•·€£¥§°©®™²³½¼¾×÷±µ¿¡´¨")
"""Signs that occur in all languages."""
_WESTERN = "áàâäãåæçéèêëíìîïñóòôöõøœúùûüßªº"
_POLISH, _CZECH = "ąćęłńóśźż", "áäčďéěíĺľňóôřšťúůýž"
_LETTERS = (
    ("cp1252", _WESTERN),
    ("cp1252", "áéíóúýðþæö"),  # Icelandic
    ("cp1254", "ıişğüöçâîû"),  # Turkish
    *((name, letters) for name in ("cp1250", "iso8859-2") for letters in (_POLISH, _CZECH)),
    ("cp1250", "áéíóöőúüű"),  # Hungarian
    ("cp1250", "ăâîşţ"),  # Romanian
    ("cp1250", "čćžšđ"),  # Croatian
    ("cp1257", "āčēģīķļņšūž"),  # Latvian
    ("cp1257", "ąčęėįšųūž"),  # Lithuanian
    ("mac_roman", _WESTERN),
    ("cp850", _WESTERN),  # MS-DOS
)
"""Encoding and non-ASCII letters of a language in Latin script, in lower case; the first of equally
good ones wins.
"""
_CYRILLIC, _GREEK = "оеаинтсрвлкмпуь", "αοιετσνηυρπκςίόά"
_SCRIPTS = (
    *(("cp1251", _CYRILLIC, 4), ("koi8-r", _CYRILLIC, 60), ("cp1253", _GREEK, 4)),
    *(("cp1255", "יוהלאתרבמש", 4), ("cp1256", "ايلمنرتبوة", 12)),
)
"""Encodings of other scripts, their most frequent letters, and the minimum number of letters for a
guess.
"""
_WORDS = {
    **dict.fromkeys(("cp1251", "koi8-r"), r"[А-ЯЁ]?[а-яё]+"),
    **{"cp1253": r"[Ά-Ϋ]?[ά-ώ]+", "cp1255": r"[א-ת]+", "cp1256": r"[ء-ي]+"},
}
"""Encoding -> pattern of its words: with at most a first capital, where the script has capitals."""
_ACCENTS = set("άέήίόύώΐΰΆΈΉΊΌΎΏ")
"""Accented letters; most Greek words have one."""
_WITHIN = re.compile(r"(?<=[A-Za-z])[^\x00-\x7f](?=[a-z])")
"""Pattern of one non-ASCII character within a word of Latin letters: two letters decoded as a pair.
"""
_BEHIND_SMALL = re.compile(r"(?<=[a-z])[^\x00-\x7f]")
"""Pattern of a non-ASCII character after a lower-case letter."""
_SYLLABLES = frozenset(
    "이다는가의에을를은한지사기고인리어스도아자김수시상해서나정일대로하그보과적전주부제만있여라"
    "구소성장동조원선경최박강윤임오신영민현진우미안유송홍무비라마트면음식물드공방화생국관학교"
    "명번호회품제목격평점분류날짜용매입출판책노래게임영차카페커피치즈개반바"
)
"""Frequent syllables in Korean names of users and products."""


def written_in(content: bytes) -> str:
    """Return the most likely encoding of a text that is not UTF-8."""
    cells = _distinct_cells(content)
    for encoding in (*_likely(cells), "cp1252"):
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _distinct_cells(content: bytes) -> bytes:
    """Return the distinct cells with non-ASCII bytes, up to `LOOKED_AT` bytes."""
    matches = re.findall(rb"[^\n\r,;\t]*[\x80-\xff][^\n\r,;\t]*", content)
    cells, held = dict.fromkeys(matches), 0
    for number, cell in enumerate(cells):
        held += len(cell)
        if held > LOOKED_AT:
            return b"\n".join(list(cells)[:number])
    return b"\n".join(cells)


def _likely(cells: bytes) -> list[str]:
    """Return likely encodings, the best first."""
    scripts = [(_script(cells, *one), one[0]) for one in _SCRIPTS]
    encodings = [max(scripts)[1]] if max(scripts)[0] >= MIN_FREQUENT else []
    for encoding, is_common, is_wide in _OF_PAIRS:
        text = cells.decode(encoding, errors="replace")
        runs = set(re.findall(r"[^\x00-\x7f]+", text))
        if 2 * len({*_WITHIN.findall(text)}) > len(runs):  # `Größe`
            continue
        high = list("".join(runs))
        beside = sum(len(run) for run in runs if len(run) > 1)
        is_beside = is_wide or beside >= MIN_BESIDE * len(high)
        if high and is_beside and sum(map(is_common, high)) >= MIN_COMMON * len(high):
            encodings.append(_neighbor(cells, high) if encoding == "gb18030" else encoding)
    shares = [_share(cells, *one) for one in _LETTERS]
    best = _LETTERS[shares.index(max(shares))][0]
    is_other = max(shares) >= MIN_OTHER and max(shares[:2]) < MAX_WESTERN
    return [*encodings, best] if is_other else encodings


def _neighbor(cells: bytes, high: list[str]) -> str:
    """Distinguish encodings that share the bytes of `gb18030`: Japanese by its kana, Korean by
    frequent syllables, else Chinese.
    """
    if sum("ぁ" <= c <= "ヿ" for c in high) > MIN_KANA * len(high):
        return "euc_jp"
    letters = {c for c in cells.decode("euc_kr", errors="replace") if ord(c) > 127}
    hangul = {c for c in letters if "가" <= c <= "힣"}
    is_korean = len(hangul) >= MIN_HANGUL and len(hangul) >= MIN_COMMON * len(letters)
    return "euc_kr" if is_korean and _are_frequent(hangul) else "gb18030"


def _are_frequent(hangul: set[str]) -> bool:
    """Whether enough syllables are among the frequent ones."""
    return len(hangul & _SYLLABLES) >= MIN_SYLLABLES * len(hangul)


def _is_in(encoding: str, leads: tuple[int, int]) -> Callable[[str], bool]:
    """Return a test for common characters of an encoding: those with first bytes in a range."""

    def is_common(letter: str) -> bool:
        try:
            pair = letter.encode(encoding)
        except UnicodeEncodeError:
            return False
        return len(pair) == 2 and leads[0] <= pair[0] <= leads[1]

    return is_common


_OF_PAIRS = (
    ("gb18030", _is_in("gb2312", (0xA1, 0xF7)), True),
    ("big5", _is_in("big5", (0xA1, 0xC6)), False),
    ("cp932", _is_in("shift_jis", (0x81, 0x98)), False),
)
"""Encodings with two bytes per character, their common characters, and whether both bytes are
non-ASCII.
"""


def _script(cells: bytes, encoding: str, letters: str, least: int) -> float:
    """Return the share of frequent letters among the letters of a script; 0 where they do not form
    words.
    """
    text = cells.decode(encoding, errors="replace")
    high = [c for c in text if ord(c) > 127 and c not in _SIGNS]
    words = [word for word in re.findall(_WORDS[encoding], text) if len(word) > 2]
    if len(high) < least or sum(map(len, words)) < MIN_CASED * len(high):
        return 0.0
    if letters == _GREEK and sum(bool(_ACCENTS & {*word}) for word in words) < 0.4 * len(words):
        return 0.0
    return sum(c in letters for c in "".join(high).lower()) / len(high)


def _share(cells: bytes, encoding: str, letters: str) -> float:
    """Return the share of a language's letters among the non-ASCII characters, without signs;
    capitals after a lower-case letter count against it. 0 where the text cannot be decoded.
    """
    try:
        text = cells.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    high = [c for c in text if ord(c) > 127 and c not in _SIGNS]
    alphabet = {*letters, *letters.upper(), *("İ" if "ı" in letters else "")}
    odd = sum(c.isupper() and c in alphabet for c in _BEHIND_SMALL.findall(text))
    return (sum(c in alphabet for c in high) - odd) / len(high) if high else 1.0

"""What a text is written in that is no UTF-8 and says nothing of itself: by the characters and
letters that are common where they are right.

Libraries that guess encodings learned them from running text. On tables, which hold a few names
among ASCII, `charset-normalizer` and `chardet` mistake what is Western European or Chinese for
something else in every third to second file (docs/experiments/README.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable

LOOKED_AT = 100_000
"""Bytes of different cells that tell."""
MIN_COMMON = 0.9
"""Share of the characters beyond ASCII that are common, where pairs of bytes are read right."""
MIN_BESIDE = 0.3
"""Share of them that stand beside another, where the second byte of a pair may be ASCII: `It’s` and
`5 °C` hold such a pair by chance.
"""
MIN_KANA, MIN_SYLLABLES = 0.1, 0.4
"""Share of kana in Japanese, and of frequent syllables in Korean."""
MIN_HANGUL = 5
"""Different syllables by which Korean is told from Chinese."""
MIN_CASED, MIN_FREQUENT = 0.6, 0.45
"""Share of the letters of a script that stand in its words of three or more, and of them that are
frequent ones.
"""
MIN_OTHER, MAX_WESTERN = 0.95, 0.8
"""Shares of letters from which, and up to which, a text in Latin letters is not Western."""
_SIGNS = set("\u00a0«»‹›“”„‘’–—…•·€£¥§°©®™²³½¼¾×÷±µ¿¡´¨")
"""Signs of any language."""
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
"""Letters beyond ASCII among others of Latin, in lower case; of equal ones the first is taken."""
_CYRILLIC, _GREEK = "оеаинтсрвлкмпуь", "αοιετσνηυρπκςίόά"
_SCRIPTS = (
    *(("cp1251", _CYRILLIC, 4), ("koi8-r", _CYRILLIC, 60), ("cp1253", _GREEK, 4)),
    *(("cp1255", "יוהלאתרבמש", 4), ("cp1256", "ايلمنرتبوة", 12)),
)
"""Scripts other than Latin, their most frequent letters, and how many letters tell."""
_WORDS = {
    **dict.fromkeys(("cp1251", "koi8-r"), r"[А-ЯЁ]?[а-яё]+"),
    **{"cp1253": r"[Ά-Ϋ]?[ά-ώ]+", "cp1255": r"[א-ת]+", "cp1256": r"[ء-ي]+"},
}
"""Words as they have them: with one capital at most, or of several letters."""
_ACCENTS = set("άέήίόύώΐΰΆΈΉΊΌΎΏ")
"""One of which most words of Greek have."""
_WITHIN = re.compile(r"(?<=[A-Za-z])[^\x00-\x7f](?=[a-z])")
"""A character alone within a word in Latin letters: two of its own, read as a pair."""
_BEHIND_SMALL = re.compile(r"(?<=[a-z])[^\x00-\x7f]")
_SYLLABLES = frozenset(
    "이다는가의에을를은한지사기고인리어스도아자김수시상해서나정일대로하그보과적전주부제만있여라"
    "구소성장동조원선경최박강윤임오신영민현진우미안유송홍무비라마트면음식물드공방화생국관학교"
    "명번호회품제목격평점분류날짜용매입출판책노래게임영차카페커피치즈개반바"
)
"""Frequent syllables of Korean, in names of users and of products."""


def written_in(content: bytes) -> str:
    """The encoding that a text is most likely written in; never UTF-8."""
    told = _told(content)
    for encoding in (*_likely(told), "cp1252"):
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _told(content: bytes) -> bytes:
    """The different cells that hold more than ASCII."""
    found = re.findall(rb"[^\n\r,;\t]*[\x80-\xff][^\n\r,;\t]*", content)
    cells, held = dict.fromkeys(found), 0
    for number, cell in enumerate(cells):
        held += len(cell)
        if held > LOOKED_AT:
            return b"\n".join(list(cells)[:number])
    return b"\n".join(cells)


def _likely(told: bytes) -> list[str]:
    scripts = [(_script(told, *one), one[0]) for one in _SCRIPTS]
    found = [max(scripts)[1]] if max(scripts)[0] >= MIN_FREQUENT else []
    for encoding, is_common, is_wide in _OF_PAIRS:
        text = told.decode(encoding, errors="replace")
        runs = set(re.findall(r"[^\x00-\x7f]+", text))
        if 2 * len({*_WITHIN.findall(text)}) > len(runs):  # `Größe`
            continue
        high = list("".join(runs))
        beside = sum(len(run) for run in runs if len(run) > 1)
        is_beside = is_wide or beside >= MIN_BESIDE * len(high)
        if high and is_beside and sum(map(is_common, high)) >= MIN_COMMON * len(high):
            found.append(_neighbor(told, high) if encoding == "gb18030" else encoding)
    shares = [_share(told, *one) for one in _LETTERS]
    best = _LETTERS[shares.index(max(shares))][0]
    is_told = max(shares) >= MIN_OTHER and max(shares[:2]) < MAX_WESTERN
    return [*found, best] if is_told else found


def _neighbor(told: bytes, high: list[str]) -> str:
    """Japanese and Korean lie where Chinese does: kana tell the one, frequent syllables the
    other.
    """
    if sum("ぁ" <= c <= "ヿ" for c in high) > MIN_KANA * len(high):
        return "euc_jp"
    letters = {c for c in told.decode("euc_kr", errors="replace") if ord(c) > 127}
    hangul = {c for c in letters if "가" <= c <= "힣"}
    is_korean = len(hangul) >= MIN_HANGUL and len(hangul) >= MIN_COMMON * len(letters)
    return "euc_kr" if is_korean and _are_frequent(hangul) else "gb18030"


def _are_frequent(hangul: set[str]) -> bool:
    return len(hangul & _SYLLABLES) >= MIN_SYLLABLES * len(hangul)


def _is_in(encoding: str, leads: tuple[int, int]) -> Callable[[str], bool]:
    """Whether a character is among the common ones: those with such first bytes, and signs."""

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
"""Encodings of pairs of bytes, their common characters, and whether both bytes are beyond ASCII."""


def _script(told: bytes, encoding: str, letters: str, least: int) -> float:
    """Share of frequent letters among those of a script, where these stand in words as it has
    them; else 0.
    """
    text = told.decode(encoding, errors="replace")
    high = [c for c in text if ord(c) > 127 and c not in _SIGNS]
    words = [word for word in re.findall(_WORDS[encoding], text) if len(word) > 2]
    if len(high) < least or sum(map(len, words)) < MIN_CASED * len(high):
        return 0.0
    if letters == _GREEK and sum(bool(_ACCENTS & {*word}) for word in words) < 0.4 * len(words):
        return 0.0
    return sum(c in letters for c in "".join(high).lower()) / len(high)


def _share(told: bytes, encoding: str, letters: str) -> float:
    """Share of what is beyond ASCII, but for signs, that are letters of the language, none of them
    a capital behind a small letter; 0 where bytes mean nothing.
    """
    try:
        text = told.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    high = [c for c in text if ord(c) > 127 and c not in _SIGNS]
    known = {*letters, *letters.upper(), *("İ" if "ı" in letters else "")}
    odd = sum(c.isupper() and c in known for c in _BEHIND_SMALL.findall(text))
    return (sum(c in known for c in high) - odd) / len(high) if high else 1.0

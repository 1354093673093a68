"""Lookup of the tags of a column by the words in them: `tree nuts` contains `nuts`, `含坚果`
contains `坚果`.
"""

from __future__ import annotations

from collections.abc import Iterable

from metarec.data.policy_values import LONGEST_CODE, is_single, stems_of


class TagWords:
    """Index that finds tags containing all words of another tag, in order and adjacent. Singular
    and plural match; codes of one or two letters (`us`, `in`) match whole tags only.
    """

    def __init__(self, tags: Iterable[str]) -> None:
        self._stems = {tag: stems_of(tag) for tag in tags if is_single(tag)}
        self._with_word: dict[str, list[str]] = {}
        for tag, stems in self._stems.items():
            for stem in dict.fromkeys(stems):
                self._with_word.setdefault(stem, []).append(tag)

    def __contains__(self, tag: str) -> bool:
        return tag in self._stems

    def naming(self, tag: str) -> list[str]:
        """Return the other tags that contain the words of this one, its singular or plural
        included.
        """
        stems = stems_of(tag)
        if not stems:
            return []
        tags = [one for one in self._with_word.get(stems[0], ()) if one != tag]
        whole = _is_code(stems)
        return [one for one in tags if _stands_in(stems, self._stems[one], whole=whole)]

    def named_in(self, tag: str) -> list[str]:
        """Return the tags whose words this one contains."""
        stems = stems_of(tag)
        tags = [one for stem in dict.fromkeys(stems) for one in self._with_word.get(stem, ())]
        return [
            one
            for one in dict.fromkeys(tags)
            if _stands_in(self._stems[one], stems, whole=_is_code(self._stems[one]))
        ]


def _is_code(stems: tuple[str, ...]) -> bool:
    word = stems[0] if len(stems) == 1 else ""
    return word.isascii() and word.isalpha() and len(word) <= LONGEST_CODE


def _stands_in(part: tuple[str, ...], stems: tuple[str, ...], *, whole: bool) -> bool:
    """Whether `part` is a contiguous run of `stems`; if `whole`, whether they are equal."""
    if whole:
        return part == stems
    n = len(part)
    return any(stems[place : place + n] == part for place in range(len(stems) - n + 1))

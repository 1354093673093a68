"""Survey of a catalog's texts: number, length and language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metarec.features.encoders.text.counts import UNSPACED

TOKENS_A_WORD, TOKENS_A_TEXT = 1.2, 2.0
"""Mean number of word pieces per word, and of special tokens per text."""
STOP_WORDS = {
    "English": "the of and to in is for with that on are this from by",
    "German": "der die das und ist nicht ein eine mit von für auf den dem",
    "French": "le la les des et est une dans pour que qui avec du sur",
    "Spanish": "el los las y es una para que con del por su como más",
    "Portuguese": "o os as e é uma para que com do da não em um",
    "Italian": "il lo gli e è una per che con del della nel sono di",
    "Dutch": "de het een en van is dat niet op met voor zijn aan",
}


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Number, length and language of a catalog's texts."""

    items: int
    with_text: int
    words: float
    """Mean number of words of a text (of letters in scripts without spaces)."""
    language: str
    """`English`, another language, `other script`, or `mixed`."""
    with_image: int = 0


def survey_texts(texts: Sequence[str], *, with_image: int = 0) -> Survey:
    """Return number, mean length and language of the texts."""
    written = [text for text in texts if text.strip()]
    lengths = [len(UNSPACED.findall(text)) or len(text.split()) for text in written[:2000]]
    return Survey(
        items=len(texts),
        with_text=len(written),
        words=float(np.mean(lengths)) if lengths else 0.0,
        language=guess_language(written),
        with_image=with_image,
    )


def guess_language(texts: Sequence[str]) -> str:
    """Guess the language of most texts by script and stop words. Titles in Latin script without
    stop words count as English.

    `mixed` where a fifth or more of the texts are in another script, or stop words of two languages
    are common.
    """
    sample = [text for text in texts[:2000] if text]
    if not sample:
        return "none"
    letters = [re.sub(r"[\W\d_]", "", text) for text in sample]
    foreign = float(
        np.mean(
            [
                sum(letter > "\u024f" for letter in word) > 0.3 * len(word)
                for word in letters
                if word
            ]
            or [False]
        )
    )
    if foreign > 0.8:
        return "other script"
    if foreign >= 0.2:
        return "mixed"
    words = [word for text in sample for word in re.findall(r"[^\W\d_]+", text.lower())]
    counts = {language: sum(word in small for word in words) for language, small in _SMALL.items()}
    first, second = sorted(counts, key=lambda language: -counts[language])[:2]
    if counts[first] < 0.02 * len(words):
        accents = np.mean([any(letter > "\u00bf" for letter in word) for word in letters])
        return "English" if accents < 0.3 else "another language"
    return (
        "mixed"
        if counts[second] > 0.4 * counts[first] and counts[second] > 0.02 * len(words)
        else first
    )


_SMALL = {language: frozenset(words.split()) for language, words in STOP_WORDS.items()}

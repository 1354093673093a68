"""Queries in words, such as "slow science fiction, no gore", as signed pseudo-events over item
texts.

A query is split into phrases, each wanted or unwanted; each phrase is encoded like an item's text
and compared with every item. A wanted phrase acts like a liked item, an unwanted one like a
disliked item, except that dissimilarity to an unwanted phrase is not rewarded: only items more
similar to it than average lose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarec.recommendation.queries.chinese import HAN, read_clause

LONGEST = 500
"""Maximum number of characters of a query that are read."""

_FIRST = [  # negations of a single word, or that the patterns below would misread
    (re.compile(r"\b(\w+)-free\b", re.IGNORECASE), r", no \1,"),
    (re.compile(r"(?<![\w-])-(\w+)"), r", no \1,"),
    (re.compile(r"\b(?:anything|everything) but\b", re.IGNORECASE), ", no"),
]
_BREAK = re.compile(
    r"[,;.!?\n，；。！？]+|\bbut\b|\bthough\b|\byet\b|但是?|不过|可是", re.IGNORECASE
)
"""Ends of clauses."""
_UNWANTED = re.compile(
    r"\b(?:(?:do not|don'?t|does not|doesn'?t)\s+(?:want|like|need|show(?: me)?)|can'?t "
    r"stand|nothing(?: too| with| about)?|no more"
    r"|no|not|never|without|avoid(?:ing)?|except(?: for)?|hate|dislike|minus|less|skip|free of)\b",
    re.IGNORECASE,
)
"""Negations in English."""
_FILLER = re.compile(
    r"^(?:(?:please|i(?:'d| would)? (?:like|want|love)(?: to (?:watch|see|read|buy|hear))?|give "
    r"me|show me|something|anything|some|any"
    r"|a bit of|a lot of|more|very|too|so|really|with|of|about|that is|that's|which "
    r"is|and|or|the|a|an|it|be|is|in it|i|me)\b)\s*",
    re.IGNORECASE,
)
"""Filler words at the start of a phrase."""
_TAIL = re.compile(
    r"\s*\b(?:please|thanks?|thank you|in it|(?:is|are) (?:fine|ok|okay|good|great)|and|or)$",
    re.IGNORECASE,
)
"""Filler words at the end of a phrase."""
_JOINED = re.compile(r"\s+(?:or|nor|and)\s+|、", re.IGNORECASE)
"""Conjunctions between unwanted phrases."""


@dataclass(frozen=True)
class Phrase:
    """One phrase of a query."""

    text: str
    sign: int
    """1 wanted, -1 unwanted."""


def parse_query(wish: str) -> list[Phrase]:
    """Split a query into signed phrases; "not", "no", "without", "-free" and the like apply up to
    the end of their clause.

    English and Chinese negations are known; in other languages each clause is one wanted phrase.
    """
    phrases: list[Phrase] = []
    text = wish[:LONGEST]
    for form, plain in _FIRST:
        text = form.sub(plain, text)
    for clause in _BREAK.split(text):
        if HAN.search(clause) and not _UNWANTED.search(clause):
            kept, refused = read_clause(clause.strip())
            phrases += [Phrase(part, 1) for part in kept] + [Phrase(part, -1) for part in refused]
            continue
        cue = _UNWANTED.search(clause)
        wanted, unwanted = (
            (clause, "")
            if cue is None
            else (clause[: cue.start()], _UNWANTED.sub(" and ", clause[cue.start() :]))
        )
        phrases += [Phrase(part, 1) for part in [_trim(wanted)] if part]
        phrases += [Phrase(part, -1) for part in map(_trim, _JOINED.split(unwanted)) if part]
    return phrases


def query_scores(wish: str, vectors: Any, encode: Callable[[Sequence[str]], Any]) -> np.ndarray:
    """Return how well each item fits a query.

    Args:
        wish: the query in words.
        vectors: [N, D] embeddings of the items' texts, dense or scipy sparse; their lengths do not
            matter.
        encode: turns texts into embeddings in the same space, [P, D].

    Returns:
        float32 [N], with mean about 0 and standard deviation about 1; all 0 where no phrase
        distinguishes items.
    """
    phrases = parse_query(wish)
    if not phrases:
        return np.zeros(vectors.shape[0], dtype=np.float32)
    closeness = _cosine(vectors, encode([phrase.text for phrase in phrases]))  # [N, P]
    spread = closeness.std(0)
    z_scores = (closeness - closeness.mean(0)) / np.where(spread > 1e-9, spread, np.inf)
    signs = np.array([phrase.sign for phrase in phrases])
    parts = np.where(signs > 0, z_scores, -np.maximum(z_scores, 0.0))
    return np.asarray(parts.sum(1) / np.sqrt(len(phrases)), dtype=np.float32)


def _trim(text: str) -> str:
    """Strip filler words such as "please show me" from both ends of a phrase."""
    before = None
    text = text.strip(" \t\"'“”()-:")
    while text != before:
        before = text
        text = _TAIL.sub("", _FILLER.sub("", text)).strip(" \t\"'“”()-:")
    return text


def _cosine(vectors: Any, phrases: Any) -> np.ndarray:
    """[N, P] cosine similarity of items and phrases."""
    return _dense(_unit(vectors) @ _unit(phrases).T)


def _unit(rows: Any) -> Any:
    if hasattr(rows, "multiply"):  # scipy sparse
        length = np.sqrt(_dense(rows.multiply(rows).sum(1)).reshape(-1, 1))
        return rows.multiply(1.0 / np.maximum(length, 1e-12)).tocsr()
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _dense(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.todense() if hasattr(matrix, "todense") else matrix, dtype=np.float64)

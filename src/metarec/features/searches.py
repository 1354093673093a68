"""Searches of training users: their words, and for how many later acts they still speak."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from metarec.data.relations import SPENT_AFTER

_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
MIN_SEARCHES, MAX_COUNTED = 30, 2000
"""Searches by which it is known how long they last, at least and at most."""
DAMPING, STILL = 3.0, 0.5
"""Acts' worth of popularity that is mixed into what a word leads to, and the part of what a search
says of the act right after it that it must still say of a later one.
"""


def words_of(text: str) -> list[str]:
    """Words in lower case; of scripts without spaces every pair of characters."""
    words: list[str] = []
    for word in _WORD.findall(text.casefold()):
        unspaced = _UNSPACED.findall(word)
        words += _UNSPACED.sub(" ", word).split()
        for run in unspaced:
            words += [run[at : at + 2] for at in range(max(len(run) - 1, 1))]
    return words


def acts_that_follow(
    own: Sequence[Sequence[tuple[str, float]]], times: Sequence[np.ndarray], starts: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """The timed queries that acts follow, and the places [Q, SPENT_AFTER] of the acts that followed
    each, among all acts by user and time; -1 where there are no more.

    Args:
        own: [U] queries and their seconds.
        times: [U] when each user acted, in order.
        starts: [U] place of each user's first act.
    """
    queries, rows = [], []
    steps = np.arange(SPENT_AFTER)
    for user in (user for user, said in enumerate(own) if said):
        for query, at in own[user]:
            first = np.searchsorted(times[user], at) + steps
            if not np.isnan(at) and first[0] < len(times[user]):
                queries.append(query)
                rows.append(np.where(first < len(times[user]), starts[user] + first, -1))
    return queries, np.array(rows, np.int64).reshape(-1, SPENT_AFTER)


def lasting(queries: Sequence[str], taken: np.ndarray, popularity: np.ndarray) -> int:
    """For how many acts a search still speaks, 1 to SPENT_AFTER: as long as what others took right
    after the same words foretells the act at least half as well as the one right after it.

    Args:
        taken: [Q, SPENT_AFTER] items taken after each query; -1 where there are no more.
        popularity: [N] shares.
    """
    if len(queries) < MIN_SEARCHES:
        return SPENT_AFTER
    chosen = np.linspace(0, len(queries) - 1, min(len(queries), MAX_COUNTED)).astype(np.int64)
    said, first = _words_and_items(queries, taken[:, 0], len(popularity))
    counts = (said.T @ first).tocsr()
    led = (said[chosen] @ counts).tocsr()
    of_words = np.asarray(said[chosen].sum(1)).ravel()
    sums = np.asarray(led.sum(1)).ravel() - of_words
    gains = [
        _gain(led, taken[chosen, step], taken[chosen, 0], of_words, sums, popularity)
        for step in range(SPENT_AFTER)
    ]
    if gains[0] <= 0:
        return SPENT_AFTER
    spent = [step for step, gain in enumerate(gains) if gain < STILL * gains[0]]
    return spent[0] if spent else SPENT_AFTER


def _words_and_items(
    queries: Sequence[str], items: np.ndarray, n_items: int
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """[Q, W] which words each query has, and [Q, N] which item."""
    words = [sorted(set(words_of(query))) for query in queries]
    index = {word: place for place, word in enumerate(sorted({w for one in words for w in one}))}
    rows = np.repeat(np.arange(len(words)), [len(one) for one in words])
    columns = np.array([index[word] for one in words for word in one], np.int64)
    said = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(words), len(index)))
    every = np.arange(len(queries))
    return said, sp.csr_matrix((np.ones(len(every)), (every, items)), (len(every), n_items))


def _gain(
    led: sp.csr_matrix,
    taken: np.ndarray,
    first: np.ndarray,
    of_words: np.ndarray,
    sums: np.ndarray,
    popularity: np.ndarray,
) -> float:
    """Mean log-likelihood of the acts `taken` [Q] above popularity; 0 where none is known."""
    rows = np.flatnonzero(taken >= 0)
    if not len(rows):
        return 0.0
    items = taken[rows]
    others = np.asarray(led[rows, items]).ravel() - of_words[rows] * (items == first[rows])
    share = popularity[items]
    return float(np.log((others + DAMPING * share) / (sums[rows] + DAMPING) / share).mean())

"""Searches of training users: their words, and for how many later events they are informative."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from metarec.data.relations import SPENT_AFTER

_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
MIN_SEARCHES, MAX_COUNTED = 30, 2000
"""Minimum and maximum of searches from which it is estimated for how many events they last."""
DAMPING, STILL = 3.0, 0.5
"""Smoothing of word-item counts towards popularity, in events, and the share of the gain on the
first event after a search below which a later event is no longer explained by it.
"""


def words_of(text: str) -> list[str]:
    """Split a text into case-folded words; scripts without spaces into character bigrams."""
    words: list[str] = []
    for word in _WORD.findall(text.casefold()):
        unspaced = _UNSPACED.findall(word)
        words += _UNSPACED.sub(" ", word).split()
        for run in unspaced:
            words += [run[at : at + 2] for at in range(max(len(run) - 1, 1))]
    return words


def events_after_queries(
    queries_of_users: Sequence[Sequence[tuple[str, float]]],
    times: Sequence[np.ndarray],
    starts: np.ndarray,
) -> tuple[list[str], np.ndarray]:
    """Return the queries with a time and a later event, and the indexes [Q, SPENT_AFTER] of the
    events that followed each, among all events by user and time; -1 where there are no more.

    Args:
        queries_of_users: [U] queries and their times in seconds.
        times: [U] times of each user's events, ascending.
        starts: [U] index of each user's first event.
    """
    queries, rows = [], []
    steps = np.arange(SPENT_AFTER)
    for user in (user for user, one in enumerate(queries_of_users) if one):
        for query, at in queries_of_users[user]:
            first = np.searchsorted(times[user], at) + steps
            if not np.isnan(at) and first[0] < len(times[user]):
                queries.append(query)
                rows.append(np.where(first < len(times[user]), starts[user] + first, -1))
    return queries, np.array(rows, np.int64).reshape(-1, SPENT_AFTER)


def informative_length(queries: Sequence[str], taken: np.ndarray, popularity: np.ndarray) -> int:
    """Return the number of events, 1 to SPENT_AFTER, for which a search is informative: as long as
    items that others took right after the same words predict the event at least half as well
    (`STILL`) as the first event after the search.

    Args:
        queries: Q search queries.
        taken: [Q, SPENT_AFTER] items taken after each query; -1 where there are no more.
        popularity: [N] share of each item among all events.
    """
    if len(queries) < MIN_SEARCHES:
        return SPENT_AFTER
    chosen = np.linspace(0, len(queries) - 1, min(len(queries), MAX_COUNTED)).astype(np.int64)
    query_words, first = _words_and_items(queries, taken[:, 0], len(popularity))
    counts = (query_words.T @ first).tocsr()
    led = (query_words[chosen] @ counts).tocsr()
    of_words = np.asarray(query_words[chosen].sum(1)).ravel()
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
    """Return indicator matrices of the words [Q, W] and of the item [Q, N] of each query."""
    words = [sorted(set(words_of(query))) for query in queries]
    index = {word: place for place, word in enumerate(sorted({w for one in words for w in one}))}
    rows = np.repeat(np.arange(len(words)), [len(one) for one in words])
    columns = np.array([index[word] for one in words for word in one], np.int64)
    contains = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(words), len(index)))
    every = np.arange(len(queries))
    return contains, sp.csr_matrix((np.ones(len(every)), (every, items)), (len(every), n_items))


def _gain(
    led: sp.csr_matrix,
    taken: np.ndarray,
    first: np.ndarray,
    of_words: np.ndarray,
    sums: np.ndarray,
    popularity: np.ndarray,
) -> float:
    """Return the mean log-likelihood gain over popularity of the events `taken` [Q]; 0 without any.

    The event that followed the query itself is left out of the counts.
    """
    rows = np.flatnonzero(taken >= 0)
    if not len(rows):
        return 0.0
    items = taken[rows]
    others = np.asarray(led[rows, items]).ravel() - of_words[rows] * (items == first[rows])
    share = popularity[items]
    return float(np.log((others + DAMPING * share) / (sums[rows] + DAMPING) / share).mean())

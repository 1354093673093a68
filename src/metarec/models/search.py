"""Search queries: items that users took after searches with the same words, and items whose text
contains the words.

The former is learned from logs like a click graph (Craswell and Szummer 2007, "Random walks on the
click graph"), word by word, so that new combinations of known words count; the latter is TF-IDF.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from metarec.data.relations import SPENT_AFTER
from metarec.features.behavior import Behavior
from metarec.features.searches import words_of
from metarec.features.users import UserBatch
from metarec.models.config import ModelConfig, setting
from metarec.models.sparse_rows import sparse_arrays, sparse_from

MIN_SEARCHERS = 2
"""Minimum of training users who searched for a word that no item's text has: a word of one user
alone may say who they are, and a model keeps its words when that user is forgotten.
"""


@dataclass(frozen=True, kw_only=True)
class SearchConfig(ModelConfig):
    """Hyper-parameters of `search`."""

    following: int = setting(5, at_least=1)
    """Number of events after a search that count as its result (1 or more), later ones with less
    weight.
    """
    decay: float = setting(0.8, above=0, at_most=1)
    """Ratio of the weights of consecutive events after a search, in (0, 1]."""
    recency: float = setting(0.6, above=0, at_most=1)
    """Ratio of the weights of consecutive queries, from the newest to the oldest, in (0, 1]."""
    damping: float = setting(3.0, at_least=0)
    """Pseudo-count of events that shrinks the evidence of rare words (0 or more)."""
    text_share: float = setting(0.5, at_least=0)
    """Weight of text matches beside 1 for what searchers took (0 or more)."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """Evidence = items associated with the words of the user's recent queries."""

    words: tuple[str, ...]
    """[W] words of items, and of the queries of `MIN_SEARCHERS` users, sorted."""
    taken: sp.csr_matrix
    """[W, N] share of the events that followed searches with a word, shrunk by `damping`."""
    texts: sp.csr_matrix
    """[W, N] TF-IDF of the items' texts; columns have unit length."""
    rarity: np.ndarray
    """[W] float32 inverse document frequency."""
    lasts: int = SPENT_AFTER
    """Number of later events after which a search is no longer used (1 or more)."""
    config: SearchConfig = SearchConfig()
    reads: ClassVar[frozenset[str]] = frozenset({"searches"})

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: SearchConfig | None = None
    ) -> Search:
        """Count the events that followed each word."""
        config, context = config or cls.config, behavior.context
        assert context is not None, "fitted only where users searched"
        words_of_items = [words_of(text) for text in context.texts]
        queries = [[words_of(query) for query, _ in of_user] for of_user in context.queries]
        words = sorted({w for one in words_of_items for w in one} | _shared(queries))
        index = {word: place for place, word in enumerate(words)}
        texts, rarity = _tf_idf(words_of_items, index, behavior.n_items)
        counts = _followed(behavior, queries, index, config)
        total = np.asarray(counts.sum(1)).ravel()
        return cls(
            words=tuple(words),
            taken=(sp.diags(1.0 / (total + config.damping)) @ counts).astype(np.float32).tocsr(),
            texts=texts,
            rarity=rarity,
            lasts=context.searches_last,
            config=config,
        )

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> sp.csr_matrix:
        """[B, N] sparse evidence; nothing for users who did not search."""
        queries = (
            sp.csr_matrix((len(users), len(self.words)), dtype=np.float32)
            if not any(users.context.searches)
            else self._queries(users.context.searches)
        )
        by_text = self.config.text_share * _shares(queries @ self.texts)
        return (_shares(queries @ self.taken) + by_text).tocsr()

    def knows(self, users: UserBatch) -> np.ndarray:
        """[B] whether any item matches what each user searched for."""
        if not any(users.context.searches):
            return np.zeros(len(users), bool)
        return np.asarray(np.diff(self.evidence(users).indptr) > 0)

    def unknown(self, query: str) -> bool:
        """Return whether no word of a query is known."""
        return not any(word in self._index for word in words_of(query))

    def _queries(self, searches: Sequence[Sequence[str]]) -> sp.csr_matrix:
        """[B, W] words of the queries, weighted by recency and inverse document frequency."""
        rows, columns, data = [], [], []
        for row, of_user in enumerate(searches):
            for age, query in enumerate(reversed(of_user)):
                for word in words_of(query):
                    place = self._index.get(word)
                    if place is not None:
                        rows.append(row)
                        columns.append(place)
                        data.append(self.config.recency**age * self.rarity[place])
        return sp.csr_matrix(
            (np.array(data, np.float32), (rows, columns)), shape=(len(searches), len(self.words))
        )

    @cached_property
    def _index(self) -> dict[str, int]:
        """Index of each word in `words`."""
        return {word: place for place, word in enumerate(self.words)}

    def with_texts(self, items: np.ndarray, texts: Sequence[str]) -> Search:
        """Return the model with new `texts` [C] of the given `items` [C]; the texts of other items,
        which are many, are not read again.
        """
        words = [words_of(text) for text in texts]
        changed = _tf_idf(words, self._index, len(texts), self.rarity)[0]
        n_items = self.texts.shape[1]
        kept = np.ones(n_items, np.float32)
        kept[items] = 0.0
        put = sp.csr_matrix(
            (np.ones(len(items), np.float32), (np.arange(len(items)), items)),
            shape=(len(items), n_items),
        )
        together = (self.texts @ sp.diags(kept) + changed @ put).tocsr()
        together.eliminate_zeros()
        return replace(self, texts=together)

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Search:
        """Return the model for a larger catalog; new items match no query until `with_texts`."""
        taken, texts = self.taken.copy(), self.texts.copy()
        taken.resize((len(self.words), len(content)))
        texts.resize((len(self.words), len(content)))
        return replace(self, taken=taken, texts=texts)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Words, inverse document frequencies and both matrices."""
        return {
            "words": np.frombuffer("\n".join(self.words).encode(), np.uint8),
            "rarity": self.rarity,
            "lasts": np.array([self.lasts]),
            **sparse_arrays(self.taken, "taken_"),
            **sparse_arrays(self.texts, "texts_"),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: SearchConfig | None = None
    ) -> Search:
        """Restore the model from `arrays()`."""
        words = arrays["words"].tobytes().decode()
        return cls(
            words=tuple(words.split("\n")) if words else (),
            rarity=arrays["rarity"],
            lasts=int(arrays.get("lasts", [SPENT_AFTER])[0]),
            config=config or cls.config,
            taken=sparse_from(arrays, "taken_"),
            texts=sparse_from(arrays, "texts_"),
        )


def _shared(queries: Sequence[Sequence[Sequence[str]]]) -> set[str]:
    """Return the words that at least `MIN_SEARCHERS` users searched for."""
    searchers = Counter(
        word for of_user in queries for word in {w for query in of_user for w in query}
    )
    return {word for word, users in searchers.items() if users >= MIN_SEARCHERS}


def _tf_idf(
    words_of_items: Sequence[Sequence[str]],
    index: Mapping[str, int],
    n_items: int,
    rarity: np.ndarray | None = None,
) -> tuple[sp.csr_matrix, np.ndarray]:
    """[W, N] TF-IDF with columns of unit length, and the inverse document frequencies [W] (`rarity`
    where given).
    """
    pairs = [
        (index[w], item)
        for item, words in enumerate(words_of_items)
        for w in set(words)
        if w in index
    ]
    rows, columns = (
        (np.array(part, np.int64) for part in zip(*pairs, strict=True))
        if pairs
        else (
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
        )
    )
    if rarity is None:
        document_frequency = np.bincount(rows, minlength=len(index))
        rarity = np.log((1.0 + n_items) / (1.0 + document_frequency)).astype(np.float32)
    squares = np.bincount(columns, rarity[rows] ** 2, n_items)
    data = rarity[rows] / np.sqrt(np.maximum(squares, 1e-9))[columns]
    return sp.csr_matrix(
        (data.astype(np.float32), (rows, columns)), shape=(len(index), n_items)
    ), rarity


def _followed(
    behavior: Behavior,
    queries: Sequence[Sequence[Sequence[str]]],
    index: Mapping[str, int],
    config: SearchConfig,
) -> sp.csr_matrix:
    """[W, N] decayed counts of the events that followed a query with each word."""
    context = behavior.context
    assert context is not None
    acts, rows, columns, data = context.acts, [], [], []
    order = np.lexsort((acts.times, acts.owners))
    starts = np.searchsorted(acts.owners[order], np.arange(len(queries) + 1))
    for user, of_user in enumerate(queries):
        mine = order[starts[user] : starts[user + 1]]
        times = acts.times[mine]
        for words, (_, at) in zip(of_user, context.queries[user], strict=True):
            first = 0 if np.isnan(at) else int(np.searchsorted(times, at))
            for step, act in enumerate(mine[first : first + config.following]):
                places = [index[word] for word in words if word in index]
                rows += places
                columns += [acts.items[act]] * len(places)
                data += [config.decay**step] * len(places)
    return sp.csr_matrix(
        (np.array(data, np.float32), (rows, columns)), shape=(len(index), behavior.n_items)
    )


def _shares(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Normalize rows to sum 1."""
    total = np.asarray(matrix.sum(1)).ravel()
    return sp.diags((1.0 / np.where(total > 0, total, 1.0)).astype(np.float32)) @ matrix

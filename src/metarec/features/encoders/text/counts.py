"""Bag of words and TF-IDF: the baseline of every large model, and the fallback without one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from itertools import chain

import numpy as np
import scipy.sparse as sp

from metarec.data.schema import BadInput
from metarec.features.encoders.base import STAGE, EncoderState, unit_rows
from metarec.runtime.decomposition import truncated_svd
from metarec.runtime.progress import Progress, silent

WORD, SPACES = re.compile(r"\b\w+\b"), re.compile(r"\s\s+")
MAX_LETTERS = 3
"""Length of the longest n-grams of letters."""
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""Letters of scripts written without spaces: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""
UNSPACED_SHARE = 0.2
"""Minimum share of texts with such letters for n-grams of letters to be counted, not words."""


class CountEncoder:
    """Word counts (`bow`), or weighted by inverse document frequency (`tfidf`), projected to `dim`
    columns by truncated SVD.

    Deerwester et al. 1990, "Indexing by latent semantic analysis". Fitted on the texts given to
    `fit` and no others. Languages written without spaces are counted by n-grams of 1 to 3 letters,
    as whole sentences would be single words.
    """

    def __init__(
        self,
        *,
        kind: str,
        terms: list[str],
        analyzer: str,
        rarity: np.ndarray,
        components: np.ndarray,
    ) -> None:
        self.kind = kind
        self.terms = terms
        self.analyzer = analyzer
        self.rarity = rarity
        self.components = components
        self.dim = components.shape[0]
        self.name = {"tfidf": "TF-IDF", "bow": "bag of words"}[kind]

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        *,
        kind: str = "tfidf",
        dim: int = 128,
        max_terms: int = 20_000,
        seed: int = 0,
    ) -> CountEncoder:
        """Learn the vocabulary, the inverse document frequencies and the `dim` leading directions.

        Args:
            texts: texts of training rows only.
            kind: `tfidf` or `bow`.
            dim: number of directions; fewer terms are not projected.
            max_terms: maximum number of terms, the most frequent ones.
            seed: seed of the randomized SVD.

        Raises:
            BadInput: if no text holds a single word.
        """
        analyzer = "char" if is_unspaced(texts) else "word"
        counts, terms = _counted(texts, analyzer, max_terms)
        spread = np.bincount(counts.indices, minlength=len(terms))
        rarity = (
            np.log((1 + len(texts)) / (1 + spread)) + 1 if kind == "tfidf" else np.ones(len(terms))
        )
        weighted = _weighted(counts, rarity)
        if len(terms) <= dim:
            components = np.eye(len(terms))
        else:
            components = truncated_svd(
                weighted, min(dim, *weighted.shape), seed, power_iterations=4
            )[2]
        return cls(
            kind=kind,
            terms=terms,
            analyzer=analyzer,
            rarity=rarity.astype(np.float32),
            components=components.astype(np.float32),
        )

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """Return float32 vectors [n, dim]; words outside of the vocabulary are ignored."""
        counts = _counts_of([_terms_of(text, self.analyzer) for text in texts], self.terms)
        vectors = unit_rows(np.asarray(_weighted(counts, self.rarity) @ self.components.T))
        progress(STAGE, 1.0)
        return vectors

    def knows(self, text: str) -> bool:
        """Return whether any word of a text is in the vocabulary."""
        return not self._terms.isdisjoint(_terms_of(text, self.analyzer))

    @cached_property
    def _terms(self) -> frozenset[str]:
        return frozenset(self.terms)

    def state(self) -> EncoderState:
        """Return vocabulary and settings for JSON, and arrays."""
        return EncoderState(
            settings={"kind": self.kind, "terms": self.terms, "analyzer": self.analyzer},
            arrays={"rarity": self.rarity, "components": self.components},
        )

    @classmethod
    def from_state(cls, state: EncoderState) -> CountEncoder:
        """Return the encoder that `state()` was called on."""
        return cls(
            **state.settings, rarity=state.arrays["rarity"], components=state.arrays["components"]
        )


def _counted(
    texts: Sequence[str], analyzer: str, max_terms: int
) -> tuple[sp.csr_matrix, list[str]]:
    """Return counts [n, terms] and the terms, sorted. With more than 50 texts, terms occur in at
    least two of them, unless no term does.

    Raises:
        BadInput: if no text holds a single word.
    """
    if not any(text.strip() for text in texts):
        raise BadInput(
            f"none of the {len(texts):,} texts holds a word; give a title, text or tags, or use "
            f"encoder='none'"
        )
    read = [_terms_of(text, analyzer) for text in texts]
    found = sorted(set(chain.from_iterable(read)))
    if not found:
        raise BadInput(f"the {len(texts):,} texts hold no words, only signs; use encoder='none'")
    counts = _counts_of(read, found)
    spread = np.bincount(counts.indices, minlength=len(found))
    is_kept = spread >= (2 if len(texts) > 50 and spread.max() > 1 else 1)
    total = np.where(is_kept, counts.sum(axis=0), 0.0).ravel()
    kept = np.sort(np.argsort(-total, kind="stable")[: min(max_terms, is_kept.sum())])
    return counts[:, kept], [found[place] for place in kept]


def _counts_of(read: Sequence[Sequence[str]], terms: Sequence[str]) -> sp.csr_matrix:
    """Return counts [n, terms] of the terms in each text, read by `_terms_of`; others are
    ignored.
    """
    place = {term: column for column, term in enumerate(terms)}
    columns = [[place[term] for term in text if term in place] for text in read]
    ends = np.cumsum([0, *map(len, columns)])
    items = np.fromiter(chain.from_iterable(columns), np.int64, ends[-1])
    counts = sp.csr_matrix((np.ones(len(items), np.float32), items, ends), (len(read), len(terms)))
    counts.sum_duplicates()
    return counts


def _terms_of(text: str, analyzer: str) -> list[str]:
    """Return the terms of a text in lower case: words without accents, or n-grams of letters."""
    text = text.lower()
    if analyzer == "word":
        return WORD.findall(text if text.isascii() else _without_accents(text))
    text = SPACES.sub(" ", text)
    sizes = range(1, MAX_LETTERS + 1)
    return [text[at : at + size] for size in sizes for at in range(len(text) - size + 1)]


def _without_accents(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def is_unspaced(texts: Sequence[str]) -> bool:
    """Return whether more than `UNSPACED_SHARE` of texts are in unspaced scripts."""
    written = [text for text in texts[:2000] if text]
    return sum(UNSPACED.search(text) is not None for text in written) > UNSPACED_SHARE * len(
        written
    )


def _weighted(counts: sp.csr_matrix, rarity: np.ndarray) -> sp.csr_matrix:
    """Return log counts times rarity, with rows of unit length."""
    weighted = counts.astype(np.float32)
    weighted.data = (1 + np.log(weighted.data)) * rarity[weighted.indices].astype(np.float32)
    lengths = np.sqrt(np.asarray(weighted.power(2).sum(axis=1)).ravel())
    weighted.data /= np.repeat(np.maximum(lengths, 1e-12), np.diff(weighted.indptr))
    return weighted

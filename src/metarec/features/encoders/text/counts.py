"""Bag of words and TF-IDF: the baseline of every large model, and the fallback without one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from metarec.data.schema import BadInput
from metarec.features.encoders.base import STAGE, EncoderState, unit_rows
from metarec.runtime.decomposition import truncated_svd
from metarec.runtime.progress import Progress, silent

WORD = r"(?u)\b\w+\b"
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
        spread = np.asarray((counts > 0).sum(axis=0)).ravel()
        rarity = (
            np.log((1 + len(texts)) / (1 + spread)) + 1 if kind == "tfidf" else np.ones(len(terms))
        )
        weighted = _weighted(counts, rarity)
        if len(terms) <= dim:
            components = np.eye(len(terms))
        else:
            rank = min(dim, *weighted.shape)
            components = truncated_svd(weighted, rank, seed, power_iterations=4)[2]
        return cls(
            kind=kind,
            terms=terms,
            analyzer=analyzer,
            rarity=rarity.astype(np.float32),
            components=components.astype(np.float32),
        )

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """Return float32 vectors [n, dim]; words outside of the vocabulary are ignored."""
        from sklearn.feature_extraction.text import CountVectorizer

        vectorizer = CountVectorizer(
            vocabulary={term: place for place, term in enumerate(self.terms)},
            **_reading(self.analyzer),
        )
        vectors = unit_rows(
            np.asarray(_weighted(vectorizer.transform(texts), self.rarity) @ self.components.T)
        )
        progress(STAGE, 1.0)
        return vectors

    def knows(self, text: str) -> bool:
        """Return whether any word of a text is in the vocabulary."""
        from sklearn.feature_extraction.text import CountVectorizer

        read = CountVectorizer(**_reading(self.analyzer)).build_analyzer()
        return not self._terms.isdisjoint(read(text))

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


def _counted(texts: Sequence[str], analyzer: str, max_terms: int) -> tuple[Any, list[str]]:
    """Return sparse counts [n, terms] and the terms. With more than 50 texts, terms occur in at
    least two of them, unless no term does.

    Raises:
        BadInput: if no text holds a single word.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    if not any(text.strip() for text in texts):
        raise BadInput(
            f"none of the {len(texts):,} texts holds a word; give a title, text or tags, or use "
            f"encoder='none'"
        )
    vectorizer = CountVectorizer(
        max_features=max_terms, min_df=2 if len(texts) > 50 else 1, **_reading(analyzer)
    )
    try:
        counts = vectorizer.fit_transform(texts)
    except ValueError:  # every word occurs once
        vectorizer.set_params(min_df=1)
        try:
            counts = vectorizer.fit_transform(texts)
        except ValueError as error:
            raise BadInput(
                f"the {len(texts):,} texts hold no words, only signs; use encoder='none'"
            ) from error
    return counts, [str(term) for term in vectorizer.get_feature_names_out()]


def _reading(analyzer: str) -> dict[str, Any]:
    """Return the settings with which scikit-learn splits a text into terms."""
    return (
        {"analyzer": "char", "ngram_range": (1, 3), "lowercase": True}
        if analyzer == "char"
        else {
            "analyzer": "word",
            "token_pattern": WORD,
            "lowercase": True,
            "strip_accents": "unicode",
        }
    )


def is_unspaced(texts: Sequence[str]) -> bool:
    """Return whether more than `UNSPACED_SHARE` of texts are in unspaced scripts."""
    written = [text for text in texts[:2000] if text]
    return sum(UNSPACED.search(text) is not None for text in written) > UNSPACED_SHARE * len(
        written
    )


def _weighted(counts: Any, rarity: np.ndarray) -> Any:
    """Return log counts times rarity, with rows of unit length, sparse."""
    from sklearn.preprocessing import normalize

    weighted = counts.astype(np.float32)
    weighted.data = 1 + np.log(weighted.data)
    return normalize(weighted.multiply(rarity).tocsr())

"""Item content for baselines and for diversity: TF-IDF of all words and tags, reduced by a
truncated SVD.

Deliberately plain and the same for every recommender evaluated, so that a large encoder has an
honest baseline to beat.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from metarec.evaluation.baselines.table import TrainingTable

WIDTH = 96
"""Maximum number of dimensions of the content."""


def words_of_items(frame: pl.DataFrame) -> list[str]:
    """Return all text, tags and categories of each item as one string; columns of ids, links and
    numbers are left out.
    """
    texts = []
    for column in frame.columns:
        lowered = column.lower()
        if column == "item_id" or lowered.endswith("id") or "url" in lowered or lowered == "image":
            continue
        kind = frame[column].dtype
        if kind == pl.Utf8:
            texts.append(pl.col(column).str.replace_all("|", " ", literal=True))
        elif isinstance(kind, pl.List):
            texts.append(pl.col(column).cast(pl.List(pl.Utf8)).list.join(" "))
    if not texts:
        return [""] * frame.height
    return (
        frame.select(pl.concat_str(texts, separator=" ", ignore_nulls=True))
        .to_series()
        .fill_null("")
        .to_list()
    )


def describe_items(table: TrainingTable, width: int = WIDTH) -> np.ndarray:
    """Return the content of the whole catalog, float32 `[N, <= width]` with mean row length 1,
    columns in descending order of explained variance.

    Items without content get zeros; a catalog without any words gets one zero column.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    count = len(table.vocabulary)
    texts = words_of_items(table.data.items.frame)
    texts += [""] * (count - len(texts))
    try:
        words = TfidfVectorizer(
            sublinear_tf=True, min_df=2, max_df=0.5, max_features=50_000
        ).fit_transform(texts)
    except ValueError:  # scikit-learn raises it if no word is left
        return np.zeros((count, 1), np.float32)
    width = min(width, words.shape[1] - 1, count - 1)
    if width < 1:
        return np.asarray(words.toarray(), dtype=np.float32)
    reduced = TruncatedSVD(width, random_state=0).fit_transform(words).astype(np.float32)
    reduced -= reduced.mean(axis=0)
    length = np.linalg.norm(reduced, axis=1).mean()
    return np.asarray(reduced / max(length, 1e-9), dtype=np.float32)

"""Reranks cold items among themselves with a dedicated model; the set of their scores does not
change.

The gate learns from items with events, whose popularity and co-occurrence it knows. For items
without a single event it has neither: on two of three data sets, hidden items ranked by the gate
alone came out worse than those ranked by text similarity and expected popularity
(docs/experiments). A learner trained on exactly this task orders them better, but its scores are
comparable among new items only. So the gate's scores of the new items are kept and reassigned in
the learner's order: the gate decides how many new items reach a slate, the learner decides which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.cold_items.config import ColdItemsConfig
from metarec.models.cold_items.content import normalized
from metarec.models.cold_items.model import NewItems
from metarec.models.cold_items.training import fit_new_items
from metarec.models.cold_items.unrated import UnratedItems
from metarec.runtime.progress import Progress, silent

COLD_ITEMS = "cold_items"
"""Name of this score component."""
MAX_ROWS = 1_000
"""Bound: new items that are reranked, those with the highest expected likes; the others keep the
gate's order.
"""


@dataclass(frozen=True, kw_only=True)
class NewItemPlaces:
    """Learners of new items for one catalog."""

    learners: tuple[NewItems, ...]
    rows: np.ndarray
    """[M] indexes of the items without events, ascending."""
    content: np.ndarray
    """[N, C] float32 content of the whole catalog."""
    text: np.ndarray
    """[N, E] float16 text embeddings of the whole catalog; of width 0 without texts."""

    @classmethod
    def fit(
        cls,
        behavior: Behavior,
        text: np.ndarray,
        rng: np.random.Generator,
        progress: Progress = silent,
        config: ColdItemsConfig | None = None,
    ) -> NewItemPlaces | None:
        """Fit the learners on the items of `behavior`, treating each as new in turn; None where
        there are too few items or no content.
        """
        histories, config = behavior.histories, config or ColdItemsConfig()
        liked = np.unique(histories.items[behavior.is_liked(histories)])
        if len(liked) < config.min_likers * config.folds or not behavior.content.shape[1]:
            return None
        if len(histories) > config.max_users:
            some = rng.permutation(len(histories))[: config.max_users]
            behavior = behavior.users(np.sort(some))
        texts = text.astype(np.float32) if text.shape[1] else None
        learners = [
            fit_new_items(behavior, rng, texts=texts, progress=progress, config=config)
            for _ in range(config.learners)
        ]
        has_events = np.bincount(histories.items, minlength=behavior.n_items) > 0
        return cls.from_arrays(
            _arrays(learners, np.flatnonzero(~has_events)), behavior.content, text
        )

    def with_content(self, content: np.ndarray, text: np.ndarray) -> NewItemPlaces:
        """Return the same learners for a catalog of `content` [N', C] and `text` [N', E]: old items
        first, possibly changed, then new ones.
        """
        rows = np.append(self.rows, np.arange(len(self.content), len(content)))
        return self.from_arrays(_arrays(self.learners, rows), content, text)

    @property
    def is_needed(self) -> bool:
        """Whether there are at least two new items."""
        return len(self.rows) > 1

    def reorder(self, scores: Float[np.ndarray, "users items"], support: Histories) -> None:
        """Rerank new items among themselves in place, in the learner's order for each user; the set
        of their scores does not change.
        """
        if self.is_needed:
            scores[:, self.reordered] = self._anew(scores[:, self.reordered], support)

    def reorder_among(
        self,
        scores: Float[np.ndarray, "users some"],
        items: Int[np.ndarray, "some"],
        support: Histories,
    ) -> None:
        """Same as `reorder` for the scores of the given `items` [I] only, ascending, which must
        include `reordered`.
        """
        if self.is_needed:
            at = np.searchsorted(items, self.reordered)
            scores[:, at] = self._anew(scores[:, at], support)

    def score_component(
        self, scores: Float[np.ndarray, "users items"], support: Histories
    ) -> Float[np.ndarray, "users items"]:
        """[B, N] change of each score by `reorder`: 0 for items with events."""
        added = np.zeros_like(scores)
        if self.is_needed:
            before = scores[:, self.reordered]
            added[:, self.reordered] = self._anew(before, support) - before
        return added

    def _anew(self, scores: np.ndarray, support: Histories) -> np.ndarray:
        """The `scores` of each row, reassigned in the order of the learners' scores."""
        usable = support.where(
            support.items < len(self.learners[0].factors)
        )  # the learners have no factors of items added after the fit
        by_learners = self._adapted.scores(usable)
        reordered = np.empty_like(scores)
        np.put_along_axis(
            reordered, np.argsort(by_learners, axis=1), np.sort(scores, axis=1), axis=1
        )
        return reordered

    @cached_property
    def reordered(self) -> np.ndarray:
        """[at most `MAX_ROWS`] indexes of the new items that are reranked, ascending."""
        expected = self.learners[0].expected_of(self.content[self.rows], self._text_of(self.rows))
        return np.sort(self.rows[np.argsort(-expected, kind="stable")[:MAX_ROWS]])

    def _text_of(self, rows: np.ndarray) -> np.ndarray | None:
        """Text embeddings of these rows; None without texts."""
        return self.text[rows].astype(np.float32) if self.text.shape[1] else None

    @cached_property
    def _adapted(self) -> UnratedItems:
        """The learners, adapted once to the new items that are reranked."""
        rows = self.reordered
        return UnratedItems.of(self.learners, self.content[rows], self._text_of(rows))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned, and `rows`; the recommender saves content and text."""
        return _arrays(self.learners, self.rows)

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], content: np.ndarray, text: np.ndarray
    ) -> NewItemPlaces:
        """Restore the learners from `arrays()` and the catalog's content [N, C] and text [N, E]."""
        each = [
            {
                name.removeprefix(f"{number}."): array
                for name, array in arrays.items()
                if name.startswith(f"{number}.")
            }
            for number in range(sum(name.endswith(".facts") for name in arrays))
        ]
        source = (text if text.shape[1] else content)[: len(each[0]["factors"])].astype(np.float32)
        texts = normalized(source, each[0]["center"])
        return cls(
            learners=tuple(NewItems.from_arrays(learned, texts) for learned in each),
            rows=np.asarray(arrays["rows"], np.int64),
            content=content,
            text=text,
        )


def _arrays(learners: Sequence[NewItems], rows: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of all learners, prefixed by their number, and `rows`."""
    learned = {
        f"{number}.{name}": array
        for number, learner in enumerate(learners)
        for name, array in learner.arrays().items()
    }
    return {**learned, "rows": rows}

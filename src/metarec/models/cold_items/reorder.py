"""Cold items: which of them takes which of the places that the gate gives to them all.

The gate learns from items that users have met, whose popularity and companions it knows. Of items
without a single event it knows neither; hidden items ranked among themselves by the gate alone
stood behind plain likeness of texts and expected popularity on two data sets of three
(docs/experiments). A learner of new items, trained on exactly that, orders them better, but its
scores compare new items with each other only. So the scores stay what the gate made them, and are
given anew among the new items in the learner's order: how many of them reach a slate is the gate's
to say, which of them the learner's.
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
from metarec.models.cold_items.content import placed
from metarec.models.cold_items.model import NewItems
from metarec.models.cold_items.training import fit_new_items
from metarec.models.cold_items.unrated import UnratedItems
from metarec.runtime.progress import Progress, silent

PART = "cold_items"
"""Name of this addend of a score."""
MAX_ROWS = 1_000
"""Bound: new items that are given places, those with the most expected likes; a longer tail stays
where the gate put it.
"""


@dataclass(frozen=True, kw_only=True)
class NewItemPlaces:
    """Learners of new items over one catalog."""

    learners: tuple[NewItems, ...]
    rows: np.ndarray
    """[M] items of the catalog without an event, ascending."""
    content: np.ndarray
    """[N, C] float32 of the whole catalog."""
    text: np.ndarray
    """[N, E] float16 of the whole catalog; of width 0 where it has no text."""

    @classmethod
    def fit(
        cls,
        behavior: Behavior,
        text: np.ndarray,
        rng: np.random.Generator,
        progress: Progress = silent,
        config: ColdItemsConfig | None = None,
    ) -> NewItemPlaces | None:
        """Learn from the items of `behavior`, each made new in turn; None where they are too few
        or nothing is known of what they are.
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
        met = np.bincount(histories.items, minlength=behavior.n_items) > 0
        return cls.from_arrays(_arrays(learners, np.flatnonzero(~met)), behavior.content, text)

    def with_content(self, content: np.ndarray, text: np.ndarray) -> NewItemPlaces:
        """The same learners for a catalog of `content` [N', C] and `text` [N', E]: old items first,
        perhaps changed, then new ones.
        """
        rows = np.append(self.rows, np.arange(len(self.content), len(content)))
        return self.from_arrays(_arrays(self.learners, rows), content, text)

    @property
    def is_needed(self) -> bool:
        """Whether there are new items to choose between."""
        return len(self.rows) > 1

    def reorder(self, scores: Float[np.ndarray, "users items"], support: Histories) -> None:
        """Reorder new items among themselves, in place, as the learner orders them for each user;
        the set of their scores does not change.
        """
        if self.is_needed:
            scores[:, self.reordered] = self._anew(scores[:, self.reordered], support)

    def reorder_among(
        self,
        scores: Float[np.ndarray, "users some"],
        items: Int[np.ndarray, "some"],
        support: Histories,
    ) -> None:
        """`reorder` where only some `items` [I] have scores, ascending, `reordered` among them."""
        if self.is_needed:
            at = np.searchsorted(items, self.reordered)
            scores[:, at] = self._anew(scores[:, at], support)

    def part(
        self, scores: Float[np.ndarray, "users items"], support: Histories
    ) -> Float[np.ndarray, "users items"]:
        """[B, N] what `reorder` adds to each score: 0 for items that users have met."""
        added = np.zeros_like(scores)
        if self.is_needed:
            given = scores[:, self.reordered]
            added[:, self.reordered] = self._anew(given, support) - given
        return added

    def _anew(self, scores: np.ndarray, support: Histories) -> np.ndarray:
        known = support.where(
            support.items < len(self.learners[0].factors)
        )  # of items added since they were fitted they know nothing
        wanted = self._adapted.scores(known)
        reordered = np.empty_like(scores)
        np.put_along_axis(reordered, np.argsort(wanted, axis=1), np.sort(scores, axis=1), axis=1)
        return reordered

    @cached_property
    def reordered(self) -> np.ndarray:
        """[at most `MAX_ROWS`] new items that are reordered, ascending."""
        expected = self.learners[0].expected_of(self.content[self.rows], self._text_of(self.rows))
        return np.sort(self.rows[np.argsort(-expected, kind="stable")[:MAX_ROWS]])

    def _text_of(self, rows: np.ndarray) -> np.ndarray | None:
        return self.text[rows].astype(np.float32) if self.text.shape[1] else None

    @cached_property
    def _adapted(self) -> UnratedItems:
        rows = self.reordered
        return UnratedItems.of(self.learners, self.content[rows], self._text_of(rows))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned, and the rows; content and text are the recommender's."""
        return _arrays(self.learners, self.rows)

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], content: np.ndarray, text: np.ndarray
    ) -> NewItemPlaces:
        """From `arrays()`, and the recommender's content [N, C] and text [N, E] of the catalog."""
        each = [
            {
                name.removeprefix(f"{number}."): array
                for name, array in arrays.items()
                if name.startswith(f"{number}.")
            }
            for number in range(sum(name.endswith(".facts") for name in arrays))
        ]
        told = (text if text.shape[1] else content)[: len(each[0]["factors"])].astype(np.float32)
        texts = placed(told, each[0]["center"])
        return cls(
            learners=tuple(NewItems.from_arrays(learned, texts) for learned in each),
            rows=np.asarray(arrays["rows"], np.int64),
            content=content,
            text=text,
        )


def _arrays(learners: Sequence[NewItems], rows: np.ndarray) -> dict[str, np.ndarray]:
    learned = {
        f"{number}.{name}": array
        for number, learner in enumerate(learners)
        for name, array in learner.arrays().items()
    }
    return {**learned, "rows": rows}

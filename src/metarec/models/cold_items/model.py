"""New items as tasks: predict who will like an item from its content and its first raters.

The roles of users and items are swapped, and the same learners are used. A task is an item; its
support is its first raters, its profile is its content, and users are scored. Items must also be
comparable with each other for one user, so the outer loss is, for each user, a softmax over the
*items* of the meta-batch: this teaches how popular an item with such content becomes as well as
with whom.

A learner sees content through few dimensions, so its score is combined with plain features that see
all of it: the text similarity to what the user liked, and the number of likes that content
predicts. The weights are learned on items held out of meta-training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarec.features.histories import Histories
from metarec.models.cold_items.config import ColdItemsConfig
from metarec.models.cold_items.content import (
    normalized,
    read_content,
    unit_rows,
    with_expected,
)
from metarec.models.cold_items.weighing import ComparesItems, weighed
from metarec.models.few_shot.functional import Params
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.learner import Learner, Prior
from metarec.models.few_shot.learners import get_learner
from metarec.models.few_shot.tasks import padded_support
from metarec.models.few_shot.values import ValueScale
from metarec.models.ridge_rows import similar_lengths
from metarec.runtime.device import arange_like, in_memory, on_device

BLOCK = 20_000_000
"""Bound: cosines held at a time."""


@dataclass(frozen=True, kw_only=True)
class NewItems:
    """A learner of new items: content and raters in, scores of users out."""

    name: str
    """Name of the learner."""
    prior: Prior
    factors: np.ndarray
    """[N, F] float32 collaborative and content factors of known items, by which users are
    described.
    """
    scale: ValueScale
    expected: np.ndarray
    """[C + 1] float32 regression weights from content (and 1) to the expected log of likes."""
    settings: dict[str, Any]
    center: np.ndarray
    """[E] float32 mean of the unit-length text embeddings."""
    texts: np.ndarray
    """[N, E] float32 text embeddings of known items, centered and scaled to unit length (or 0)."""
    weights: np.ndarray
    """[2, 4] float32 weights of the learner's score, expected likes, and the two similarities:
    those without raters, and what is added to them with many raters.
    """
    config: ColdItemsConfig = ColdItemsConfig()

    @property
    def learner(self) -> Learner:
        """The learner with the loss over new items."""
        return ComparesItems(inner=self.inner)

    @cached_property
    def inner(self) -> Learner:
        """The learner itself."""
        return get_learner(self.name, objective="ranking", **self.settings)

    def scores(
        self,
        content: np.ndarray,
        raters: Histories,
        rater_histories: Histories,
        users: Histories,
        texts: np.ndarray | None = None,
    ) -> np.ndarray:
        """[users, items] float32 log-scores of new items.

        Args:
            content: [items, C] content of each item.
            raters: for each item, who rated it (rows of `rater_histories`) and how, on the data's
                own scale.
            rater_histories: the raters' events on known items.
            users: users for whom items are scored.
            texts: [items, E] text embeddings of the items, if the model was fitted with any.
        """
        features = self.describe(users)
        everyone = ItemFeatures.of(
            torch.cat([features, self.describe(rater_histories)]),
            rng=np.random.default_rng(0),
            anchors=self.config.anchors,
        )
        shown = replace(self.scale.transform(raters, "liking"), items=raters.items + len(features))
        items = self._adapted(content, texts, shown, everyone)
        return self._scores(
            items,
            everyone.take(arange_like(len(features), features)),
            self.likeness(items.texts, users),
        )

    def unrated(self, content: np.ndarray, texts: np.ndarray | None = None) -> AdaptedItems:
        """Adapt to items without raters, once for all users; arguments as for `scores`."""
        nobody, anonymous = (
            Histories.of_indexes([np.zeros(0, np.int64)] * rows) for rows in (len(content), 1)
        )
        return self._adapted(
            content,
            texts,
            nobody,
            ItemFeatures.of(self.describe(anonymous), rng=np.random.default_rng(0)),
        )

    def _adapted(
        self,
        content: np.ndarray,
        texts: np.ndarray | None,
        raters: Histories,
        everyone: ItemFeatures,
    ) -> AdaptedItems:
        """Adapt the learner to items with these `raters`, indexes into `everyone`."""
        profile = with_expected(read_content(content, texts, self.center), self.expected)
        with torch.no_grad():
            params = self.learner.adapt(self.prior, padded_support(raters, profile), everyone)
        return AdaptedItems(
            params=params,
            raters=on_device(raters.lengths),
            texts=self.normalized(content if texts is None else texts),
        )

    def _scores(
        self, items: AdaptedItems, features: ItemFeatures, likeness: np.ndarray
    ) -> np.ndarray:
        """[users, items] weighted sum of the score components."""
        with torch.no_grad():
            scores = self.learner.score(self.prior, items.params, features)
        parts = scores, items.params["expected"], *on_device(likeness)
        weights, confident_at = on_device(self.weights), self.config.confident_at
        return in_memory(weighed(parts, items.raters, weights, confident_at).T)

    def expected_of(self, content: np.ndarray, texts: np.ndarray | None = None) -> np.ndarray:
        """[items] expected log of likes by content."""
        return with_expected(read_content(content, texts, self.center), self.expected)[:, -1]

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything learned, as named arrays, without the texts of known items; name and settings
        as JSON bytes.
        """
        settings = {"name": self.name, "settings": self.settings, "config": asdict(self.config)}
        facts = json.dumps(settings).encode()
        parts = {f"prior.{name}": in_memory(value) for name, value in self.prior.items()}
        parts |= {f"scale.{name}": value for name, value in self.scale.arrays().items()}
        learned = {
            name: getattr(self, name) for name in ("factors", "expected", "center", "weights")
        }
        return parts | learned | {"facts": np.frombuffer(facts, np.uint8)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], texts: np.ndarray) -> NewItems:
        """Restore the learner from `arrays()`; `texts` [N, E] are those of known items, as returned
        by `normalized`.
        """

        def part(prefix: str) -> dict[str, np.ndarray]:
            return {
                name.removeprefix(prefix): value
                for name, value in arrays.items()
                if name.startswith(prefix)
            }

        learned: dict[str, Any] = {
            name: arrays[name] for name in ("factors", "expected", "center", "weights")
        }
        prior = {name: on_device(np.array(value)) for name, value in part("prior.").items()}
        settings = json.loads(arrays["facts"].tobytes())
        config = ColdItemsConfig(**settings.pop("config", {}))  # earlier versions saved none
        return cls(
            **settings,
            config=config,
            prior=prior,
            scale=ValueScale.from_arrays(part("scale.")),
            texts=texts,
            **learned,
        )

    def normalized(self, texts: np.ndarray) -> np.ndarray:
        """[items, E] text embeddings, centered and scaled like `self.texts`."""
        return normalized(texts, self.center)

    def likeness(self, texts: np.ndarray, users: Histories) -> np.ndarray:
        """[2, items, users] float32 cosine similarity of `normalized` texts to the mean of what a
        user liked, and to the most similar item that the user liked; 0 for users without likes.
        """
        liked = users.where(self.scale.transform(users, "liking").values > 0)
        cosines = np.zeros((2, len(users), len(texts)), np.float32)
        cosines[0] = unit_rows(liked.sums_of(self.texts)) @ texts.T
        for block in similar_lengths(liked.lengths, len(texts), BLOCK):
            last = liked.lengths[block, None] - 1
            place = np.minimum(np.arange(last.max() + 1), last)  # pads with the last event
            items = liked.items[liked.offsets[block, None] + place]
            distinct, at = np.unique(items, return_inverse=True)
            cosines[1, block] = (self.texts[distinct] @ texts.T)[at.reshape(items.shape)].max(1)
        return cosines.transpose(0, 2, 1)

    def event_weights(self, users: Histories) -> tuple[np.ndarray, np.ndarray]:
        """[events] signed weight of each event in the description of its user, and [users, 2] the
        other columns of the description (a constant and the log of the number of events); the same
        for all learners of one value scale.
        """
        liking = self.scale.transform(users, "liking").values
        signs = np.where(
            liking > 0, np.float32(1.0), np.float32(self.config.disliked)
        ) * np.float32(3.0)
        signs /= np.repeat(users.lengths + np.float32(self.config.evidence), users.lengths)
        extra = np.stack([np.ones(len(users)), np.log1p(users.lengths) / 5.0], axis=1)
        return signs, extra.astype(np.float32)

    def describe(self, users: Histories) -> Tensor:
        """[users, F + 2] signed mean of the factors of a user's items, a constant, and the log of
        the number of events.
        """
        signs, extra = self.event_weights(users)
        return on_device(np.concatenate([users.sums_of(self.factors, signs), extra], axis=1))


@dataclass(frozen=True, kw_only=True)
class AdaptedItems:
    """New items after adaptation to their raters, for all users."""

    params: Params
    raters: Tensor
    """[items] number of raters."""
    texts: np.ndarray
    """[items, E] texts as returned by `NewItems.normalized`."""

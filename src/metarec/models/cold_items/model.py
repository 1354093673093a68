"""New items as tasks: who will like an item, from what it is and from the first users who met it.

The roles of users and items are swapped and the same learners serve. A task is an item; its
support is its first raters, its profile its content, and what is scored are users. Items must also
compare with each other for one user, so the outer loss is a softmax over the *items* of the
meta-batch for each user who liked some of them: that teaches how popular an item of such content
becomes as well as with whom.

A learner sees content through few dimensions, so it is weighed against plain signs that see all of
it: how near the text is to what the user liked, and the likes such content is expected to get.
The weights are learned on items kept out of meta-training.
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
    placed,
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
from metarec.runtime.device import in_memory, on_device, up_to

BLOCK = 20_000_000
"""Cosines held at a time."""


@dataclass(frozen=True, kw_only=True)
class NewItems:
    """A learner of new items: content and raters in, scores of users out."""

    name: str
    """Of the learner."""
    prior: Prior
    factors: np.ndarray
    """[N, F] float32 of known items, collaborative and of content, from which users are described.
    """
    scale: ValueScale
    expected: np.ndarray
    """[C + 1] float32 from content (and 1) to the log of how often such an item is liked."""
    settings: dict[str, Any]
    center: np.ndarray
    """[E] float32 mean of the texts' embeddings, each at length 1."""
    texts: np.ndarray
    """[N, E] float32 of known items, less the center, at length 1 (or 0)."""
    weights: np.ndarray
    """[2, 4] float32 of the learner's score, expected likes and both kinds of likeness: without
    raters, and what many raters add.
    """
    config: ColdItemsConfig = ColdItemsConfig()

    @property
    def learner(self) -> Learner:
        """The learner, with the loss of new items."""
        return ComparesItems(inner=self.inner)

    @cached_property
    def inner(self) -> Learner:
        """The learner alone."""
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
            content: [items, C] what each item is.
            raters: for each item, who rated it (rows of `rater_histories`) and how, on the data's
                own scale.
            rater_histories: what those users did, by known items.
            users: whom to score for.
            texts: [items, E] their text embeddings, if the model was given any.
        """
        asked = self.describe(users)
        everyone = ItemFeatures.of(
            torch.cat([asked, self.describe(rater_histories)]),
            rng=np.random.default_rng(0),
            anchors=self.config.anchors,
        )
        shown = replace(self.scale.transform(raters, "liking"), items=raters.items + len(asked))
        items = self._adapted(content, texts, shown, everyone)
        return self._scores(
            items,
            everyone.take(up_to(len(asked), asked)),
            self.likeness(items.texts, users),
        )

    def unrated(self, content: np.ndarray, texts: np.ndarray | None = None) -> AdaptedItems:
        """Items that nobody has rated, adapted once for all who will be asked about; arguments as
        for `scores`.
        """
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
        profile = with_expected(read_content(content, texts, self.center), self.expected)
        with torch.no_grad():
            params = self.learner.adapt(self.prior, padded_support(raters, profile), everyone)
        return AdaptedItems(
            params=params,
            raters=on_device(raters.lengths),
            texts=self.placed(content if texts is None else texts),
        )

    def _scores(self, items: AdaptedItems, asked: ItemFeatures, likeness: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            scores = self.learner.score(self.prior, items.params, asked)
        parts = scores, items.params["expected"], *on_device(likeness)
        weights, confident_at = on_device(self.weights), self.config.confident_at
        return in_memory(weighed(parts, items.raters, weights, confident_at).T)

    def expected_of(self, content: np.ndarray, texts: np.ndarray | None = None) -> np.ndarray:
        """[items] log of how often items of such content are liked."""
        return with_expected(read_content(content, texts, self.center), self.expected)[:, -1]

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything learned, as named arrays, without the texts of known items; name and settings
        as JSON bytes.
        """
        told = {"name": self.name, "settings": self.settings, "config": asdict(self.config)}
        facts = json.dumps(told).encode()
        parts = {f"prior.{name}": in_memory(value) for name, value in self.prior.items()}
        parts |= {f"scale.{name}": value for name, value in self.scale.arrays().items()}
        own = {name: getattr(self, name) for name in ("factors", "expected", "center", "weights")}
        return parts | own | {"facts": np.frombuffer(facts, np.uint8)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], texts: np.ndarray) -> NewItems:
        """The learner that `arrays` described; `texts` [N, E] are those of the items it knows, as
        `placed` gives them.
        """

        def part(prefix: str) -> dict[str, np.ndarray]:
            return {
                name.removeprefix(prefix): value
                for name, value in arrays.items()
                if name.startswith(prefix)
            }

        own: dict[str, Any] = {
            name: arrays[name] for name in ("factors", "expected", "center", "weights")
        }
        prior = {name: on_device(np.array(value)) for name, value in part("prior.").items()}
        told = json.loads(arrays["facts"].tobytes())
        config = ColdItemsConfig(**told.pop("config", {}))  # models saved before have none
        return cls(
            **told,
            config=config,
            prior=prior,
            scale=ValueScale.from_arrays(part("scale.")),
            texts=texts,
            **own,
        )

    def placed(self, texts: np.ndarray) -> np.ndarray:
        """[items, E] text embeddings as `self.texts` holds them."""
        return placed(texts, self.center)

    def likeness(self, texts: np.ndarray, users: Histories) -> np.ndarray:
        """[2, items, users] float32 cosines of `placed` texts to the mean of what a user liked,
        and to the nearest of it; 0 without.
        """
        liked = users.where(self.scale.transform(users, "liking").values > 0)
        found = np.zeros((2, len(users), len(texts)), np.float32)
        found[0] = unit_rows(liked.sums_of(self.texts)) @ texts.T
        for block in similar_lengths(liked.lengths, len(texts), BLOCK):
            last = liked.lengths[block, None] - 1
            place = np.minimum(np.arange(last.max() + 1), last)  # a shorter history says one twice
            items = liked.items[liked.offsets[block, None] + place]
            met, at = np.unique(items, return_inverse=True)
            found[1, block] = (self.texts[met] @ texts.T)[at.reshape(items.shape)].max(1)
        return found.transpose(0, 2, 1)

    def met(self, users: Histories) -> tuple[np.ndarray, np.ndarray]:
        """[events] each signed by how it was liked, and [users, 2] what describes users beside
        that: the same to all learners of a scale.
        """
        liking = self.scale.transform(users, "liking").values
        signs = np.where(
            liking > 0, np.float32(1.0), np.float32(self.config.disliked)
        ) * np.float32(3.0)
        signs /= np.repeat(users.lengths + np.float32(self.config.evidence), users.lengths)
        extra = np.stack([np.ones(len(users)), np.log1p(users.lengths) / 5.0], axis=1)
        return signs, extra.astype(np.float32)

    def describe(self, users: Histories) -> Tensor:
        """[users, F + 2] signed mean of the factors of what they met, a constant, and how much
        they did.
        """
        signs, extra = self.met(users)
        return on_device(np.concatenate([users.sums_of(self.factors, signs), extra], axis=1))


@dataclass(frozen=True, kw_only=True)
class AdaptedItems:
    """New items after their raters, for all users."""

    params: Params
    raters: Tensor
    """[items] how many there were of each."""
    texts: np.ndarray
    """[items, E] as `NewItems.placed` gives them."""

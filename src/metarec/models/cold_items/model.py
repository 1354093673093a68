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
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.models.cold_items.config import ColdItemsConfig
from metarec.models.cold_items.content import (
    expected_likes,
    placed,
    read_content,
    unit_rows,
    with_expected,
)
from metarec.models.cold_items.weighing import LEARNER_ALONE, ComparesItems, HeldOut, weighed
from metarec.models.few_shot.functional import Params
from metarec.models.few_shot.inputs import ItemColumns, ItemFeatures, ValueScale
from metarec.models.few_shot.learner import Learner, Prior
from metarec.models.few_shot.learners import get_learner
from metarec.models.few_shot.tasks import Query, TaskBatch, by_item, padded_support
from metarec.models.few_shot.training import Training, meta_train
from metarec.runtime.device import in_memory, on_device, up_to
from metarec.runtime.progress import Progress, silent

HELD_OUT = 0
"""The fold no meta-batch is drawn from: on it learning stops, and what speaks for an item is
weighed.
"""
BLOCK = 20_000_000
"""Cosines held at a time."""


Met = tuple[sp.csr_matrix, np.ndarray]
"""[users, N] of known items, and [users, 2]."""


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

    @classmethod
    def fit(
        cls,
        behaviour: Behaviour,
        rng: np.random.Generator,
        *,
        name: str = "bayesian_ridge",
        settings: dict[str, Any] | None = None,
        texts: np.ndarray | None = None,
        columns: ItemColumns | None = None,
        training: Training | None = None,
        config: ColdItemsConfig | None = None,
        progress: Progress = silent,
    ) -> NewItems:
        """Meta-train on the items of `behaviour`, each made new in turn.

        Args:
            texts: [N, E] the items' text embeddings in full, which are read beside their content,
                and likeness is told by; likeness of content if None.
        """
        config = config or cls.config
        training = training or config.training
        lengthened = unit_rows(behaviour.content if texts is None else texts)
        center = lengthened[
            np.bincount(behaviour.histories.items, minlength=behaviour.n_items) > 0
        ].mean(0)
        behaviour = replace(behaviour, content=read_content(behaviour.content, texts, center))
        columns = columns or ItemColumns.fit(behaviour, rng, config)
        factors = np.concatenate([columns.factors, columns.content(behaviour.content)], axis=1)
        draft = cls(
            name=name,
            prior={},
            factors=factors,
            scale=ValueScale.fit(behaviour, config),
            settings=settings or {},
            expected=expected_likes(behaviour, np.ones(behaviour.n_items, bool)),
            center=center,
            texts=unit_rows(lengthened - center),
            weights=LEARNER_ALONE,
            config=config,
        )
        tasks = _ItemTasks(
            new_items=draft,
            behaviour=behaviour,
            folds=rng.integers(0, config.folds, behaviour.n_items),
        )
        held_out = tasks.held_out(np.random.default_rng(0))
        if held_out is None:
            return replace(draft, prior=draft._trained(tasks, training, rng, None, progress))
        prior = draft._trained(
            tasks,
            training,
            rng,
            lambda prior: -float(held_out.loss(draft.learner, prior)),
            progress,
        )
        return replace(draft, prior=prior, weights=held_out.weigh(draft.learner, prior))

    def _trained(
        self,
        tasks: _ItemTasks,
        training: Training,
        rng: np.random.Generator,
        validate: Callable[[Prior], float] | None,
        progress: Progress,
    ) -> Prior:
        profile = tasks.behaviour.content.shape[1] + 1
        return meta_train(
            self.learner,
            tasks,
            tasks.users[0],
            rng=rng,
            profile=profile,
            progress=progress,
            training=training,
            validate=validate,
        )

    @property
    def learner(self) -> Learner:
        """The learner, with the loss of new items."""
        return ComparesItems(inner=get_learner(self.name, objective="ranking", **self.settings))

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
        shown = replace(self.scale.seen(raters, "liking"), items=raters.items + len(asked))
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

    def scores_of(
        self,
        items: AdaptedItems,
        users: Histories,
        *,
        likeness: np.ndarray | None = None,
        met: Met | None = None,
    ) -> np.ndarray:
        """[users, items] float32 log-scores of items already adapted.

        Args:
            likeness: [2, items, users] of `likeness`, where it is known already.
            met: of `met`, where it is known already.
        """
        return self._scores(
            items,
            ItemFeatures.asked(self.describe(users, met)),
            self.likeness(items.texts, users) if likeness is None else likeness,
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
        liked = users.where(self.scale.seen(users, "liking").values > 0)
        to_mean = texts @ unit_rows(liked.matrix(len(self.texts)) @ self.texts).T
        nearest = np.zeros_like(to_mean)
        for block in np.array_split(
            np.flatnonzero(liked.lengths), 1 + len(liked.items) * len(texts) // BLOCK
        ):
            if len(block):
                some = liked.users(block)
                met, place = np.unique(some.items, return_inverse=True)
                nearest[:, block] = np.maximum.reduceat(
                    (self.texts[met] @ texts.T)[place], some.offsets[:-1], axis=0
                ).T
        return np.stack([to_mean, nearest]).astype(np.float32)

    def met(self, users: Histories) -> Met:
        """What each user met, signed by how they liked it, and what describes them beside it: the
        same to all learners of a scale.
        """
        liking = self.scale.seen(users, "liking").values
        signs = np.where(
            liking > 0, np.float32(1.0), np.float32(self.config.disliked)
        ) * np.float32(3.0)
        signs /= np.repeat(users.lengths + np.float32(self.config.evidence), users.lengths)
        extra = np.stack([np.ones(len(users)), np.log1p(users.lengths) / 5.0], axis=1)
        return users.matrix(len(self.factors), signs), extra.astype(np.float32)

    def describe(self, users: Histories, met: Met | None = None) -> Tensor:
        """[users, F + 2] signed mean of the factors of what they met, a constant, and how much
        they did.
        """
        signed, extra = self.met(users) if met is None else met
        return on_device(np.concatenate([signed @ self.factors, extra], axis=1))


@dataclass(frozen=True, kw_only=True)
class AdaptedItems:
    """New items after their raters, for all users."""

    params: Params
    raters: Tensor
    """[items] how many there were of each."""
    texts: np.ndarray
    """[items, E] as `NewItems.placed` gives them."""


@dataclass(frozen=True, kw_only=True)
class _ItemTasks:
    """Items of one fold at a time, with a few raters shown and all who liked them asked."""

    new_items: NewItems
    behaviour: Behaviour
    folds: np.ndarray
    """[N] fold of each item."""

    @cached_property
    def users(self) -> list[ItemFeatures]:
        """Everyone, described without the items of each fold."""
        histories, rng = self.behaviour.histories, np.random.default_rng(0)
        return [
            ItemFeatures.of(
                self.new_items.describe(histories.where(self.folds[histories.items] != fold)),
                rng=rng,
                anchors=self.new_items.config.anchors,
            )
            for fold in range(self.new_items.config.folds)
        ]

    @cached_property
    def expected(self) -> list[np.ndarray]:
        """For each fold, the likes that content is expected to get by the items of all others."""
        return [
            expected_likes(self.behaviour, self.folds != fold)
            for fold in range(self.new_items.config.folds)
        ]

    @cached_property
    def raters(self) -> Histories:
        """By item, who met it and how they liked it."""
        seen = self.new_items.scale.seen(self.behaviour.histories, "liking")
        return by_item(seen, np.zeros(len(seen.items)), self.behaviour.n_items)

    @cached_property
    def eligible(self) -> list[np.ndarray]:
        """The items of each fold that somebody liked."""
        liked = (
            np.bincount(self.raters.owners[self.raters.values > 0], minlength=len(self.raters)) > 0
        )
        return [
            np.flatnonzero(liked & (self.folds == fold))
            for fold in range(self.new_items.config.folds)
        ]

    def held_out(self, rng: np.random.Generator) -> HeldOut | None:
        """All items of the fold kept out; None where nobody liked two of them, so that there is
        nothing to compare.
        """
        most = self.new_items.config.max_held_out
        items = np.sort(rng.permutation(self.eligible[HELD_OUT])[:most])
        batch = self._batch(HELD_OUT, items, rng)
        likers = np.unique(in_memory(batch.query.items[batch.query.is_real]))
        if len(items) < 2 or not len(likers):
            return None
        test_users = rng.permutation(likers)[:most]
        place = np.full(len(self.behaviour.histories), -1)
        place[test_users] = np.arange(len(test_users))
        at = on_device(place)[batch.query.items]
        assert batch.query.is_candidate is not None, "raters shown are no candidates"
        query = Query(
            items=at.clamp(min=0),
            values=batch.query.values,
            is_real=batch.query.is_real & (at >= 0),
            is_candidate=batch.query.is_candidate[:, on_device(test_users)],
        )
        histories = self.behaviour.histories.users(test_users)
        shown = histories.where(self.folds[histories.items] != HELD_OUT)
        likeness = self.new_items.likeness(self.new_items.texts[items], shown)
        return HeldOut(
            support=batch.support,
            query=query,
            users=self.users[HELD_OUT],
            test_users=on_device(test_users),
            likeness=on_device(likeness),
            config=self.new_items.config,
        )

    def sample(self, tasks: int, rng: np.random.Generator) -> TaskBatch:
        """Draw a fold, items of it, and some of their raters at random."""
        learned_from = [f for f, items in enumerate(self.eligible) if len(items) and f != HELD_OUT]
        fold = int(rng.choice(learned_from or [HELD_OUT]))
        return self._batch(
            fold,
            rng.choice(
                self.eligible[fold], size=min(tasks, len(self.eligible[fold])), replace=False
            ),
            rng,
        )

    def _batch(self, fold: int, items: np.ndarray, rng: np.random.Generator) -> TaskBatch:
        raters, config = self.raters.users(items).shuffled(rng), self.new_items.config
        shots = np.where(
            rng.random(len(items)) < config.no_raters,
            0,
            rng.integers(1, config.max_raters + 1, len(items)),
        )
        shots = np.minimum(shots, raters.lengths // 2)
        shown, asked = raters.first(shots), raters.after(shots)
        asked = asked.where(asked.values > 0)
        is_candidate = np.ones((len(items), len(self.behaviour.histories)), bool)
        is_candidate[shown.owners, shown.items] = False
        rows = asked.padded()
        query = Query(
            items=on_device(rows.items),
            values=on_device(rows.values),
            is_real=on_device(rows.is_real),
            is_candidate=on_device(is_candidate),
        )
        profile = with_expected(self.behaviour.content[items], self.expected[fold])
        return TaskBatch(
            support=padded_support(shown, profile, config.max_raters),
            query=query,
            items=self.users[fold],
        )

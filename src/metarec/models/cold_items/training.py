"""Training of a learner of new items: items are tasks, and those of one fold at a time are treated
as new.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.cold_items.config import ColdItemsConfig
from metarec.models.cold_items.content import expected_likes, read_content, unit_rows, with_expected
from metarec.models.cold_items.model import NewItems
from metarec.models.cold_items.weighing import LEARNER_ALONE, HeldOut
from metarec.models.few_shot.inputs import ItemColumns, ItemFeatures
from metarec.models.few_shot.learner import Prior
from metarec.models.few_shot.tasks import Query, TaskBatch, by_item, padded_support
from metarec.models.few_shot.training import Training, meta_train
from metarec.models.few_shot.values import ValueScale
from metarec.runtime.device import in_memory, on_device
from metarec.runtime.progress import Progress, silent

HELD_OUT = 0
"""Index of the fold that is held out of meta-training, for early stopping and for the weights of
the score components.
"""


@dataclass(frozen=True, kw_only=True)
class ItemTasks:
    """Tasks from items of one fold at a time, with some raters as support and all other likers as
    query.
    """

    new_items: NewItems
    behavior: Behavior
    folds: np.ndarray
    """[N] fold of each item."""

    @cached_property
    def shown(self) -> list[Histories]:
        """Users' histories without the items of each fold. Some users keep their whole history, the
        others are cut as short as new users.
        """
        histories, rng = self.behavior.histories, np.random.default_rng(0)
        new_users, max_pool = self.new_items.config.new_users, self.behavior.horizon.pool
        shown = []
        for fold in range(self.new_items.config.folds):
            others = histories.where(self.folds[histories.items] != fold)
            is_new = rng.random(len(others)) < new_users
            few = np.minimum(rng.integers(0, max_pool + 1, len(others)), others.lengths)
            shown.append(others.first(np.where(is_new, few, others.lengths)))
        return shown

    @cached_property
    def users(self) -> list[ItemFeatures]:
        """Descriptions of all users by the histories `shown` for each fold."""
        rng, anchors = np.random.default_rng(0), self.new_items.config.anchors
        described = map(self.new_items.describe, self.shown)
        return [ItemFeatures.of(columns, rng=rng, anchors=anchors) for columns in described]

    @cached_property
    def expected(self) -> list[np.ndarray]:
        """For each fold, the weights of expected likes, fitted on the items of all other folds."""
        return [
            expected_likes(self.behavior, self.folds != fold)
            for fold in range(self.new_items.config.folds)
        ]

    @cached_property
    def raters(self) -> Histories:
        """By item, the users with an event on it and how they liked it."""
        seen = self.new_items.scale.transform(self.behavior.histories, "liking")
        return by_item(seen, np.zeros(len(seen.items)), self.behavior.n_items)

    @cached_property
    def eligible(self) -> list[np.ndarray]:
        """For each fold, its items that at least one user liked."""
        liked = (
            np.bincount(self.raters.owners[self.raters.values > 0], minlength=len(self.raters)) > 0
        )
        return [
            np.flatnonzero(liked & (self.folds == fold))
            for fold in range(self.new_items.config.folds)
        ]

    def held_out(self, rng: np.random.Generator) -> HeldOut | None:
        """The items of the held-out fold, at most `max_held_out`; None if there are fewer than two
        or no user likes one.
        """
        limit = self.new_items.config.max_held_out
        items = np.sort(rng.permutation(self.eligible[HELD_OUT])[:limit])
        batch = self._batch(HELD_OUT, items, rng)
        likers = np.unique(in_memory(batch.query.items[batch.query.is_real]))
        if len(items) < 2 or not len(likers):
            return None
        test_users = rng.permutation(likers)[:limit]
        place = np.full(len(self.behavior.histories), -1)
        place[test_users] = np.arange(len(test_users))
        at = on_device(place)[batch.query.items]
        assert batch.query.is_candidate is not None, "raters shown are no candidates"
        query = Query(
            items=at.clamp(min=0),
            values=batch.query.values,
            is_real=batch.query.is_real & (at >= 0),
            is_candidate=batch.query.is_candidate[:, on_device(test_users)],
        )
        shown = self.shown[HELD_OUT].users(test_users)
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
        """Draw a fold, then items of it and some raters of each at random."""
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
        """Tasks of these items: some raters as support, all other likers as query."""
        raters, config = self.raters.users(items).shuffled(rng), self.new_items.config
        n_support = np.where(
            rng.random(len(items)) < config.no_raters,
            0,
            rng.integers(1, config.max_raters + 1, len(items)),
        )
        n_support = np.minimum(n_support, raters.lengths // 2)
        shown, query_set = raters.first(n_support), raters.after(n_support)
        query_set = query_set.where(query_set.values > 0)
        is_candidate = np.ones((len(items), len(self.behavior.histories)), bool)
        is_candidate[shown.owners, shown.items] = False
        rows = query_set.padded()
        query = Query(
            items=on_device(rows.items),
            values=on_device(rows.values),
            is_real=on_device(rows.is_real),
            is_candidate=on_device(is_candidate),
        )
        profile = with_expected(self.behavior.content[items], self.expected[fold])
        return TaskBatch(
            support=padded_support(shown, profile, config.max_raters),
            query=query,
            items=self.users[fold],
        )


def fit_new_items(
    behavior: Behavior,
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
    """Meta-train a learner on the items of `behavior`, treating each as new in turn.

    Args:
        name: the learner.
        settings: arguments of the learner.
        texts: [N, E] full text embeddings of the items, read beside their content and used for
            similarity; None: similarity of content.
        columns: collaborative and content factors of items; fitted here by default.
        training: settings of the outer loop; those of `config` by default.
    """
    config = config or ColdItemsConfig()
    training = training or config.training
    behavior, texts, center = _described(behavior, texts)
    columns = columns or ItemColumns.fit(behavior, rng, config)
    draft = NewItems(
        name=name,
        prior={},
        factors=np.concatenate([columns.factors, columns.content(behavior.content)], axis=1),
        scale=ValueScale.fit(behavior, config),
        settings=settings or {},
        expected=expected_likes(behavior, np.ones(behavior.n_items, bool)),
        center=center,
        texts=texts,
        weights=LEARNER_ALONE,
        config=config,
    )
    folds = rng.integers(0, config.folds, behavior.n_items)
    tasks = ItemTasks(new_items=draft, behavior=behavior, folds=folds)
    held_out = tasks.held_out(np.random.default_rng(0))

    if held_out is None:
        return replace(draft, prior=_trained(draft, tasks, training, rng, None, progress))

    def quality(prior: Prior) -> float:
        return -float(held_out.loss(draft.learner, prior))

    prior = _trained(draft, tasks, training, rng, quality, progress)
    return replace(draft, prior=prior, weights=held_out.weigh(draft.learner, prior))


def _described(
    behavior: Behavior, texts: np.ndarray | None
) -> tuple[Behavior, np.ndarray, np.ndarray]:
    """The behavior with texts appended to its content, the centered unit vectors for similarity [N,
    E], and their center [E].
    """
    lengthened = unit_rows(behavior.content if texts is None else texts)
    has_events = np.bincount(behavior.histories.items, minlength=behavior.n_items) > 0
    center = lengthened[has_events].mean(0)
    content = read_content(behavior.content, texts, center)
    return replace(behavior, content=content), unit_rows(lengthened - center), center


def _trained(
    draft: NewItems,
    tasks: ItemTasks,
    training: Training,
    rng: np.random.Generator,
    validate: Callable[[Prior], float] | None,
    progress: Progress,
) -> Prior:
    """Meta-train the prior of the learner, with early stopping if `validate` is given."""
    return meta_train(
        draft.learner,
        tasks,
        tasks.users[0],
        rng=rng,
        profile=tasks.behavior.content.shape[1] + 1,
        progress=progress,
        training=training,
        validate=validate,
    )

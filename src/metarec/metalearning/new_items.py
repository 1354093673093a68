"""New items as tasks: who will like an item, from what it is and from the first people who met it.

The roles of people and items are swapped and the same learners serve. A task is an item; its support is its first
raters, its profile its content, and what is scored are people. Items must also compare with each other for one person,
so the outer loss is a softmax over the *items* of the meta-batch for each person who liked some of them: that teaches
how popular an item of such content becomes as well as with whom.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.metalearning.columns import ItemColumns
from metarec.metalearning.items import ItemFeatures
from metarec.metalearning.layers import Params
from metarec.metalearning.learner import Learner, Objective, Prior, Question
from metarec.metalearning.learners import get_learner
from metarec.metalearning.tasks import Query, Support, TaskBatch, by_item, padded_support
from metarec.metalearning.training import Training, meta_train
from metarec.metalearning.values import ValueScale
from metarec.runtime.progress import Progress, silent

FOLDS = 8
"""People are described without the items of the fold a meta-batch is drawn from, as a new item's raters will be."""
MOST_RATERS = 10
NO_RATERS = 0.4
"""Share of tasks that show no rater."""
EVIDENCE = 5.0
"""Events of a person that count half: a short history says less of them."""
DISLIKED = -0.3
"""Weight of a disliked event in the description of a person."""
TRAINING = Training(outer_steps=400, tasks_per_step=96, dropout=0.1, evaluate_every=100)


@dataclass(frozen=True, kw_only=True)
class NewItems:
    """A learner of new items: content and raters in, scores of people out."""

    name: str
    """Of the learner."""
    prior: Prior
    factors: np.ndarray
    """[N, F] float32 of known items, collaborative and of content, from which people are described."""
    scale: ValueScale
    expected: np.ndarray
    """[C + 1] float32 from content (and 1) to the log of how often such an item is liked."""
    settings: dict[str, Any]

    @classmethod
    def fit(cls, behaviour: Behaviour, rng: np.random.Generator, *, name: str = "bayesian_ridge", settings: dict[str, Any] | None = None,
            columns: ItemColumns | None = None, training: Training = TRAINING, progress: Progress = silent) -> NewItems:
        """Meta-train on the items of `behaviour`, each made new in turn."""
        columns = columns or ItemColumns.fit(behaviour, rng)
        factors = np.concatenate([columns.factors, columns.content(behaviour.content)], axis=1)
        draft = cls(name=name, prior={}, factors=factors, scale=ValueScale.fit(behaviour), settings=settings or {},
                    expected=expected_likes(behaviour, np.ones(behaviour.n_items, bool)))
        tasks = _ItemTasks(new_items=draft, behaviour=behaviour, folds=rng.integers(0, FOLDS, behaviour.n_items))
        prior = meta_train(draft.learner, tasks, tasks.people[0], rng=rng, profile=behaviour.content.shape[1] + 1, progress=progress,
                           training=training)
        return replace(draft, prior=prior)

    @property
    def learner(self) -> Learner:
        """The learner, with the loss of new items."""
        return _ComparesItems(inner=get_learner(self.name, objective="ranking", **self.settings))

    def scores(self, content: np.ndarray, raters: Histories, rater_histories: Histories, people: Histories) -> np.ndarray:
        """[people, items] float32 log-scores of new items.

        Args:
            content: [items, C] what each item is.
            raters: for each item, who rated it (rows of `rater_histories`) and how, on the data's own scale.
            rater_histories: what those people did, by known items.
            people: whom to score for.
        """
        asked = self.describe(people)
        everyone = ItemFeatures.of(torch.cat([asked, self.describe(rater_histories)]), rng=np.random.default_rng(0))
        shown = replace(self.scale.seen(raters, "liking"), items=raters.items + len(asked))
        with torch.no_grad():
            profile = with_expected(content, self.expected)
            params = self.learner.adapt(self.prior, padded_support(shown, profile), everyone)
            scores = self.learner.score(self.prior, params, everyone.take(torch.arange(len(asked))))
        return np.asarray(scores.T.numpy())

    def describe(self, people: Histories) -> Tensor:
        """[people, F + 2] signed mean of the factors of what they met, a constant, and how much they did."""
        liking = self.scale.seen(people, "liking").values
        total = people.matrix(len(self.factors), np.where(liking > 0, 1.0, DISLIKED)) @ self.factors
        mean = total / (people.lengths[:, None] + EVIDENCE)
        extra = np.stack([np.ones(len(people)), np.log1p(people.lengths) / 5.0], axis=1)
        return torch.from_numpy(np.concatenate([3.0 * mean, extra], axis=1).astype(np.float32))


@dataclass(frozen=True, kw_only=True)
class _ComparesItems:
    """A learner whose tasks are items: its loss is a softmax over the batch's items for each person."""

    inner: Learner

    @property
    def name(self) -> str:
        return f"new items, {self.inner.name}"

    @property
    def objective(self) -> Objective:
        return "ranking"

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        return self.inner.init(items, profile, draw) | {"trust": torch.tensor(0.5)}

    def adapt(self, prior: Prior, support: Support, items: ItemFeatures) -> Params:
        assert support.profile is not None, "an item's content is its profile"
        return self.inner.adapt(prior, support, items) | {"expected": support.profile[:, -1:]}

    def score(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        return self.inner.score(prior, params, items) + prior["trust"] * params["expected"]

    def loss(self, prior: Prior, batch: TaskBatch, question: Question, items: ItemFeatures, draw: torch.Generator) -> Tensor:  # noqa: ARG002  # the protocol's signature
        scores = self.score(prior, self.adapt(prior, batch.support, items), question.items)
        return between_items_loss(scores, question.query)


def between_items_loss(scores: Tensor, query: Query) -> Tensor:
    """Softmax over the items of a batch for each person, a mean over all (item, person) pairs that were liked, in nats.

    Args:
        scores: [items, people].
        query: for each item, who liked it; a pair that is no candidate (a rater shown) takes no part.
    """
    shown = scores if query.is_candidate is None else scores.masked_fill(~query.is_candidate, -torch.inf)
    surprise = torch.logsumexp(shown, dim=0)[query.items] - scores.gather(1, query.items)
    return torch.where(query.is_real, surprise, torch.zeros_like(surprise)).sum() / query.is_real.sum().clamp(min=1)


def expected_likes(behaviour: Behaviour, known: np.ndarray) -> np.ndarray:
    """[C + 1] ridge regression from content to log likes over the items of `known`; the penalty by generalised cross-validation."""
    likes = np.bincount(behaviour.histories.items[behaviour.is_liked(behaviour.histories)], minlength=behaviour.n_items)
    rows = known & (np.bincount(behaviour.histories.items, minlength=behaviour.n_items) > 0)
    x, y = behaviour.content[rows].astype(np.float64), np.log(likes[rows] + 0.5)
    mean_x, mean_y = x.mean(0), y.mean()
    left, strength, right = np.linalg.svd(x - mean_x, full_matrices=False)
    along = left.T @ (y - mean_y)

    def misfit(penalty: float) -> float:
        kept = strength**2 / (strength**2 + penalty)
        rest = y - mean_y - left @ (kept * along)
        return float((rest**2).mean() / (1 - (kept.sum() + 1) / max(len(y), 2)) ** 2)

    best = min(np.geomspace(0.1, 1000.0, 13), key=misfit)
    weights = right.T @ (strength / (strength**2 + best) * along)
    return np.append(weights, mean_y - mean_x @ weights).astype(np.float32)


def with_expected(content: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """[items, C + 1] content, and last how much the item is expected to be liked (in log)."""
    return np.concatenate([content, content @ expected[:-1, None] + expected[-1]], axis=1).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class _ItemTasks:
    """Items of one fold at a time, with a few raters shown and all who liked them asked."""

    new_items: NewItems
    behaviour: Behaviour
    folds: np.ndarray
    """[N] fold of each item."""

    @cached_property
    def people(self) -> list[ItemFeatures]:
        """Everyone, described without the items of each fold."""
        histories, rng = self.behaviour.histories, np.random.default_rng(0)
        return [ItemFeatures.of(self.new_items.describe(histories.where(self.folds[histories.items] != fold)), rng=rng)
                for fold in range(FOLDS)]

    @cached_property
    def profiles(self) -> list[np.ndarray]:
        """Content of all items with the likes expected by the items of all other folds."""
        return [with_expected(self.behaviour.content, expected_likes(self.behaviour, self.folds != fold)) for fold in range(FOLDS)]

    @cached_property
    def raters(self) -> Histories:
        """By item, who met it and how they liked it."""
        seen = self.new_items.scale.seen(self.behaviour.histories, "liking")
        return by_item(seen, np.zeros(len(seen.items)), self.behaviour.n_items)

    @cached_property
    def eligible(self) -> list[np.ndarray]:
        """The items of each fold that somebody liked."""
        liked = np.bincount(self.raters.owners[self.raters.values > 0], minlength=len(self.raters)) > 0
        return [np.flatnonzero(liked & (self.folds == fold)) for fold in range(FOLDS)]

    def sample(self, tasks: int, rng: np.random.Generator) -> TaskBatch:
        """Draw a fold, items of it, and some of their raters at random."""
        fold = int(rng.choice([f for f, items in enumerate(self.eligible) if len(items)]))
        items = rng.choice(self.eligible[fold], size=min(tasks, len(self.eligible[fold])), replace=False)
        raters = self.raters.users(items).shuffled(rng)
        shots = np.where(rng.random(len(items)) < NO_RATERS, 0, rng.integers(1, MOST_RATERS + 1, len(items)))
        shots = np.minimum(shots, raters.lengths // 2)
        shown, asked = raters.first(shots), raters.after(shots)
        asked = asked.where(asked.values > 0)
        is_candidate = np.ones((len(items), len(self.behaviour.histories)), bool)
        is_candidate[shown.owners, shown.items] = False
        rows = asked.padded()
        query = Query(items=torch.from_numpy(rows.items), values=torch.from_numpy(rows.values), is_real=torch.from_numpy(rows.is_real),
                      is_candidate=torch.from_numpy(is_candidate))
        return TaskBatch(support=padded_support(shown, self.profiles[fold][items], MOST_RATERS), query=query, items=self.people[fold])

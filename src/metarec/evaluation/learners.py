"""Meta-learners as recommenders that can be judged: data to arrays, training on tasks, requests to scores.

Each learner is given what makes recommenders strong: collaborative factors and content of items, popularity as the
prior, profiles. Where values are ratings it is trained twice, once to rank and once to predict values, unless its paper
ranks by predicted values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from metarec.data.newcomers import Newcomer
from metarec.data.schema import BadInput, Dataset, Vocabulary
from metarec.evaluation.baselines.content import describe_items
from metarec.evaluation.baselines.ratings import Biases
from metarec.evaluation.baselines.table import TrainingTable
from metarec.evaluation.baselines.tuned import Validation, fitted, prepare
from metarec.features.histories import Histories
from metarec.recommendation.slate import Request
from metarec.runtime.progress import Progress, silent

if TYPE_CHECKING:
    import torch

    from metarec.metalearning.items import ItemFeatures
    from metarec.metalearning.learner import Learner, Objective, Prior
    from metarec.metalearning.learners import Method
    from metarec.metalearning.tasks import Support

FACTORS = 32
CONTENT = 32
CELLS = 4_000_000
"""Items x people x width scored at a time: bounds memory whatever the catalog."""


@dataclass(frozen=True, kw_only=True)
class LearnerInputs:
    """Training data as the arrays learners read; made once for all learners of a comparison."""

    table: TrainingTable
    asked: Validation | None
    pool: int
    seed: int

    @classmethod
    def of(cls, train: Dataset, validation: list[Newcomer], rng: np.random.Generator) -> LearnerInputs:
        """Read the training data and the newcomers to stop early by."""
        table, asked = prepare(train, validation, rng)
        pool = max((len(n.pool) for n in validation), default=20)
        return cls(table=table, asked=asked, pool=pool, seed=int(rng.integers(2**31)))

    @cached_property
    def histories(self) -> Histories:
        """Training events by person, oldest first, values as they are."""
        events = self.table.events
        offsets = np.concatenate([[0], np.cumsum(np.bincount(events.rows, minlength=events.shape[0]))]).astype(np.int64)
        return Histories(offsets=offsets, items=events.items, values=events.values.astype(np.float32))

    @cached_property
    def liked_scale(self) -> tuple[float, float]:
        """(middle, half width): values on this scale are above 0 where liked, 1 at the top."""
        values, liked = self.table.events.values, self.table.events.is_liked
        if not self.table.data.interactions.has_values or liked.all():
            return 0.0, 1.0
        middle = (values[~liked].max() + values[liked].min()) / 2
        return float(middle), float(max(values.max() - middle, 1e-6))

    @cached_property
    def biases(self) -> Biases:
        """Item means, for learners that predict what lies above them."""
        return Biases.of(self.table, 2.0, 10.0)

    @cached_property
    def value_spread(self) -> float:
        """Standard deviation of what item means leave unexplained; learners see it as 1."""
        events = self.table.events
        return float(np.std(events.values - self.biases.mean - self.biases.item[events.items])) or 1.0

    def learner_values(self, histories: Histories, objective: Objective, values: str) -> Histories:
        """Histories with values as the learner is to see them."""
        if objective == "ranking" or not self.table.data.interactions.has_values:
            middle, half = self.liked_scale
            seen = np.clip((histories.values - middle) / half, -1.0, 1.0) if self.table.data.interactions.has_values \
                else np.ones(len(histories.items))
        elif values == "unit":
            low, high = self.table.data.interactions.value_range
            seen = (histories.values - low) / (high - low)
        else:
            seen = (histories.values - self.biases.mean - self.biases.item[histories.items]) / self.value_spread
        return replace(histories, values=seen.astype(np.float32))

    def data_values(self, scores: np.ndarray, items: np.ndarray, values: str) -> np.ndarray:
        """A learner's answers as values on the data's scale."""
        low, high = self.table.data.interactions.value_range
        raw = low + (high - low) * scores if values == "unit" else self.biases.mean + self.biases.item[items] + self.value_spread * scores
        return np.clip(raw, low, high)

    @cached_property
    def content(self) -> np.ndarray:
        """[N, <= CONTENT] what items are about."""
        from metarec.metalearning.items import unit_scaled

        return unit_scaled(describe_items(self.table)[:, :CONTENT])

    @cached_property
    def factors(self) -> np.ndarray:
        """[N, <= FACTORS] collaborative factors of likes."""
        from metarec.metalearning.items import collaborative_factors, unit_scaled

        return unit_scaled(collaborative_factors(self.table.events.liked, FACTORS, rng=np.random.default_rng(self.seed)))

    def items(self, *, content_only: bool) -> ItemFeatures:
        """The catalog as learners see it."""
        import torch

        from metarec.metalearning.items import ItemFeatures

        counted = self.table.events.is_liked & (self.table.later | (not self.table.data.interactions.has_time))
        bias = np.log(self.table.count(counted) + 0.5)
        columns = self.content if content_only else np.concatenate([self.factors, self.content], axis=1)
        return ItemFeatures.of(torch.from_numpy(columns), torch.from_numpy((bias - bias.mean()).astype(np.float32)),
                               rng=np.random.default_rng(self.seed))


@dataclass(kw_only=True)
class LearnerRecommender:
    """One meta-learner, fitted and judged like any recommender."""

    name: str
    settings: dict[str, object] = field(default_factory=dict)
    """Of the learner, where they are not the default."""
    shared: Callable[[Dataset, list[Newcomer], np.random.Generator], LearnerInputs] = LearnerInputs.of
    """Where the arrays come from; a comparison of many learners makes them once."""
    progress: Progress = silent
    inputs: LearnerInputs | None = field(default=None, init=False)
    ranker: Trained | None = field(default=None, init=False)
    rater: Trained | None = field(default=None, init=False)

    def fit(self, train: Dataset, validation: list[Newcomer], rng: np.random.Generator) -> None:
        """Learn a prior to rank from, and one to predict values from where there are any."""
        from metarec.metalearning.learners import get_method

        method = get_method(self.name)
        self.inputs = self.shared(train, validation, rng)
        has_values = train.interactions.has_values
        self.rater = self._train(method, "rating", rng) if has_values else None
        self.ranker = self._train(method, "ranking", rng) if method.ranks or not has_values else self.rater

    def _train(self, method: Method, objective: Objective, rng: np.random.Generator) -> Trained:
        from metarec.metalearning.learners import get_learner

        learner = get_learner(self.name, objective=objective, **self.settings)
        return Trained.of(learner, method, fitted(self.name, self.inputs), rng, self.progress)

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return fitted(self.name, self.inputs).table.vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`, higher is better."""
        return fitted(self.name, self.ranker).answers(requests)

    def rate(self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Predicted values on the data's scale; an item outside the catalog gets the mean of all values.

        Raises:
            BadInput: if the training data had no values.
        """
        inputs = fitted(self.name, self.inputs)
        if self.rater is None:
            raise BadInput("these data hold acts without values, so there is no scale to rate on")
        items = [self.vocabulary.indexes(ids) for ids in item_ids]
        rows = self.rater.answers(requests)
        return [np.where(i >= 0, inputs.data_values(row[i], i, self.rater.method.values), inputs.biases.mean)
                for row, i in zip(rows, items, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A learner with its prior, and the arrays it was trained on."""

    learner: Learner
    method: Method
    prior: Prior
    inputs: LearnerInputs
    items: ItemFeatures

    @classmethod
    def of(cls, learner: Learner, method: Method, inputs: LearnerInputs, rng: np.random.Generator, progress: Progress) -> Trained:
        """Train on tasks of the training people; stop early by the validation newcomers."""
        from metarec.metalearning.tasks import FewShotTasks
        from metarec.metalearning.training import meta_train

        items = inputs.items(content_only=method.content_only)
        histories = inputs.learner_values(inputs.histories, learner.objective, method.values)
        tasks = FewShotTasks(histories=histories, n_items=len(items), pool=inputs.pool, liked_only=learner.objective == "ranking",
                             in_order=inputs.table.data.interactions.has_time)
        draft = cls(learner=learner, method=method, prior={}, inputs=inputs, items=items)
        prior = meta_train(learner, tasks, items, training=method.training, rng=rng, progress=progress,
                           validate=draft.quality if inputs.asked is not None else None)
        return replace(draft, prior=prior)

    def quality(self, prior: Prior) -> float:
        """NDCG@10 of validation newcomers, or minus their mean absolute error."""
        asked = self.inputs.asked
        assert asked is not None, "asked only where there are validation newcomers"
        answers = replace(self, prior=prior).answers(asked.requests)
        if self.learner.objective == "ranking":
            return asked.ndcg(answers)
        values = self.inputs.data_values(answers, np.arange(answers.shape[1]), self.method.values)
        return -asked.mae(values, self.inputs.table.data.interactions.value_range)

    def answers(self, requests: Sequence[Request]) -> np.ndarray:
        """[B, N] what the learner says of the whole catalog."""
        import torch

        step = max(1, CELLS // (len(self.items) * 64))
        with torch.no_grad():
            parts = [self._answer(self.support(requests[start:start + step])) for start in range(0, len(requests), step)]
        return torch.cat(parts).numpy() if parts else np.zeros((0, len(self.items)), np.float32)

    def _answer(self, support: Support) -> torch.Tensor:
        params = self.learner.adapt(self.prior, support, self.items)
        return self.learner.score(self.prior, params, self.items)

    def support(self, requests: Sequence[Request]) -> Support:
        """Requests as the learner sees them."""
        from metarec.metalearning.tasks import padded_support

        histories, _ = Histories.of_lists([r.history for r in requests], self.inputs.table.vocabulary)
        return padded_support(self.inputs.learner_values(histories, self.learner.objective, self.method.values))

"""Meta-learners and single models as recommenders that can be evaluated beside all others.

Each learner is given what makes recommenders strong: collaborative factors and content of items,
popularity as the prior, and profiles. Where values are ratings it is trained twice, once to rank
and once to predict values, unless its paper ranks by predicted values; then popularity is mixed in,
as for every baseline that ranks by predicted values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from metarec.data.cold_users import LONG, SHORT, ColdUser, Horizon
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput, Vocabulary
from metarec.evaluation.baselines.tuned import PRIOR_WEIGHTS, Validation, fitted, prepare
from metarec.evaluation.own_recommender import OwnRecommender as OwnRecommender  # documented here
from metarec.features.behavior import Behavior
from metarec.features.events import EventReader
from metarec.features.histories import Histories
from metarec.features.items import ItemInputs
from metarec.features.profiles import ProfileInputs
from metarec.features.users import UserBatch
from metarec.features.users_in_words import UsersInWords
from metarec.models.added import evidence_of
from metarec.models.added import fit as fit_model
from metarec.models.base import Model, TakesInnerSteps, dense, takes_inner_steps
from metarec.models.config import ModelConfig, configured
from metarec.models.few_shot.inputs_config import InputsConfig
from metarec.recommendation.slate import Request
from metarec.runtime.progress import Progress, silent

if TYPE_CHECKING:
    from metarec.models.few_shot.fitted import FittedLearner
    from metarec.models.few_shot.inputs import ItemColumns
    from metarec.models.few_shot.scorer import LearnedConfig


def _read_items(
    train: Dataset, vocabulary: Vocabulary, encoder: str
) -> tuple[np.ndarray, np.ndarray, UsersInWords]:
    """Return content and text of the items of a vocabulary, encoded by inputs fitted on the items
    of the training events, and the encoder of users in words.
    """
    rows_in_training = train.items.vocabulary.indexes(vocabulary.ids)
    with_events = train.items.vocabulary.indexes(
        train.interactions.frame["item_id"].unique(maintain_order=True)
    )
    reads, content, text = ItemInputs.fit(
        train.items, encoder=encoder, fit_on=np.sort(with_events[with_events >= 0])
    )
    content, text = (
        np.where((rows_in_training >= 0)[:, None], rows[rows_in_training], 0.0).astype(np.float32)
        for rows in (content, text)
    )
    titles = train.items.titles()
    words = UsersInWords(
        encoder=reads.encoder,
        titles=[titles[row] if row >= 0 else "" for row in rows_in_training],
        liked_from=float(train.interactions.relevant_from),
    )
    return content, text, words


def _horizon_of(users: Sequence[ColdUser]) -> Horizon:
    """Return the short horizon if no user has more items than it shows, else the long one."""
    longest = max((user.n_items for user in users), default=LONG.pool)
    return SHORT if 0 < longest <= SHORT.pool else LONG


@dataclass(frozen=True, kw_only=True)
class LearnerInputs:
    """Training data as the arrays that learners read; made once for all learners of a
    comparison.
    """

    reader: EventReader
    vocabulary: Vocabulary
    behavior: Behavior
    users: ProfileInputs
    held_out: Validation | None
    """Validation users for early stopping; None without any."""
    has_values: bool
    value_range: tuple[float, float]
    """Lowest and highest value of the scale."""
    seed: int
    """Seed of the item columns."""

    @classmethod
    def of(
        cls,
        train: Dataset,
        validation: list[ColdUser],
        rng: np.random.Generator,
        *,
        encoder: str = "auto",
    ) -> LearnerInputs:
        """Read the training data, encode items and users, and prepare the validation users for
        early stopping.
        """
        table, held_out = prepare(train, validation, rng)
        reader = EventReader.of(train.interactions)
        events, user_ids = reader.of_interactions(train.interactions, table.vocabulary)
        histories, refused = events.joined()
        content, text, words = _read_items(train, table.vocabulary, encoder)
        users = ProfileInputs.fit(train.users, user_ids)
        attributes = train.users.of_users(user_ids)
        behavior = Behavior(
            histories=histories,
            refused=refused,
            profiles=users.transform(attributes),
            content=content,
            text=text,
            words=words,
            attributes=attributes,
            relevant_from=float(train.interactions.relevant_from),
            horizon=_horizon_of(validation),
        )
        return cls(
            reader=reader,
            vocabulary=table.vocabulary,
            behavior=behavior,
            users=users,
            held_out=held_out,
            has_values=train.interactions.has_values,
            value_range=train.interactions.value_range,
            seed=int(rng.integers(2**31)),
        )

    @cached_property
    def columns(self) -> ItemColumns:
        """Item columns that learners read, with default settings."""
        from metarec.models.few_shot.inputs import ItemColumns

        return ItemColumns.fit(self.behavior, np.random.default_rng(self.seed))

    def columns_by(self, config: InputsConfig) -> ItemColumns:
        """Return the item columns for `config`; those of the default settings are made once for all
        learners.
        """
        from metarec.models.few_shot.inputs import ItemColumns

        if all(getattr(config, one.name) == one.default for one in fields(InputsConfig)):
            return self.columns
        return ItemColumns.fit(self.behavior, np.random.default_rng(self.seed), config)

    def batch(self, requests: Sequence[Request]) -> UserBatch:
        """Return the requests as the batch that models read."""
        support, profiles = self.read(requests)
        return UserBatch(
            support=support, profiles=profiles, attributes=[request.profile for request in requests]
        )

    def read(self, requests: Sequence[Request]) -> tuple[Histories, np.ndarray]:
        """Return the histories and profile columns of the requests."""
        histories = self.reader.accepted([r.history for r in requests], self.vocabulary)
        return histories, self.users.transform([r.profile for r in requests])


@dataclass(kw_only=True)
class LearnerRecommender:
    """One meta-learner, fitted and evaluated like any recommender."""

    name: str
    """Name of the row, and of the learner unless `learner` is given."""
    learner: str | None = None
    """Id of the learner; None takes `name`."""
    adapts: bool = True
    """False serves the learned prior to every user, so that the effect of adaptation can be
    measured.
    """
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the learner; they override its defaults and those of the data's file
    (`[models.maml]`).
    """
    read: Callable[[Dataset, list[ColdUser], np.random.Generator], LearnerInputs] = LearnerInputs.of
    """Function that makes the arrays; a comparison of many learners shares one that makes them
    once.
    """
    progress: Progress = silent
    inputs: LearnerInputs | None = field(default=None, init=False)
    ranker: FittedLearner | None = field(default=None, init=False)
    """Fitted learner that ranks."""
    rater: FittedLearner | None = field(default=None, init=False)
    """Fitted learner that predicts values; None where the data have none."""
    popularity_weight: float = field(default=0.0, init=False)
    """Weight of log popularity in the ranking, for a learner that ranks by predicted values."""

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Meta-train a prior for ranking, and one for predicting values where the data have
        values.
        """
        from metarec.models.few_shot.learners import get_method
        from metarec.models.few_shot.scorer import LearnedConfig

        name = self.learner or self.name
        config = configured(name, LearnedConfig.of_method(name), train.models.get(name, {}))
        self.inputs = inputs = self.read(train, validation, rng)
        self.rater = self._learn("rating", config, inputs, rng) if inputs.has_values else None
        ranks = get_method(name).ranks or self.rater is None
        self.ranker = self._learn("ranking", config, inputs, rng) if ranks else self.rater
        self.popularity_weight = 0.0 if ranks else self._mixed(inputs)

    def _learn(
        self,
        objective: Any,
        config: LearnedConfig,
        inputs: LearnerInputs,
        rng: np.random.Generator,
    ) -> FittedLearner:
        """Fit the learner to rank or to rate, with early stopping on validation users."""
        from metarec.models.few_shot.fitted import FittedLearner

        held_out = inputs.held_out
        validation = None if held_out is None else inputs.read(held_out.requests)

        def quality(learner: FittedLearner) -> float:
            assert held_out is not None and validation is not None, (
                "asked only where there are validation new users"
            )
            if objective == "ranking":
                return held_out.ndcg(learner.scores(*validation))
            return -held_out.mae(learner.values(*validation), inputs.value_range)

        return FittedLearner.fit(
            inputs.behavior,
            rng,
            name=self.learner or self.name,
            objective=objective,
            settings=config.own | self.settings,
            columns=inputs.columns_by(config),
            training=config,
            validate=None if held_out is None else quality,
            progress=self.progress,
        )

    def _mixed(self, inputs: LearnerInputs) -> float:
        """Return the weight of log popularity with the best NDCG@10 on validation users; 1 without
        any.
        """
        if inputs.held_out is None:
            return 1.0
        ranker, held_out = fitted(self.name, self.ranker), inputs.held_out
        scores, popularity = (
            ranker.scores(*inputs.read(held_out.requests)),
            ranker.columns.popularity,
        )
        return max(PRIOR_WEIGHTS, key=lambda weight: held_out.ndcg(scores + weight * popularity))

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return fitted(self.name, self.inputs).vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`, higher is better."""
        inputs = fitted(self.name, self.inputs)
        ranker = fitted(self.name, self.ranker)
        scores = ranker.scores(*inputs.read(self._as_read(requests)))
        return (
            scores + self.popularity_weight * ranker.columns.popularity
            if self.popularity_weight
            else scores
        )

    def rate(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """Predicted values on the data's scale; an item outside the catalog gets the mean of all
        values.

        Raises:
            BadInput: if the training data had no values.
        """
        inputs = fitted(self.name, self.inputs)
        if self.rater is None:
            raise BadInput("these data hold events without values, so there is no scale to rate on")
        items = [self.vocabulary.indexes(ids) for ids in item_ids]
        values = self.rater.values(*inputs.read(self._as_read(requests)))
        return [
            np.where(i >= 0, row[i], self.rater.scale.mean)
            for row, i in zip(values, items, strict=True)
        ]

    def _as_read(self, requests: Sequence[Request]) -> Sequence[Request]:
        return requests if self.adapts else [replace(request, history=()) for request in requests]


@dataclass(kw_only=True)
class ModelAlone:
    """One model of the registry, evaluated without the ensemble and the gate. If it takes inner
    steps, its rows with and without adaptation share one fit.
    """

    name: str
    """Name of the row."""
    model: str
    """Id of the model in the registry."""
    adapts: bool = True
    """False serves the meta-trained model without inner steps, so that the effect of adaptation can
    be measured.
    """
    config: ModelConfig | None = None
    """Hyper-parameters; None takes those of the data's file (`[models.decoder]`) or the
    defaults.
    """
    read: Callable[[Dataset, list[ColdUser], np.random.Generator], LearnerInputs] = LearnerInputs.of
    same: ModelAlone | None = None
    """Row whose fit is reused; None fits its own."""
    inputs: LearnerInputs | None = field(default=None, init=False)
    scorer: Model | None = field(default=None, init=False)

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Fit the model, or reuse the fit of the row `same`."""
        from metarec.models.registry import config_of, model_class

        if self.same is not None:
            self.inputs, self.scorer = self.same.inputs, self.same.scorer
            return
        self.inputs = self.read(train, validation, rng)
        settings = self.config or train.models.get(self.model)
        config = None if settings is None else config_of(self.model, settings)
        self.scorer = fit_model(
            model_class(self.model), self.inputs.behavior, rng, config, self.model
        )

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return fitted(self.name, self.inputs).vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`, the model's scores."""
        users = fitted(self.name, self.inputs).batch(requests)
        model = fitted(self.name, self.scorer)
        if not self.adapts:
            assert isinstance(model, TakesInnerSteps), "only such a model has a row without steps"
            model = model.after_steps(0)
        return dense(evidence_of(model, users, len(self.vocabulary)))


UNADAPTED = "no_adaptation"
"""Name of the row of the learner that serves its prior without adaptation."""
NOT_ADAPTED = ", not adapted"
"""Suffix of the name of a row that serves a model without its inner steps."""


def learners_for(
    names: Sequence[str] | None = None, *, encoder: str = "auto", progress: Progress = silent
) -> list[LearnerRecommender | ModelAlone]:
    """Return unfitted recommenders for the learners in `names`. Without names: all learners, the
    behavior encoders, the adaptive decoders, and one learner that does not adapt. They share one
    reading of the data.

    Raises:
        BadInput: for a name that is no learner.
    """
    from metarec.models.few_shot.learners import LEARNERS, is_learner
    from metarec.models.names import current_ids
    from metarec.models.registry import ADAPTIVE_DECODERS, BEHAVIOR_ENCODERS, check_learner

    for name in (current := current_ids(names or ())):
        check_learner(name)
    inputs_of: dict[int, tuple[Dataset, LearnerInputs]] = {}

    def read(train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> LearnerInputs:
        if id(train) not in inputs_of:  # holding the data set keeps its id unique
            inputs_of[id(train)] = train, LearnerInputs.of(train, validation, rng, encoder=encoder)
        return inputs_of[id(train)][1]

    unadapted = LearnerRecommender(
        name=UNADAPTED, learner="bayesian_ridge", adapts=False, read=read, progress=progress
    )
    rows: list[LearnerRecommender | ModelAlone] = []
    for name in current or (*LEARNERS, *BEHAVIOR_ENCODERS, *ADAPTIVE_DECODERS):
        if is_learner(name):
            rows.append(LearnerRecommender(name=name, read=read, progress=progress))
        else:
            rows += _alone(name, read)
    return [*rows, *([] if names else [unadapted])]


def _alone(name: str, read: Any) -> list[ModelAlone]:
    """Return the row of a registry model, and a second one without inner steps if it takes any."""
    from metarec.models.registry import model_class

    row = ModelAlone(name=name, model=name, read=read)
    if not takes_inner_steps(model_class(name)):
        return [row]
    return [row, replace(row, name=name + NOT_ADAPTED, adapts=False, same=row)]

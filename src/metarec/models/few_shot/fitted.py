"""A meta-learner fitted on behavior: it maps histories to scores of the whole catalog, and is saved
as named arrays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.base import LARGE
from metarec.models.few_shot.adapt import stacked
from metarec.models.few_shot.added import adapted_of, check, scores_of, start_of
from metarec.models.few_shot.inputs import ItemColumns, ItemFeatures
from metarec.models.few_shot.inputs_config import InputsConfig
from metarec.models.few_shot.learner import Learner, Objective, Prior
from metarec.models.few_shot.learners import Method, get_learner, get_method
from metarec.models.few_shot.learners.gradient import GradientLearner
from metarec.models.few_shot.learners.ridge import RidgeLearner
from metarec.models.few_shot.served_ridge import ServedRidge
from metarec.models.few_shot.tasks import FewShotTasks, Support, padded_support
from metarec.models.few_shot.towers import TOWER, embed
from metarec.models.few_shot.training import Training, meta_train
from metarec.models.few_shot.values import ValueScale, ViewName
from metarec.runtime.device import in_memory, on_device
from metarec.runtime.progress import Progress, silent

CELLS, PAIRS = 200_000, 4_000_000
"""Maximum of tasks x items scored at a time, and of tasks x the square of the longest support, of
which a closed form holds several matrices: bounds memory whatever the size of the catalog (a
network's hidden layer is 64 times that) and the length of the histories.
"""


@dataclass(frozen=True, kw_only=True)
class FittedLearner:
    """A learner with its trained prior and the item features: it scores items for the gate, or
    predicts ratings.
    """

    name: str
    objective: Objective
    prior: Prior
    items: ItemFeatures
    columns: ItemColumns
    scale: ValueScale
    settings: dict[str, Any] = field(default_factory=dict)
    """The learner's own settings that differ from their defaults."""
    steps: int | None = None
    """Number of inner steps in place of the learner's own; not saved."""

    @classmethod
    def fit(
        cls,
        behavior: Behavior,
        rng: np.random.Generator,
        *,
        name: str = "deep_kernel",
        objective: Objective = "ranking",
        settings: dict[str, Any] | None = None,
        columns: ItemColumns | None = None,
        training: Training | None = None,
        validate: Callable[[FittedLearner], float] | None = None,
        progress: Progress = silent,
    ) -> FittedLearner:
        """Meta-train on the training users' tasks.

        Args:
            columns: item columns fitted on the same behavior, where several learners share them.
            training: settings of meta-training; the method's by default.
            validate: quality on users outside of `behavior`, higher is better; the best prior is
                kept.

        Raises:
            NoEligibleUsers: if no history is long enough to be a task.
            BrokenPart: if a learner of another package breaks its interface.
        """
        config = training or get_method(name).training
        columns = columns or ItemColumns.fit(behavior, rng, config)
        draft = cls._draft(behavior, columns, name, objective, settings, config)
        tasks = draft._tasks(behavior, config)

        def quality(prior: Prior) -> float:
            return validate(replace(draft, prior=prior)) if validate else 0.0

        prior = meta_train(
            draft.learner,
            tasks,
            draft.items,
            training=config,
            rng=rng,
            progress=progress,
            profile=behavior.profiles.shape[1],
            validate=quality if validate else None,
        )
        fitted = replace(draft, prior=prior)
        reads, learned = fitted.method.reads, behavior.histories
        check(fitted.learner, reads, fitted.scores, learned, behavior.profiles)
        return fitted

    def _tasks(self, behavior: Behavior, config: Training) -> FewShotTasks:
        """Return the tasks of the training users, with values in the learner's view."""
        return FewShotTasks(
            histories=self.scale.transform(behavior.histories, self.view),
            n_items=behavior.n_items,
            profiles=behavior.profiles if behavior.profiles.shape[1] else None,
            pool=behavior.horizon.pool,
            liked_only=self.objective == "ranking",
            in_order=behavior.is_ordered,
            query_most=config.query_most,
            no_support=config.no_support,
            weights=behavior.weights,
        )

    @classmethod
    def untrained(
        cls,
        behavior: Behavior,
        rng: np.random.Generator,
        *,
        name: str,
        objective: Objective = "ranking",
        settings: dict[str, Any] | None = None,
        config: InputsConfig | None = None,
    ) -> FittedLearner:
        """Return the learner with its initial prior, for behavior with too few events for tasks."""
        config = config or get_method(name).training
        columns = ItemColumns.fit(behavior, rng, config)
        draft = cls._draft(behavior, columns, name, objective, settings, config)
        draw = torch.Generator().manual_seed(int(rng.integers(2**62)))
        prior = start_of(draft.learner, draft.items, behavior.profiles.shape[1], draw)
        return replace(draft, prior={name: on_device(value) for name, value in prior.items()})

    @classmethod
    def _draft(
        cls,
        behavior: Behavior,
        columns: ItemColumns,
        name: str,
        objective: Objective,
        settings: dict[str, Any] | None,
        config: InputsConfig,
    ) -> FittedLearner:
        return cls(
            name=name,
            objective=objective,
            prior={},
            columns=columns,
            scale=ValueScale.fit(behavior, config),
            settings=settings or {},
            items=_items(columns, behavior.content, get_method(name), config.anchors),
        )

    @cached_property
    def learner(self) -> Learner:
        """The learner, made by name with its settings."""
        learner = get_learner(self.name, objective=self.objective, **self.settings)
        if self.steps is not None and isinstance(learner, GradientLearner):
            return learner.with_steps(self.steps)
        return learner

    @property
    def method(self) -> Method:
        """The learner's registry entry."""
        return get_method(self.name)

    @property
    def view(self) -> ViewName:
        """The view of values that the learner uses, see `ValueScale.transform`."""
        return "liking" if self.objective == "ranking" else self.method.values

    def support(self, histories: Histories, profiles: np.ndarray) -> Support:
        """Return histories and `profiles` [B, P] as the learner's support."""
        return padded_support(
            self.scale.transform(histories, self.view), profiles if profiles.shape[1] else None
        )

    def scores(
        self, histories: Histories, profiles: np.ndarray, items: np.ndarray | None = None
    ) -> np.ndarray:
        """Return float32 scores [B, N], or [B, I] of some `items` [I]: log-scores (ranking), or
        predictions in the learner's view of values (rating).
        """
        learner, ridge = self.learner, self._ridge

        def answers(some: Histories, profiles: np.ndarray) -> np.ndarray:
            if ridge is not None:
                return ridge.scores(self.scale.transform(some, self.view), items)
            with torch.no_grad():
                params = adapted_of(learner, self.prior, self.support(some, profiles), self._served)
                items_read = self._served if items is None else self._served.take(on_device(items))
                scores = scores_of(learner, self.prior, params, items_read, len(some))
                return in_memory(scores)

        n_asked = len(self.items) if items is None else len(items)
        parts = parts_of(histories.lengths, n_asked)
        if len(parts) == 1:
            return answers(histories, profiles)
        out = np.zeros((len(histories), n_asked), np.float32)
        for part in parts:
            out[part] = answers(histories.users(part), profiles[part])
        return out

    def values(self, histories: Histories, profiles: np.ndarray) -> np.ndarray:
        """Return float32 predicted ratings [B, N] on the data's own scale; the objective must be
        "rating".
        """
        return self.scale.inverse_transform(self.scores(histories, profiles), self.view)

    def chances(
        self, support: Histories, profiles: np.ndarray, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the probability [B, N] of each item to be the one liked next, rows of sum 1,
        written into `out` where it is given.

        A user without support gets the prior's probabilities.
        """
        scores = self.scores(support, profiles)
        out = scores if out is None else out
        torch.softmax(torch.from_numpy(scores), dim=-1, out=torch.from_numpy(out))
        return out

    def adapted(self, support: Support) -> dict[str, Tensor]:
        """Return the adapted parameters of each user, [B, ...], under the prior's names."""
        with torch.no_grad():
            params = adapted_of(self.learner, self.prior, support, self._served)
            return stacked(self.prior, params)

    def support_losses(self, support: Support) -> Tensor:
        """Return the inner loss [B] after the last inner step."""
        learner = self.learner
        assert isinstance(learner, GradientLearner), "only these have an inner loop"
        with torch.no_grad():
            params = adapted_of(learner, self.prior, support, self._served)
            return learner.support_loss({**self.prior, **params}, support, self._served)

    def with_items(self, content: np.ndarray) -> FittedLearner:
        """Return the same learner over a larger catalog: `content` [N or more, C] of all its items,
        the known ones first.
        """
        anchors = len(self.items.anchors)
        return replace(self, items=_items(self.columns, content, self.method, anchors))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything learned, as named arrays; settings as JSON bytes."""
        facts = json.dumps(
            {"name": self.name, "objective": self.objective, "settings": self.settings}
        ).encode()
        parts = {f"prior.{name}": in_memory(value) for name, value in self.prior.items()}
        parts |= {f"columns.{name}": value for name, value in self.columns.arrays().items()}
        parts |= {f"scale.{name}": value for name, value in self.scale.arrays().items()}
        parts |= {
            f"items.{name}": in_memory(getattr(self.items, name))
            for name in ("columns", "bias", "anchors", "anchor_weights")
        }
        return parts | {"facts": np.frombuffer(facts, np.uint8)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> FittedLearner:
        """Return the learner that `arrays()` was called on."""

        def part(prefix: str) -> dict[str, np.ndarray]:
            return {
                name.removeprefix(prefix): value
                for name, value in arrays.items()
                if name.startswith(prefix)
            }

        items = {name: on_device(np.array(value)) for name, value in part("items.").items()}
        return cls(
            **json.loads(arrays["facts"].tobytes()),
            columns=ItemColumns.from_arrays(part("columns.")),
            prior={name: on_device(np.array(value)) for name, value in part("prior.").items()},
            scale=ValueScale.from_arrays(part("scale.")),
            items=ItemFeatures(**items),
        )

    @cached_property
    def _served(self) -> ItemFeatures:
        """The item features, with embeddings cached where the learner has an item tower that does
        not adapt.
        """
        tower = [name for name in self.prior if name.startswith(TOWER)]
        adaptation = getattr(self.learner, "adaptation", None)
        if not tower or (adaptation is not None and any(map(adaptation.moves, tower))):
            return self.items
        with torch.no_grad():
            embedded = embed(self.prior, self.items)
        if len(embedded) < LARGE:  # in column-major order, as by `by_columns`
            embedded = embedded.T.contiguous().T
        return replace(self.items, embedded=embedded)

    @cached_property
    def _ridge(self) -> ServedRidge | None:
        """The learner in NumPy where it is R2-D2 that ranks; None for all others."""
        learner, ranks = self.learner, self.objective == "ranking"
        if not isinstance(learner, RidgeLearner) or learner.learns_mean or not ranks:
            return None
        return ServedRidge.of(self.prior, self.items)


def parts_of(lengths: np.ndarray, n_items: int) -> list[np.ndarray]:
    """Split users with supports of these `lengths` [B] into batches of similar lengths, within the
    limits `CELLS` and `PAIRS`; return their indexes.
    """
    if 0 < len(lengths) * max(n_items, int(lengths.max(initial=0)) ** 2) <= CELLS:
        return [np.arange(len(lengths))]
    order = np.argsort(lengths, kind="stable")
    pairs = lengths[order].astype(np.int64) ** 2
    max_users = np.maximum(1, np.minimum(CELLS // max(n_items, 1), PAIRS // np.maximum(pairs, 1)))
    parts = []
    while len(order):
        fits = np.arange(1, len(order) + 1) <= max_users
        count = max(1, int(fits.sum()))  # the longest support decides, and lengths ascend
        parts.append(order[:count])
        order, max_users = order[count:], max_users[count:]
    return parts


def _items(columns: ItemColumns, content: np.ndarray, method: Method, anchors: int) -> ItemFeatures:
    rng = np.random.default_rng(0)
    return columns.features(content, rng, content_only=method.content_only, anchors=anchors)

"""Gates for requests that choose between few given candidates.

A request with `allow=[...]` comes with a first choice already made: an editor's list, another
system's slate, items drawn at random. The gate of the whole catalog learned which of thousands of
items come first, and was trained on the top positions alone; between few candidates each position
counts. So further gates start from it and are trained on given candidates:

- *drawn*: items that held-out users liked, among items drawn from the catalog;
- *chosen*, where events carry ratings: items they liked, among items they rated lower. Its score
  adds the predicted rating of `Recommender.rate`.

Each is kept only where it ranks those lists clearly better. Which gate ranks a list depends on the
mean of log N p over its items, with p the popularity: up to 0 the list is more likely drawn from
the catalog than chosen by a user, and `drawn` ranks it. Above the quantile `GivenConfig.nearly_all`
of users' own lists, it is likely the top of another ranking, and the gate of the whole catalog
ranks it best. Between the two, `chosen` ranks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from metarec.features.histories import Histories
from metarec.recommendation.ensemble.gate import Gate
from metarec.recommendation.ensemble.gate_config import GateConfig, GivenConfig
from metarec.recommendation.ensemble.gate_tasks import GateTasks
from metarec.recommendation.ensemble.gate_training import train_gate
from metarec.recommendation.ensemble.gate_tuning import ndcg_of
from metarec.recommendation.ensemble.scorers import under
from metarec.runtime.interpolation import Interpolation
from metarec.runtime.rng import derive

_RATING, _MOST = "rating_weight", "most_popular"


@dataclass(frozen=True, kw_only=True)
class GivenGates:
    """Gates for few given candidates, between the models of history and profile."""

    drawn: Gate | None = None
    """Gate for candidates drawn from the catalog; None where it was not clearly better."""
    chosen: Gate | None = None
    """Gate used together with the predicted rating; None without ratings."""
    rating_weight: np.ndarray | None = None
    """[K] weight of the predicted rating with `chosen`, per step of the rating head's scale."""
    most_popular: float = np.inf
    """Mean of log N p over its items above which a list does not count as chosen by users."""

    def lists(self, given: Histories, popularity: np.ndarray) -> list[tuple[Gate, np.ndarray]]:
        """Return each gate here, and a mask [B] of the lists that it ranks."""
        if not len(given.items):
            return []
        lift = mean_lift(given, popularity)
        is_drawn, is_any = lift <= 0.0, given.lengths > 0
        is_chosen = ~is_drawn & (lift <= self.most_popular)
        lists = (self.drawn, is_drawn & is_any), (self.chosen, is_chosen & is_any)
        return [(gate, is_own) for gate, is_own in lists if gate is not None]

    @cached_property
    def _rating_weight(self) -> Interpolation:
        assert self.chosen is not None
        assert self.rating_weight is not None
        return Interpolation.between(self.chosen.points, self.rating_weight)

    def rating_weights(self, lengths: np.ndarray) -> np.ndarray:
        """Return [B] weights of the predicted rating with `chosen`, interpolated at these support
        sizes.
        """
        return self._rating_weight.after(lengths)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the learned parameters as named arrays."""
        gates = {"drawn": self.drawn, "chosen": self.chosen}
        arrays = {
            f"{what}/{name}": array
            for what, gate in gates.items()
            if gate is not None
            for name, array in gate.arrays().items()
        }
        if self.rating_weight is not None:
            arrays |= {_RATING: self.rating_weight, _MOST: np.array([self.most_popular])}
        return arrays

    @classmethod
    def from_arrays(cls, names: tuple[str, ...], arrays: Mapping[str, np.ndarray]) -> GivenGates:
        """Rebuild from `arrays()` and the scorers' names."""

        def gate(what: str) -> Gate | None:
            arrays_of_gate = under(what, arrays)
            return Gate.from_arrays(names, arrays_of_gate) if arrays_of_gate else None

        return cls(
            drawn=gate("drawn"),
            chosen=gate("chosen"),
            rating_weight=arrays.get(_RATING),
            most_popular=float(arrays[_MOST][0]) if _MOST in arrays else np.inf,
        )


def mean_lift(given: Histories, popularity: np.ndarray) -> np.ndarray:
    """[B] mean of log N p over the items of each list; 0 for an empty list."""
    lift = np.log(len(popularity) * popularity[given.items])
    return np.asarray(np.bincount(given.owners, lift, len(given)) / np.maximum(given.lengths, 1))


def train_given(
    gate: Gate,
    support_sizes: tuple[int, ...],
    drawn: list[GateTasks],
    chosen: list[GateTasks],
    own_lists: np.ndarray,
    seed: int,
    config: GivenConfig | None = None,
    training: GateConfig | None = None,
) -> GivenGates:
    """Train the gates for given candidates, starting from `gate`.

    Args:
        drawn: tasks at each of the support sizes.
        chosen: likewise; the last column of their item statistics is the predicted rating.
        own_lists: [U] `mean_lift` of the items that each user chose.
        config: training steps of these gates, and criteria for keeping them.
        training: all other hyper-parameters of the training.
    """
    config = config or GivenConfig()
    training = replace(
        training or GateConfig(),
        likelihood_steps=config.likelihood_steps,
        ranking_steps=config.ranking_steps,
        batch=config.batch,
    )
    rated = _better(
        _with_column(gate), support_sizes, chosen, derive(seed, "gate", "chosen"), config, training
    )
    return GivenGates(
        drawn=_better(gate, support_sizes, drawn, derive(seed, "gate", "drawn"), config, training),
        chosen=None if rated is None else _without_column(rated),
        rating_weight=None if rated is None else rated.statistics_weight[:, -1],
        most_popular=float(np.quantile(own_lists, config.nearly_all)) if len(own_lists) else np.inf,
    )


def _better(
    start: Gate,
    support_sizes: tuple[int, ...],
    tasks: list[GateTasks],
    rng: np.random.Generator,
    config: GivenConfig,
    training: GateConfig,
) -> Gate | None:
    """Return the gate trained on these tasks; None where they are too few or it does not rank them
    clearly better than `start`.
    """
    # Only users with relevant and other candidates at every support size: of a long list each size
    # draws another sample, which may have only one of the two.
    decides = np.all([some.decides for some in tasks], axis=0)
    if decides.sum() < config.min_tasks:
        return None
    tasks = [some.rows(decides) for some in tasks]
    gate = train_gate(start.names, support_sizes, tasks, rng, start=start, config=training)
    before = Gate.from_arrays(
        start.names, {"points": np.array(support_sizes), **start.at(np.array(support_sizes))}
    )
    gain = ndcg_of(gate, tasks, training) - ndcg_of(before, tasks, training)
    return gate if gain.mean() > config.min_t * gain.std() / np.sqrt(len(gain)) + 1e-9 else None


def _with_column(gate: Gate) -> Gate:
    """Return the gate with a weight of 0 for one more column of item statistics."""
    return replace(gate, statistics_weight=np.pad(gate.statistics_weight, ((0, 0), (0, 1))))


def _without_column(gate: Gate) -> Gate:
    return replace(gate, statistics_weight=gate.statistics_weight[:, :-1])

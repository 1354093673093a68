"""A second score, for those who ask between few given candidates.

Whoever says `allow=[...]` has made a first choice: an editor's list, another system's slate, items
drawn at random. The gate of the whole catalog learned which items come first of thousands, and
looks at the first places alone; between few items each counts. So further gates go on from it, on
candidates as they are given:

- *drawn*: what held-out users liked beside items drawn from the catalog;
- *chosen*, where events carry ratings: what they liked beside what they rated lower. There the
  predicted rating takes part, as `Recommender.rate` gives it.

Each is kept where it ranks those lists clearly better. Which of the two is asked, the list itself
tells, by the mean of log N p over its items, p the popularity. Up to 0 draws from the catalog would
give it more likely than choices by users. Above what nearly all users choose it is the beginning of
another ranking, which the gate of the whole catalog orders best.
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
    """Gates between few given candidates, of the models of history and profile."""

    drawn: Gate | None = None
    chosen: Gate | None = None
    """Asked together with the predicted rating; None without ratings."""
    rating_weight: np.ndarray | None = None
    """[K] weight of the predicted rating beside `chosen`, for one step of the rating head's
    scale.
    """
    most_popular: float = np.inf
    """Mean of log N p over its items above which a list is no longer one of chosen items."""

    def lists(self, given: Histories, popularity: np.ndarray) -> list[tuple[Gate, np.ndarray]]:
        """Each gate here, and which lists [B] are its own."""
        if not len(given.items):
            return []
        lift = mean_lift(given, popularity)
        is_drawn, is_any = lift <= 0.0, given.lengths > 0
        is_chosen = ~is_drawn & (lift <= self.most_popular)
        asked = (self.drawn, is_drawn & is_any), (self.chosen, is_chosen & is_any)
        return [(gate, lists) for gate, lists in asked if gate is not None]

    @cached_property
    def _rating_weight(self) -> Interpolation:
        assert self.chosen is not None
        assert self.rating_weight is not None
        return Interpolation.between(self.chosen.points, self.rating_weight)

    def rating_weights(self, lengths: np.ndarray) -> np.ndarray:
        """[B] weight of the predicted rating beside `chosen` after so many events."""
        return self._rating_weight.after(lengths)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything learned, as named arrays."""
        gates = {"drawn": self.drawn, "chosen": self.chosen}
        found = {
            f"{what}/{name}": array
            for what, gate in gates.items()
            if gate is not None
            for name, array in gate.arrays().items()
        }
        if self.rating_weight is not None:
            found |= {_RATING: self.rating_weight, _MOST: np.array([self.most_popular])}
        return found

    @classmethod
    def from_arrays(cls, names: tuple[str, ...], arrays: Mapping[str, np.ndarray]) -> GivenGates:
        """From `arrays()` and the scorers' names."""

        def gate(what: str) -> Gate | None:
            found = under(what, arrays)
            return Gate.from_arrays(names, found) if found else None

        return cls(
            drawn=gate("drawn"),
            chosen=gate("chosen"),
            rating_weight=arrays.get(_RATING),
            most_popular=float(arrays[_MOST][0]) if _MOST in arrays else np.inf,
        )


def mean_lift(given: Histories, popularity: np.ndarray) -> np.ndarray:
    """[B] mean of log N p over the items of each list; 0 of none."""
    lift = np.log(len(popularity) * popularity[given.items])
    return np.asarray(np.bincount(given.owners, lift, len(given)) / np.maximum(given.lengths, 1))


def train_given(
    gate: Gate,
    shots: tuple[int, ...],
    drawn: list[GateTasks],
    chosen: list[GateTasks],
    own_lists: np.ndarray,
    seed: int,
    config: GivenConfig | None = None,
    training: GateConfig | None = None,
) -> GivenGates:
    """Go on from `gate` on lists of given candidates.

    Args:
        drawn: tasks at each of the support sizes `shots`.
        chosen: the same; the last column of their item statistics is the predicted rating.
        own_lists: [U] `mean_lift` of what each user chose.
        config: how long the gates learn, and what is asked of them.
        training: how they learn otherwise.
    """
    config = config or GivenConfig()
    training = replace(
        training or GateConfig(),
        likelihood_steps=config.likelihood_steps,
        ranking_steps=config.ranking_steps,
        batch=config.batch,
    )
    rated = _better(
        _with_column(gate), shots, chosen, derive(seed, "gate", "chosen"), config, training
    )
    return GivenGates(
        drawn=_better(gate, shots, drawn, derive(seed, "gate", "drawn"), config, training),
        chosen=None if rated is None else _without_column(rated),
        rating_weight=None if rated is None else rated.statistics_weight[:, -1],
        most_popular=float(np.quantile(own_lists, config.nearly_all)) if len(own_lists) else np.inf,
    )


def _better(
    start: Gate,
    shots: tuple[int, ...],
    tasks: list[GateTasks],
    rng: np.random.Generator,
    config: GivenConfig,
    training: GateConfig,
) -> Gate | None:
    """The gate learned from these lists, where there are enough and it ranks them clearly better
    than `start`.
    """
    # The same users at each size: of long lists another part is drawn each time, which may decide
    # nothing.
    decides = np.all([some.decides for some in tasks], axis=0)
    if decides.sum() < config.min_tasks:
        return None
    tasks = [some.rows(decides) for some in tasks]
    found = train_gate(start.names, shots, tasks, rng, start=start, config=training)
    before = Gate.from_arrays(start.names, {"points": np.array(shots), **start.at(np.array(shots))})
    gain = ndcg_of(found, tasks, training) - ndcg_of(before, tasks, training)
    return found if gain.mean() > config.min_t * gain.std() / np.sqrt(len(gain)) + 1e-9 else None


def _with_column(gate: Gate) -> Gate:
    """With a weight of 0 for one more column of item statistics."""
    return replace(gate, statistics_weight=np.pad(gate.statistics_weight, ((0, 0), (0, 1))))


def _without_column(gate: Gate) -> Gate:
    return replace(gate, statistics_weight=gate.statistics_weight[:, :-1])

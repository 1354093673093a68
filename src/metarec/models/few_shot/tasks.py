"""Tasks: small learning problems cut from training histories, each of the shape a new user will
have.

Three kinds, one batch type. A *new user* task shows some of a user's events and asks for later
ones. A *new item* task is the same with the roles swapped: it shows an item's first raters and asks
who comes next (give it histories by item, see `by_item`). A *new domain* task shows what a user
did everywhere but in one category and asks for that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from metarec.data.schema import BadInput
from metarec.features.histories import Histories
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.runtime.device import on_device


@dataclass(frozen=True, kw_only=True)
class Support:
    """What adaptation may see of B tasks: up to S events each, padded, and perhaps a profile."""

    items: Tensor
    """[B, S] int64, 0 where padded."""
    values: Tensor
    """[B, S] float: above 0 liked, below 0 not (ranking); or what is above the item's mean
    (rating). 0 where padded.
    """
    is_real: Tensor
    """[B, S] bool, False where padded."""
    profile: Tensor | None = None
    """[B, P] float, what is known of the new user besides events."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def counts(self) -> Tensor:
        """[B] number of events, as floats."""
        return self.is_real.sum(-1).to(self.values.dtype)


@dataclass(frozen=True, kw_only=True)
class Query:
    """What adaptation is evaluated on: up to Q events of each task, padded."""

    items: Tensor
    """[B, Q] int64."""
    values: Tensor
    """[B, Q] float, as in `Support`."""
    is_real: Tensor
    """[B, Q] bool."""
    is_candidate: Tensor | None = None
    """[B, N] bool: the items that may be ranked for each task; None where all may."""


@dataclass(frozen=True, kw_only=True)
class TaskBatch:
    """A meta-batch."""

    support: Support
    query: Query
    items: ItemFeatures | None = None
    """What the tasks' items look like, where that differs from batch to batch; None: as in training
    at large.
    """

    def __len__(self) -> int:
        return len(self.support)


@runtime_checkable
class Tasks(Protocol):
    """A source of training tasks."""

    def sample(self, tasks: int, rng: np.random.Generator) -> TaskBatch:
        """Draw a meta-batch."""
        ...


class NobodyToAsk(BadInput):
    """No history is long enough to show a beginning and ask for the rest."""


@dataclass(frozen=True, kw_only=True)
class FewShotTasks:
    """New users (or, with histories by item, new items): the first events of a history, and what
    came after them.

    Where order means something the support is the first events, as it will be when serving; a
    random subset would teach another problem (support like the query), which costs a sixth of the
    NDCG on MovieLens. Where order carries no meaning every draw shuffles the history, since any
    order was as likely.
    """

    histories: Histories
    """Training histories; values as in `Support`."""
    n_items: int
    """Size of the catalog the items are indexes of."""
    profiles: np.ndarray | None = None
    """[users, P] float32."""
    pool: int = 20
    """The support is drawn from the first `pool` events, the query lies after them; half of a
    history under 1.5 pools.
    """
    in_order: bool = True
    """Whether the order of events means something."""
    liked_only: bool = True
    """Ask only for liked events (ranking), or for all with their values (rating)."""
    query_most: int = 64
    """At most this many query events a task, drawn at random."""
    no_support: float = 0.15
    """Share of tasks that show nothing."""
    weights: np.ndarray | None = None
    """[users] how often each is drawn, beside the others; None: all alike."""

    def __post_init__(self) -> None:
        if self.pool < 1:
            raise BadInput(f"pool must be 1 or more, got {self.pool}")
        if not len(self._eligible):
            raise NobodyToAsk(
                f"no history among {len(self.histories)} has an event to ask for after its "
                f"support; "
                f"give longer histories or a smaller pool than {self.pool}"
            )

    def _pools(self, histories: Histories) -> np.ndarray:
        return np.where(2 * histories.lengths >= 3 * self.pool, self.pool, histories.lengths // 2)

    @cached_property
    def _eligible(self) -> np.ndarray:
        wanted = (
            (self.histories.values > 0) & self.histories.is_target
            if self.liked_only
            else np.ones(len(self.histories.items), bool)
        )
        if self.in_order:
            wanted = wanted & (
                self.histories.positions
                >= np.repeat(self._pools(self.histories), self.histories.lengths)
            )
        has_query = np.bincount(self.histories.owners[wanted], minlength=len(self.histories)) > 0
        return np.flatnonzero(has_query & (self.histories.lengths >= 2))

    def sample(self, tasks: int, rng: np.random.Generator) -> TaskBatch:
        """Draw `tasks` users and how many of their first events are shown."""
        eligible = self._eligible
        chances = (
            None if self.weights is None else self.weights[eligible] / self.weights[eligible].sum()
        )
        users = rng.choice(
            eligible, size=tasks, replace=len(eligible) < tasks or chances is not None, p=chances
        )
        shown = self.histories.users(users)
        shown = shown if self.in_order else shown.shuffled(rng)
        pools = self._pools(shown)
        shots = np.where(rng.random(tasks) < self.no_support, 0, rng.integers(1, pools + 1))
        support = padded_support(
            shown.first(shots), None if self.profiles is None else self.profiles[users], self.pool
        )
        is_candidate = np.ones((tasks, self.n_items), bool)
        pool = shown.first(pools)
        is_candidate[pool.owners, pool.items] = False
        return TaskBatch(support=support, query=_query(shown.after(pools), self, rng, is_candidate))


def _query(
    asked: Histories,
    tasks: FewShotTasks,
    rng: np.random.Generator,
    is_candidate: np.ndarray,
) -> Query:
    if tasks.liked_only:
        asked = asked.where((asked.values > 0) & asked.is_target)
    if asked.lengths.max(initial=0) > tasks.query_most:
        asked = asked.shuffled(rng).first(tasks.query_most)
    rows = asked.padded()
    return Query(
        items=on_device(rows.items),
        values=on_device(rows.values),
        is_real=on_device(rows.is_real),
        is_candidate=on_device(is_candidate),
    )


def padded_support(
    histories: Histories, profiles: np.ndarray | None = None, length: int | None = None
) -> Support:
    """Histories as a support; of longer ones than `length` the newest events stay."""
    rows = histories.padded(length)
    return Support(
        items=on_device(rows.items),
        values=on_device(rows.values),
        is_real=on_device(rows.is_real),
        profile=None
        if profiles is None
        else on_device(np.ascontiguousarray(profiles, dtype=np.float32)),
    )


def by_item(histories: Histories, times: np.ndarray, n_items: int) -> Histories:
    """Histories of items instead of users: who acted on each, first raters first, as user indexes.

    Args:
        times: [E] when each event of `histories` happened.
    """
    order = np.lexsort((times, histories.items))
    counts = np.bincount(histories.items, minlength=n_items)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return replace(histories.taken(order, offsets), items=histories.owners[order].astype(np.int64))


def concat(support: Support, query: Query) -> Support:
    """Support and query together: what is known of a task once it is over."""
    return Support(
        items=torch.cat([support.items, query.items], 1),
        values=torch.cat([support.values, query.values], 1),
        is_real=torch.cat([support.is_real, query.is_real], 1),
        profile=support.profile,
    )

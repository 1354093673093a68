"""Tasks: small learning problems cut from training histories, each like the problem of a new user.

There are three kinds and one batch type. In a *new user* task the support holds some of a user's
events and the query later ones. A *new item* task swaps the roles: the support holds an item's
first raters and the query those that follow (from histories by item, see `by_item`). In a *new
domain* task the support holds a user's events outside of one category and the query those in it.
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
    """Support sets of B tasks, to adapt to: up to S events each, padded, and optional profiles."""

    items: Tensor
    """[B, S] int64, 0 where padded."""
    values: Tensor
    """[B, S] float: above 0 liked, below 0 not (ranking), or the value in the learner's view, such
    as the residual from the item's mean (rating). 0 where padded.
    """
    is_real: Tensor
    """[B, S] bool, False where padded."""
    profile: Tensor | None = None
    """[B, P] float profile columns of the users; None without profiles."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def counts(self) -> Tensor:
        """[B] number of events of each task, as floats."""
        return self.is_real.sum(-1).to(self.values.dtype)


@dataclass(frozen=True, kw_only=True)
class Query:
    """Query sets of B tasks, to evaluate adaptation on: up to Q events each, padded."""

    items: Tensor
    """[B, Q] int64."""
    values: Tensor
    """[B, Q] float, as in `Support`."""
    is_real: Tensor
    """[B, Q] bool."""
    is_candidate: Tensor | None = None
    """[B, N] bool mask of the items to rank for each task; None for all."""


@dataclass(frozen=True, kw_only=True)
class TaskBatch:
    """A meta-batch of B tasks."""

    support: Support
    query: Query
    items: ItemFeatures | None = None
    """Features of the tasks' items, where they differ between batches; None: those of training."""

    def __len__(self) -> int:
        return len(self.support)


@runtime_checkable
class Tasks(Protocol):
    """A source of training tasks."""

    def sample(self, tasks: int, rng: np.random.Generator) -> TaskBatch:
        """Draw a meta-batch."""
        ...


class NoEligibleUsers(BadInput):
    """No history is long enough for a support set and a query set."""


@dataclass(frozen=True, kw_only=True)
class FewShotTasks:
    """Tasks of new users (or, with histories by item, new items): the first events of a history are
    the support, later ones the query.

    Where the order of events is informative the support is the first events, as when serving; with
    a random subset, support and query would be alike, which costs a sixth of the NDCG on MovieLens.
    Where it is not, every draw shuffles the history, since any order was as likely.
    """

    histories: Histories
    """Training histories; values as in `Support`."""
    n_items: int
    """Size of the catalog that the items are indexes into."""
    profiles: np.ndarray | None = None
    """[users, P] float32."""
    pool: int = 20
    """Number of first events that the support is drawn from, with the query after them; half of a
    history that is shorter than 1.5 times that.
    """
    in_order: bool = True
    """Whether the order of events is informative."""
    liked_only: bool = True
    """Whether the query holds only liked events (ranking), or all with their values (rating)."""
    query_most: int = 64
    """Maximum of query events of a task, drawn at random."""
    no_support: float = 0.15
    """Share of tasks with an empty support."""
    weights: np.ndarray | None = None
    """[users] sampling weights of the users; None: all equal."""

    def __post_init__(self) -> None:
        if self.pool < 1:
            raise BadInput(f"pool must be 1 or more, got {self.pool}")
        if not len(self._eligible):
            raise NoEligibleUsers(
                f"no history among {len(self.histories)} has an event to ask for after its "
                f"support; "
                f"give longer histories or a smaller pool than {self.pool}"
            )

    def _pools(self, histories: Histories) -> np.ndarray:
        return np.where(2 * histories.lengths >= 3 * self.pool, self.pool, histories.lengths // 2)

    @cached_property
    def _eligible(self) -> np.ndarray:
        is_query = (
            (self.histories.values > 0) & self.histories.is_target
            if self.liked_only
            else np.ones(len(self.histories.items), bool)
        )
        if self.in_order:
            is_query = is_query & (
                self.histories.positions
                >= np.repeat(self._pools(self.histories), self.histories.lengths)
            )
        has_query = np.bincount(self.histories.owners[is_query], minlength=len(self.histories)) > 0
        return np.flatnonzero(has_query & (self.histories.lengths >= 2))

    def sample(self, tasks: int, rng: np.random.Generator) -> TaskBatch:
        """Draw `tasks` users, and for each the number of first events that are the support."""
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
        n_support = np.where(rng.random(tasks) < self.no_support, 0, rng.integers(1, pools + 1))
        support = padded_support(
            shown.first(n_support),
            None if self.profiles is None else self.profiles[users],
            self.pool,
        )
        is_candidate = np.ones((tasks, self.n_items), bool)
        pool = shown.first(pools)
        is_candidate[pool.owners, pool.items] = False
        return TaskBatch(support=support, query=_query(shown.after(pools), self, rng, is_candidate))


def _query(
    query: Histories,
    tasks: FewShotTasks,
    rng: np.random.Generator,
    is_candidate: np.ndarray,
) -> Query:
    if tasks.liked_only:
        query = query.where((query.values > 0) & query.is_target)
    if query.lengths.max(initial=0) > tasks.query_most:
        query = query.shuffled(rng).first(tasks.query_most)
    rows = query.padded()
    return Query(
        items=on_device(rows.items),
        values=on_device(rows.values),
        is_real=on_device(rows.is_real),
        is_candidate=on_device(is_candidate),
    )


def padded_support(
    histories: Histories, profiles: np.ndarray | None = None, length: int | None = None
) -> Support:
    """Return histories as a padded support; of those longer than `length` the newest events."""
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
    """Return histories by item instead of by user: the users of each item's events as indexes, in
    order of time.

    Args:
        times: [E] time of each event of `histories`.
        n_items: size of the catalog.
    """
    order = np.lexsort((times, histories.items))
    counts = np.bincount(histories.items, minlength=n_items)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return replace(histories.taken(order, offsets), items=histories.owners[order].astype(np.int64))


def concat(support: Support, query: Query) -> Support:
    """Return support and query joined, as one support."""
    return Support(
        items=torch.cat([support.items, query.items], 1),
        values=torch.cat([support.values, query.values], 1),
        is_real=torch.cat([support.is_real, query.is_real], 1),
        profile=support.profile,
    )

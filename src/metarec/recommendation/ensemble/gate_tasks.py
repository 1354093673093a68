"""Training data of a gate: tasks of held-out users, with candidates and the scorers' evidence for
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.recommendation.ensemble.gate_config import GateConfig

MAX_GIVEN = 150
"""Bound on the length of a list of given candidates, drawn or chosen, in a task."""
_ASKED, _ACTS = "is_relevant_now", "acts"


ScorerOutput = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Output of the scorers for some users: shares [M, B, N], popularity [N], item statistics [N,
S].
"""


@dataclass(frozen=True, kw_only=True)
class GateTasks:
    """T tasks of held-out users at one support size, each with C candidates and the M scorers'
    shares of evidence for them.
    """

    shares: Tensor
    """[T, C, M] float32."""
    popularity: Tensor
    """[T, C] float32; 1 where padded."""
    item_statistics: Tensor
    """[T, C, S] float32."""
    log_weight: Tensor
    """[T, C] log of the number of items each candidate stands for."""
    is_real: Tensor
    """[T, C] bool: False for padding."""
    is_relevant: Tensor
    """[T, C] bool: liked after the support."""
    is_relevant_now: Tensor = None  # type: ignore[assignment]  # filled in below, never None
    """[T, C] bool: relevant under the circumstances (context) that the task reveals."""
    acts: Tensor = None  # type: ignore[assignment]  # filled in below, never None
    """[T, C] float32 number of acts on each relevant item, 0 on all others; 1 each unless given."""

    def __post_init__(self) -> None:
        if getattr(self, _ASKED) is None:
            object.__setattr__(self, _ASKED, self.is_relevant)
        if getattr(self, _ACTS) is None:
            object.__setattr__(self, _ACTS, self.is_relevant.float())

    def with_context(
        self, context_models: Sequence[int], circumstances: int | None
    ) -> tuple[GateTasks, np.ndarray]:
        """Return the tasks in which at least one of the `context_models` has evidence, and a mask
        [T] of them. Where the model of circumstances has evidence, only items taken under these
        circumstances are relevant.

        Args:
            context_models: their positions among the models.
            circumstances: position of the model that reads circumstances; None without it.
        """
        relevant = self.is_relevant
        if circumstances is not None:
            has_context = self.shares[..., circumstances].sum(1) > 0
            relevant = torch.where(has_context[:, None], self.is_relevant_now, relevant)
        knows = (self.shares[..., list(context_models)].sum(1) > 0).any(1) & relevant.any(1)
        tasks = replace(self._each(lambda field: field[knows]), is_relevant=relevant[knows])
        return tasks, knows.numpy()

    def rows(self, chosen: np.ndarray) -> GateTasks:
        """Return the tasks at these indexes or in this mask."""
        return self._each(lambda field: field[torch.from_numpy(chosen)])

    def drawn(self, rows: Tensor) -> GateTasks:
        """Return the tasks at these indexes, given as a tensor."""
        return self._each(lambda field: field.index_select(0, rows))

    def at(self, index: Tensor) -> GateTasks:
        """Return the tasks with only the candidates at `index` [T, K]."""
        tasks, candidates = self.popularity.shape
        place = (index + torch.arange(tasks)[:, None] * candidates).ravel()

        def some(field: Tensor) -> Tensor:  # three times faster than field[rows, index]
            rows = field.reshape(-1, *field.shape[2:]).index_select(0, place)
            return rows.view(*index.shape, *field.shape[2:])

        return self._each(some)

    def best(self, scores: Tensor, n_candidates: int) -> GateTasks:
        """Return the tasks with `n_candidates` candidates: the best relevant ones by `scores`
        [T, C], up to half of them, and of all others the best.
        """
        if n_candidates >= self.popularity.shape[1]:
            return self
        relevant = scores.masked_fill(~self.is_relevant, -torch.inf)
        best = relevant.topk(n_candidates // 2, 1, sorted=False).indices
        first = scores.scatter(1, best, torch.inf).where(self.is_relevant, scores)
        return self.at(first.topk(n_candidates, 1, sorted=False).indices)

    def _each(self, change: Callable[[Tensor], Tensor]) -> GateTasks:
        fields = {name: change(getattr(self, name)) for name in self.__dataclass_fields__}
        return GateTasks(**fields)

    @property
    def decides(self) -> np.ndarray:
        """[T] whether each task has both relevant and other candidates."""
        other = self.is_real & ~self.is_relevant
        return np.asarray((self.is_relevant.any(1) & other.any(1)).numpy())

    def without(self, models: int) -> GateTasks:
        """Return the same tasks without the shares of the last `models` models; no copy."""
        return replace(self, shares=self.shares[..., : self.shares.shape[2] - models])

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all fields as named arrays."""
        return {name: getattr(self, name).numpy() for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str = "") -> GateTasks:
        """Rebuild from `arrays()`, each name prefixed with `prefix`."""
        return cls(
            **{
                name: torch.from_numpy(arrays[f"{prefix}{name}"])
                for name in cls.__dataclass_fields__
            }
        )


def join_tasks(folds: list[list[GateTasks]]) -> list[GateTasks]:
    """Concatenate the tasks of several folds, support size by support size. The folds are emptied
    on the way, since keeping them beside the result would take twice the memory.
    """
    assert len({len(fold) for fold in folds}) == 1, "each fold has tasks of each support size"
    return [joined([fold.pop(0) for fold in folds]) for _ in range(len(folds[0]))]


def candidates(
    behavior: Behavior,
    users: np.ndarray,
    output: ScorerOutput,
    rng: np.random.Generator,
    hidden: Histories | None = None,
    config: GateConfig | None = None,
) -> GateTasks:
    """Build tasks with candidates of the whole catalog: the best of each scorer, the most popular
    items, the relevant items, and a weighted random sample of the rest; without support items and
    without items `hidden` from each user. Of more than `GateConfig.relevant` relevant items, as
    many are drawn, and the others are no candidates.
    """
    config, n_items = config or GateConfig(), behavior.n_items
    pools = behavior.pools[users]
    pool, target = behavior.histories.users(users).first(pools), behavior.targets.users(users)
    is_relevant, allowed = _mask(target, n_items), ~_mask(pool, n_items)
    if hidden is not None:
        allowed[hidden.owners, hidden.items] = False
        is_relevant &= allowed
    some = _at_most(config.relevant, is_relevant, rng)
    allowed &= some | ~is_relevant
    is_relevant = some
    is_relevant_now = is_relevant & _taken_then(behavior, users)
    chosen = (is_relevant | _best(output, config.top)) & allowed
    drawn = np.zeros(n_items, bool)
    drawn[rng.choice(n_items, min(config.sampled, n_items), replace=False)] = True
    sampled = drawn[None, :] & ~chosen & allowed
    n_others = (~chosen & allowed).sum(1, keepdims=True)
    stands_for = np.log(np.maximum(n_others, 1) / np.maximum(sampled.sum(1, keepdims=True), 1))
    log_weight = np.where(sampled, stands_for, 0.0)
    tasks, index = _at(chosen | sampled, output, is_relevant, is_relevant_now, log_weight)
    if behavior.acts is None:
        return tasks
    acts = np.take_along_axis(target.matrix(n_items, target.counts).toarray(), index, axis=1)
    return replace(tasks, acts=torch.from_numpy(acts) * tasks.is_relevant)


def _mask(histories: Histories, n_items: int) -> np.ndarray:
    """[B, N] bool: items in each user's history."""
    mask = np.zeros((len(histories), n_items), bool)
    mask[histories.owners, histories.items] = True
    return mask


def _best(output: ScorerOutput, n_best: int) -> np.ndarray:
    """[B, N] bool: the `n_best` best items of each scorer for users of whom it has evidence, and
    the most popular items.
    """
    shares, popularity, _ = output
    top, chosen = min(n_best, len(popularity) - 1), np.zeros(shares.shape[1:], bool)
    for of_scorer in shares:
        rows = np.flatnonzero(of_scorer.any(1))
        best = np.argpartition(-of_scorer[rows], top, axis=1)[:, :top]
        chosen[rows[:, None], best] = True
    chosen[:, np.argpartition(-popularity, top)[:top]] = True
    return chosen


def drawn_candidates(
    behavior: Behavior,
    users: np.ndarray,
    output: ScorerOutput,
    rng: np.random.Generator,
) -> GateTasks:
    """Build tasks whose candidates are given at random: the relevant items and `MAX_GIVEN` items
    drawn from the catalog, all of weight 1.
    """
    is_relevant, is_given = _query_masks(behavior, users)
    is_relevant = _at_most(MAX_GIVEN, is_relevant, rng)
    drawn, pool = np.zeros(is_given.shape, bool), behavior.pool.users(users)
    drawn[:, rng.choice(is_given.shape[1], min(MAX_GIVEN, is_given.shape[1]), replace=False)] = True
    drawn[pool.owners, pool.items] = False
    return _at((drawn & ~is_given) | is_relevant, output, is_relevant)[0]


def chosen_candidates(
    behavior: Behavior,
    users: np.ndarray,
    output: ScorerOutput,
    rate: Callable[[Histories], np.ndarray],
    rng: np.random.Generator,
) -> GateTasks:
    """Build tasks whose candidates the users chose themselves: their events after the support, at
    most `MAX_GIVEN`. Predicted ratings are appended as the last column of the item statistics.
    """
    is_relevant, is_given = _query_masks(behavior, users)
    is_given = _at_most(MAX_GIVEN, is_given, rng)
    is_relevant &= is_given
    tasks, index = _at(is_given, output, is_relevant)
    rated = rate(Histories.of_indexes(list(index))).reshape(index.shape).astype(np.float32)
    columns = (tasks.item_statistics, torch.from_numpy(rated)[..., None])
    return replace(tasks, item_statistics=torch.cat(columns, 2))


def _query_masks(behavior: Behavior, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two masks [B, N]: the relevant items after the support, and all items after it."""
    is_relevant, is_given = (np.zeros((len(users), behavior.n_items), bool) for _ in range(2))
    targets = behavior.targets.users(users)
    after = behavior.histories.users(users).after(behavior.pools[users])
    is_relevant[targets.owners, targets.items] = True
    is_given[after.owners, after.items] = True
    return is_relevant, is_given


def _at_most(max_items: int, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return `chosen` [B, N] with at most `max_items` items of each row, drawn at random: a single
    user with thousands of items would make the padded tasks of all users as wide.
    """
    many = np.flatnonzero(chosen.sum(1) > max_items)
    if not len(many):
        return chosen
    places = np.where(chosen[many], rng.random((len(many), chosen.shape[1])), 2.0)
    kept = np.zeros_like(places, bool)
    np.put_along_axis(
        kept, places.argpartition(max_items - 1, axis=1)[:, :max_items], values=True, axis=1
    )
    some = chosen.copy()
    some[many] = kept
    return some


def _at(
    chosen: np.ndarray,
    output: ScorerOutput,
    is_relevant: np.ndarray,
    is_relevant_now: np.ndarray | None = None,
    log_weight: np.ndarray | None = None,
) -> tuple[GateTasks, np.ndarray]:
    """Return the tasks of the `chosen` [B, N] candidates, and their item indexes [B, C].

    Args:
        log_weight: [B, N] log of the number of items each stands for; 0 unless given.
    """
    shares, popularity, item_statistics = output
    index, is_real = _compressed(chosen)

    def at(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, index, axis=1)

    weights = np.zeros(index.shape) if log_weight is None else at(log_weight)
    return GateTasks(
        shares=torch.from_numpy(np.stack([at(of_scorer) for of_scorer in shares], axis=2)),
        popularity=torch.from_numpy(np.where(is_real, popularity[index], 1.0).astype(np.float32)),
        item_statistics=torch.from_numpy(item_statistics[index]),
        log_weight=torch.from_numpy(weights.astype(np.float32)),
        is_real=torch.from_numpy(is_real),
        is_relevant=torch.from_numpy(at(is_relevant) & is_real),
        is_relevant_now=torch.from_numpy(
            at(is_relevant if is_relevant_now is None else is_relevant_now) & is_real
        ),
    ), index


def _taken_then(behavior: Behavior, users: np.ndarray) -> np.ndarray:
    """[B, N] bool, or [1, 1] True without context: what each user took under the circumstances that
    their task reveals.
    """
    context = behavior.context
    if context is None or not context.has_circumstances:
        return np.ones((1, 1), bool)
    return context.taken_then(users, behavior.acts_on_targets, behavior.context_events)


def _compressed(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a mask [B, N] as item indexes [B, C] and a mask [B, C] of the real ones; the padding
    is filled with the first items that were not chosen.
    """
    counts = chosen.sum(1)
    width = int(counts.max(initial=1))
    is_real = np.arange(width)[None, :] < counts[:, None]
    index = np.zeros(is_real.shape, np.int64)
    index[is_real] = np.nonzero(chosen)[1]
    # Among the first 2 C items of a row at least C were not chosen, unless there are no more.
    others = np.argsort(chosen[:, : 2 * width], axis=1, kind="stable")[:, :width]
    is_padding = ~is_real
    index[is_padding] = others[
        is_padding.nonzero()[0], (np.cumsum(is_padding, axis=1) - 1)[is_padding]
    ]
    return index, is_real


def joined(parts: list[GateTasks]) -> GateTasks:
    """Concatenate several tables of tasks, padded to the widest."""
    if len(parts) == 1:
        return parts[0]
    width = max(part.shares.shape[1] for part in parts)

    def padded(name: str, value: float) -> Tensor:
        return torch.cat(
            [
                functional.pad(
                    getattr(part, name), _margins(getattr(part, name), width), value=value
                )
                for part in parts
            ]
        )

    return GateTasks(
        shares=padded("shares", 0.0),
        popularity=padded("popularity", 1.0),
        item_statistics=padded("item_statistics", 0.0),
        log_weight=padded("log_weight", 0.0),
        is_real=padded("is_real", False),
        is_relevant=padded("is_relevant", False),
        is_relevant_now=padded("is_relevant_now", False),
        acts=padded("acts", 0.0),
    )


def _margins(tensor: Tensor, width: int) -> list[int]:
    missing = width - tensor.shape[1]
    return [0, missing] if tensor.ndim == 2 else [0, 0, 0, missing]

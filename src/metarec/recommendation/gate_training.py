"""Learning the evidence gate on users the scorers have not seen.

Scorers are fitted on some training users and asked about others (cross-fitting: what was fitted on
a user must not be trusted about that user). The gate first maximises the likelihood of what
they liked afterwards, then the mean of NDCG@10 and Recall@20 of the slate by LambdaLoss (Wang et
al. 2018, "The LambdaLoss framework for ranking metric optimization"; here only pairs in reach of
the first places count). Measured on validation new users, the second step is what made the gate
better than the best of its parts; likelihood alone was not (docs/experiments).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from metarec.data.cold_users import MEDIUM
from metarec.features.behaviour import Behaviour, pools_of
from metarec.features.histories import Histories
from metarec.recommendation.gate import Gate, log_scores
from metarec.runtime.device import one_thread
from metarec.runtime.gains import ideal_gains

TOP = 100
"""Best items of each scorer that become candidates while the gate learns."""
SAMPLED = 150
"""Further candidates, drawn at random and weighed for all they stand for."""
LEARNING_RATE = 0.05
SMOOTHNESS = 0.003
"""Pull between neighboring support sizes."""
REACH = 100
"""Places of the current order within which pairs are compared."""
SLATE, RECALLED = 10, 20
"""Places of the two measures that the ranking loss takes the mean of, NDCG and Recall."""
MIN_LONGER, MIN_LONGER_SHARE = 300, 0.2
"""Users, and their share of all, with events enough for more support sizes than those of a short
horizon, at least.
"""
MAX_AT_ONCE, SCORES_AT_ONCE = 64, 4_000_000
"""Users of whom models are asked at a time, and scores that each gives at a time: bounds memory
where the catalog is large.
"""
_ASKED = "is_asked"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long a gate learns."""

    likelihood: int = 60
    """Steps of the first loss."""
    ranking: int = 120
    """Steps of the second."""
    batch: int = 128
    """Tasks of each support size in a step."""


@dataclass(frozen=True, kw_only=True)
class GateTasks:
    """T held-out users at one support size, each with C candidates and the M scorers' shares for
    them.
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
    """[T, C] bool."""
    is_relevant: Tensor
    """[T, C] bool."""
    is_asked: Tensor = None  # type: ignore[assignment]  # filled in below, never None
    """[T, C] bool: relevant under the circumstances that the task tells."""

    def __post_init__(self) -> None:
        if getattr(self, _ASKED) is None:
            object.__setattr__(self, _ASKED, self.is_relevant)

    def told(
        self, context_models: Sequence[int], circumstances: int | None
    ) -> tuple[GateTasks, np.ndarray]:
        """Tasks in which any of these models knows something, and which they are; where the one of
        circumstances does, they ask about what was taken then.
        """
        relevant = self.is_relevant
        if circumstances is not None:
            told = self.shares[..., circumstances].sum(1) > 0
            relevant = torch.where(told[:, None], self.is_asked, relevant)
        knows = (self.shares[..., list(context_models)].sum(1) > 0).any(1) & relevant.any(1)
        rows = {name: getattr(self, name)[knows] for name in self.__dataclass_fields__}
        return GateTasks(**{**rows, "is_relevant": relevant[knows]}), knows.numpy()

    def rows(self, chosen: np.ndarray) -> GateTasks:
        """Some of the tasks."""
        return self.drawn(torch.from_numpy(chosen))

    def drawn(self, rows: Tensor | tuple[Tensor, Tensor]) -> GateTasks:
        """The tasks of these rows, or these candidates of these rows."""
        return GateTasks(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})

    def at(self, index: Tensor) -> GateTasks:
        """Of each task the candidates `index` [T, K]."""
        return self.drawn((torch.arange(len(index))[:, None], index))

    def deciding(self) -> GateTasks:
        """Tasks whose candidates hold both what is relevant and what is not."""
        other = self.is_real & ~self.is_relevant
        return self.rows((self.is_relevant.any(1) & other.any(1)).numpy())

    def without(self, models: int) -> GateTasks:
        """The same tasks without what the last `models` models say."""
        return replace(self, shares=self.shares[..., : self.shares.shape[2] - models])

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as named arrays."""
        return {name: getattr(self, name).numpy() for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str = "") -> GateTasks:
        """From `arrays()`, each name with `prefix` before it."""
        return cls(
            **{
                name: torch.from_numpy(arrays[f"{prefix}{name}"])
                for name in cls.__dataclass_fields__
            }
        )


Ask = Callable[[int, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""(support size, users) -> shares [B, N, M], popularity [N], item statistics [N, S] from what has
not seen these users.
"""
AskOf = Callable[[Behaviour, int, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""The same of users as a behaviour cuts their histories."""


Rate = Callable[[int, np.ndarray, Histories], np.ndarray]
"""(support size, users, items asked of each) -> [E] predicted ratings, in steps from the mean."""
Score = Callable[[GateTasks], Tensor]
"""Tasks -> [T, C] log-scores of their candidates."""


def gather_tasks(
    behaviour: Behaviour,
    users: np.ndarray,
    ask: Ask,
    rng: np.random.Generator,
    *,
    with_repeats: bool = False,
    rate: Rate | None = None,
) -> tuple[list[GateTasks], list[GateTasks], list[GateTasks]]:
    """Tasks of the held-out `users` at each support size of the horizon: over the whole catalog,
    and from the same answers between few given candidates, drawn from it, and, where `rate`
    says what they would be rated, chosen by the users themselves.

    Args:
        with_repeats: items of the support are candidates too, wanted where they were taken again.
    """
    made: tuple[list[GateTasks], list[GateTasks], list[GateTasks]] = ([], [], [])
    batch, aside = users_at_once(behaviour.n_items), rng.spawn(1)[0]
    for shots in behaviour.horizon.shots:
        shown = shots if with_repeats else 0
        parts: list[list[GateTasks]] = [[], [], []]
        for some in (users[start : start + batch] for start in range(0, len(users), batch)):
            answers = ask(shots, some)
            parts[0].append(candidates(behaviour, some, *answers, rng, shown))
            parts[1].append(drawn_candidates(behaviour, some, *answers, aside))
            if rate is not None:
                rated = partial(rate, shots, some)
                parts[2].append(chosen_candidates(behaviour, some, *answers, rated, aside))
        for tasks, found in zip(made, parts, strict=True):
            tasks += [_joined(found)] if found else []
    return made


def longer_tasks(
    behaviour: Behaviour, users: np.ndarray, ask: AskOf, rng: np.random.Generator
) -> list[GateTasks]:
    """Tasks of those of the held-out `users` who have events enough at each of `longer_shots`."""
    if not longer_shots(behaviour):
        return []
    longer = as_longer(behaviour)
    return gather_tasks(longer, able_longer(behaviour, users), partial(ask, longer), rng)[0]


def longer_shots(behaviour: Behaviour) -> tuple[int, ...]:
    """Support sizes beyond a short horizon at which enough users can teach the gate: between its
    last one and that of a user known for long there is else nothing but interpolation.
    """
    if behaviour.horizon.pool >= MEDIUM.pool:
        return ()
    is_able = behaviour.histories.lengths >= MEDIUM.min_events
    if is_able.sum() < max(MIN_LONGER, MIN_LONGER_SHARE * len(is_able)):
        return ()
    return tuple(shots for shots in MEDIUM.shots if shots > behaviour.horizon.pool)


def able_longer(behaviour: Behaviour, users: np.ndarray) -> np.ndarray:
    """Those of the `users` who have events enough to be asked after the longest of
    `longer_shots`.
    """
    return np.asarray(users[behaviour.histories.lengths[users] >= MEDIUM.min_events])


def as_longer(behaviour: Behaviour) -> Behaviour:
    """The same users with a longer pool."""
    pools = np.maximum(pools_of(behaviour.histories.lengths, MEDIUM), behaviour.pools)
    horizon = replace(MEDIUM, shots=longer_shots(behaviour))
    return replace(behaviour, horizon=horizon, cut=pools)


def known_tasks(
    behaviour: Behaviour, users: np.ndarray, ask: Ask, rng: np.random.Generator
) -> GateTasks:
    """Tasks of the held-out `users` as users known for long: all that came before the last thing
    they wanted is shown, and that is asked.
    """
    longer, most = as_known(behaviour), int(behaviour.histories.lengths.max(initial=0))
    batch = users_at_once(behaviour.n_items)
    starts = range(0, len(users), batch)
    return _joined(
        [
            candidates(longer, some, *ask(most, some), rng, 0)
            for some in (users[start : start + batch] for start in starts)
        ]
    )


def users_at_once(n_items: int) -> int:
    """Users of whom all models are asked at a time about a catalog of this size."""
    return max(1, min(MAX_AT_ONCE, SCORES_AT_ONCE // n_items))


def as_known(behaviour: Behaviour) -> Behaviour:
    """The same users with everything before the last thing they wanted as their pool."""
    histories, targets = behaviour.histories, behaviour.is_wanted(behaviour.histories)
    cut = np.zeros(len(histories), np.int64)
    np.maximum.at(cut, histories.owners[targets], histories.positions[targets])
    return replace(behaviour, cut=np.maximum(cut, behaviour.pools))


def known_length(behaviour: Behaviour) -> int:
    """Events of a user known for long, as the gate's last support size: the middle of them, more
    than the pool.
    """
    pools = as_known(behaviour).pools
    longer = pools[pools > behaviour.horizon.pool]
    last = max(behaviour.horizon.pool, *longer_shots(behaviour), 0)
    return int(max(np.median(longer) if len(longer) else 0, last + 1))


def join_tasks(folds: list[list[GateTasks]]) -> list[GateTasks]:
    """Tasks of several folds, support size by support size."""
    return [_joined(list(parts)) for parts in zip(*folds, strict=True)]


def train_gate(
    names: tuple[str, ...],
    shots: tuple[int, ...],
    tasks: list[GateTasks],
    rng: np.random.Generator,
    tell: Callable[[float], None] | None = None,
    weights: Sequence[np.ndarray] | None = None,
    start: Gate | None = None,
    pull: float = 0.0,
    schedule: Schedule = Schedule(),  # noqa: B008  # frozen
) -> Gate:
    """Learn trust, weight and ease at each support size.

    Args:
        tell: hears the share of steps done.
        weights: for each support size [T] how often each task's user is drawn, beside the
            others; None: all alike.
        start: a gate between some of `names`, to go on from.
        pull: how strongly to stay near `start`.
        schedule: how long to learn.
    """
    sizes = (len(shots), len(names))
    raw = {
        "popularity_weight": torch.full(sizes[:1], 1.0),
        "statistics_weight": torch.zeros(len(shots), tasks[0].item_statistics.shape[2]),
        "weight": torch.full(sizes, -0.7),
        "smoothing": torch.full(sizes, -1.0),
    }
    if start is not None:
        _go_on_from(raw, start, names, np.array(shots))
    anchor = {name: tensor.clone() for name, tensor in raw.items()}
    for tensor in raw.values():
        tensor.requires_grad_()
    total = schedule.likelihood + schedule.ranking
    with one_thread():
        for done, (lr, loss) in enumerate(_losses(raw, tasks, rng, weights, schedule)):
            if lr == LEARNING_RATE:
                optimizer = torch.optim.Adam(raw.values(), lr=lr)
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.zero_grad()
            # Torch leaves it untyped
            whole = loss() + _roughness(raw) + pull * _distance(raw, anchor)
            whole.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if tell is not None:
                tell((done + 1) / total)
    learned = {name: tensor.detach().double().numpy() for name, tensor in raw.items()}
    return Gate(
        names=names,
        points=np.array(shots, np.int64),
        popularity_weight=learned["popularity_weight"],
        statistics_weight=learned["statistics_weight"],
        weight=np.logaddexp(0.0, learned["weight"]),
        smoothing=np.exp(learned["smoothing"]),
    )


def _distance(raw: dict[str, Tensor], anchor: dict[str, Tensor]) -> Tensor:
    return torch.stack([((raw[name] - anchor[name]) ** 2).sum() for name in raw]).sum()


def _go_on_from(
    raw: dict[str, Tensor], start: Gate, names: Sequence[str], shots: np.ndarray
) -> None:
    """Begin at what `start` learned, for the models it has."""
    found = start.at(shots)
    here = [column for column, name in enumerate(names) if name in start.names]
    there = [start.names.index(names[column]) for column in here]
    at = {
        "popularity_weight": found["popularity_weight"],
        "statistics_weight": found["statistics_weight"],
        "weight": found["weight"][:, there],
        "smoothing": found["smoothing"][:, there],
    }
    raw["popularity_weight"][:] = torch.from_numpy(at["popularity_weight"])
    raw["statistics_weight"][:] = torch.from_numpy(at["statistics_weight"])
    weight = np.maximum(at["weight"], 1e-4)
    raw["weight"][:, here] = torch.from_numpy(weight + np.log(-np.expm1(-weight)))
    raw["smoothing"][:, here] = torch.from_numpy(np.log(at["smoothing"]))


def _losses(
    raw: dict[str, Tensor],
    tasks: list[GateTasks],
    rng: np.random.Generator,
    weights: Sequence[np.ndarray] | None,
    schedule: Schedule,
) -> Iterator[tuple[float, Callable[[], Tensor]]]:
    """(learning rate, loss) of each step: first likelihood, then ranking, each decaying to a
    tenth.
    """
    for steps, measure in (
        (schedule.likelihood, _likelihood_loss),
        (schedule.ranking, _ranking_loss),
    ):
        for step in range(steps):
            rows = [
                torch.from_numpy(
                    _drawn(
                        len(t.shares),
                        rng,
                        schedule.batch,
                        None if weights is None else weights[point],
                    )
                )
                for point, t in enumerate(tasks)
            ]
            yield (
                LEARNING_RATE * (1 - 0.9 * step / steps),
                partial(_mean_loss, raw, tasks, rows, measure),
            )


def _drawn(
    tasks: int, rng: np.random.Generator, batch: int, weights: np.ndarray | None
) -> np.ndarray:
    """The tasks of one step."""
    if weights is None:
        return rng.integers(0, tasks, min(batch, tasks))
    return rng.choice(tasks, min(batch, tasks), p=weights / weights.sum())


def _mean_loss(
    raw: dict[str, Tensor],
    tasks: list[GateTasks],
    rows: list[Tensor],
    measure: Callable[[Score, GateTasks], Tensor],
) -> Tensor:
    """Mean over support sizes of the loss on some of their tasks."""
    drawn = enumerate(zip(tasks, rows, strict=True))
    return torch.stack(
        [
            measure(partial(_scores, raw, point), some.drawn(chosen))
            for point, (some, chosen) in drawn
        ]
    ).mean()


def _scores(raw: dict[str, Tensor], point: int, tasks: GateTasks) -> Tensor:
    """[T, C] log-scores of candidates, far below all others where there is none."""
    scores = log_scores(
        raw["popularity_weight"][point],
        raw["statistics_weight"][point],
        functional.softplus(raw["weight"][point]),
        raw["smoothing"][point].exp(),
        shares=tasks.shares,
        popularity=tasks.popularity,
        item_statistics=tasks.item_statistics,
    )
    return scores.masked_fill(~tasks.is_real, -1e9)


def _likelihood_loss(score: Score, tasks: GateTasks) -> Tensor:
    """Softmax likelihood of every relevant item, each user counting by how much they liked."""
    relevant = tasks.is_relevant
    return -torch.log_softmax(score(tasks) + tasks.log_weight, 1)[relevant].mean()


def _ranking_loss(score: Score, tasks: GateTasks) -> Tensor:
    """LambdaLoss of the mean of NDCG@10 and Recall@20: each wrongly ordered pair costs what
    swapping it would gain.

    A sampled candidate takes as many places, and makes as many pairs, as the items it stands for:
    unweighed, the popular items (all of them candidates) would look worse than they are, and a gate
    without scorers learned to distrust them.
    """
    with torch.no_grad():  # what is out of reach has no part in the loss, and needs no gradient
        index = score(tasks).topk(min(REACH, tasks.popularity.shape[1]), 1).indices
    near = tasks.at(index)
    top, gain, stands_for = score(near), near.is_relevant, near.log_weight.exp()
    worth = _worth(stands_for.cumsum(1) - stands_for, tasks.is_relevant.sum(1))
    # Only pairs of a relevant candidate and another one count: a row for each relevant one.
    task, at = gain.nonzero(as_tuple=True)
    swap = (worth[task, at, None] - worth[task]).abs()
    pairs = torch.where(gain, 0.0, stands_for)[task]
    return (swap * pairs * functional.softplus(top[task] - top[task, at, None])).sum() / len(gain)


def _worth(place: Tensor, relevant: Tensor) -> Tensor:
    """[T, P] what a hit at each place, from 0, adds to the mean of NDCG@10 and Recall@20.

    Args:
        relevant: [T] relevant items of each task.
    """
    discount = torch.where(place < SLATE, 1.0 / torch.log2(place + 2.0), 0.0)
    best = torch.from_numpy(ideal_gains(relevant.numpy(), SLATE)).float()
    share = (place < RECALLED) / relevant.clamp(min=1)[:, None]
    return 0.5 * (discount / best[:, None] + share)


def _roughness(raw: dict[str, Tensor]) -> Tensor:
    """Pull of neighboring support sizes towards each other, of weights and regard towards 0, and of
    trust towards 1.

    Trust and regard are pulled hardest: before any event all scores rest on them, a few dozen
    users taught a gate to distrust popularity, and where the best ten places hold little that
    anybody likes, hundreds taught it item statistics that misled (docs/experiments).
    """
    steps = sum(
        ((raw[name][1:] - raw[name][:-1]) ** 2).sum() * scale
        for name, scale in (
            ("popularity_weight", 10.0),
            ("weight", 1.0),
            ("statistics_weight", 1.0),
            ("smoothing", 0.1),
        )
    )
    sizes = (functional.softplus(raw["weight"]) ** 2).sum() + 10.0 * (
        (raw["statistics_weight"] ** 2).sum() + ((raw["popularity_weight"] - 1.0) ** 2).sum()
    )
    return SMOOTHNESS * steps + 1e-3 * sizes


def candidates(
    behaviour: Behaviour,
    users: np.ndarray,
    shares: np.ndarray,
    popularity: np.ndarray,
    item_statistics: np.ndarray,
    rng: np.random.Generator,
    shown: int = 0,
    hidden: Histories | None = None,
) -> GateTasks:
    """Candidates of some users: the best of each scorer, the popular, all that is relevant, and a
    weighed sample of the rest; of the pool only the first `shown` items, and nothing `hidden`.
    """
    n_users, n_items = len(users), behaviour.n_items
    histories, pools = behaviour.histories.users(users), behaviour.pools[users]
    pool, target = histories.first(pools), behaviour.targets.users(users)
    is_relevant = np.zeros((n_users, n_items), bool)
    is_relevant[target.owners, target.items] = True
    allowed = np.ones((n_users, n_items), bool)
    allowed[pool.owners, pool.items] = False
    if hidden is not None:
        allowed[hidden.owners, hidden.items] = False
        is_relevant &= allowed
    if shown:
        support, again = pool.first(shown), behaviour.repeats.users(users)
        allowed[support.owners, support.items] = True
        is_relevant[again.owners, again.items] = True
        is_relevant &= allowed
    is_asked = is_relevant & _taken_then(behaviour, users)
    chosen = is_relevant.copy()
    top = min(TOP, n_items - 1)
    for scorer in range(shares.shape[2]):
        best = np.argpartition(-shares[:, :, scorer], top, axis=1)[:, :top]
        np.put_along_axis(chosen, best, True, axis=1)  # noqa: FBT003  # the value put, not a flag
    chosen[:, np.argpartition(-popularity, top)[:top]] = True
    chosen &= allowed
    drawn = np.zeros(n_items, bool)
    drawn[rng.choice(n_items, min(SAMPLED, n_items), replace=False)] = True
    sampled = drawn[None, :] & ~chosen & allowed
    rest = (~chosen & allowed).sum(1, keepdims=True)
    stands_for = np.log(np.maximum(rest, 1) / np.maximum(sampled.sum(1, keepdims=True), 1))
    answers = shares, popularity, item_statistics
    log_weight = np.where(sampled, stands_for, 0.0)
    return _at(chosen | sampled, answers, is_relevant, is_asked, log_weight)[0]


def drawn_candidates(
    behaviour: Behaviour,
    users: np.ndarray,
    shares: np.ndarray,
    popularity: np.ndarray,
    item_statistics: np.ndarray,
    rng: np.random.Generator,
) -> GateTasks:
    """Candidates of some users as others give them: what is relevant beside `SAMPLED` items drawn
    from the catalog, each of which stands for itself alone.
    """
    is_relevant, asked = _asked_of(behaviour, users)
    is_relevant = _at_most(SAMPLED, is_relevant, rng)
    drawn, pool = np.zeros(asked.shape, bool), behaviour.pool.users(users)
    drawn[:, rng.choice(asked.shape[1], min(SAMPLED, asked.shape[1]), replace=False)] = True
    drawn[pool.owners, pool.items] = False
    answers = shares, popularity, item_statistics
    return _at((drawn & ~asked) | is_relevant, answers, is_relevant)[0]


def chosen_candidates(
    behaviour: Behaviour,
    users: np.ndarray,
    shares: np.ndarray,
    popularity: np.ndarray,
    item_statistics: np.ndarray,
    rate: Callable[[Histories], np.ndarray],
    rng: np.random.Generator,
) -> GateTasks:
    """Candidates of some users as they chose them: what they took after the pool, at most `SAMPLED`
    of it; predicted ratings follow the item statistics.
    """
    is_relevant, asked = _asked_of(behaviour, users)
    asked = _at_most(SAMPLED, asked, rng)
    is_relevant &= asked
    answers = shares, popularity, item_statistics
    tasks, index = _at(asked, answers, is_relevant)
    rated = rate(Histories.of_indexes(list(index))).reshape(index.shape).astype(np.float32)
    columns = (tasks.item_statistics, torch.from_numpy(rated)[..., None])
    return replace(tasks, item_statistics=torch.cat(columns, 2))


def _asked_of(behaviour: Behaviour, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[B, N] each: what is relevant of what some users are asked, and all of that."""
    is_relevant, asked = (np.zeros((len(users), behaviour.n_items), bool) for _ in range(2))
    targets = behaviour.targets.users(users)
    after = behaviour.histories.users(users).after(behaviour.pools[users])
    is_relevant[targets.owners, targets.items] = True
    asked[after.owners, after.items] = True
    return is_relevant, asked


def _at_most(most: int, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[B, N] `chosen` with at most so many of each row, drawn: one user of thousands of items would
    else make the tasks of all as wide.
    """
    many = np.flatnonzero(chosen.sum(1) > most)
    if not len(many):
        return chosen
    places = np.where(chosen[many], rng.random((len(many), chosen.shape[1])), 2.0)
    kept = np.zeros_like(places, bool)
    np.put_along_axis(kept, places.argpartition(most - 1, axis=1)[:, :most], values=True, axis=1)
    found = chosen.copy()
    found[many] = kept
    return found


def _at(
    chosen: np.ndarray,
    answers: tuple[np.ndarray, np.ndarray, np.ndarray],
    is_relevant: np.ndarray,
    is_asked: np.ndarray | None = None,
    log_weight: np.ndarray | None = None,
) -> tuple[GateTasks, np.ndarray]:
    """The tasks of `chosen` [B, N] candidates, and their items [B, C].

    Args:
        answers: shares, popularity and item statistics, as `Ask` gives them.
        log_weight: [B, N] log of the number of items each stands for; one each unless given.
    """
    shares, popularity, item_statistics = answers
    index, is_real = _compressed(chosen)

    def at(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, index, axis=1)

    weights = np.zeros(index.shape) if log_weight is None else at(log_weight)
    return GateTasks(
        shares=torch.from_numpy(np.take_along_axis(shares, index[..., None], axis=1)),
        popularity=torch.from_numpy(np.where(is_real, popularity[index], 1.0).astype(np.float32)),
        item_statistics=torch.from_numpy(item_statistics[index]),
        log_weight=torch.from_numpy(weights.astype(np.float32)),
        is_real=torch.from_numpy(is_real),
        is_relevant=torch.from_numpy(at(is_relevant) & is_real),
        is_asked=torch.from_numpy(at(is_relevant if is_asked is None else is_asked) & is_real),
    ), index


def _taken_then(behaviour: Behaviour, users: np.ndarray) -> np.ndarray:
    """[B, N] or True: what each user took under the circumstances that their task tells."""
    context = behaviour.context
    if context is None or not context.has_circumstances:
        return np.ones((1, 1), bool)
    return context.taken_then(users, behaviour.targets, behaviour.asked_acts)


def _compressed(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[B, N] choices as [B, C] indexes and which of them are real; the rest is filled with the
    first items that were not chosen.
    """
    counts = chosen.sum(1)
    width = int(counts.max(initial=1))
    is_real = np.arange(width)[None, :] < counts[:, None]
    index = np.zeros(is_real.shape, np.int64)
    index[is_real] = np.nonzero(chosen)[1]
    # Among the first 2 C items of a row at least C were not chosen, unless there are no more.
    others = np.argsort(chosen[:, : 2 * width], axis=1, kind="stable")[:, :width]
    rest = ~is_real
    index[rest] = others[rest.nonzero()[0], (np.cumsum(rest, axis=1) - 1)[rest]]
    return index, is_real


def _joined(parts: list[GateTasks]) -> GateTasks:
    """One table of tasks from several, padded to the widest."""
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
        is_asked=padded("is_asked", False),
    )


def _margins(tensor: Tensor, width: int) -> list[int]:
    missing = width - tensor.shape[1]
    return [0, missing] if tensor.ndim == 2 else [0, 0, 0, missing]

"""Circumstances of a repeat: coffee is taken again in the morning, beer at night.

Log lifts of the user's known items, log P(value | item) / P(value), are added to their scores in
the softmax over which item is repeated. They are counted, shrunk and chosen as those of the model
`context` (`models/context/lifts.py`), but by the likelihood of repeats alone: each half of the
users is asked about with lifts of the other half. A column is read if it gains clearly more than
with its values shuffled among the repeats of each user: where there are few items, their noisy
lifts alone seemed to gain. The mean of an item's log lifts over all values is 0, so that only the
circumstance speaks: lifts of rare items are noisier, and their logarithms lower on average.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import polars as pl

from metarec.features.events import Events
from metarec.features.training_context import Acts, TrainingContext
from metarec.models.context.config import ContextConfig
from metarec.models.context.lifts import Way, ratios_towards, shrunk, tables_of
from metarec.models.repeat.fit import Samples, softmax

MAX_CELLS = 20_000_000
"""Bound: number of codes times items up to which axes are tried, as in the model `context`."""
MAX_OF_SAMPLE = 20
"""Repeats of one user after one number of items, at most, that choose circumstances."""
N_SHUFFLES = 3
"""Times that the values of a column are shuffled to see what its lifts gain without them."""
LEAST = 1e-12
"""Guard: keeps logarithms finite."""


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What circumstances add to the scores of known items as repeats."""

    lifts: np.ndarray
    """[S, N] float32 weighted log lifts, the codes of all columns stacked; 0 for unknown codes and
    for columns that are not read.
    """
    starts: np.ndarray
    """[C] int64 first row of each column in `lifts`."""
    is_read: np.ndarray
    """[C] bool: whether the column predicts which item held-out users repeat."""
    names: tuple[str, ...]
    """[C] names of the columns."""

    @classmethod
    def none(cls) -> Circumstances:
        """Return those of data without circumstances."""
        return cls(
            lifts=np.zeros((0, 0), np.float32),
            starts=np.zeros(0, np.int64),
            is_read=np.zeros(0, bool),
            names=(),
        )

    @property
    def read_columns(self) -> list[str]:
        """Names of the columns that are read."""
        return [name for name, is_read in zip(self.names, self.is_read, strict=True) if is_read]

    def of(self, codes: np.ndarray, owners: np.ndarray, items: np.ndarray) -> np.ndarray | None:
        """[E] what the circumstances `codes` [B, C] add to the scores of the `items` [E] of the
        users `owners` [E]; None where they say nothing.
        """
        if not codes.shape[1]:
            return None
        total = None
        for column in np.flatnonzero(self.is_read):
            of_users = codes[:, column]
            if of_users.any():
                added = self.lifts[self.starts[column] + of_users[owners], items]
                total = added if total is None else total + added
        return total

    def with_items(self, n_items: int) -> Circumstances:
        """Return those of a larger catalog; nothing is known of the circumstances of new items."""
        if not self.names:
            return self
        new = n_items - self.lifts.shape[1]
        return replace(self, lifts=np.pad(self.lifts, ((0, 0), (0, new))))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned."""
        return {
            "lifts": self.lifts,
            "starts": self.starts,
            "is_read": self.is_read,
            "names": np.frombuffer("\n".join(self.names).encode(), np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Circumstances:
        """Restore them from `arrays()`; older models have none."""
        if "lifts" not in arrays:
            return cls.none()
        names = arrays["names"].tobytes().decode()
        return cls(
            lifts=arrays["lifts"],
            starts=arrays["starts"],
            is_read=arrays["is_read"].astype(bool),
            names=tuple(names.split("\n")) if names else (),
        )


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """R repeats, each of one of its user's known items; K known items over all repeats."""

    base: np.ndarray
    """[K] scores of the known items, before circumstances."""
    items: np.ndarray
    """[K] known items."""
    owners: np.ndarray
    """[K] repeat to which each known item belongs."""
    taken: np.ndarray
    """[R] index among the K of the item repeated."""
    codes: np.ndarray
    """[R, C] codes of the circumstances."""
    samples: np.ndarray
    """[R] sample (user and support) of each repeat; those of one sample know the same items."""
    users: np.ndarray
    """[R] user of each repeat."""
    weights: np.ndarray
    """[R] weight of each repeat."""

    @classmethod
    def of(
        cls,
        way: Samples,
        scores: np.ndarray,
        codes: np.ndarray,
        rng: np.random.Generator,
        max_repeats: int,
    ) -> Repeats:
        """Draw samples at random until they have `max_repeats` repeats.

        Args:
            way: samples of training users.
            scores: [E] scores of their known items.
            codes: [acts, C] codes of the circumstances of all events.
        """
        mixed = rng.permutation(len(way.taken))
        samples = way.known.owners[way.taken[mixed]]
        rank = rng.permutation(len(way.known))[samples]
        order = np.argsort(rank, kind="stable")
        first = np.searchsorted(rank[order], rank[order])
        order = order[np.arange(len(order)) - first < MAX_OF_SAMPLE][:max_repeats]
        chosen, samples = mixed[order], samples[order]
        sampled = way.known.users(samples)
        shift = sampled.offsets[:-1] - way.known.offsets[samples]
        at = np.arange(len(sampled.items)) - np.repeat(shift, sampled.lengths)
        return cls(
            base=scores[at],
            items=sampled.items,
            owners=sampled.owners,
            taken=way.taken[chosen] + shift,
            codes=codes[way.events[chosen]],
            samples=samples,
            users=way.users[samples],
            weights=way.shares[chosen] * way.weights[samples],
        )

    def log_chances(self, added: np.ndarray) -> np.ndarray:
        """[R] log-likelihood of the items repeated, with `added` [K] to their scores."""
        shares = softmax(self.base + added, self.owners, len(self.taken))
        return np.asarray(np.log(np.maximum(shares[self.taken], LEAST)))

    def added(self, lifts: np.ndarray, sides: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """[K] log lifts of the known items under the `codes` [R] of a column, by `lifts`
        [2, size, N] for the repeats of either of the `sides` [R].
        """
        return np.asarray(lifts[sides[self.owners], codes[self.owners], self.items])

    def t_statistic(self, gain: np.ndarray) -> float:
        """The t statistic of the users' weighted mean of `gain` [R]; 0 with fewer than three users
        that gain or lose.
        """
        users, place = np.unique(self.users[gain != 0.0], return_inverse=True)
        if len(users) < 3:
            return 0.0
        weights = self.weights[gain != 0.0]
        means = np.bincount(place, gain[gain != 0.0] * weights) / np.bincount(place, weights)
        return float(means.mean() / (means.std(ddof=1) / np.sqrt(len(means)) + LEAST))


def codes_of(events: Events, acts: Acts) -> np.ndarray:
    """[E, C] codes of the circumstances of each event; 0 where `acts` does not have the event."""
    keys = ["owner", "item", "time"]
    known_acts = pl.DataFrame(
        {"owner": acts.owners, "item": acts.items, "time": acts.times}
    ).with_row_index("row")
    query = pl.DataFrame({"owner": events.owners, "item": events.items, "time": events.times})
    rows = query.join(
        known_acts.unique(keys, keep="first", maintain_order=True),
        on=keys,
        how="left",
        maintain_order="left",
    )["row"]
    places = rows.cast(pl.Int64).fill_null(-1).to_numpy()
    codes = np.zeros((len(places), acts.codes.shape[1]), np.int64)
    codes[places >= 0] = acts.codes[places[places >= 0]]
    return codes


def likeliest_circumstances(
    repeats: Repeats,
    context: TrainingContext,
    content: np.ndarray,
    rng: np.random.Generator,
    config: ContextConfig,
) -> Circumstances:
    """Choose columns, their shrinkage and one weight by the likelihood of `repeats`, then count
    over all users of `context`.
    """
    acts, sizes = context.acts, context.columns.sizes
    if not len(repeats.taken):
        return Circumstances.none()
    half = rng.random(len(context.members)) < 0.5
    tables = [
        tables_of(acts.where(half[acts.owners] != side), sizes, len(content))
        for side in (False, True)
    ]
    sides, best = half[repeats.users].astype(int), _best(tables, repeats, half, content, config)
    ways: list[Way | None] = [None] * len(sizes)
    added = np.zeros(len(repeats.base))
    for column, (way, lifts) in best.items():
        codes = repeats.codes[:, column]
        real = repeats.added(lifts, sides, codes)
        beside = [
            repeats.log_chances(repeats.added(lifts, sides, _shuffled(codes, repeats, rng)))
            for _ in range(N_SHUFFLES)
        ]
        gain = repeats.log_chances(real) - np.mean(beside, axis=0)
        if repeats.t_statistic(gain) > config.min_t:
            ways[column], added = way, added + real
    if not any(ways):
        return Circumstances.none()
    weight = _likeliest_weight(repeats, added, config)
    counted = tables_of(acts, sizes, len(content))
    return Circumstances(
        lifts=np.float32(weight) * _lifts(counted, content, ways, config.min_ratio),
        starts=(np.cumsum(sizes) - sizes).astype(np.int64),
        is_read=np.array([way is not None for way in ways]),
        names=tuple(context.columns.names),
    )


def _best(
    tables: list[list[np.ndarray]],
    repeats: Repeats,
    half: np.ndarray,
    content: np.ndarray,
    config: ContextConfig,
) -> dict[int, tuple[Way, np.ndarray]]:
    """Column -> the way of shrinking it with the highest likelihood, and the lifts [2, size, N] by
    it, for columns that gain by any. Repeats of users in each `half` are predicted by the tables of
    the other.
    """
    sides, plain = half[repeats.users].astype(int), repeats.log_chances(np.zeros(1))
    gains, best = dict[int, float](), dict[int, tuple[Way, np.ndarray]]()
    is_small = sum(table.size for table in tables[0]) <= MAX_CELLS
    ways = [way for way in config.tried if way.content_damping is None]
    for prior, alike in groupby(ways, key=lambda way: way.prior):
        if prior[1] and not is_small:
            continue
        ratios = [
            ratios_towards(prior, of_side, content, config.min_ratio)[1] for of_side in tables
        ]
        for way in alike:
            for column, pair in enumerate(zip(*tables, strict=True)):
                lifts = np.stack(
                    [
                        centered_lifts(table, ratio[column], way.damping)
                        for table, ratio in zip(pair, ratios, strict=True)
                    ]
                )
                added = repeats.added(lifts, sides, repeats.codes[:, column])
                gain = float((repeats.log_chances(added) - plain) @ repeats.weights)
                if gain > gains.get(column, 0.0):
                    gains[column], best[column] = gain, (way, lifts)
    return best


def _shuffled(codes: np.ndarray, repeats: Repeats, rng: np.random.Generator) -> np.ndarray:
    """[R] the codes of a column in random order among the repeats of each sample."""
    shuffled = np.empty_like(codes)
    mixed = np.lexsort((rng.random(len(codes)), repeats.samples))
    shuffled[np.argsort(repeats.samples, kind="stable")] = codes[mixed]
    return shuffled


def _lifts(
    tables: list[np.ndarray], content: np.ndarray, ways: list[Way | None], least: float
) -> np.ndarray:
    """[S, N] float32 centered log lifts of all columns, each shrunk in its way (0 without one)."""
    lifts = [np.zeros(table.shape, np.float32) for table in tables]
    for prior in dict.fromkeys(way.prior for way in ways if way is not None):
        _, ratios = ratios_towards(prior, tables, content, least)
        for column, way in enumerate(ways):
            if way is not None and way.prior == prior:
                lifts[column] = centered_lifts(tables[column], ratios[column], way.damping)
    return np.concatenate(lifts, dtype=np.float32, casting="same_kind")


def centered_lifts(table: np.ndarray, ratio: np.ndarray, damping: float) -> np.ndarray:
    """[size, N] log lifts of a column with mean 0 over its values, by how often each occurs; 0 for
    the unknown code.
    """
    logs = np.log(shrunk(table, ratio, damping))
    often = table.sum(1)
    logs[1:] -= often[1:] @ logs[1:] / max(often[1:].sum(), LEAST)
    return np.asarray(logs)


def _likeliest_weight(repeats: Repeats, added: np.ndarray, config: ContextConfig) -> float:
    """The weight of the sum of log lifts with the highest likelihood."""
    means = [
        float(repeats.log_chances(weight * added) @ repeats.weights) for weight in config.weights
    ]
    return config.weights[int(np.argmax(means))]

"""What suits the circumstances: how much more often an item is taken at this hour, in this weather,
at this heart rate.

Naive Bayes over context columns (Campos et al. 2014, "Time-aware recommender systems", compare such
pre-filters): log P(value | item) / P(value), shrunk, added up over the columns that predict what
held-out users took; a column that does not is left out and named.

Lifts are shrunk towards what a few axes say of all columns and items together (correspondence
analysis: Greenacre 2017, "Correspondence analysis in practice"), so that an item learns from those
that are chosen under the same circumstances, and 23 o'clock from 22. Axes are kept as far as they
rise above noise (Gavish and Donoho 2017, "Optimal shrinkage of singular values").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from metarec.features.behaviour import Behaviour
from metarec.features.training_context import Acts
from metarec.features.users import UserBatch
from metarec.models.config import ModelConfig, setting

MAX_CELLS = 20_000_000
"""Codes times items up to which axes are looked for."""


@dataclass(frozen=True, kw_only=True)
class ContextConfig(ModelConfig):
    """Hyper-parameters of circumstances; of lists one value is chosen on held-out users."""

    damping: tuple[float, ...] = setting((5.0, 20.0, 80.0, 320.0), above=0)
    """Events' worth of pull of an item's circumstances towards everyone's that are tried (each
    above 0).
    """
    weights: tuple[float, ...] = setting((0.5, 1.0), least=0)
    """Weights of the sum over columns that are tried (each 0 or more)."""
    min_t: float = setting(3.0)
    """A column is read from this t statistic of its gain in log-likelihood over held-out users on.
    """
    max_acts: int = setting(4000, least=1)
    """Held-out events that choose (1 or more)."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """Evidence = popularity times the lift of each known circumstance."""

    lifts: np.ndarray
    """[S, N] float32 log lifts, the codes of all columns under each other; 0 for unknown."""
    starts: np.ndarray
    """[C] int64 first row of each column."""
    is_read: np.ndarray
    """[C] bool: whether the column told anything."""
    names: tuple[str, ...]
    """[C] names of the columns."""
    popularity: np.ndarray
    """[N] float32."""
    weight: float
    config: ContextConfig = ContextConfig()
    reads: ClassVar[frozenset[str]] = frozenset({"context"})

    @classmethod
    def fit(
        cls, behaviour: Behaviour, rng: np.random.Generator, config: ContextConfig | None = None
    ) -> Context:
        """Choose columns and shrinkage on half of the users, then count over all."""
        config, context = config or cls.config, behaviour.context
        assert context is not None, "fitted only where acts have circumstances"
        sizes, acts = context.columns.sizes, context.acts
        held = rng.random(len(context.members)) < 1 / 3
        kept, asked = acts.where(~held[acts.owners]), acts.where(held[acts.owners])
        asked = asked.where(rng.permutation(len(asked.items))[: config.max_acts])
        (damping, by_axes), weight, is_read = _chosen(kept, asked, sizes, behaviour.n_items, config)
        return cls(
            lifts=_lifts(acts, sizes, behaviour.n_items, (damping, by_axes)),
            starts=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
            is_read=is_read,
            names=tuple(context.columns.names),
            popularity=_popularity(acts, behaviour.n_items),
            weight=weight,
            config=config,
        )

    @property
    def read_columns(self) -> list[str]:
        """Names of the columns that tell something."""
        return [name for name, told in zip(self.names, self.is_read, strict=True) if told]

    @property
    def note(self) -> str:
        """What is read and what is not."""
        read = self.read_columns
        unread = [name for name in self.names if name not in read]
        said = f"context read: {', '.join(read) or 'none'}"
        return f"{said}; not used, since it tells nothing: {', '.join(unread)}" if unread else said

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> np.ndarray:
        """[B, N] float32; nothing for users of whose circumstances none is known."""
        codes = users.context.circumstances
        found = np.zeros((len(users), len(self.popularity)), np.float32) if out is None else out
        found[:] = 0.0
        if not codes.shape[1]:
            return found
        told = self._told(users)
        for column in np.flatnonzero(told.any(0)):
            rows = np.where(told[:, column], codes[:, column], 0)
            found += self.lifts[self.starts[column] + rows]
        found *= self.weight
        np.exp(found, out=found)
        found *= self.popularity
        found[~told.any(1)] = 0.0
        return np.asarray(found)

    def knows(self, users: UserBatch) -> np.ndarray:
        """[B] whether any circumstance that is read is known of each user."""
        return np.asarray(self._told(users).any(1))

    def _told(self, users: UserBatch) -> np.ndarray:
        """[B, C] whether a column that is read is known of each user; no columns: nothing is."""
        codes = users.context.circumstances
        return np.asarray((codes > 0) & self.is_read) if codes.shape[1] else codes > 0

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Context:
        """Nothing is known of new items: no lift."""
        new = len(content) - self.lifts.shape[1]
        lifts = np.pad(self.lifts, ((0, 0), (0, new)))
        return replace(self, lifts=lifts, popularity=popularity.astype(np.float32))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned."""
        return {
            "lifts": self.lifts,
            "starts": self.starts,
            "is_read": self.is_read,
            "names": np.frombuffer("\n".join(self.names).encode(), np.uint8),
            "popularity": self.popularity,
            "weight": np.array([self.weight]),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: ContextConfig | None = None
    ) -> Context:
        """From `arrays()`."""
        names = arrays["names"].tobytes().decode()
        return cls(
            lifts=arrays["lifts"],
            starts=arrays["starts"],
            is_read=arrays["is_read"].astype(bool),
            names=tuple(names.split("\n")) if names else (),
            popularity=arrays["popularity"],
            weight=float(arrays["weight"][0]),
            config=config or cls.config,
        )


def _popularity(acts: Acts, n_items: int) -> np.ndarray:
    counts = np.bincount(acts.items, minlength=n_items) + 0.5
    return np.asarray(counts / counts.sum(), np.float32)


def _lifts(
    acts: Acts, sizes: np.ndarray, n_items: int, shrinkage: tuple[float, bool]
) -> np.ndarray:
    """[S, N] float32 shrunk log P(value | item) / P(value)."""
    tables = _tables(acts, sizes, n_items)
    if not tables:
        return np.zeros((0, n_items), np.float32)
    damping, by_axes = shrinkage
    ratios = _axes_ratios(tables) if by_axes else [np.ones_like(table) for table in tables]
    return np.concatenate(_shrunk(tables, ratios, damping))


def _tables(acts: Acts, sizes: np.ndarray, n_items: int) -> list[np.ndarray]:
    """For each column [size, N] how often an item was taken under each code; 0 is unknown."""
    found = []
    for column, size in enumerate(sizes):
        codes = acts.codes[:, column]
        known = codes > 0
        cells = codes[known] * n_items + acts.items[known]
        counts = np.bincount(cells, minlength=int(size) * n_items)
        found.append(counts.reshape(int(size), n_items).astype(np.float64))
    return found


def _axes_ratios(tables: list[np.ndarray]) -> list[np.ndarray]:
    """For each column [size, N] P(value | item) / P(value) as the strongest axes have it."""
    expected = np.concatenate([_share(table)[:, None] * table.sum(0) for table in tables])
    roots = np.sqrt(np.maximum(expected, 1e-9))
    residuals = np.where(expected > 0, (np.concatenate(tables) - expected) / roots, 0.0)
    squares, axes = np.linalg.eigh(residuals @ residuals.T)
    kept = _above_noise(np.sqrt(np.maximum(squares, 0.0)), residuals.shape)
    ratios = 1.0 + (axes * kept) @ (axes.T @ residuals) / np.maximum(roots, 1.0)
    cuts = np.cumsum([len(table) for table in tables])[:-1]
    return np.split(np.maximum(ratios, 0.02), cuts)


def _above_noise(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[S] what is kept of each singular value of a matrix whose noise has variance 1."""
    longer, ratio = max(shape), min(shape) / max(shape)
    scaled = values**2 / longer
    inside = np.maximum((scaled - ratio - 1.0) ** 2 - 4.0 * ratio, 0.0)
    is_above = scaled > (1.0 + np.sqrt(ratio)) ** 2
    return np.where(is_above, np.sqrt(inside) / np.maximum(scaled, 1e-9), 0.0)


def _share(table: np.ndarray) -> np.ndarray:
    """[size] P(value)."""
    return np.asarray((table.sum(1) + 0.5) / (table.sum() + 0.5 * len(table)))


def _shrunk(tables: list[np.ndarray], ratios: list[np.ndarray], damping: float) -> list[np.ndarray]:
    """Log lifts [size, N] of each column, `damping` acts drawn towards `ratios`."""
    found = []
    for table, ratio in zip(tables, ratios, strict=True):
        share = _share(table)[:, None]
        told = (table + damping * share * ratio) / (table.sum(0) + damping)
        lifts = np.log(told / share)
        lifts[0] = 0.0
        found.append(lifts.astype(np.float32))
    return found


def _chosen(
    kept: Acts, asked: Acts, sizes: np.ndarray, n_items: int, config: ContextConfig
) -> tuple[tuple[float, bool], float, np.ndarray]:
    """Damping, whether by axes, weight and which columns are read: the likeliest for what held-out
    users took.
    """
    nothing = np.zeros(len(sizes), bool)
    if not len(asked.items) or not len(kept.items):
        return (config.damping[-1], False), 1.0, nothing
    found = [(-np.inf, (config.damping[-1], False), 1.0, nothing)]
    popularity = np.log(_popularity(kept, n_items))
    base, counts = popularity[asked.items], _tables(kept, sizes, n_items)
    ways = (False, True) if sizes.sum() * n_items <= MAX_CELLS else (False,)
    for by_axes in ways:
        ratios = _axes_ratios(counts) if by_axes else [np.ones_like(table) for table in counts]
        for damping in config.damping:
            tables = _shrunk(counts, ratios, damping)
            gains = [
                _gain(table, asked.codes[:, column], asked, popularity, base, 1.0)
                for column, table in enumerate(tables)
            ]
            is_read = np.array(
                [_t_statistic(gain, asked.owners) > config.min_t for gain in gains], bool
            )
            for weight in config.weights:
                total = _total_gain(tables, is_read, asked, popularity, base, weight)
                found.append((total, (damping, by_axes), weight, is_read))
    return max(found, key=lambda one: one[0])[1:]


def _gain(
    table: np.ndarray,
    codes: np.ndarray,
    asked: Acts,
    popularity: np.ndarray,
    base: np.ndarray,
    weight: float,
) -> np.ndarray:
    """[A] gain in log-likelihood of each act by one column."""
    scores = popularity[None, :] + weight * table
    norms = np.log(np.exp(scores).sum(1))
    gain = base + weight * table[codes, asked.items] - norms[codes] - base
    return np.asarray(np.where(codes > 0, gain, 0.0))


def _total_gain(
    tables: list[np.ndarray],
    is_read: np.ndarray,
    asked: Acts,
    popularity: np.ndarray,
    base: np.ndarray,
    weight: float,
    most: int = 4_000_000,
) -> float:
    """Mean gain of the columns that are read, together, over so many acts that at most `most`
    scores are made.
    """
    some = slice(0, min(1000, max(50, most // len(popularity))))
    lifts = np.zeros((len(asked.items[some]), len(popularity)), np.float32)
    for column in np.flatnonzero(is_read):
        lifts += tables[column][asked.codes[some, column]]
    scores = popularity[None, :] + weight * lifts
    norms = np.log(np.exp(scores).sum(1))
    told = scores[np.arange(len(scores)), asked.items[some]]
    return float((told - norms - base[some]).mean())


def _t_statistic(gain: np.ndarray, owners: np.ndarray) -> float:
    """Of the users' mean gains."""
    users, place = np.unique(owners, return_inverse=True)
    if len(users) < 3:
        return 0.0
    means = np.bincount(place, gain) / np.bincount(place)
    return float(means.mean() / (means.std(ddof=1) / np.sqrt(len(means)) + 1e-12))
